/* jeprof_options.c: the command line, by popt. See jeprof_options.h.
 *
 * Options are tables, a group each; --help writes them. popt stores plain flags and texts itself
 * and hands out the code of every other option.
 */
#include "jeprof_options.h"

#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Codes of options. What may be given once of a group has a range of its own. */
enum {
    CODE_HELP = 1,
    CODE_VERSION,
    CODE_IGNORED, /* changes pictures alone, or names tools that are not needed */
    CODE_UNBUILT,
    CODE_THREAD,
    CODE_OUTPUT = 100,      /* + enum jeprof_output */
    CODE_GRANULARITY = 200, /* + enum report_granularity */
    CODE_MEASURE = 300,     /* + enum view_measure */
    CODE_END = 400,
    RANGE = 100,
};

/* What popt fills; the tables below point into it. */
static struct {
    int sorts_cumulative, shows_bytes, drops_negative;
    char *base, *library_prefixes, *focused, *ignored, *retained, *excluded;
    char **added_libraries;
} given;

/* One row of a table: popt's own macros have no form for it. */
#define FLAG(name, field, help)                                \
    {                                                          \
        name, '\0', POPT_ARG_NONE, &given.field, 0, help, NULL \
    }
#define TEXT(name, field, help, value)                            \
    {                                                             \
        name, '\0', POPT_ARG_STRING, &given.field, 0, help, value \
    }
#define CODE(name, code, help)                            \
    {                                                     \
        name, '\0', POPT_ARG_NONE, NULL, code, help, NULL \
    }
#define CODE_WITH(name, code, help, value)                   \
    {                                                        \
        name, '\0', POPT_ARG_STRING, NULL, code, help, value \
    }

static struct poptOption general_options[] = {
    FLAG("cum", sorts_cumulative, "Sort by what functions and all they call allocated"),
    TEXT("base", base, "Subtract this profile", "PROFILE"),
    TEXT("diff_base", base, "The same as --base", "PROFILE"),
    CODE("interactive", CODE_UNBUILT, "Ask for commands (not in this build)"),
    CODE_WITH("seconds", CODE_UNBUILT, "Length of a remote profile (not in this build)", "N"),
    {"add_lib", '\0', POPT_ARG_ARGV, &given.added_libraries, 0,
     "A library or program whose symbols are used too", "FILE"},
    TEXT("lib_prefix", library_prefixes, "Folders, by commas, to look for libraries below", "DIRS"),
    POPT_TABLEEND};

static struct poptOption granularity_options[] = {
    CODE("addresses", CODE_GRANULARITY + REPORT_ADDRESSES, "A row for each address"),
    CODE("lines", CODE_GRANULARITY + REPORT_LINES, "A row for each source line"),
    CODE("functions", CODE_GRANULARITY + REPORT_FUNCTIONS, "A row for each function (default)"),
    CODE("files", CODE_GRANULARITY + REPORT_FILES, "A row for each source file"), POPT_TABLEEND};

static struct poptOption output_options[] = {
    CODE("text", CODE_OUTPUT + OUTPUT_TEXT, "A table (default)"),
    CODE("collapsed", CODE_OUTPUT + OUTPUT_COLLAPSED, "Stacks in a line each, for flame graphs"),
    CODE("callgrind", CODE_OUTPUT + OUTPUT_CALLGRIND, "The call graph for callgrind's viewers"),
    CODE("raw", CODE_OUTPUT + OUTPUT_RAW, "The profile with its names, readable anywhere"),
    CODE("symbols", CODE_OUTPUT + OUTPUT_SYMBOLS, "Names of addresses of standard input"),
    CODE("gv", CODE_UNBUILT, "Show a picture by gv (not in this build)"),
    CODE("evince", CODE_UNBUILT, "Show a picture by evince (not in this build)"),
    CODE("web", CODE_UNBUILT, "Show a picture in a browser (not in this build)"),
    CODE_WITH("list", CODE_UNBUILT, "Source of routines (not in this build)", "REGEXP"),
    CODE_WITH("disasm", CODE_UNBUILT, "Instructions of routines (not in this build)", "REGEXP"),
    CODE("dot", CODE_UNBUILT, "The call graph for dot (not in this build)"),
    CODE("ps", CODE_UNBUILT, "The call graph in PostScript (not in this build)"),
    CODE("pdf", CODE_UNBUILT, "The call graph in PDF (not in this build)"),
    CODE("svg", CODE_UNBUILT, "The call graph in SVG (not in this build)"),
    CODE("gif", CODE_UNBUILT, "The call graph in GIF (not in this build)"),
    POPT_TABLEEND};

