/* report_list.h: the source of functions, each line with what it allocated: --list.
 *
 * A function is shown from its first line to its last, with some lines around it, the largest
 * function first. What was inlined elsewhere is shown at its own lines, and counts there. Programs
 * parse the lines: what the line allocated itself, with all it called, its number, its text.
 */
#ifndef JEPROF_REPORT_LIST_H
#define JEPROF_REPORT_LIST_H

#include <stdio.h>

#include "filter.h"
#include "view.h"

/* Lists the functions that the filter finds; their number. */
size_t report_list(FILE *out, struct view *view, const struct filter *filter, bool shows_bytes);

#endif
