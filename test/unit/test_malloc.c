/* test_malloc.c: goal: the standard family keeps its promises at the limits where its fast and slow
 * halves meet: sizes, zeroes, alignment, overflow, errno, and realloc where it lies.
 * Method: every small size for calloc over dirtied blocks; every pair of near sizes for realloc;
 * the options that change realloc(p, 0) are set in place; mistakes in children.
 */
#include "upper_floors.h"

#include "control/statistics.h"
#include "os/os.h"

/* Keeps compilers, which know these functions by name, from deciding the result themselves. */
static void *hidden(void *block)
{
    void *volatile result = block;
    return result;
}

static void every_size_gets_a_block_of_its_usable_size(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 40000; size += 1 + size / 600) {
        char *block = API(malloc)(size);
        assert_non_null(block);
        assert_int_equal(API(malloc_usable_size)(block), usable_size(size));
        assert_int_equal((uintptr_t)block % (usable_size(size) >= 16 ? 16 : 8), 0);
        memset(block, 0x5d, usable_size(size));
        API(free)(block);
    }
    assert_true(cache_is_valid(thread_cache()));
}

static void calloc_clears_the_whole_block_at_every_small_size(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 34000; size += size < 300 ? 1 : 97) {
        char *dirty = API(malloc)(size);
        assert_non_null(dirty);
        size_t usable = API(malloc_usable_size)(dirty);
        memset(dirty, 0xff, usable);
        API(free)(dirty);
        char *block = API(calloc)(size, 1);
        EXPECT(bytes_are(block, usable, 0), "calloc(%zu)", size);
        API(free)(block);
    }
    char *product = API(calloc)(1000, 3000);
    assert_true(bytes_are(product, 3000000, 0));
    API(free)(product);
}

static void impossible_sizes_give_null_and_enomem(void **state)
{
    (void)state;
    const volatile size_t absurd = SIZE_MAX;
    const volatile size_t half = (size_t)1 << 33;
    char *block = API(malloc)(50);
    errno = 0;
    assert_null(hidden(API(malloc)(absurd)));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(hidden(API(calloc)(half, half)));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(hidden(API(realloc)(block, absurd)));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(hidden(API(aligned_alloc)(64, absurd)));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(hidden(API(pvalloc)(absurd)));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(hidden(API(valloc)(absurd)));
    assert_int_equal(errno, ENOMEM);
    API(free)(block);
}

static void realloc_stays_within_a_class_and_moves_with_content(void **state)
{
    (void)state;
    for (size_t from = 1; from <= 40000; from += 1 + from / 40) {
        for (size_t to = from > 300 ? from - 300 : 1; to <= from + 300; to += 1 + to / 20) {
            char *block = API(malloc)(from);
            memset(block, 0x42, from);
            char *result = API(realloc)(block, to);
            assert_non_null(result);
            assert_int_equal(API(malloc_usable_size)(result), usable_size(to));
            EXPECT(bytes_are(result, from < to ? from : to, 0x42), "%zu to %zu", from, to);
            EXPECT(usable_size(from) != usable_size(to) || result == block, "%zu to %zu", from, to);
            API(free)(result);
        }
    }
}

static void realloc_of_null_allocates(void **state)
{
    (void)state;
    void *block = API(realloc)(NULL, 100);
    assert_int_equal(API(malloc_usable_size)(block), 112);
    API(free)(block);
    block = API(realloc)(NULL, 0);
    assert_non_null(block);
    API(free)(block);
}

static void realloc_to_zero_and_abort(void *unused)
{
    (void)unused;
    options.zero_realloc = ZERO_REALLOC_ABORT;
    (void)!API(realloc)(API(malloc)(10), 0);
}

static void realloc_to_zero_does_what_the_option_says(void **state)
{
    (void)state;
    size_t before = statistics_zero_reallocs;
    assert_int_equal(options.zero_realloc, ZERO_REALLOC_FREE);
    assert_null(hidden(API(realloc)(API(malloc)(100), 0)));
    options.zero_realloc = ZERO_REALLOC_ALLOC;
    void *block = API(realloc)(API(malloc)(100), 0);
    assert_int_equal(API(malloc_usable_size)(block), 8);
    API(free)(block);
    options.zero_realloc = ZERO_REALLOC_FREE;
    assert_int_equal(statistics_zero_reallocs, before + 2);
    expect_abort(realloc_to_zero_and_abort, NULL, "zero_realloc:abort");
}

