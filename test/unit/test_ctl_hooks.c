/* test_ctl_hooks.c: goal: the control names that take functions hand them down, or refuse and
 * change nothing.
 * Method: the calls behind the names are made directly; the modes and what a mistake does tell.
 */
#include "upper_floors.h"

#include "base/mistake.h"
#include "cache/event_hooks.h"
#include "control/ctl_values.h"

static const size_t mib[CTL_DEPTH_MAX];

static int give(int (*call)(const size_t *, const struct ctl_buffers *), const void *value,
                size_t size_bytes)
{
    return call(mib, &(struct ctl_buffers){NULL, NULL, value, size_bytes});
}

static void hooks_of_calls(void **state)
{
    (void)state;
    struct call_hooks hooks = {0, 0, 0, 0};
    void *handle = NULL;
    size_t length = sizeof handle;
    struct ctl_buffers buffers = {&handle, &length, &hooks, sizeof hooks};
    assert_int_equal(call_hook_install(mib, &buffers), 0);
    assert_non_null(handle);
    assert_int_equal(thread_modes() & MODE_CALL_HOOKS, MODE_CALL_HOOKS);
    assert_int_equal(give(call_hook_install, &hooks, sizeof hooks), EINVAL);
    assert_int_equal(call_hook_remove(mib, &buffers), EPERM);
    assert_int_equal(give(call_hook_remove, &handle, 3), EINVAL);
    void *other = &handle;
    assert_int_equal(give(call_hook_remove, &other, sizeof other), EINVAL);
    assert_int_equal(give(call_hook_remove, &handle, sizeof handle), 0);
    assert_int_equal(thread_modes() & MODE_CALL_HOOKS, 0);
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        assert_int_equal(call_hook_install(mib, &buffers), 0);
    }
    void *last = handle;
    assert_int_equal(call_hook_install(mib, &buffers), EAGAIN);
    assert_ptr_equal(handle, last);
}

static void hooks_of_bytes(void **state)
{
    (void)state;
    struct byte_hook hook = {0, 100, 0};
    assert_int_equal(give(call_hook_bytes, &hook, sizeof hook), EINVAL);
    hook = (struct byte_hook){(uintptr_t)abort, 0, 0};
    assert_int_equal(give(call_hook_bytes, &hook, sizeof hook), EINVAL);
    assert_int_equal(give(call_hook_bytes, &hook, sizeof hook - 1), EINVAL);
    assert_int_equal(thread_modes() & MODE_BYTE_HOOKS, 0);
    hook.interval_bytes = UINT64_MAX;
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        assert_int_equal(give(call_hook_bytes, &hook, sizeof hook), 0);
    }
    assert_int_equal(give(call_hook_bytes, &hook, sizeof hook), EAGAIN);
    assert_int_equal(thread_modes() & MODE_BYTE_HOOKS, MODE_BYTE_HOOKS);
}

static volatile unsigned mistakes;

static void count_mistake(const char *text)
{
    assert_string_equal(text, "one\n");
    /* It runs with the thread's cache out of reach. */
    assert_null(thread_cache());
    mistakes++;
}

static void hook_of_mistakes(void **state)
{
    (void)state;
    mistake_hook hook = count_mistake;
    assert_int_equal(give(call_hook_mistakes, NULL, 0), 0);
    assert_int_equal(give(call_hook_mistakes, &hook, 1), EINVAL);
    assert_int_equal(give(call_hook_mistakes, &hook, sizeof hook), 0);
    mistake("one");
    assert_int_equal(mistakes, 1);
    assert_non_null(thread_cache());
    hook = NULL;
    assert_int_equal(give(call_hook_mistakes, &hook, sizeof hook), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hooks_of_calls),
        cmocka_unit_test(hooks_of_bytes),
        cmocka_unit_test(hook_of_mistakes),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
