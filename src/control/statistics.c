/* statistics.c: copying and adding up. See statistics.h.
 *
 * Each lock is taken and let go in turn, so the parts of a sum are of slightly different moments
 * while threads run, and exact when they rest.
 */
#include "control/statistics.h"

#include "cache/thread.h"
#include "os/os.h"
#include "pages/meta.h"

#include <string.h>

_Atomic size_t statistics_zero_reallocs;

static struct {
    struct lock lock;
    struct statistics whole; /* under the lock, like the two below */
} control = {.lock = {.rank = LOCK_CONTROL}};

/* Apart from what is not zero at start, which is read from the file, page by page. */
struct arena_statistics statistics_merged;
static struct arena_statistics spare; /* for an arena whose part found no memory */
static struct arena_statistics destroyed;
static _Atomic bool any_destroyed; /* written under the lock (release) */

/* The class of an unused stretch: the smallest that holds it. */
static unsigned stretch_class(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    unsigned index = pages <= 3 ? (unsigned)pages - 1 : class_of(bytes) - SMALL_CLASSES + 3u;
    return index < STRETCH_CLASSES ? index : STRETCH_CLASSES - 1;
}

static void add_stretch(struct arena_statistics *part, unsigned kind, size_t bytes, uint64_t count)
{
    struct stretch_statistics *stretch = &part->stretch[stretch_class(bytes)];
    stretch->count[kind] += count;
    stretch->bytes[kind] += count * bytes;
}

static void visit_stretch(void *opaque, unsigned kind, unsigned page_count)
{
    add_stretch(opaque, kind, (size_t)page_count * PAGE_BYTES, 1);
}

static void visit_kept(void *opaque, size_t bytes)
{
    add_stretch(opaque, STAGE_DIRTY, bytes, 1);
}

static struct stage_statistics stage_copy(const struct page_stage *stage)
{
    return (struct stage_statistics){stage->purge_count, stage->purge_call_count,
                                     stage->purged_pages};
}

static void copy_pages(struct arena_statistics *part, struct page_heap *heap)
{
    struct arena_totals *totals = &part->totals;
    lock_acquire(&heap->lock);
    totals->active_pages = heap->active_pages - heap->mapped_pages;
    totals->dirty_pages = heap->stage[STAGE_DIRTY].page_count + heap->recent_pages;
    totals->muzzy_pages = heap->stage[STAGE_MUZZY].page_count;
    size_t held = totals->active_pages + totals->dirty_pages + totals->muzzy_pages;
    totals->mapped_bytes = held * PAGE_BYTES;
    totals->retained_bytes = (heap->chunk_pages - held) * PAGE_BYTES + heap->retained_bytes;
    totals->large.allocated = heap->large_pages * PAGE_BYTES;
    totals->descriptor_bytes = heap->chunk_count * offsetof(struct chunk, run);
    for (unsigned i = 0; i < STAGES; i++) {
        totals->stage[i] = stage_copy(&heap->stage[i]);
        part->decay_ms[i] = heap->stage[i].decay.decay_ms;
    }
    for (unsigned i = 0; i < LARGE_CLASSES; i++) {
        part->large_class[i].alloc_count = heap->large[i].alloc_count;
        part->large_class[i].free_count = heap->large[i].free_count;
    }
    page_heap_visit_unused(heap, visit_stretch, part);
    part->lock[SHOWN_PAGES] = lock_counters_held(&heap->lock);
    lock_release(&heap->lock);
}

static void copy_bin(struct arena_statistics *part, struct arena *arena, unsigned index)
{
    struct bin *bin = &arena->bin[index];
    lock_acquire(&bin->lock);
    struct bin_counters counters = bin->counters;
    part->totals.hole_pages += bin->holes.purged_pages;
    part->bin_lock[index] = lock_counters_held(&bin->lock);
    lock_release(&bin->lock);
    part->bin[index] = (struct bin_statistics){
        .alloc_count = counters.alloc_count,
        .free_count = counters.free_count,
        .request_count = counters.request_count,
        .current_regions = counters.alloc_count - counters.free_count,
        .fill_count = counters.fill_count,
        .flush_count = counters.flush_count,
        .slab_count = counters.slab_count,
        .reslab_count = counters.reslab_count,
        .current_slabs = counters.current_slabs,
        .queued_slabs = counters.queued_slabs,
    };
}

