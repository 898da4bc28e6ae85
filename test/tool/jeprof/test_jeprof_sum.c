/* test_jeprof_sum.c: goal: profiles add up and subtract by stack, thread and process.
 * Method: small profiles of one process and of two, counted before and after.
 */
#include "profile_sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAPPINGS "MAPPED_LIBRARIES:\n1000-2000 r-xp 0 0 0 /bin/p\n5000-6000 rw-p 0 0 0\n"

static struct profile sum;

static void add(const char *text, double factor)
{
    struct profile part;
    struct profile_error error;
    if (!profile_parse(&part, text, strlen(text), "a.heap", &error)) {
        fail_msg("%s", error.text);
    }
    profile_add(&sum, &part, factor);
    profile_close(&part);
}

static int close_sum(void **state)
{
    (void)state;
    profile_close(&sum);
    return 0;
}

static void test_stacks_and_threads_add_up(void **state)
{
    (void)state;
    add("heap_v2/8\n  t1: 1: 1 [1: 1]\n@ 0x1\n  t*: 1: 10 [2: 20]\n  t1: 1: 10 [2: 20]\n"
        "@ 0x1 0x2\n  t*: 1: 1 [1: 1]\n@ 0x1\n  t*: 5: 50 [6: 60]\n" MAPPINGS,
        1);
    add("heap_v2/8\n  t1: 1: 1 [1: 1] name\n@ 0x1\n  t*: 3: 30 [4: 40]\n"
        "  t2: 3: 30 [4: 40]\n" MAPPINGS,
        1);
    profile_merge(&sum);
    assert_int_equal(sum.kind, PROFILE_HEAP_V2);
    assert_int_equal(sum.source_count, 1);
    assert_int_equal(sum.sources[0].mapping_count, 2);
    assert_int_equal(sum.sample_count, 4); /* t1, t2, and two stacks of all */
    assert_int_equal(sum.samples[0].thread, 1);
    assert_int_equal(sum.samples[1].thread, 2);
    const struct profile_counts *counts = &sum.samples[2].counts;
    assert_int_equal((int)counts->live_objects, 9);
    assert_int_equal((int)counts->live_bytes, 90);
    assert_int_equal((int)counts->total_objects, 12);
    assert_int_equal((int)counts->total_bytes, 120);
    assert_int_equal(sum.samples[3].depth, 2);
    assert_int_equal(sum.thread_count, 1);
    assert_string_equal(sum.threads[0].name, "name");
}

static void test_subtraction(void **state)
{
    (void)state;
    add("heap_v2/8\n@ 0x1\n  t*: 1: 10 [2: 20]\n" MAPPINGS, 1);
    add("heap_v2/8\n@ 0x1\n  t*: 3: 31 [4: 42]\n@ 0x9\n  t*: 1: 1 [1: 1]\n" MAPPINGS, -1);
    profile_merge(&sum);
    assert_int_equal(sum.sample_count, 2);
    assert_int_equal((int)sum.samples[0].counts.live_bytes, -21);
    assert_int_equal((int)sum.samples[1].counts.total_objects, -1);
}

/* A library that was loaded between two dumps of a process is known afterwards. */
static void test_mappings_of_one_process_join(void **state)
{
    (void)state;
    add("heap_v2/8\n" MAPPINGS, 1);
    add("heap_v2/8\n" MAPPINGS "3000-4000 r-xp 0 0 0 /lib/late.so\n5800-7000 rw-p 0 0 0\n", 1);
    assert_int_equal(sum.source_count, 1);
    assert_int_equal(sum.sources[0].mapping_count, 3);
    assert_string_equal(sum.sources[0].mappings[1].path, "/lib/late.so");
}

static void test_other_processes_stay_apart(void **state)
{
    static const char *const others[] = {
        "heap_v2/8\n@ 0x1\n  t*: 1: 1 [1: 1]\nMAPPED_LIBRARIES:\n1000-2000 r-xp 0 0 0 /bin/q\n",
        "heap_v2/8\n@ 0x1\n  t*: 1: 1 [1: 1]\nMAPPED_LIBRARIES:\n1000-2000 r-xp 1000 0 0 /bin/p\n",
        "heap_v2/8\n@ 0x1\n  t*: 1: 1 [1: 1]\nMAPPED_LIBRARIES:\n8000-9000 r-xp 0 0 0 /bin/p\n",
    };
    (void)state;
    add("heap_v2/8\n@ 0x1\n  t*: 1: 10 [2: 20]\n" MAPPINGS, 1);
    for (size_t i = 0; i < 3; i++) {
        add(others[i], 1);
    }
    profile_merge(&sum);
    /* The last shares no code with the first, nor with the second. */
    assert_int_equal(sum.source_count, 4);
    assert_int_equal(sum.sample_count, 4);
}

static void test_names_join(void **state)
{
    (void)state;
    add("--- symbol\nbinary=p\n0x1 a\n---\n--- heap\nheap_v2/8\n", 1);
    add("--- symbol\nbinary=q\n0x2 b\n---\n--- heap\nheap_v2/8\n", 1);
    assert_int_equal(sum.source_count, 1);
    assert_string_equal(sum.sources[0].program, "p");
    assert_string_equal(profile_symbol(&sum, 0, 1), "a");
    assert_string_equal(profile_symbol(&sum, 0, 2), "b");
}

static void test_nothing(void **state)
{
    (void)state;
    profile_merge(&sum);
    add("heap_v2/8\n", 1);
    profile_merge(&sum);
    assert_int_equal(sum.sample_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_stacks_and_threads_add_up, close_sum),
        cmocka_unit_test_teardown(test_subtraction, close_sum),
        cmocka_unit_test_teardown(test_mappings_of_one_process_join, close_sum),
        cmocka_unit_test_teardown(test_other_processes_stay_apart, close_sum),
        cmocka_unit_test_teardown(test_names_join, close_sum),
        cmocka_unit_test_teardown(test_nothing, close_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
