/* page_heap.c: choosing chunks for runs, and purging. See page_heap.h.
 *
 * Three things may serve a request, in this order: a run of the same size that was freed a moment
 * ago, a place in the chunk whose longest free stretch fits most closely, a new chunk.
 */
#include "pages/page_heap.h"

#include "base/bits.h"
#include "os/os.h"
#include "pages/huge.h"

enum {
    /* The clock is read once in so many freed runs: reading it costs about 40 instructions. */
    TICKS_PER_CLOCK = 32,
    TICKS_AFTER_REFUSAL = 1024,
    /* Ranges that one pass over a chunk purges before it takes the lock again. */
    PURGE_RANGES = 16,
    /* Chunks of a list whose stretches may be too short that are looked at before the next list. */
    NEAR_MISSES_MAX = 4,
    /* What unused pages may add to the peak of the active ones: so many, or this part of it. */
    SLACK_PAGES = 128,
    SLACK_DIVISOR = 32,
    /* A growing heap purges a little more than it must, so that the next run needs no purge. */
    GROWTH_PURGE_PAGES = 64,
    GROWTH_WINDOW_PAGES = 1024,
};

struct page_policy page_policy = {
    .dirty_cap_bytes = 1u << 20,
    .dirty_cap_divisor = 16,
    .huge_pages = HUGE_PAGES_SYSTEM,
};

void page_heap_init(struct page_heap *heap, void *arena, int64_t decay_ms)
{
    *heap = (struct page_heap){.arena = arena};
    lock_init(&heap->lock, LOCK_PAGES);
    decay_init(&heap->decay, decay_ms);
    heap->growth.slack_pages = SLACK_PAGES;
}

/* Four lists a doubling; lists 0..6 hold one length each. 1 <= pages <= 512. */
static unsigned list_of(unsigned pages)
{
    ASSERT(pages >= 1 && pages <= CHUNK_PAGES);
    if (pages < 4) {
        return pages - 1;
    }
    unsigned lg = bits_highest(pages);
    return (lg - 2) * 4 + ((pages >> (lg - 2)) & 3) + 3;
}

static_assert(PAGE_HEAP_LISTS == (9 - 2) * 4 + 3 + 2, "512 pages are in the last list but one");

static void list_remove(struct page_heap *heap, struct chunk *chunk, unsigned list)
{
    if (chunk->previous != NULL) {
        chunk->previous->next = chunk->next;
    } else {
        ASSERT(heap->list[list] == chunk);
        heap->list[list] = chunk->next;
        if (chunk->next == NULL) {
            heap->nonempty &= ~((uint64_t)1 << list);
        }
    }
    if (chunk->next != NULL) {
        chunk->next->previous = chunk->previous;
    }
}

static void list_push(struct page_heap *heap, struct chunk *chunk, unsigned list)
{
    chunk->previous = NULL;
    chunk->next = heap->list[list];
    if (chunk->next != NULL) {
        chunk->next->previous = chunk;
    }
    heap->list[list] = chunk;
    heap->nonempty |= (uint64_t)1 << list;
}

/* A full chunk is in no list. */
static void relist(struct page_heap *heap, struct chunk *chunk, unsigned longest_before)
{
    unsigned longest = chunk->longest_free;
    unsigned before = longest_before == 0 ? PAGE_HEAP_LISTS : list_of(longest_before);
    unsigned after = longest == 0 ? PAGE_HEAP_LISTS : list_of(longest);
    if (before == after) {
        return;
    }
    if (before != PAGE_HEAP_LISTS) {
        list_remove(heap, chunk, before);
    }
    if (after != PAGE_HEAP_LISTS) {
        list_push(heap, chunk, after);
    }
}

static void dirty_list_append(struct page_heap *heap, struct chunk *chunk)
{
    ASSERT(!chunk->in_dirty_list);
    chunk->dirty_previous = heap->dirty_last;
    chunk->dirty_next = NULL;
    if (heap->dirty_last != NULL) {
        heap->dirty_last->dirty_next = chunk;
    } else {
        heap->dirty_first = chunk;
    }
    heap->dirty_last = chunk;
    chunk->in_dirty_list = true;
}