static struct poptOption measure_options[] = {
    CODE("inuse_space", CODE_MEASURE + VIEW_LIVE_SPACE, "Bytes not freed yet (default)"),
    CODE("inuse_objects", CODE_MEASURE + VIEW_LIVE_OBJECTS, "Objects not freed yet"),
    CODE("alloc_space", CODE_MEASURE + VIEW_TOTAL_SPACE, "Bytes ever allocated (prof_accum:true)"),
    CODE("alloc_objects", CODE_MEASURE + VIEW_TOTAL_OBJECTS, "Objects ever allocated"),
    FLAG("show_bytes", shows_bytes, "Bytes instead of MB"),
    FLAG("drop_negative", drops_negative, "Leave out what --base makes negative"),
    CODE("total_delay", CODE_UNBUILT, "For contention profiles (not in this build)"),
    CODE("contentions", CODE_UNBUILT, "For contention profiles (not in this build)"),
    CODE("mean_delay", CODE_UNBUILT, "For contention profiles (not in this build)"),
    POPT_TABLEEND};

static struct poptOption filter_options[] = {
    TEXT("focus", focused, "Stacks with a frame that matches", "REGEXP"),
    TEXT("ignore", ignored, "No stacks with a frame that matches", "REGEXP"),
    TEXT("retain", retained, "Frames alone that match", "REGEXP"),
    TEXT("exclude", excluded, "No frames that match", "REGEXP"),
    CODE_WITH("thread", CODE_THREAD, "The samples of one thread", "N"),
    CODE_WITH("nodecount", CODE_IGNORED, "For pictures: most nodes", "N"),
    CODE_WITH("nodefraction", CODE_IGNORED, "For pictures: smallest node", "F"),
    CODE_WITH("edgefraction", CODE_IGNORED, "For pictures: smallest edge", "F"),
    CODE_WITH("maxdegree", CODE_IGNORED, "For pictures: most edges of a node", "N"),
    CODE_WITH("scale", CODE_IGNORED, "For pictures", "N"),
    CODE("heapcheck", CODE_IGNORED, "For pictures"),
    POPT_TABLEEND};

static struct poptOption other_options[] = {
    CODE_WITH("tools", CODE_IGNORED, "Accepted: no other tools are needed", "PATHS"),
    CODE("debug-syms-by-id", CODE_IGNORED, "Accepted: build ids are always looked at"),
    CODE("test", CODE_UNBUILT, "Run unit tests (not in this build)"),
    {"help", 'h', POPT_ARG_NONE, NULL, CODE_HELP, "This text", NULL},
    CODE("version", CODE_VERSION, "The version"),
    POPT_TABLEEND};

#define GROUP(table, title)                                       \
    {                                                             \
        NULL, '\0', POPT_ARG_INCLUDE_TABLE, table, 0, title, NULL \
    }

static struct poptOption all_options[] = {GROUP(general_options, "General:"),
                                          GROUP(granularity_options, "Rows:"),
                                          GROUP(output_options, "Reports:"),
                                          GROUP(measure_options, "Counts:"),
                                          GROUP(filter_options, "Choices:"),
                                          GROUP(other_options, "Other:"),
                                          POPT_TABLEEND};

static const struct poptOption *const option_tables[] = {
    general_options, granularity_options, output_options,
    measure_options, filter_options,      other_options,
};

static void refuse(struct jeprof_options *options, const char *format, const char *detail)
{
    options->action = ACTION_REFUSE;
    snprintf(options->message, sizeof options->message, format, detail);
}

/* popt tells the code of an option alone; the unbuilt ones share theirs, so the word that was given
 * tells which it is: the first of the command line that names an unbuilt option. */
static const char *unbuilt_option(char **arguments)
{
    for (size_t i = 1; arguments[i] != NULL; i++) {
        const char *word = arguments[i] + strspn(arguments[i], "-");
        size_t length = strcspn(word, "=");
        for (size_t table = 0; table < sizeof option_tables / sizeof option_tables[0]; table++) {
            for (const struct poptOption *row = option_tables[table]; row->longName != NULL;
                 row++) {
                if (word > arguments[i] && row->val == CODE_UNBUILT &&
                    strlen(row->longName) == length && memcmp(row->longName, word, length) == 0) {
                    return row->longName;
                }
            }
        }
    }
    return "an option";
}

/* Sets one choice of a group, which must be the only one. */
static int choose(struct jeprof_options *options, int code, bool *is_chosen, const char *group)
{
    if (*is_chosen) {
        refuse(options, "only one of the options for %s may be given", group);
    }
    *is_chosen = true;
    return code % RANGE;
}

static void read_thread(struct jeprof_options *options, const char *text)
{
    char *end;
    unsigned long long thread = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0') {
        refuse(options, "--thread=%.100s: this is no number of a thread", text);
    }
    options->view.thread = thread;
    options->report.thread = thread;
}

struct chosen {
    bool output, granularity, measure;
};

