/* test_jeprof_session.c: goal: the lines of a session mean what upstream's script takes them for,
 * and a number of rows, a file, a name on a server are told from other words. Method: one line
 * each, every field of what it means.
 */
#include "remote.h"
#include "session_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_symbols.h"

static struct text_pool pool;

static struct session_command read_line(const char *line)
{
    return session_command_read(line, &pool);
}

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(read_line("").kind, COMMAND_NONE);
    assert_int_equal(read_line(" \t ").kind, COMMAND_NONE);
    assert_int_equal(read_line("quit").kind, COMMAND_QUIT);
    assert_int_equal(read_line("  exit  ").kind, COMMAND_QUIT);
    assert_int_equal(read_line("help").kind, COMMAND_HELP);
    static const char *const unknown[] = {"peek", "tops", "top1x", "lis", "list3", "topp", "10"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        assert_int_equal(read_line(unknown[i]).kind, COMMAND_UNKNOWN);
    }
}

static void test_top(void **state)
{
    (void)state;
    struct session_command command = read_line("top");
    assert_int_equal(command.kind, COMMAND_REPORT);
    assert_int_equal(command.output, OUTPUT_TEXT);
    assert_int_equal(command.row_count, 10);
    assert_false(command.sorts_cumulative);
    assert_null(command.focused);
    assert_null(command.ignored);
    assert_null(command.path);
    assert_int_equal(read_line("top37").row_count, 37);
    assert_int_equal(read_line("top 5").row_count, 5);
    assert_int_equal(read_line("text").row_count, 0);
    command = read_line("top3 --cum one -two three -four");
    assert_int_equal(command.row_count, 3);
    assert_true(command.sorts_cumulative);
    assert_string_equal(command.focused, "one|three");
    assert_string_equal(command.ignored, "two|four");
}

static void test_patterns_and_files(void **state)
{
    (void)state;
    struct session_command command = read_line("list main -leaf other");
    assert_int_equal(command.output, OUTPUT_LIST);
    assert_string_equal(command.pattern, "main");
    assert_string_equal(command.focused, "other");
    assert_string_equal(command.ignored, "leaf");
    assert_string_equal(read_line("disasm").pattern, ".");
    assert_null(read_line("top main").pattern);
    command = read_line("svg main > /a/b");
    assert_int_equal(command.output, OUTPUT_SVG);
    assert_string_equal(command.path, "/a/b");
    assert_string_equal(command.focused, "main");
    assert_string_equal(read_line("top >x").path, "x");
    command = read_line("callgrind out.cg");
    assert_int_equal(command.output, OUTPUT_CALLGRIND);
    assert_string_equal(command.path, "out.cg");
    assert_null(command.focused);
}

/* Every name of the list is a command. */
static void test_names(void **state)
{
    (void)state;
    size_t count = 0;
    for (const char *name; (name = session_command_name(count)) != NULL; count++) {
        assert_int_not_equal(read_line(name).kind, COMMAND_UNKNOWN);
    }
    assert_true(count >= 17);
}

static void test_remote_names(void **state)
{
    (void)state;
    static const char *const remote[] = {"http://h/pprof/heap", "https://h", "h:80", "h:80/",
                                         "10.0.0.1:8080/pprof/heap"};
    static const char *const local[] = {"a.heap", "/h:80",  "h:",  "h:80x",
                                        ":80",    "./h:80", "h:x", "dir/h:80/x"};
    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++) {
        assert_true(remote_is_name(remote[i]));
    }
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        assert_false(remote_is_name(local[i]));
    }
}

static int close_pool(void **state)
{
    (void)state;
    text_pool_close(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_top),
        cmocka_unit_test(test_patterns_and_files),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_remote_names),
    };
    return cmocka_run_group_tests(tests, NULL, close_pool);
}
