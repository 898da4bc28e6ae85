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

static void test_pictures(void **state)
{
    struct jeprof_options options = read_line("--gif a.heap");
    (void)state;
    assert_int_equal(options.output, OUTPUT_GIF);
    assert_int_equal(options.dot.graph.node_count, 80);
    assert_true(options.dot.graph.node_part == .005 && options.dot.graph.edge_part == .001);
    assert_int_equal(options.dot.graph.degree, 8);
    assert_false(options.dot.marks_own || options.is_interactive);
    assert_int_equal(options.seconds, 30);
    jeprof_options_close(&options);
    options =
        read_line("--nodecount=3 --nodefraction=.25 --edgefraction=1 --maxdegree=0 --heapcheck "
                  "--tools=objdump:/o,/p --scale=2 --seconds=7 --evince a.heap");
    assert_int_equal(options.output, OUTPUT_EVINCE);
    assert_int_equal(options.dot.graph.node_count, 3);
    assert_true(options.dot.graph.node_part == .25 && options.dot.graph.edge_part == 1);
    assert_int_equal(options.dot.graph.degree, 0);
    assert_true(options.dot.marks_own);
    assert_string_equal(options.picture.tools, "objdump:/o,/p");
    assert_string_equal(options.picture.scale, "2");
    assert_int_equal(options.seconds, 7);
    jeprof_options_close(&options);
}

/* Options may be cut short as long as one alone begins so. */
static void test_short_names(void **state)
{
    struct jeprof_options options = read_line("--dis=x -show --inter a.heap");
    (void)state;
    assert_int_equal(options.output, OUTPUT_DISASM);
    assert_string_equal(options.pattern, "x");
    assert_true(options.report.shows_bytes && options.is_interactive);
    jeprof_options_close(&options);
    options = read_line("--dot a.heap"); /* whole, though others could begin so */
    assert_int_equal(options.output, OUTPUT_DOT);
    jeprof_options_close(&options);
    options = read_line("--symbol a.heap"); /* --symbolize is none of the script's */
    assert_int_equal(options.output, OUTPUT_SYMBOLS);
    jeprof_options_close(&options);
    options = read_line("--json -alloc_space a.heap");
    assert_int_equal(options.output, OUTPUT_JSON);
    jeprof_options_close(&options);
    options = read_line("--jso a.heap");
    assert_int_equal(options.action, ACTION_REFUSE);
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
        {"--contentions a.heap", "--total_delay, --contentions and --mean_delay are for"},
        {"--text -web a.heap", "only one of the options for reports"},
        {"--nodecount=x a.heap", "--nodecount=x: this is no number"},
        {"--nodefraction=1.5 a.heap", "--nodefraction=1.5: this is no number from 0 to 1"},
        {"--edgefraction= a.heap", "--edgefraction=: this is no number from 0 to 1"},
        {"--maxdegree=-1 a.heap", "--maxdegree=-1: this is no number"},
        {"--thread=99999999999999999999 a.heap", "--thread=99999999999999999999: this is no"},
        {"--in a.heap", "--in: unknown option"}, /* begins three */
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
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_each_kind_of_option),
        cmocka_unit_test(test_pictures), cmocka_unit_test(test_short_names),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
