/* report_text.c: the table of --text. See report_text.h.
 *
 * Frames of equal name are one row: the frames are sorted by name and numbered. A row's cumulative
 * count takes each stack once, however often it stands in it.
 */
#include "report_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *key;
    double own, cumulative;
    size_t last_stack; /* 1 + index of the stack that was counted last */
};

/* A frame by its name, while frames are numbered. */
struct keyed_frame {
    const char *key;
    struct view_frame *frame;
};

struct table {
    struct row *rows;
    size_t row_count;
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
static struct table make_table(struct view *view, enum report_granularity granularity)
{
    size_t count;
    struct table table = {.rows = NULL};
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

static void count_stacks(struct table *table, const struct view *view)
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

static int descending(double a, double b)
{
    return (a < b) - (a > b);
}

static int compare_own(const void *left, const void *right)
{
    const struct row *a = left;
    const struct row *b = right;
    int order = descending(a->own, b->own);
    return order != 0 ? order : strcmp(a->key, b->key);
}

static int compare_cumulative(const void *left, const void *right)
{
    const struct row *a = left;
    const struct row *b = right;
    int order = descending(a->cumulative, b->cumulative);
    return order != 0 ? order : strcmp(a->key, b->key);
}

struct cell {
    char text[32];
};

static bool is_space(const struct view *view)
{
    return view->measure == VIEW_LIVE_SPACE || view->measure == VIEW_TOTAL_SPACE;
}

/* Whole numbers are cut, not rounded. */
static struct cell count_cell(double value, const struct view *view,
                              const struct report_options *options)
{
    struct cell cell;
    if (is_space(view) && !options->shows_bytes) {
        snprintf(cell.text, sizeof cell.text, "%.1f", value / (1 << 20));
    } else {
        double limited = fmax(fmin(value, 0x1p62), -0x1p62);
        snprintf(cell.text, sizeof cell.text, "%" PRId64, (int64_t)limited);
    }
    return cell;
}

static struct cell part_cell(double value, double total)
{
    struct cell cell;
    if (total != 0) {
        snprintf(cell.text, sizeof cell.text, "%.1f%%", value * 100 / total);
    } else if (value == 0) {
        snprintf(cell.text, sizeof cell.text, "nan");
    } else {
        snprintf(cell.text, sizeof cell.text, value > 0 ? "+inf" : "-inf");
    }
    return cell;
}

static void write_total(FILE *out, const struct view *view, const struct report_options *options)
{
    struct cell total = count_cell(view->total, view, options);
    const char *unit = !is_space(view) ? "objects" : options->shows_bytes ? "B" : "MB";
    if (view->total == 0) {
        return; /* differences that cancel out: every part of nothing is infinite */
    }
    if (options->thread != PROFILE_ALL_THREADS) {
        fprintf(out, "Total (t%" PRIu64 "): %s %s\n", options->thread, total.text, unit);
    } else {
        fprintf(out, "Total: %s %s\n", total.text, unit);
    }
}

static size_t write_rows(FILE *out, const struct table *table, const struct view *view,
                         const struct report_options *options)
{
    double sum = 0;
    double total = view->shown_total;
    size_t written = 0;
    for (size_t i = 0; i < table->row_count; i++) {
        const struct row *row = &table->rows[i];
        sum += row->own;
        if (row->own == 0 && row->cumulative == 0) {
            continue;
        }
        fprintf(out, "%8s %6s %6s %8s %6s %s\n", count_cell(row->own, view, options).text,
                part_cell(row->own, total).text, part_cell(sum, total).text,
                count_cell(row->cumulative, view, options).text,
                part_cell(row->cumulative, total).text, row->key);
        written++;
    }
    return written;
}

size_t report_text(FILE *out, struct view *view, const struct report_options *options)
{
    struct table table = make_table(view, options->granularity);
    count_stacks(&table, view);
    qsort(table.rows, table.row_count, sizeof *table.rows,
          options->sorts_cumulative ? compare_cumulative : compare_own);
    write_total(out, view, options);
    size_t written = write_rows(out, &table, view, options);
    free(table.rows);
    return written;
}
