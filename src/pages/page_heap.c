/* page_heap.c: choosing chunks for runs. See page_heap.h.
 *
 * Three things may serve a request, in this order: a run of the same size that was freed a moment
 * ago, a place in the chunk whose longest free stretch fits most closely, a new chunk.
 */
#include "pages/page_heap.h"

#include "base/bits.h"
#include "os/os.h"
#include "pages/extent.h"
#include "pages/hpa.h"
#include "pages/huge.h"
#include "pages/idle.h"
#include "pages/purge.h"

#include <string.h>

enum {
    /* Chunks of a list whose stretches may be too short that are looked at before the next list. */
    NEAR_MISSES_MAX = 4,
};

struct page_policy page_policy = {
    .dirty_cap_bytes = 1u << 20,
    .dirty_cap_divisor = 16,
    .huge_pages = HUGE_PAGES_SYSTEM,
};

/* The heap is zero but for what begins it. */
static void begin(struct page_heap *heap, int64_t decay_ms)
{
    heap->calls_helper = true;
    heap->growth_bytes = SIZE_MAX;
    decay_init(&heap->stage[STAGE_DIRTY].decay, decay_ms);
    heap->growth.slack_pages = SLACK_PAGES;
    heap->use_of_break = atomic_load_explicit(&chunk_policy.use_of_break, memory_order_relaxed);
}

enum break_use page_heap_use_of_break(struct page_heap *heap)
{
    lock_acquire(&heap->lock);
    enum break_use use = heap->use_of_break;
    lock_release(&heap->lock);
    return use;
}

void page_heap_set_use_of_break(struct page_heap *heap, enum break_use use_of_break)
{
    lock_acquire(&heap->lock);
    heap->use_of_break = use_of_break;
    lock_release(&heap->lock);
}

void page_heap_init(struct page_heap *heap, void *arena, int64_t decay_ms)
{
    *heap = (struct page_heap){.arena = arena};
    lock_init(&heap->lock, LOCK_PAGES);
    begin(heap, decay_ms);
}

void page_heap_begin_again(struct page_heap *heap, int64_t decay_ms)
{
    /* A helper that met the arena before its end may read what comes first, lock or not. */
    enum { FIRST_BYTES = offsetof(struct page_heap, hooks_index) };
    static_assert(offsetof(struct page_heap, hooks) + sizeof heap->hooks == FIRST_BYTES,
                  "the lock, arena, place and hooks come first");
    lock_acquire(&heap->lock);
    ASSERT(heap->chunk_count == 0);
    struct extent *free_extents = heap->free_extents;
    memset((char *)heap + FIRST_BYTES, 0, sizeof *heap - FIRST_BYTES);
    atomic_store_explicit(&heap->hooks, NULL, memory_order_release);
    begin(heap, decay_ms);
    heap->free_extents = free_extents;
    lock_release(&heap->lock);
    lock_reset_counters(&heap->lock);
}

bool page_heap_has_no_chunk(struct page_heap *heap)
{
    lock_acquire(&heap->lock);
    bool has_none = heap->chunk_count == 0;
    lock_release(&heap->lock);
    return has_none;
}

void page_heap_set_decay(struct page_heap *heap, unsigned stage, int64_t decay_ms)
{
    lock_acquire(&heap->lock);
    decay_init(&heap->stage[stage].decay, decay_ms);
    if (decay_ms == 0 && hpa_policy.on) {
        purge_for_good(heap, 0); /* Muzzy pages would have no curve to leave by. */
    } else if (decay_ms == 0 && stage == STAGE_DIRTY) {
        purge_to(heap, 0);
    } else if (decay_ms == 0) {
        purge_muzzy(heap, 0);
    }
    idle_urge(heap->place); /* It may nap for a longer time. */
    lock_release(&heap->lock);
}

int64_t page_heap_decay_ms(struct page_heap *heap, unsigned stage)
{
    lock_acquire(&heap->lock);
    int64_t decay_ms = heap->stage[stage].decay.decay_ms;
    lock_release(&heap->lock);
    return decay_ms;
}

