/* jeprof_options.c: the command line, by popt. See jeprof_options.h.
 *
 * Options are tables, a group each; --help writes them. popt stores plain flags and texts itself
 * and hands out the code of every other option.
 */
#include "jeprof_options.h"

#include <errno.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Codes of options. What may be given once of a group has a range of its own. */
enum {
    CODE_HELP = 1,
    CODE_VERSION,
    CODE_IGNORED, /* is always so */
    CODE_REFUSED,
    CODE_INTERACTIVE,
    CODE_THREAD,
    CODE_SECONDS,
    CODE_NODE_COUNT,
    CODE_NODE_PART,
    CODE_EDGE_PART,
    CODE_DEGREE,
    CODE_OUTPUT = 100,      /* + enum jeprof_output */
    CODE_GRANULARITY = 200, /* + enum report_granularity */
    CODE_MEASURE = 300,     /* + enum view_measure */
    CODE_END = 400,
    RANGE = 100,
};

/* What popt fills; the tables below point into it. */
static struct {
    int sorts_cumulative, shows_bytes, drops_negative, marks_own;
    char *base, *library_prefixes, *focused, *ignored, *retained, *excluded, *scale, *tools;
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
    CODE("interactive", CODE_INTERACTIVE, "Ask for commands (default on a terminal)"),
    CODE_WITH("seconds", CODE_SECONDS, "How long a server gathers a profile (default 30)", "N"),
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
    CODE("symbolize", CODE_OUTPUT + OUTPUT_SYMBOLIZE, "The same, with files and lines too"),
    CODE("html", CODE_OUTPUT + OUTPUT_HTML, "A page: flame graph, table, change, growth"),
    CODE("flame", CODE_OUTPUT + OUTPUT_FLAME, "A flame graph in SVG"),
    CODE("proto", CODE_OUTPUT + OUTPUT_PROTO, "profile.proto, for go tool pprof and others"),
    CODE("speedscope", CODE_OUTPUT + OUTPUT_SPEEDSCOPE, "For speedscope"),
    CODE("json", CODE_OUTPUT + OUTPUT_JSON, "JSON for programs"),
    CODE("symbols", CODE_OUTPUT + OUTPUT_SYMBOLS, "Names of addresses of standard input"),
    CODE_WITH("list", CODE_OUTPUT + OUTPUT_LIST, "Source of functions, with counts", "REGEXP"),
    CODE_WITH("disasm", CODE_OUTPUT + OUTPUT_DISASM, "Instructions of functions, with counts",
              "REGEXP"),
    CODE("dot", CODE_OUTPUT + OUTPUT_DOT, "The call graph for graphviz's dot"),
    CODE("ps", CODE_OUTPUT + OUTPUT_PS, "The call graph in PostScript"),
    CODE("pdf", CODE_OUTPUT + OUTPUT_PDF, "The call graph in PDF"),
    CODE("svg", CODE_OUTPUT + OUTPUT_SVG, "The call graph in SVG"),
    CODE("gif", CODE_OUTPUT + OUTPUT_GIF, "The call graph in GIF"),
    CODE("gv", CODE_OUTPUT + OUTPUT_GV, "Show the call graph by gv"),
    CODE("evince", CODE_OUTPUT + OUTPUT_EVINCE, "Show the call graph by evince"),
    CODE("web", CODE_OUTPUT + OUTPUT_WEB, "Show the call graph in a browser"),
    POPT_TABLEEND};

static struct poptOption measure_options[] = {
    CODE("inuse_space", CODE_MEASURE + VIEW_LIVE_SPACE, "Bytes not freed yet (default)"),
    CODE("inuse_objects", CODE_MEASURE + VIEW_LIVE_OBJECTS, "Objects not freed yet"),
    CODE("alloc_space", CODE_MEASURE + VIEW_TOTAL_SPACE, "Bytes ever allocated (prof_accum:true)"),
    CODE("alloc_objects", CODE_MEASURE + VIEW_TOTAL_OBJECTS, "Objects ever allocated"),
    FLAG("show_bytes", shows_bytes, "Bytes instead of MB"),
    FLAG("drop_negative", drops_negative, "Leave out what --base makes negative"),
    CODE("total_delay", CODE_REFUSED, "For contention profiles, which are no heap profiles"),
    CODE("contentions", CODE_REFUSED, "For contention profiles, which are no heap profiles"),
    CODE("mean_delay", CODE_REFUSED, "For contention profiles, which are no heap profiles"),
    POPT_TABLEEND};

