/* test_jeprof_unsample.c: goal: sampled counts are scaled to the digit as the script scales them.
 * Method: counts of profiles with each kind, and what the script printed for them, and counts that
 * have no mean.
 */
#include "unsample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_scaled(enum profile_kind kind, uint64_t period, double objects, double bytes,
                          struct profile_counts expected)
{
    struct profile_counts sampled = {objects, bytes, 2 * objects, 4 * bytes};
    struct profile_counts counts = unsample(sampled, kind, period);
    assert_int_equal((int64_t)counts.live_objects, (int64_t)expected.live_objects);
    assert_int_equal((int64_t)counts.live_bytes, (int64_t)expected.live_bytes);
    assert_int_equal((int64_t)counts.total_objects, (int64_t)expected.total_objects);
    assert_int_equal((int64_t)counts.total_bytes, (int64_t)expected.total_bytes);
}

static void test_each_kind(void **state)
{
    (void)state;
    assert_scaled(PROFILE_HEAP_V2, 1024, 10, 10000, (struct profile_counts){16, 16041, 23, 46610});
    assert_scaled(PROFILE_HEAP_V2, 1024, 3, 5, (struct profile_counts){1844, 3074, 1846, 6154});
    assert_scaled(PROFILE_HEAP_V2, 131072, 3, 5,
                  (struct profile_counts){235931, 393218, 235932, 786442});
    assert_scaled(PROFILE_HEAP_PERIOD, 1024, 10, 10000,
                  (struct profile_counts){10, 10240, 20, 40000});
    assert_scaled(PROFILE_HEAP_PERIOD, 512, 3, 5, (struct profile_counts){921, 1536, 921, 3072});
    assert_scaled(PROFILE_EXACT, 0, 3, 5, (struct profile_counts){3, 5, 6, 20});
    assert_scaled(PROFILE_GROWTH, 1024, 3, 5, (struct profile_counts){3, 5, 6, 20});
}

static void test_counts_without_a_mean(void **state)
{
    (void)state;
    assert_scaled(PROFILE_HEAP_V2, 1024, 0, 0, (struct profile_counts){0, 0, 0, 0});
    assert_scaled(PROFILE_HEAP_V2, 1024, 5, 0, (struct profile_counts){5, 0, 10, 0});
    assert_scaled(PROFILE_HEAP_V2, UINT64_MAX, 1, 1, (struct profile_counts){1, 1, 2, 4});
}

/* Large blocks stand for themselves, and a hair below a whole number is that number. */
static void test_whole_numbers_stay(void **state)
{
    (void)state;
    for (uint64_t size = 20480; size < 1 << 20; size += 4093) {
        struct profile_counts sampled = {1, (double)size, 1, (double)size};
        struct profile_counts counts = unsample(sampled, PROFILE_HEAP_V2, 512);
        assert_int_equal((uint64_t)counts.live_bytes, size);
    }
}

static void test_a_profile_is_scaled_once(void **state)
{
    (void)state;
    struct profile_sample sample = {.counts = {10, 10000, 0, 0}};
    struct profile profile = {
        .kind = PROFILE_HEAP_V2, .period = 1024, .samples = &sample, .sample_count = 1};
    unsample_profile(&profile);
    unsample_profile(&profile);
    assert_int_equal((int64_t)sample.counts.live_bytes, 16041);
    assert_int_equal(profile.sampled_period, 1024);
}

/* By their own means, small objects of one thread and large ones of the other would come to more
 * than their sum. */
static void test_threads_add_up_to_their_stack(void **state)
{
    static const uint64_t stack[] = {1};
    static const uint64_t other[] = {2};
    (void)state;
    struct profile_sample samples[] = {
        {.stack = stack, .thread = PROFILE_ALL_THREADS, .counts = {10, 10000, 20, 20000}},
        {.stack = stack, .thread = 1, .counts = {9, 1000, 20, 20000}},
        {.stack = stack, .thread = 2, .counts = {1, 9000, 0, 0}},
        {.stack = other, .thread = 2, .counts = {10, 10000, 0, 0}},
    };
    struct profile profile = {
        .kind = PROFILE_HEAP_V2, .period = 1024, .samples = samples, .sample_count = 4};
    unsample_profile_by_stack(&profile);
    assert_int_equal((int64_t)samples[0].counts.live_bytes, 16041);
    assert_int_equal((int64_t)samples[1].counts.live_bytes, 1604);
    assert_int_equal((int64_t)samples[2].counts.live_bytes, 14437);
    assert_int_equal((int64_t)samples[1].counts.total_bytes, 32082);
    assert_int_equal((int64_t)samples[2].counts.total_bytes, 0);
    assert_int_equal((int64_t)samples[3].counts.live_bytes, 16041); /* has no line of all */
    assert_int_equal(profile.sampled_period, 1024);
    assert_int_equal(profile.period, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind),
        cmocka_unit_test(test_counts_without_a_mean),
        cmocka_unit_test(test_whole_numbers_stay),
        cmocka_unit_test(test_a_profile_is_scaled_once),
        cmocka_unit_test(test_threads_add_up_to_their_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