/* The page heap does not know which pages of slabs have no memory. */
static void take_out_holes(struct arena_totals *totals)
{
    if (totals->hole_pages > totals->active_pages) {
        totals->hole_pages = totals->active_pages;
    }
    totals->active_pages -= totals->hole_pages;
    totals->mapped_bytes -= totals->hole_pages * PAGE_BYTES;
    totals->retained_bytes += totals->hole_pages * PAGE_BYTES;
}

/* Blocks with mappings of their own: they are the arena's pages too. */
static void copy_huge(struct arena_statistics *part, struct arena *arena)
{
    struct huge_counters *huge = atomic_load_explicit(&arena->huge, memory_order_acquire);
    if (huge == NULL) {
        return;
    }
    for (unsigned i = 0; i < LARGE_CLASSES_COUNTED; i++) {
        struct large_statistics *large = &part->large_class[i];
        large->free_count += atomic_load_explicit(&huge->free_count[i], memory_order_relaxed);
        large->alloc_count += atomic_load_explicit(&huge->alloc_count[i], memory_order_relaxed);
    }
    size_t bytes = atomic_load_explicit(&huge->live_bytes, memory_order_relaxed);
    part->totals.active_pages += bytes / PAGE_BYTES;
    part->totals.mapped_bytes += bytes;
    part->totals.large.allocated += bytes;
}

struct cache_visit {
    const struct arena *arena;
    struct arena_statistics *part;
};

static void visit_cache(struct cache *cache, void *opaque)
{
    struct cache_visit *visit = opaque;
    if (cache->arena != visit->arena) {
        return;
    }
    visit->part->totals.cached_bytes += cache_cached_bytes(cache);
    for (uint8_t i = 0; i < CACHED_CLASSES; i++) {
        uint64_t untold = cache_untold_requests(cache, i);
        *(i < SMALL_CLASSES ? &visit->part->bin[i].request_count
                            : &visit->part->large_class[i - SMALL_CLASSES].request_count) += untold;
    }
}

static void add_small(struct arena_statistics *part)
{
    struct size_statistics *small = &part->totals.small;
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        const struct bin_statistics *bin = &part->bin[i];
        small->allocated += bin->current_regions * class_size((uint8_t)i);
        small->alloc_count += bin->alloc_count;
        small->free_count += bin->free_count;
        small->request_count += bin->request_count;
        small->fill_count += bin->fill_count;
        small->flush_count += bin->flush_count;
        part->totals.descriptor_bytes += bin->current_slabs * sizeof(struct run);
    }
}

/* A cache takes and gives each large block alone: fills and flushes are the blocks. Blocks that no
 * cache holds are requested whenever they are made. */
static void add_large(struct arena_statistics *part)
{
    struct size_statistics *large = &part->totals.large;
    for (unsigned i = 0; i < LARGE_CLASSES_COUNTED; i++) {
        struct large_statistics *class = &part->large_class[i];
        class->current_count = class->alloc_count - class->free_count;
        if (i >= CACHED_LARGE_CLASSES) {
            class->request_count = class->alloc_count;
        } else {
            large->fill_count += class->alloc_count;
            large->flush_count += class->free_count;
        }
        large->alloc_count += class->alloc_count;
        large->free_count += class->free_count;
        large->request_count += class->request_count;
        part->totals.descriptor_bytes += class->current_count * sizeof(struct run);
    }
}

/* What belongs to no arena. */
static void add_common(struct arena_statistics *part)
{
    struct arena_totals *totals = &part->totals;
    struct huge_statistics huge = huge_statistics();
    struct chunk_pool_statistics pool = chunk_pool_statistics();
    size_t spare_chunks = pool.spare_bytes / CHUNK_BYTES;
    totals->mapped_bytes += huge.mapped_bytes - huge.live_bytes;
    totals->retained_bytes += pool.spare_bytes;
    totals->spare_descriptors = spare_chunks;
    totals->descriptor_bytes += spare_chunks * offsetof(struct chunk, run);
    totals->map_bytes = pool.mapped_bytes / PAGE_BYTES;
    totals->base_bytes = meta_touched_bytes() + totals->map_bytes;
    totals->base_huge_pages = meta_huge_pages();
    totals->resident_bytes = huge.touched_bytes + totals->base_bytes;
    add_stretch(part, STRETCH_CLEAN, CHUNK_BYTES, spare_chunks);
    huge_visit_kept(visit_kept, part);
    part->lock[SHOWN_HUGE] = lock_counters(huge_lock());
    part->lock[SHOWN_POOL] = lock_counters(chunk_pool_lock());
    part->lock[SHOWN_MAP] = lock_counters(map_lock());
    part->lock[SHOWN_META] = lock_counters(meta_lock());
    part->lock[SHOWN_THREADS] = lock_counters(threads_lock());
}

