/* purge.c: purging, and the bounds that ask for it. See purge.h.
 *
 * A purge visits chunks, those first that were not visited for longest, and in a chunk takes every
 * unused stretch that holds dirty pages: few calls for many pages.
 */
#include "pages/purge.h"

#include "os/os.h"

enum {
    /* The clock is read once in so many freed runs: reading it costs about 40 instructions. */
    TICKS_PER_CLOCK = 32,
    TICKS_AFTER_REFUSAL = 1024,
    /* Ranges that one pass over a chunk purges before it takes the lock again. */
    PURGE_RANGES = 16,
    /* A growing heap purges a little more than it must, so that the next run needs no purge. */
    GROWTH_PURGE_PAGES = 64,
    GROWTH_WINDOW_PAGES = 1024,
};

static size_t dirty_cap_pages(const struct page_heap *heap)
{
    size_t least = page_policy.dirty_cap_bytes / PAGE_BYTES;
    size_t share = heap->active_pages / page_policy.dirty_cap_divisor;
    size_t cap = larger(larger(least, share), heap->boost_pages);
    size_t room = purge_room_below_peak(heap);
    return cap < room ? cap : room;
}

struct purge_range {
    unsigned page;
    unsigned page_count;
};

/* The whole OS pages of the unused stretch at..end-1 whose first dirty page is `first`. */
static struct purge_range whole_os_pages(unsigned at, unsigned first, unsigned end)
{
    unsigned per_os_page = (unsigned)(os_page_bytes / PAGE_BYTES);
    unsigned start = (unsigned)bits_round_down(first, per_os_page);
    start = start < at ? (unsigned)bits_round_up(at, per_os_page) : start;
    unsigned last = (unsigned)bits_round_down(end, per_os_page);
    return (struct purge_range){start, last > start ? last - start : 0};
}

/* Collects stretches of unused pages from the first dirty one to the last, and marks them used: the
 * purge then needs no lock. Clean pages between are purged once more, which is cheaper than a
 * second call. Result: the number of ranges. */
static unsigned claim_ranges(struct page_heap *heap, struct chunk *chunk,
                             struct purge_range ranges[PURGE_RANGES], unsigned *from)
{
    unsigned count = 0;
    unsigned at = bits_next_zero(chunk->used, *from, CHUNK_PAGES);
    while (at < CHUNK_PAGES && count < PURGE_RANGES) {
        unsigned end = bits_next_one(chunk->used, at, CHUNK_PAGES);
        unsigned first = bits_next_one(chunk->dirty, at, CHUNK_PAGES);
        if (first < end) {
            struct purge_range range = whole_os_pages(at, first, end);
            if (range.page_count > 0) {
                page_stock_use(heap, chunk, range.page, range.page_count);
                ranges[count++] = range;
            }
        }
        at = bits_next_zero(chunk->used, end, CHUNK_PAGES);
    }
    *from = at;
    return count;
}

/* Purges one chunk's dirty pages. The lock is let go meanwhile; claimed pages keep the chunk in
 * this heap. Result: pages purged. */
static size_t purge_chunk(struct page_heap *heap, struct chunk *chunk)
{
    size_t purged = 0;
    unsigned from = 0;
    while (from < CHUNK_PAGES) {
        struct purge_range ranges[PURGE_RANGES];
        unsigned count = claim_ranges(heap, chunk, ranges, &from);
        if (count == 0) {
            return purged;
        }
        lock_release(&heap->lock);
        bool done[PURGE_RANGES];
        for (unsigned i = 0; i < count; i++) {
            done[i] = os_purge(chunk_page_address(chunk, ranges[i].page),
                               (size_t)ranges[i].page_count * PAGE_BYTES);
        }
        lock_acquire(&heap->lock);
        heap->stage[STAGE_DIRTY].purge_call_count += count;
        /* Once the last claim is dropped the chunk may leave this heap: look at it no more then. */
        bool last_pass = from >= CHUNK_PAGES;
        for (unsigned i = 0; i < count; i++) {
            if (done[i]) {
                purged += chunk_note_purged(chunk, ranges[i].page, ranges[i].page_count);
            }
            bool gone = chunk->free_pages + ranges[i].page_count == chunk->valid_pages;
            page_stock_unuse(heap, chunk, ranges[i].page, ranges[i].page_count, 0);
            if (gone || (last_pass && i + 1 == count)) {
                return purged;
            }
        }
    }
    return purged;
}

