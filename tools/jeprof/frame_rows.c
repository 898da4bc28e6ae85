/* frame_rows.c: numbers the frames of a view. See frame_rows.h.
 *
 * Frames are sorted by function and line; equal neighbours are one row, and rows of one function
 * stand together.
 */
#include "frame_rows.h"

#include <stdlib.h>
#include <string.h>

static int compare_texts(const char *a, const char *b)
{
    return a == b ? 0 : strcmp(a != NULL ? a : "", b != NULL ? b : "");
}

static int compare_functions(const struct view_frame *a, const struct view_frame *b)
{
    int order = compare_texts(a->full, b->full);
    return order != 0 ? order : compare_texts(a->file, b->file);
}

static int compare_lines(const void *left, const void *right)
{
    const struct view_frame *a = *(struct view_frame *const *)left;
    const struct view_frame *b = *(struct view_frame *const *)right;
    int order = compare_functions(a, b);
    if (order == 0) {
        order = (a->line > b->line) - (a->line < b->line);
    }
    return order != 0 ? order : a->is_inlined - b->is_inlined;
}

static int compare_names(const void *left, const void *right)
{
    return compare_functions(*(struct view_frame *const *)left, *(struct view_frame *const *)right);
}

/* Every frame that stands in a stack, once. A frame's row tells meanwhile whether it was seen. */
static struct view_frame **used_frames(const struct view *view, size_t *count)
{
    size_t room = 0;
    *count = 0;
    for (size_t i = 0; i < view->address_count; i++) {
        room += view->addresses[i].frame_count;
        for (size_t frame = 0; frame < view->addresses[i].frame_count; frame++) {
            view->addresses[i].frames[frame].row = SIZE_MAX;
        }
    }
    struct view_frame **frames = memory_take(room, sizeof(struct view_frame *));
    for (size_t i = 0; i < view->stack_count; i++) {
        for (size_t frame = 0; frame < view->stacks[i].depth; frame++) {
            struct view_frame *used = view->stacks[i].frames[frame];
            if (used->row == SIZE_MAX) {
                used->row = 0;
                frames[(*count)++] = used;
            }
        }
    }
    return frames;
}

void frame_rows_open(struct frame_rows *table, struct view *view, enum frame_kind rows)
{
    int (*compare)(const void *, const void *) =
        rows == FRAME_LINES ? compare_lines : compare_names;
    size_t count;
    struct view_frame **frames = used_frames(view, &count);
    *table = (struct frame_rows){
        .rows = memory_take(count, sizeof *table->rows),
        .functions = memory_take(count, sizeof(const struct view_frame *)),
    };
    if (count > 0) {
        qsort(frames, count, sizeof *frames, compare);
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || compare_functions(frames[i], frames[i - 1]) != 0) {
            table->functions[table->function_count++] = frames[i];
        }
        if (i == 0 || compare(&frames[i], &frames[i - 1]) != 0) {
            table->rows[table->row_count++] =
                (struct frame_row){frames[i], table->function_count - 1};
        }
        frames[i]->row = table->row_count - 1;
    }
    free(frames);
}

size_t frame_rows_common(const struct view_stack *a, const struct view_stack *b)
{
    size_t common = 0;
    while (common < a->depth && common < b->depth &&
           a->frames[a->depth - 1 - common]->row == b->frames[b->depth - 1 - common]->row) {
        common++;
    }
    return common;
}

static int compare_stacks(const void *left, const void *right)
{
    const struct view_stack *a = *(const struct view_stack *const *)left;
    const struct view_stack *b = *(const struct view_stack *const *)right;
    size_t common = frame_rows_common(a, b);
    if (common == a->depth || common == b->depth) {
        return (a->depth > b->depth) - (a->depth < b->depth);
    }
    return a->frames[a->depth - 1 - common]->row < b->frames[b->depth - 1 - common]->row ? -1 : 1;
}

const struct view_stack **frame_rows_sort(const struct view *view)
{
    const struct view_stack **stacks =
        memory_take(view->stack_count, sizeof(const struct view_stack *));
    for (size_t i = 0; i < view->stack_count; i++) {
        stacks[i] = &view->stacks[i];
    }
    if (view->stack_count > 0) {
        qsort((void *)stacks, view->stack_count, sizeof *stacks, compare_stacks);
    }
    return stacks;
}

void frame_rows_close(struct frame_rows *table)
{
    free(table->rows);
    free((void *)table->functions);
    *table = (struct frame_rows){.rows = NULL};
}
