/* test_decay.c: goal: the share of dirty pages that may stay follows 1 - smoothstep over the decay
 * time, from all to none.
 * Method: a made-up clock. The limit at every epoch beside the curve in floating point; jumps over
 * many epochs beside single steps; the special times -1 and 0; clocks that stand still or go back.
 */
#include "unit_check.h"

#include "pages/decay.h"

static const uint64_t NS_IN_MS = 1000000;
static const uint64_t START_NS = 123456789;

static uint64_t epoch_ns(const struct decay *decay)
{
    return (uint64_t)decay->decay_ms * NS_IN_MS / DECAY_STEPS;
}

static uint64_t ring_sum(const struct decay *decay)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < DECAY_STEPS; i++) {
        sum += decay->ring[i];
    }
    return sum;
}

/* The invariants of decay.h. */
static bool is_valid(const struct decay *decay)
{
    return decay->limit_pages <= ring_sum(decay) && decay->oldest < DECAY_STEPS;
}

static double share_at(double x)
{
    return 1 - x * x * x * (x * (6 * x - 15) + 10);
}

/* A curve on which `pages` pages fell unused in its first epoch; the clock stands at the epoch's
 * end. */
static struct decay with_pages(int64_t decay_ms, size_t pages)
{
    struct decay decay;
    decay_init(&decay, decay_ms);
    assert_int_equal(decay_advance(&decay, START_NS, pages), SIZE_MAX);
    size_t limit = decay_advance(&decay, START_NS + epoch_ns(&decay), pages);
    EXPECT(limit == pages, "%zu of %zu may stay at first", limit, pages);
    assert_true(is_valid(&decay));
    return decay;
}

static void never_keeps_everything_and_zero_nothing(void **state)
{
    (void)state;
    struct decay decay;
    for (uint64_t now = 0; now < 5 * NS_IN_MS; now += NS_IN_MS) {
        decay_init(&decay, DECAY_NEVER);
        assert_int_equal(decay_advance(&decay, now, 1000), SIZE_MAX);
        decay_init(&decay, 0);
        assert_int_equal(decay_advance(&decay, now, 1000), 0);
        assert_int_equal(decay_advance(&decay, now, 0), 0);
    }
}

static void the_limit_follows_the_curve(void **state)
{
    (void)state;
    const size_t pages = 1000000;
    static const int64_t times_ms[] = {1, 7, 200, 10000, 3600 * 1000};
    for (unsigned i = 0; i < sizeof times_ms / sizeof times_ms[0]; i++) {
        struct decay decay = with_pages(times_ms[i], pages);
        size_t former = pages;
        for (unsigned step = 1; step <= DECAY_STEPS + 3; step++) {
            uint64_t now = START_NS + (step + 1) * epoch_ns(&decay);
            size_t limit = decay_advance(&decay, now, pages);
            double x = step < DECAY_STEPS ? step / (double)DECAY_STEPS : 1;
            double wrong = (double)limit - share_at(x) * (double)pages;
            EXPECT(wrong < 50 && wrong > -50, "step %u: %zu", step, limit);
            assert_true(limit <= former);
            assert_true(is_valid(&decay));
            former = limit;
        }
        assert_int_equal(former, 0);
    }
}

static void a_jump_ends_where_single_steps_end(void **state)
{
    (void)state;
    const size_t pages = 4321;
    for (unsigned epochs = 1; epochs <= 2 * DECAY_STEPS + 1; epochs++) {
        struct decay jumped = with_pages(10000, pages);
        struct decay stepped = jumped;
        uint64_t start = jumped.epoch_start_ns;
        size_t limit = SIZE_MAX;
        for (unsigned i = 1; i <= epochs; i++) {
            limit = decay_advance(&stepped, start + i * epoch_ns(&stepped), pages);
        }
        assert_int_equal(decay_advance(&jumped, start + epochs * epoch_ns(&jumped), pages), limit);
        assert_int_equal(ring_sum(&jumped), ring_sum(&stepped));
        assert_true(jumped.epoch_start_ns == stepped.epoch_start_ns);
    }
}

static void pages_of_several_epochs_add_their_curves(void **state)
{
    (void)state;
    struct decay both = with_pages(10000, 10000);
    uint64_t start = both.epoch_start_ns;
    uint64_t half = start + DECAY_STEPS / 2 * epoch_ns(&both);
    (void)decay_advance(&both, half - epoch_ns(&both), 10000);
    size_t limit = decay_advance(&both, half, 30000);
    EXPECT(limit > 24900 && limit < 25100, "20000 new and half of 10000: %zu", limit);
    limit = decay_advance(&both, start + (DECAY_STEPS + 1) * epoch_ns(&both), 30000);
    EXPECT(limit > 8000 && limit < 12000, "about half of the 20000: %zu", limit);
    limit = decay_advance(&both, half + DECAY_STEPS * epoch_ns(&both), 30000);
    assert_int_equal(limit, 0);
}

