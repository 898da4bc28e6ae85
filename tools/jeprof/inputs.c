/* inputs.c: the program and the profiles that a command line names. See inputs.h.
 *
 * Each profile is scaled before it is added: their periods may differ.
 */
#include "inputs.h"

#include "complaint.h"
#include "dump_hint.h"
#include "profile_sum.h"
#include "remote.h"
#include "unsample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Why a file cannot be opened, with what helps when it is a dump that was never written. */
static bool complain_of_file(const char *name)
{
    char hint[512] = "";
    int problem = errno;
    if (problem == ENOENT) {
        dump_hint(name, hint, sizeof hint);
    }
    return complain("%s: %s%s%s%s", name, strerror(problem), hint[0] != '\0' ? " (" : "", hint,
                    hint[0] != '\0' ? ")" : "");
}

/* Whether a file is there and begins like a profile. */
static bool is_profile(const char *name)
{
    char start[16];
    if (remote_is_name(name)) {
        return true;
    }
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return false;
    }
    size_t length = fread(start, 1, sizeof start, file);
    fclose(file);
    return profile_is_text(start, length);
}

struct inputs inputs_find(const char **arguments)
{
    struct inputs inputs = {.program = NULL};
    if (arguments[1] != NULL && !is_profile(arguments[0])) {
        inputs.program = *arguments++;
    }
    while (arguments[inputs.profile_count] != NULL) {
        inputs.profile_count++;
    }
    inputs.profiles = memory_take(inputs.profile_count, sizeof *inputs.profiles);
    memcpy(inputs.profiles, arguments, inputs.profile_count * sizeof *inputs.profiles);
    return inputs;
}

/* Adds factor times a profile, scaled, to the sum; *name becomes that of its file. */
static bool add_file(struct inputs *inputs, struct profile *sum, const char **name, double factor,
                     unsigned long long seconds)
{
    struct profile part;
    struct profile_error error;
    const char *server = remote_is_name(*name) ? *name : NULL;
    if (server != NULL) {
        *name = remote_fetch(&inputs->pool, server, seconds);
        if (*name == NULL) {
            return false;
        }
    }
    FILE *file = fopen(*name, "rb");
    if (file == NULL) {
        return complain_of_file(*name);
    }
    bool is_read = profile_read(&part, file, *name, &error);
    fclose(file);
    if (!is_read) {
        return complain("%s", error.text);
    }
    if (server != NULL && inputs->program == NULL) {
        remote_name(&part, server);
    }
    unsample_profile(&part);
    profile_add(sum, &part, factor);
    profile_close(&part);
    return true;
}

bool inputs_load(struct inputs *inputs, struct profile *sum, const struct jeprof_options *options)
{
    const char *base = options->base;
    if (inputs->program != NULL) {
        FILE *program = fopen(inputs->program, "rb");
        if (program == NULL) {
            return complain("%s: %s", inputs->program, strerror(errno));
        }
        fclose(program);
    }
    for (size_t i = 0; i < inputs->profile_count; i++) {
        if (!add_file(inputs, sum, &inputs->profiles[i], 1, options->seconds)) {
            return false;
        }
    }
    if (base != NULL && !add_file(inputs, sum, &base, -1, options->seconds)) {
        return false;
    }
    if (inputs->profile_count > 1) {
        complain("the %zu profiles are added up (--base=PROFILE subtracts one)",
                 inputs->profile_count);
    }
    profile_merge(sum);
    return true;
}

const char *inputs_program(const struct inputs *inputs, const struct profile *profile)
{
    const struct profile_source *source = &profile->sources[0];
    if (inputs->program != NULL) {
        return inputs->program;
    }
    if (source->program != NULL) {
        return source->program;
    }
    for (size_t i = 0; i < source->mapping_count; i++) {
        if (source->mappings[i].path[0] != '\0') {
            return source->mappings[i].path;
        }
    }
    return "?";
}

void inputs_close(struct inputs *inputs)
{
    text_pool_close(&inputs->pool);
    free(inputs->profiles);
}