static void dirty_list_remove(struct page_heap *heap, struct chunk *chunk)
{
    ASSERT(chunk->in_dirty_list);
    if (chunk->dirty_previous != NULL) {
        chunk->dirty_previous->dirty_next = chunk->dirty_next;
    } else {
        heap->dirty_first = chunk->dirty_next;
    }
    if (chunk->dirty_next != NULL) {
        chunk->dirty_next->dirty_previous = chunk->dirty_previous;
    } else {
        heap->dirty_last = chunk->dirty_previous;
    }
    chunk->in_dirty_list = false;
}

/* Tells the system once a chunk what the option says of huge pages; by default nothing. */
static void choose_page_size(struct chunk *chunk)
{
    if (page_policy.huge_pages == HUGE_PAGES_SYSTEM || chunk->page_size_told) {
        return;
    }
    size_t bytes = (size_t)chunk->valid_pages * PAGE_BYTES;
    if (page_policy.huge_pages == HUGE_PAGES_NEVER) {
        os_refuse_huge_pages(chunk_page_address(chunk, chunk->first_free), bytes);
    } else if (bytes == CHUNK_BYTES) {
        os_want_huge_pages(chunk->base, bytes);
    }
    chunk->page_size_told = true;
}

/* A chunk in which the request finds a place. */
static struct chunk *add_chunk(struct page_heap *heap, struct run_request request)
{
    unsigned least = request.page_count + request.alignment - 1;
    bool first_use;
    struct chunk *chunk = chunk_take(heap, least < CHUNK_PAGES ? least : CHUNK_PAGES, &first_use);
    if (chunk != NULL) {
        if (first_use) {
            huge_yield(CHUNK_BYTES);
        }
        choose_page_size(chunk);
        heap->chunk_count++;
        heap->chunk_pages += chunk->valid_pages;
        list_push(heap, chunk, list_of(chunk->longest_free));
    }
    return chunk;
}

static void remove_chunk(struct page_heap *heap, struct chunk *chunk)
{
    list_remove(heap, chunk, list_of(chunk->longest_free));
    heap->chunk_count--;
    heap->chunk_pages -= chunk->valid_pages;
    chunk_give_back(chunk);
}

/* A place for the request in the chunk, or CHUNK_PAGES; its list is corrected after a failure. */
static unsigned try_chunk(struct page_heap *heap, struct chunk *chunk, struct run_request request)
{
    unsigned longest = chunk->longest_free;
    unsigned page = chunk_find(chunk, request.page_count, request.alignment);
    if (page == CHUNK_PAGES) {
        relist(heap, chunk, longest);
    }
    return page;
}

/* The first place in the first list that has one. Lists are tried upwards, so each chunk fails at
 * most once with a stale bound before its list is exact. */
static struct chunk *choose_chunk(struct page_heap *heap, struct run_request request,
                                  unsigned *page)
{
    unsigned list = list_of(request.page_count);
    uint64_t candidates = heap->nonempty & (~(uint64_t)0 << list);
    while (candidates != 0) {
        list = bits_lowest(candidates);
        unsigned misses = 0;
        struct chunk *next;
        for (struct chunk *chunk = heap->list[list]; chunk != NULL; chunk = next) {
            next = chunk->next;
            if (chunk->longest_free >= request.page_count) {
                *page = try_chunk(heap, chunk, request);
                if (*page != CHUNK_PAGES) {
                    return chunk;
                }
            }
            if (++misses >= NEAR_MISSES_MAX && list < PAGE_HEAP_LISTS - 2) {
                break;
            }
        }
        candidates &= candidates - 1;
    }
    return NULL;
}

/* Takes pages out of the unused ones and keeps lists and counts right. */
static void use_pages(struct page_heap *heap, struct chunk *chunk, unsigned page,
                      unsigned page_count)
{
    unsigned longest = chunk->longest_free;
    unsigned dirty = chunk->dirty_pages;
    chunk_use(chunk, page, page_count);
    relist(heap, chunk, longest);
    if (dirty != chunk->dirty_pages) {
        heap->dirty_pages -= dirty - chunk->dirty_pages;
        if (chunk->dirty_pages == 0 && chunk->in_dirty_list) {
            dirty_list_remove(heap, chunk);
        }
    }
}

static void unuse_pages(struct page_heap *heap, struct chunk *chunk, unsigned page,
                        unsigned page_count, unsigned touched)
{
    unsigned longest = chunk->longest_free;
    unsigned dirty = chunk->dirty_pages;
    (void)chunk_unuse(chunk, page, page_count, touched);
    relist(heap, chunk, longest);
    heap->dirty_pages += chunk->dirty_pages - dirty;
    if (chunk->dirty_pages > 0 && !chunk->in_dirty_list) {
        dirty_list_append(heap, chunk);
    }
    if (chunk->free_pages == chunk->valid_pages && chunk->dirty_pages == 0) {
        remove_chunk(heap, chunk);
    }
}

