/* test_profiling.c: goal: turning profiling on and off changes the modes of threads, their draws
 * and their trust in sizes, and nothing else.
 * Method: the front of the calling thread is looked at.
 */
#include "upper_floors.h"

#include "config/options.h"
#include "control/profiling.h"

static struct cache *own(void)
{
    return thread_own_cache();
}

static void nothing_samples_at_first(void **state)
{
    (void)state;
    assert_false(profiling_is_open());
    assert_false(profiling_is_active());
    profiling_set_active(false);
    assert_false(profiling_is_open());
    assert_int_equal(own()->front.mode, 0);
    assert_int_equal(own()->front.sized_limit, SMALL_SIZE_MAX + 1);
    assert_false(own()->sampling.is_on);
}

static void expect_sampling(unsigned lg_period)
{
    struct cache *cache = own();
    assert_true(profiling_is_active());
    assert_int_equal(thread_mode(), MODE_SAMPLE);
    assert_ptr_equal(thread_front_now(), &cache->front); /* The fast paths go on. */
    assert_int_equal(cache->sampling.lg_period, lg_period);
    assert_int_equal(cache->front.sized_limit, 0);
    assert_true(cache_is_valid(cache));
}

static void it_begins_and_ends(void **state)
{
    (void)state;
    uint64_t allocated = 0;
    for (unsigned i = 0; i < 3; i++) {
        profiling_set_active(true);
        assert_true(profiling_is_open());
        expect_sampling((unsigned)options.lg_prof_sample);
        profiling_set_active(false);
        assert_true(profiling_is_open());
        assert_false(profiling_is_active());
        assert_int_equal(own()->sampling.due, 0);
        assert_int_equal(thread_mode(), 0);
        assert_int_equal(own()->front.sized_limit, 0); /* There may be sampled blocks. */
        /* The first time loads libraries. */
        assert_true(i == 0 || cache_allocated_bytes(own()) == allocated);
        allocated = cache_allocated_bytes(own());
    }
}

/* With one byte between samples each block is one, and each draw is of one block. */
static void a_reset_draws_anew(void **state)
{
    (void)state;
    profiling_set_active(true);
    profiling_reset(0);
    expect_sampling(0);
    for (unsigned i = 1; i < CACHE_BINS; i++) {
        assert_int_equal(own()->front.bin[i].left, 1);
        assert_true(cache_sample_is_due(own(), (uint8_t)(i - 1)));
    }
    void *block = API(malloc)(100);
    assert_int_equal(map_code(block), CODE_SAMPLED);
    profiling_reset(63);
    expect_sampling(63);
    for (unsigned i = 1; i < CACHE_BINS; i++) {
        assert_int_equal(own()->front.bin[i].left, CACHE_LEFT);
        assert_false(cache_sample_is_due(own(), (uint8_t)(i - 1)));
    }
    API(free)(block);
    block = API(malloc)(100);
    assert_int_equal(map_code(block), class_code(class_of(100)));
    API(free)(block);
    profiling_set_active(false);
}

/* What the option asks for comes with the first call; here it was asked for nothing. */
static void a_late_start_is_one_start(void **state)
{
    (void)state;
    profiling_start_when_possible();
    assert_true(profiling_is_active());
    profiling_set_active(false);
    profiling_start_when_possible();
    assert_false(profiling_is_active());
}

static void a_thread_may_refuse(void **state)
{
    (void)state;
    profiling_set_active(true);
    assert_true(thread_refuse_samples(true));
    assert_int_equal(thread_mode(), 0);
    assert_true(profiling_is_active());
    assert_true(thread_refuse_samples(false));
    assert_int_equal(thread_mode(), MODE_SAMPLE);
    thread_set_modes(thread_modes() | MODE_ZERO);
    (void)thread_cache();
    assert_int_equal(thread_mode(), MODE_SAMPLE | MODE_ZERO);
    thread_set_modes(thread_modes() & ~(uint32_t)MODE_ZERO);
    expect_sampling(sampler_lg_period());
    profiling_set_active(false);
}

static void it_goes_on_without_loading(void **state)
{
    (void)state;
    assert_true(profiling_activate_unloaded());
    expect_sampling(sampler_lg_period());
    profiling_set_active(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_samples_at_first), cmocka_unit_test(it_begins_and_ends),
        cmocka_unit_test(a_reset_draws_anew),       cmocka_unit_test(a_late_start_is_one_start),
        cmocka_unit_test(a_thread_may_refuse),      cmocka_unit_test(it_goes_on_without_loading),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
