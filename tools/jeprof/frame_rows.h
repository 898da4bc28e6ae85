/* frame_rows.h: the frames of a view's stacks as numbered lists, for files that name things once.
 *
 * Frames of the same function and line are one row, or all frames of a function are, in an order
 * that depends on names alone, and every frame knows its row. A function is a full name in a file.
 */
#ifndef JEPROF_FRAME_ROWS_H
#define JEPROF_FRAME_ROWS_H

#include "view.h"

struct frame_row {
    const struct view_frame *frame; /* one of those that the row stands for */
    size_t function;
};

struct frame_rows {
    struct frame_row *rows;
    size_t row_count;
    const struct view_frame **functions; /* a frame of each */
    size_t function_count;
};

enum frame_kind { FRAME_LINES, FRAME_FUNCTIONS };

void frame_rows_open(struct frame_rows *table, struct view *view, enum frame_kind rows);

/* The stacks by the rows of their frames, the outermost first; to be freed. A table must be open.
 */
const struct view_stack **frame_rows_sort(const struct view *view);

/* How many of their outermost frames two stacks share. */
size_t frame_rows_common(const struct view_stack *a, const struct view_stack *b);

void frame_rows_close(struct frame_rows *table);

#endif
