/* report_text.c: the table of --text. See report_text.h.
 *
 * Rows of equal counts are sorted by name, so a profile gives the same text each time.
 */
#include "report_text.h"

#include "report_cell.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

void report_total(FILE *out, const struct view *view, const struct report_options *options)
{
    struct cell total = cell_count(view->total, view->measure, options->shows_bytes);
    const char *unit = cell_unit(view->measure, options->shows_bytes);
    if (view->total == 0) {
        return; /* differences that cancel out: every part of nothing is infinite */
    }
    if (options->thread != PROFILE_ALL_THREADS) {
        fprintf(out, "Total (t%" PRIu64 "): %s %s\n", options->thread, total.text, unit);
    } else {
        fprintf(out, "Total: %s %s\n", total.text, unit);
    }
}

static size_t write_rows(FILE *out, const struct row_table *table, const struct view *view,
                         const struct report_options *options)
{
    double sum = 0;
    double total = view->shown_total;
    size_t written = 0;
    size_t most = options->row_count > 0 ? options->row_count : SIZE_MAX;
    for (size_t i = 0; i < table->row_count && written < most; i++) {
        const struct row *row = &table->rows[i];
        sum += row->own;
        if (row->own == 0 && row->cumulative == 0) {
            continue;
        }
        fprintf(out, "%8s %6s %6s %8s %6s %s\n",
                cell_count(row->own, view->measure, options->shows_bytes).text,
                cell_part(row->own, total).text, cell_part(sum, total).text,
                cell_count(row->cumulative, view->measure, options->shows_bytes).text,
                cell_part(row->cumulative, total).text, row->key);
        written++;
    }
    return written;
}

size_t report_text(FILE *out, struct view *view, const struct report_options *options)
{
    struct row_table table = row_table_open(view, options->granularity);
    qsort(table.rows, table.row_count, sizeof *table.rows,
          options->sorts_cumulative ? compare_cumulative : compare_own);
    if (!options->leaves_total) {
        report_total(out, view, options);
    }
    size_t written = write_rows(out, &table, view, options);
    row_table_close(&table);
    return written;
}
