/* test_jeprof_report.c: goal: each report is written byte for byte as programs parse it.
 * Method: one small profile with names, the whole text of every report compared. The tables are
 * those that jemalloc's script prints for the same profile.
 */
#include "report_stacks.h"
#include "report_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_symbols.h"

static const struct fake_symbol symbols[] = {
    {0x100, 1, {{"alpha(int)", "a.c", 3, false}}},
    {0x200, 1, {{"beta", "b.c", 4, false}}},
    {0x2ff, 2, {{"small", "a.h", 9, true}, {"large", "b.c", 5, false}}},
    {0x3ff, 1, {{"main", "a.c", 8, false}}},
};

/* beta is reached through large twice in one stack; one address has no name. */
static const char text[] = "heap_v2/1\n"
                           "@ 0x100 0x400\n  t*: 1: 3000000 [0: 0]\n"
                           "@ 0x200 0x300 0x300 0x400\n  t*: 2: 1000000 [0: 0]\n"
                           "@ 0x900 0x400\n  t*: 3: 96 [0: 0]\n"
                           "@ 0x200 0x400\n  t*: 0: 0 [1: 1]\n";

static char *written;
static struct view view;

static struct profile profile;

static void open_view(const char *profile_text, const struct view_options *options)
{
    struct profile_error error = {""};
    fake_symbols = symbols;
    fake_symbol_count = 4;
    if (!profile_parse(&profile, profile_text, strlen(profile_text), "a.heap", &error) ||
        !view_open(&view, &profile, options, NULL, NULL, &error)) {
        fail_msg("%s", error.text);
    }
}

static void close_view(void)
{
    view_close(&view);
    profile_close(&profile);
}

static const struct view_options live = {.thread = PROFILE_ALL_THREADS};

static void assert_table(struct report_options options, size_t rows, const char *expected)
{
    size_t size;
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    options.thread = PROFILE_ALL_THREADS;
    assert_int_equal(report_text(out, &view, &options), rows);
    fclose(out);
    assert_string_equal(written, expected);
    free(written);
}

static void test_tables(void **state)
{
    (void)state;
    open_view(text, &live);
    assert_table((struct report_options){.shows_bytes = true}, 6,
                 "Total: 4000096 B\n"
                 " 3000000  75.0%  75.0%  3000000  75.0% alpha\n"
                 " 1000000  25.0% 100.0%  1000000  25.0% beta\n"
                 "      96   0.0% 100.0%       96   0.0% 0x0000000000000900\n"
                 "       0   0.0% 100.0%  1000000  25.0% large\n"
                 "       0   0.0% 100.0%  4000096 100.0% main\n"
                 "       0   0.0% 100.0%  1000000  25.0% small (inline)\n");
    assert_table((struct report_options){.sorts_cumulative = true}, 6,
                 "Total: 3.8 MB\n"
                 "     0.0   0.0%   0.0%      3.8 100.0% main\n"
                 "     2.9  75.0%  75.0%      2.9  75.0% alpha\n"
                 "     1.0  25.0% 100.0%      1.0  25.0% beta\n"
                 "     0.0   0.0% 100.0%      1.0  25.0% large\n"
                 "     0.0   0.0% 100.0%      1.0  25.0% small (inline)\n"
                 "     0.0   0.0% 100.0%      0.0   0.0% 0x0000000000000900\n");
    assert_table((struct report_options){.granularity = REPORT_FILES}, 4,
                 "Total: 3.8 MB\n"
                 "     2.9  75.0%  75.0%      3.8 100.0% a.c\n"
                 "     1.0  25.0% 100.0%      1.0  25.0% b.c\n"
                 "     0.0   0.0% 100.0%      0.0   0.0% ??:?\n"
                 "     0.0   0.0% 100.0%      1.0  25.0% a.h\n");
    close_view();
}

static void test_rows_with_places(void **state)
{
    (void)state;
    open_view("heap_v2/1\n@ 0x100 0x300\n  t*: 1: 8 [0: 0]\n", &live);
    assert_table((struct report_options){.granularity = REPORT_LINES, .shows_bytes = true}, 3,
                 "Total: 8 B\n"
                 "       8 100.0% 100.0%        8 100.0% alpha a.c:3\n"
                 "       0   0.0% 100.0%        8 100.0% large b.c:5\n"
                 "       0   0.0% 100.0%        8 100.0% small (inline) a.h:9\n");
    assert_table((struct report_options){.granularity = REPORT_ADDRESSES, .shows_bytes = true}, 3,
                 "Total: 8 B\n"
                 "       8 100.0% 100.0%        8 100.0% 0000000000000100 alpha a.c:3\n"
                 "       0   0.0% 100.0%        8 100.0% 00000000000002ff large b.c:5\n"
                 "       0   0.0% 100.0%        8 100.0% 00000000000002ff small (inline) a.h:9\n");
    close_view();
}

