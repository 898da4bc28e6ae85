/* option_value.h: from the text of one pair to the field of its option.
 *
 * The texts of a pair are not terminated. A value that is refused leaves the field as it was.
 */
#ifndef CONFIG_OPTION_VALUE_H
#define CONFIG_OPTION_VALUE_H

#include "config/options.h"

/* A text that is not terminated. */
struct span {
    const char *at;
    size_t length;
};

enum option_verdict {
    OPTION_ACCEPTED,
    OPTION_INVALID,      /* not a value of this kind */
    OPTION_OUT_OF_RANGE, /* a number beyond the ends */
    OPTION_BAD_SETTINGS, /* of CLASSES */
};

bool span_is(struct span span, const char *text);
/* The span is the text, or is short of it, as jemalloc compares some keys and values. */
bool span_begins(struct span span, const char *text);

/* A whole number in base 0 (0x.., 0.., decimal) with an optional sign; -n reads as 2^64 - n. */
MUST_USE bool span_number(struct span span, uint64_t *number);

/* Sets the field that the row describes, in *target. */
enum option_verdict option_set(const struct option_row *row, struct options *target,
                               struct span value);

#endif