void page_heap_set_hooks(struct page_heap *heap, struct extent_hooks *hooks, unsigned arena_index)
{
    lock_acquire(&heap->lock);
    heap->hooks_index = arena_index;
    /* A bin's lock may be held when the peak asks for a purge. */
    heap->growth.slack_pages = SIZE_MAX / 4;
    atomic_store_explicit(&heap->hooks, hooks, memory_order_release);
    lock_release(&heap->lock);
}

bool page_heap_grow(struct page_heap *heap, unsigned page_count)
{
    if (!page_heap_has_hooks(heap)) {
        return false;
    }
    size_t least = larger((size_t)page_count * PAGE_BYTES, CHUNK_PIECE_BYTES);
    for (size_t bytes = CHUNK_BYTES; bytes >= least; bytes /= 2) {
        struct extent *extent = extent_take(heap, bytes, bytes, true);
        struct chunk *chunk = extent == NULL ? NULL : chunk_adopt(heap, extent);
        if (chunk != NULL) {
            lock_acquire(&heap->lock);
            page_stock_add(heap, chunk);
            lock_release(&heap->lock);
            return true;
        }
        if (extent != NULL) {
            extent_give(heap, extent);
        }
    }
    return false;
}

void page_heap_set_growth(struct page_heap *heap, size_t growth_bytes)
{
    lock_acquire(&heap->lock);
    heap->growth_bytes = growth_bytes;
    lock_release(&heap->lock);
}

size_t page_heap_growth(struct page_heap *heap)
{
    lock_acquire(&heap->lock);
    size_t growth_bytes = heap->growth_bytes;
    lock_release(&heap->lock);
    return growth_bytes;
}

void page_heap_count_mapped(struct page_heap *heap, size_t page_count)
{
    lock_acquire(&heap->lock);
    heap->active_pages += page_count - heap->mapped_pages;
    heap->mapped_pages = page_count;
    lock_release(&heap->lock);
}

/* Tells the system once a chunk what the option says of huge pages; by default nothing. */
static void choose_page_size(struct chunk *chunk)
{
    if (page_policy.huge_pages == HUGE_PAGES_SYSTEM || chunk->page_size_told) {
        return;
    }
    size_t bytes = (size_t)chunk->valid_pages * PAGE_BYTES;
    if (page_policy.huge_pages == HUGE_PAGES_NEVER || bytes == CHUNK_BYTES) {
        thp_tell(page_policy.huge_pages, chunk_page_address(chunk, chunk->first_free), bytes);
    }
    chunk->page_size_told = true;
}

/* Unused pages that the request asks for in one stretch. */
static unsigned wanted_pages(struct run_request request)
{
    return request.page_count + request.room;
}

/* A chunk in which the request finds a place. */
static struct chunk *add_chunk(struct page_heap *heap, struct run_request request)
{
    if (page_heap_has_hooks(heap)) {
        return NULL; /* Locks are held. */
    }
    unsigned least = wanted_pages(request) + request.alignment - 1;
    bool first_use;
    least = least < CHUNK_PAGES ? least : CHUNK_PAGES;
    struct chunk *chunk =
        chunk_take(heap, least, heap->use_of_break, heap->growth_bytes, &first_use);
    if (chunk != NULL) {
        if (first_use) {
            huge_yield(CHUNK_BYTES);
        }
        choose_page_size(chunk);
        page_stock_add(heap, chunk);
        if (heap->chunk_count > 1) {
            idle_want();
        }
        if (UNLIKELY(hpa_policy.on)) {
            hpa_note_chunk(heap, chunk);
        }
    }
    return chunk;
}

/* A place for the request in the chunk, or CHUNK_PAGES; its list is corrected after a failure. */
static unsigned try_chunk(struct page_heap *heap, struct chunk *chunk, struct run_request request)
{
    unsigned longest = chunk->longest_free;
    unsigned page = chunk_find(chunk, wanted_pages(request), request.alignment);
    if (page == CHUNK_PAGES) {
        page_stock_relist(heap, chunk, longest);
    }
    return page;
}

/* The first place in the first list that has one. Lists are tried upwards, so each chunk fails at
 * most once with a stale bound before its list is exact. */
