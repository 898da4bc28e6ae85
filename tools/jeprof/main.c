/* main.c: jeprof, which shows where the memory of a heap profile was allocated.
 *
 * What goes wrong is told in one line on standard error, and the status is 1; a report that would
 * be empty counts as such. Reports go to standard output.
 */
#include "dump_hint.h"
#include "jeprof_options.h"
#include "profile.h"
#include "profile_sum.h"
#include "report_stacks.h"
#include "symbol_name.h"
#include "unsample.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the command line names. */
struct inputs {
    const char *program;   /* NULL: the profiles tell */
    const char **profiles; /* one at least, ended by NULL */
    size_t profile_count;
};

static bool complain(const char *text)
{
    fflush(stdout); /* keeps the order where both go to one place */
    fprintf(stderr, "jeprof: %s\n", text);
    return false;
}

static void warn(void *context, const char *line)
{
    (void)context;
    complain(line);
}

/* Why a file cannot be opened, with what helps when it is a dump that was never written. */
static bool complain_of_file(const char *name)
{
    char hint[512] = "";
    int problem = errno;
    bool is_remote = strncmp(name, "http://", 7) == 0 || strncmp(name, "https://", 8) == 0;
    if (is_remote) {
        fprintf(stderr, "jeprof: not available in this build: remote profiles (%s)\n", name);
        return false;
    }
    if (problem == ENOENT) {
        dump_hint(name, hint, sizeof hint);
    }
    fprintf(stderr, "jeprof: %s: %s%s%s%s\n", name, strerror(problem), hint[0] != '\0' ? " (" : "",
            hint, hint[0] != '\0' ? ")" : "");
    return false;
}

/* Whether a file is there and begins like a profile. */
static bool is_profile(const char *name)
{
    char start[16];
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return false;
    }
    size_t length = fread(start, 1, sizeof start, file);
    fclose(file);
    return profile_is_text(start, length);
}

/* The first argument is the program unless it is a profile or the only one. */
static struct inputs find_inputs(const char **arguments)
{
    struct inputs inputs = {.profiles = arguments};
    if (arguments[1] != NULL && !is_profile(arguments[0])) {
        inputs.program = arguments[0];
        inputs.profiles = arguments + 1;
    }
    while (inputs.profiles[inputs.profile_count] != NULL) {
        inputs.profile_count++;
    }
    return inputs;
}

/* Adds factor times a file, scaled, to the sum. */
static bool add_file(struct profile *sum, const char *name, double factor)
{
    struct profile part;
    struct profile_error error;
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return complain_of_file(name);
    }
    bool is_read = profile_read(&part, file, name, &error);
    fclose(file);
    if (!is_read) {
        return complain(error.text);
    }
    unsample_profile(&part);
    profile_add(sum, &part, factor);
    profile_close(&part);
    return true;
}

static bool add_files(struct profile *sum, const struct inputs *inputs, const char *base)
{
    if (inputs->program != NULL) {
        FILE *program = fopen(inputs->program, "rb");
        if (program == NULL) {
            fprintf(stderr, "jeprof: %s: %s\n", inputs->program, strerror(errno));
            return false;
        }
        fclose(program);
    }
    for (size_t i = 0; i < inputs->profile_count; i++) {
        if (!add_file(sum, inputs->profiles[i], 1)) {
            return false;
        }
    }
    if (base != NULL && !add_file(sum, base, -1)) {
        return false;
    }
    if (inputs->profile_count > 1) {
        fprintf(stderr, "jeprof: the %zu profiles are added up (--base=PROFILE subtracts one)\n",
                inputs->profile_count);
    }
    profile_merge(sum);
    return true;
}

static bool has_thread(const struct profile *profile, uint64_t thread)
{
    for (size_t i = 0; i < profile->sample_count; i++) {
        if (profile->samples[i].thread == thread) {
            return true;
        }
    }
    return false;
}

/* Why a report has nothing in it. */
static bool complain_of_nothing(const struct profile *profile, const struct view *view,
                                const struct jeprof_options *options)
{
    bool is_total = view->measure == VIEW_TOTAL_SPACE || view->measure == VIEW_TOTAL_OBJECTS;
    if (profile->sample_count == 0) {
        return complain("the profile is empty: nothing was sampled (a smaller lg_prof_sample "
                        "samples more)");
    }
    if (!has_thread(profile, options->view.thread)) {
        fprintf(stderr, "jeprof: the profile has no samples of thread %" PRIu64 "\n",
                options->view.thread);
        return false;
    }
    if (view->total == 0 && is_total) {
        return complain("the profile does not count what was freed (prof_accum:true counts it)");
    }
    if (view->total == 0 && options->base == NULL) {
        return complain("everything that was sampled has been freed (--alloc_space shows it, if "
                        "prof_accum:true was set)");
    }
    return complain(view->total == 0 ? "there is no difference" : "the filters leave nothing");
}

/* The file that ran, for the section of names. */
static const char *program_name(const struct profile *profile, const struct inputs *inputs)
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

