/* test_modules.c: goal: the module of an address is found, with its range, its unwind index and an
 * identity of its own; what can be read is told from what cannot; errno stays.
 * Method: addresses of the program, of libc, of the stack and of libraries that come and go; pages
 * with each protection.
 */
#include "unit_check.h"

#include "os/modules.h"
#include "os/os.h"

#include <dlfcn.h>

static void expect_inside(const struct os_module *module, uintptr_t address)
{
    assert_true(module->start <= address);
    assert_true(address < module->end);
    assert_non_null(module->frame_index);
    assert_int_equal(module->frame_index[0], 1);
    assert_true((uintptr_t)module->frame_index > module->start);
    assert_true((uintptr_t)module->frame_index < module->end);
    assert_int_not_equal(module->identity, 0);
}

static void test_own_module(void **state)
{
    (void)state;
    struct os_module own;
    assert_true(os_module_own(&own));
    expect_inside(&own, (uintptr_t)test_own_module);
    Dl_info info;
    assert_int_not_equal(dladdr((void *)(uintptr_t)test_own_module, &info), 0);
    assert_int_equal(own.start, (uintptr_t)info.dli_fbase);
}

/* Before the start, and where libc has no function for it, other modules are not known. */
static void test_before_start(void **state)
{
    (void)state;
    struct os_module module;
    assert_true(os_module_find((uintptr_t)test_before_start, &module));
    assert_false(os_module_find((uintptr_t)dlsym(RTLD_DEFAULT, "qsort"), &module));
}

/* Without the loader, and without its lock. */
static void test_start_unloaded(void **state)
{
    (void)state;
    bool has_finder = dlsym(RTLD_DEFAULT, "_dl_find_object") != NULL;
    struct os_module libc;
    uintptr_t address = (uintptr_t)dlsym(RTLD_DEFAULT, "qsort");
    errno = 77;
    assert_false(os_modules_are_one());
    assert_int_equal(os_modules_start_unloaded(), has_finder);
    assert_int_equal(os_module_find(address, &libc), has_finder);
    if (has_finder) {
        expect_inside(&libc, address);
    }
    assert_int_equal(errno, 77);
}

static void test_find(void **state)
{
    (void)state;
    errno = 77;
    os_modules_start();
    assert_int_equal(errno, 77);
    struct os_module mine;
    struct os_module own;
    assert_true(os_module_find((uintptr_t)test_find, &mine));
    expect_inside(&mine, (uintptr_t)test_find);
    assert_true(os_module_own(&own));
    assert_ptr_equal(own.frame_index, mine.frame_index);
    int local = 0;
    assert_false(os_module_find((uintptr_t)&local, &mine));
    assert_false(os_module_find(0, &mine));
    assert_int_equal(errno, 77);
    if (dlsym(RTLD_DEFAULT, "_dl_find_object") != NULL) {
        struct os_module libc;
        uintptr_t address = (uintptr_t)dlsym(RTLD_DEFAULT, "qsort");
        assert_true(os_module_find(address, &libc));
        expect_inside(&libc, address);
        assert_int_not_equal(libc.identity, mine.identity);
    }
}

static void test_unwinder(void **state)
{
    (void)state;
    errno = 77;
    void *walk = os_unwinder_find("_Unwind_Backtrace");
    assert_non_null(walk);
    Dl_info info;
    assert_int_not_equal(dladdr(walk, &info), 0);
    assert_non_null(strstr(info.dli_fname, "libgcc_s"));
    assert_null(os_unwinder_find("no_such_function"));
    assert_int_equal(errno, 77);
}

static void test_readable(void **state)
{
    (void)state;
    os_start();
    char *page =
        mmap(NULL, os_page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    static const int protections[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE};
    errno = 77;
    for (uint32_t value = 0; value < 3; value++) {
        for (unsigned i = 0; i < sizeof protections / sizeof protections[0]; i++) {
            assert_int_equal(mprotect(page, os_page_bytes, PROT_READ | PROT_WRITE), 0);
            memcpy(page + os_page_bytes - 4, &value, 4);
            assert_int_equal(mprotect(page, os_page_bytes, protections[i]), 0);
            assert_int_equal(os_is_readable((uintptr_t)page + os_page_bytes - 4),
                             protections[i] != PROT_NONE);
        }
    }
    assert_int_equal(munmap(page, os_page_bytes), 0);
    assert_false(os_is_readable((uintptr_t)page));
    assert_false(os_is_readable(0));
    assert_false(os_is_readable(~(uintptr_t)7));
    assert_int_equal(errno, 77);
}

static void test_first_stack(void **state)
{
    (void)state;
    int local = 0;
    uintptr_t end = os_first_stack_end();
    assert_true(end > (uintptr_t)&local);
    assert_true(end > (uintptr_t)environ);
    assert_true(end - (uintptr_t)environ < 1 << 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_module),     cmocka_unit_test(test_before_start),
        cmocka_unit_test(test_start_unloaded), cmocka_unit_test(test_find),
        cmocka_unit_test(test_unwinder),       cmocka_unit_test(test_readable),
        cmocka_unit_test(test_first_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
