/* test_ctl_prof_dump.c: goal: the control names of written profiles hand down what they are given,
 * or refuse it with the contract's errors.
 * Method: the calls behind the names are made directly, before profiling is open and after; files
 * and flags tell.
 */
#include "upper_floors.h"

#include "control/ctl_values.h"
#include "control/profiling.h"
#include "pages/mapped.h"
#include "profile/dump.h"

static const size_t mib[CTL_DEPTH_MAX];
static char folder[] = "/tmp/test_ctl_prof_dump_XXXXXX";

typedef int (*call)(const size_t *, const struct ctl_buffers *);

static int give(call name, const char *text)
{
    return name(mib, &(struct ctl_buffers){NULL, NULL, &text, sizeof text});
}

static uint64_t read_number(int (*read)(const size_t *, size_t, struct ctl_value *))
{
    struct ctl_value value = {.number = 99};
    assert_int_equal(read(mib, 0, &value), 0);
    return value.number;
}

static void nothing_is_open_before_profiling(void **state)
{
    (void)state;
    bool on = true;
    dump_hook hook = NULL;
    size_t length = sizeof hook;
    assert_int_equal(give(call_prof_dump, "/tmp/x"), ENOENT);
    assert_int_equal(give(call_prof_prefix, "x"), ENOENT);
    assert_int_equal(write_prof_gdump(mib, &on), ENOENT);
    assert_int_equal(read_number(read_prof_gdump), false);
    assert_int_equal(read_number(read_prof_interval), 0);
    struct ctl_buffers buffers = {&hook, &length, NULL, 0};
    assert_int_equal(call_prof_hook_dump(mib, &buffers), 0);
    assert_int_equal(give(call_prof_hook_dump, "x"), ENOENT);
}

static unsigned told;
static void tell(const char *path)
{
    assert_non_null(strstr(path, folder));
    told++;
}

static void hooks_are_read_and_written(void **state)
{
    (void)state;
    dump_hook hook = tell;
    dump_hook before = tell;
    size_t length = sizeof before;
    struct ctl_buffers buffers = {&before, &length, &hook, sizeof hook};
    assert_int_equal(call_prof_hook_dump(mib, &buffers), 0);
    assert_null(before);
    buffers.new_length = 3;
    assert_int_equal(call_prof_hook_dump(mib, &buffers), EINVAL);
    assert_ptr_equal(before, tell);
    length = 3;
    buffers.new_length = sizeof hook;
    hook = NULL;
    assert_int_equal(call_prof_hook_dump(mib, &buffers), EINVAL);
    assert_ptr_equal(dump_hook_now(), tell);
    buffers = (struct ctl_buffers){NULL, NULL, NULL, 0};
    assert_int_equal(call_prof_hook_dump(mib, &buffers), EINVAL);
}

static void profiles_are_written_by_name_and_without(void **state)
{
    (void)state;
    char path[128];
    struct ctl_buffers none = {NULL, NULL, NULL, 0};
    snprintf(path, sizeof path, "%s/a", folder);
    assert_int_equal(give(call_prof_prefix, path), 0);
    assert_int_equal(give(call_prof_dump, path), 0);
    assert_int_equal(told, 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(give(call_prof_dump, NULL), 0);
    assert_int_equal(call_prof_dump(mib, &none), 0);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/a.%d.%u.m%u.heap", folder, (int)getpid(), i, i);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(give(call_prof_dump, folder), EFAULT);
    assert_int_equal(give(call_prof_prefix, NULL), EINVAL);
    assert_int_equal(call_prof_prefix(mib, &none), EINVAL);
    assert_int_equal(give(call_prof_prefix, ""), 0);
    assert_int_equal(give(call_prof_dump, NULL), EFAULT);
    assert_int_equal(told, 3);
    static char much[5000];
    memset(much, 'x', sizeof much - 1);
    assert_int_equal(give(call_prof_prefix, much), EFAULT);
    size_t length = 8;
    struct ctl_buffers reads = {path, &length, much, 8};
    assert_int_equal(call_prof_dump(mib, &reads), EPERM);
    assert_int_equal(call_prof_prefix(mib, &reads), EPERM);
    struct ctl_buffers cut = {NULL, NULL, much, 7};
    assert_int_equal(call_prof_dump(mib, &cut), EINVAL);
    assert_int_equal(call_prof_prefix(mib, &cut), EINVAL);
}

static void peaks_are_watched_or_not(void **state)
{
    (void)state;
    bool on = true;
    assert_int_equal(write_prof_gdump(mib, &on), 0);
    assert_int_equal(read_number(read_prof_gdump), true);
    assert_true(mapped_is_watched());
    on = false;
    assert_int_equal(write_prof_gdump(mib, &on), 0);
    assert_int_equal(read_number(read_prof_gdump), false);
    assert_false(mapped_is_watched());
    assert_true(options_apply("lg_prof_interval:33"));
    assert_int_equal(read_number(read_prof_interval), (uint64_t)1 << 33);
    assert_true(options_apply("lg_prof_interval:-1"));
    assert_int_equal(read_number(read_prof_interval), 0);
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
        cmocka_unit_test_setup(hooks_are_read_and_written, open_profiling),
        cmocka_unit_test(profiles_are_written_by_name_and_without),
        cmocka_unit_test(peaks_are_watched_or_not),
    };
    if (mkdtemp(folder) == NULL) {
        return 2;
    }
    if (!process_start()) {
        return 2;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(folder);
    return failed;
}
