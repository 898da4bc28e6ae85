/* report_text.h: the table of --text: one row for each function, line, file or address.
 *
 * Programs parse it, so its columns are kept: what the row allocated itself, its part of the total,
 * the sum of these parts so far, what it allocated with all it called, the part of that, its name.
 * Space is in MB of 2^20 bytes with one digit, or in bytes.
 */
#ifndef JEPROF_REPORT_TEXT_H
#define JEPROF_REPORT_TEXT_H

#include <stdio.h>

#include "row_table.h"

struct report_options {
    enum report_granularity granularity;
    bool sorts_cumulative; /* by the fourth column instead of the first */
    bool shows_bytes;
    size_t row_count;  /* rows at most; 0: all */
    bool leaves_total; /* the first line is not written */
    uint64_t thread;   /* is named in the first line; or PROFILE_ALL_THREADS */
};

/* The first line: "Total: 1.5 MB". Nothing for differences that cancel out. */
void report_total(FILE *out, const struct view *view, const struct report_options *options);

/* Writes the table; the number of its rows. */
size_t report_text(FILE *out, struct view *view, const struct report_options *options);

#endif
