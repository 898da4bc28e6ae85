/* test_bits.c: goal: positions, rounding and searches of bits.h do what a loop over bits does.
 * Method: every position, every pair of positions, every range of a bitmap of three words, each
 * beside a naive version; random bitmaps of many densities for the searches. Words before and after
 * a bitmap must stay as they are.
 */
#include "unit_check.h"

#include "base/bits.h"

enum { MAP_WORDS = 3, MAP_BITS = MAP_WORDS * WORD_BITS };

/* A bitmap between two words that nobody may touch. */
struct guarded_map {
    uint64_t before;
    uint64_t words[MAP_WORDS];
    uint64_t after;
};

static const uint64_t GUARD = 0x5555aaaa3333ccccu;

static struct guarded_map filled_map(uint64_t word)
{
    return (struct guarded_map){GUARD, {word, word, word}, GUARD};
}

static void expect_guards(const struct guarded_map *map)
{
    assert_true(map->before == GUARD);
    assert_true(map->after == GUARD);
}

static void highest_and_lowest_find_the_ends_of_every_pair_of_bits(void **state)
{
    (void)state;
    for (unsigned low = 0; low < WORD_BITS; low++) {
        for (unsigned high = low; high < WORD_BITS; high++) {
            uint64_t value = (uint64_t)1 << low | (uint64_t)1 << high;
            assert_int_equal(bits_lowest(value), low);
            assert_int_equal(bits_highest(value), high);
            assert_int_equal(bits_count(value), low == high ? 1 : 2);
        }
    }
    assert_int_equal(bits_count(0), 0);
    assert_int_equal(bits_count(~(uint64_t)0), WORD_BITS);
}

static void only_powers_of_two_are_powers_of_two(void **state)
{
    (void)state;
    assert_false(bits_is_power_of_two(0));
    assert_false(bits_is_power_of_two(SIZE_MAX));
    for (unsigned lg = 0; lg < WORD_BITS; lg++) {
        size_t power = (size_t)1 << lg;
        assert_true(bits_is_power_of_two(power));
        if (lg >= 2) {
            assert_false(bits_is_power_of_two(power - 1));
            assert_false(bits_is_power_of_two(power + 1));
        }
    }
}

static void rounding_meets_its_multiples_and_wraps_at_the_top(void **state)
{
    (void)state;
    for (unsigned lg = 0; lg < WORD_BITS - 2; lg++) {
        size_t step = (size_t)1 << lg;
        for (size_t multiple = 0; multiple <= 3; multiple++) {
            size_t value = multiple * step;
            assert_int_equal(bits_round_down(value, step), value);
            assert_int_equal(bits_round_up(value, step), value);
            assert_int_equal(bits_round_down(value + step - 1, step), value);
            assert_int_equal(bits_round_up(value + 1, step), value + step);
        }
    }
    assert_int_equal(bits_round_up(SIZE_MAX, 4096), 0);
    assert_int_equal(bits_round_down(SIZE_MAX, 4096), SIZE_MAX - 4095);
}

static void a_mask_has_ones_in_its_range_only(void **state)
{
    (void)state;
    for (unsigned first = 0; first <= WORD_BITS; first++) {
        for (unsigned count = 0; first + count <= WORD_BITS; count++) {
            uint64_t expected = 0;
            for (unsigned bit = first; bit < first + count; bit++) {
                expected |= (uint64_t)1 << bit;
            }
            EXPECT(bits_mask(first, count) == expected, "first %u, count %u", first, count);
        }
    }
}

static void setting_and_clearing_a_range_changes_that_range_only(void **state)
{
    (void)state;
    for (unsigned first = 0; first < MAP_BITS; first++) {
        for (unsigned count = 0; first + count <= MAP_BITS; count++) {
            struct guarded_map set = filled_map(0);
            struct guarded_map cleared = filled_map(~(uint64_t)0);
            bits_set_range(set.words, first, count);
            bits_clear_range(cleared.words, first, count);
            expect_guards(&set);
            expect_guards(&cleared);
            unsigned wrong = 0;
            for (unsigned bit = 0; bit < MAP_BITS; bit++) {
                bool inside = bit >= first && bit < first + count;
                wrong += bits_get(set.words, bit) != inside;
                wrong += bits_get(cleared.words, bit) == inside;
            }
            EXPECT(wrong == 0, "first %u, count %u", first, count);
            assert_int_equal(bits_count_range(set.words, 0, MAP_BITS), count);
            assert_int_equal(bits_count_range(set.words, first, count), count);
            assert_int_equal(bits_count_range(cleared.words, first, count), 0);
        }
    }
}

