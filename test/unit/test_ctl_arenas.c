/* test_ctl_arenas.c: goal: names that act on arenas reach the arena of their index, and no other.
 * Method: readers and writers with MIBs made by hand, against fields of fresh arenas. What programs
 * see of them: test/api/test_control_actions.c.
 */
#include "upper_floors.h"

#include "control/ctl_values.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:8";

static void a_decay_time_is_that_of_one_arena(void **state)
{
    (void)state;
    struct arena *one = fresh_arena();
    struct arena *two = fresh_arena();
    int64_t others = two->pages.stage[STAGE_DIRTY].decay.decay_ms;
    const size_t mib[] = {0, one->index, 0};
    const int64_t dirty_ms = 123;
    const int64_t muzzy_ms = 456;
    struct ctl_value value = {.number = 0};
    assert_int_equal(write_dirty_decay(mib, &dirty_ms), 0);
    assert_int_equal(write_muzzy_decay(mib, &muzzy_ms), 0);
    assert_int_equal(one->pages.stage[STAGE_DIRTY].decay.decay_ms, 123);
    assert_int_equal(one->pages.stage[STAGE_MUZZY].decay.decay_ms, 456);
    assert_int_equal(two->pages.stage[STAGE_DIRTY].decay.decay_ms, others);
    assert_int_equal(read_arena_decay(mib, STAGE_MUZZY, &value), 0);
    assert_int_equal(value.number, 456);
    const size_t none[] = {0, arena_count(), 0};
    assert_int_equal(write_dirty_decay(none, &dirty_ms), EFAULT);
    assert_int_equal(read_arena_decay(none, STAGE_DIRTY, &value), EFAULT);
}

static void the_default_is_for_arenas_to_come_and_kept_mappings(void **state)
{
    (void)state;
    const int64_t usual = arena_default_decay_ms(STAGE_DIRTY);
    const int64_t other = 4321;
    struct arena *before = fresh_arena();
    assert_int_equal(write_default_dirty_decay(NULL, &other), 0);
    struct arena *after = fresh_arena();
    assert_int_equal(huge_policy.cache_ms, other);
    assert_int_equal(write_default_dirty_decay(NULL, &usual), 0);
    assert_int_equal(huge_policy.cache_ms, usual);
    assert_int_equal(before->pages.stage[STAGE_DIRTY].decay.decay_ms, usual);
    assert_int_equal(after->pages.stage[STAGE_DIRTY].decay.decay_ms, other);
}

static void a_block_is_looked_up_in_its_own_arena(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    void *block = large_alloc(arena, 65536, 1, false);
    unsigned index = 0;
    size_t length = sizeof index;
    const struct ctl_buffers buffers = {&index, &length, &block, sizeof block};
    assert_int_equal(call_arena_lookup(NULL, &buffers), 0);
    assert_int_equal(index, arena->index);
    large_free(block, CODE_RUN);
    assert_int_equal(call_arena_lookup(NULL, &buffers), EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decay_time_is_that_of_one_arena),
        cmocka_unit_test(the_default_is_for_arenas_to_come_and_kept_mappings),
        cmocka_unit_test(a_block_is_looked_up_in_its_own_arena),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
