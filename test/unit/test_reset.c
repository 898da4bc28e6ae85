/* test_reset.c: goal: a reset leaves nothing of a manual arena's blocks, counts each as freed,
 * spares every other arena, and leaves an arena that works; an arena that is empty has no chunk
 * left. Method: random blocks of all kinds in two arenas side by side, freed in part; the counters,
 * lists and the map are compared after the reset of one, round after round. The other arena's
 * blocks keep their bytes.
 */
#include "upper_floors.h"

#include "refused_calls.h"

#include "heap/large.h"
#include "heap/reset.h"
#include "pages/page_stock.h"

enum { BLOCKS = 3000, ROUNDS = 6 };

struct block {
    unsigned char *start;
    size_t size_bytes;
};

static size_t random_size(uint64_t *seed)
{
    static const unsigned limits[] = {200, 14336, 32768, 1 << 20, 5 << 20};
    unsigned kind = random_below(seed, 100);
    unsigned limit = limits[kind < 60 ? 0 : kind < 85 ? 1 : kind < 94 ? 2 : kind < 99 ? 3 : 4];
    return 1 + random_below(seed, limit);
}

static void fill(struct arena *arena, struct block *blocks, uint64_t *seed, unsigned char mark)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = random_size(seed);
        struct block_request request = {.size_bytes = size, .alignment = 1, .arena = arena};
        blocks[i] = (struct block){block_alloc(&request), size};
        assert_non_null(blocks[i].start);
        blocks[i].start[0] = mark;
        blocks[i].start[size - 1] = mark;
    }
}

static void free_some(struct block *blocks, uint64_t *seed)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (random_below(seed, 3) == 0) {
            block_free(blocks[i].start, map_code(blocks[i].start), true);
            blocks[i].start = NULL;
        }
    }
}

static void check_empty(struct arena *arena)
{
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        const struct bin *bin = &arena->bin[i];
        assert_true(bin_is_valid(bin));
        assert_null(bin->first);
        assert_null(bin->empty);
        assert_int_equal(bin->counters.alloc_count, bin->counters.free_count);
        assert_int_equal(bin->counters.current_slabs, 0);
        assert_int_equal(bin->counters.queued_slabs, 0);
    }
    assert_true(page_heap_is_valid(&arena->pages));
    assert_int_equal(arena->pages.active_pages, 0);
    assert_int_equal(arena->pages.large_pages, 0);
    for (unsigned i = 0; i < LARGE_CLASSES; i++) {
        assert_int_equal(arena->pages.large[i].alloc_count, arena->pages.large[i].free_count);
    }
    assert_null(arena->first_huge);
    const struct huge_counters *huge = arena->huge;
    assert_int_equal(huge->live_bytes, 0);
}

static void check_kept(const struct block *blocks, unsigned char mark)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i].start != NULL) {
            EXPECT(blocks[i].start[0] == mark && blocks[i].start[blocks[i].size_bytes - 1] == mark,
                   "block %u of %zu bytes has changed", i, blocks[i].size_bytes);
        }
    }
}

static void a_reset_leaves_nothing_and_spares_the_rest(void **state)
{
    (void)state;
    static struct block gone[BLOCKS];
    static struct block kept[BLOCKS];
    uint64_t seed = seed_of_test("test_reset");
    struct arena *arena = arena_create_manual();
    struct arena *other = arena_create_manual();
    assert_non_null(arena);
    assert_non_null(other);
    fill(other, kept, &seed, 0x77);
    free_some(kept, &seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t made = arena->bin[0].counters.alloc_count;
        fill(arena, gone, &seed, 0x33);
        free_some(gone, &seed);
        arena_reset(arena);
        check_empty(arena);
        assert_true(arena->bin[0].counters.alloc_count > made);
        for (unsigned i = 0; i < BLOCKS; i++) {
            /* The place may be the other arena's mapping, never a block of the one that is empty.
             */
            void *start = gone[i].start;
            assert_true(start == NULL || map_code(start) == 0 ||
                        large_arena(start, map_code(start)) != arena);
        }
        check_kept(kept, 0x77);
    }
    arena_empty(arena);
    check_empty(arena);
    assert_int_equal(arena->pages.chunk_count, 0);
    assert_null(arena->pages.first_chunk);
    arena_reset(other);
    check_empty(other);
}

static void pages_that_may_not_decay_go_when_the_arena_is_emptied(void **state)
{
    (void)state;
    struct arena *arena = arena_create_manual();
    page_heap_set_decay(&arena->pages, STAGE_DIRTY, DECAY_NEVER);
    for (unsigned i = 0; i < 100; i++) {
        struct block_request request = {.size_bytes = 300000, .alignment = 1, .arena = arena};
        assert_non_null(block_alloc(&request));
    }
    arena_reset(arena);
    assert_true(page_stock_unused(&arena->pages) >= 100 * 300000 / PAGE_BYTES);
    arena_empty(arena);
    assert_int_equal(arena->pages.chunk_count, 0);
}

/* Ends an arena whose pages the system does not purge; then makes the next one. */
static void end_without_purges(void *unmaps)
{
    struct arena *arena = arena_create_manual();
    for (unsigned i = 0; i < 100; i++) {
        struct block_request request = {
            .size_bytes = 300 + 3000 * i, .alignment = 1, .arena = arena};
        CHILD_EXPECT(block_alloc(&request) != NULL);
    }
    size_t mapped_before = chunk_pool_statistics().mapped_bytes;
    size_t chunk_bytes = arena->pages.chunk_count * CHUNK_BYTES;
    refuse_calls(SYS_madvise, unmaps != NULL ? SYS_madvise : SYS_munmap, EINVAL);
    CHILD_EXPECT(arena_end_begins(arena));
    arena_empty(arena);
    CHILD_EXPECT(page_heap_is_valid(&arena->pages));
    CHILD_EXPECT(chunk_bytes > 0);
    CHILD_EXPECT(page_heap_has_no_chunk(&arena->pages) == (unmaps != NULL));
    size_t mapped = chunk_pool_statistics().mapped_bytes;
    CHILD_EXPECT(mapped == mapped_before - (unmaps != NULL ? chunk_bytes : 0));
    unsigned index = arena->index;
    arena_end(arena);
    struct arena *next = arena_create_manual();
    CHILD_EXPECT(next != NULL && next->index == index);
    CHILD_EXPECT((next == arena) == (unmaps != NULL));
    struct block_request request = {.size_bytes = 100000, .alignment = 1, .arena = next};
    CHILD_EXPECT(memset(block_alloc(&request), 1, 100000) != NULL);
    _exit(0);
}

static void chunks_that_cannot_be_purged_are_unmapped(void **state)
{
    (void)state;
    char text[256];
    static const char does[] = "unmaps";
    for (unsigned i = 0; i <= MAY_REFUSE_UNMAPS; i++) {
        int status = run_child(end_without_purges, i == 0 ? (void *)does : NULL, text, sizeof text);
        skip_unless_refused(status);
        EXPECT(status == 0, "status 0x%x, text \"%s\"", status, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_leaves_nothing_and_spares_the_rest),
        cmocka_unit_test(pages_that_may_not_decay_go_when_the_arena_is_emptied),
        cmocka_unit_test(chunks_that_cannot_be_purged_are_unmapped),
    };
    return cmocka_run_group_tests_name("reset", tests, start_allocator, NULL);
}
