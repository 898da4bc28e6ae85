/* test_block.c: goal: blocks come with the size, alignment, arena and zeroes that were asked for;
 * no pointer but the start of a live block passes the verification or the fast path of free; errno
 * and content survive.
 * Method: requests over all flags; pointers of every kind against the fast path, in place, and
 * against block_code(), in children that must abort; the counters of caches show which path ran.
 */
#include "upper_floors.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:12";

static void requests_get_what_they_ask_for(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,     1,     8,     100,     4096,   14336,
                                   14337, 32768, 32769, 1 << 20, 5000000};
    struct arena *other = fresh_arena();
    for (unsigned flags = 0; flags < 8; flags++) {
        for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
            for (size_t alignment = 1; alignment <= 1 << 22; alignment *= 8) {
                struct block_request request = {sizes[s],
                                                alignment,
                                                (flags & 1) != 0,
                                                (flags & 2) != 0,
                                                (flags & 4) != 0 ? other : NULL,
                                                NULL,
                                                NULL};
                char *block = block_alloc(&request);
                assert_non_null(block);
                unsigned code = block_code("test", block);
                size_t usable = block_size(block, code);
                assert_int_equal(usable, block_usable_size(sizes[s], alignment));
                assert_true(usable >= sizes[s]);
                assert_int_equal((uintptr_t)block % alignment, 0);
                assert_true(!request.zero || bytes_are(block, usable, 0));
                assert_true(request.arena == NULL || large_arena(block, code) == other);
                memset(block, 0xab, usable);
                block_free(block, code, request.uncached);
            }
        }
    }
    assert_true(cache_is_valid(thread_cache()));
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    const struct block_request impossible[] = {
        {.size_bytes = SIZE_MAX, .alignment = 1},
        {.size_bytes = CLASS_SIZE_MAX + 1, .alignment = 1},
        {.size_bytes = CLASS_SIZE_MAX, .alignment = 1},
        {.size_bytes = 1, .alignment = (size_t)1 << 63},
        {.size_bytes = SIZE_MAX - 4095, .alignment = 4096},
        {.size_bytes = (size_t)1 << 46, .alignment = (size_t)1 << 46, .zero = true},
    };
    for (unsigned i = 0; i < COUNT_OF(impossible); i++) {
        assert_null(block_alloc(&impossible[i]));
    }
}

static unsigned cached(size_t size)
{
    const struct cache_bin *bin = &thread_cache()->front.bin[class_of(size) + 1];
    return (unsigned)(bin->bottom - bin->head);
}

static void uncached_blocks_pass_by_the_cache(void **state)
{
    (void)state;
    struct block_request request = {.size_bytes = 1500, .alignment = 1, .uncached = true};
    unsigned before = cached(1500);
    void *block = block_alloc(&request);
    assert_non_null(block);
    assert_int_equal(cached(1500), before);
    block_free(block, block_code("test", block), true);
    assert_int_equal(cached(1500), before);
    request.uncached = false;
    block = block_alloc(&request);
    before = cached(1500);
    block_free(block, block_code("test", block), false);
    assert_int_equal(cached(1500), before + 1);
}

static void the_fast_path_gives_and_takes_cached_blocks(void **state)
{
    (void)state;
    for (size_t size = 0; size <= CACHED_SIZE_MAX; size += 1 + size / 13) {
        void *first = API(malloc)(size);
        bool tested = bin_inverse[size_code[(size + 7) / 8] / CODE_SCALE] != 0;
        assert_non_null(first);
        unsigned before = cached(size);
        /* A bin at its capacity takes the slow path. */
        bool took = fast_free(first);
        EXPECT(took == (cached(size) == before + 1), "size %zu", size);
        EXPECT(tested || !took, "size %zu", size);
        if (took) {
            assert_false(fast_free(first));
            assert_ptr_equal(fast_alloc(size), first);
            API(free)(first);
        } else {
            API(free)(first);
        }
    }
    const volatile size_t beyond = CACHED_SIZE_MAX + 1;
    const volatile size_t absurd = SIZE_MAX;
    assert_null(fast_alloc(beyond));
    assert_null(fast_alloc(absurd));
    assert_false(fast_free_sized((void *)4096, beyond));
    assert_true(cache_is_valid(thread_cache()));
}

/* Pointers that start no block: on the stack, in code, unmapped, beyond the address space, and into
 * the middle of blocks. */
static unsigned bad_pointers(void **pointers, char *small, char *run, char *huge)
{
    static int in_data;
    unsigned count = 0;
    pointers[count++] = &count;
    pointers[count++] = &in_data;
    pointers[count++] = (void *)(uintptr_t)bad_pointers;
    pointers[count++] = (void *)1;
    pointers[count++] = (void *)4096;
    pointers[count++] = (void *)0xdeadbeef000;
    pointers[count++] = (void *)(((uintptr_t)1 << 47) - 4096);
    pointers[count++] = (void *)(((uintptr_t)1 << 48) - 16);
    pointers[count++] = (void *)((uintptr_t)1 << 48);
    pointers[count++] = (void *)0x8000000000000000;
    pointers[count++] = (void *)UINTPTR_MAX;
    pointers[count++] = small + 1;
    pointers[count++] = small + 8;
    pointers[count++] = small + 16;
    pointers[count++] = run + 1;
    pointers[count++] = run + 4096;
    pointers[count++] = huge + 16;
    pointers[count++] = huge + 4096;
    pointers[count++] = huge + (2 << 20);
    return count;
}