static void take_part(struct arena_statistics *part, struct arena *arena, uint64_t now_ns)
{
    memset(part, 0, sizeof *part);
    part->uptime_ns = now_ns > arena->created_ns ? now_ns - arena->created_ns : 0;
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        copy_bin(part, arena, i);
    }
    copy_pages(part, &arena->pages);
    take_out_holes(&part->totals);
    copy_huge(part, arena);
    for (unsigned i = 0; i < CACHED_LARGE_CLASSES; i++) {
        part->large_class[i].request_count =
            atomic_load_explicit(&arena->large_requests[i], memory_order_relaxed);
    }
    struct cache_visit visit = {arena, part};
    thread_for_each_cache(visit_cache, &visit);
    add_small(part);
    add_large(part);
    part->totals.thread_count = atomic_load_explicit(&arena->thread_count, memory_order_relaxed);
    if (arena->index == 0) {
        add_common(part);
    }
    part->totals.resident_bytes +=
        (part->totals.active_pages + part->totals.dirty_pages) * PAGE_BYTES;
}

static uint64_t larger_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void merge_lock(struct lock_counters *into, const struct lock_counters *from)
{
    into->acquire_count += from->acquire_count;
    into->sleep_count += from->sleep_count;
    into->spin_count += from->spin_count;
    into->owner_change_count += from->owner_change_count;
    into->sleep_ns += from->sleep_ns;
    into->sleep_max_ns = larger_of(into->sleep_max_ns, from->sleep_max_ns);
    into->sleepers_max = larger_of(into->sleepers_max, from->sleepers_max);
}

enum { SUMMED_NUMBERS = offsetof(struct arena_statistics, uptime_ns) / sizeof(uint64_t) };

static void merge_part(struct arena_statistics *into, const struct arena_statistics *from)
{
    uint64_t *sum = (uint64_t *)into;
    const uint64_t *number = (const uint64_t *)from;
    for (unsigned i = 0; i < SUMMED_NUMBERS; i++) {
        sum[i] += number[i];
    }
    into->uptime_ns = larger_of(into->uptime_ns, from->uptime_ns);
    for (unsigned i = 0; i < SHOWN_LOCKS; i++) {
        merge_lock(&into->lock[i], &from->lock[i]);
    }
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        merge_lock(&into->bin_lock[i], &from->bin_lock[i]);
    }
}

/* Blocks in caches are not the program's. What the caches hold may be read while it changes. */
static uint64_t live_bytes(const struct arena_totals *totals)
{
    uint64_t given = totals->small.allocated + totals->large.allocated;
    return given - (totals->cached_bytes < given ? totals->cached_bytes : given);
}

static void sum_up(void)
{
    const struct arena_totals *totals = &statistics_merged.totals;
    control.whole = (struct statistics){
        .allocated = live_bytes(totals),
        .active = totals->active_pages * PAGE_BYTES,
        .metadata = totals->base_bytes,
        .metadata_descriptors = totals->descriptor_bytes,
        .metadata_map = totals->map_bytes,
        .metadata_huge_pages = totals->base_huge_pages,
        .resident = totals->resident_bytes,
        .mapped = totals->mapped_bytes,
        .retained = totals->retained_bytes,
        .epoch = control.whole.epoch + 1,
    };
}

/* The part of an arena, made when there is none yet. Control lock held. */
static struct arena_statistics *part_of(struct arena *arena)
{
    struct arena_statistics *part = atomic_load_explicit(&arena->statistics, memory_order_relaxed);
    part = part != NULL ? part : arena->old_statistics;
    return part != NULL ? part : meta_alloc(sizeof *part, 64);
}

