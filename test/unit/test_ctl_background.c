/* test_ctl_background.c: goal: background_thread and max_background_threads are checked as the
 * contract lists it, turn threads on and off, and say so when no thread can be made.
 * Method: the numbers that helper.h tells are compared; a child process in which the kernel
 * refuses threads tries.
 */
#include "upper_floors.h"

#include "refused_calls.h"

#include "cache/helper.h"
#include "config/options.h"
#include "control/ctl.h"

#include <stddef.h>

static int call(const char *name, void *old, size_t *old_length, const void *new, size_t new_length)
{
    size_t mib[CTL_DEPTH_MAX];
    size_t length = CTL_DEPTH_MAX;
    CHILD_EXPECT(ctl_start());
    CHILD_EXPECT(ctl_name_to_mib(name, mib, &length) == 0);
    struct ctl_buffers buffers = {old, old_length, new, new_length};
    return ctl_by_mib(mib, length, &buffers);
}

static int turn(bool on)
{
    return call("background_thread", NULL, NULL, &on, sizeof on);
}

static void it_is_turned_on_and_off(void **state)
{
    (void)state;
    bool before = true;
    bool on = true;
    size_t length = sizeof before;
    assert_int_equal(call("background_thread", &before, &length, &on, sizeof on), 0);
    assert_false(before);
    assert_true(helper_is_background());
    assert_int_equal(helper_statistics().count, 1);
    assert_int_equal(call("background_thread", &before, &length, NULL, 0), 0);
    assert_true(before);
    assert_int_equal(turn(false), 0);
    assert_false(helper_is_background());
    assert_int_equal(helper_statistics().count, 0);
    assert_int_equal(call("background_thread", NULL, NULL, &on, 2), EINVAL);
}

static void the_limit_is_checked(void **state)
{
    (void)state;
    size_t before = 0;
    size_t length = sizeof before;
    for (size_t limit = HELPERS_MAX; limit >= 1; limit--) {
        assert_int_equal(call("max_background_threads", NULL, NULL, &limit, sizeof limit), 0);
        assert_int_equal(call("max_background_threads", &before, &length, NULL, 0), 0);
        assert_int_equal(before, limit);
        assert_int_equal(helper_limit(), limit);
    }
    const size_t bad[] = {0, HELPERS_MAX + 1, SIZE_MAX};
    for (unsigned i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(call("max_background_threads", NULL, NULL, &bad[i], sizeof bad[i]),
                         EINVAL);
        assert_int_equal(helper_limit(), 1);
    }
    options.max_background_threads = 2;
    size_t limit = 3;
    assert_int_equal(call("max_background_threads", NULL, NULL, &limit, sizeof limit), EINVAL);
    limit = 2;
    assert_int_equal(call("max_background_threads", NULL, NULL, &limit, sizeof limit), 0);
    options.max_background_threads = HELPERS_MAX;
}

static void try_without_threads(void *unused)
{
    (void)unused;
    refuse_threads();
    errno = 4242;
    CHILD_EXPECT(turn(true) == EFAULT);
    CHILD_EXPECT(errno == 4242);
    CHILD_EXPECT(!helper_is_background());
    CHILD_EXPECT(helper_statistics().count == 0);
    CHILD_EXPECT(turn(false) == 0);
}

static void a_refused_thread_is_told(void **state)
{
    (void)state;
    char text[2048];
    int status = run_child(try_without_threads, NULL, text, sizeof text);
    skip_unless_refused(status);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x, text \"%s\"",
           (unsigned)status, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_turned_on_and_off),
        cmocka_unit_test(the_limit_is_checked),
        cmocka_unit_test(a_refused_thread_is_told),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
