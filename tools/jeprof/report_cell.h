/* report_cell.h: counts and their parts, as all reports for people show them.
 *
 * Space is in MB of 2^20 bytes with one digit, or in bytes.
 */
#ifndef JEPROF_REPORT_CELL_H
#define JEPROF_REPORT_CELL_H

#include "view.h"

struct cell {
    char text[32];
};

struct cell cell_count(double value, enum view_measure measure, bool shows_bytes);

/* The same, with "." for nothing. */
struct cell cell_nonzero(double value, enum view_measure measure, bool shows_bytes);

/* "12.5%"; of a total of nothing "+inf", "-inf" or "nan". */
struct cell cell_part(double value, double total);

/* "MB", "B" or "objects". */
const char *cell_unit(enum view_measure measure, bool shows_bytes);

#endif
