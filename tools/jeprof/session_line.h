/* session_line.h: where a session's commands come from: a terminal, with libedit, or any file.
 *
 * One session at a time: libedit keeps its state to itself.
 */
#ifndef JEPROF_SESSION_LINE_H
#define JEPROF_SESSION_LINE_H

#include <stdbool.h>
#include <stddef.h>

/* What words are completed with, by name; the first word with commands, the others with these. */
struct session_words {
    const char **names;
    size_t count;
};

void session_line_open(const struct session_words *words);

/* The next line, which is the caller's to free; NULL: the input has ended. */
char *session_line_read(const char *prompt);

void session_line_close(void);

#endif