/* A run that was freed a moment ago and has the very size; or NULL. Lock held. */
static struct run *recent_take(struct page_heap *heap, unsigned page_count)
{
    for (unsigned i = heap->recent_count; i-- > 0;) {
        struct run *run = heap->recent[i];
        if (run->page_count == page_count) {
            heap->recent_count--;
            for (; i < heap->recent_count; i++) {
                heap->recent[i] = heap->recent[i + 1];
            }
            heap->recent_pages -= page_count;
            return run;
        }
    }
    return NULL;
}

/* Ends a run for good. Lock held. */
static void release_run(struct page_heap *heap, struct run *run, unsigned touched)
{
    struct chunk *chunk = run->chunk;
    chunk_run_delete(run);
    unuse_pages(heap, chunk, run->page, run->page_count, touched);
}

static void recent_drop_oldest(struct page_heap *heap, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct run *run = heap->recent[i];
        heap->recent_pages -= run->page_count;
        release_run(heap, run, run->page_count);
    }
    heap->recent_count -= count;
    for (unsigned i = 0; i < heap->recent_count; i++) {
        heap->recent[i] = heap->recent[i + count];
    }
}

/* A place by choose_chunk(); when there is none, again without the runs that are kept whole, then
 * in a new chunk. */
static struct chunk *find_place(struct page_heap *heap, struct run_request request, unsigned *page)
{
    struct chunk *chunk = choose_chunk(heap, request, page);
    if (chunk == NULL && heap->recent_count > 0) {
        recent_drop_oldest(heap, heap->recent_count);
        chunk = choose_chunk(heap, request, page);
    }
    if (chunk == NULL) {
        chunk = add_chunk(heap, request);
        *page = chunk == NULL ? CHUNK_PAGES : try_chunk(heap, chunk, request);
    }
    return *page == CHUNK_PAGES ? NULL : chunk;
}

/* Keeps a large run whole. False when it is too large for that. Lock held. */
static bool recent_keep(struct page_heap *heap, struct run *run)
{
    if (run->large_index == LARGE_NONE || heap->decay.decay_ms == 0) {
        return false;
    }
    while (heap->recent_count == RECENT_RUNS ||
           heap->recent_pages + run->page_count > RECENT_PAGES_MAX) {
        recent_drop_oldest(heap, (heap->recent_count + 1) / 2);
    }
    heap->recent[heap->recent_count++] = run;
    heap->recent_pages += run->page_count;
    return true;
}

/* A run's pages become active, or no longer are; a large block counts by its class too. */
static void count_alloc(struct page_heap *heap, struct run *run, uint8_t large_index)
{
    heap->active_pages += run->page_count;
    run->large_index = large_index;
    if (large_index != LARGE_NONE) {
        ASSERT(large_index < LARGE_CLASSES);
        heap->large[large_index].alloc_count++;
        heap->large_pages += run->page_count;
    }
}

static void count_free(struct page_heap *heap, const struct run *run)
{
    heap->active_pages -= run->page_count;
    if (run->large_index != LARGE_NONE) {
        heap->large[run->large_index].free_count++;
        heap->large_pages -= run->page_count;
    }
}

/* Pages that hold memory which nobody uses. */
static size_t unused_pages(const struct page_heap *heap)
{
    return heap->dirty_pages + heap->recent_pages;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What unused pages may hold: with the active ones hardly more than these alone held at their peak,
 * so that keeping them costs next to nothing there. */
static size_t room_below_peak(const struct page_heap *heap)
{
    size_t slack = larger(heap->growth.slack_pages, heap->peak_active_pages / SLACK_DIVISOR);
    size_t bound = heap->peak_active_pages + slack;
    return bound > heap->active_pages ? bound - heap->active_pages : 0;
}

static size_t dirty_cap_pages(const struct page_heap *heap)
{
    size_t least = page_policy.dirty_cap_bytes / PAGE_BYTES;
    size_t share = heap->active_pages / page_policy.dirty_cap_divisor;
    size_t cap = larger(larger(least, share), heap->boost_pages);
    size_t room = room_below_peak(heap);
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
                use_pages(heap, chunk, range.page, range.page_count);
                ranges[count++] = range;
            }
        }
        at = bits_next_zero(chunk->used, end, CHUNK_PAGES);
    }
    *from = at;
    return count;
}

