/* test_zeroing.c: goal: calloc and MALLOCX_ZERO give zeroes where the memory was used before, and
 * the grown tail of rallocx with MALLOCX_ZERO is zero.
 * Method: dirty every byte, free, allocate zeroed, look at every requested byte; small, large and
 * huge.
 */
#include "api_test.h"

static void calloc_after_dirty_frees_of_every_class(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    void *blocks[COUNT];
    for (unsigned class = 0; oracle_class_size(class) <= (size_t)256 << 10; class ++) {
        size_t size = oracle_class_size(class);
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < COUNT; i++) {
                blocks[i] = calloc(1, size);
                assert_non_null(blocks[i]);
                EXPECT(content_is_zero(blocks[i], size), "calloc(%zu) round %u", size, round);
                memset(blocks[i], 0xff, malloc_usable_size(blocks[i]));
            }
            for (unsigned i = 0; i < COUNT; i++) {
                free(blocks[i]);
            }
        }
    }
}

static void big_calloc_is_zero_after_reuse(void **state)
{
    (void)state;
    const size_t sizes[] = {(size_t)1 << 20,       ((size_t)2 << 20) - 4096, (size_t)2 << 20,
                            ((size_t)2 << 20) + 1, (size_t)9 << 20,          (size_t)40 << 20};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (unsigned round = 0; round < 4; round++) {
            void *block = calloc(sizes[i] / 16 + 1, 16);
            assert_non_null(block);
            EXPECT(content_is_zero(block, sizes[i]), "calloc(%zu) round %u", sizes[i], round);
            memset(block, 0xff, malloc_usable_size(block));
            free(block);
        }
    }
}

static void calloc_is_zero_where_other_sizes_were(void **state)
{
    (void)state;
    enum { COUNT = 256 };
    static void *blocks[COUNT];
    const size_t sizes[] = {24, 4096, 100, 20000, 65536, 9000, 150000, 3000};
    for (unsigned round = 0; round < 16; round++) {
        size_t size = sizes[round % 8];
        for (unsigned i = 0; i < COUNT; i++) {
            blocks[i] = calloc(1, size);
            assert_non_null(blocks[i]);
            EXPECT(content_is_zero(blocks[i], size), "calloc(%zu) round %u", size, round);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            memset(blocks[i], 0xff, malloc_usable_size(blocks[i]));
            free(blocks[i]);
        }
    }
}

static void aligned_zeroed_blocks_are_zero(void **state)
{
    (void)state;
    for (unsigned lg = 4; lg <= 22; lg++) {
        for (size_t size = 100; size <= (size_t)1 << 20; size *= 10) {
            for (unsigned round = 0; round < 3; round++) {
                void *block = mallocx(size, MALLOCX_LG_ALIGN(lg) | MALLOCX_ZERO);
                assert_non_null(block);
                EXPECT(content_is_zero(block, size), "mallocx(%zu, LG_ALIGN(%u)|ZERO)", size, lg);
                memset(block, 0xff, sallocx(block, 0));
                dallocx(block, 0);
            }
        }
    }
}

static void dirty_the_heap(size_t size)
{
    void *blocks[8];
    for (unsigned i = 0; i < 8; i++) {
        blocks[i] = malloc(size);
        memset(blocks[i], 0xff, malloc_usable_size(blocks[i]));
    }
    for (unsigned i = 0; i < 8; i++) {
        free(blocks[i]);
    }
}

static void the_tail_that_rallocx_adds_is_zero(void **state)
{
    (void)state;
    for (size_t from = 10; from <= (size_t)3 << 20; from = from * 2 + 3) {
        for (unsigned times = 2; times <= 32 && from * times <= (size_t)12 << 20; times *= 4) {
            size_t to = from * times;
            dirty_the_heap(to);
            unsigned char *block = mallocx(from, 0);
            size_t before = sallocx(block, 0);
            memset(block, 0xff, before);
            block = rallocx(block, to, MALLOCX_ZERO);
            assert_non_null(block);
            EXPECT(to <= before || content_is_zero(block + before, to - before),
                   "rallocx(%zu -> %zu, ZERO)", from, to);
            assert_int_equal(block[before < to ? before - 1 : to - 1], 0xff);
            dallocx(block, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calloc_after_dirty_frees_of_every_class),
        cmocka_unit_test(big_calloc_is_zero_after_reuse),
        cmocka_unit_test(calloc_is_zero_where_other_sizes_were),
        cmocka_unit_test(aligned_zeroed_blocks_are_zero),
        cmocka_unit_test(the_tail_that_rallocx_adds_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
