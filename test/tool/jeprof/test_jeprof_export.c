/* test_jeprof_export.c: goal: the texts for other programs are right byte for byte, hold what was
 * asked for, and stay well formed whatever functions are called.
 * Method: one small profile with names, and all or the telling part of each text.
 */
#include "export.h"
#include "frame_rows.h"
#include "profile_sum.h"
#include "report_data.h"
#include "report_flame.h"
#include "report_speedscope.h"
#include "unsample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_symbols.h"

/* A name ends an element of a page, another is no UTF-8; beta is inlined into main. */
static const char names[] = "--- symbol\nbinary=/bin/prog\n0x10 malloc\n0x1f a<b>(int)\n"
                            "0x2f main--be\xff\n0x3f </script>\n---\n--- heap\n";
static const char places[] = "SOURCE_LINES:\n0x1f\ta.c:3\n0x2f\tm.c:9\tb.h:5\n";
static const char first[] = "heap_v2/1\n@ 0x10 0x20 0x30\n  t*: 2: 300 [4: 600]\n"
                            "@ 0x10 0x40 0x30\n  t*: 1: 100 [1: 100]\n";
static const char second[] = "heap_v2/1\n@ 0x10 0x20 0x30\n  t*: 1: 100 [9: 900]\n"
                             "@ 0x10 0x20 0x20 0x30\n  t*: 1: 50 [1: 50]\n";

static struct profile profile;
static struct view view;
static char *written;

static void add_dump(const char *counts, size_t dump, double factor)
{
    char text[1024];
    struct profile part;
    struct profile_error error = {""};
    snprintf(text, sizeof text, "%s%s%s", names, counts, places);
    if (!profile_parse(&part, text, strlen(text), "a.heap", &error)) {
        fail_msg("%s", error.text);
    }
    unsample_profile(&part);
    for (size_t i = 0; i < part.sample_count; i++) {
        part.samples[i].dump = dump;
    }
    profile_add(&profile, &part, factor);
    profile_close(&part);
}

static void open_view(enum view_measure measure)
{
    struct view_options options = {
        .thread = PROFILE_ALL_THREADS, .measure = measure, .keeps_all = true};
    struct profile_error error = {""};
    profile_merge(&profile);
    assert_true(view_open(&view, &profile, &options, NULL, NULL, &error));
}

static void close_view(void)
{
    view_close(&view);
    profile_close(&profile);
    free(written);
    written = NULL;
}

static const char *const dump_names[] = {"one", "two"};

static struct export make_export(size_t dump_count, bool has_base)
{
    return (struct export){.profile = &profile,
                           .view = &view,
                           .program = "/bin/prog",
                           .dump_names = dump_names,
                           .dump_count = dump_count,
                           .has_base = has_base,
                           .measure = view.measure};
}

static size_t write_with(size_t (*report)(FILE *, const struct export *),
                         const struct export *export)
{
    size_t size;
    free(written);
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    size_t count = report(out, export);
    fclose(out);
    return count;
}

static void assert_has(const char *part)
{
    if (strstr(written, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, written);
    }
}

static void assert_has_not(const char *part)
{
    if (strstr(written, part) != NULL) {
        fail_msg("\"%s\" is in: %s", part, written);
    }
}

/* Equal functions on two lines are one function and two rows. */
static void test_rows_of_frames(void **state)
{
    struct frame_rows rows;
    (void)state;
    add_dump(first, 0, 1);
    add_dump(second, 0, 1);
    open_view(VIEW_LIVE_SPACE);
    frame_rows_open(&rows, &view, FRAME_LINES);
    assert_int_equal(rows.row_count, 4);
    assert_int_equal(rows.function_count, 4);
    assert_string_equal(rows.functions[0]->full, "</script>");
    assert_string_equal(rows.functions[3]->full, "main");
    const struct view_stack **stacks = frame_rows_sort(&view);
    assert_int_equal(view.stack_count, 3);
    assert_int_equal(stacks[0]->depth, 3); /* </script> is before a<b> */
    assert_int_equal(frame_rows_common(stacks[0], stacks[1]), 2);
    assert_int_equal(frame_rows_common(stacks[1], stacks[2]), 3);
    assert_int_equal(stacks[2]->depth, 4);
    free((void *)stacks);
    frame_rows_close(&rows);
    close_view();
}

static void test_json(void **state)
{
    (void)state;
    add_dump(first, 0, 1);
    add_dump(second, 1, 1);
    open_view(VIEW_LIVE_SPACE);
    struct export export = make_export(2, true);
    assert_int_equal(write_with(report_data_json, &export), 3);
    assert_string_equal(
        written,
        "{\n\"format\":\"jeprof\",\n\"version\":1,\n\"program\":\"/bin/prog\",\n"
        "\"measure\":\"inuse_space\",\n\"period\":1,\n\"measures\":[\n"
        "{\"name\":\"inuse_space\",\"unit\":\"bytes\",\"title\":\"In use, bytes\"},\n"
        "{\"name\":\"inuse_objects\",\"unit\":\"count\",\"title\":\"In use, objects\"},\n"
        "{\"name\":\"alloc_space\",\"unit\":\"bytes\",\"title\":\"Allocated, bytes\"},\n"
        "{\"name\":\"alloc_objects\",\"unit\":\"count\",\"title\":\"Allocated, objects\"}\n],\n"
        "\"dumps\":[\n{\"name\":\"one\",\"base\":true},\n{\"name\":\"two\",\"base\":false}\n],\n"
        "\"functions\":[\n{\"name\":\"</script>\"},\n"
        "{\"name\":\"a\",\"full\":\"a<b>(int)\",\"file\":\"a.c\"},\n"
        "{\"name\":\"be?\",\"file\":\"b.h\"},\n"
        "{\"name\":\"main\",\"file\":\"m.c\"}\n],\n"
        "\"frames\":[\n[0,0,0],\n[1,3,0],\n[2,5,1],\n[3,9,0]\n],\n\"stacks\":[\n"
        "{\"frames\":[0,2,3],\"counts\":[[100,1,100,1],[0,0,0,0]]},\n"
        "{\"frames\":[1,2,3],\"counts\":[[300,2,600,4],[100,1,900,9]]},\n"
        "{\"frames\":[1,1,2,3],\"counts\":[[0,0,0,0],[50,1,50,1]]}\n]\n}\n");
    close_view();
}

