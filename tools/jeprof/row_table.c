/* row_table.c: what the frames of a view add up to. See row_table.h.
 *
 * The frames are sorted by name and numbered; then the stacks are counted.
 */
#include "row_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A frame by its name, while frames are numbered. */
struct keyed_frame {
    const char *key;
    struct view_frame *frame;
};

static const char *make_key(struct view *view, const struct view_frame *frame,
                            enum report_granularity granularity)
{
    if (granularity == REPORT_FUNCTIONS) {
        return frame->name;
    }
    size_t size = strlen(frame->name) + strlen(frame->place) + 32;
    char *key = memory_take(size, 1);
    if (granularity == REPORT_LINES) {
        snprintf(key, size, "%s %s", frame->name, frame->place);
    } else if (granularity == REPORT_ADDRESSES) {
        snprintf(key, size, "%016" PRIx64 " %s %s", frame->address, frame->name, frame->place);
    } else {
        snprintf(key, size, "%s", frame->file != NULL ? frame->file : frame->place);
    }
    const char *kept = text_pool_keep(&view->pool, key);
    free(key);
    return kept;
}

static int compare_keys(const void *left, const void *right)
{
    const struct keyed_frame *a = left;
    const struct keyed_frame *b = right;
    return strcmp(a->key, b->key);
}

static struct keyed_frame *sorted_frames(struct view *view, enum report_granularity granularity,
                                         size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < view->address_count; i++) {
        *count += view->addresses[i].frame_count;
    }
    struct keyed_frame *frames = memory_take(*count, sizeof *frames);
    size_t added = 0;
    for (size_t i = 0; i < view->address_count; i++) {
        for (size_t j = 0; j < view->addresses[i].frame_count; j++) {
            struct view_frame *frame = &view->addresses[i].frames[j];
            frames[added++] = (struct keyed_frame){make_key(view, frame, granularity), frame};
        }
    }
    qsort(frames, *count, sizeof *frames, compare_keys);
    return frames;
}

/* The rows, by name and empty; every frame knows its own. */
static struct row_table make_table(struct view *view, enum report_granularity granularity)
{
    size_t count;
    struct row_table table = {.rows = NULL};
    struct keyed_frame *frames = sorted_frames(view, granularity, &count);
    table.rows = memory_take(count, sizeof *table.rows);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(frames[i].key, frames[i - 1].key) != 0) {
            table.rows[table.row_count++].key = frames[i].key;
        }
        frames[i].frame->row = table.row_count - 1;
    }
    free(frames);
    return table;
}

static void count_stacks(struct row_table *table, const struct view *view)
{
    for (size_t i = 0; i < view->stack_count; i++) {
        const struct view_stack *stack = &view->stacks[i];
        table->rows[stack->frames[0]->row].own += stack->value;
        for (size_t frame = 0; frame < stack->depth; frame++) {
            struct row *row = &table->rows[stack->frames[frame]->row];
            if (row->last_stack != i + 1) {
                row->cumulative += stack->value;
                row->last_stack = i + 1;
            }
        }
    }
}

struct row_table row_table_open(struct view *view, enum report_granularity granularity)
{
    struct row_table table = make_table(view, granularity);
    count_stacks(&table, view);
    return table;
}

void row_table_close(struct row_table *table)
{
    free(table->rows);
    *table = (struct row_table){.rows = NULL};
}
