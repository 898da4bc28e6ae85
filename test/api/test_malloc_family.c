/* test_malloc_family.c: goal: malloc, calloc, realloc, free and malloc_usable_size do what the
 * contract says, fixed point by fixed point: size 0, NULL, refusal, errno, alignment.
 * Method: each row of the contract's table is one test. No randomness.
 */
#include "api_test.h"

static void size_zero_gives_a_block_of_eight_bytes(void **state)
{
    (void)state;
    void *blocks[] = {malloc(0), calloc(0, 5), calloc(5, 0), calloc(0, 0), realloc(NULL, 0)};
    for (unsigned i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        assert_non_null(blocks[i]);
        assert_int_equal(malloc_usable_size(blocks[i]), 8);
        memset(blocks[i], 0xff, 8);
        free(blocks[i]);
    }
}

static void live_blocks_of_size_zero_differ(void **state)
{
    (void)state;
    void *first = malloc(0);
    void *second = malloc(0);
    assert_ptr_not_equal(first, second);
    free(first);
    free(second);
}

static void usable_size_of_null_is_zero(void **state)
{
    (void)state;
    assert_int_equal(malloc_usable_size(NULL), 0);
}

static void free_of_null_does_nothing(void **state)
{
    (void)state;
    errno = 77;
    free(NULL);
    assert_int_equal(errno, 77);
}

static void every_block_is_aligned_to_the_quantum(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 70000; size += size < 2000 ? 1 : 501) {
        void *block = malloc(size);
        assert_non_null(block);
        size_t alignment = oracle_natural_alignment(oracle_usable(size));
        EXPECT(is_aligned(block, alignment), "malloc(%zu) = %p", size, block);
        free(block);
    }
}

static void refused_requests_set_enomem(void **state)
{
    (void)state;
    const size_t sizes[] = {
        SIZE_MAX,       SIZE_MAX - 1,       (size_t)PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1,
        ORACLE_LARGEST, ORACLE_LARGEST + 1, (size_t)1 << 50};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        errno = 0;
        EXPECT(malloc(sizes[i]) == NULL && errno == ENOMEM, "malloc(%#zx)", sizes[i]);
        errno = 0;
        EXPECT(calloc(1, sizes[i]) == NULL && errno == ENOMEM, "calloc(1, %#zx)", sizes[i]);
        errno = 0;
        EXPECT(calloc(sizes[i], 1) == NULL && errno == ENOMEM, "calloc(%#zx, 1)", sizes[i]);
        errno = 0;
        EXPECT(realloc(NULL, sizes[i]) == NULL && errno == ENOMEM, "realloc(0, %#zx)", sizes[i]);
    }
}

static void calloc_refuses_a_product_that_overflows(void **state)
{
    (void)state;
    const size_t half = (size_t)1 << 32;
    const size_t pairs[][2] = {{half, half},         {SIZE_MAX, 2},        {2, SIZE_MAX},
                               {SIZE_MAX, SIZE_MAX}, {half + 1, half - 1}, {SIZE_MAX / 2 + 1, 2},
                               {SIZE_MAX / 3 + 1, 3}};
    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        errno = 0;
        EXPECT(calloc(pairs[i][0], pairs[i][1]) == NULL && errno == ENOMEM, "calloc(%#zx, %#zx)",
               pairs[i][0], pairs[i][1]);
    }
}

static void a_failed_realloc_leaves_the_block_as_it_was(void **state)
{
    (void)state;
    const size_t old_sizes[] = {1, 100, 5000, 20000, 3000000};
    const size_t new_sizes[] = {SIZE_MAX, (size_t)PTRDIFF_MAX, ORACLE_LARGEST, (size_t)1 << 50};
    for (unsigned i = 0; i < sizeof old_sizes / sizeof old_sizes[0]; i++) {
        void *block = malloc(old_sizes[i]);
        content_fill(block, old_sizes[i], i);
        for (unsigned j = 0; j < sizeof new_sizes / sizeof new_sizes[0]; j++) {
            errno = 0;
            void *moved = realloc(block, new_sizes[j]);
            EXPECT(moved == NULL && errno == ENOMEM, "realloc(%zu, %#zx)", old_sizes[i],
                   new_sizes[j]);
            assert_true(content_is(block, old_sizes[i], i));
            assert_int_equal(malloc_usable_size(block), oracle_usable(old_sizes[i]));
        }
        free(block);
    }
}

static void realloc_to_zero_frees_and_returns_null(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 100, 5000, 20000, 3000000};
    for (unsigned round = 0; round < 200; round++) {
        void *block = malloc(sizes[round % 6]);
        assert_non_null(block);
        errno = 0;
        assert_null(realloc(block, 0));
        assert_int_equal(errno, 0);
    }
}

static void free_keeps_errno(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static void *blocks[COUNT];
    for (size_t size = 8; size <= (size_t)1 << 16; size *= 2) {
        for (unsigned i = 0; i < COUNT; i++) {
            blocks[i] = malloc(size);
            assert_non_null(blocks[i]);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            errno = 4242;
            free(blocks[i]);
            EXPECT(errno == 4242, "free of block %u of %zu bytes set errno %d", i, size, errno);
        }
    }
    void *huge = malloc((size_t)32 << 20);
    errno = 4242;
    free(huge);
    assert_int_equal(errno, 4242);
}

static void success_leaves_errno_alone(void **state)
{
    (void)state;
    for (size_t size = 1; size <= (size_t)4 << 20; size *= 2) {
        errno = 4242;
        void *block = malloc(size);
        void *zeroed = calloc(1, size);
        block = realloc(block, 2 * size);
        assert_non_null(block);
        assert_non_null(zeroed);
        EXPECT(errno == 4242, "size %zu: errno %d", size, errno);
        free(block);
        free(zeroed);
    }
}

static void reallocarray_of_the_c_library_works_on_our_blocks(void **state)
{
    (void)state;
    if (LIBRARY_IS_PREFIXED) {
        skip();
    }
    char *block = reallocarray(NULL, 10, 10);
    assert_non_null(block);
    assert_int_equal(malloc_usable_size(block), 112);
    content_fill(block, 100, 1);
    block = reallocarray(block, 100, 100);
    assert_non_null(block);
    assert_int_equal(malloc_usable_size(block), 10240);
    assert_true(content_is(block, 100, 1));
    free(block);

    /* On overflow the block must stay; the compiler takes it for gone, so it is kept in a volatile.
     */
    void *volatile kept = malloc(100);
    content_fill(kept, 100, 2);
    errno = 0;
    volatile size_t many = SIZE_MAX;
    assert_null(reallocarray(kept, many, 2));
    assert_int_equal(errno, ENOMEM);
    assert_true(content_is(kept, 100, 2));
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_zero_gives_a_block_of_eight_bytes),
        cmocka_unit_test(live_blocks_of_size_zero_differ),
        cmocka_unit_test(usable_size_of_null_is_zero),
        cmocka_unit_test(free_of_null_does_nothing),
        cmocka_unit_test(every_block_is_aligned_to_the_quantum),
        cmocka_unit_test(refused_requests_set_enomem),
        cmocka_unit_test(calloc_refuses_a_product_that_overflows),
        cmocka_unit_test(a_failed_realloc_leaves_the_block_as_it_was),
        cmocka_unit_test(realloc_to_zero_frees_and_returns_null),
        cmocka_unit_test(free_keeps_errno),
        cmocka_unit_test(success_leaves_errno_alone),
        cmocka_unit_test(reallocarray_of_the_c_library_works_on_our_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
