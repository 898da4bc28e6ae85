/* test_extent.c: goal: extents go the way that extent.h draws, hook after hook; what hooks refuse
 * is kept and used again; what they give and cannot be used goes back; the thread's cache is out of
 * a hook's reach. Method: a page heap of the test's own over a table that writes down each call as
 * a letter and refuses those that it is told to.
 */
#include "upper_floors.h"

#include "os/os.h"
#include "pages/extent.h"
#include "pages/page_stock.h"

enum { POOL_BYTES = 16 * CHUNK_BYTES };

static struct {
    char *base;
    char *next;
    char calls[64];
    const char *refused;
    bool skewed;
    bool saw_cache;
} world;

static bool note(char letter)
{
    size_t length = strlen(world.calls);
    assert_true(length + 1 < sizeof world.calls);
    world.calls[length] = letter;
    world.saw_cache |= thread_front_now()->cache != NULL;
    return strchr(world.refused, letter) != NULL;
}

static void *give(struct extent_hooks *hooks, void *address, size_t size, size_t alignment,
                  bool *zero, bool *commit, unsigned index)
{
    (void)hooks;
    assert_int_equal(index, 77);
    *zero = false;
    *commit = true;
    char *at = (char *)bits_round_up((uintptr_t)world.next, alignment);
    if (note('a') || (address != NULL && address != world.next) ||
        at + size > world.base + POOL_BYTES) {
        return NULL;
    }
    world.next = at + size;
    return world.skewed ? at + 8 : at;
}

static bool take_back(struct extent_hooks *hooks, void *address, size_t size, bool committed,
                      unsigned index)
{
    (void)hooks;
    (void)address;
    (void)size;
    (void)committed;
    (void)index;
    return note('d');
}

static void destroy(struct extent_hooks *hooks, void *address, size_t size, bool committed,
                    unsigned index)
{
    (void)take_back(hooks, address, size, committed, index);
    world.calls[strlen(world.calls) - 1] = 'x';
}

#define RANGE_HOOK(name, letter)                                                            \
    static bool name(struct extent_hooks *hooks, void *address, size_t size, size_t offset, \
                     size_t length, unsigned index)                                         \
    {                                                                                       \
        (void)hooks;                                                                        \
        (void)address;                                                                      \
        (void)index;                                                                        \
        assert_true(offset + length <= size);                                               \
        return note(letter);                                                                \
    }
RANGE_HOOK(commit, 'c')
RANGE_HOOK(decommit, 'u')
RANGE_HOOK(purge_lazy, 'l')
RANGE_HOOK(purge_forced, 'f')

static bool split(struct extent_hooks *hooks, void *address, size_t size, size_t a, size_t b,
                  bool committed, unsigned index)
{
    (void)hooks;
    (void)address;
    (void)committed;
    (void)index;
    assert_int_equal(a + b, size);
    return note('s');
}

static bool merge(struct extent_hooks *hooks, void *low, size_t low_size, void *high,
                  size_t high_size, bool committed, unsigned index)
{
    (void)hooks;
    (void)committed;
    (void)index;
    assert_true(high_size > 0);
    assert_ptr_equal((char *)low + low_size, high);
    return note('m');
}

static struct extent_hooks table = {give,       take_back,    destroy, commit, decommit,
                                    purge_lazy, purge_forced, split,   merge};
static struct page_heap heap;

static void begin(const char *refused)
{
    world.next = world.base;
    world.refused = refused;
    world.skewed = false;
    memset(world.calls, 0, sizeof world.calls);
    page_heap_init(&heap, NULL, 10000);
    page_heap_set_hooks(&heap, &table, 77);
}

static void expect_calls(const char *calls)
{
    assert_string_equal(world.calls, calls);
    memset(world.calls, 0, sizeof world.calls);
}

static void what_comes_goes_back(void **state)
{
    (void)state;
    begin("");
    struct extent *extent = extent_take(&heap, 3 * 4096, 65536, true);
    assert_non_null(extent);
    assert_true(extent->zeroed && bytes_are(extent->base, 3 * 4096, 0));
    struct extent *tail = extent_split(&heap, extent, 4096);
    assert_non_null(tail);
    assert_int_equal(tail->size_bytes, 2 * 4096);
    extent_give(&heap, tail);
    extent_give(&heap, extent);
    expect_calls("asdd");
    assert_null(heap.retained);
}

static void what_is_refused_is_retained_and_used_again(void **state)
{
    (void)state;
    static const struct {
        const char *refused;
        const char *given;
        const char *taken;
    } cases[] = {{"d", "du", "c"}, {"du", "duf", ""}, {"duf", "dufl", ""}, {"dufl", "dufl", ""}};
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        begin(cases[i].refused);
        struct extent *extent = extent_take(&heap, 65536, 65536, false);
        char *base = extent->base;
        memset(base, 1, 65536);
        expect_calls("a");
        extent_give(&heap, extent);
        expect_calls(cases[i].given);
        assert_int_equal(heap.retained_bytes, 65536);
        extent = extent_take(&heap, 65536, 65536, false);
        assert_ptr_equal(extent->base, base);
        expect_calls(cases[i].taken);
        assert_int_equal(heap.retained_bytes, 0);
        assert_int_equal(extent->zeroed, i < 2);
        extent_give(&heap, extent);
        expect_calls(cases[i].given);
        extent_destroy_retained(&heap);
        expect_calls("x");
        assert_null(heap.retained);
    }
}

