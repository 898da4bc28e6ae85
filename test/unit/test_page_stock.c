/* test_page_stock.c: goal: the lists of chunks and the counts of pages agree with the chunks after
 * any sequence of uses, releases and purges, and damage to them is seen.
 * Method: a page heap of the test's own, whose chunks are used, released and purged at random by
 * hand, every list re-counted; damage done by hand.
 */
#include "page_heap_check.h"

#include "api/process.h"
#include "pages/page_stock.h"

static int start(void **state)
{
    (void)state;
    return process_start() ? 0 : -1;
}

static void each_length_has_its_list_and_longer_ones_never_a_lower(void **state)
{
    (void)state;
    assert_int_equal(page_stock_list(1), 0);
    assert_int_equal(page_stock_list(CHUNK_PAGES), PAGE_HEAP_LISTS - 2);
    for (unsigned pages = 2; pages <= CHUNK_PAGES; pages++) {
        unsigned step = page_stock_list(pages) - page_stock_list(pages - 1);
        assert_true(step <= 1);
        assert_true(step == 1 || pages > 7);
    }
}

/* Adds a chunk to the heap, all of it used. */
static struct chunk *add_used_chunk(struct page_heap *heap)
{
    bool first_use;
    struct chunk *chunk = chunk_take(heap, CHUNK_PAGES, BREAK_DISABLED, SIZE_MAX, &first_use);
    assert_non_null(chunk);
    page_stock_add(heap, chunk);
    page_stock_use(heap, chunk, 0, CHUNK_PAGES);
    return chunk;
}

/* As a purge does: the pages are used meanwhile. */
static void purge_piece(struct page_heap *heap, struct chunk *chunk, struct page_range range,
                        bool lazily)
{
    page_stock_use(heap, chunk, range.page, range.page_count);
    if (lazily) {
        page_stock_note_muzzy(heap, chunk, range);
    } else {
        page_stock_note_purged(heap, chunk, range);
    }
    page_stock_unuse(heap, chunk, range.page, range.page_count, 0);
}

/* As a run does. */
static void use_piece(struct page_heap *heap, struct chunk *chunk, struct page_range range)
{
    unsigned muzzy = bits_count_range(chunk->muzzy, range.page, range.page_count);
    unsigned purged = bits_count_range(chunk->purged, range.page, range.page_count);
    bool zeroed = true;
    page_stock_use(heap, chunk, range.page, range.page_count);
    assert_int_equal(page_stock_reuse(heap, chunk, range, &zeroed), muzzy + purged);
    assert_int_equal(zeroed, muzzy == 0);
}

static void random_uses_keep_lists_and_counts(void **state)
{
    (void)state;
    enum { COUNT = 6, PIECE = 16, PIECES = CHUNK_PAGES / PIECE };
    static bool used[COUNT][PIECES];
    struct chunk *chunks[COUNT];
    struct page_heap heap;
    uint64_t random = unit_seed(21);
    page_heap_init(&heap, NULL, DECAY_NEVER);
    for (unsigned i = 0; i < COUNT; i++) {
        chunks[i] = add_used_chunk(&heap);
        memset(used[i], true, PIECES);
    }
    /* Piece 0 stays in use, so that no chunk leaves. */
    for (unsigned step = 0; step < 4000; step++) {
        unsigned i = unit_below(&random, COUNT);
        unsigned piece = 1 + unit_below(&random, PIECES - 1);
        if (!used[i][piece] && unit_below(&random, 3) == 0) {
            purge_piece(&heap, chunks[i], (struct page_range){piece * PIECE, PIECE},
                        unit_below(&random, 3) > 0);
        } else if (used[i][piece]) {
            page_stock_unuse(&heap, chunks[i], piece * PIECE, PIECE, unit_below(&random, 17));
        } else {
            use_piece(&heap, chunks[i], (struct page_range){piece * PIECE, PIECE});
        }
        used[i][piece] = bits_get(chunks[i]->used, piece * PIECE);
        assert_true(page_stock_is_valid(&heap));
    }
    assert_true(heap.stage[STAGE_MUZZY].page_count > 0);
    assert_true(heap.stage[STAGE_DIRTY].page_count > 0);
    assert_int_equal(page_stock_unused(&heap), heap.stage[STAGE_DIRTY].page_count);
    struct chunk *first = page_stock_visit(&heap, STAGE_DIRTY);
    assert_ptr_equal(first, heap.stage[STAGE_DIRTY].last);
    assert_ptr_not_equal(first, heap.stage[STAGE_DIRTY].first);
    for (unsigned i = 0; i < COUNT; i++) {
        for (unsigned piece = 1; piece < PIECES; piece++) {
            if (used[i][piece]) {
                page_stock_unuse(&heap, chunks[i], piece * PIECE, PIECE, 0);
            }
        }
        page_stock_unuse(&heap, chunks[i], 0, PIECE, 0);
    }
    expect_empty(&heap);
}

static void damage_is_seen(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *keeper = must_alloc(&heap, 10);
    run_free(must_alloc(&heap, 20), 20);
    expect_valid(&heap);
    heap.stage[STAGE_DIRTY].page_count++;
    assert_false(page_heap_is_valid(&heap));
    heap.stage[STAGE_DIRTY].page_count--;
    heap.stage[STAGE_DIRTY].first->stage[STAGE_DIRTY].linked = false;
    assert_false(page_heap_is_valid(&heap));
    heap.stage[STAGE_DIRTY].first->stage[STAGE_DIRTY].linked = true;
    heap.stage[STAGE_MUZZY].page_count++;
    assert_false(page_heap_is_valid(&heap));
    heap.stage[STAGE_MUZZY].page_count--;
    heap.nonempty ^= 1;
    assert_false(page_heap_is_valid(&heap));
    heap.nonempty ^= 1;
    keeper->chunk->free_pages--;
    assert_false(page_heap_is_valid(&heap));
    keeper->chunk->free_pages++;
    run_free(keeper, 10);
    expect_empty(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_length_has_its_list_and_longer_ones_never_a_lower),
        cmocka_unit_test(random_uses_keep_lists_and_counts),
        cmocka_unit_test(damage_is_seen),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
