/* session.c: commands instead of one report. See session.h.
 *
 * The profile and what was read of its files stay; each command chooses stacks anew.
 */
#include "session.h"

#include "complaint.h"
#include "report_cell.h"
#include "session_command.h"
#include "session_line.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct session {
    struct report_subject *subject;
    const struct jeprof_options *options; /* of the command line */
    struct text_pool pool;
    struct session_words words;
};

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The names of all functions, for completion, sorted. */
static void collect_words(struct session *session)
{
    const struct view *view = &session->subject->view;
    size_t all = 0;
    size_t count = 0;
    for (size_t i = 0; i < view->address_count; i++) {
        all += view->addresses[i].frame_count;
    }
    const char **names = memory_take(all, sizeof *names);
    for (size_t i = 0; i < view->address_count; i++) {
        for (size_t frame = 0; frame < view->addresses[i].frame_count; frame++) {
            const char *name = view->addresses[i].frames[frame].name;
            names[count++] = text_pool_keep(&session->pool, name);
        }
    }
    if (count > 0) {
        qsort(names, count, sizeof *names, compare_names);
    }
    for (size_t i = 0; i < count; i++) {
        /* Equal texts are one text in the pool. */
        if (i == 0 || names[i] != names[i - 1]) {
            names[session->words.count++] = names[i];
        }
    }
    session->words.names = names;
}

/* "After ignoring 'x': 1.5 MB of 3.0 (50.0%)" */
static void write_choice(FILE *out, const struct session *session, const char *what,
                         const char *expression)
{
    const struct view *view = &session->subject->view;
    bool shows_bytes = session->options->report.shows_bytes;
    fprintf(out, "After %s '%s': %s %s of %s (%s)\n", what, expression,
            cell_count(view->shown_total, view->measure, shows_bytes).text,
            cell_unit(view->measure, shows_bytes),
            cell_count(view->total, view->measure, shows_bytes).text,
            cell_part(view->shown_total, view->total).text);
}

static bool change_view(struct session *session, const struct view_options *options)
{
    struct profile_error error;
    if (!view_change(&session->subject->view, session->subject->profile, options, &error)) {
        return complain("%s", error.text);
    }
    return true;
}

/* Shows the stacks that a command asks for, and tells what is left of the total. */
static bool choose_stacks(struct session *session, const struct session_command *command, FILE *out)
{
    struct view_options options = session->options->view;
    if (command->focused != NULL) {
        options.focused = command->focused;
    }
    if (!change_view(session, &options)) {
        return false;
    }
    bool is_for_programs = command->output == OUTPUT_DOT || command->output == OUTPUT_CALLGRIND ||
                           command->output == OUTPUT_COLLAPSED ||
                           (command->output >= OUTPUT_PS && command->output <= OUTPUT_GIF);
    if (!is_for_programs) {
        report_total(out, &session->subject->view, &session->options->report);
    }
    if (command->focused != NULL && !is_for_programs) {
        write_choice(out, session, "focusing on", command->focused);
    }
    if (command->ignored == NULL) {
        return true;
    }
    char *both = NULL;
    if (options.ignored != NULL &&
        asprintf(&both, "(?:%s)|(?:%s)", options.ignored, command->ignored) < 0) {
        return complain("out of memory");
    }
    options.ignored = both != NULL ? both : command->ignored;
    bool is_changed = change_view(session, &options);
    free(both);
    if (is_changed && !is_for_programs) {
        write_choice(out, session, "ignoring", command->ignored);
    }
    return is_changed;
}

static bool write_command(struct session *session, const struct session_command *command, FILE *out)
{
    struct jeprof_options options = *session->options;
    if (!choose_stacks(session, command, out)) {
        return false;
    }
    options.output = command->output;
    options.pattern = command->pattern;
    options.report.leaves_total = true;
    options.report.row_count = command->row_count;
    options.report.sorts_cumulative |= command->sorts_cumulative;
    options.picture.is_left_alone = true;
    return report_choice_write(out, session->subject, &options);
}

/* Writes a command's report into a file. */
static bool write_file(struct session *session, const struct session_command *command,
                       const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        return complain("%s: %s", path, strerror(errno));
    }
    bool is_written = write_command(session, command, out);
    bool is_failed = ferror(out) != 0;
    if (fclose(out) != 0 || is_failed) {
        return complain("%s could not be written", path);
    }
    return is_written;
}

/* The call graph in its viewer, which reads the file when it likes. */
static bool show_callgrind(struct session *session, const struct session_command *command)
{
    struct tool viewer;
    char path[] = "/tmp/jeprof.XXXXXX.callgrind";
    if (!tool_find(&viewer, session->options->picture.tools, "kcachegrind")) {
        return complain("kcachegrind is not installed (package kcachegrind); callgrind FILE writes "
                        "the graph");
    }
    int file = mkstemps(path, 10);
    if (file < 0) {
        return complain("%s: %s", path, strerror(errno));
    }
    close(file);
    const char *const arguments[] = {viewer.path, path, NULL};
    return write_file(session, command, path) &&
           tool_start(arguments, STDIN_FILENO, STDERR_FILENO) > 0;
}

static void run_report(struct session *session, const struct session_command *command)
{
    bool is_picture = command->output >= OUTPUT_PS && command->output <= OUTPUT_GIF;
    if (command->path != NULL) {
        (void)!write_file(session, command, command->path);
    } else if (command->output == OUTPUT_CALLGRIND) {
        (void)!show_callgrind(session, command);
    } else if (is_picture && isatty(STDOUT_FILENO)) {
        complain("a picture is not for a terminal: name a file, as in svg > graph.svg");
    } else {
        (void)!write_command(session, command, stdout);
    }
    fflush(stdout);
}

/* Whether the session goes on. */
static bool run_line(struct session *session, const char *line)
{
    struct session_command command = session_command_read(line, &session->pool);
    switch (command.kind) {
    case COMMAND_NONE:
        break;
    case COMMAND_UNKNOWN:
        fprintf(stderr, "Unknown command: try 'help'.\n");
        break;
    case COMMAND_HELP:
        session_command_help(stdout);
        fflush(stdout);
        break;
    case COMMAND_QUIT:
        return false;
    case COMMAND_REPORT:
        run_report(session, &command);
        break;
    }
    return true;
}

bool session_run(struct report_subject *subject, const struct jeprof_options *options)
{
    struct session session = {.subject = subject, .options = options};
    bool goes_on = true;
    collect_words(&session);
    session_line_open(&session.words);
    fprintf(stderr, "Welcome to jeprof!  For help, type 'help'.\n");
    while (goes_on) {
        char *line = session_line_read("(jeprof) ");
        goes_on = line != NULL && run_line(&session, line);
        free(line);
    }
    session_line_close();
    free(session.words.names);
    text_pool_close(&session.pool);
    return true;
}
