/* test_boundary_pairs.c: goal: size arithmetic is right at its edges: every boundary value, and
 * every pair of them, through every entry point, gives a sound block of the expected usable size
 * or a clean refusal.
 * Method: the boundary sets and the oracle of usable_oracle.h. Up to 64 MiB an allocation must
 * succeed, from 2^47 on it must fail; between the two either is right, and a block is checked at
 * both ends.
 */
#include "api_test.h"

static size_t full_set[BOUNDARY_MAX];
static size_t short_set[BOUNDARY_MAX];
static unsigned full_count;
static unsigned short_count;

static int prepare_sets(void **state)
{
    (void)state;
    full_count = boundary_full(full_set);
    short_count = boundary_short(short_set);
    return 0;
}

/* What is known of a request before it is made. */
struct request {
    const char *name;
    size_t size;      /* bytes that must be there */
    size_t alignment; /* that the block must have; 1: the natural one */
    bool zero;
    bool sets_errno; /* a refusal leaves ENOMEM */
};

static void check_ends(unsigned char *block, size_t usable, const struct request *request)
{
    size_t window = usable < 8192 ? usable : 4096;
    if (request->zero) {
        size_t tail = request->size - (request->size < window ? request->size : window);
        EXPECT(content_is_zero(block, request->size - tail), "%s: head not zero", request->name);
        EXPECT(content_is_zero(block + tail, request->size - tail), "%s: tail", request->name);
    }
    content_fill(block, window, usable);
    content_fill(block + usable - window, window, usable + 1);
    EXPECT(content_is(block + usable - window, window, usable + 1), "%s: end lost", request->name);
}

/* The outcome of a request is sound; frees the block. */
static void check_outcome(void *block, const struct request *request)
{
    size_t expected = oracle_usable_aligned(request->size, request->alignment);
    if (block == NULL) {
        EXPECT(request->size > ORACLE_MUST_SUCCEED || request->alignment > ORACLE_MUST_SUCCEED,
               "%s: size %#zx alignment %#zx refused", request->name, request->size,
               request->alignment);
        EXPECT(!request->sets_errno || errno == ENOMEM, "%s: size %#zx: errno %d", request->name,
               request->size, errno);
        return;
    }
    EXPECT(request->size < ORACLE_MUST_FAIL && request->alignment < ORACLE_MUST_FAIL,
           "%s: size %#zx alignment %#zx granted", request->name, request->size,
           request->alignment);
    size_t usable = malloc_usable_size(block);
    EXPECT(usable == expected, "%s: size %#zx alignment %#zx: usable %#zx, not %#zx", request->name,
           request->size, request->alignment, usable, expected);
    EXPECT(is_aligned(block, request->alignment), "%s: size %#zx alignment %#zx: %p", request->name,
           request->size, request->alignment, block);
    EXPECT(is_aligned(block, oracle_natural_alignment(usable)), "%s: %p", request->name, block);
    check_ends(block, usable, request);
    errno = 19;
    free(block);
    EXPECT(errno == 19, "%s: free of size %#zx set errno %d", request->name, request->size, errno);
}

static void one_size_through_every_entry_point(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (unsigned i = 0; i < full_count; i++) {
        size_t size = full_set[i];
        if (!size_is_testable(size)) {
            continue;
        }
        errno = 0;
        check_outcome(malloc(size), &(struct request){"malloc", size, 1, false, true});
        errno = 0;
        check_outcome(calloc(1, size), &(struct request){"calloc 1, n", size, 1, true, true});
        errno = 0;
        check_outcome(calloc(size, 1), &(struct request){"calloc n, 1", size, 1, true, true});
        errno = 0;
        check_outcome(realloc(NULL, size), &(struct request){"realloc", size, 1, false, true});
        if (size == 0) {
            continue;
        }
        check_outcome(valloc(size), &(struct request){"valloc", size, page, false, false});
        errno = 0;
        bool sets_errno = size <= ORACLE_LARGEST;
        check_outcome(mallocx(size, 0), &(struct request){"mallocx", size, 1, false, sets_errno});
        errno = 0;
        check_outcome(mallocx(size, MALLOCX_ZERO | MALLOCX_TCACHE_NONE),
                      &(struct request){"mallocx zero", size, 1, true, sets_errno});
        EXPECT(nallocx(size, 0) == oracle_usable(size), "nallocx(%#zx)", size);
    }
}

static void pairs_through_calloc(void **state)
{
    (void)state;
    for (unsigned i = 0; i < short_count; i++) {
        for (unsigned j = 0; j < short_count; j++) {
            size_t product = 0;
            if (__builtin_mul_overflow(short_set[i], short_set[j], &product)) {
                product = SIZE_MAX;
            }
            /* Zeroing recycled memory is real work: the middle range is covered by single sizes. */
            if (product <= ORACLE_MUST_SUCCEED / 8 || product >= ORACLE_MUST_FAIL) {
                errno = 0;
                check_outcome(calloc(short_set[i], short_set[j]),
                              &(struct request){"calloc pair", product, 1, true, true});
            }
        }
    }
}

