/* profile_line.c: takes lines of a profile apart. See profile_line.h.
 *
 * No character behind the end of a line is looked at.
 */
#include "profile_line.h"

#include <string.h>

bool line_next(struct line *text, struct line *line)
{
    if (text->at == NULL || text->at == text->end) {
        return false;
    }
    const char *newline = memchr(text->at, '\n', line_length(text));
    *line = (struct line){text->at, newline != NULL ? newline : text->end};
    text->at = newline != NULL ? newline + 1 : NULL;
    if (newline != NULL && line->end > line->at && line->end[-1] == '\r') {
        line->end--;
    }
    return true;
}

bool line_starts(const struct line *line, const char *text)
{
    size_t length = strlen(text);
    return line_length(line) >= length && memcmp(line->at, text, length) == 0;
}

bool line_is(const struct line *line, const char *text)
{
    return line_length(line) == strlen(text) && line_starts(line, text);
}

static bool is_space(char character)
{
    return character == ' ' || character == '\t';
}

void line_skip_spaces(struct line *line)
{
    while (line->at < line->end && is_space(*line->at)) {
        line->at++;
    }
}

bool line_is_blank(const struct line *line)
{
    struct line rest = *line;
    line_skip_spaces(&rest);
    return rest.at == rest.end;
}

bool line_is_section(const struct line *line)
{
    if (line_length(line) < 2 || line->end[-1] != ':') {
        return false;
    }
    for (const char *at = line->at; at < line->end - 1; at++) {
        if ((*at < 'A' || *at > 'Z') && *at != '_') {
            return false;
        }
    }
    return true;
}

bool line_take(struct line *line, const char *text)
{
    line_skip_spaces(line);
    if (!line_starts(line, text)) {
        return false;
    }
    line->at += strlen(text);
    return true;
}

bool line_take_number(struct line *line, uint64_t *number)
{
    line_skip_spaces(line);
    const char *first = line->at;
    uint64_t value = 0;
    while (line->at < line->end && *line->at >= '0' && *line->at <= '9') {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*line->at - '0'), &value)) {
            return false;
        }
        line->at++;
    }
    *number = value;
    return line->at > first;
}

/* The value of a hexadecimal digit; 16 for anything else. */
static unsigned digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return (unsigned)(digit - '0');
    }
    unsigned letter = (unsigned char)digit | 0x20u;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : 16;
}

bool line_take_address(struct line *line, uint64_t *address)
{
    (void)line_take(line, "0x");
    const char *first = line->at;
    uint64_t value = 0;
    while (line->at < line->end && digit_value(*line->at) < 16) {
        if (value >> 60 != 0) {
            return false;
        }
        value = value << 4 | digit_value(*line->at);
        line->at++;
    }
    *address = value;
    return line->at > first;
}

struct line line_take_word(struct line *line, const char *stops)
{
    line_skip_spaces(line);
    struct line word = {line->at, line->at};
    while (line->at < line->end && !is_space(*line->at) &&
           (*line->at == '\0' || strchr(stops, *line->at) == NULL)) {
        line->at++;
    }
    word.end = line->at;
    return word;
}

void line_quote(const struct line *line, char *quoted, size_t size)
{
    size_t length = line_length(line) < size - 1 ? line_length(line) : size - 1;
    for (size_t i = 0; i < length; i++) {
        char character = line->at[i];
        quoted[i] = character >= ' ' && character <= '~' ? character : '?';
    }
    quoted[length] = '\0';
}