static void within_an_epoch_nothing_is_due(void **state)
{
    (void)state;
    struct decay decay = with_pages(10000, 500);
    uint64_t start = decay.epoch_start_ns;
    for (uint64_t share = 0; share < 10; share++) {
        size_t limit = decay_advance(&decay, start + share * epoch_ns(&decay) / 10, 700);
        EXPECT(limit >= 700, "purges %zu within an epoch", limit);
    }
    assert_true(decay.epoch_start_ns == start);
    assert_int_equal(decay.known_pages, 500);
}

static void a_clock_that_goes_back_starts_anew_and_loses_nothing(void **state)
{
    (void)state;
    struct decay decay = with_pages(10000, 500);
    assert_true(decay_advance(&decay, START_NS / 2, 500) >= 500);
    assert_true(decay.epoch_start_ns == START_NS / 2);
    assert_true(is_valid(&decay));
    size_t limit = decay_advance(&decay, START_NS / 2 + 2 * DECAY_STEPS * epoch_ns(&decay), 500);
    assert_int_equal(limit, 0);
}

static void what_was_purged_and_comes_again_is_new(void **state)
{
    (void)state;
    struct decay decay = with_pages(10000, 1000);
    uint64_t start = decay.epoch_start_ns;
    assert_int_equal(decay_advance(&decay, start + 2 * DECAY_STEPS * epoch_ns(&decay), 1000), 0);
    decay_purged(&decay, 0);
    assert_int_equal(decay.known_pages, 0);
    decay_purged(&decay, 77);
    assert_int_equal(decay.known_pages, 0);
    size_t limit = decay_advance(&decay, decay.epoch_start_ns + epoch_ns(&decay), 600);
    assert_int_equal(limit, 600);
}

static void extreme_times_and_counts_neither_overflow_nor_divide_by_zero(void **state)
{
    (void)state;
    struct decay decay;
    decay_init(&decay, 18446744072000);
    assert_true(decay_advance(&decay, 1, 100) >= 100);
    assert_true(decay_advance(&decay, UINT64_MAX / 2, 100) <= 100);
    assert_true(is_valid(&decay));
    decay_init(&decay, 1);
    assert_true(decay_advance(&decay, 1, SIZE_MAX / 2) >= SIZE_MAX / 2);
    size_t limit = decay_advance(&decay, 1 + epoch_ns(&decay), SIZE_MAX / 2);
    EXPECT(limit == UINT32_MAX, "the ring saturates: %zu", limit);
    assert_int_equal(decay_advance(&decay, UINT64_MAX, SIZE_MAX / 2), 0);
    assert_true(is_valid(&decay));
}

static void random_arrivals_keep_the_invariants(void **state)
{
    (void)state;
    uint64_t random = unit_seed(3);
    struct decay decay;
    decay_init(&decay, 1000);
    uint64_t now = START_NS;
    size_t dirty = 0;
    for (unsigned i = 0; i < 20000; i++) {
        now += unit_random(&random) % (3 * epoch_ns(&decay));
        dirty += unit_below(&random, 1000);
        size_t limit = decay_advance(&decay, now, dirty);
        assert_true(is_valid(&decay));
        if (dirty > limit) {
            dirty = limit;
            decay_purged(&decay, dirty);
        } else if (unit_below(&random, 4) == 0) {
            dirty -= dirty / 3;
        }
    }
}

static void it_is_over_when_all_is_gone_and_nothing_new_has_come(void **state)
{
    (void)state;
    struct decay decay;
    decay_init(&decay, 10000);
    assert_true(decay_is_over(&decay, 0));
    assert_false(decay_is_over(&decay, 1));
    decay = with_pages(10000, 1000);
    for (unsigned step = 1; step < DECAY_STEPS; step++) {
        size_t limit = decay_advance(&decay, START_NS + (step + 1) * epoch_ns(&decay), 1000);
        assert_int_equal(decay_is_over(&decay, 1000), limit == 0);
    }
    assert_int_equal(decay_advance(&decay, START_NS + 300 * epoch_ns(&decay), 1000), 0);
    /* Whether they could be purged or not. */
    assert_true(decay_is_over(&decay, 1000));
    assert_false(decay_is_over(&decay, 1001));
    /* All are gone before their time. */
    decay = with_pages(10000, 1000);
    assert_false(decay_is_over(&decay, 1000));
    assert_true(decay_is_over(&decay, 0));
    decay_purged(&decay, 0);
    assert_true(decay_is_over(&decay, 0));
    assert_false(decay_is_over(&decay, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_keeps_everything_and_zero_nothing),
        cmocka_unit_test(the_limit_follows_the_curve),
        cmocka_unit_test(a_jump_ends_where_single_steps_end),
        cmocka_unit_test(pages_of_several_epochs_add_their_curves),
        cmocka_unit_test(within_an_epoch_nothing_is_due),
        cmocka_unit_test(a_clock_that_goes_back_starts_anew_and_loses_nothing),
        cmocka_unit_test(what_was_purged_and_comes_again_is_new),
        cmocka_unit_test(extreme_times_and_counts_neither_overflow_nor_divide_by_zero),
        cmocka_unit_test(it_is_over_when_all_is_gone_and_nothing_new_has_come),
        cmocka_unit_test(random_arrivals_keep_the_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
