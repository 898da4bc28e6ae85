/* test_ctl_prof_recent.c: goal: the control names of the log and of recent samples hand down what
 * they are given, or refuse it with the contract's errors.
 * Method: the calls behind the names are made directly, before profiling is open and after.
 */
#include "upper_floors.h"

#include "control/ctl_values.h"
#include "control/profiling.h"
#include "profile/recent.h"
#include "profile/sample_log.h"

static const size_t mib[CTL_DEPTH_MAX];
static char path[] = "/tmp/test_ctl_prof_recent_XXXXXX";
static char text[4096];

static void append(void *opaque, const char *piece)
{
    assert_ptr_equal(opaque, text);
    strncat(text, piece, sizeof text - 1 - strlen(text));
}

static struct {
    print_sink sink;
    void *opaque;
} target = {append, text};

static int give(int (*call)(const size_t *, const struct ctl_buffers *), void *value, size_t size)
{
    return call(mib, &(struct ctl_buffers){NULL, NULL, value, size});
}

static void nothing_is_open_before_profiling(void **state)
{
    (void)state;
    int64_t max = 1;
    assert_int_equal(give(call_prof_log_start, NULL, 0), ENOENT);
    assert_int_equal(give(call_prof_log_stop, NULL, 0), ENOENT);
    assert_int_equal(give(call_recent_max, &max, sizeof max), ENOENT);
    assert_int_equal(give(call_recent_dump, &target, sizeof target), ENOENT);
    assert_string_equal(text, "");
}

static void the_limit_is_read_and_written(void **state)
{
    (void)state;
    int64_t max = 7;
    int64_t before = 99;
    size_t length = sizeof before;
    struct ctl_buffers both = {&before, &length, &max, sizeof max};
    assert_int_equal(call_recent_max(mib, &both), 0);
    assert_int_equal(before, 0);
    assert_int_equal(recent_max(), 7);
    struct ctl_buffers reads = {&before, &length, NULL, 0};
    assert_int_equal(call_recent_max(mib, &reads), 0);
    assert_int_equal(before, 7);
    max = -2;
    assert_int_equal(call_recent_max(mib, &both), EINVAL);
    both.new_length = 4;
    assert_int_equal(call_recent_max(mib, &both), EINVAL);
    assert_int_equal(recent_max(), 7);
    length = 4;
    assert_int_equal(call_recent_max(mib, &reads), EINVAL);
}

static void the_list_goes_to_who_asks(void **state)
{
    (void)state;
    int64_t max = -1;
    size_t length = sizeof max;
    assert_int_equal(give(call_recent_max, &max, sizeof max), 0);
    assert_int_equal(give(call_recent_dump, &target, sizeof target), 0);
    assert_string_equal(text,
                        "{\"sample_interval\":524288,\"recent_alloc_max\":-1,\"recent_alloc\":[]}");
    assert_int_equal(give(call_recent_dump, &target, sizeof target - 1), EINVAL);
    assert_int_equal(give(call_recent_dump, NULL, 0), EINVAL);
    struct ctl_buffers reads = {&max, &length, &target, sizeof target};
    assert_int_equal(call_recent_dump(mib, &reads), EPERM);
}

static void logs_begin_and_end(void **state)
{
    (void)state;
    const char *name = path;
    size_t length = sizeof name;
    struct ctl_buffers reads = {&name, &length, NULL, 0};
    assert_int_equal(give(call_prof_log_stop, NULL, 0), EFAULT);
    assert_int_equal(call_prof_log_start(mib, &reads), EPERM);
    assert_int_equal(give(call_prof_log_start, &name, 4), EINVAL);
    assert_false(sample_log_wants());
    assert_int_equal(give(call_prof_log_start, &name, sizeof name), 0);
    assert_true(sample_log_wants());
    assert_int_equal(give(call_prof_log_start, &name, sizeof name), EFAULT);
    assert_int_equal(call_prof_log_stop(mib, &reads), EPERM);
    assert_int_equal(give(call_prof_log_stop, &name, sizeof name), EPERM);
    assert_true(sample_log_wants());
    assert_int_equal(give(call_prof_log_stop, NULL, 0), 0);
    assert_false(sample_log_wants());
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    assert_non_null(strstr(text, ",\"allocations\":[]}"));
    (void)fclose(file);
    assert_int_equal(unlink(path), 0);
}

static int open_profiling(void **state)
{
    (void)state;
    profiling_prepare();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_open_before_profiling),
        cmocka_unit_test_setup(the_limit_is_read_and_written, open_profiling),
        cmocka_unit_test(the_list_goes_to_who_asks),
        cmocka_unit_test(logs_begin_and_end),
    };
    int file = mkstemp(path);
    if (file < 0 || close(file) != 0 || !process_start()) {
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
