/* test_sampler.c: goal: a mark gives a sample back as it was taken; draws by bytes and by blocks
 * agree with what they stand for; a thread in a sample takes no other.
 * Method: a sampling without a thread of the allocator; its tallies are visited, before and after.
 */
#include "upper_floors.h"

#include "profile/record.h"
#include "profile/sampler.h"

static struct sampling sampling;

static int set_up(void **state)
{
    sampler_load();
    sampler_start();
    sampler_start(); /* Once more is harmless. */
    sampling_begin(&sampling, 12);
    return start_allocator(state);
}

static void add_up(const struct tally *tally, void *opaque)
{
    struct tally_sums *sums = opaque;
    sums->objects += tally->live.objects;
    sums->usable_bytes += tally->live.usable_bytes;
    sums->requested_bytes += tally->live.requested_bytes;
    sums->weighted_objects += tally->live.weighted_objects;
}

static struct tally_sums live_sums(void)
{
    struct tally_sums sums = {0};
    tally_visit(add_up, &sums);
    return sums;
}

static void marks_hold_a_sample(void **state)
{
    (void)state;
    static const struct {
        size_t usable;
        size_t unused;
        size_t kept; /* of the latter */
    } cases[] = {
        {8, 0, 0},
        {8, 8, 8},
        {4096, 4095, 4095},
        {(size_t)1 << 40, ((size_t)1 << 21) - 1, ((size_t)1 << 21) - 1},
        {(size_t)1 << 40, ((size_t)1 << 21) + 77, (size_t)1 << 21},
        {(size_t)1 << 62, ((size_t)1 << 41) - 1, ((size_t)1 << 41) - ((size_t)1 << 20)},
        {(size_t)1 << 62, (size_t)1 << 61, (((size_t)1 << 21) - 1) << 20},
    };
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        size_t usable = cases[i].usable;
        uint64_t mark = sampler_take(&sampling, usable - cases[i].unused, usable);
        assert_true(mark != 0);
        assert_int_equal(record_requested_bytes(mark, usable), usable - cases[i].kept);
        struct tally_sums sums = live_sums();
        assert_int_equal(sums.objects, 1);
        assert_int_equal(sums.usable_bytes, usable);
        assert_int_equal(sums.requested_bytes, usable - cases[i].kept);
        assert_int_equal(sums.weighted_objects, draw_weight(12, usable));
        sampler_take_back(mark, usable);
        assert_int_equal(live_sums().objects, 0);
    }
}

/* Taken with one period, given back in another; and one that a reset forgot. */
static void periods_do_not_mix(void **state)
{
    (void)state;
    uint64_t first = sampler_take(&sampling, 100, 112);
    sampling_begin(&sampling, 3);
    uint64_t second = sampler_take(&sampling, 100, 112);
    assert_int_equal(live_sums().weighted_objects, draw_weight(12, 112) + draw_weight(3, 112));
    sampler_take_back(first, 112);
    assert_int_equal(live_sums().weighted_objects, draw_weight(3, 112));
    sampler_reset(20);
    assert_int_equal(sampler_lg_period(), 20);
    assert_int_equal(live_sums().objects, 0);
    uint64_t third = sampler_take(&sampling, 100, 112);
    assert_int_equal(live_sums().objects, 1);
    sampler_take_back(second, 112);
    assert_int_equal(live_sums().objects, 1);
    sampler_take_back(third, 112);
    assert_int_equal(live_sums().objects, 0);
}

static void draws_are_as_often_as_they_should(void **state)
{
    (void)state;
    enum { BLOCKS = 1000000, SIZE = 1000 };
    sampling_begin(&sampling, 14);
    /* 1 - exp(-1000 / 16384): 59211 of a million, with a standard deviation of 236. */
    unsigned due = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        due += sampling_is_due(&sampling, SIZE);
    }
    EXPECT(due > 59211 - 7 * 236 && due < 59211 + 7 * 236, "%u", due);
    uint64_t blocks = 0;
    for (unsigned i = 0; i < 59211; i++) {
        uint64_t next;
        while ((next = sampling_draw(&sampling, SIZE, 20)) == UINT64_MAX) {
            blocks += 20;
        }
        assert_true(next >= 1 && next <= 20);
        blocks += next;
    }
    EXPECT(blocks > BLOCKS - 7 * 4000 && blocks < BLOCKS + 7 * 4000, "%lu", blocks);
    sampling_begin(&sampling, 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(sampling_is_due(&sampling, 1 + i));
        assert_int_equal(sampling_draw(&sampling, 1 + i, 20), 1);
    }
}

static void a_busy_thread_takes_no_sample(void **state)
{
    (void)state;
    sampling.is_busy = true;
    assert_int_equal(sampler_take(&sampling, 100, 112), 0);
    sampling.is_busy = false;
    uint64_t mark = sampler_take(&sampling, 100, 112);
    assert_true(mark != 0);
    sampler_take_back(mark, 112);
}

static void a_thread_has_one_record(void **state)
{
    (void)state;
    char name[THREAD_NAME_BYTES];
    struct profiled_thread *thread = sampling_thread(&sampling);
    assert_non_null(thread);
    assert_ptr_equal(sampling_thread(&sampling), thread);
    tally_thread_set_name(thread, "one of sixteen letters");
    tally_thread_name(thread, name);
    assert_string_equal(name, "one of sixteen ");
    struct sampling other = {0};
    sampling_begin(&other, 5);
    assert_true(other.random != sampling.random);
    assert_ptr_not_equal(sampling_thread(&other), thread);
    tally_thread_end(other.thread);
}

static void nothing_is_due_after_the_end(void **state)
{
    (void)state;
    sampling.due = UINT64_MAX;
    sampling_end(&sampling);
    assert_false(sampling.is_on);
    assert_int_equal(sampling.due, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_hold_a_sample),
        cmocka_unit_test(periods_do_not_mix),
        cmocka_unit_test(draws_are_as_often_as_they_should),
        cmocka_unit_test(a_busy_thread_takes_no_sample),
        cmocka_unit_test(a_thread_has_one_record),
        cmocka_unit_test(nothing_is_due_after_the_end),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
