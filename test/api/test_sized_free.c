/* test_sized_free.c: goal: free_sized, free_aligned_sized and sdallocx accept every size between
 * the requested and the usable one, keep errno, and give the block back for real.
 * Method: every class at both ends of the allowed range; then a loop whose memory would grow
 * without bound if the blocks were not reused.
 */
#include "api_test.h"

static void sized_free_takes_requested_and_usable_size(void **state)
{
    (void)state;
    for (unsigned class = 1; oracle_class_size(class) <= (size_t)4 << 20; class ++) {
        size_t usable = oracle_class_size(class);
        size_t least = oracle_class_size(class - 1) + 1;
        errno = 31;
        free_sized(malloc(least), least);
        free_sized(malloc(usable), usable);
        free_sized(malloc(usable), usable - 1 < least ? usable : usable - 1);
        free_sized(calloc(1, least), least);
        sdallocx(mallocx(least, 0), least, 0);
        sdallocx(mallocx(usable, 0), usable, 0);
        EXPECT(errno == 31, "class %zu: errno %d", usable, errno);
    }
}

static void sized_free_of_null_does_nothing(void **state)
{
    (void)state;
    errno = 31;
    free_sized(NULL, 0);
    free_sized(NULL, 100);
    free_aligned_sized(NULL, 64, 0);
    assert_int_equal(errno, 31);
}

static void aligned_sized_free_takes_what_aligned_alloc_was_asked(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 64, 100, 4096, 5000, 16384, 50000, (size_t)1 << 20};
    for (size_t alignment = 8; alignment <= (size_t)4 << 20; alignment *= 2) {
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            void *block = aligned_alloc(alignment, sizes[i]);
            assert_non_null(block);
            free_aligned_sized(block, alignment, sizes[i]);
            int flags = MALLOCX_ALIGN(alignment);
            block = mallocx(sizes[i], flags);
            assert_non_null(block);
            sdallocx(block, sizes[i], flags);
        }
    }
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    unsigned long total = 0;
    unsigned long resident = 0;
    assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* 30,000 rounds of 70 KiB are 2 GiB if nothing is reused. */
static void sized_free_gives_memory_back(void **state)
{
    (void)state;
    size_t before = resident_bytes();
    for (unsigned round = 0; round < 30000; round++) {
        char *small = malloc(300);
        char *large = malloc(70000);
        char *aligned = aligned_alloc(256, 200);
        small[0] = large[0] = large[69999] = aligned[0] = 1;
        free_sized(small, 300);
        free_sized(large, 70000);
        free_aligned_sized(aligned, 256, 200);
    }
    EXPECT(resident_bytes() < before + ((size_t)64 << 20), "resident memory grew");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sized_free_takes_requested_and_usable_size),
        cmocka_unit_test(sized_free_of_null_does_nothing),
        cmocka_unit_test(aligned_sized_free_takes_what_aligned_alloc_was_asked),
        cmocka_unit_test(sized_free_gives_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
