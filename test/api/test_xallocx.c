/* test_xallocx.c: goal: xallocx never moves a block, answers its true usable size, keeps its
 * content, and zeroes what it gains when asked to.
 * Method: the contract's fixed points, then all pairs of old size and (size, extra) against what
 * must hold whether or not the block could be resized in place.
 */
#include "api_test.h"

static size_t resize_fresh(size_t old_size, size_t size, size_t extra)
{
    void *block = mallocx(old_size, 0);
    size_t result = xallocx(block, size, extra, 0);
    assert_int_equal(result, sallocx(block, 0));
    dallocx(block, 0);
    return result;
}

static void known_points_of_the_contract(void **state)
{
    (void)state;
    const size_t kib = 1024;
    assert_int_equal(resize_fresh(100, 200, 0), 112);
    assert_int_equal(resize_fresh(100, 1, 0), 112);
    assert_int_equal(resize_fresh(100, 8, SIZE_MAX), 112);
    assert_int_equal(resize_fresh(1024 * kib, 512 * kib, 0), 512 * kib);
    assert_int_equal(resize_fresh(1024 * kib, 768 * kib, 128 * kib), 917504);
}

/* Either nothing happened, or the result lies between what size and size + extra ask for. */
static void check_resize(size_t old_size, size_t size, size_t extra, int flags)
{
    void *block = mallocx(old_size, 0);
    assert_non_null(block);
    size_t before = sallocx(block, 0);
    content_fill(block, before, old_size);
    size_t after = xallocx(block, size, extra, flags);

    EXPECT(after == sallocx(block, 0), "xallocx(%zu -> %#zx + %#zx): says %zu, is %zu", old_size,
           size, extra, after, sallocx(block, 0));
    size_t most = extra > ORACLE_LARGEST - size ? ORACLE_LARGEST : oracle_usable(size + extra);
    if (size > ORACLE_LARGEST || before < ORACLE_LARGE_MIN) {
        EXPECT(after == before, "xallocx(%zu -> %#zx + %#zx): %zu", old_size, size, extra, after);
    }
    if (after != before) {
        EXPECT(after >= oracle_usable(size) && after <= most, "xallocx(%zu -> %#zx + %#zx): %zu",
               old_size, size, extra, after);
        EXPECT(after >= ORACLE_LARGE_MIN, "a large block became small: %zu", after);
    }
    size_t kept = before < after ? before : after;
    EXPECT(content_is(block, kept, old_size), "xallocx(%zu -> %#zx + %#zx) changed content",
           old_size, size, extra);
    if ((flags & MALLOCX_ZERO) != 0 && after > before) {
        EXPECT(content_is_zero((char *)block + before, after - before), "tail of %zu not zero",
               after);
    }
    memset(block, 0x77, after);
    dallocx(block, 0);
}

static void every_pair_of_sizes_and_extra(void **state)
{
    (void)state;
    const size_t old_sizes[] = {
        1, 100, 5000, 14336, 16384, 20480, 70000, (size_t)1 << 20, (size_t)5 << 20};
    static size_t sizes[BOUNDARY_MAX];
    unsigned count = boundary_short(sizes);
    for (unsigned i = 0; i < sizeof old_sizes / sizeof old_sizes[0]; i++) {
        for (unsigned j = 0; j < count; j++) {
            if (sizes[j] == 0) {
                continue;
            }
            const size_t extras[] = {0, 1, 4096, (size_t)1 << 20, SIZE_MAX - sizes[j]};
            for (unsigned k = 0; k < 5; k++) {
                bool would_be_vast = extras[k] >= (size_t)1 << 20 && sizes[j] <= ORACLE_LARGEST;
                if (!would_be_vast &&
                    (sizes[j] <= ORACLE_MUST_SUCCEED || sizes[j] >= ORACLE_MUST_FAIL)) {
                    check_resize(old_sizes[i], sizes[j], extras[k], k % 2 == 0 ? 0 : MALLOCX_ZERO);
                }
            }
        }
    }
}

static void growth_after_shrinking_is_zero_when_asked(void **state)
{
    (void)state;
    unsigned grown = 0;
    for (unsigned round = 0; round < 50; round++) {
        void *block = mallocx((size_t)1 << 20, 0);
        memset(block, 0xdd, (size_t)1 << 20);
        size_t small = xallocx(block, (size_t)256 << 10, 0, 0);
        size_t large = xallocx(block, (size_t)768 << 10, 0, MALLOCX_ZERO);
        assert_int_equal(large, sallocx(block, 0));
        if (large > small) {
            grown++;
            EXPECT(content_is_zero((char *)block + small, large - small), "grown tail not zero");
        }
        dallocx(block, 0);
    }
    print_message("grown in place: %u of 50\n", grown);
}

static void neighbours_survive_growth_in_place(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    void *blocks[COUNT];
    size_t usable[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        usable[i] = 65536;
        blocks[i] = mallocx(usable[i], 0);
        content_fill(blocks[i], usable[i], i);
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        dallocx(blocks[i], 0);
        blocks[i] = NULL;
    }
    for (unsigned i = 1; i < COUNT; i += 2) {
        size_t after = xallocx(blocks[i], 65536 + 20480, 65536, 0);
        content_fill_from(blocks[i], usable[i], after, i);
        usable[i] = after;
    }
    for (unsigned i = 1; i < COUNT; i += 2) {
        EXPECT(content_is(blocks[i], usable[i], i), "block %u was written by a neighbour", i);
        dallocx(blocks[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_points_of_the_contract),
        cmocka_unit_test(every_pair_of_sizes_and_extra),
        cmocka_unit_test(growth_after_shrinking_is_zero_when_asked),
        cmocka_unit_test(neighbours_survive_growth_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
