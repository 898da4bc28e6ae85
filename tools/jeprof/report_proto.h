/* report_proto.h: profile.proto, compressed, as Go's pprof reads it.
 *
 * It has all four measures, the mappings that hold code with their build ids, and a sample for each
 * thread of a stack, labelled "thread" ("t0" and so on) and "thread_name"; what no line of a thread
 * accounts for has no label. Counts are whole numbers whose sums are those of the profile.
 */
#ifndef JEPROF_REPORT_PROTO_H
#define JEPROF_REPORT_PROTO_H

#include <stdio.h>

#include "export.h"

/* Writes the file; the number of its samples. */
size_t report_proto(FILE *out, const struct export *export);

#endif
