/* test_extended_family.c: goal: mallocx, rallocx, dallocx honour alignment, zero, arena and cache
 * flags, refuse without touching errno where the contract says so, and keep the old block on
 * failure. Method: fixed points of the contract and growth chains with marked content.
 */
#include "api_test.h"

static const int cache_flags[] = {0, MALLOCX_TCACHE_NONE, MALLOCX_ARENA(0),
                                  MALLOCX_ARENA(0) | MALLOCX_TCACHE_NONE};

enum { CACHE_FLAG_COUNT = sizeof cache_flags / sizeof cache_flags[0] };

static void refusal_above_the_largest_class_leaves_errno(void **state)
{
    (void)state;
    const size_t sizes[] = {ORACLE_LARGEST + 1, PTRDIFF_MAX, SIZE_MAX};
    void *block = mallocx(100, 0);
    content_fill(block, 100, 3);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        errno = 66;
        EXPECT(mallocx(sizes[i], 0) == NULL && errno == 66, "mallocx(%#zx)", sizes[i]);
        EXPECT(mallocx(sizes[i], MALLOCX_ZERO) == NULL && errno == 66, "mallocx(%#zx)", sizes[i]);
        EXPECT(rallocx(block, sizes[i], 0) == NULL && errno == 66, "rallocx(%#zx)", sizes[i]);
        assert_true(content_is(block, 100, 3));
    }
    dallocx(block, 0);
}

static void refusal_for_want_of_memory_sets_enomem(void **state)
{
    (void)state;
    const size_t sizes[] = {(size_t)1 << 47, (size_t)1 << 50, ORACLE_LARGEST};
    for (size_t old_size = 100; old_size <= (size_t)4 << 20; old_size *= 200) {
        void *block = mallocx(old_size, 0);
        content_fill(block, old_size, 3);
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            errno = 0;
            EXPECT(mallocx(sizes[i], 0) == NULL && errno == ENOMEM, "mallocx(%#zx)", sizes[i]);
            errno = 0;
            EXPECT(rallocx(block, sizes[i], 0) == NULL && errno == ENOMEM, "rallocx(%#zx)",
                   sizes[i]);
            assert_true(content_is(block, old_size, 3));
            assert_int_equal(sallocx(block, 0), oracle_usable(old_size));
        }
        dallocx(block, 0);
    }
}

static void zero_flag_gives_zeroes_in_used_memory(void **state)
{
    (void)state;
    for (unsigned f = 0; f < CACHE_FLAG_COUNT; f++) {
        for (size_t size = 8; size <= (size_t)2 << 20; size += size / 2 + 8) {
            for (unsigned round = 0; round < 3; round++) {
                void *block = mallocx(size, cache_flags[f] | MALLOCX_ZERO);
                assert_non_null(block);
                EXPECT(content_is_zero(block, size), "mallocx(%zu, ZERO) is not zero", size);
                memset(block, 0xee, sallocx(block, 0));
                dallocx(block, cache_flags[f]);
            }
        }
    }
}

/* Doubling and shrinking with all flags: what was kept is kept, what is new is zero, alignment
 * holds. */
static void rallocx_chain(int flags, size_t alignment, bool zero)
{
    size_t size = 24;
    void *block = mallocx(size, flags);
    content_fill(block, size, 7);
    while (size <= (size_t)3 << 20) {
        size_t larger = size + size / 2 + 17;
        size_t old_usable = sallocx(block, 0);
        block = rallocx(block, larger, flags);
        assert_non_null(block);
        EXPECT(is_aligned(block, alignment), "rallocx(%zu) = %p, alignment %zu", larger, block,
               alignment);
        EXPECT(sallocx(block, 0) >= larger, "usable %zu of %zu", sallocx(block, 0), larger);
        EXPECT(content_is(block, size, 7), "content lost from %zu to %zu", size, larger);
        if (zero && larger > old_usable) {
            EXPECT(content_is_zero((char *)block + old_usable, larger - old_usable),
                   "tail of %zu not zero after %zu", larger, old_usable);
        }
        content_fill(block, larger, 7);
        size = larger;
    }
    while (size > 100) {
        size -= size / 3;
        block = rallocx(block, size, flags);
        assert_non_null(block);
        EXPECT(is_aligned(block, alignment), "rallocx(%zu) = %p", size, block);
        EXPECT(content_is(block, size, 7), "content lost shrinking to %zu", size);
    }
    dallocx(block, flags & ~MALLOCX_ZERO);
}

static void rallocx_keeps_content_zeroes_the_tail_and_aligns(void **state)
{
    (void)state;
    for (unsigned f = 0; f < CACHE_FLAG_COUNT; f++) {
        for (unsigned lg = 3; lg <= 16; lg++) {
            int flags = cache_flags[f] | MALLOCX_LG_ALIGN(lg);
            rallocx_chain(flags, alignment_at(lg), false);
            rallocx_chain(flags | MALLOCX_ZERO, alignment_at(lg), true);
        }
    }
}

static void rallocx_can_raise_the_alignment_of_a_block(void **state)
{
    (void)state;
    for (size_t size = 16; size <= 100000; size = size * 3 + 1) {
        for (unsigned lg = 4; lg <= 21; lg++) {
            void *block = mallocx(size, 0);
            content_fill(block, size, lg);
            block = rallocx(block, size + 1, MALLOCX_LG_ALIGN(lg));
            assert_non_null(block);
            EXPECT(is_aligned(block, alignment_at(lg)), "rallocx(%zu, LG_ALIGN(%u)) = %p", size, lg,
                   block);
            assert_true(content_is(block, size, lg));
            dallocx(block, 0);
        }
    }
}

static void a_block_may_pass_between_the_families(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 300000; size = size * 2 + 5) {
        free(mallocx(size, 0));
        dallocx(malloc(size), 0);
        dallocx(calloc(1, size), MALLOCX_TCACHE_NONE);
        free(rallocx(malloc(size), size + 100, 0));
        sdallocx(realloc(mallocx(size, MALLOCX_TCACHE_NONE), size * 2), size * 2, 0);
    }
}

static void dallocx_keeps_errno(void **state)
{
    (void)state;
    for (size_t size = 1; size <= (size_t)4 << 20; size *= 3) {
        void *first = mallocx(size, 0);
        void *second = mallocx(size, MALLOCX_TCACHE_NONE);
        errno = 91;
        dallocx(first, 0);
        dallocx(second, MALLOCX_TCACHE_NONE);
        assert_int_equal(errno, 91);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusal_above_the_largest_class_leaves_errno),
        cmocka_unit_test(refusal_for_want_of_memory_sets_enomem),
        cmocka_unit_test(zero_flag_gives_zeroes_in_used_memory),
        cmocka_unit_test(rallocx_keeps_content_zeroes_the_tail_and_aligns),
        cmocka_unit_test(rallocx_can_raise_the_alignment_of_a_block),
        cmocka_unit_test(a_block_may_pass_between_the_families),
        cmocka_unit_test(dallocx_keeps_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
