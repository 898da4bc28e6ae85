/* test_dump_name.c: goal: names of profiles have prefix, process, sequence, letter and number, in
 * that order; each kind counts for itself.
 * Method: names of all kinds, beside texts made by hand.
 */
#include "unit_check.h"

#include "config/options.h"
#include "profile/dump_file.h"
#include "profile/dump_name.h"

#include <sys/stat.h>

static void expect_name(enum dump_kind kind, const char *start, const char *end)
{
    char path[DUMP_PATH_BYTES];
    char expected[DUMP_PATH_BYTES];
    dump_name_next(kind, path);
    snprintf(expected, sizeof expected, "%s.%d.%s.heap", start, (int)getpid(), end);
    assert_string_equal(path, expected);
}

static void each_kind_counts_for_itself(void **state)
{
    (void)state;
    expect_name(DUMP_MANUAL, "jeprof", "0.m0");
    expect_name(DUMP_INTERVAL, "jeprof", "1.i0");
    expect_name(DUMP_INTERVAL, "jeprof", "2.i1");
    expect_name(DUMP_PEAK, "jeprof", "3.u0");
    expect_name(DUMP_MANUAL, "jeprof", "4.m1");
    expect_name(DUMP_FINAL, "jeprof", "5.f");
    expect_name(DUMP_FINAL, "jeprof", "6.f");
}

static void the_prefix_is_the_options_or_the_programs(void **state)
{
    (void)state;
    char longest[DUMP_PATH_BYTES];
    assert_false(dump_name_is_off());
    assert_true(options_apply("prof_prefix:/tmp/here/x"));
    expect_name(DUMP_PEAK, "/tmp/here/x", "7.u1");
    assert_true(dump_name_set_prefix("./mine"));
    expect_name(DUMP_PEAK, "./mine", "8.u2");
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_false(dump_name_set_prefix(longest));
    expect_name(DUMP_PEAK, "./mine", "9.u3");
    assert_true(dump_name_set_prefix(""));
    assert_true(dump_name_is_off());
    assert_true(dump_name_set_prefix("again"));
    assert_false(dump_name_is_off());
}

static void logs_count_for_themselves(void **state)
{
    (void)state;
    char path[DUMP_PATH_BYTES];
    char expected[DUMP_PATH_BYTES];
    for (unsigned i = 0; i < 3; i++) {
        dump_name_next_log(path);
        snprintf(expected, sizeof expected, "again.%d.%u.json", (int)getpid(), i);
        assert_string_equal(path, expected);
    }
}

static void the_namespace_stands_before_the_process(void **state)
{
    (void)state;
    struct stat status;
    char start[64];
    assert_int_equal(stat("/proc/self/ns/pid", &status), 0);
    snprintf(start, sizeof start, "again.%llu", (unsigned long long)status.st_ino);
    assert_true(options_apply("prof_pid_namespace:true"));
    expect_name(DUMP_MANUAL, start, "10.m2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_counts_for_itself),
        cmocka_unit_test(the_prefix_is_the_options_or_the_programs),
        cmocka_unit_test(logs_count_for_themselves),
        cmocka_unit_test(the_namespace_stands_before_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