/* Purges one chunk's dirty pages. The lock is held, and let go meanwhile; claimed pages keep the
 * chunk in this heap. Result: pages purged. */
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
        heap->purge_call_count += count;
        /* Once the last claim is dropped the chunk may leave this heap: look at it no more then. */
        bool last_pass = from >= CHUNK_PAGES;
        for (unsigned i = 0; i < count; i++) {
            if (done[i]) {
                purged += chunk_note_purged(chunk, ranges[i].page, ranges[i].page_count);
            }
            bool gone = chunk->free_pages + ranges[i].page_count == chunk->valid_pages;
            unuse_pages(heap, chunk, ranges[i].page, ranges[i].page_count, 0);
            if (gone || (last_pass && i + 1 == count)) {
                return purged;
            }
        }
    }
    return purged;
}

/* Lock held. Each chunk is visited at most once: pages that the system refuses to purge stay dirty.
 */
static void purge_locked(struct page_heap *heap, size_t keep_pages)
{
    bool purging = false;
    if (unused_pages(heap) <= keep_pages) {
        return;
    }
    recent_drop_oldest(heap, heap->recent_count);
    size_t visits = heap->chunk_count;
    uint64_t purged_before = heap->purged_pages;
    while (heap->dirty_pages > keep_pages && heap->dirty_first != NULL && visits-- > 0) {
        struct chunk *chunk = heap->dirty_first;
        /* To the end of the list, for what cannot be purged or comes meanwhile. */
        dirty_list_remove(heap, chunk);
        dirty_list_append(heap, chunk);
        heap->purged_pages += purge_chunk(heap, chunk);
        purging = true;
    }
    if (purging && heap->purged_pages == purged_before) {
        /* The system refuses: not every freed run may pay for trying again. */
        heap->ticks = TICKS_AFTER_REFUSAL;
        heap->purge_from_pages = SIZE_MAX;
    }
    if (purging) {
        heap->purge_count++;
        decay_purged(&heap->decay, heap->dirty_pages);
    }
}

void page_heap_purge(struct page_heap *heap, size_t keep_pages)
{
    lock_acquire(&heap->lock);
    purge_locked(heap, keep_pages);
    lock_release(&heap->lock);
}

void page_heap_decay(struct page_heap *heap, uint64_t now_ns)
{
    lock_acquire(&heap->lock);
    purge_locked(heap, decay_advance(&heap->decay, now_ns, unused_pages(heap)));
    lock_release(&heap->lock);
}

/* Purges down to the cap, unless the last such purge proves to have been wrong: within the decay
 * time at least half of what it took was wanted back. Then the cap doubles instead: a program that
 * swings keeps its memory, one that shrinks and rests does not. Lock held. */
static void purge_to_cap(struct page_heap *heap)
{
    uint64_t now_ns = os_time_coarse_ns();
    uint64_t decay_ns = (uint64_t)heap->decay.decay_ms * 1000000u;
    bool recent = heap->cap_purged_pages > 0 && now_ns - heap->cap_purged_at_ns < decay_ns;
    size_t cap = dirty_cap_pages(heap);
    if (!recent) {
        heap->boost_pages = 0;
    } else if (heap->regret_pages > heap->cap_purged_pages / 2) {
        heap->boost_pages = 2 * cap;
        heap->cap_purged_at_ns = now_ns;
        cap *= 2;
    }
    if (unused_pages(heap) > cap) {
        /* Below the cap by a quarter, so that the next purge is not due at once. */
        size_t keep = cap - cap / 4;
        heap->cap_purged_pages = unused_pages(heap) - keep;
        heap->cap_purged_at_ns = now_ns;
        heap->regret_pages = 0;
        purge_locked(heap, keep);
    }
}

/* Lock held; called when pages fell unused and the clock or the cap asks for it. */
static NOINLINE void purge_slow(struct page_heap *heap)
{
    if (heap->decay.decay_ms == 0) {
        heap->purge_from_pages = 0;
        heap->ticks = TICKS_PER_CLOCK;
        purge_locked(heap, 0);
        return;
    }
    if (heap->decay.decay_ms > 0 && unused_pages(heap) > dirty_cap_pages(heap)) {
        purge_to_cap(heap);
    }
    size_t cap = dirty_cap_pages(heap);
    heap->purge_from_pages = heap->decay.decay_ms > 0 ? cap : SIZE_MAX;
    if (heap->ticks == 0) {
        heap->ticks = TICKS_PER_CLOCK;
        purge_locked(heap, decay_advance(&heap->decay, os_time_coarse_ns(), unused_pages(heap)));
    }
}

