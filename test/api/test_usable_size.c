/* test_usable_size.c: goal: for every class and alignment, nallocx, sallocx and malloc_usable_size
 * agree with each other and with the contract's size classes.
 * Method: the oracle of usable_oracle.h; each class with its neighbours, each power-of-two
 * alignment. Blocks are allocated up to 64 MiB of size plus alignment; above that nallocx alone is
 * asked.
 */
#include "api_test.h"

static void expect_usable(void *block, size_t size, int flags, size_t expected)
{
    EXPECT(block != NULL, "size %zu flags %#x failed", size, (unsigned)flags);
    size_t usable = malloc_usable_size(block);
    EXPECT(usable == expected, "size %zu flags %#x: malloc_usable_size %zu, not %zu", size,
           (unsigned)flags, usable, expected);
    size_t extended = sallocx(block, 0);
    EXPECT(extended == expected, "size %zu flags %#x: sallocx %zu, not %zu", size, (unsigned)flags,
           extended, expected);
}

static void every_size_up_to_seventy_thousand(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 70000; size++) {
        size_t expected = oracle_usable(size);
        EXPECT(nallocx(size, 0) == expected, "nallocx(%zu) %zu, not %zu", size, nallocx(size, 0),
               expected);
        if (size % 7 == 0 || size < 20000) {
            void *block = malloc(size);
            expect_usable(block, size, 0, expected);
            free(block);
        }
    }
}

static void known_points_of_the_contract(void **state)
{
    (void)state;
    assert_int_equal(nallocx(1, 0), 8);
    assert_int_equal(nallocx(129, 0), 160);
    assert_int_equal(nallocx(14337, 0), 16384);
    assert_int_equal(nallocx(33000, 0), 36864);
    assert_int_equal(nallocx(9000000, 0), 9003008);
    assert_int_equal(nallocx(ORACLE_LARGEST, 0), ORACLE_LARGEST);
    assert_int_equal(nallocx(ORACLE_LARGEST + 1, 0), 0);
    assert_int_equal(nallocx(SIZE_MAX, 0), 0);
    assert_int_equal(nallocx(8, MALLOCX_ALIGN((size_t)1 << 63)), 0);
}

static void check_with_alignment(size_t size, unsigned lg)
{
    int flags = MALLOCX_LG_ALIGN(lg);
    size_t alignment = alignment_at(lg);
    size_t expected = oracle_usable_aligned(size, alignment);
    EXPECT(nallocx(size, flags) == expected, "nallocx(%#zx, LG_ALIGN(%u)) %#zx, not %#zx", size, lg,
           nallocx(size, flags), expected);
    if (size > ORACLE_MUST_SUCCEED || alignment > ORACLE_MUST_SUCCEED ||
        size + alignment > ORACLE_MUST_SUCCEED) {
        return;
    }
    void *block = mallocx(size, flags);
    expect_usable(block, size, flags, expected);
    EXPECT(is_aligned(block, alignment), "mallocx(%zu, LG_ALIGN(%u)) = %p", size, lg, block);
    dallocx(block, flags);
}

static void every_class_with_every_alignment(void **state)
{
    (void)state;
    for (unsigned class = 0; class < ORACLE_CLASS_COUNT; class ++) {
        size_t size = oracle_class_size(class);
        for (unsigned lg = 0; lg < ALIGNMENT_COUNT; lg++) {
            check_with_alignment(size, lg);
            check_with_alignment(size - 1, lg);
            check_with_alignment(size + 1, lg);
        }
    }
}

static void zero_and_cache_flags_do_not_change_the_size(void **state)
{
    (void)state;
    const int flags[] = {MALLOCX_ZERO, MALLOCX_TCACHE_NONE, MALLOCX_ARENA(0),
                         MALLOCX_ZERO | MALLOCX_TCACHE_NONE | MALLOCX_ARENA(0)};
    for (unsigned i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        for (unsigned class = 0; oracle_class_size(class) <= (size_t)1 << 20; class ++) {
            size_t size = oracle_class_size(class);
            assert_int_equal(nallocx(size, flags[i]), size);
            void *block = mallocx(size, flags[i]);
            expect_usable(block, size, flags[i], oracle_usable(size));
            dallocx(block, flags[i] & ~MALLOCX_ZERO);
        }
    }
}

static void align_macro_is_the_logarithm(void **state)
{
    (void)state;
    for (unsigned lg = 0; lg < ALIGNMENT_COUNT; lg++) {
        assert_int_equal(MALLOCX_ALIGN(alignment_at(lg)), lg);
    }
    assert_int_equal(MALLOCX_ZERO, 0x40);
    assert_int_equal(MALLOCX_TCACHE_NONE, 0x100);
    assert_int_equal(MALLOCX_TCACHE(0), 0x200);
    assert_int_equal(MALLOCX_ARENA(0), 0x100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_up_to_seventy_thousand),
        cmocka_unit_test(known_points_of_the_contract),
        cmocka_unit_test(every_class_with_every_alignment),
        cmocka_unit_test(zero_and_cache_flags_do_not_change_the_size),
        cmocka_unit_test(align_macro_is_the_logarithm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
