/* session_command.c: takes the lines of a session apart. See session_command.h.
 *
 * What is asked for by a word is a table, so completion and help know the same commands.
 */
#include "session_command.h"

#include <stdlib.h>
#include <string.h>

enum { TOP_ROWS = 10 };

/* What the first word without a dash is. */
enum argument { ARGUMENT_NONE, ARGUMENT_FOCUS, ARGUMENT_PATTERN, ARGUMENT_FILE };

struct command {
    const char *name;
    enum command_kind kind;
    enum jeprof_output output;
    enum argument argument;
};

static const struct command commands[] = {
    {"callgrind", COMMAND_REPORT, OUTPUT_CALLGRIND, ARGUMENT_FILE},
    {"collapsed", COMMAND_REPORT, OUTPUT_COLLAPSED, ARGUMENT_FOCUS},
    {"disasm", COMMAND_REPORT, OUTPUT_DISASM, ARGUMENT_PATTERN},
    {"dot", COMMAND_REPORT, OUTPUT_DOT, ARGUMENT_FOCUS},
    {"evince", COMMAND_REPORT, OUTPUT_EVINCE, ARGUMENT_FOCUS},
    {"exit", COMMAND_QUIT, OUTPUT_TEXT, ARGUMENT_NONE},
    {"gif", COMMAND_REPORT, OUTPUT_GIF, ARGUMENT_FOCUS},
    {"gv", COMMAND_REPORT, OUTPUT_GV, ARGUMENT_FOCUS},
    {"help", COMMAND_HELP, OUTPUT_TEXT, ARGUMENT_NONE},
    {"list", COMMAND_REPORT, OUTPUT_LIST, ARGUMENT_PATTERN},
    {"pdf", COMMAND_REPORT, OUTPUT_PDF, ARGUMENT_FOCUS},
    {"ps", COMMAND_REPORT, OUTPUT_PS, ARGUMENT_FOCUS},
    {"quit", COMMAND_QUIT, OUTPUT_TEXT, ARGUMENT_NONE},
    {"svg", COMMAND_REPORT, OUTPUT_SVG, ARGUMENT_FOCUS},
    {"text", COMMAND_REPORT, OUTPUT_TEXT, ARGUMENT_FOCUS},
    {"top", COMMAND_REPORT, OUTPUT_TEXT, ARGUMENT_FOCUS},
    {"web", COMMAND_REPORT, OUTPUT_WEB, ARGUMENT_FOCUS},
};

static const char help_text[] =
    "Commands:\n"
    "  top [--cum], top20           the largest rows, 10 without a number\n"
    "  text [--cum]                 all rows\n"
    "  list REGEXP                  the source of functions, with counts\n"
    "  disasm REGEXP                the instructions of functions, with counts\n"
    "  gv, evince, web              the call graph as a picture, in a viewer\n"
    "  dot, ps, pdf, svg, gif       the same, written; gif > FILE\n"
    "  callgrind [FILE]             for callgrind's viewers; without FILE kcachegrind is started\n"
    "  collapsed                    stacks in a line each\n"
    "  help, quit                   or the end of the input\n"
    "\n"
    "A REGEXP behind a command shows the stacks alone with a function that matches, -REGEXP those\n"
    "without: top parse -cache. With > FILE at its end a command writes into a file.\n";

const char *session_command_name(size_t index)
{
    return index < sizeof commands / sizeof commands[0] ? commands[index].name : NULL;
}

void session_command_help(FILE *out)
{
    fputs(help_text, out);
}

static const struct command *find_command(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strlen(commands[i].name) == length && memcmp(commands[i].name, word, length) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* Sets the kind of the command by its first word; what its argument is. */
static enum argument read_name(struct session_command *command, const char *word)
{
    size_t length = strcspn(word, "0123456789");
    const struct command *found = find_command(word, length);
    bool is_top = length == 3 && memcmp(word, "top", 3) == 0;
    size_t digits = strspn(word + length, "0123456789");
    command->kind = COMMAND_UNKNOWN;
    if (found == NULL || word[length + digits] != '\0' || (digits > 0 && !is_top)) {
        return ARGUMENT_NONE;
    }
    command->kind = found->kind;
    command->output = found->output;
    command->pattern = found->argument == ARGUMENT_PATTERN ? "." : NULL;
    if (is_top) {
        command->row_count = digits > 0 ? strtoull(word + length, NULL, 10) : TOP_ROWS;
    }
    return found->argument;
}

/* Two expressions as one; either may be missing. */
static const char *join(struct text_pool *pool, const char *first, const char *second)
{
    if (first == NULL) {
        return text_pool_keep(pool, second);
    }
    size_t size = strlen(first) + strlen(second) + 2;
    char *joined = memory_take(size, 1);
    snprintf(joined, size, "%s|%s", first, second);
    const char *kept = text_pool_keep(pool, joined);
    free(joined);
    return kept;
}

static void read_argument(struct session_command *command, enum argument *argument,
                          const char *word, struct text_pool *pool)
{
    if (strcmp(word, "--cum") == 0) {
        command->sorts_cumulative = true;
    } else if (word[0] == '-' && word[1] != '\0') {
        command->ignored = join(pool, command->ignored, word + 1);
    } else if (*argument == ARGUMENT_PATTERN) {
        command->pattern = text_pool_keep(pool, word);
        *argument = ARGUMENT_FOCUS;
    } else if (*argument == ARGUMENT_FILE) {
        command->path = text_pool_keep(pool, word);
    } else if (command->row_count > 0 && word[strspn(word, "0123456789")] == '\0') {
        command->row_count = strtoull(word, NULL, 10); /* "top 20" */
    } else if (*argument == ARGUMENT_FOCUS) {
        command->focused = join(pool, command->focused, word);
    }
}

struct session_command session_command_read(const char *line, struct text_pool *pool)
{
    struct session_command command = {.kind = COMMAND_NONE};
    enum argument argument = ARGUMENT_NONE;
    char *copy = strdup(line);
    char *rest = NULL;
    bool is_path = false;
    if (copy == NULL) {
        return command;
    }
    for (char *word = strtok_r(copy, " \t\r\n", &rest); word != NULL;
         word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (command.kind == COMMAND_NONE) {
            argument = read_name(&command, word);
        } else if (is_path) {
            command.path = text_pool_keep(pool, word);
        } else if (word[0] == '>') {
            command.path = word[1] != '\0' ? text_pool_keep(pool, word + 1) : command.path;
            is_path = word[1] == '\0';
        } else {
            read_argument(&command, &argument, word, pool);
        }
    }
    free(copy);
    return command;
}
