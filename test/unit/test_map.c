/* test_map.c: goal: the address map gives back exactly what was stored, and 0 for all else.
 * Method: leaves in a part of the address space where nothing lives (map entries need no memory
 * behind them): every page and every unit of one leaf, the border of two, the ends of the address
 * space; look-ups of a million random 64-bit values, none of which may fault.
 */
#include "unit_check.h"

#include "api/process.h"
#include "pages/map.h"

static const size_t LEAF_BYTES = (size_t)1 << LEAF_LG;

/* Start of two leaves' worth of addresses that have no leaf yet. */
static char *unknown_addresses(void)
{
    for (uintptr_t index = 0x1234; index < ROOT_COUNT - 1; index++) {
        if (atomic_load(&map_base.root[index]) == 0 &&
            atomic_load(&map_base.root[index + 1]) == 0) {
            return (char *)(index << LEAF_LG);
        }
    }
    abort();
}

static int start(void **state)
{
    (void)state;
    return process_start() ? 0 : -1;
}

static void addresses_that_nobody_covered_have_no_class(void **state)
{
    (void)state;
    int on_stack = 0;
    const uintptr_t values[] = {0,
                                1,
                                4095,
                                (uintptr_t)&on_stack,
                                (uintptr_t)&map_base,
                                (uintptr_t)unknown_addresses(),
                                ((uintptr_t)1 << 47) - 1,
                                (uintptr_t)1 << 47,
                                ((uintptr_t)1 << 48) - 1,
                                (uintptr_t)1 << 48,
                                (uintptr_t)1 << 63,
                                UINTPTR_MAX - 4095,
                                UINTPTR_MAX};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        EXPECT(map_code((void *)values[i]) == 0, "address %#zx", (size_t)values[i]);
    }
}

static void no_look_up_faults(void **state)
{
    (void)state;
    uint64_t random = unit_seed(5);
    unsigned highest = 0;
    for (unsigned i = 0; i < 1000000; i++) {
        uintptr_t value = unit_random(&random) >> (i % 64);
        unsigned code = map_code((void *)value);
        highest = code > highest ? code : highest;
    }
    assert_true(highest < CODE_BINS * CODE_SCALE);
}

static void ranges_outside_the_address_space_are_refused(void **state)
{
    (void)state;
    const uintptr_t end = (uintptr_t)1 << ADDRESS_BITS;
    size_t before = map_bytes();
    assert_false(map_cover((void *)end, 1));
    assert_false(map_cover((void *)(end - 1), 2));
    assert_false(map_cover((void *)UINTPTR_MAX, 1));
    assert_false(map_cover((void *)(end / 2), SIZE_MAX));
    assert_int_equal(map_bytes(), before);
    assert_true(map_cover((void *)(end - 1), 1));
}

static void covering_makes_each_leaf_once(void **state)
{
    (void)state;
    char *base = unknown_addresses();
    size_t before = map_bytes();
    assert_true(map_cover(base + LEAF_BYTES - 1, 1));
    assert_int_equal(map_bytes(), before + sizeof(struct map_leaf));
    assert_true(map_cover(base, LEAF_BYTES));
    assert_int_equal(map_bytes(), before + sizeof(struct map_leaf));
    assert_true(map_cover(base + LEAF_BYTES - 1, 2));
    assert_int_equal(map_bytes(), before + 2 * sizeof(struct map_leaf));
    assert_true(map_leaf_of(base) != map_leaf_of(base + LEAF_BYTES));
}

static void every_page_of_a_leaf_has_a_code_of_its_own(void **state)
{
    (void)state;
    char *base = unknown_addresses();
    assert_true(map_cover(base, LEAF_BYTES));
    for (size_t page = 0; page < LEAF_PAGES; page++) {
        map_set_code(base + page * PAGE_BYTES, (unsigned)(page * 7 % 251));
    }
    unsigned wrong = 0;
    for (size_t page = 0; page < LEAF_PAGES; page++) {
        char *address = base + page * PAGE_BYTES;
        wrong += map_code(address) != page * 7 % 251;
        wrong += map_code(address + PAGE_BYTES - 1) != page * 7 % 251;
    }
    assert_int_equal(wrong, 0);
    map_set_codes(base, LEAF_PAGES, 0);
    for (size_t page = 0; page < LEAF_PAGES; page++) {
        wrong += map_code(base + page * PAGE_BYTES) != 0;
    }
    assert_int_equal(wrong, 0);
}

