/* source_text.h: lines of source files, by their number.
 *
 * A file is read once, when the first of its lines is asked for. That one is missing is told once.
 */
#ifndef JEPROF_SOURCE_TEXT_H
#define JEPROF_SOURCE_TEXT_H

#include <stddef.h>

struct source_file {
    const char *path; /* the caller's */
    char *text;       /* NULL: it cannot be read */
    const char **lines;
    size_t line_count;
};

struct source_text {
    struct source_file *files;
    size_t file_count;
};

/* Without its newline; NULL: there is no such line. The first line is 1. The path outlives this. */
const char *source_text_line(struct source_text *source, const char *path, size_t number);

void source_text_close(struct source_text *source);

#endif