/* Lock held; called when pages fell unused. Most calls only compare. */
static void purge_when_due(struct page_heap *heap)
{
    if (heap->ticks > 0) {
        heap->ticks--;
    }
    if (UNLIKELY(heap->ticks == 0) || UNLIKELY(unused_pages(heap) > heap->purge_from_pages)) {
        purge_slow(heap);
    }
}

/* Clean pages came into use: at a new peak, unused ones make room for them; but when most of what
 * this has purged was wanted back, twice as many may stay from now on. Lock held. */
static NOINLINE void make_room_for_growth(struct page_heap *heap)
{
    struct growth *growth = &heap->growth;
    if (growth->purged_pages >= GROWTH_WINDOW_PAGES) {
        bool regretted = growth->reused_pages > growth->purged_pages / 2;
        growth->slack_pages *= regretted ? 2 : 1;
        growth->purged_pages = 0;
        growth->reused_pages = 0;
    }
    size_t room = room_below_peak(heap);
    size_t unused = unused_pages(heap);
    if (unused > room) {
        purge_locked(heap, room > GROWTH_PURGE_PAGES ? room - GROWTH_PURGE_PAGES : 0);
        growth->purged_pages += unused - unused_pages(heap);
    }
}

/* Clean pages came into use, some of which were purged before. Lock held. */
static void note_growth(struct page_heap *heap, unsigned reused_pages)
{
    heap->regret_pages += reused_pages;
    heap->growth.reused_pages += reused_pages;
    heap->peak_active_pages = larger(heap->peak_active_pages, heap->active_pages);
    if (UNLIKELY(unused_pages(heap) > room_below_peak(heap)) && heap->decay.decay_ms > 0) {
        make_room_for_growth(heap);
    }
}

/* Finds pages and makes a run of them. Lock held; let go while pages are purged. */
static struct run *carve_run(struct page_heap *heap, struct run_request request, bool *zeroed)
{
    unsigned page = 0;
    struct chunk *chunk = find_place(heap, request, &page);
    if (chunk == NULL) {
        return NULL;
    }
    unsigned dirty = bits_count_range(chunk->dirty, page, request.page_count);
    *zeroed = dirty == 0;
    use_pages(heap, chunk, page, request.page_count);
    struct run *run = chunk_run_new(chunk, page, request.page_count, request.every_page);
    count_alloc(heap, run, request.large_index);
    if (dirty < request.page_count) {
        note_growth(heap, chunk_note_reused(chunk, page, request.page_count));
    }
    return run;
}

struct run *run_alloc(struct page_heap *heap, struct run_request request, bool *zeroed)
{
    ASSERT(request.page_count >= 1 && request.page_count <= CHUNK_PAGES);
    ASSERT(bits_is_power_of_two(request.alignment));
    lock_acquire(&heap->lock);
    struct run *run = carve_run(heap, request, zeroed);
    lock_release(&heap->lock);
    return run;
}

/* The newest of the runs that are kept whole does not fit: another of them, or a new one. */
static NOINLINE struct run *run_alloc_large_slow(struct page_heap *heap, unsigned page_count,
                                                 uint8_t large_index)
{
    struct run *run = recent_take(heap, page_count);
    if (run != NULL) {
        count_alloc(heap, run, large_index);
    } else {
        struct run_request request = {page_count, 1, false, large_index};
        bool zeroed;
        run = carve_run(heap, request, &zeroed);
    }
    lock_release(&heap->lock);
    return run;
}

struct run *run_alloc_large(struct page_heap *heap, unsigned page_count, uint8_t large_index)
{
    ASSERT(page_count >= 1 && page_count <= RUN_PAGES_MAX);
    ASSERT(large_index < LARGE_CLASSES);
    lock_acquire(&heap->lock);
    unsigned count = heap->recent_count;
    if (count == 0 || heap->recent[count - 1]->page_count != page_count) {
        return run_alloc_large_slow(heap, page_count, large_index);
    }
    struct run *run = heap->recent[count - 1];
    heap->recent_count = count - 1;
    heap->recent_pages -= page_count;
    heap->active_pages += page_count;
    heap->large_pages += page_count;
    heap->large[large_index].alloc_count++;
    lock_release(&heap->lock);
    return run;
}

