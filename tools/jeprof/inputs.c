/* inputs.c: the program and the profiles that a command line names. See inputs.h.
 *
 * Each profile is scaled before it is added: their periods may differ.
 */
#include "inputs.h"

#include "complaint.h"
#include "dump_hint.h"
#include "dump_order.h"
#include "output_traits.h"
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

/* How a profile goes into the sum. */
struct addition {
    double factor;
    size_t dump;
    bool scales_by_stack;
    unsigned long long seconds; /* that a server gathers it */
};

/* Adds a profile, scaled, to the sum; *name becomes that of its file. */
static bool add_file(struct inputs *inputs, struct profile *sum, const char **name,
                     struct addition addition)
{
    struct profile part;
    struct profile_error error;
    const char *server = remote_is_name(*name) ? *name : NULL;
    if (server != NULL) {
        *name = remote_fetch(&inputs->pool, server, addition.seconds);
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
    if (addition.scales_by_stack) {
        unsample_profile_by_stack(&part);
    } else {
        unsample_profile(&part);
    }
    for (size_t i = 0; i < part.sample_count; i++) {
        part.samples[i].dump = addition.dump;
    }
    profile_add(sum, &part, addition.factor);
    profile_close(&part);
    return true;
}

/* Adds all profiles: the base less itself, or as dump 0 where dumps are kept apart. */
static bool add_files(struct inputs *inputs, struct profile *sum,
                      const struct jeprof_options *options)
{
    struct output_traits traits = output_traits_of(options->output);
    struct addition addition = {1, 0, traits.has_threads, options->seconds};
    const char *base = options->base;
    for (size_t i = 0; i < inputs->profile_count; i++) {
        addition.dump = traits.keeps_dumps ? i + (base != NULL) : 0;
        if (!add_file(inputs, sum, &inputs->profiles[i], addition)) {
            return false;
        }
    }
    addition.factor = traits.keeps_dumps ? 1 : -1;
    addition.dump = 0;
    return base == NULL || add_file(inputs, sum, &base, addition);
}

bool inputs_load(struct inputs *inputs, struct profile *sum, const struct jeprof_options *options)
{
    struct output_traits traits = output_traits_of(options->output);
    if (inputs->program != NULL) {
        FILE *program = fopen(inputs->program, "rb");
        if (program == NULL) {
            return complain("%s: %s", inputs->program, strerror(errno));
        }
        fclose(program);
    }
    if (traits.keeps_dumps) {
        dump_order_sort(inputs->profiles, inputs->profile_count);
    }
    if (!add_files(inputs, sum, options)) {
        return false;
    }
    if (inputs->profile_count > 1 && traits.adds_dumps) {
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
