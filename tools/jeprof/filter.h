/* filter.h: a regular expression as Perl has them, searched in texts.
 *
 * A text that it matches anywhere is found; ^ and $ bind it to the ends.
 */
#ifndef JEPROF_FILTER_H
#define JEPROF_FILTER_H

#include <stdbool.h>
#include <stddef.h>

struct filter {
    void *code; /* NULL: finds nothing */
    void *match;
};

/* pattern NULL makes a filter that finds nothing. False: it is no regular expression, and reason
 * says why. */
bool filter_open(struct filter *filter, const char *pattern, char *reason, size_t reason_size)
    __attribute__((warn_unused_result));

bool filter_finds(const struct filter *filter, const char *text);

void filter_close(struct filter *filter);

#endif
