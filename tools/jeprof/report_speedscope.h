/* report_speedscope.h: the file format of speedscope.
 *
 * One profile of its kind "sampled" for each measure that counts something; the measure that was
 * asked for is the one that is shown first.
 */
#ifndef JEPROF_REPORT_SPEEDSCOPE_H
#define JEPROF_REPORT_SPEEDSCOPE_H

#include <stdio.h>

#include "export.h"

/* The number of profiles that were written. */
size_t report_speedscope(FILE *out, const struct export *export);

#endif
