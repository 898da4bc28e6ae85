/* report_choice.c: writes the report that is asked for. See report_choice.h.
 *
 * A table of functions, by the outputs of jeprof_options.h, each of which gives the number of
 * things it wrote: none makes the report empty.
 */
#include "report_choice.h"

#include "complaint.h"
#include "export.h"
#include "report_data.h"
#include "report_disasm.h"
#include "report_flame.h"
#include "report_list.h"
#include "report_proto.h"
#include "report_speedscope.h"
#include "report_stacks.h"
#include "report_symbolized.h"
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum written { WRITTEN, WRITTEN_NOTHING, WRITING_FAILED };

static enum written written_count(size_t count)
{
    return count > 0 ? WRITTEN : WRITTEN_NOTHING;
}

static enum written written_or_failed(bool is_written)
{
    return is_written ? WRITTEN : WRITING_FAILED;
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
static bool complain_of_nothing(const struct report_subject *subject,
                                const struct jeprof_options *options)
{
    const struct profile *profile = subject->profile;
    const struct view *view = &subject->view;
    bool is_total = view->measure == VIEW_TOTAL_SPACE || view->measure == VIEW_TOTAL_OBJECTS;
    if (profile->sample_count == 0) {
        return complain("the profile is empty: nothing was sampled (a smaller lg_prof_sample "
                        "samples more)");
    }
    if (!has_thread(profile, options->view.thread)) {
        return complain("the profile has no samples of thread %" PRIu64, options->view.thread);
    }
    if (view->total == 0 && is_total) {
        return complain("the profile does not count what was freed (prof_accum:true counts it)");
    }
    if (view->total == 0 && options->base == NULL) {
        return complain("everything that was sampled has been freed (--alloc_space shows it, if "
                        "prof_accum:true was set)");
    }
    if (view->stack_count > 0 && options->pattern != NULL) {
        return complain("no function in the profile matches \"%s\", or none whose file is there",
                        options->pattern);
    }
    bool is_picture = options->output >= OUTPUT_DOT && options->output <= OUTPUT_WEB;
    if (view->stack_count > 0 && is_picture) {
        return complain("nothing is large enough for the picture (--nodefraction, --nodecount)");
    }
    return complain(view->total == 0 ? "there is no difference" : "the filters leave nothing");
}

static enum written write_text(FILE *out, struct report_subject *subject,
                               const struct jeprof_options *options)
{
    return written_count(report_text(out, &subject->view, &options->report));
}

static enum written write_collapsed(FILE *out, struct report_subject *subject,
                                    const struct jeprof_options *options)
{
    (void)options;
    return written_count(report_collapsed(out, &subject->view));
}

static enum written write_callgrind(FILE *out, struct report_subject *subject,
                                    const struct jeprof_options *options)
{
    (void)options;
    if (subject->view.stack_count == 0) {
        return WRITTEN_NOTHING;
    }
    return written_count(report_callgrind(out, &subject->view));
}

/* Copies a profile without the names that it may have before it. */
static bool copy_counts(FILE *out, const char *name)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return complain("%s: %s", name, strerror(errno));
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

static enum written write_raw(FILE *out, struct report_subject *subject,
                              const struct jeprof_options *options)
{
    if (subject->inputs->profile_count > 1 || options->base != NULL) {
        return written_or_failed(
            complain("--raw writes one profile as it is: name one, and no --base"));
    }
    report_symbols(out, &subject->view, inputs_program(subject->inputs, subject->profile));
    return written_or_failed(copy_counts(out, subject->inputs->profiles[0]));
}

/* Opens the filter of --list and --disasm. */
static bool open_pattern(struct filter *filter, const char *pattern)
{
    char reason[256];
    return filter_open(filter, pattern, reason, sizeof reason) || complain("%s", reason);
}

static enum written write_list(FILE *out, struct report_subject *subject,
                               const struct jeprof_options *options)
{
    struct filter filter;
    if (!open_pattern(&filter, options->pattern)) {
        return WRITING_FAILED;
    }
    size_t count = report_list(out, &subject->view, &filter, options->report.shows_bytes);
    filter_close(&filter);
    return written_count(count);
}

static enum written write_disasm(FILE *out, struct report_subject *subject,
                                 const struct jeprof_options *options)
{
    struct filter filter;
    struct tool objdump;
    if (!tool_find(&objdump, options->picture.tools, "objdump")) {
        return written_or_failed(
            complain("instructions come from objdump, which is not installed (package binutils)"));
    }
    if (!open_pattern(&filter, options->pattern)) {
        return WRITING_FAILED;
    }
    const struct disasm_options disasm = {objdump.path, options->report.shows_bytes};
    size_t count = report_disasm(out, &subject->view, &filter, &disasm);
    filter_close(&filter);
    return written_count(count);
}

static enum written write_dot(FILE *out, struct report_subject *subject,
                              const struct jeprof_options *options)
{
    struct dot_options dot = options->dot;
    dot.program = inputs_program(subject->inputs, subject->profile);
    dot.granularity = options->report.granularity;
    dot.shows_bytes = options->report.shows_bytes;
    return written_count(report_dot(out, &subject->view, &dot));
}

/* Draws the call graph, by way of a file, to out or for a viewer. */
static enum written write_picture(FILE *out, struct report_subject *subject,
                                  const struct jeprof_options *options)
{
    FILE *graph = tmpfile();
    if (graph == NULL) {
        return written_or_failed(complain("no temporary file: %s", strerror(errno)));
    }
    enum written is_written = write_dot(graph, subject, options);
    if (is_written == WRITTEN && options->output >= OUTPUT_GV) {
        is_written = written_or_failed(picture_show(
            graph, (enum picture_viewer)(options->output - OUTPUT_GV), &options->picture));
    } else if (is_written == WRITTEN) {
        is_written = written_or_failed(picture_draw(
            graph, (enum picture_format)(options->output - OUTPUT_PS), out, &options->picture));
    }
    fclose(graph);
    return is_written;
}

/* Writes the profile with names and lines. */
static enum written write_symbolized(FILE *out, struct report_subject *subject,
                                     const struct jeprof_options *options)
{
    const char *name = subject->inputs->profiles[0];
    if (subject->inputs->profile_count > 1 || options->base != NULL) {
        return written_or_failed(
            complain("--symbolize writes one profile as it is: name one, and no --base"));
    }
    return written_or_failed(report_symbolized(out, &subject->view,
                                               inputs_program(subject->inputs, subject->profile),
                                               name) ||
                             complain("%s: %s", name, strerror(errno)));
}

/* Reports for other programs, of all measures: the number of things in them. */
static size_t (*const exports[])(FILE *out, const struct export *export) = {
    [OUTPUT_PROTO] = report_proto,    [OUTPUT_SPEEDSCOPE] = report_speedscope,
    [OUTPUT_FLAME] = report_flame,    [OUTPUT_JSON] = report_data_json,
    [OUTPUT_HTML] = report_data_html,
};

static bool check_export(const struct jeprof_options *options)
{
    if (options->output == OUTPUT_HTML && !report_data_has_page()) {
        return complain("--html is not in this build: it was made without npm's packages "
                        "(scripts/bootstrap jeprof, then make)");
    }
    if (options->output == OUTPUT_PROTO && isatty(STDOUT_FILENO)) {
        return complain("--proto is no text: send it into a file (jeprof --proto ... >FILE)");
    }
    return true;
}

static enum written write_export(FILE *out, struct report_subject *subject,
                                 const struct jeprof_options *options)
{
    const struct inputs *inputs = subject->inputs;
    size_t has_base = options->base != NULL;
    if (!check_export(options)) {
        return WRITING_FAILED;
    }
    const char **names = memory_take(inputs->profile_count + has_base, sizeof *names);
    names[0] = options->base;
    memcpy(names + has_base, inputs->profiles, inputs->profile_count * sizeof *names);
    struct export export = {
        .profile = subject->profile,
        .view = &subject->view,
        .program = inputs_program(inputs, subject->profile),
        .dump_names = names,
        .dump_count = inputs->profile_count + has_base,
        .has_base = options->base != NULL,
        .drops_negative = options->view.drops_negative,
        .measure = options->view.measure,
    };
    bool has_any = false;
    for (int i = 0; i < MEASURES; i++) {
        has_any = has_any || export_has(&export, (enum view_measure)i);
    }
    size_t count = has_any ? exports[options->output](out, &export) : 0;
    free((void *)names);
    return written_count(count);
}

/* By enum jeprof_output; NULL: it has no profile. */
static enum written (*const writers[])(FILE *, struct report_subject *,
                                       const struct jeprof_options *) = {
    [OUTPUT_TEXT] = write_text,
    [OUTPUT_COLLAPSED] = write_collapsed,
    [OUTPUT_CALLGRIND] = write_callgrind,
    [OUTPUT_RAW] = write_raw,
    [OUTPUT_SYMBOLS] = NULL,
    [OUTPUT_LIST] = write_list,
    [OUTPUT_DISASM] = write_disasm,
    [OUTPUT_DOT] = write_dot,
    [OUTPUT_PS] = write_picture,
    [OUTPUT_PDF] = write_picture,
    [OUTPUT_SVG] = write_picture,
    [OUTPUT_GIF] = write_picture,
    [OUTPUT_GV] = write_picture,
    [OUTPUT_EVINCE] = write_picture,
    [OUTPUT_WEB] = write_picture,
    [OUTPUT_SYMBOLIZE] = write_symbolized,
    [OUTPUT_PROTO] = write_export,
    [OUTPUT_SPEEDSCOPE] = write_export,
    [OUTPUT_FLAME] = write_export,
    [OUTPUT_JSON] = write_export,
    [OUTPUT_HTML] = write_export,
};

/* Combinations that have no meaning. */
static bool check_names(const struct profile *profile, const struct jeprof_options *options)
{
    bool needs_files = options->report.granularity == REPORT_LINES;
    const char *option = "--lines";
    if (options->output == OUTPUT_LIST || options->output == OUTPUT_DISASM) {
        needs_files = true;
        option = options->output == OUTPUT_LIST ? "--list" : "--disasm";
    }
    for (size_t i = 0; i < profile->source_count && needs_files; i++) {
        bool has_lines = profile->sources[i].has_places && options->output != OUTPUT_LIST &&
                         options->output != OUTPUT_DISASM;
        if (profile->sources[i].has_symbols && !has_lines) {
            return complain("%s needs the program and a profile without names: this one has "
                            "names, and no lines",
                            option);
        }
    }
    return true;
}

bool report_choice_write(FILE *out, struct report_subject *subject,
                         const struct jeprof_options *options)
{
    if (!check_names(subject->profile, options)) {
        return false;
    }
    enum written is_written = writers[options->output](out, subject, options);
    if (is_written == WRITTEN_NOTHING) {
        return complain_of_nothing(subject, options);
    }
    return is_written == WRITTEN;
}
