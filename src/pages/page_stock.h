/* page_stock.h: which pages of a page heap are in use, and which chunk stands in which list.
 *
 * The lowest of three layers: it keeps the lists and counts of struct page_heap (page_heap.h) right
 * while pages come into use and fall unused; purge.h decides what goes back to the system, and
 * page_heap.h where runs are placed.
 *
 * Thread safety: the heap's lock is held in every function.
 */
#ifndef PAGES_PAGE_STOCK_H
#define PAGES_PAGE_STOCK_H

#include "base/bits.h"
#include "pages/page_heap.h"

struct page_range {
    unsigned page;
    unsigned page_count;
};

/* The list of a longest free stretch, 1 <= pages <= 512. Four lists a doubling; lists 0..6 hold one
 * length each. */
static inline unsigned page_stock_list(unsigned pages)
{
    ASSERT(pages >= 1 && pages <= CHUNK_PAGES);
    if (pages < 4) {
        return pages - 1;
    }
    unsigned lg = bits_highest(pages);
    return (lg - 2) * 4 + ((pages >> (lg - 2)) & 3) + 3;
}

static_assert(PAGE_HEAP_LISTS == (9 - 2) * 4 + 3 + 2, "512 pages are in the last list but one");

/* Takes a chunk in whose pages are all unused. It leaves by itself once they are clean again. */
void page_stock_add(struct page_heap *heap, struct chunk *chunk);

/* Moves a chunk to the list of its longest free stretch, which was another before; 0: none. A full
 * chunk is in no list. */
void page_stock_relist(struct page_heap *heap, struct chunk *chunk, unsigned longest_before);

/* Takes pages out of the unused ones, or puts them back; `touched` of them, from the first on,
 * become dirty. Then an empty clean chunk goes to the pool. */
void page_stock_use(struct page_heap *heap, struct chunk *chunk, unsigned page,
                    unsigned page_count);
void page_stock_unuse(struct page_heap *heap, struct chunk *chunk, unsigned page,
                      unsigned page_count, unsigned touched);

/* A chunk that was held in the heap (HPA_MAKING) no longer is: it leaves if it is empty and clean.
 */
void page_stock_settle(struct page_heap *heap, struct chunk *chunk);

/* Unused pages came into use. Result: how many of them had been purged. *zeroed becomes false when
 * one is muzzy: its content is undefined. */
unsigned page_stock_reuse_muzzy(struct page_heap *heap, struct chunk *chunk,
                                struct page_range range, bool *zeroed);
static inline unsigned page_stock_reuse(struct page_heap *heap, struct chunk *chunk,
                                        struct page_range range, bool *zeroed)
{
    if (chunk->muzzy_pages == 0) {
        return chunk_note_reused(chunk, range.page, range.page_count);
    }
    return page_stock_reuse_muzzy(heap, chunk, range, zeroed);
}

/* Unused pages were purged, for good or lazily. */
void page_stock_note_purged(struct page_heap *heap, struct chunk *chunk, struct page_range range);
void page_stock_note_muzzy(struct page_heap *heap, struct chunk *chunk, struct page_range range);

/* The chunk with pages of a stage that was not visited for longest; there is one. It goes to the
 * end of the list, behind what cannot be purged or comes meanwhile. */
struct chunk *page_stock_visit(struct page_heap *heap, unsigned stage_index);

/* Takes a chunk whose pages are all unused out of the heap, with what they are; and puts it back,
 * unchanged. */
void page_stock_take_out(struct page_heap *heap, struct chunk *chunk);
void page_stock_put_back(struct page_heap *heap, struct chunk *chunk);

/* Ends a run for good. */
static inline void page_stock_release(struct page_heap *heap, struct run *run, unsigned touched)
{
    struct chunk *chunk = run->chunk;
    chunk_run_delete(run);
    page_stock_unuse(heap, chunk, run->page, run->page_count, touched);
}

/* Ends the oldest of the large runs that are kept whole; ends all runs that are kept whole. */
void page_stock_drop_large(struct page_heap *heap, unsigned count);
void page_stock_drop_recent(struct page_heap *heap);

/* Pages that hold memory which nobody uses and the system cannot take. */
static inline size_t page_stock_unused(const struct page_heap *heap)
{
    return heap->stage[STAGE_DIRTY].page_count + heap->recent_pages;
}

/* Re-counts what page_heap.h states of the lists and counts. */
bool page_stock_is_valid(const struct page_heap *heap);

#endif