void run_free(struct run *run, unsigned touched)
{
    struct page_heap *heap = run->chunk->heap;
    lock_acquire(&heap->lock);
    count_free(heap, run);
    if (!recent_keep(heap, run)) {
        release_run(heap, run, touched);
    }
    purge_when_due(heap);
    lock_release(&heap->lock);
}

/* The runs that are kept whole are full, or a look at the clock or the cap is due. Lock held. */
static NOINLINE void run_free_large_slow(struct page_heap *heap, struct run *run)
{
    if (!recent_keep(heap, run)) {
        release_run(heap, run, run->page_count);
    }
    purge_slow(heap);
    lock_release(&heap->lock);
}

void run_free_large(struct run *run)
{
    ASSERT(run->large_index < LARGE_CLASSES);
    struct page_heap *heap = run->chunk->heap;
    size_t page_count = run->page_count;
    lock_acquire(&heap->lock);
    heap->active_pages -= page_count;
    heap->large_pages -= page_count;
    heap->large[run->large_index].free_count++;
    size_t recent_pages = heap->recent_pages + page_count;
    unsigned count = heap->recent_count;
    if (UNLIKELY(count == RECENT_RUNS) || UNLIKELY(recent_pages > RECENT_PAGES_MAX) ||
        UNLIKELY(heap->dirty_pages + recent_pages > heap->purge_from_pages) ||
        UNLIKELY(heap->ticks <= 1)) {
        heap->ticks -= heap->ticks != 0;
        run_free_large_slow(heap, run);
        return;
    }
    heap->ticks--;
    heap->recent[count] = run;
    heap->recent_count = count + 1;
    heap->recent_pages = recent_pages;
    lock_release(&heap->lock);
}

bool run_grow(struct run *run, unsigned page_count, uint8_t large_index)
{
    ASSERT(page_count > run->page_count);
    struct chunk *chunk = run->chunk;
    struct page_heap *heap = chunk->heap;
    bool grown = false;
    lock_acquire(&heap->lock);
    unsigned end = run->page + run->page_count;
    unsigned more = page_count - run->page_count;
    if (end + more <= CHUNK_PAGES && bits_next_one(chunk->used, end, CHUNK_PAGES) >= end + more) {
        use_pages(heap, chunk, end, more);
        heap->regret_pages += chunk_note_reused(chunk, end, more);
        count_free(heap, run);
        run->page_count = (uint16_t)page_count;
        count_alloc(heap, run, large_index);
        grown = true;
    }
    lock_release(&heap->lock);
    return grown;
}

/* Cuts a run; of the pages that fall unused the first `touched` become dirty. */
static void cut_run(struct run *run, unsigned page_count, uint8_t large_index, unsigned touched)
{
    ASSERT(page_count >= 1 && page_count < run->page_count);
    struct chunk *chunk = run->chunk;
    struct page_heap *heap = chunk->heap;
    lock_acquire(&heap->lock);
    unsigned less = run->page_count - page_count;
    count_free(heap, run);
    run->page_count = (uint16_t)page_count;
    count_alloc(heap, run, large_index);
    unuse_pages(heap, chunk, run->page + page_count, less, touched);
    purge_when_due(heap);
    lock_release(&heap->lock);
}

void run_shrink(struct run *run, unsigned page_count, uint8_t large_index)
{
    cut_run(run, page_count, large_index, run->page_count - page_count);
}

void run_trim(struct run *run, unsigned page_count, uint8_t large_index)
{
    cut_run(run, page_count, large_index, 0);
}

bool page_heap_is_valid(const struct page_heap *heap)
{
    for (unsigned list = 0; list < PAGE_HEAP_LISTS; list++) {
        bool marked = (heap->nonempty >> list) & 1;
        if (marked != (heap->list[list] != NULL)) {
            return false;
        }
        for (const struct chunk *chunk = heap->list[list]; chunk != NULL; chunk = chunk->next) {
            if (list_of(chunk->longest_free) != list || !chunk_is_valid(chunk)) {
                return false;
            }
        }
    }
    size_t dirty = 0;
    for (const struct chunk *chunk = heap->dirty_first; chunk != NULL; chunk = chunk->dirty_next) {
        dirty += chunk->dirty_pages;
    }
    return dirty == heap->dirty_pages;
}
