/* report_flame.h: a flame graph as one SVG file, with search and zoom by a script inside.
 *
 * Widths are counts of the measure that was asked for, of all dumps but the base. With a base,
 * colours tell what grew (red) and shrank (blue) since; what is gone has no width and is not shown.
 */
#ifndef JEPROF_REPORT_FLAME_H
#define JEPROF_REPORT_FLAME_H

#include <stdio.h>

#include "export.h"

/* Writes the file; the number of its rectangles. */
size_t report_flame(FILE *out, const struct export *export);

#endif
