/* test_gaps.c: goal: pages at the ends of slabs are counted as without memory exactly when they
 * have none.
 * Method: slabs of each class, in clean pages and in pages that held data; the count beside what
 * mincore says of the pages that no region lies on.
 */
#include "upper_floors.h"

#include "heap/gaps.h"
#include "os/os.h"

#include <sys/mman.h>

extern const char *API(malloc_conf);
/* The kernel may fill up huge pages with bytes that nobody touched. */
const char *API(malloc_conf) = "narenas:80,thp:never";

enum { BLOCKS = 40 };

static size_t counted_gaps(struct arena *arena)
{
    lock_acquire(&arena->pages.lock);
    size_t pages = gaps_count(&arena->pages);
    lock_release(&arena->pages.lock);
    return pages;
}

static bool has_memory(char *page)
{
    unsigned char state;
    assert_int_equal(mincore((void *)bits_round_down((uintptr_t)page, os_page_bytes), 1, &state),
                     0);
    return (state & 1) != 0;
}

/* Pages of a slab that no region lies on and that have no memory. */
static size_t real_gaps(const struct run *slab)
{
    char *base = chunk_page_address(slab->chunk, slab->page);
    char *end = slab->first + (size_t)slab->region_count * bin_size[slab->class_index + 1];
    size_t pages = 0;
    for (unsigned i = 0; i < slab->page_count; i++) {
        char *page = base + (size_t)i * PAGE_BYTES;
        bool apart = page + PAGE_BYTES <= slab->first || page >= end;
        pages += apart && !has_memory(page);
    }
    return pages;
}

static struct run *slab_of(const void *block)
{
    return chunk_run(map_owner(block), block);
}

/* Blocks of the class, all touched. Result: the gaps of their slabs that have no memory. */
static size_t fill_slabs(struct arena *arena, uint8_t class_index, void **blocks)
{
    size_t pages = 0;
    const struct run *before = NULL;
    for (unsigned at = 0; at < BLOCKS;) {
        at += arena_fill(arena, class_index, blocks + at, BLOCKS - at, &(struct bin_user){0});
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        memset(blocks[i], 1, class_size(class_index));
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        const struct run *slab = slab_of(blocks[i]);
        pages += slab == before ? 0 : real_gaps(slab);
        before = slab;
    }
    return pages;
}

static void drop_slabs(struct arena *arena, uint8_t class_index, void **blocks)
{
    bool contended;
    arena_flush(class_index, blocks, BLOCKS, &contended);
    assert_int_equal(arena->bin[class_index].counters.alloc_count,
                     arena->bin[class_index].counters.free_count);
}

static void gaps_of_clean_pages_have_no_memory(void **state)
{
    (void)state;
    void *blocks[BLOCKS];
    size_t all = 0;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        struct arena *arena = fresh_arena();
        size_t pages = fill_slabs(arena, i, blocks);
        EXPECT(counted_gaps(arena) == pages, "class of %zu bytes: %zu gaps, not %zu", class_size(i),
               counted_gaps(arena), pages);
        EXPECT(gaps_may_be(i) || pages == 0, "class of %zu bytes", class_size(i));
        all += pages;
        drop_slabs(arena, i, blocks);
    }
    assert_true(all >= 7);
}

static void gaps_where_data_was_have_memory(void **state)
{
    (void)state;
    void *blocks[BLOCKS];
    struct arena *arena = fresh_arena();
    const uint8_t class_index = class_of(14336);
    struct run_request request = {RUN_PAGES_MAX, 1, 0, true, LARGE_NONE};
    bool zeroed;
    struct run *run = run_alloc(&arena->pages, request, &zeroed);
    memset(run->first, 1, (size_t)RUN_PAGES_MAX * PAGE_BYTES);
    run_free(run, RUN_PAGES_MAX);
    assert_int_equal(fill_slabs(arena, class_index, blocks), 0);
    assert_int_equal(counted_gaps(arena), 0);
    drop_slabs(arena, class_index, blocks);
}

/* A slab whose regions were all out and are all back. */
static struct run *used_slab(struct arena *arena, uint8_t class_index)
{
    void *regions[BLOCKS];
    struct run *slab = slab_new(&arena->pages, class_index);
    assert_non_null(slab);
    unsigned count = slab_take(slab, regions, BLOCKS);
    assert_int_equal(count, slab->region_count);
    assert_null(slab_put(slab, regions[0], count));
    return slab;
}

/* Slabs of one class are kept whole and become ones of another. */
static void gaps_of_a_slab_in_anothers_place_count_as_memory(void **state)
{
    (void)state;
    enum { SLABS = 4 }; /* more are not kept */
    struct run *slabs[SLABS];
    struct arena *arena = fresh_arena();
    for (unsigned i = 0; i < SLABS; i++) {
        slabs[i] = used_slab(arena, class_of(10240));
    }
    assert_true(counted_gaps(arena) > 0);
    for (unsigned i = 0; i < SLABS; i++) {
        slab_delete(slabs[i]);
    }
    assert_int_equal(counted_gaps(arena), 0);
    for (unsigned i = 0; i < SLABS; i++) {
        slabs[i] = used_slab(arena, class_of(14336));
        assert_int_equal(slabs[i]->large_index, LARGE_REUSED);
    }
    assert_int_equal(counted_gaps(arena), 0);
    for (unsigned i = 0; i < SLABS; i++) {
        slab_delete(slabs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_of_clean_pages_have_no_memory),
        cmocka_unit_test(gaps_where_data_was_have_memory),
        cmocka_unit_test(gaps_of_a_slab_in_anothers_place_count_as_memory),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
