/* report_speedscope.c: the file format of speedscope. See report_speedscope.h.
 *
 * A profile of its kind "sampled" has a list of stacks, outermost first, and a list of their
 * weights. A difference that is negative has no weight there: it is left out.
 */
#include "report_speedscope.h"

#include "frame_rows.h"
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

static void write_frames(struct json_out *json, const struct frame_rows *table)
{
    json_out_name(json, "shared");
    json_out_open(json, "{");
    json_out_name(json, "frames");
    json_out_open(json, "[");
    for (size_t i = 0; i < table->row_count; i++) {
        const struct view_frame *frame = table->rows[i].frame;
        json_t *row = json_pack("{s:o}", "name", json_out_text(frame->full));
        if (frame->file != NULL) {
            json_object_set_new(row, "file", json_out_text(frame->file));
        }
        if (frame->line > 0) {
            json_object_set_new(row, "line", json_integer(frame->line));
        }
        json_out_element(json, row);
    }
    json_out_close(json, "]");
    json_out_close(json, "}");
}

/* The stacks with a weight, in a list, or their weights; the sum of the weights. */
static int64_t write_stacks(struct json_out *json, const struct export *export,
                            enum view_measure measure, bool is_weights)
{
    const struct view_stack **stacks = frame_rows_sort(export->view);
    int64_t sum = 0;
    json_out_name(json, is_weights ? "weights" : "samples");
    json_out_open(json, "[");
    for (size_t i = 0; i < export->view->stack_count; i++) {
        int64_t weight = export_whole(export_count(export, stacks[i], measure));
        if (weight <= 0) {
            continue;
        }
        sum += weight;
        if (is_weights) {
            json_out_element(json, json_integer(weight));
            continue;
        }
        json_t *frames = json_array();
        for (size_t frame = stacks[i]->depth; frame-- > 0;) {
            json_array_append_new(frames, json_integer((json_int_t)stacks[i]->frames[frame]->row));
        }
        json_out_element(json, frames);
    }
    json_out_close(json, "]");
    free((void *)stacks);
    return sum;
}

static int64_t write_profile(struct json_out *json, const struct export *export,
                             enum view_measure measure)
{
    const char *unit = measures[measure].unit;
    fprintf(json->out, "%s\n", json->separator);
    json_out_open(json, "{");
    json_out_member(json, "type", "sampled");
    json_out_member(json, "name", measures[measure].name);
    json_out_member(json, "unit", strcmp(unit, "bytes") == 0 ? "bytes" : "none");
    write_stacks(json, export, measure, false);
    int64_t sum = write_stacks(json, export, measure, true);
    json_out_name(json, "startValue");
    json_out_value(json, json_integer(0));
    json_out_name(json, "endValue");
    json_out_value(json, json_integer(sum));
    json_out_close(json, "}");
    return sum;
}

size_t report_speedscope(FILE *out, const struct export *export)
{
    struct json_out json = {.out = out};
    struct frame_rows table;
    size_t written = 0;
    size_t active = 0;
    frame_rows_open(&table, export->view, FRAME_LINES);
    json_out_open(&json, "{");
    json_out_member(&json, "$schema", "https://www.speedscope.app/file-format-schema.json");
    json_out_member(&json, "exporter", "jeprof (dg-jemalloc)");
    json_out_member(&json, "name", export->program);
    write_frames(&json, &table);
    json_out_name(&json, "profiles");
    json_out_open(&json, "[");
    for (size_t i = 0; i < MEASURES; i++) {
        enum view_measure measure = (enum view_measure)i;
        if (export_has(export, measure)) {
            active = measure == export->measure ? written : active;
            written += write_profile(&json, export, measure) > 0;
        }
    }
    json_out_close(&json, "]");
    json_out_name(&json, "activeProfileIndex");
    json_out_value(&json, json_integer((json_int_t)active));
    json_out_close(&json, "}");
    fputs("\n", out);
    frame_rows_close(&table);
    return written;
}