/* Nothing of what the arena holds is left; what it has counted stays. */
void statistics_note_destroyed(struct arena *arena)
{
    lock_acquire(&control.lock);
    take_part(&spare, arena, 0);
    struct arena_totals *totals = &spare.totals;
    totals->active_pages = 0;
    totals->dirty_pages = 0;
    totals->muzzy_pages = 0;
    totals->mapped_bytes = 0;
    totals->retained_bytes = 0;
    totals->descriptor_bytes = 0;
    totals->cached_bytes = 0;
    totals->resident_bytes = 0;
    memset(spare.stretch, 0, sizeof spare.stretch);
    merge_part(&destroyed, &spare);
    for (unsigned i = 0; i < STAGES; i++) {
        destroyed.decay_ms[i] = arena_default_decay_ms(i);
    }
    arena->old_statistics = part_of(arena);
    atomic_store_explicit(&arena->statistics, NULL, memory_order_release);
    atomic_store_explicit(&any_destroyed, true, memory_order_release);
    lock_release(&control.lock);
}

const struct arena_statistics *statistics_destroyed(void)
{
    return atomic_load_explicit(&any_destroyed, memory_order_acquire) ? &destroyed : NULL;
}

bool statistics_refresh(void)
{
    bool complete = true;
    uint64_t now_ns = os_time_coarse_ns();
    (void)arena_limit(); /* From here on each arena has an index. */
    lock_acquire(&control.lock);
    memset(&statistics_merged, 0, sizeof statistics_merged);
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        struct arena_statistics *part = part_of(arena);
        take_part(part != NULL ? part : &spare, arena, now_ns);
        merge_part(&statistics_merged, part != NULL ? part : &spare);
        if (part != NULL) {
            atomic_store_explicit(&arena->statistics, part, memory_order_release);
        }
        complete &= part != NULL;
    }
    for (unsigned i = 0; i < STAGES; i++) {
        statistics_merged.decay_ms[i] = arena_default_decay_ms(i);
    }
    sum_up();
    lock_release(&control.lock);
    return complete;
}

struct statistics statistics_now(void)
{
    lock_acquire(&control.lock);
    struct statistics result = control.whole;
    lock_release(&control.lock);
    return result;
}

void statistics_copy(void *copy, const void *source, size_t bytes)
{
    lock_acquire(&control.lock);
    memcpy(copy, source, bytes);
    lock_release(&control.lock);
}

uint64_t statistics_number(const void *number)
{
    uint64_t result;
    statistics_copy(&result, number, sizeof result);
    return result;
}

static NOINLINE int read_slow(const void *source, uint64_t *number)
{
    *number = statistics_number(source);
    return 0;
}

static inline int read_at(const void *structure, size_t offset, uint64_t *number)
{
    const char *source = (const char *)structure + offset;
    if (UNLIKELY(!lock_try(&control.lock))) {
        return read_slow(source, number);
    }
    memcpy(number, source, sizeof *number);
    lock_release(&control.lock);
    return 0;
}

int statistics_read(const struct arena_statistics *part, size_t offset, uint64_t *number)
{
    return read_at(part, offset, number);
}

int statistics_read_whole(size_t offset, uint64_t *number)
{
    return read_at(&control.whole, offset, number);
}

static size_t active_pages_now(struct arena *arena)
{
    size_t holes = 0;
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        lock_acquire(&arena->bin[i].lock);
        holes += arena->bin[i].holes.purged_pages;
        lock_release(&arena->bin[i].lock);
    }
    lock_acquire(&arena->pages.lock);
    size_t pages = arena->pages.active_pages - arena->pages.mapped_pages;
    lock_release(&arena->pages.lock);
    return pages > holes ? pages - holes : 0;
}

size_t statistics_active_now(void)
{
    size_t bytes = huge_statistics().live_bytes;
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        bytes += active_pages_now(arena) * PAGE_BYTES;
    }
    return bytes;
}

struct lock_counters statistics_control_lock(void)
{
    return lock_counters(&control.lock);
}

void statistics_reset_locks(void)
{
    struct lock *const common[] = {&control.lock,     threads_lock(), huge_lock(),
                                   chunk_pool_lock(), map_lock(),     meta_lock()};
    for (unsigned i = 0; i < sizeof common / sizeof common[0]; i++) {
        lock_reset_counters(common[i]);
    }
    arenas_visit_locks(lock_reset_counters);
}

struct lock *control_lock(void)
{
    return &control.lock;
}