static struct poptOption filter_options[] = {
    TEXT("focus", focused, "Stacks with a frame that matches", "REGEXP"),
    TEXT("ignore", ignored, "No stacks with a frame that matches", "REGEXP"),
    TEXT("retain", retained, "Frames alone that match", "REGEXP"),
    TEXT("exclude", excluded, "No frames that match", "REGEXP"),
    CODE_WITH("thread", CODE_THREAD, "The samples of one thread", "N"),
    CODE_WITH("nodecount", CODE_NODE_COUNT, "Pictures: nodes at most (default 80)", "N"),
    CODE_WITH("nodefraction", CODE_NODE_PART, "Pictures: no smaller nodes (default .005)", "F"),
    CODE_WITH("edgefraction", CODE_EDGE_PART, "Pictures: no smaller edges (default .001)", "F"),
    CODE_WITH("maxdegree", CODE_DEGREE, "Pictures: edges of a node (default 8)", "N"),
    TEXT("scale", scale, "Scale of gv (default 0)", "N"),
    FLAG("heapcheck", marks_own, "Pictures: what allocated itself is grey"),
    POPT_TABLEEND};

static struct poptOption other_options[] = {
    TEXT("tools", tools, "Where objdump, dot and viewers are: prefixes, or NAME:PATH", "LIST"),
    CODE("debug-syms-by-id", CODE_IGNORED, "Accepted: build ids are always looked at"),
    CODE("test", CODE_OUTPUT + OUTPUT_TEST, "Check jeprof itself"),
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

static void refuse(struct jeprof_options *options, const char *format, const char *detail)
{
    options->action = ACTION_REFUSE;
    snprintf(options->message, sizeof options->message, format, detail);
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

/* A whole number of decimal digits. */
static unsigned long long read_number(struct jeprof_options *options, const char *name,
                                      const char *text)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0) {
        options->action = ACTION_REFUSE;
        snprintf(options->message, sizeof options->message, "--%s=%.100s: this is no number", name,
                 text);
    }
    return number;
}

static double read_part(struct jeprof_options *options, const char *name, const char *text)
{
    char *end;
    double part = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(part >= 0 && part <= 1)) {
        options->action = ACTION_REFUSE;
        snprintf(options->message, sizeof options->message,
                 "--%s=%.100s: this is no number from 0 to 1", name, text);
    }
    return part;
}

/* Options with numbers. False: it is another. */
static bool take_number(struct jeprof_options *options, int code, const char *value)
{
    struct graph_options *graph = &options->dot.graph;
    if (code == CODE_THREAD) {
        options->view.thread = read_number(options, "thread", value);
        options->report.thread = options->view.thread;
    } else if (code == CODE_SECONDS) {
        options->seconds = read_number(options, "seconds", value);
    } else if (code == CODE_NODE_COUNT) {
        graph->node_count = read_number(options, "nodecount", value);
    } else if (code == CODE_DEGREE) {
        graph->degree = read_number(options, "maxdegree", value);
    } else if (code == CODE_NODE_PART) {
        graph->node_part = read_part(options, "nodefraction", value);
    } else if (code == CODE_EDGE_PART) {
        graph->edge_part = read_part(options, "edgefraction", value);
    } else {
        return false;
    }
    return true;
}

struct chosen {
    bool output, granularity, measure;
};