/* Copies a profile without the names that it may have before it. */
static bool copy_counts(FILE *out, const char *name)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return complain_of_file(name);
    }
    bool is_before = true;
    while ((length = getline(&line, &room, file)) > 0) {
        is_before = is_before && strncmp(line, "heap_v2/", 8) != 0 &&
                    strncmp(line, "heap profile:", 13) != 0;
        if (!is_before) {
            fwrite(line, 1, (size_t)length, out);
        }
    }
    free(line);
    fclose(file);
    return true;
}

/* Writes what was asked for; false: it would have been empty. */
static bool write_report(const struct profile *profile, struct view *view,
                         const struct jeprof_options *options, const struct inputs *inputs)
{
    switch (options->output) {
    case OUTPUT_TEXT:
        return report_text(stdout, view, &options->report) > 0 ||
               complain_of_nothing(profile, view, options);
    case OUTPUT_COLLAPSED:
        return report_collapsed(stdout, view) > 0 || complain_of_nothing(profile, view, options);
    case OUTPUT_CALLGRIND:
        if (view->stack_count == 0) {
            return complain_of_nothing(profile, view, options);
        }
        return report_callgrind(stdout, view) > 0;
    case OUTPUT_RAW:
        report_symbols(stdout, view, program_name(profile, inputs));
        return copy_counts(stdout, inputs->profiles[0]);
    case OUTPUT_SYMBOLS:
        break; /* has no profile: see name_addresses() */
    }
    return false;
}

/* Combinations that have no meaning. */
static bool check_options(const struct jeprof_options *options, const struct inputs *inputs,
                          const struct profile *profile)
{
    if (options->output == OUTPUT_RAW && (inputs->profile_count > 1 || options->base != NULL)) {
        return complain("--raw writes one profile as it is: name one, and no --base");
    }
    for (size_t i = 0; i < profile->source_count; i++) {
        if (profile->sources[i].has_symbols && options->report.granularity == REPORT_LINES) {
            return complain("--lines needs the program and a profile without names: this one has "
                            "names, and no lines");
        }
    }
    return true;
}

static bool report_profiles(struct jeprof_options *options)
{
    struct profile profile = {.samples = NULL};
    struct view view;
    struct profile_error error;
    struct inputs inputs = find_inputs(options->arguments);
    bool is_written = false;
    if (add_files(&profile, &inputs, options->base) && check_options(options, &inputs, &profile)) {
        options->view.keeps_all = options->output == OUTPUT_RAW;
        options->symbols.warn = warn;
        is_written =
            view_open(&view, &profile, &options->view, &options->symbols, inputs.program, &error);
        if (is_written) {
            is_written = write_report(&profile, &view, options, &inputs);
            view_close(&view);
        } else {
            complain(error.text);
        }
    }
    profile_close(&profile);
    return is_written;
}

/* The short name of an address's function, or the address. */
static void write_name(struct symbols *symbols, uint64_t address)
{
    const struct symbol_frame *frames;
    size_t count = symbols_find(symbols, address, &frames);
    if (count == 0 || frames[count - 1].function == NULL) {
        printf("0x%016" PRIx64 "\n", address);
        return;
    }
    char *name = strdup(frames[count - 1].function);
    if (name != NULL) {
        symbol_name_shorten(name);
        printf("%s\n", name);
    }
    free(name);
}

/* --symbols: standard input has mappings, as a profile has them, and then addresses. */
static bool name_addresses(const struct jeprof_options *options)
{
    static const char header[] = "heap_v2/1\nMAPPED_LIBRARIES:\n";
    struct profile profile;
    struct profile_error error;
    char *line = NULL;
    size_t room = 0;
    char *text = NULL;
    size_t size = 0;
    FILE *mappings = open_memstream(&text, &size);
    uint64_t *addresses = NULL;
    size_t count = 0;
    if (mappings == NULL) {
        return complain(strerror(errno));
    }
    fputs(header, mappings);
    while (getline(&line, &room, stdin) > 0) {
        if (strncmp(line, "0x", 2) == 0) {
            addresses = memory_resize(addresses, count + 1, sizeof *addresses);
            addresses[count++] = strtoull(line, NULL, 16);
        } else if (strncmp(line, "MAPPED_LIBRARIES:", 17) != 0) {
            fputs(line, mappings);
        }
    }
    fclose(mappings);
    free(line);
    bool is_read = profile_parse(&profile, text, size, "standard input", &error);
    if (is_read) {
        struct symbols *symbols =
            symbols_open(&options->symbols, options->arguments[0], profile.sources[0].mappings,
                         profile.sources[0].mapping_count);
        symbols_find_all(symbols, addresses, count);
        for (size_t i = 0; i < count; i++) {
            write_name(symbols, addresses[i]);
        }
        symbols_close(symbols);
        profile_close(&profile);
    } else {
        complain(error.text);
    }
    free(addresses);
    free(text);
    return is_read;
}

int main(int count, char **arguments)
{
    struct jeprof_options options;
    bool is_done = true;
    jeprof_options_read(&options, count, arguments);
    if (options.action == ACTION_REFUSE) {
        is_done = complain(options.message);
    } else if (options.action == ACTION_REPORT) {
        is_done =
            options.output == OUTPUT_SYMBOLS ? name_addresses(&options) : report_profiles(&options);
    }
    jeprof_options_close(&options);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        is_done = complain("the report could not be written");
    }
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
