/* report_symbolized.h: a profile that is read without the program, on another machine.
 *
 * The names stand before it, as --raw has them, the source lines at its end. What lies between is
 * the profile as it was, with all threads and mappings.
 */
#ifndef JEPROF_REPORT_SYMBOLIZED_H
#define JEPROF_REPORT_SYMBOLIZED_H

#include <stdbool.h>
#include <stdio.h>

#include "view.h"

/* Writes the profile of a file, whose addresses the view has. False: it cannot be read; errno. */
bool report_symbolized(FILE *out, const struct view *view, const char *program, const char *name)
    __attribute__((warn_unused_result));

#endif