static void check_aligned(size_t alignment, size_t size)
{
    errno = 0;
    void *block = NULL;
    int result = posix_memalign(&block, alignment, size);
    EXPECT(result == (block == NULL ? ENOMEM : 0) || (result == EINVAL && alignment < 8),
           "posix_memalign(%#zx, %#zx): %d", alignment, size, result);
    if (alignment >= 8) {
        check_outcome(block, &(struct request){"posix_memalign", size, alignment, false, false});
    }
    errno = 0;
    check_outcome(aligned_alloc(alignment, size),
                  &(struct request){"aligned_alloc", size, alignment, false, true});
    if (size == 0) {
        return;
    }
    check_outcome(memalign(alignment, size),
                  &(struct request){"memalign", size, alignment, false, false});
    int flags = MALLOCX_ALIGN(alignment);
    check_outcome(mallocx(size, flags),
                  &(struct request){"mallocx align", size, alignment, false, false});
    check_outcome(mallocx(size, flags | MALLOCX_ZERO),
                  &(struct request){"mallocx align zero", size, alignment, true, false});
}

static void pairs_of_alignment_and_size(void **state)
{
    (void)state;
    for (unsigned lg = 0; lg < ALIGNMENT_COUNT; lg++) {
        size_t alignment = alignment_at(lg);
        for (unsigned i = 0; i < short_count; i++) {
            if (size_is_testable(short_set[i]) && size_is_testable(alignment)) {
                check_aligned(alignment, short_set[i]);
            }
        }
    }
}

static void wrong_alignments_with_every_size(void **state)
{
    (void)state;
    for (unsigned i = 0; i < short_count; i++) {
        for (unsigned j = 0; j < short_count; j++) {
            size_t alignment = short_set[i];
            if (is_power_of_two(alignment)) {
                continue;
            }
            void *block = NULL;
            EXPECT(posix_memalign(&block, alignment, short_set[j]) == EINVAL,
                   "posix_memalign(%#zx, %#zx)", alignment, short_set[j]);
            errno = 0;
            EXPECT(aligned_alloc(alignment, short_set[j]) == NULL && errno == EINVAL,
                   "aligned_alloc(%#zx, %#zx)", alignment, short_set[j]);
            EXPECT(memalign(alignment, short_set[j]) == NULL, "memalign(%#zx, %#zx)", alignment,
                   short_set[j]);
        }
    }
}

/* Resizes a marked block; keeps the common part, or all of it on refusal. */
static void check_resize(size_t old_size, size_t size, bool extended)
{
    unsigned char *block = malloc(old_size);
    size_t window = old_size < 4096 ? old_size : 4096;
    content_fill(block, window, old_size);
    errno = 0;
    unsigned char *moved = extended ? rallocx(block, size, 0) : realloc(block, size);
    const char *name = extended ? "rallocx" : "realloc";
    if (moved == NULL && size == 0) {
        return; /* freed */
    }
    unsigned char *live = moved == NULL ? block : moved;
    size_t kept = moved == NULL || window < size ? window : size;
    EXPECT(content_is(live, kept, old_size), "%s(%zu -> %#zx) lost content", name, old_size, size);
    if (moved == NULL) {
        EXPECT(malloc_usable_size(live) == oracle_usable(old_size), "%s: old block changed", name);
        free(live);
        EXPECT(size > ORACLE_MUST_SUCCEED, "%s(%zu -> %#zx) refused", name, old_size, size);
        EXPECT(errno == ENOMEM || (extended && size > ORACLE_LARGEST && errno == 0),
               "%s(%zu -> %#zx): errno %d", name, old_size, size, errno);
        return;
    }
    check_outcome(moved, &(struct request){name, size, 1, false, false});
}

static void pairs_of_old_and_new_size(void **state)
{
    (void)state;
    for (unsigned i = 0; i < short_count; i++) {
        if (short_set[i] > (size_t)9 << 20) {
            continue;
        }
        for (unsigned j = 0; j < short_count; j++) {
            if (!size_is_testable(short_set[j])) {
                continue;
            }
            check_resize(short_set[i], short_set[j], false);
            if (short_set[j] != 0) {
                check_resize(short_set[i], short_set[j], true);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_size_through_every_entry_point),
        cmocka_unit_test(pairs_through_calloc),
        cmocka_unit_test(pairs_of_alignment_and_size),
        cmocka_unit_test(wrong_alignments_with_every_size),
        cmocka_unit_test(pairs_of_old_and_new_size),
    };
    return cmocka_run_group_tests(tests, prepare_sets, NULL);
}