/* Each chunk is visited at most once: pages that the system refuses to purge stay dirty. */
void purge_to(struct page_heap *heap, size_t keep_pages)
{
    bool purging = false;
    if (page_stock_unused(heap) <= keep_pages) {
        return;
    }
    page_stock_drop_recent(heap, heap->recent_count);
    struct page_stage *stage = &heap->stage[STAGE_DIRTY];
    size_t visits = heap->chunk_count;
    uint64_t purged_before = stage->purged_pages;
    while (stage->page_count > keep_pages && stage->first != NULL && visits-- > 0) {
        stage->purged_pages += purge_chunk(heap, page_stock_visit(heap, STAGE_DIRTY));
        purging = true;
    }
    if (purging && stage->purged_pages == purged_before) {
        /* The system refuses: not every freed run may pay for trying again. */
        heap->ticks = TICKS_AFTER_REFUSAL;
        heap->purge_from_pages = SIZE_MAX;
    }
    if (purging) {
        stage->purge_count++;
        decay_purged(&stage->decay, stage->page_count);
    }
}

/* Purges down to the cap, unless the last such purge proves to have been wrong: within the decay
 * time at least half of what it took was wanted back. Then the cap doubles instead: a program that
 * swings keeps its memory, one that shrinks and rests does not. */
static void purge_to_cap(struct page_heap *heap)
{
    uint64_t now_ns = os_time_coarse_ns();
    uint64_t decay_ns = (uint64_t)heap->stage[STAGE_DIRTY].decay.decay_ms * 1000000u;
    bool recent = heap->cap_purged_pages > 0 && now_ns - heap->cap_purged_at_ns < decay_ns;
    size_t cap = dirty_cap_pages(heap);
    if (!recent) {
        heap->boost_pages = 0;
    } else if (heap->regret_pages > heap->cap_purged_pages / 2) {
        heap->boost_pages = 2 * cap;
        heap->cap_purged_at_ns = now_ns;
        cap *= 2;
    }
    if (page_stock_unused(heap) > cap) {
        /* Below the cap by a quarter, so that the next purge is not due at once. */
        size_t keep = cap - cap / 4;
        heap->cap_purged_pages = page_stock_unused(heap) - keep;
        heap->cap_purged_at_ns = now_ns;
        heap->regret_pages = 0;
        purge_to(heap, keep);
    }
}

NOINLINE void purge_slow(struct page_heap *heap)
{
    if (heap->stage[STAGE_DIRTY].decay.decay_ms == 0) {
        heap->purge_from_pages = 0;
        heap->ticks = TICKS_PER_CLOCK;
        purge_to(heap, 0);
        return;
    }
    if (heap->stage[STAGE_DIRTY].decay.decay_ms > 0 &&
        page_stock_unused(heap) > dirty_cap_pages(heap)) {
        purge_to_cap(heap);
    }
    size_t cap = dirty_cap_pages(heap);
    heap->purge_from_pages = heap->stage[STAGE_DIRTY].decay.decay_ms > 0 ? cap : SIZE_MAX;
    if (heap->ticks == 0) {
        heap->ticks = TICKS_PER_CLOCK;
        purge_to(heap, decay_advance(&heap->stage[STAGE_DIRTY].decay, os_time_coarse_ns(),
                                     page_stock_unused(heap)));
    }
}

/* Clean pages came into use: at a new peak, unused ones make room for them; but when most of what
 * this has purged was wanted back, twice as many may stay from now on. */
NOINLINE void purge_for_growth(struct page_heap *heap)
{
    struct growth *growth = &heap->growth;
    if (growth->purged_pages >= GROWTH_WINDOW_PAGES) {
        bool regretted = growth->reused_pages > growth->purged_pages / 2;
        growth->slack_pages *= regretted ? 2 : 1;
        growth->purged_pages = 0;
        growth->reused_pages = 0;
    }
    size_t room = purge_room_below_peak(heap);
    size_t unused = page_stock_unused(heap);
    if (unused > room) {
        purge_to(heap, room > GROWTH_PURGE_PAGES ? room - GROWTH_PURGE_PAGES : 0);
        growth->purged_pages += unused - page_stock_unused(heap);
    }
}