static struct chunk *choose_chunk(struct page_heap *heap, struct run_request request,
                                  unsigned *page)
{
    unsigned list = page_stock_list(wanted_pages(request));
    uint64_t candidates = heap->nonempty & (~(uint64_t)0 << list);
    while (candidates != 0) {
        list = bits_lowest(candidates);
        unsigned misses = 0;
        struct chunk *next;
        for (struct chunk *chunk = heap->list[list]; chunk != NULL; chunk = next) {
            next = chunk->next;
            if (chunk->longest_free >= wanted_pages(request)) {
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

/* A large run that was freed a moment ago and has the very size; or NULL. Lock held. */
static struct run *large_take(struct page_heap *heap, unsigned page_count)
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

/* A place by choose_chunk(); when there is none, again without the runs that are kept whole, then
 * in a new chunk. */
static struct chunk *find_place(struct page_heap *heap, struct run_request request, unsigned *page)
{
    struct chunk *chunk = choose_chunk(heap, request, page);
    if (chunk == NULL && heap->recent_pages > 0) {
        page_stock_drop_recent(heap);
        chunk = choose_chunk(heap, request, page);
    }
    if (chunk == NULL) {
        chunk = add_chunk(heap, request);
        *page = chunk == NULL ? CHUNK_PAGES : try_chunk(heap, chunk, request);
    }
    return *page == CHUNK_PAGES ? NULL : chunk;
}

/* A run's pages become active, or no longer are; a large block counts by its class too. */
static void count_alloc(struct page_heap *heap, struct run *run, uint8_t large_index)
{
    heap->active_pages += run->page_count;
    run->large_index = large_index;
    if (large_index < LARGE_CLASSES) {
        heap->large[large_index].alloc_count++;
        heap->large_pages += run->page_count;
    }
}

static void count_free(struct page_heap *heap, const struct run *run)
{
    heap->active_pages -= run->page_count;
    if (!run_is_slab(run)) {
        heap->large[run->large_index].free_count++;
        heap->large_pages -= run->page_count;
    }
}

static size_t recent_large_pages(const struct page_heap *heap)
{
    return heap->recent_pages - heap->recent_slab_pages;
}

/* Keeps a large run whole, in place of older ones if need be. Lock held. */
static bool large_keep(struct page_heap *heap, struct run *run)
{
    if (heap->stage[STAGE_DIRTY].decay.decay_ms == 0) {
        return false;
    }
    while (heap->recent_count == RECENT_RUNS ||
           recent_large_pages(heap) + run->page_count > RECENT_LARGE_PAGES_MAX) {
        page_stock_drop_large(heap, (heap->recent_count + 1) / 2);
    }
    heap->recent[heap->recent_count++] = run;
    heap->recent_pages += run->page_count;
    return true;
}

/* The list of slabs of a size that are kept whole; NULL for small slabs, and for those of a size
 * that only an option asks for, which are not. */
static struct run **slab_list(struct page_heap *heap, unsigned page_count)
{
    unsigned lg = bits_highest(page_count);
    return lg < RECENT_SLAB_PAGES_MIN_LG || !bits_is_power_of_two(page_count)
               ? NULL
               : &heap->recent_slab[lg - RECENT_SLAB_PAGES_MIN_LG];
}

/* A slab's run of the size that was freed not long ago; or NULL. Lock held. */
static struct run *slab_take_recent(struct page_heap *heap, unsigned page_count)
{
    struct run **list = slab_list(heap, page_count);
    if (list == NULL || *list == NULL) {
        return NULL;
    }
    struct run *run = *list;
    ASSERT(run->page_count == page_count);
    *list = run->next;
    heap->recent_pages -= page_count;
    heap->recent_slab_pages -= page_count;
    run->first = chunk_page_address(run->chunk, run->page);
    count_alloc(heap, run, LARGE_REUSED);
    return run;
}

/* Keeps a slab's run whole. Lock held. */
static bool slab_keep(struct page_heap *heap, struct run *run)
{
    struct run **list = slab_list(heap, run->page_count);
    if (list == NULL || heap->stage[STAGE_DIRTY].decay.decay_ms == 0 ||
        heap->recent_slab_pages + run->page_count > RECENT_SLAB_PAGES_MAX) {
        return false;
    }
    run->next = *list;
    *list = run;
    heap->recent_pages += run->page_count;
    heap->recent_slab_pages += run->page_count;
    return true;
}

void page_heap_note_margin(struct page_heap *heap, int pages)
{
    lock_acquire(&heap->lock);
    heap->margin_pages += (size_t)pages;
    lock_release(&heap->lock);
}

void page_heap_purge(struct page_heap *heap, size_t keep_pages)
{
    lock_acquire(&heap->lock);
    purge_for_good(heap, keep_pages);
    lock_release(&heap->lock);
}

/* Chunks whose pages the system does not purge, as where mlockall() holds them or a filter forbids
 * madvise(), leave with their address space. Lock held. */
static NOINLINE void unmap_chunks(struct page_heap *heap)
{
    struct chunk *next;
    for (struct chunk *chunk = heap->first_chunk; chunk != NULL; chunk = next) {
        next = chunk->next_of_heap;
        bool may_go =
            chunk->free_pages == chunk->valid_pages && chunk->extent == NULL && !chunk->from_break;
        if (may_go) {
            page_stock_take_out(heap, chunk);
            if (!chunk_unmap(chunk)) {
                page_stock_put_back(heap, chunk);
            }
        }
    }
}

void page_heap_empty(struct page_heap *heap)
{
    lock_acquire(&heap->lock);
    do {
        purge_for_good(heap, 0);
    } while (purge_wait(heap));
    unmap_chunks(heap);
    lock_release(&heap->lock);
}

void page_heap_forget_others(struct page_heap *heap)
{
    lock_acquire(&heap->lock);
    purge_forget_others(heap);
    hpa_forget_makers(heap);
    lock_release(&heap->lock);
}

void page_heap_decay(struct page_heap *heap, uint64_t now_ns)
{
    lock_acquire(&heap->lock);
    purge_by_time(heap, now_ns);
    lock_release(&heap->lock);
}

bool page_heap_look(struct page_heap *heap, uint64_t now_ns)
{
    lock_acquire(&heap->lock);
    bool waiting = purge_look(heap, now_ns);
    lock_release(&heap->lock);
    return waiting;
}

void page_heap_forget_helper(struct page_heap *heap)
{
    lock_acquire(&heap->lock);
    heap->calls_helper = true;
    heap->asks_helper = false;
    heap->purge_from_pages = 0;
    lock_release(&heap->lock);
}

bool page_heap_is_huge(struct chunk *chunk)
{
    struct page_heap *heap = chunk->heap;
    lock_acquire(&heap->lock);
    bool is_huge = chunk->hpa_state == HPA_MAKING || chunk->hpa_state == HPA_HUGE;
    lock_release(&heap->lock);
    return is_huge;
}

void page_heap_note_holes(struct chunk *chunk, int pages)
{
    struct page_heap *heap = chunk->heap;
    lock_acquire(&heap->lock);
    ASSERT((int)chunk->hole_pages + pages >= 0);
    chunk->hole_pages = (uint16_t)((int)chunk->hole_pages + pages);
    lock_release(&heap->lock);
}

void page_heap_fill_holes(struct chunk *chunk, unsigned pages)
{
    struct page_heap *heap = chunk->heap;
    lock_acquire(&heap->lock);
    ASSERT(chunk->hole_pages >= pages);
    chunk->hole_pages = (uint16_t)(chunk->hole_pages - pages);
    hpa_note_use(heap, chunk);
    lock_release(&heap->lock);
}

/* Pages came into use, `dirty` of them dirty: the others may be a new peak. The lock is let go
 * while pages are purged for it, or become a huge page. */
static void note_use(struct page_heap *heap, struct chunk *chunk, struct page_range range,
                     unsigned dirty, bool *zeroed)
{
    unsigned reused = 0;
    if (dirty < range.page_count) {
        reused = page_stock_reuse(heap, chunk, range, zeroed);
    }
    if (UNLIKELY(hpa_policy.on)) {
        hpa_note_use(heap, chunk);
    } else if (dirty < range.page_count) {
        purge_note_growth(heap, reused);
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
    page_stock_use(heap, chunk, page, request.page_count);
    struct run *run = chunk_run_new(chunk, page, request.page_count, request.every_page);
    count_alloc(heap, run, request.large_index);
    struct page_range range = {page, request.page_count};
    note_use(heap, chunk, range, dirty, zeroed);
    return run;
}

struct run *run_alloc(struct page_heap *heap, struct run_request request, bool *zeroed)
{
    ASSERT(request.page_count >= 1);
    ASSERT(request.page_count + request.room <= CHUNK_PAGES);
    ASSERT(bits_is_power_of_two(request.alignment));
    lock_acquire(&heap->lock);
    struct run *run = carve_run(heap, request, zeroed);
    lock_release(&heap->lock);
    return run;
}

struct run *run_alloc_slab(struct page_heap *heap, unsigned page_count)
{
    ASSERT(bits_highest(page_count) < RECENT_SLAB_PAGES_MIN_LG + RECENT_SLAB_LISTS);
    lock_acquire(&heap->lock);
    struct run *run = slab_take_recent(heap, page_count);
    if (run == NULL) {
        struct run_request request = {page_count, 1, 0, true, LARGE_NONE};
        bool zeroed;
        run = carve_run(heap, request, &zeroed);
    }
    lock_release(&heap->lock);
    return run;
}

/* The newest of the runs that are kept whole does not fit: another of them, or a new one. */
static NOINLINE struct run *run_alloc_large_slow(struct page_heap *heap, unsigned page_count,
                                                 uint8_t large_index)
{
    struct run_request request = {page_count, 1, 0, false, large_index};
    bool zeroed;
    struct run *run = large_take(heap, page_count);
    if (run != NULL) {
        count_alloc(heap, run, large_index);
    } else {
        run = carve_run(heap, request, &zeroed);
    }
    lock_release(&heap->lock);
    /* The caller of a large block holds no lock. */
    while (UNLIKELY(run == NULL) && page_heap_grow(heap, page_count)) {
        run = run_alloc(heap, request, &zeroed);
    }
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
    page_stock_release(heap, run, touched);
    purge_when_due(heap);
    lock_release(&heap->lock);
}

void run_free_slab(struct run *run)
{
    ASSERT(run_is_slab(run));
    struct page_heap *heap = run->chunk->heap;
    lock_acquire(&heap->lock);
    count_free(heap, run);
    if (!slab_keep(heap, run)) {
        page_stock_release(heap, run, run->page_count);
    }
    purge_when_due(heap);
    lock_release(&heap->lock);
}

/* The runs that are kept whole are full, or a look at the clock or the cap is due. Lock held. */
static NOINLINE void run_free_large_slow(struct page_heap *heap, struct run *run)
{
    if (!large_keep(heap, run)) {
        page_stock_release(heap, run, run->page_count);
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
    size_t large_pages = recent_pages - heap->recent_slab_pages;
    unsigned count = heap->recent_count;
    if (UNLIKELY(count == RECENT_RUNS) || UNLIKELY(large_pages > RECENT_LARGE_PAGES_MAX) ||
        UNLIKELY(heap->stage[STAGE_DIRTY].page_count + recent_pages > heap->purge_from_pages) ||
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
        struct page_range range = {end, more};
        unsigned dirty = bits_count_range(chunk->dirty, end, more);
        page_stock_use(heap, chunk, end, more);
        count_free(heap, run);
        run->page_count = (uint16_t)page_count;
        count_alloc(heap, run, large_index);
        bool zeroed = dirty == 0;
        note_use(heap, chunk, range, dirty, &zeroed);
        grown = true;
    }
    lock_release(&heap->lock);
    return grown;
}

void run_shrink(struct run *run, unsigned page_count, uint8_t large_index)
{
    ASSERT(page_count >= 1 && page_count < run->page_count);
    struct chunk *chunk = run->chunk;
    struct page_heap *heap = chunk->heap;
    lock_acquire(&heap->lock);
    unsigned less = run->page_count - page_count;
    count_free(heap, run);
    run->page_count = (uint16_t)page_count;
    count_alloc(heap, run, large_index);
    page_stock_unuse(heap, chunk, run->page + page_count, less, less);
    purge_when_due(heap);
    lock_release(&heap->lock);
}

/* A run whose first page has a class code at or after the page; NULL at the end of the chunk. Runs
 * that are kept whole, pages that are being purged, and what lies beyond a partial chunk have none.
 * Lock held. */
static struct run *next_run(struct chunk *chunk, unsigned page)
{
    while ((page = bits_next_one(chunk->used, page, CHUNK_PAGES)) < CHUNK_PAGES) {
        const char *address = chunk_page_address(chunk, page);
        if (map_code_beside(address) != 0) {
            return chunk_run(chunk, address);
        }
        page++;
    }
    return NULL;
}

void page_heap_visit_runs_held(struct page_heap *heap, run_visitor visit, void *opaque)
{
    for (struct chunk *chunk = heap->first_chunk; chunk != NULL; chunk = chunk->next_of_heap) {
        struct run *run;
        for (unsigned page = 0; (run = next_run(chunk, page)) != NULL;) {
            page = run->page + (unsigned)run->page_count;
            visit(run, opaque);
        }
    }
}

void page_heap_visit_runs(struct page_heap *heap, run_visitor visit, void *opaque)
{
    lock_acquire(&heap->lock);
    page_heap_visit_runs_held(heap, visit, opaque);
    lock_release(&heap->lock);
}

/* What is freed is dirty, so no chunk leaves the heap meanwhile. */
void page_heap_free_large_runs(struct page_heap *heap)
{
    lock_acquire(&heap->lock);
    for (struct chunk *chunk = heap->first_chunk; chunk != NULL; chunk = chunk->next_of_heap) {
        struct run *run;
        for (unsigned page = 0; (run = next_run(chunk, page)) != NULL;) {
            page = run->page + (unsigned)run->page_count;
            if (!run_is_slab(run)) {
                map_set_code(run->first, 0);
                count_free(heap, run);
                page_stock_release(heap, run, run->page_count);
            }
        }
    }
    purge_when_due(heap);
    lock_release(&heap->lock);
}

enum { STRETCH_USED = STRETCH_KINDS };

/* 64 pages: no bit stands for more than one kind. */
struct page_kinds {
    uint64_t used;
    uint64_t dirty;
    uint64_t muzzy;
};

static unsigned kind_at(const struct page_kinds *pages, unsigned bit)
{
    return ((pages->used >> bit) & 1) != 0    ? (unsigned)STRETCH_USED
           : ((pages->dirty >> bit) & 1) != 0 ? (unsigned)STAGE_DIRTY
           : ((pages->muzzy >> bit) & 1) != 0 ? (unsigned)STAGE_MUZZY
                                              : (unsigned)STRETCH_CLEAN;
}

/* The bits of `word` that differ from the one below, the lowest from the highest of `before`. */
static uint64_t changes_in(uint64_t word, uint64_t before)
{
    return word ^ (word << 1 | before >> 63);
}

static void visit_chunk(const struct chunk *chunk, stretch_visitor visit, void *opaque)
{
    struct page_kinds before = {.used = ~(uint64_t)0};
    unsigned kind = STRETCH_USED;
    unsigned start = 0;
    for (unsigned i = 0; i < CHUNK_WORDS; i++) {
        uint64_t used = chunk->used[i];
        struct page_kinds pages = {used, chunk->dirty[i] & ~used, chunk->muzzy[i] & ~used};
        uint64_t changes = changes_in(pages.used, before.used) |
                           changes_in(pages.dirty, before.dirty) |
                           changes_in(pages.muzzy, before.muzzy);
        for (; changes != 0; changes &= changes - 1) {
            unsigned bit = bits_lowest(changes);
            if (kind != STRETCH_USED) {
                visit(opaque, kind, i * 64 + bit - start);
            }
            kind = kind_at(&pages, bit);
            start = i * 64 + bit;
        }
        before = pages;
    }
    if (kind != STRETCH_USED) {
        visit(opaque, kind, CHUNK_PAGES - start);
    }
}

void page_heap_visit_unused(const struct page_heap *heap, stretch_visitor visit, void *opaque)
{
    for (unsigned i = 0; i < PAGE_HEAP_LISTS; i++) {
        for (const struct chunk *chunk = heap->list[i]; chunk != NULL; chunk = chunk->next) {
            visit_chunk(chunk, visit, opaque);
        }
    }
    for (unsigned i = 0; i < heap->recent_count; i++) {
        visit(opaque, STAGE_DIRTY, heap->recent[i]->page_count);
    }
    for (unsigned i = 0; i < RECENT_SLAB_LISTS; i++) {
        for (const struct run *run = heap->recent_slab[i]; run != NULL; run = run->next) {
            visit(opaque, STAGE_DIRTY, run->page_count);
        }
    }
}

bool page_heap_is_valid(const struct page_heap *heap)
{
    return page_stock_is_valid(heap);
}
