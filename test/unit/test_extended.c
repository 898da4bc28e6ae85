/* test_extended.c: goal: the functions with flags (api/extended.c) read each field of the flags
 * and keep jemalloc's answers for sizes without a block.
 * Method: every alignment, with and without zero, cache and arena; the cache's bins and the arena
 * of each block show that the flags were heard; resizing in place from both sides of each border.
 */
#include "upper_floors.h"

#include "cache/explicit.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:12";

enum { ZERO = 0x40, CACHE_NONE = 1 << 8 };

static int cache_flag(unsigned id)
{
    return (int)((id + 2) << 8);
}

static int arena_flag(const struct arena *arena)
{
    return (int)((arena->index + 1) << 20);
}

static unsigned cached(size_t size)
{
    const struct cache_bin *bin = &thread_cache()->front.bin[class_of(size) + 1];
    return (unsigned)(bin->bottom - bin->head);
}

static void every_field_of_the_flags_is_heard(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 5000, 20000, 70000, 3000000};
    struct arena *arena = fresh_arena();
    for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
        for (int lg = 0; lg <= 22; lg++) {
            for (unsigned fields = 0; fields < 8; fields++) {
                int flags = lg | ((fields & 1) != 0 ? ZERO : 0) |
                            ((fields & 2) != 0 ? CACHE_NONE : 0) |
                            ((fields & 4) != 0 ? arena_flag(arena) : 0);
                char *block = API(mallocx)(sizes[s], flags);
                assert_non_null(block);
                size_t usable = API(sallocx)(block, flags);
                assert_int_equal(usable, API(nallocx)(sizes[s], flags));
                assert_int_equal((uintptr_t)block % ((size_t)1 << lg), 0);
                assert_true((fields & 1) == 0 || bytes_are(block, usable, 0));
                assert_true((fields & 4) == 0 || large_arena(block, map_code(block)) == arena);
                memset(block, 0xd1, usable);
                API(dallocx)(block, flags & ~arena_flag(arena));
            }
        }
    }
    assert_true(cache_is_valid(thread_cache()));
    assert_true(page_heap_is_valid(&arena->pages));
}

/* The event of a bin falls due in the fast path; the slow one must not count the request again. */
static void a_request_that_is_due_is_counted_once(void **state)
{
    (void)state;
    enum { SIZE = 208 };
    struct cache *cache = thread_cache();
    API(dallocx)(API(mallocx)(SIZE, 0), 0);
    struct cache_bin *bin = &cache->front.bin[class_of(SIZE) + 1];
    size_t usable = usable_size(SIZE);
    for (int flags = 0; flags <= 4; flags += 4) {
        bin->left = 1;
        uint64_t before = cache_allocated_bytes(cache);
        void *block = API(mallocx)(SIZE, flags);
        assert_int_equal(bin->left, CACHE_LEFT);
        assert_int_equal(cache_allocated_bytes(cache) - before, usable);
        API(dallocx)(block, flags);
    }
}

static void the_flag_for_no_cache_passes_by_it(void **state)
{
    (void)state;
    unsigned before = cached(2000);
    void *block = API(mallocx)(2000, CACHE_NONE);
    assert_int_equal(cached(2000), before);
    API(dallocx)(block, CACHE_NONE);
    assert_int_equal(cached(2000), before);
    block = API(mallocx)(2000, CACHE_NONE);
    API(sdallocx)(block, 2000, CACHE_NONE);
    assert_int_equal(cached(2000), before);
    block = API(mallocx)(2000, CACHE_NONE);
    API(dallocx)(block, 0);
    assert_int_equal(cached(2000), before + 1);
}

static void sizes_without_a_block_have_the_contracts_answers(void **state)
{
    (void)state;
    const volatile size_t beyond = CLASS_SIZE_MAX + 1;
    char *block = API(mallocx)(100, 0);
    errno = 0;
    assert_int_equal(API(nallocx)(beyond, 0), 0);
    assert_int_equal(API(nallocx)(1, 63), 0);
    assert_null(API(mallocx)(beyond, 0));
    assert_null(API(rallocx)(block, beyond, 0));
    assert_int_equal(API(xallocx)(block, beyond, 0, 0), 112);
    assert_int_equal(errno, 0);
    assert_null(API(mallocx)(CLASS_SIZE_MAX, 0));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(API(sallocx)(block, 0), 112);
    API(sdallocx)(block, 100, 0);
}