static void test_objects_and_threads(void **state)
{
    struct view_options options = {.measure = VIEW_LIVE_OBJECTS, .thread = 7};
    size_t size;
    (void)state;
    open_view("heap_v2/1\n@ 0x100\n  t*: 9: 8 [0: 0]\n  t7: 4: 8 [0: 0] seven\n", &options);
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    report_text(out, &view, &(struct report_options){.thread = 7});
    fclose(out);
    assert_string_equal(written, "Total (t7): 4 objects\n"
                                 "       4 100.0% 100.0%        4 100.0% alpha\n");
    free(written);
    close_view();
}

/* Differences of both signs: negative totals, and none at all. */
static void test_differences(void **state)
{
    (void)state;
    open_view(
        "heap_v2/1\n@ 0x100 0x400\n  t*: 1: 300 [0: 0]\n@ 0x200 0x400\n  t*: 1: 1000 [0: 0]\n",
        &live);
    view.stacks[1].value = -1000;
    view.total = -700;
    view.shown_total = -700;
    assert_table((struct report_options){.shows_bytes = true}, 3,
                 "Total: -700 B\n"
                 "     300 -42.9% -42.9%      300 -42.9% alpha\n"
                 "       0  -0.0% -42.9%     -700 100.0% main\n"
                 "   -1000 142.9% 100.0%    -1000 142.9% beta\n");
    view.stacks[0].value = 1000;
    view.total = 0;
    view.shown_total = 0;
    assert_table((struct report_options){.shows_bytes = true}, 2,
                 "    1000   +inf   +inf     1000   +inf alpha\n"
                 "   -1000   -inf    nan    -1000   -inf beta\n");
    close_view();
}

static void assert_stacks(size_t (*report)(FILE *, const struct view *), const char *expected)
{
    size_t size;
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    assert_true(report(out, &view) > 0);
    fclose(out);
    assert_string_equal(written, expected);
    free(written);
}

static void test_stacks(void **state)
{
    (void)state;
    open_view(text, &live);
    assert_stacks(report_collapsed, "main;0x0000000000000900 96\n"
                                    "main;alpha(int) 3000000\n"
                                    "main;large;small[inline];large;small[inline];beta 1000000\n");
    close_view();
    open_view("heap_v2/1\n@ 0x200 0x300 0x400\n  t*: 2: 10 [0: 0]\n@ 0x100 0x300 0x400\n"
              "  t*: 2: 5 [0: 0]\n",
              &live);
    assert_stacks(report_callgrind,
                  "events: Hits\n"
                  "\nfl=(1) a.c\nfn=(1) alpha\n3 5\n"
                  "\nfl=(2) b.c\nfn=(2) beta\n4 10\n"
                  "\nfl=(2)\nfn=(3) large\ncfl=(3) a.h\ncfn=(4) small (inline)\ncalls=15 9\n5 15\n"
                  "\nfl=(1)\nfn=(5) main\ncfl=(2)\ncfn=(3)\ncalls=15 5\n8 15\n"
                  "\nfl=(3)\nfn=(4)\ncfl=(1)\ncfn=(1)\ncalls=5 3\n9 5\n"
                  "\nfl=(3)\nfn=(4)\ncfl=(2)\ncfn=(2)\ncalls=10 4\n9 10\n"
                  "\n");
    close_view();
}

static void test_names(void **state)
{
    struct view_options options = {.thread = PROFILE_ALL_THREADS, .keeps_all = true};
    size_t size;
    (void)state;
    open_view("heap_v2/1\n@ 0x900 0x300\n  t*: 0: 0 [0: 0]\n", &options);
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    report_symbols(out, &view, "/bin/p");
    fclose(out);
    assert_string_equal(written, "--- symbol\nbinary=/bin/p\n"
                                 "0x00000000000002ff large--small\n"
                                 "0x0000000000000900 0x0000000000000900\n"
                                 "---\n--- heap\n");
    free(written);
    close_view();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),      cmocka_unit_test(test_rows_with_places),
        cmocka_unit_test(test_differences), cmocka_unit_test(test_objects_and_threads),
        cmocka_unit_test(test_stacks),      cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