static void take_option(struct jeprof_options *options, int code, const char *value,
                        struct chosen *chosen)
{
    if (code >= CODE_MEASURE && code < CODE_END) {
        options->view.measure =
            (enum view_measure)choose(options, code, &chosen->measure, "what is counted");
    } else if (code >= CODE_GRANULARITY && code < CODE_MEASURE) {
        options->report.granularity =
            (enum report_granularity)choose(options, code, &chosen->granularity, "rows");
    } else if (code >= CODE_OUTPUT && code < CODE_GRANULARITY) {
        options->output = (enum jeprof_output)choose(options, code, &chosen->output, "reports");
        options->pattern = text_pool_keep(&options->pool, value);
    } else if (code == CODE_INTERACTIVE) {
        options->is_interactive = true;
    } else if (code == CODE_REFUSED) {
        refuse(options, "%s",
               "--total_delay, --contentions and --mean_delay are for contention profiles: this "
               "jeprof reads heap profiles");
    } else if (code == CODE_HELP || code == CODE_VERSION) {
        options->action = ACTION_DONE;
    } else {
        take_number(options, code, value);
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

static const struct poptOption *const option_tables[] = {
    general_options, granularity_options, output_options,
    measure_options, filter_options,      other_options,
};

/* Reports that the script does not have are called by their whole names: "--symbol" is "--symbols"
 * as it always was. */
static bool is_cut_own_name(const struct poptOption *row, size_t length)
{
    return row->val >= CODE_OUTPUT + OUTPUT_SYMBOLIZE && row->val <= CODE_OUTPUT + OUTPUT_HTML &&
           strlen(row->longName) > length;
}

/* The only option that begins so, or the one that is called so; NULL: none, or several do. */
static const char *find_name(const char *start, size_t length)
{
    const char *found = NULL;
    bool is_unique = true;
    for (size_t table = 0; table < sizeof option_tables / sizeof option_tables[0]; table++) {
        for (const struct poptOption *row = option_tables[table]; row->longName != NULL; row++) {
            if (strncmp(row->longName, start, length) != 0 || is_cut_own_name(row, length)) {
                continue;
            }
            if (strlen(row->longName) == length) {
                return row->longName;
            }
            is_unique = found == NULL;
            found = row->longName;
        }
    }
    return is_unique ? found : NULL;
}

/* The command line as popt wants it: two dashes before each long option, and its whole name. One
 * dash, and the beginning of a name, do for the user, as they did for the script. */
static char **with_whole_names(struct text_pool *pool, int count, char **arguments)
{
    char **copies = text_pool_take(pool, ((size_t)count + 1) * sizeof *copies);
    for (int i = 0; i < count; i++) {
        size_t dashes = strspn(arguments[i], "-");
        const char *word = arguments[i] + dashes;
        size_t length = strcspn(word, "=");
        bool is_option = i > 0 && (dashes == 1 || dashes == 2) && length > 1;
        const char *name = is_option ? find_name(word, length) : NULL;
        size_t size = strlen(arguments[i]) + (name != NULL ? strlen(name) : 0) + 3;
        copies[i] = text_pool_take(pool, size);
        if (name != NULL) {
            snprintf(copies[i], size, "--%s%s", name, word + length);
        } else {
            snprintf(copies[i], size, "%s%s", is_option && dashes == 1 ? "-" : "", arguments[i]);
        }
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
    options->dot.marks_own = given.marks_own != 0;
    options->dot.shows_bytes = options->report.shows_bytes;
    options->dot.granularity = options->report.granularity;
    options->picture.scale = given.scale;
    options->picture.tools = given.tools != NULL ? given.tools : getenv("JEPROF_TOOLS");
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
    options->dot.graph = graph_defaults;
    options->seconds = 30; /* as jemalloc's script has it */
    arguments = with_whole_names(&options->pool, count, arguments);
    poptContext context =
        poptGetContext("jeprof", count, (const char **)(void *)arguments, all_options, 0);
    options->context = context;
    poptSetOtherOptionHelp(context, "[OPTION...] [PROGRAM] PROFILE...");
    while (options->action == ACTION_REPORT && (code = poptGetNextOpt(context)) > 0) {
        char *value = poptGetOptArg(context);
        take_option(options, code, value, &chosen);
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
    bool is_on_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    options->is_interactive |= !chosen.output && is_on_terminal;
    options->arguments = poptGetArgs(context);
    bool has_arguments = options->arguments != NULL && options->arguments[0] != NULL;
    if (options->action == ACTION_REPORT && !has_arguments && options->output != OUTPUT_TEST) {
        refuse(options, "no profile is named (jeprof [PROGRAM] PROFILE...%s)", "");
    }
}

void jeprof_options_close(struct jeprof_options *options)
{
    poptFreeContext(options->context);
    char **texts[] = {&given.base,     &given.library_prefixes, &given.focused, &given.ignored,
                      &given.retained, &given.excluded,         &given.scale,   &given.tools};
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