static void rallocx_keeps_content_and_zeroes_the_rest(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 1000, 14336, 16384, 40960, 300000, 2000000};
    struct arena *arena = fresh_arena();
    for (unsigned from = 0; from < COUNT_OF(sizes); from++) {
        for (unsigned to = 0; to < COUNT_OF(sizes); to++) {
            char *block = API(mallocx)(sizes[from], 0);
            size_t old = API(sallocx)(block, 0);
            memset(block, 0x7a, old);
            int flags = ZERO | 6 | (to % 2 == 0 ? arena_flag(arena) : 0);
            block = API(rallocx)(block, sizes[to], flags);
            assert_non_null(block);
            size_t usable = API(sallocx)(block, 0);
            size_t kept = old < usable ? old : usable;
            assert_int_equal((uintptr_t)block % 64, 0);
            EXPECT(bytes_are(block, kept, 0x7a), "%zu to %zu", sizes[from], sizes[to]);
            EXPECT(bytes_are(block + kept, usable - kept, 0), "%zu to %zu", sizes[from], sizes[to]);
            assert_true(to % 2 != 0 || large_arena(block, map_code(block)) == arena);
            API(dallocx)(block, 0);
        }
    }
}

static void xallocx_answers_what_the_block_then_is(void **state)
{
    (void)state;
    static const size_t sizes[] = {100,   14336,   14337,   16384,   16385,     32768,
                                   32769, 1 << 20, 3 << 20, 5 << 20, 4097 * 300};
    for (unsigned from = 0; from < COUNT_OF(sizes); from++) {
        for (unsigned to = 0; to < COUNT_OF(sizes); to++) {
            for (unsigned e = 0; e < 3; e++) {
                size_t extra = (size_t[]){0, 5000, SIZE_MAX - sizes[to]}[e];
                char *block = API(mallocx)(sizes[from], 0);
                size_t old = API(sallocx)(block, 0);
                block[0] = 3;
                block[old - 1] = 4;
                size_t now = API(xallocx)(block, sizes[to], extra, ZERO);
                assert_int_equal(API(sallocx)(block, 0), now);
                assert_int_equal(block[0], 3);
                assert_true(now < old || block[old - 1] == 4);
                assert_true(now <= old || bytes_are(block + old, now - old, 0));
                assert_true(now == old || now >= LARGE_SIZE_MIN);
                API(dallocx)(block, 0);
            }
        }
    }
}

static void take_interior(void *block)
{
    API(dallocx)((char *)block + 16, 0);
}

static void size_interior(void *block)
{
    (void)API(sallocx)((char *)block + 16, 0);
}

static void mistakes_name_the_function(void **state)
{
    (void)state;
    void *block = API(mallocx)(1024, 0);
    expect_abort(take_interior, block, "dallocx(): invalid pointer");
    expect_abort(size_interior, block, "sallocx(): invalid pointer");
    API(dallocx)(block, 0);
}

static unsigned held(unsigned id, size_t size)
{
    const struct cache_bin *bin = &explicit_get(id)->front.bin[class_of(size) + 1];
    return (unsigned)(bin->bottom - bin->head);
}

/* What comes from a cache of the program goes past that of the thread, and back. */
static void a_cache_that_was_made_serves_who_names_it(void **state)
{
    (void)state;
    static const size_t sizes[] = {8, 100, 5000, 20000, 32768};
    unsigned id;
    assert_true(explicit_create(thread_arena(), &id));
    for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
        size_t size = sizes[s];
        unsigned own = cached(size);
        uint64_t allocated = cache_allocated_bytes(thread_cache());
        uint64_t freed = cache_freed_bytes(thread_cache());
        char *block = API(mallocx)(size, cache_flag(id) | ZERO);
        assert_true(bytes_are(block, size, 0));
        unsigned before = held(id, size);
        API(dallocx)(block, cache_flag(id));
        assert_int_equal(held(id, size), before + 1);
        assert_ptr_equal(API(mallocx)(size, cache_flag(id)), block);
        API(sdallocx)(block, size, cache_flag(id));
        assert_int_equal(held(id, size), before + 1);
        assert_int_equal(cached(size), own);
        assert_int_equal(cache_allocated_bytes(thread_cache()) - allocated, 2 * usable_size(size));
        assert_int_equal(cache_freed_bytes(thread_cache()) - freed, 2 * usable_size(size));
    }
    assert_true(explicit_destroy(id));
}

