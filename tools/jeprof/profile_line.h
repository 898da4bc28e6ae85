/* profile_line.h: one line of a profile, taken apart from its left.
 *
 * A line is a slice without its end of line (LF or CR LF). Each line_take_* skips spaces, takes
 * what it names and says whether it stood there; when not, the line is left in the middle, and its
 * form is another.
 */
#ifndef JEPROF_PROFILE_LINE_H
#define JEPROF_PROFILE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line {
    const char *at, *end;
};

/* Splits the first line off a text; false when there is none. text->at is NULL when the line was
 * the last and had no end. */
bool line_next(struct line *text, struct line *line);

static inline size_t line_length(const struct line *line)
{
    return (size_t)(line->end - line->at);
}

bool line_is(const struct line *line, const char *text);
bool line_starts(const struct line *line, const char *text);
bool line_is_blank(const struct line *line);

/* The name of a section: capitals and "_", then ":". */
bool line_is_section(const struct line *line);

void line_skip_spaces(struct line *line);
bool line_take(struct line *line, const char *text);

/* Decimal digits, below 2^64. */
bool line_take_number(struct line *line, uint64_t *number);

/* Hexadecimal digits, with or without 0x. */
bool line_take_address(struct line *line, uint64_t *address);

/* Up to a space or one of the stops; may be empty. */
struct line line_take_word(struct line *line, const char *stops);

/* The start of a line as a message can show it: "?" for what is not printable ASCII. */
void line_quote(const struct line *line, char *quoted, size_t size);

#endif
