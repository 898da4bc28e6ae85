/* test_class.c: goal: the two directions of the size-class mapping agree, match jemalloc's public
 * sizes, and the tables of the fast path agree with the arithmetic.
 * Method: every class, every boundary of every class, every request up to 32 KiB, all sizes against
 * all alignments; block starts by exhaustive neighbours and random addresses below 2^48.
 */
#include "upper_floors.h"

static void sizes_match_the_contract(void **state)
{
    (void)state;
    static const struct {
        uint8_t class_index;
        size_t size_bytes;
    } known[] = {
        {0, 8},        {1, 16},
        {2, 32},       {8, 128},
        {9, 160},      {12, 256},
        {13, 320},     {28, 4096},
        {35, 14336},   {36, 16384},
        {40, 32768},   {41, 40960},
        {60, 1 << 20}, {231, CLASS_SIZE_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_int_equal(class_size(known[i].class_index), known[i].size_bytes);
    }
    assert_int_equal(class_size(SMALL_CLASSES - 1), SMALL_SIZE_MAX);
    assert_int_equal(class_size(CACHED_CLASSES - 1), CACHED_SIZE_MAX);
    assert_int_equal(class_size(SMALL_CLASSES), LARGE_SIZE_MIN);
}

static void sizes_increase_and_keep_the_quantum(void **state)
{
    (void)state;
    for (unsigned index = 1; index < CLASS_COUNT; index++) {
        assert_true(class_size((uint8_t)index) > class_size((uint8_t)(index - 1)));
        assert_int_equal(class_size((uint8_t)index) % QUANTUM, 0);
    }
}

static void each_step_wastes_at_most_a_fifth(void **state)
{
    (void)state;
    for (unsigned index = 9; index < CLASS_COUNT; index++) {
        size_t least = class_size((uint8_t)(index - 1)) + 1;
        size_t given = class_size((uint8_t)index);
        assert_true(given - least < given / 5 + 1);
    }
}

static void each_boundary_maps_to_its_class(void **state)
{
    (void)state;
    for (unsigned index = 0; index < CLASS_COUNT; index++) {
        size_t size_bytes = class_size((uint8_t)index);
        assert_int_equal(class_of(size_bytes), index);
        assert_int_equal(class_of(size_bytes - 1), index);
        assert_int_equal(class_of(size_bytes + 1),
                         index + 1 < CLASS_COUNT ? index + 1 : CLASS_NONE);
    }
}

static void requests_outside_have_no_class(void **state)
{
    (void)state;
    assert_int_equal(class_of(0), 0);
    assert_int_equal(class_of(CLASS_SIZE_MAX + 1), CLASS_NONE);
    assert_int_equal(class_of(SIZE_MAX), CLASS_NONE);
    assert_int_equal(usable_size(CLASS_SIZE_MAX + 1), 0);
    assert_int_equal(usable_size(SIZE_MAX), 0);
    assert_int_equal(usable_size_aligned(SIZE_MAX, 64), 0);
    assert_int_equal(usable_size_aligned(1, (size_t)1 << 63), 0);
}

static void the_code_table_agrees_with_the_arithmetic(void **state)
{
    (void)state;
    for (size_t size_bytes = 0; size_bytes <= CACHED_SIZE_MAX; size_bytes++) {
        unsigned code = size_code[(size_bytes + 7) / 8];
        EXPECT(code == class_code(class_of(size_bytes)), "size %zu: code %u", size_bytes, code);
        assert_int_equal(bin_size[code / CODE_SCALE], class_size(class_of(size_bytes)));
    }
}

static void bins_that_are_no_class_have_no_size(void **state)
{
    (void)state;
    assert_int_equal(bin_size[0], 0);
    assert_int_equal(bin_inverse[0], 0);
    for (unsigned bin = CACHED_CLASSES + 1; bin < CODE_BINS; bin++) {
        assert_int_equal(bin_size[bin], 0);
        assert_int_equal(bin_inverse[bin], 0);
    }
}

/* What the address of a block of the bin is a multiple of. */
static uint64_t divisor_of(unsigned bin)
{
    return bin_size[bin] >= LARGE_SIZE_MIN ? PAGE_BYTES : bin_size[bin];
}

static void block_starts_are_exactly_the_multiples(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("block_starts_are_exactly_the_multiples");
    for (unsigned bin = 1; bin <= CACHED_CLASSES; bin++) {
        uint64_t inverse = bin_inverse[bin];
        uint64_t divisor = divisor_of(bin);
        for (unsigned round = 0; round < 2000; round++) {
            uint64_t base = random_next(&seed) >> 16;
            base = round == 0 ? ((uint64_t)1 << 48) - 1 : base;
            base -= base % divisor;
            for (uint64_t offset = 0; offset < divisor;
                 offset += round == 0 ? 1 : divisor / 7 + 1) {
                bool starts = (base + offset) * inverse < inverse;
                EXPECT(starts == (offset == 0), "bin %u, address 0x%llx", bin,
                       (unsigned long long)(base + offset));
            }
        }
    }
}

static void usable_sizes_are_classes_and_then_pages(void **state)
{
    (void)state;
    for (size_t size_bytes = 0; size_bytes <= 70000; size_bytes++) {
        size_t pages = (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
        size_t expected = size_bytes <= LARGE_SIZE_MIN ? class_size(class_of(size_bytes)) : pages;
        assert_int_equal(usable_size(size_bytes), expected);
        assert_int_equal(usable_size_aligned(size_bytes, 1), expected);
    }
    assert_int_equal(usable_size(CLASS_SIZE_MAX), CLASS_SIZE_MAX);
}

/* The least block that can hold an aligned request: slabs begin at pages, so a class serves an
 * alignment when its size is a multiple of it. */
static size_t expected_aligned(size_t size_bytes, size_t alignment)
{
    for (uint8_t i = 0; i < SMALL_CLASSES && alignment <= PAGE_BYTES; i++) {
        size_t rounded = (size_bytes + alignment - 1) / alignment * alignment;
        if (class_size(i) >= rounded && class_size(i) >= alignment &&
            class_size(i) % alignment == 0) {
            return class_size(i);
        }
    }
    size_t least = size_bytes < LARGE_SIZE_MIN ? LARGE_SIZE_MIN : size_bytes;
    return (least + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static void aligned_requests_get_the_least_class_that_keeps_the_alignment(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= (size_t)1 << 24; alignment *= 2) {
        for (size_t size_bytes = 0; size_bytes <= 40000; size_bytes += 1 + size_bytes / 97) {
            size_t usable = usable_size_aligned(size_bytes, alignment);
            EXPECT(usable == expected_aligned(size_bytes, alignment),
                   "size %zu, alignment %zu: %zu, not %zu", size_bytes, alignment, usable,
                   expected_aligned(size_bytes, alignment));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_match_the_contract),
        cmocka_unit_test(sizes_increase_and_keep_the_quantum),
        cmocka_unit_test(each_step_wastes_at_most_a_fifth),
        cmocka_unit_test(each_boundary_maps_to_its_class),
        cmocka_unit_test(requests_outside_have_no_class),
        cmocka_unit_test(the_code_table_agrees_with_the_arithmetic),
        cmocka_unit_test(bins_that_are_no_class_have_no_size),
        cmocka_unit_test(block_starts_are_exactly_the_multiples),
        cmocka_unit_test(usable_sizes_are_classes_and_then_pages),
        cmocka_unit_test(aligned_requests_get_the_least_class_that_keeps_the_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