/* No name can end the element that the data stands in. */
static void test_page(void **state)
{
    (void)state;
    if (!report_data_has_page()) {
        skip();
    }
    add_dump(first, 0, 1);
    open_view(VIEW_LIVE_SPACE);
    struct export export = make_export(1, false);
    assert_int_equal(write_with(report_data_html, &export), 2);
    assert_has("<!DOCTYPE html>");
    assert_has("{\"name\":\"\\u003c/script>\"}");
    assert_has_not("\"</script>");
    assert_has_not("JEPROF_DATA");
    assert_string_equal(written + strlen(written) - 8, "</html>\n");
    close_view();
}

static void test_speedscope(void **state)
{
    (void)state;
    add_dump(second, 0, 1);
    add_dump(first, 0, -1);
    open_view(VIEW_TOTAL_OBJECTS);
    struct export export = make_export(1, false);
    assert_int_equal(write_with(report_speedscope, &export), 4);
    assert_has("{\"name\":\"a<b>(int)\",\"file\":\"a.c\",\"line\":3}");
    assert_has("\"name\":\"alloc_objects\",\n\"unit\":\"none\",\n"
               "\"samples\":[\n[3,2,1],\n[3,2,1,1]\n],\n\"weights\":[\n5,\n1\n],\n"
               "\"startValue\":0,\n\"endValue\":6\n}");
    assert_has("\"name\":\"inuse_space\",\n\"unit\":\"bytes\",\n"
               "\"samples\":[\n[3,2,1,1]\n],\n\"weights\":[\n50\n]"); /* what shrank is left out */
    assert_has("\"activeProfileIndex\":3\n}");
    close_view();
}

static void test_flame(void **state)
{
    (void)state;
    add_dump(first, 0, 1);
    open_view(VIEW_LIVE_SPACE);
    struct export export = make_export(1, false);
    assert_int_equal(write_with(report_flame, &export), 5);
    assert_has("<title>&lt;/script&gt; (100 B, 25.00%)</title>"
               "<rect x=\"0.00\" y=\"44\" width=\"300.00\"");
    assert_has("<title>a&lt;b&gt;(int) (300 B, 75.00%)</title>"
               "<rect x=\"300.00\" y=\"44\" width=\"900.00\"");
    assert_has("<title>main (400 B, 100.00%)</title><rect x=\"0.00\" y=\"80\" width=\"1200.00\"");
    assert_has("In use, bytes: 400 B");
    assert_has("</svg>\n");
    close_view();
}

/* 100 of 300 bytes are left, another 50 are new. */
static void test_flame_of_a_difference(void **state)
{
    (void)state;
    add_dump(first, 0, 1);
    add_dump(second, 1, 1);
    open_view(VIEW_LIVE_SPACE);
    struct export export = make_export(2, true);
    assert_int_equal(write_with(report_flame, &export), 5);
    assert_has("<title>a&lt;b&gt;(int) (150 B, 100.00%, -150 B since the base)</title>"
               "<rect x=\"0.00\" y=\"62\" width=\"1200.00\" height=\"17\" rx=\"1\" "
               "fill=\"rgb(160,160,235)\"/>");
    assert_has("<title>a&lt;b&gt;(int) (50 B, 33.33%, +50 B since the base)</title>"
               "<rect x=\"800.00\" y=\"44\" width=\"400.00\" height=\"17\" rx=\"1\" "
               "fill=\"rgb(235,85,85)\"/>");
    assert_has_not("script&gt;"); /* what is gone has no width */
    close_view();
}

static void test_what_is_negative_can_be_dropped(void **state)
{
    (void)state;
    add_dump(second, 0, 1);
    add_dump(first, 0, -1);
    open_view(VIEW_LIVE_SPACE);
    struct export export = make_export(1, false);
    assert_int_equal(write_with(report_data_json, &export), 3);
    assert_has("[[-100,-1,-100,-1]]");
    export.drops_negative = true;
    assert_int_equal(write_with(report_data_json, &export), 2);
    assert_has("[[0,0,300,5]]");
    assert_has_not("-1");
    close_view();
}

static void test_nothing(void **state)
{
    (void)state;
    add_dump(first, 0, 1);
    add_dump(first, 0, -1);
    open_view(VIEW_LIVE_SPACE);
    struct export export = make_export(1, false);
    assert_false(export_has(&export, VIEW_LIVE_SPACE));
    assert_int_equal(write_with(report_flame, &export), 0);
    assert_int_equal(write_with(report_speedscope, &export), 0);
    assert_int_equal(write_with(report_data_json, &export), 0);
    close_view();
}

static void test_whole_numbers(void **state)
{
    (void)state;
    assert_int_equal(export_whole(2.5), 3);
    assert_int_equal(export_whole(-2.4), -2);
    assert_int_equal(export_whole(1e300), INT64_C(1) << 53);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_frames),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_speedscope),
        cmocka_unit_test(test_flame),
        cmocka_unit_test(test_flame_of_a_difference),
        cmocka_unit_test(test_what_is_negative_can_be_dropped),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
