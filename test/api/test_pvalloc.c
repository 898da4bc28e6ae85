/* test_pvalloc.c: goal: pvalloc gives whole pages at a page boundary, and refuses what rounding
 * overflows.
 * Method: sizes around page multiples; the ends of the number range.
 */
#include "api_test.h"

static void pvalloc_gives_whole_pages(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t pages = 1; pages <= 40; pages++) {
        for (size_t back = 0; back < 3; back++) {
            size_t size = pages * page - back;
            void *block = pvalloc(size);
            assert_non_null(block);
            EXPECT(is_aligned(block, page), "pvalloc(%zu) = %p", size, block);
            size_t usable = malloc_usable_size(block);
            EXPECT(usable == oracle_usable_aligned(pages * page, page), "pvalloc(%zu): usable %zu",
                   size, usable);
            memset(block, 0x11, usable);
            free(block);
        }
    }
}

static void pvalloc_of_nothing_gives_a_block(void **state)
{
    (void)state;
    void *block = pvalloc(0);
    assert_non_null(block);
    assert_true(malloc_usable_size(block) >= 8);
    free(block);
}

static void pvalloc_refuses_what_rounding_overflows(void **state)
{
    (void)state;
    const size_t sizes[] = {SIZE_MAX,    SIZE_MAX - 1,   SIZE_MAX - 4095,    SIZE_MAX - 4096,
                            PTRDIFF_MAX, ORACLE_LARGEST, ORACLE_LARGEST + 1, ORACLE_LARGEST - 1};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        EXPECT(pvalloc(sizes[i]) == NULL, "pvalloc(%#zx)", sizes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pvalloc_gives_whole_pages),
        cmocka_unit_test(pvalloc_of_nothing_gives_a_block),
        cmocka_unit_test(pvalloc_refuses_what_rounding_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
