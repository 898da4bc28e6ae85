/* holes.c: when a bin is swept, and which of its slabs. See holes.h.
 *
 * The queue of the bin says which slabs serve next: a sweep walks it once round and leaves it as it
 * was, so that the first slabs, which it spares, are still the first.
 */
#include "heap/holes.h"

#include "base/bits.h"
#include "heap/shards.h"
#include "os/os.h"

enum {
    /* docs/decisions/holes-in-slabs.md */
    MARGIN_BYTES = 64 * 1024,
    MARGIN_DIVISOR = 8,
    MARGIN_LG_MAX = 12,
    WINDOW_PAGES = 64, /* enough to judge sweeps by */
};

void holes_init(struct holes *holes)
{
    holes->sweep_from_bytes = MARGIN_BYTES;
}

static size_t base_margin_bytes(const struct bin *bin, uint8_t class_index)
{
    return larger(holes_live_bytes(bin, class_index) / MARGIN_DIVISOR, MARGIN_BYTES);
}

static size_t margin_bytes(const struct bin *bin, uint8_t class_index)
{
    return base_margin_bytes(bin, class_index) << bin->holes.margin_lg;
}

/* When most of what the last sweeps took was wanted back within the decay time, so much may stay
 * from now on. */
static void judge(struct bin *bin, uint8_t class_index, int64_t decay_ms)
{
    struct holes *holes = &bin->holes;
    uint64_t now_ns = os_time_coarse_ns();
    bool old = now_ns - holes->since_ns > (uint64_t)decay_ms * 1000000u;
    if (holes->swept_pages < WINDOW_PAGES && !old) {
        return;
    }
    if (!old && holes->reused_pages > holes->swept_pages) {
        size_t wanted = holes->reused_pages * PAGE_BYTES / 2;
        size_t base = base_margin_bytes(bin, class_index);
        while (holes->margin_lg < MARGIN_LG_MAX && base << holes->margin_lg < wanted) {
            holes->margin_lg++;
        }
    }
    holes->swept_pages = 0;
    holes->reused_pages = 0;
    holes->since_ns = now_ns;
}

/* Moves the first slab of the queue to its end, which keeps their order after a whole round. */
static struct run *rotate(struct bin *bin)
{
    struct run *slab = bin->first;
    bin_remove(bin, slab);
    bin_append(bin, slab);
    return slab;
}

/* False when the regions that were freed cannot fill a page that has memory. */
static bool may_have_holes(const struct run *slab, size_t region_bytes)
{
    size_t freed = slab->free_count - (size_t)(slab->region_count - slab->fresh);
    return freed * region_bytes >= ((size_t)bits_count(slab->purged) + 1) * PAGE_BYTES;
}

static unsigned purge_holes(struct run *slab)
{
    if (LIKELY(!hpa_policy.on)) {
        return slab_purge_holes(slab);
    }
    unsigned pages = page_heap_is_huge(slab->chunk) ? 0 : slab_purge_holes(slab);
    if (pages > 0) {
        page_heap_note_holes(slab->chunk, (int)pages);
    }
    return pages;
}

/* One round through the queue; the first slabs keep spare_bytes of free regions. */
static void sweep_queue(struct bin *bin, uint8_t class_index, size_t spare_bytes)
{
    size_t region_bytes = bin_size[class_index + 1];
    const struct run *start = bin->first;
    /* Others may change the queue meanwhile: no more visits than there are slabs. */
    for (size_t visits = bin->counters.current_slabs; visits > 0 && bin->first != NULL; visits--) {
        struct run *slab = rotate(bin);
        size_t free_bytes = slab->free_count * region_bytes;
        if (free_bytes <= spare_bytes) {
            spare_bytes -= free_bytes;
        } else if (may_have_holes(slab, region_bytes)) {
            unsigned pages = purge_holes(slab);
            bin->holes.purged_pages += pages;
            bin->holes.swept_pages += pages;
        }
        if (bin->first == start) {
            return;
        }
        lock_release(&bin->lock);
        lock_acquire(&bin->lock);
    }
}

void holes_sweep(struct arena *arena, struct bin *bin, uint8_t class_index, unsigned which)
{
    struct holes *holes = &bin->holes;
    lock_acquire(&bin->lock);
    int64_t decay_ms = page_heap_decay_ms(&arena->pages, STAGE_DIRTY);
    if (page_heap_has_hooks(&arena->pages)) {
        /* A hook would have to be called for each hole, without the lock. */
        holes->sweep_from_bytes = SIZE_MAX;
        holes->flushes_swept = bin->counters.flush_count;
    } else if (which == HOLES_SPARE && decay_ms < 0) {
        holes->sweep_from_bytes = SIZE_MAX;
    } else {
        judge(bin, class_index, decay_ms < 0 ? 0 : decay_ms);
        size_t spare = which == HOLES_SPARE ? margin_bytes(bin, class_index) / 2 : 0;
        sweep_queue(bin, class_index, spare);
        holes->sweep_from_bytes =
            holes_idle_bytes(bin, class_index) + margin_bytes(bin, class_index);
        holes->flushes_swept = which == HOLES_ALL ? bin->counters.flush_count : 0;
    }
    lock_release(&bin->lock);
}

enum idleness { BIN_CLEAN, BIN_BUSY, BIN_IDLE };

/* Idle: blocks came back since all holes were swept, and none were taken since the last look. What
 * was learnt of the bin's swings fades with time. */
static enum idleness look_at(struct bin *bin)
{
    lock_acquire(&bin->lock);
    bool quiet = bin->counters.fill_count == bin->holes.fills_seen;
    bool clean = bin->first == NULL || bin->counters.flush_count == bin->holes.flushes_swept;
    bin->holes.fills_seen = bin->counters.fill_count;
    bin->holes.margin_lg -= bin->holes.margin_lg > 0;
    lock_release(&bin->lock);
    return clean ? BIN_CLEAN : quiet ? BIN_IDLE : BIN_BUSY;
}

bool holes_look(struct arena *arena, uint64_t now_ns)
{
    int64_t decay_ms = page_heap_decay_ms(&arena->pages, STAGE_DIRTY);
    uint64_t seen_ns = atomic_load_explicit(&arena->holes_seen_ns, memory_order_relaxed);
    if (decay_ms < 0) {
        return false;
    }
    if (now_ns - seen_ns < (uint64_t)decay_ms * 1000000u) {
        return atomic_load_explicit(&arena->holes_wait, memory_order_relaxed);
    }
    atomic_store_explicit(&arena->holes_seen_ns, now_ns, memory_order_relaxed);
    bool waiting = false;
    struct bin *bin;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        for (unsigned shard = 0; (bin = shards_bin(arena, i, shard)) != NULL; shard++) {
            enum idleness idleness = look_at(bin);
            if (idleness == BIN_IDLE) {
                holes_sweep(arena, bin, i, HOLES_ALL);
            }
            waiting |= idleness == BIN_BUSY;
        }
    }
    atomic_store_explicit(&arena->holes_wait, waiting, memory_order_relaxed);
    return waiting;
}
