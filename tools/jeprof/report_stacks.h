/* report_stacks.h: reports for other programs, with the stacks themselves.
 *
 * Counts are whole numbers, bytes or objects; what counts nothing is left out, and each report
 * comes out in the same order each time.
 */
#ifndef JEPROF_REPORT_STACKS_H
#define JEPROF_REPORT_STACKS_H

#include <stdio.h>

#include "view.h"

/* "OUTERMOST;...;INNERMOST COUNT" lines, as flame graphs are made of; the number of lines. */
size_t report_collapsed(FILE *out, const struct view *view);

/* The call graph as callgrind and its viewers have it; the number of its calls and functions. */
size_t report_callgrind(FILE *out, const struct view *view);

/* The section that gives every address of the view its names: "--- symbol" up to "--- heap". A
 * profile behind it can be read without the program. */
void report_symbols(FILE *out, const struct view *view, const char *program);

#endif
