/* test_event_hooks.c: goal: places of hooks fill and empty, the modes follow them, and a thread
 * runs no hook within a hook, whatever its front is.
 * Method: hooks are put in and taken out directly; fronts are looked at.
 */
#include "upper_floors.h"

#include "cache/event_hooks.h"
#include "control/statistics.h"

static volatile unsigned calls;
static volatile int last_type;
static volatile uintptr_t last_argument;

static void on_alloc(void *opaque, int type, void *result, uintptr_t raw, uintptr_t *arguments)
{
    assert_ptr_equal(opaque, &calls);
    assert_int_equal((uintptr_t)result, raw);
    calls++;
    last_type = type;
    last_argument = arguments[1];
    arguments[1] = 0;
    errno = EDOM;
}

static void on_free(void *opaque, int type, void *block, uintptr_t *arguments)
{
    assert_ptr_equal(opaque, &calls);
    assert_int_equal((uintptr_t)block, 64);
    calls++;
    last_type = type;
    last_argument = arguments[1];
}

static const struct call_hooks hooks = {(uintptr_t)on_alloc, (uintptr_t)on_free, 0,
                                        (uintptr_t)&calls};

static void *install(void)
{
    lock_acquire(control_lock());
    void *handle = event_hooks_install(&hooks);
    lock_release(control_lock());
    return handle;
}

static bool remove_hooks(const void *handle)
{
    lock_acquire(control_lock());
    bool removed = event_hooks_remove(handle);
    lock_release(control_lock());
    return removed;
}

static void places_fill_and_empty(void **state)
{
    (void)state;
    void *handle[EVENT_HOOKS_MAX];
    uint32_t modes = thread_modes();
    assert_false(event_hooks_are_on());
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        handle[i] = install();
        assert_non_null(handle[i]);
        assert_int_equal(thread_modes(), modes | MODE_CALL_HOOKS);
        assert_true(event_hooks_are_on());
    }
    assert_null(install());
    assert_false(remove_hooks(NULL));
    assert_false(remove_hooks((char *)handle[1] + 1));
    assert_true(remove_hooks(handle[1]));
    assert_true(remove_hooks(handle[1]));
    assert_ptr_equal(install(), handle[1]);
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        assert_true(event_hooks_are_on());
        assert_true(remove_hooks(handle[i]));
    }
    assert_false(event_hooks_are_on());
    assert_int_equal(thread_modes(), modes);
}

static void each_hook_gets_its_own_copy(void **state)
{
    (void)state;
    void *one = install();
    void *two = install();
    struct hooked_call call = {ALLOC_REALLOC, {1, 2}};
    calls = 0;
    errno = EBADF;
    event_hooks_allocated(&call, NULL, 0);
    assert_int_equal(errno, EBADF);
    assert_int_equal(calls, 2);
    assert_int_equal(last_type, ALLOC_REALLOC);
    assert_int_equal(last_argument, 2);
    event_hooks_moved(&call, (void *)(uintptr_t)64, NULL);
    assert_int_equal(calls, 6);
    assert_int_equal(last_type, FREE_REALLOC);
    call.type = ALLOC_RALLOCX;
    event_hooks_moved(&call, (void *)(uintptr_t)64, NULL);
    assert_int_equal(last_type, FREE_RALLOCX);
    assert_int_equal(event_hooks_as_resize(&call).type, RESIZE_RALLOCX);
    event_hooks_resized(&call, (struct resized_block){NULL, 0, 0}, 0); /* That function is NULL. */
    assert_int_equal(calls, 10);
    assert_true(remove_hooks(one));
    assert_true(remove_hooks(two));
    event_hooks_allocated(&call, NULL, 0);
    assert_int_equal(calls, 10);
}

static void no_hook_within_a_hook(void **state)
{
    (void)state;
    void *handle = install();
    calls = 0;
    struct hooked_call call = {ALLOC_MALLOC, {1}};
    assert_true(thread_enter_event());
    assert_false(thread_enter_event());
    event_hooks_allocated(&call, NULL, 0);
    assert_int_equal(calls, 0);
    thread_look_at_modes(); /* Another thread changes the modes meanwhile. */
    thread_leave_event();
    event_hooks_allocated(&call, NULL, 0);
    assert_int_equal(calls, 1);
    void *cache = thread_enter_hook();
    assert_non_null(cache);
    assert_false(thread_enter_event());
    thread_leave_hook(cache);
    assert_true(remove_hooks(handle));
}

static void *stay_uncached(void *opaque)
{
    (void)opaque;
    thread_stay_uncached();
    struct cache_front *exited = thread_front_now();
    assert_true(thread_enter_event());
    assert_ptr_not_equal(thread_front_now(), exited);
    assert_false(thread_enter_event());
    void *block = API(malloc)(100);
    assert_non_null(block);
    API(free)(block);
    thread_leave_event();
    assert_ptr_equal(thread_front_now(), exited);
    return NULL;
}

static void a_thread_without_a_cache_is_told_too(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stay_uncached, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void note_bytes(bool is_alloc, uint64_t allocated, uint64_t freed)
{
    assert_true(is_alloc);
    assert_true(allocated >= freed);
    calls++;
}

/* Last: these hooks stay. */
static void bytes_pass_multiples(void **state)
{
    (void)state;
    struct byte_hook hook = {(uintptr_t)note_bytes, 65536, 1};
    uint32_t modes = thread_modes();
    lock_acquire(control_lock());
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        assert_true(event_hooks_install_for_bytes(&hook));
    }
    assert_false(event_hooks_install_for_bytes(&hook));
    lock_release(control_lock());
    assert_int_equal(thread_modes(), modes | MODE_BYTE_HOOKS);
    struct exact_counters *exact = &thread_own_cache()->exact;
    assert_true((thread_mode() & MODE_EXACT) != 0);
    exact->allocated = 65536;
    calls = 0;
    event_hooks_bytes(1, 65536);
    assert_int_equal(calls, EVENT_HOOKS_MAX);
    exact->allocated = 65537;
    event_hooks_bytes(1, 0);
    assert_int_equal(calls, EVENT_HOOKS_MAX);
    exact->allocated = 65000;
    event_hooks_bytes(65001, 0); /* more than is known of */
    assert_int_equal(calls, EVENT_HOOKS_MAX);
    exact->allocated = 4 * 65536;
    event_hooks_bytes(3 * 65536, 0);
    assert_int_equal(calls, 2 * EVENT_HOOKS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_fill_and_empty),
        cmocka_unit_test(each_hook_gets_its_own_copy),
        cmocka_unit_test(no_hook_within_a_hook),
        cmocka_unit_test(a_thread_without_a_cache_is_told_too),
        cmocka_unit_test(bytes_pass_multiples),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
