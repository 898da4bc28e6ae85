/* session_command.h: a line that a session was given, taken apart.
 *
 * "COMMAND [FOCUS] [-IGNORE]... [--cum] [> FILE]", where top may have a number behind it.
 */
#ifndef JEPROF_SESSION_COMMAND_H
#define JEPROF_SESSION_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "jeprof_options.h"

enum command_kind {
    COMMAND_NONE, /* an empty line */
    COMMAND_UNKNOWN,
    COMMAND_HELP,
    COMMAND_QUIT,
    COMMAND_REPORT,
};

struct session_command {
    enum command_kind kind;
    enum jeprof_output output;
    const char *focused;   /* NULL: all stacks */
    const char *ignored;   /* NULL: none; several as one expression */
    const char *pattern;   /* of list and disasm; "." without one */
    const char *path;      /* NULL: standard output */
    size_t row_count;      /* 0: all */
    bool sorts_cumulative; /* --cum */
};

/* Texts are kept in the pool. */
struct session_command session_command_read(const char *line, struct text_pool *pool);

/* The names of all commands, one after the other; NULL behind the last. */
const char *session_command_name(size_t index);

void session_command_help(FILE *out);

#endif