static void take_option(struct jeprof_options *options, int code, const char *value,
                        struct chosen *chosen, char **arguments)
{
    if (code >= CODE_MEASURE && code < CODE_END) {
        options->view.measure =
            (enum view_measure)choose(options, code, &chosen->measure, "what is counted");
    } else if (code >= CODE_GRANULARITY && code < CODE_MEASURE) {
        options->report.granularity =
            (enum report_granularity)choose(options, code, &chosen->granularity, "rows");
    } else if (code >= CODE_OUTPUT && code < CODE_GRANULARITY) {
        options->output = (enum jeprof_output)choose(options, code, &chosen->output, "reports");
    } else if (code == CODE_UNBUILT) {
        refuse(options, "not available in this build: --%s", unbuilt_option(arguments));
    } else if (code == CODE_THREAD) {
        read_thread(options, value);
    } else if (code == CODE_HELP || code == CODE_VERSION) {
        options->action = ACTION_DONE;
    }
}

static void write_information(poptContext context, int code)
{
    if (code == CODE_HELP) {
        poptPrintHelp(context, stdout, 0);
        printf("\nA PROFILE that holds its mappings or its names needs no PROGRAM. Several are "
               "added up.\n");
    } else if (code == CODE_VERSION) {
        printf("jeprof %s (dg-jemalloc)\n", JEPROF_VERSION);
    }
}

/* The command line with two dashes before each long option, as popt wants them. One dash does for
 * the user, as it did for the script. */
static char **with_two_dashes(struct text_pool *pool, int count, char **arguments)
{
    char **copies = text_pool_take(pool, ((size_t)count + 1) * sizeof *copies);
    for (int i = 0; i < count; i++) {
        size_t length = strlen(arguments[i]);
        bool has_one = i > 0 && length > 2 && arguments[i][0] == '-' && arguments[i][1] != '-';
        copies[i] = text_pool_take(pool, length + 2);
        snprintf(copies[i], length + 2, "%s%s", has_one ? "-" : "", arguments[i]);
    }
    copies[count] = NULL;
    return copies;
}

static void copy_given(struct jeprof_options *options)
{
    options->report.sorts_cumulative = given.sorts_cumulative != 0;
    options->report.shows_bytes = given.shows_bytes != 0;
    options->view.drops_negative = given.drops_negative != 0;
    options->view.focused = given.focused;
    options->view.ignored = given.ignored;
    options->view.retained = given.retained;
    options->view.excluded = given.excluded;
    options->base = given.base;
    options->symbols.library_prefixes = given.library_prefixes;
    options->symbols.added_libraries = (const char *const *)given.added_libraries;
    while (given.added_libraries != NULL &&
           given.added_libraries[options->symbols.added_library_count] != NULL) {
        options->symbols.added_library_count++;
    }
}

void jeprof_options_read(struct jeprof_options *options, int count, char **arguments)
{
    struct chosen chosen = {false, false, false};
    int code = -1;
    *options = (struct jeprof_options){.action = ACTION_REPORT};
    options->view.thread = PROFILE_ALL_THREADS;
    options->report.thread = PROFILE_ALL_THREADS;
    arguments = with_two_dashes(&options->pool, count, arguments);
    poptContext context =
        poptGetContext("jeprof", count, (const char **)(void *)arguments, all_options, 0);
    options->context = context;
    poptSetOtherOptionHelp(context, "[OPTION...] [PROGRAM] PROFILE...");
    while (options->action == ACTION_REPORT && (code = poptGetNextOpt(context)) > 0) {
        char *value = poptGetOptArg(context);
        take_option(options, code, value, &chosen, arguments);
        free(value);
        if (options->action == ACTION_DONE) {
            write_information(context, code);
        }
    }
    if (options->action == ACTION_REPORT && code < -1) {
        const char *word = poptBadOption(context, POPT_BADOPTION_NOALIAS);
        options->action = ACTION_REFUSE;
        snprintf(options->message, sizeof options->message, "%.100s: %s (jeprof --help lists them)",
                 word, poptStrerror(code));
    }
    copy_given(options);
    options->arguments = poptGetArgs(context);
    bool has_arguments = options->arguments != NULL && options->arguments[0] != NULL;
    if (options->action == ACTION_REPORT && !has_arguments) {
        refuse(options, "no profile is named (jeprof [PROGRAM] PROFILE...%s)", "");
    }
}

void jeprof_options_close(struct jeprof_options *options)
{
    poptFreeContext(options->context);
    char **texts[] = {&given.base,    &given.library_prefixes, &given.focused,
                      &given.ignored, &given.retained,         &given.excluded};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        free(*texts[i]);
        *texts[i] = NULL;
    }
    for (size_t i = 0; i < options->symbols.added_library_count; i++) {
        free(given.added_libraries[i]);
    }
    free(given.added_libraries);
    memset(&given, 0, sizeof given);
    text_pool_close(&options->pool);
}