static void a_range_of_codes_changes_its_pages_only(void **state)
{
    (void)state;
    char *base = unknown_addresses();
    assert_true(map_cover(base, LEAF_BYTES + 1));
    const size_t firsts[] = {0, 1, 511, 512, LEAF_PAGES / 2, LEAF_PAGES - 300};
    for (unsigned i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        for (size_t count = 0; count <= 300; count += 25) {
            char *first = base + firsts[i] * PAGE_BYTES;
            map_set_codes(first, count, CODE_RUN);
            for (size_t page = 0; page < count; page++) {
                assert_int_equal(map_code(first + page * PAGE_BYTES), CODE_RUN);
            }
            assert_int_equal(map_code(first - 1), 0);
            assert_int_equal(map_code(first + count * PAGE_BYTES), 0);
            map_set_codes(first, count, 0);
            assert_int_equal(map_code(first), 0);
        }
    }
}

static void neighbouring_leaves_do_not_mix(void **state)
{
    (void)state;
    char *base = unknown_addresses();
    char *border = base + LEAF_BYTES;
    assert_true(map_cover(border - 1, 2));
    map_set_code(border - 1, CODE_HUGE);
    assert_int_equal(map_code(border - PAGE_BYTES), CODE_HUGE);
    assert_int_equal(map_code(border), 0);
    map_set_code(border, CODE_RUN);
    map_set_code(border - 1, 0);
    assert_int_equal(map_code(border - 1), 0);
    assert_int_equal(map_code(border), CODE_RUN);
    map_set_code(border, 0);
}

static void every_unit_has_an_owner_of_its_own(void **state)
{
    (void)state;
    static char owners[LEAF_UNITS];
    char *base = unknown_addresses();
    assert_true(map_cover(base, LEAF_BYTES));
    for (size_t unit = 0; unit < LEAF_UNITS; unit++) {
        assert_null(map_owner(base + unit * UNIT_BYTES));
        map_set_owner(base + unit * UNIT_BYTES, &owners[unit]);
    }
    for (size_t unit = 0; unit < LEAF_UNITS; unit++) {
        assert_ptr_equal(map_owner(base + unit * UNIT_BYTES), &owners[unit]);
        assert_ptr_equal(map_owner(base + (unit + 1) * UNIT_BYTES - 1), &owners[unit]);
        assert_int_equal(map_code(base + unit * UNIT_BYTES), 0);
        map_set_owner(base + unit * UNIT_BYTES, NULL);
    }
}

static void cover_a_leaf_and_pass_its_end(void)
{
    char *base = unknown_addresses();
    CHILD_EXPECT(map_cover(base, 2 * LEAF_BYTES));
    map_set_codes(base + LEAF_BYTES - PAGE_BYTES, 2, CODE_RUN);
}

static void codes_across_leaves_are_a_mistake_that_debug_builds_find(void **state)
{
    (void)state;
    if (!config_debug) {
        skip();
    }
    expect_abort_with(run_in_child(cover_a_leaf_and_pass_its_end), "failed check");
}

static void cover_without_memory(void)
{
    char *base = unknown_addresses();
    size_t before = map_bytes();
    limit_address_space(0);
    CHILD_EXPECT(!map_cover(base, 1));
    CHILD_EXPECT(map_bytes() == before);
    CHILD_EXPECT(map_code(base) == 0);
    limit_address_space((size_t)64 << 20);
    CHILD_EXPECT(map_cover(base, 1));
    CHILD_EXPECT(map_bytes() == before + sizeof(struct map_leaf));
}

static void a_refused_leaf_leaves_the_map_as_it_was(void **state)
{
    (void)state;
    expect_good_end(run_in_child(cover_without_memory));
}

static void the_bytes_that_stand_for_missing_leaves_are_zero(void **state)
{
    (void)state;
    assert_true(bytes_are(map_base.zero, sizeof map_base.zero, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_nobody_covered_have_no_class),
        cmocka_unit_test(no_look_up_faults),
        cmocka_unit_test(ranges_outside_the_address_space_are_refused),
        cmocka_unit_test(covering_makes_each_leaf_once),
        cmocka_unit_test(every_page_of_a_leaf_has_a_code_of_its_own),
        cmocka_unit_test(a_range_of_codes_changes_its_pages_only),
        cmocka_unit_test(neighbouring_leaves_do_not_mix),
        cmocka_unit_test(every_unit_has_an_owner_of_its_own),
        cmocka_unit_test(codes_across_leaves_are_a_mistake_that_debug_builds_find),
        cmocka_unit_test(a_refused_leaf_leaves_the_map_as_it_was),
        cmocka_unit_test(the_bytes_that_stand_for_missing_leaves_are_zero),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