static void it_serves_reallocation_and_passes_what_no_cache_holds(void **state)
{
    (void)state;
    unsigned id;
    assert_true(explicit_create(thread_arena(), &id));
    char *block = API(mallocx)(100, cache_flag(id));
    unsigned before = held(id, 100);
    unsigned own = cached(100);
    memset(block, 7, 100);
    block = API(rallocx)(block, 3000, cache_flag(id));
    assert_true(bytes_are(block, 100, 7));
    assert_int_equal(held(id, 100), before + 1);
    assert_int_equal(cached(100), own);
    block = API(rallocx)(block, 500000, cache_flag(id));
    block = API(rallocx)(block, 5000000, cache_flag(id) | ZERO);
    assert_true(bytes_are(block, 100, 7));
    assert_true(bytes_are(block + 500000, 4500000, 0));
    API(dallocx)(block, cache_flag(id));
    assert_true(explicit_destroy(id));
}

/* As jemalloc does: a hit is whatever lies there, a miss comes from the arena of the flags. */
static void it_is_filled_from_the_arena_of_the_flags(void **state)
{
    (void)state;
    struct arena *one = fresh_arena();
    struct arena *other = fresh_arena();
    unsigned id;
    assert_true(explicit_create(thread_arena(), &id));
    for (size_t size = 64; size <= 32768; size *= 8) {
        void *block = API(mallocx)(size, arena_flag(one) | cache_flag(id));
        assert_ptr_equal(large_arena(block, map_code(block)), one);
        API(dallocx)(block, cache_flag(id));
        assert_ptr_equal(API(mallocx)(size, arena_flag(other) | cache_flag(id)), block);
        API(dallocx)(block, CACHE_NONE);
        assert_true(explicit_flush(id));
        block = API(mallocx)(size, arena_flag(other) | cache_flag(id));
        assert_ptr_equal(large_arena(block, map_code(block)), other);
        API(dallocx)(block, CACHE_NONE);
    }
    assert_int_equal(one->thread_count, 0);
    assert_int_equal(other->thread_count, 0);
    assert_true(explicit_destroy(id));
}

static void an_arena_that_is_not_made_yet_is_made(void **state)
{
    (void)state;
    unsigned index = arena_count();
    assert_true(index < arena_limit());
    void *block = API(mallocx)(100, (int)((index + 1) << 20));
    assert_int_equal(large_arena(block, map_code(block))->index, index);
    API(dallocx)(block, 0);
    block = API(mallocx)(100, (int)(4095u << 20));
    assert_non_null(block);
    API(dallocx)(block, 0);
}

static void allocate_from_nowhere(void *flags)
{
    (void)API(mallocx)(100, (int)(intptr_t)flags);
}

static void free_to_nowhere(void *flags)
{
    API(dallocx)(API(mallocx)(100, 0), (int)(intptr_t)flags);
}

static void free_sized_to_nowhere(void *flags)
{
    API(sdallocx)(API(mallocx)(100, 0), 100, (int)(intptr_t)flags);
}

static void resize_to_nowhere(void *flags)
{
    (void)API(rallocx)(API(mallocx)(100, 0), 300, (int)(intptr_t)flags);
}

static void a_cache_that_does_not_exist_aborts_with_one_line(void **state)
{
    (void)state;
    unsigned id;
    assert_true(explicit_create(thread_arena(), &id));
    assert_true(explicit_destroy(id));
    void *ended = (void *)(intptr_t)cache_flag(id);
    void *last = (void *)(intptr_t)cache_flag(4093);
    expect_abort(allocate_from_nowhere, ended, "mallocx(): no cache 0");
    expect_abort(allocate_from_nowhere, last, "mallocx(): no cache 4093");
    expect_abort(free_to_nowhere, ended, "dallocx(): no cache 0");
    expect_abort(free_sized_to_nowhere, ended, "sdallocx(): no cache 0");
    expect_abort(resize_to_nowhere, ended, "rallocx(): no cache 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_the_flags_is_heard),
        cmocka_unit_test(a_request_that_is_due_is_counted_once),
        cmocka_unit_test(the_flag_for_no_cache_passes_by_it),
        cmocka_unit_test(sizes_without_a_block_have_the_contracts_answers),
        cmocka_unit_test(rallocx_keeps_content_and_zeroes_the_rest),
        cmocka_unit_test(xallocx_answers_what_the_block_then_is),
        cmocka_unit_test(mistakes_name_the_function),
        cmocka_unit_test(a_cache_that_was_made_serves_who_names_it),
        cmocka_unit_test(it_serves_reallocation_and_passes_what_no_cache_holds),
        cmocka_unit_test(it_is_filled_from_the_arena_of_the_flags),
        cmocka_unit_test(an_arena_that_is_not_made_yet_is_made),
        cmocka_unit_test(a_cache_that_does_not_exist_aborts_with_one_line),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
