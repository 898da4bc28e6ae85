/* test_jeprof_list.c: goal: --list shows a function from its first line to its last with the counts
 * of each line, what is inlined at its own lines, and nothing whose source is not there. Method: a
 * source file of numbered lines, a profile with known lines, the whole text compared.
 */
#include "report_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_symbols.h"

static char source_path[] = "/tmp/test_jeprof_list.XXXXXX";
static struct fake_symbol symbols[] = {
    {0x10, 1, {{"leaf(int)", source_path, 8, false}}},
    {0x20, 2, {{"small", source_path, 3, true}, {"outer", source_path, 13, false}}},
    {0x30, 1, {{"outer", source_path, 12, false}}},
    {0x40, 1, {{"outer", source_path, 14, false}}}, /* not in the profile */
    {0x50, 1, {{"gone", "/nowhere/gone.c", 7, false}}},
    {0x60, 1, {{"leaf(int)", source_path, 9, false}}}, /* nor this */
};

/* outer calls leaf (line 12), inlines small (13), which calls leaf, and is twice in one stack. */
static const char text[] = "heap_v2/1\n@ 0x10 0x31\n  t*: 1: 100 [0: 0]\n"
                           "@ 0x10 0x21 0x31\n  t*: 1: 20 [0: 0]\n"
                           "@ 0x20\n  t*: 1: 3 [0: 0]\n"
                           "@ 0x50\n  t*: 1: 1000 [0: 0]\n";

static struct profile profile;
static struct view view;

static int open_view(void **state)
{
    struct profile_error error = {""};
    const struct view_options options = {.thread = PROFILE_ALL_THREADS};
    (void)state;
    int file = mkstemp(source_path);
    FILE *source = file >= 0 ? fdopen(file, "w") : NULL;
    assert_non_null(source);
    for (int i = 1; i <= 17; i++) {
        fprintf(source, "  line %d\n", i);
    }
    fclose(source);
    fake_symbols = symbols;
    fake_symbol_count = sizeof symbols / sizeof symbols[0];
    return profile_parse(&profile, text, strlen(text), "a.heap", &error) &&
                   view_open(&view, &profile, &options, NULL, NULL, &error)
               ? 0
               : -1;
}

static int close_view(void **state)
{
    (void)state;
    view_close(&view);
    profile_close(&profile);
    return unlink(source_path);
}

/* "@" in what is expected stands for the path of the source. */
static void assert_list(const char *pattern, size_t count, const char *expected)
{
    char reason[100];
    char whole[4096];
    char *end = whole;
    char *written;
    size_t size;
    struct filter filter;
    FILE *out = open_memstream(&written, &size);
    assert_non_null(out);
    assert_true(filter_open(&filter, pattern, reason, sizeof reason));
    assert_int_equal(report_list(out, &view, &filter, true), count);
    fclose(out);
    for (const char *at = expected; *at != '\0'; at++) {
        end += *at == '@' ? sprintf(end, "%s", source_path) : sprintf(end, "%c", *at);
    }
    *end = '\0';
    assert_string_equal(written, whole);
    filter_close(&filter);
    free(written);
}

/* leaf was sampled on line 8 alone, and ends on line 9. */
static void test_leaf(void **state)
{
    (void)state;
    assert_list("leaf", 1,
                "ROUTINE ====================== leaf in @\n"
                "   120    120 Total B (flat / cumulative)\n"
                "     .      .    3:   line 3\n"
                "     .      .    4:   line 4\n"
                "     .      .    5:   line 5\n"
                "     .      .    6:   line 6\n"
                "     .      .    7:   line 7\n"
                "---\n"
                "   120    120    8:   line 8\n"
                "     .      .    9:   line 9\n"
                "---\n"
                "     .      .   10:   line 10\n"
                "     .      .   11:   line 11\n"
                "     .      .   12:   line 12\n"
                "     .      .   13:   line 13\n"
                "     .      .   14:   line 14\n");
}

/* The source ends with line 17; a stack counts once for a function, however often that is in it. */
static void test_outer(void **state)
{
    (void)state;
    assert_list("^outer$", 1,
                "ROUTINE ====================== outer in @\n"
                "     0    123 Total B (flat / cumulative)\n"
                "     .      .    7:   line 7\n"
                "     .      .    8:   line 8\n"
                "     .      .    9:   line 9\n"
                "     .      .   10:   line 10\n"
                "     .      .   11:   line 11\n"
                "---\n"
                "     .    120   12:   line 12\n"
                "     .     23   13:   line 13\n"
                "     .      .   14:   line 14\n"
                "---\n"
                "     .      .   15:   line 15\n"
                "     .      .   16:   line 16\n"
                "     .      .   17:   line 17\n");
}

static void test_inlined(void **state)
{
    (void)state;
    assert_list("small", 1,
                "ROUTINE ====================== small in @\n"
                "     3     23 Total B (flat / cumulative)\n"
                "     .      .    1:   line 1\n"
                "     .      .    2:   line 2\n"
                "---\n"
                "     3     23    3:   line 3\n"
                "---\n"
                "     .      .    4:   line 4\n"
                "     .      .    5:   line 5\n"
                "     .      .    6:   line 6\n"
                "     .      .    7:   line 7\n"
                "     .      .    8:   line 8\n");
}

static void test_nothing(void **state)
{
    (void)state;
    assert_list("gone", 0, ""); /* its source is not there, which is told on standard error */
    assert_list("nobody", 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf),
        cmocka_unit_test(test_outer),
        cmocka_unit_test(test_inlined),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, open_view, close_view);
}
