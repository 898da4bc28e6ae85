/* ctl_names.h: look-up in the table of control names: from a name to its row and its MIB, and from
 * a MIB to its row.
 *
 * A MIB has one number for each element of a name: for <i> the index itself, for a word the number
 * of the first row of the table that begins with the same elements. The last word's number is
 * therefore the row, and a MIB is checked by comparing numbers.
 *
 * Any thread, after ctl_names_start().
 */
#ifndef CONTROL_CTL_NAMES_H
#define CONTROL_CTL_NAMES_H

#include "control/ctl_values.h"

enum {
    CTL_ROWS = 0
/* clang-format off */
#define NAME(path, type, read, write, argument) + 1
#include "control/ctl_table.h"
#undef NAME
    /* clang-format on */
};

static_assert((int)CTL_ROWS <= (int)CTL_OPTIONS, "options have numbers of their own");

/* What the MIB of a row looks like: the numbers of its words, and 0 for an index, which is one of
 * every kind. Row 0 has one element, so no word behind the first has that number. Immutable after
 * ctl_start(). */
struct ctl_words {
    uint16_t number[CTL_DEPTH_MAX];
    uint8_t count;
    /* The common call, which reads a number and writes nothing, needs to look at no more: */
    uint8_t number_bytes;          /* 4 or 8 */
    uint16_t limit[CTL_DEPTH_MAX]; /* an index below it is known, or the reader looks; a word: 0 */
    uint16_t number_count;         /* count; 0, which no MIB has: it is not so simple */
};

static_assert(sizeof(struct ctl_words) == 32, "found by a shift");

extern HIDDEN struct ctl_words ctl_words[CTL_ROWS];

/* Finds out where paths begin and which elements they share. Control lock held; once. */
void ctl_names_start(void);

/* The path of a row. */
const char *ctl_names_path(unsigned row);

/* The row to which a name, perhaps a partial one, leads, and the elements of its MIB up to
 * *mib_length, which becomes their number. CTL_ROWS: there is no such name. */
unsigned ctl_names_find(const char *name, size_t *mib, size_t *mib_length);

/* The row of a whole MIB, or CTL_ROWS. */
unsigned ctl_names_row(const size_t *mib, size_t length);

/* Whether a number of `bytes` bytes is asked for, by the common call: its row is the last number of
 * the MIB. False for anything else, and for what is wrong: ctl_by_mib() sorts that out. */
static inline bool ctl_names_is_number(const size_t *mib, size_t length, size_t bytes)
{
    size_t last = length - 1;
    if (UNLIKELY(last >= CTL_DEPTH_MAX || mib[last] >= CTL_ROWS)) {
        return false;
    }
    const struct ctl_words *words = &ctl_words[mib[last]];
    if (UNLIKELY(words->number_count != length || words->number_bytes != bytes)) {
        return false;
    }
    for (size_t i = 0; i < last; i++) {
        if (words->number[i] != mib[i] && mib[i] >= words->limit[i]) {
            return false;
        }
    }
    return true;
}

#endif
