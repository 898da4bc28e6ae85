/* text.h: what is asked of terminated texts beyond libc's strlen().
 *
 * libc's strcspn() and strncmp() would do, but each function of libc costs the start of every
 * program about 900 instructions, for the search of its name.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/check.h"

/* The number of characters before the first `stop`, or before the end. */
static inline size_t text_length_until(const char *text, char stop)
{
    size_t length = 0;
    while (text[length] != '\0' && text[length] != stop) {
        length++;
    }
    return length;
}

static inline bool text_is_same(const char *text, const char *other)
{
    while (*text != '\0' && *text == *other) {
        text++;
        other++;
    }
    return *text == *other;
}

/* Whether both begin with the same so many characters, or are the same and shorter. */
static inline bool text_is_same_for(const char *text, const char *other, size_t length)
{
    size_t i = 0;
    while (i < length && text[i] == other[i] && text[i] != '\0') {
        i++;
    }
    return i == length || text[i] == other[i];
}

#endif
