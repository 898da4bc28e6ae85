/* statistics.c: adding up. See statistics.h.
 *
 * Each lock is taken and let go in turn, so the parts of a sum are of slightly different moments
 * while threads run, and exact when they rest.
 */
#include "control/statistics.h"

#include "cache/thread.h"
#include "pages/meta.h"

_Atomic size_t statistics_zero_reallocs;

static struct {
    struct lock lock;
    struct statistics snapshot; /* under the lock */
} control = {.lock = {.rank = LOCK_CONTROL}};

struct bin_view statistics_bin(struct arena *arena, unsigned bin_index)
{
    struct bin *bin = &arena->bin[bin_index];
    lock_acquire(&bin->lock);
    struct bin_view view = {bin->counters, bin->lock.acquire_count, bin->lock.wait_count,
                            bin->lock.spin_count, bin->holes.purged_pages};
    lock_release(&bin->lock);
    return view;
}

/* Pages of slabs that have no memory. */
static size_t hole_pages(struct arena *arena)
{
    size_t pages = 0;
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        pages += statistics_bin(arena, i).hole_pages;
    }
    return pages;
}

struct pages_view statistics_pages(struct arena *arena)
{
    struct page_heap *heap = &arena->pages;
    size_t holes = hole_pages(arena);
    const struct page_stage *dirty = &heap->stage[STAGE_DIRTY];
    const struct page_stage *muzzy = &heap->stage[STAGE_MUZZY];
    lock_acquire(&heap->lock);
    struct pages_view view = {
        .active_pages = heap->active_pages > holes ? heap->active_pages - holes : 0,
        .dirty_pages = dirty->page_count + heap->recent_pages,
        .muzzy_pages = muzzy->page_count,
        .chunk_pages = heap->chunk_pages,
        .large_pages = heap->large_pages,
        .purge_count = dirty->purge_count,
        .purge_call_count = dirty->purge_call_count,
        .purged_pages = dirty->purged_pages,
        .muzzy_purge_count = muzzy->purge_count,
        .muzzy_purge_call_count = muzzy->purge_call_count,
        .muzzy_purged_pages = muzzy->purged_pages,
        .lock_count = heap->lock.acquire_count,
        .lock_wait_count = heap->lock.wait_count,
    };
    lock_release(&heap->lock);
    return view;
}

static void visit_cache(struct cache *cache, void *opaque)
{
    size_t *cached_bytes = opaque;
    *cached_bytes += cache_cached_bytes(cache);
}

/* Bytes that the arena's bins and runs have given out, to programs and caches. */
static size_t given_bytes(struct arena *arena, const struct pages_view *pages)
{
    size_t bytes = pages->large_pages * PAGE_BYTES;
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        struct bin_view bin = statistics_bin(arena, i);
        bytes += (bin.counters.alloc_count - bin.counters.free_count) * class_size((uint8_t)i);
    }
    return bytes;
}

static struct statistics sum(void)
{
    size_t cached_bytes = 0;
    size_t dirty_bytes = 0;
    struct statistics total = {0};
    thread_for_each_cache(visit_cache, &cached_bytes);
    for (unsigned i = 0; i < arena_count(); i++) {
        struct pages_view pages = statistics_pages(arena_get(i));
        total.allocated += given_bytes(arena_get(i), &pages);
        total.active += pages.active_pages * PAGE_BYTES;
        total.mapped += pages.chunk_pages * PAGE_BYTES;
        dirty_bytes += pages.dirty_pages * PAGE_BYTES;
    }
    struct huge_statistics huge = huge_statistics();
    struct chunk_pool_statistics pool = chunk_pool_statistics();
    total.allocated += huge.live_bytes;
    total.allocated -= cached_bytes < total.allocated ? cached_bytes : total.allocated;
    total.active += huge.live_bytes;
    total.mapped += huge.mapped_bytes;
    total.retained = pool.spare_bytes;
    total.metadata = meta_touched_bytes() + pool.mapped_bytes / PAGE_BYTES;
    total.resident = total.active + dirty_bytes + huge.touched_bytes + total.metadata;
    return total;
}

void statistics_refresh(void)
{
    lock_acquire(&control.lock);
    uint64_t epoch = control.snapshot.epoch;
    control.snapshot = sum();
    control.snapshot.epoch = epoch + 1;
    lock_release(&control.lock);
}

struct statistics statistics_now(void)
{
    lock_acquire(&control.lock);
    struct statistics result = control.snapshot;
    lock_release(&control.lock);
    return result;
}

struct lock *control_lock(void)
{
    return &control.lock;
}
