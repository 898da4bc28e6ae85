/* row_table.h: what the frames of a view add up to: a row for each function, line, file or address.
 *
 * Frames of equal name are one row. A row's cumulative count takes each stack once, however often
 * it stands in it. Every frame of the view knows its row, by its index, until the rows are sorted.
 */
#ifndef JEPROF_ROW_TABLE_H
#define JEPROF_ROW_TABLE_H

#include "view.h"

enum report_granularity { REPORT_FUNCTIONS, REPORT_ADDRESSES, REPORT_LINES, REPORT_FILES };

struct row {
    const char *key;
    double own, cumulative;
    size_t last_stack; /* 1 + index of the stack that was counted last */
};

struct row_table {
    struct row *rows; /* by key */
    size_t row_count;
};

struct row_table row_table_open(struct view *view, enum report_granularity granularity);

void row_table_close(struct row_table *table);

#endif