static void fill_at_random(struct guarded_map *map, uint64_t *random, unsigned percent)
{
    *map = filled_map(0);
    for (unsigned bit = 0; bit < MAP_BITS; bit++) {
        if (unit_below(random, 100) < percent) {
            bits_set_range(map->words, bit, 1);
        }
    }
}

static unsigned naive_next(const uint64_t *words, unsigned from, bool wanted)
{
    while (from < MAP_BITS && bits_get(words, from) != wanted) {
        from++;
    }
    return from < MAP_BITS ? from : MAP_BITS;
}

static unsigned naive_zeros_before(const uint64_t *words, unsigned end)
{
    while (end > 0 && !bits_get(words, end - 1)) {
        end--;
    }
    return end;
}

static void searches_agree_with_a_loop_over_bits(void **state)
{
    (void)state;
    uint64_t random = unit_seed(1);
    static const unsigned percents[] = {0, 1, 3, 10, 50, 90, 97, 99, 100};
    for (unsigned round = 0; round < 400; round++) {
        struct guarded_map map;
        fill_at_random(&map, &random, percents[round % (sizeof percents / sizeof percents[0])]);
        for (unsigned at = 0; at <= MAP_BITS; at++) {
            assert_int_equal(bits_next_one(map.words, at, MAP_BITS),
                             naive_next(map.words, at, true));
            assert_int_equal(bits_next_zero(map.words, at, MAP_BITS),
                             naive_next(map.words, at, false));
            assert_int_equal(bits_zeros_before(map.words, at), naive_zeros_before(map.words, at));
        }
    }
}

static void counts_of_ranges_agree_with_a_loop_over_bits(void **state)
{
    (void)state;
    uint64_t random = unit_seed(2);
    struct guarded_map map;
    fill_at_random(&map, &random, 50);
    for (unsigned first = 0; first < MAP_BITS; first++) {
        unsigned expected = 0;
        for (unsigned count = 0; first + count <= MAP_BITS; count++) {
            assert_int_equal(bits_count_range(map.words, first, count), expected);
            expected += first + count < MAP_BITS && bits_get(map.words, first + count);
        }
    }
}

static void moved_bits_leave_one_map_and_join_the_other(void **state)
{
    (void)state;
    uint64_t random = unit_seed(3);
    struct guarded_map from_before;
    struct guarded_map to_before;
    fill_at_random(&from_before, &random, 50);
    fill_at_random(&to_before, &random, 50);
    for (unsigned first = 0; first < MAP_BITS; first++) {
        for (unsigned count = 0; first + count <= MAP_BITS; count++) {
            struct guarded_map from = from_before;
            struct guarded_map to = to_before;
            unsigned moved = bits_move_range(to.words, from.words, first, count);
            assert_int_equal(moved, bits_count_range(from_before.words, first, count));
            expect_guards(&from);
            expect_guards(&to);
            unsigned wrong = 0;
            for (unsigned bit = 0; bit < MAP_BITS; bit++) {
                bool inside = bit >= first && bit < first + count;
                bool was = bits_get(from_before.words, bit);
                wrong += bits_get(from.words, bit) != (was && !inside);
                wrong +=
                    bits_get(to.words, bit) != (bits_get(to_before.words, bit) || (was && inside));
            }
            EXPECT(wrong == 0, "first %u, count %u", first, count);
        }
    }
}

/* With a bit set beforehand at each place, or nowhere in the range. */
static void setting_zeros_stops_at_the_first_one(void **state)
{
    (void)state;
    for (unsigned first = 0; first < MAP_BITS; first += 7) {
        for (unsigned count = 1; first + count <= MAP_BITS; count += 5) {
            for (unsigned one = 0; one < MAP_BITS; one += 3) {
                struct guarded_map map = filled_map(0);
                bits_set_range(map.words, one, 1);
                unsigned end = first + count;
                bool inside = one >= first && one < end;
                assert_int_equal(bits_set_zeros(map.words, first, count), inside ? one : end);
                expect_guards(&map);
                if (!inside) {
                    assert_int_equal(bits_count_range(map.words, first, count), count);
                    assert_int_equal(bits_count_range(map.words, 0, MAP_BITS), count + 1);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(highest_and_lowest_find_the_ends_of_every_pair_of_bits),
        cmocka_unit_test(only_powers_of_two_are_powers_of_two),
        cmocka_unit_test(rounding_meets_its_multiples_and_wraps_at_the_top),
        cmocka_unit_test(a_mask_has_ones_in_its_range_only),
        cmocka_unit_test(setting_and_clearing_a_range_changes_that_range_only),
        cmocka_unit_test(searches_agree_with_a_loop_over_bits),
        cmocka_unit_test(counts_of_ranges_agree_with_a_loop_over_bits),
        cmocka_unit_test(setting_zeros_stops_at_the_first_one),
        cmocka_unit_test(moved_bits_leave_one_map_and_join_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