static void neighbours_are_merged_and_cut(void **state)
{
    (void)state;
    begin("du");
    struct extent *parts[3];
    for (unsigned i = 0; i < 3; i++) {
        parts[i] = extent_take(&heap, 65536, 4096, false);
    }
    extent_give(&heap, parts[0]);
    extent_give(&heap, parts[2]);
    expect_calls("aaadufduf");
    extent_give(&heap, parts[1]);
    expect_calls("dufmm");
    assert_int_equal(heap.retained->size_bytes, 3 * 65536);
    assert_null(heap.retained->next);
    struct extent *cut = extent_take(&heap, 2 * 65536, 4096, false);
    assert_ptr_equal(cut->base, world.base);
    expect_calls("s");
    assert_true(extent_grow(&heap, cut, 65536));
    expect_calls("m");
    assert_null(heap.retained);
    assert_true(extent_grow(&heap, cut, 8192));
    expect_calls("am");
    assert_int_equal(cut->size_bytes, 3 * 65536 + 8192);
    world.refused = "dum";
    assert_false(extent_grow(&heap, cut, 4096));
    expect_calls("amduf");
    world.refused = "s";
    assert_null(extent_split(&heap, cut, 4096));
    assert_int_equal(cut->size_bytes, 3 * 65536 + 8192);
}

static void what_cannot_be_used_goes_back_at_once(void **state)
{
    (void)state;
    begin("");
    world.skewed = true;
    assert_null(extent_take(&heap, 65536, 4096, false));
    expect_calls("ad");
    assert_false(page_heap_grow(&heap, 64)); /* 2 MiB, then halves down to 256 KiB */
    expect_calls("adadadad");
    assert_null(heap.retained);
    begin("a");
    assert_null(extent_take(&heap, 65536, 4096, false));
    assert_false(page_heap_grow(&heap, 1));
    expect_calls("aaaaaaa");
}

static void chunks_come_by_the_hooks_and_go_whole(void **state)
{
    (void)state;
    begin("");
    bool zeroed;
    struct run_request request = {100, 1, 0, false, 3};
    assert_null(run_alloc(&heap, request, &zeroed)); /* no hook runs under a lock */
    expect_calls("");
    assert_true(page_heap_grow(&heap, 100));
    expect_calls("a");
    struct run *first = run_alloc(&heap, request, &zeroed);
    struct run *second = run_alloc(&heap, request, &zeroed);
    assert_true(zeroed && bytes_are(first->first, 100 * 4096, 0));
    assert_ptr_equal(map_owner(first->first), first->chunk);
    run_free(first, 100);
    page_heap_purge(&heap, 0);
    expect_calls("f");
    assert_true(page_heap_is_valid(&heap));
    run_free(second, 100);
    page_heap_purge(&heap, 0);
    expect_calls("d");
    assert_int_equal(heap.chunk_count, 0);
    assert_null(map_owner(world.base));
    assert_true(page_heap_is_valid(&heap));
}

static void a_hook_does_not_see_the_threads_cache(void **state)
{
    (void)state;
    extent_set_guard(thread_enter_hook, thread_leave_hook);
    begin("");
    world.saw_cache = false;
    struct cache *cache = thread_cache();
    struct extent *extent = extent_take(&heap, 65536, 4096, false);
    extent_give(&heap, extent);
    assert_false(world.saw_cache);
    assert_ptr_equal(thread_cache(), cache);
    void *entered = thread_enter_hook();
    assert_ptr_equal(entered, cache);
    assert_null(thread_enter_hook()); /* a hook within a hook */
    thread_set_modes(thread_modes()); /* another thread's change waits until the hook is over */
    assert_null(thread_cache());
    assert_ptr_equal(thread_arena(), arena_get(0));
    void *block = API(malloc)(100);
    assert_non_null(block);
    API(free)(block);
    thread_leave_hook(entered);
    assert_ptr_equal(thread_cache(), cache);
}

static int map_pool(void **state)
{
    world.base = os_map_aligned(POOL_BYTES, CHUNK_BYTES);
    return world.base == NULL ? -1 : start_allocator(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_goes_back),
        cmocka_unit_test(what_is_refused_is_retained_and_used_again),
        cmocka_unit_test(neighbours_are_merged_and_cut),
        cmocka_unit_test(what_cannot_be_used_goes_back_at_once),
        cmocka_unit_test(chunks_come_by_the_hooks_and_go_whole),
        cmocka_unit_test(a_hook_does_not_see_the_threads_cache),
    };
    return cmocka_run_group_tests_name("extent", tests, map_pool, NULL);
}
