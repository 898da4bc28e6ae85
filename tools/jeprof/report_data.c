/* report_data.c: JSON for programs and for the page. See report_data.h.
 *
 * Stacks that agree in functions and lines are one, in the order of their names, so the text is the
 * same each time.
 */
#include "report_data.h"

#include "frame_rows.h"
#include "json_out.h"
#include "page.h"

#include <stdlib.h>
#include <string.h>

/* The measures that are written; the live ones always are. */
struct columns {
    enum view_measure measures[MEASURES];
    size_t count;
};

static struct columns choose_columns(const struct export *export)
{
    struct columns columns = {.count = 0};
    for (size_t i = 0; i < MEASURES; i++) {
        enum view_measure measure = (enum view_measure)i;
        if (measure <= VIEW_LIVE_OBJECTS || export_has(export, measure)) {
            columns.measures[columns.count++] = measure;
        }
    }
    return columns;
}

static void write_measures(struct json_out *json, const struct columns *columns)
{
    json_out_name(json, "measures");
    json_out_open(json, "[");
    for (size_t i = 0; i < columns->count; i++) {
        const struct measure *measure = &measures[columns->measures[i]];
        json_out_element(json, json_pack("{s:s,s:s,s:s}", "name", measure->name, "unit",
                                         measure->unit, "title", measure->title));
    }
    json_out_close(json, "]");
}

static void write_dumps(struct json_out *json, const struct export *export)
{
    json_out_name(json, "dumps");
    json_out_open(json, "[");
    for (size_t i = 0; i < export->dump_count; i++) {
        json_out_element(json, json_pack("{s:o,s:b}", "name", json_out_text(export->dump_names[i]),
                                         "base", export->has_base && i == 0));
    }
    json_out_close(json, "]");
}

static void write_functions(struct json_out *json, const struct frame_rows *table)
{
    json_out_name(json, "functions");
    json_out_open(json, "[");
    for (size_t i = 0; i < table->function_count; i++) {
        const struct view_frame *frame = table->functions[i];
        static const char suffix[] = " (inline)";
        size_t length = strlen(frame->name) - (frame->is_inlined ? sizeof suffix - 1 : 0);
        char *name = memcpy(memory_take(length + 1, 1), frame->name, length);
        json_t *function = json_pack("{s:o}", "name", json_out_text(name));
        if (strcmp(name, frame->full) != 0) {
            json_object_set_new(function, "full", json_out_text(frame->full));
        }
        if (frame->file != NULL) {
            json_object_set_new(function, "file", json_out_text(frame->file));
        }
        json_out_element(json, function);
        free(name);
    }
    json_out_close(json, "]");
}

/* [function, line, 1 when it was inlined] */
static void write_frames(struct json_out *json, const struct frame_rows *table)
{
    json_out_name(json, "frames");
    json_out_open(json, "[");
    for (size_t i = 0; i < table->row_count; i++) {
        const struct frame_row *row = &table->rows[i];
        json_out_element(json, json_pack("[I,I,i]", (json_int_t)row->function,
                                         (json_int_t)row->frame->line, row->frame->is_inlined));
    }
    json_out_close(json, "]");
}

/* The counts of all stacks that are alike, dump by dump: [[of each measure] of each dump]. */
static json_t *make_counts(const struct export *export, const struct columns *columns,
                           const struct view_stack *const *stacks, size_t count)
{
    double *sums = memory_take(export->dump_count * columns->count, sizeof *sums);
    bool is_any = false;
    for (size_t i = 0; i < count; i++) {
        double *row = &sums[stacks[i]->sample->dump * columns->count];
        for (size_t column = 0; column < columns->count; column++) {
            row[column] += export_count(export, stacks[i], columns->measures[column]);
        }
    }
    json_t *dumps = json_array();
    for (size_t dump = 0; dump < export->dump_count; dump++) {
        json_t *counts = json_array();
        for (size_t column = 0; column < columns->count; column++) {
            int64_t whole = export_whole(sums[dump * columns->count + column]);
            json_array_append_new(counts, json_integer(whole));
            is_any = is_any || whole != 0;
        }
        json_array_append_new(dumps, counts);
    }
    free(sums);
    if (!is_any) {
        json_decref(dumps);
        return NULL;
    }
    return dumps;
}

static json_t *make_frames(const struct view_stack *stack)
{
    json_t *frames = json_array();
    for (size_t i = 0; i < stack->depth; i++) {
        json_array_append_new(frames, json_integer((json_int_t)stack->frames[i]->row));
    }
    return frames;
}

static bool is_alike(const struct view_stack *a, const struct view_stack *b)
{
    return a->depth == b->depth && frame_rows_common(a, b) == a->depth;
}

/* {"frames": innermost first, "counts": ...} */
static size_t write_stacks(struct json_out *json, const struct export *export,
                           const struct columns *columns)
{
    const struct view_stack **stacks = frame_rows_sort(export->view);
    size_t written = 0;
    size_t end;
    json_out_name(json, "stacks");
    json_out_open(json, "[");
    for (size_t first = 0; first < export->view->stack_count; first = end) {
        end = first + 1;
        while (end < export->view->stack_count && is_alike(stacks[first], stacks[end])) {
            end++;
        }
        json_t *counts = make_counts(export, columns, stacks + first, end - first);
        if (counts != NULL) {
            json_out_element(json, json_pack("{s:o,s:o}", "frames", make_frames(stacks[first]),
                                             "counts", counts));
            written++;
        }
    }
    json_out_close(json, "]");
    free((void *)stacks);
    return written;
}

static size_t write_all(struct json_out *json, const struct export *export)
{
    struct columns columns = choose_columns(export);
    struct frame_rows table;
    frame_rows_open(&table, export->view, FRAME_LINES);
    json_out_open(json, "{");
    json_out_member(json, "format", "jeprof");
    json_out_name(json, "version");
    json_out_value(json, json_integer(1));
    json_out_member(json, "program", export->program);
    json_out_member(json, "measure", measures[export->measure].name);
    json_out_name(json, "period");
    json_out_value(json, json_integer((json_int_t) export->profile->sampled_period));
    write_measures(json, &columns);
    write_dumps(json, export);
    write_functions(json, &table);
    write_frames(json, &table);
    size_t written = write_stacks(json, export, &columns);
    json_out_close(json, "}");
    fputs("\n", json->out);
    frame_rows_close(&table);
    return written;
}

size_t report_data_json(FILE *out, const struct export *export)
{
    struct json_out json = {.out = out};
    return write_all(&json, export);
}

size_t report_data_html(FILE *out, const struct export *export)
{
    static const char place[] = "JEPROF_DATA"; /* stands once in the page, for the data */
    const char *found = memmem(page_html, page_html_size, place, sizeof place - 1);
    if (found == NULL) {
        return 0;
    }
    struct json_out json = {.out = out, .is_in_page = true};
    size_t before = (size_t)(found - page_html);
    fwrite(page_html, 1, before, out);
    size_t written = write_all(&json, export);
    fwrite(found + sizeof place - 1, 1, page_html_size - before - (sizeof place - 1), out);
    return written;
}

bool report_data_has_page(void)
{
    return page_html_size > 0;
}
