/* test_backtrace_unloaded.c: goal: walks that were begun without the loader know the modules of the
 * process, and libgcc stays out of it.
 * Method: a walk from a function that libc calls, which must pass through libc to main().
 */
#include "unit_check.h"

#include "os/modules.h"
#include "profile/backtrace.h"

#include <dlfcn.h>

enum { FRAMES_MAX = 64 };

static uintptr_t frames[FRAMES_MAX];
static unsigned frame_count;
static uintptr_t return_of_test;

static bool is_libgcc_loaded(void)
{
    return dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_NOLOAD) != NULL;
}

static NOINLINE int compare(const void *a, const void *b)
{
    frame_count = backtrace_take(frames, FRAMES_MAX);
    return (a > b) - (a < b);
}

static void walks_pass_through_libc(void **state)
{
    (void)state;
    int numbers[2] = {2, 1};
    struct os_module own;
    struct os_module libc;
    unsigned own_before = 0;
    unsigned in_libc = 0;
    if (dlsym(RTLD_DEFAULT, "_dl_find_object") == NULL) {
        skip();
    }
    bool was_loaded = is_libgcc_loaded();
    assert_true(backtrace_start_unloaded());
    assert_true(backtrace_start_unloaded());
    assert_int_equal(is_libgcc_loaded(), was_loaded);
    assert_true(os_module_own(&own));
    assert_true(os_module_find((uintptr_t)dlsym(RTLD_DEFAULT, "qsort"), &libc));
    return_of_test = (uintptr_t)__builtin_return_address(0);
    qsort(numbers, 2, sizeof numbers[0], compare);
    for (unsigned i = 0; i < frame_count && frames[i] != return_of_test; i++) {
        own_before += frames[i] >= own.start && frames[i] < own.end;
        in_libc += frames[i] >= libc.start && frames[i] < libc.end;
        EXPECT(i + 1 < frame_count, "the walk of %u frames ends before the test's caller",
               frame_count);
    }
    assert_true(own_before >= 1);
    assert_true(in_libc >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(walks_pass_through_libc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
