/* test_jeprof_options.c: goal: each option sets what it names and nothing else, and a command line
 * is refused for the right reason.
 * Method: command lines, and all that was read of them.
 */
#include "jeprof_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS_MAX = 32 };

/* Reads "WORD WORD ..." as what follows the program's name. */
static struct jeprof_options read_line(const char *line)
{
    static char copy[512];
    char *words[WORDS_MAX + 1] = {(char *)(uintptr_t) "jeprof"};
    int count = 1;
    struct jeprof_options options;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL && count < WORDS_MAX;
         word = strtok(NULL, " ")) {
        words[count++] = word;
    }
    jeprof_options_read(&options, count, words);
    return options;
}

static void test_defaults(void **state)
{
    struct jeprof_options options = read_line("a.heap");
    (void)state;
    assert_int_equal(options.action, ACTION_REPORT);
    assert_int_equal(options.output, OUTPUT_TEXT);
    assert_int_equal(options.view.measure, VIEW_LIVE_SPACE);
    assert_int_equal(options.report.granularity, REPORT_FUNCTIONS);
    assert_true(options.view.thread == PROFILE_ALL_THREADS);
    assert_false(options.report.shows_bytes || options.report.sorts_cumulative);
    assert_null(options.base);
    assert_null(options.view.focused);
    assert_string_equal(options.arguments[0], "a.heap");
    assert_null(options.arguments[1]);
    jeprof_options_close(&options);
}

static void test_each_kind_of_option(void **state)
{
    struct jeprof_options options =
        read_line("--cum -show_bytes --drop_negative --base=b --thread=12 --focus f --ignore=i "
                  "--retain=r --exclude=e --lib_prefix=/a,/b --add_lib=x --add_lib y "
                  "--alloc_objects -addresses --collapsed program a.heap");
    (void)state;
    assert_int_equal(options.action, ACTION_REPORT);
    assert_true(options.report.sorts_cumulative && options.report.shows_bytes);
    assert_true(options.view.drops_negative);
    assert_string_equal(options.base, "b");
    assert_int_equal(options.view.thread, 12);
    assert_int_equal(options.report.thread, 12);
    assert_string_equal(options.view.focused, "f");
    assert_string_equal(options.view.ignored, "i");
    assert_string_equal(options.view.retained, "r");
    assert_string_equal(options.view.excluded, "e");
    assert_string_equal(options.symbols.library_prefixes, "/a,/b");
    assert_int_equal(options.symbols.added_library_count, 2);
    assert_string_equal(options.symbols.added_libraries[1], "y");
    assert_int_equal(options.view.measure, VIEW_TOTAL_OBJECTS);
    assert_int_equal(options.report.granularity, REPORT_ADDRESSES);
    assert_int_equal(options.output, OUTPUT_COLLAPSED);
    assert_string_equal(options.arguments[1], "a.heap");
    jeprof_options_close(&options);
    options = read_line("--diff_base=c a.heap"); /* and nothing is left of the line before */
    assert_string_equal(options.base, "c");
    assert_null(options.view.focused);
    assert_false(options.report.shows_bytes);
    jeprof_options_close(&options);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"--text", "no profile is named"},
        {"--nothing a.heap", "--nothing: unknown option"},
        {"--text --raw a.heap", "only one of the options for reports"},
        {"--pdf a.heap", "not available in this build: --pdf"},
        {"--text -web a.heap", "not available in this build: --web"},
        {"--list=main a.heap", "not available in this build: --list"},
        {"--thread=-1 a.heap", "--thread=-1: this is no number"},
        {"a.heap --focus", "--focus: missing argument"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jeprof_options options = read_line(cases[i].line);
        assert_int_equal(options.action, ACTION_REFUSE);
        if (strncmp(options.message, cases[i].message, strlen(cases[i].message)) != 0) {
            fail_msg("%s: \"%s\"", cases[i].line, options.message);
        }
        jeprof_options_close(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_each_kind_of_option),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