static void posix_memalign_answers_errors_and_leaves_errno(void **state)
{
    (void)state;
    void *const untouched = &errno;
    const volatile size_t odd = 24;
    void *result = untouched;
    errno = 55;
    assert_int_equal(API(posix_memalign)(&result, 0, 10), EINVAL);
    assert_int_equal(API(posix_memalign)(&result, 4, 10), EINVAL);
    assert_int_equal(API(posix_memalign)(&result, odd, 10), EINVAL);
    assert_int_equal(API(posix_memalign)(&result, 64, SIZE_MAX), ENOMEM);
    assert_ptr_equal(result, untouched);
    assert_int_equal(errno, 55);
    for (size_t alignment = sizeof(void *); alignment <= 1 << 24; alignment *= 2) {
        assert_int_equal(API(posix_memalign)(&result, alignment, 100), 0);
        assert_int_equal((uintptr_t)result % alignment, 0);
        memset(result, 1, 100);
        API(free)(result);
    }
    assert_int_equal(errno, 55);
}

static void aligned_functions_align_and_refuse_odd_alignments(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= 1 << 22; alignment *= 2) {
        void *blocks[] = {API(aligned_alloc)(alignment, 300), API(memalign)(alignment, 300)};
        for (unsigned i = 0; i < 2; i++) {
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % alignment, 0);
            API(free_aligned_sized)(blocks[i], alignment, 300);
        }
    }
    const volatile size_t odd = 48;
    errno = 0;
    assert_null(hidden(API(aligned_alloc)(odd, 100)));
    assert_int_equal(errno, EINVAL);
    assert_null(hidden(API(memalign)(odd, 100)));
    void *page = API(valloc)(1);
    assert_int_equal((uintptr_t)page % os_page_bytes, 0);
    API(free)(page);
    page = API(pvalloc)(1);
    assert_int_equal((uintptr_t)page % os_page_bytes, 0);
    assert_true(API(malloc_usable_size)(page) >= os_page_bytes);
    API(free)(page);
}

static void null_is_free_to_give_back(void **state)
{
    (void)state;
    errno = 66;
    API(free)(NULL);
    API(free_sized)(NULL, 10);
    API(free_aligned_sized)(NULL, 64, 10);
    assert_int_equal(API(malloc_usable_size)(NULL), 0);
    assert_int_equal(errno, 66);
}

static void sized_free_puts_blocks_where_free_does(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 100000; size += 1 + size / 7) {
        void *block = API(malloc)(size);
        API(free_sized)(block, size);
        if (size <= CACHED_SIZE_MAX) {
            assert_ptr_equal(API(malloc)(size), block);
            API(free_sized)(block, size);
        }
    }
    assert_true(cache_is_valid(thread_cache()));
}

static void ask_size_of_interior(void *block)
{
    (void)API(malloc_usable_size)((char *)block + 16);
}

static void realloc_interior(void *block)
{
    (void)!API(realloc)((char *)block + 16, 10);
}

static void interior_pointers_abort_with_the_name_of_the_function(void **state)
{
    (void)state;
    void *block = API(malloc)(1024);
    expect_abort(ask_size_of_interior, block, "malloc_usable_size(): invalid pointer");
    expect_abort(realloc_interior, block, "realloc(): invalid pointer");
    API(free)(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_gets_a_block_of_its_usable_size),
        cmocka_unit_test(calloc_clears_the_whole_block_at_every_small_size),
        cmocka_unit_test(impossible_sizes_give_null_and_enomem),
        cmocka_unit_test(realloc_stays_within_a_class_and_moves_with_content),
        cmocka_unit_test(realloc_of_null_allocates),
        cmocka_unit_test(realloc_to_zero_does_what_the_option_says),
        cmocka_unit_test(posix_memalign_answers_errors_and_leaves_errno),
        cmocka_unit_test(aligned_functions_align_and_refuse_odd_alignments),
        cmocka_unit_test(null_is_free_to_give_back),
        cmocka_unit_test(sized_free_puts_blocks_where_free_does),
        cmocka_unit_test(interior_pointers_abort_with_the_name_of_the_function),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
