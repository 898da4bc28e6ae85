/* test_aligned_family.c: goal: posix_memalign, aligned_alloc, memalign, valloc give aligned blocks
 * of the right usable size, for size 0 too, and refuse wrong alignments in the way of each.
 * Method: every power of two up to 16 MiB with sizes around the interesting ones; a list of wrong
 * ones.
 */
#include "api_test.h"

/* Around zero, small alignments, one page, the largest small size, and more than a page. */
static const size_t sizes[] = {0,    1,    8,    9,     100,   2048,  4095,
                               4096, 4097, 8193, 14336, 14337, 16385, 70000};

static void expect_block(void *block, size_t alignment, size_t size, const char *name)
{
    EXPECT(block != NULL, "%s(%zu, %zu) failed", name, alignment, size);
    EXPECT(is_aligned(block, alignment), "%s(%zu, %zu) = %p", name, alignment, size, block);
    size_t usable = malloc_usable_size(block);
    EXPECT(usable == oracle_usable_aligned(size, alignment), "%s(%zu, %zu): usable %zu, not %zu",
           name, alignment, size, usable, oracle_usable_aligned(size, alignment));
    memset(block, 0x3c, usable);
    free(block);
}

static void every_alignment_and_size_is_honoured(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= (size_t)16 << 20; alignment *= 2) {
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            expect_block(aligned_alloc(alignment, sizes[i]), alignment, sizes[i], "aligned_alloc");
            if (sizes[i] != 0) {
                expect_block(memalign(alignment, sizes[i]), alignment, sizes[i], "memalign");
            }
            if (alignment >= sizeof(void *)) {
                void *block = NULL;
                assert_int_equal(posix_memalign(&block, alignment, sizes[i]), 0);
                expect_block(block, alignment, sizes[i], "posix_memalign");
            }
        }
    }
}

/* The usable size of an empty block of memalign is not promised; its alignment is. */
static void memalign_of_nothing_is_aligned(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    void *blocks[COUNT];
    for (size_t alignment = 1; alignment <= (size_t)1 << 20; alignment *= 2) {
        for (unsigned i = 0; i < COUNT; i++) {
            blocks[i] = memalign(alignment, 0);
            assert_non_null(blocks[i]);
            EXPECT(is_aligned(blocks[i], alignment), "memalign(%zu, 0) = %p", alignment, blocks[i]);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            free(blocks[i]);
        }
    }
}

static void many_live_blocks_stay_aligned(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    void *blocks[COUNT];
    for (size_t alignment = 16; alignment <= 8192; alignment *= 2) {
        for (unsigned i = 0; i < COUNT; i++) {
            size_t size = i * 13;
            blocks[i] = aligned_alloc(alignment, size);
            EXPECT(is_aligned(blocks[i], alignment), "aligned_alloc(%zu, %zu)", alignment, size);
            content_fill(blocks[i], malloc_usable_size(blocks[i]), i);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            assert_true(content_is(blocks[i], malloc_usable_size(blocks[i]), i));
            free(blocks[i]);
        }
    }
}

static const size_t not_powers_of_two[] = {
    0, 3, 5, 6, 7, 24, 100, 4095, 4097, 12288, ((size_t)1 << 63) + 1, SIZE_MAX};

static void posix_memalign_refuses_wrong_alignments_and_touches_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof not_powers_of_two / sizeof not_powers_of_two[0]; i++) {
        void *block = (void *)state;
        errno = 55;
        assert_int_equal(posix_memalign(&block, not_powers_of_two[i], 8), EINVAL);
        assert_ptr_equal(block, state);
        assert_int_equal(errno, 55);
    }
    for (size_t alignment = 1; alignment < sizeof(void *); alignment *= 2) {
        void *block = (void *)state;
        errno = 55;
        assert_int_equal(posix_memalign(&block, alignment, 8), EINVAL);
        assert_ptr_equal(block, state);
        assert_int_equal(errno, 55);
    }
}

static void posix_memalign_that_cannot_be_met_returns_enomem(void **state)
{
    (void)state;
    const size_t requests[] = {SIZE_MAX, SIZE_MAX - 4096, PTRDIFF_MAX, ORACLE_LARGEST,
                               ORACLE_LARGEST + 1};
    for (size_t alignment = 8; alignment != 0; alignment *= 2) {
        for (unsigned i = 0; i < sizeof requests / sizeof requests[0]; i++) {
            void *block = (void *)state;
            EXPECT(posix_memalign(&block, alignment, requests[i]) == ENOMEM, "(%#zx, %#zx)",
                   alignment, requests[i]);
            assert_ptr_equal(block, state);
        }
    }
    for (size_t alignment = (size_t)1 << 47; alignment != 0; alignment *= 2) {
        void *block = (void *)state;
        EXPECT(posix_memalign(&block, alignment, 1) == ENOMEM, "(%#zx, 1)", alignment);
        assert_ptr_equal(block, state);
    }
}

static void aligned_alloc_refuses_wrong_alignments_with_einval(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof not_powers_of_two / sizeof not_powers_of_two[0]; i++) {
        errno = 0;
        assert_null(aligned_alloc(not_powers_of_two[i], 8));
        assert_int_equal(errno, EINVAL);
    }
    errno = 0;
    volatile size_t most = SIZE_MAX;
    assert_null(aligned_alloc(64, most));
    assert_int_equal(errno, ENOMEM);
}

static void memalign_refuses_wrong_alignments_without_errno(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof not_powers_of_two / sizeof not_powers_of_two[0]; i++) {
        errno = 55;
        assert_null(memalign(not_powers_of_two[i], 8));
        assert_int_equal(errno, 55);
    }
    volatile size_t most = SIZE_MAX;
    assert_null(memalign(64, most));
}

static void valloc_is_page_aligned(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (unsigned i = 1; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *block = valloc(sizes[i]);
        assert_non_null(block);
        EXPECT(is_aligned(block, page), "valloc(%zu) = %p", sizes[i], block);
        assert_true(malloc_usable_size(block) >= sizes[i]);
        memset(block, 1, malloc_usable_size(block));
        free(block);
    }
    void *empty = valloc(0);
    assert_non_null(empty);
    assert_true(malloc_usable_size(empty) >= 8);
    free(empty);
    volatile size_t most = SIZE_MAX;
    assert_null(valloc(most));
}

static void a_new_alignment_does_not_survive_realloc_but_the_content_does(void **state)
{
    (void)state;
    void *block = aligned_alloc(4096, 5000);
    content_fill(block, 5000, 9);
    block = realloc(block, 100000);
    assert_non_null(block);
    assert_true(content_is(block, 5000, 9));
    block = realloc(block, 10);
    assert_non_null(block);
    assert_true(content_is(block, 10, 9));
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_alignment_and_size_is_honoured),
        cmocka_unit_test(memalign_of_nothing_is_aligned),
        cmocka_unit_test(many_live_blocks_stay_aligned),
        cmocka_unit_test(posix_memalign_refuses_wrong_alignments_and_touches_nothing),
        cmocka_unit_test(posix_memalign_that_cannot_be_met_returns_enomem),
        cmocka_unit_test(aligned_alloc_refuses_wrong_alignments_with_einval),
        cmocka_unit_test(memalign_refuses_wrong_alignments_without_errno),
        cmocka_unit_test(valloc_is_page_aligned),
        cmocka_unit_test(a_new_alignment_does_not_survive_realloc_but_the_content_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