static void verify(void *pointer)
{
    (void)block_code("realloc", pointer);
}

static void free_it(void *pointer)
{
    API(free)(pointer);
}

static void no_other_pointer_passes(void **state)
{
    (void)state;
    char *small = API(malloc)(1024);
    char *run = API(malloc)(100000);
    char *huge = API(malloc)(5 << 20);
    void *pointers[32];
    unsigned count = bad_pointers(pointers, small, run, huge);
    for (unsigned i = 0; i < count; i++) {
        EXPECT(!fast_free(pointers[i]), "pointer %u: %p", i, pointers[i]);
        expect_abort(verify, pointers[i], "realloc(): invalid pointer");
        expect_abort(free_it, pointers[i], "free(): invalid pointer");
    }
    assert_false(fast_free(NULL));
    expect_abort(verify, NULL, "invalid pointer");
    API(free)(small);
    API(free)(run);
    API(free)(huge);
}

static void every_interior_pointer_of_every_class_is_refused_by_the_fast_path(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < CACHED_CLASSES; i++) {
        char *block = API(malloc)(class_size(i));
        size_t step = class_size(i) / 512 + 1;
        for (size_t offset = 1; offset < class_size(i); offset += step) {
            EXPECT(!fast_free(block + offset), "class %u, offset %zu", i, offset);
        }
        API(free)(block);
    }
    assert_true(cache_is_valid(thread_cache()));
}

static void content_survives_each_way_of_resizing(void **state)
{
    (void)state;
    static const size_t sizes[] = {8,     100,    1024,   5000,    14336,   16384,  20480,
                                   65536, 131072, 262144, 1048576, 2097152, 5242880};
    for (unsigned from = 0; from < COUNT_OF(sizes); from++) {
        for (unsigned to = 0; to < COUNT_OF(sizes); to++) {
            struct block_request request = {.size_bytes = sizes[from], .alignment = 1};
            char *block = block_alloc(&request);
            assert_non_null(block);
            unsigned code = block_code("test", block);
            size_t old_bytes = block_size(block, code);
            memset(block, 0x2d, old_bytes);
            request.size_bytes = sizes[to];
            request.zero = true;
            block = block_realloc((struct block_resize){block, code, old_bytes}, &request);
            assert_non_null(block);
            code = block_code("test", block);
            size_t usable = block_size(block, code);
            size_t kept = old_bytes < usable ? old_bytes : usable;
            assert_int_equal(usable, block_usable_size(sizes[to], 1));
            EXPECT(bytes_are(block, kept, 0x2d), "%zu to %zu", sizes[from], sizes[to]);
            EXPECT(bytes_are(block + kept, usable - kept, 0), "%zu to %zu", sizes[from], sizes[to]);
            block_free(block, code, false);
        }
    }
}

static void a_refused_resize_changes_nothing(void **state)
{
    (void)state;
    struct block_request request = {.size_bytes = 100, .alignment = 1};
    char *block = block_alloc(&request);
    unsigned code = block_code("test", block);
    struct block_resize old = {block, code, block_size(block, code)};
    memset(block, 0x3e, old.old_bytes);
    request.size_bytes = (size_t)1 << 60;
    assert_null(block_realloc(old, &request));
    request.size_bytes = SIZE_MAX;
    assert_null(block_realloc(old, &request));
    assert_false(block_resize_in_place(old, (struct new_size){65536, 65536}, false));
    assert_int_equal(block_size(block, block_code("test", block)), old.old_bytes);
    assert_true(bytes_are(block, old.old_bytes, 0x3e));
    block_free(block, code, false);
}

static void errno_survives_free_and_says_enomem_on_refusal(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 8000, 40000, 9000000};
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        void *block = malloc_slow(sizes[i]);
        errno = 77;
        free_slow(block);
        assert_int_equal(errno, 77);
    }
    free_slow(NULL);
    assert_int_equal(errno, 77);
    assert_null(out_of_memory("test"));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(malloc_slow(SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
}

static void run_out_under_xmalloc(void *unused)
{
    (void)unused;
    options.xmalloc = true;
    (void)malloc_slow(SIZE_MAX);
}

static void xmalloc_aborts_instead_of_refusing(void **state)
{
    (void)state;
    expect_abort(run_out_under_xmalloc, NULL, "malloc(): out of memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_get_what_they_ask_for),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(uncached_blocks_pass_by_the_cache),
        cmocka_unit_test(the_fast_path_gives_and_takes_cached_blocks),
        cmocka_unit_test(no_other_pointer_passes),
        cmocka_unit_test(every_interior_pointer_of_every_class_is_refused_by_the_fast_path),
        cmocka_unit_test(content_survives_each_way_of_resizing),
        cmocka_unit_test(a_refused_resize_changes_nothing),
        cmocka_unit_test(errno_survives_free_and_says_enomem_on_refusal),
        cmocka_unit_test(xmalloc_aborts_instead_of_refusing),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
