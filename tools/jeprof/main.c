/* main.c: jeprof, which shows where the memory of a heap profile was allocated.
 *
 * What goes wrong is told in one line on standard error, and the status is 1; a report that would
 * be empty counts as such. Reports go to standard output.
 */
#include "complaint.h"
#include "inputs.h"
#include "jeprof_options.h"
#include "output_traits.h"
#include "progress.h"
#include "report_choice.h"
#include "self_test.h"
#include "session.h"
#include "symbol_name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct progress progress;

static void note_addresses(void *context, size_t done, size_t total)
{
    (void)context;
    progress_note(&progress, "naming addresses", done, total);
}

static void warn(void *context, const char *line)
{
    (void)context;
    complain("%s", line);
}

/* Shows what was loaded: one report, or as many as are asked for. */
static bool show(struct report_subject *subject, struct jeprof_options *options)
{
    struct profile_error error;
    struct output_traits traits = output_traits_of(options->output);
    options->view.keeps_all = traits.keeps_stacks;
    options->view.keeps_threads = traits.has_threads && !options->view.drops_negative &&
                                  options->view.thread == PROFILE_ALL_THREADS;
    options->symbols.warn = warn;
    options->symbols.progress = note_addresses;
    if (!view_open(&subject->view, subject->profile, &options->view, &options->symbols,
                   subject->inputs->program, &error)) {
        return complain("%s", error.text);
    }
    progress_end(&progress);
    bool is_done = options->is_interactive ? session_run(subject, options)
                                           : report_choice_write(stdout, subject, options);
    view_close(&subject->view);
    return is_done;
}

static bool report_profiles(struct jeprof_options *options)
{
    struct profile profile = {.samples = NULL};
    struct inputs inputs = inputs_find(options->arguments);
    struct report_subject subject = {.inputs = &inputs, .profile = &profile};
    bool is_done = inputs_load(&inputs, &profile, options) && show(&subject, options);
    profile_close(&profile);
    inputs_close(&inputs);
    return is_done;
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
        return complain("%s", strerror(errno));
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
        complain("%s", error.text);
    }
    free(addresses);
    free(text);
    return is_read;
}

int main(int count, char **arguments)
{
    struct jeprof_options options;
    bool is_done = true;
    progress_start(&progress, isatty(STDERR_FILENO) ? stderr : NULL, NULL);
    jeprof_options_read(&options, count, arguments);
    if (options.action == ACTION_REFUSE) {
        is_done = complain("%s", options.message);
    } else if (options.action == ACTION_REPORT) {
        is_done = options.output == OUTPUT_SYMBOLS ? name_addresses(&options)
                  : options.output == OUTPUT_TEST  ? self_test(stdout)
                                                   : report_profiles(&options);
    }
    jeprof_options_close(&options);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        is_done = complain("the report could not be written");
    }
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
