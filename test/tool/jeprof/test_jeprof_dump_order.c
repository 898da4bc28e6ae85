/* test_jeprof_dump_order.c: goal: dumps of one process come in the order of their numbers, all
 * others as they were given.
 * Method: lists of names, sorted.
 */
#include "dump_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_order(const char *names[3], const char *const expected[3])
{
    dump_order_sort(names, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(names[i], expected[i]);
    }
}

static void test_numbers(void **state)
{
    const char *names[] = {"/t/a.b.7.0.m0.heap", "/t/a.b.7.10.i4.heap", "/t/a.b.7.2.f.heap"};
    (void)state;
    assert_order(names, (const char *const[]){"/t/a.b.7.0.m0.heap", "/t/a.b.7.2.f.heap",
                                              "/t/a.b.7.10.i4.heap"});
    const char *empty[] = {".7.3.u1.heap", ".7.2.u0.heap", ".7.1.m2.heap"};
    assert_order(empty, (const char *const[]){".7.1.m2.heap", ".7.2.u0.heap", ".7.3.u1.heap"});
}

static void test_other_names_stay(void **state)
{
    static const char *const lists[][3] = {
        {"a.7.3.f.heap", "a.8.2.f.heap", "a.7.1.f.heap"}, /* two processes */
        {"a.7.3.f.heap", "b.7.2.f.heap", "a.7.1.f.heap"}, /* two prefixes */
        {"a.7.3.f.heap", "before", "a.7.1.f.heap"},
        {"a.7.3.f.heap", "a.x.2.f.heap", "a.7.1.f.heap"},
        {"a.7.x.f.heap", "a.7.2.f.heap", "a.7.1.f.heap"},
        {"a.7..f.heap", "a.7.2.f.heap", "a.7.1.f.heap"},
        {"a.7.3.f.dump", "a.7.2.f.dump", "a.7.1.f.dump"},
        {"heap", ".heap", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const char *names[] = {lists[i][0], lists[i][1], lists[i][2]};
        assert_order(names, lists[i]);
    }
    dump_order_sort(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_other_names_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
