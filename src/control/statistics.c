/* statistics.c: copying and adding up. See statistics.h.
 *
 * Each lock is taken and let go in turn, so the parts of a sum are of slightly different moments
 * while threads run, and exact when they rest.
 */
#include "control/statistics.h"

#include "base/bits.h"
#include "cache/quarantine.h"
#include "cache/thread.h"
#include "heap/gaps.h"
#include "heap/shards.h"
#include "os/os.h"
#include "pages/hpa.h"
#include "pages/meta.h"

#include <string.h>

_Atomic size_t statistics_zero_reallocs;

static struct {
    struct lock lock;
    struct statistics whole; /* under the lock, like the next and the two below */
    uint64_t reset_count;    /* how often the counters of locks were set to zero */
} control = {.lock = {.rank = LOCK_CONTROL}};

/* Apart from what is not zero at start, which is read from the file, page by page. */
struct arena_statistics statistics_merged;
static struct arena_statistics spare; /* for an arena whose part found no memory */
static struct arena_statistics destroyed;
static _Atomic bool any_destroyed; /* written under the lock (release) */

static void mark(uint64_t *marks, unsigned index)
{
    marks[index / 64] |= (uint64_t)1 << (index % 64);
}

/* The first marked index >= from, or `end`. */
static unsigned next_marked(const uint64_t *marks, unsigned from, unsigned end)
{
    unsigned next = bits_next_one(marks, from, (end + 63) / 64 * 64);
    return next < end ? next : end;
}

/* The class of an unused stretch: the smallest that holds it. Classes are four steps in each
 * doubling, from 4 pages on. */
static unsigned stretch_class(size_t pages)
{
    if (pages <= 4) {
        return (unsigned)pages - 1;
    }
    unsigned lg = bits_highest(pages - 1);
    size_t step = (pages - 1 - ((size_t)1 << lg)) >> (lg - 2);
    size_t index = 4 + (lg - 2) * STEPS_PER_DOUBLING + step;
    return index < STRETCH_CLASSES ? (unsigned)index : STRETCH_CLASSES - 1;
}

static void add_stretch(struct arena_statistics *part, unsigned kind, size_t pages, uint64_t count)
{
    unsigned index = stretch_class(pages);
    struct stretch_statistics *stretch = &part->stretch[index];
    mark(part->marks.stretch, index);
    stretch->count[kind] += count;
    stretch->bytes[kind] += count * pages * PAGE_BYTES;
}

static void clear_stretches(struct arena_statistics *part)
{
    uint64_t *marks = part->marks.stretch;
    for (unsigned i = 0; (i = next_marked(marks, i, STRETCH_CLASSES)) < STRETCH_CLASSES; i++) {
        part->stretch[i] = (struct stretch_statistics){0};
    }
    memset(marks, 0, sizeof part->marks.stretch);
}

/* What is added up anew each time. */
static void clear_sums(struct arena_statistics *part)
{
    uint64_t *marks = part->marks.large_class;
    const unsigned classes = LARGE_CLASSES_COUNTED;
    memset(&part->totals, 0, sizeof part->totals);
    for (unsigned i = 0; (i = next_marked(marks, i, classes)) < classes; i++) {
        part->large_class[i] = (struct large_statistics){0};
    }
    memset(marks, 0, sizeof part->marks.large_class);
    memset(part->lock, 0, sizeof part->lock);
}

static void visit_stretch(void *opaque, unsigned kind, unsigned page_count)
{
    add_stretch(opaque, kind, page_count, 1);
}

static void visit_kept(void *opaque, size_t bytes)
{
    add_stretch(opaque, STAGE_DIRTY, bytes / PAGE_BYTES, 1);
}

static struct stage_statistics stage_copy(const struct page_stage *stage)
{
    return (struct stage_statistics){stage->purge_count, stage->purge_call_count,
                                     stage->purged_pages};
}

static void add_slabs(struct hpa_slabs *into, unsigned is_huge, const struct hpa_slabs *from)
{
    into->count[is_huge] += from->count[0];
    into->active_pages[is_huge] += from->active_pages[0];
    into->dirty_pages[is_huge] += from->dirty_pages[0];
}

/* A chunk of one of the heap's lists. */
static void add_chunk(struct hpa_statistics *hpa, unsigned list, const struct chunk *chunk)
{
    unsigned used = (unsigned)chunk->valid_pages - chunk->free_pages;
    const struct hpa_slabs one = {{1, 0}, {used, 0}, {chunk->dirty_pages, 0}};
    unsigned is_huge = chunk->hpa_state == HPA_HUGE;
    add_slabs(used == 0 ? &hpa->empty : &hpa->nonfull[list], is_huge, &one);
    add_slabs(&hpa->all, is_huge, &one);
}

/* Full chunks are in no list: they are what is left. Heap's lock held. */
static void copy_hpa(struct hpa_statistics *hpa, const struct page_heap *heap)
{
    size_t free_pages = 0;
    memset(hpa, 0, sizeof *hpa);
    for (unsigned i = 0; i < PAGE_HEAP_LISTS; i++) {
        for (const struct chunk *chunk = heap->list[i]; chunk != NULL; chunk = chunk->next) {
            add_chunk(hpa, i, chunk);
            free_pages += chunk->free_pages;
        }
    }
    size_t huge = heap->hpa.huge_chunks - hpa->all.count[1];
    size_t small = heap->chunk_count - heap->hpa.huge_chunks - hpa->all.count[0];
    size_t used = heap->chunk_pages - free_pages;
    size_t used_full = used - hpa->all.active_pages[0] - hpa->all.active_pages[1];
    size_t used_huge = huge * CHUNK_PAGES;
    const struct hpa_slabs full_small = {{small, 0}, {used_full - used_huge, 0}, {0, 0}};
    const struct hpa_slabs full_huge = {{huge, 0}, {used_huge, 0}, {0, 0}};
    add_slabs(&hpa->full, 0, &full_small);
    add_slabs(&hpa->full, 1, &full_huge);
    add_slabs(&hpa->all, 0, &full_small);
    add_slabs(&hpa->all, 1, &full_huge);
    hpa->chunk_count = heap->chunk_count;
    hpa->active_pages = used;
    hpa->dirty_pages = hpa->all.dirty_pages[0] + hpa->all.dirty_pages[1];
    hpa->purge_passes = heap->hpa.purge_passes;
    hpa->purges = heap->hpa.purges;
    hpa->hugifies = heap->hpa.hugifies;
    hpa->hugify_failures = heap->hpa.hugify_failures;
    hpa->dehugifies = heap->hpa.dehugifies;
}

static bool has_gaps(const struct arena_statistics *part)
{
    uint64_t slabs = 0;
    for (unsigned i = SMALL_CLASSES; i-- > 0 && gaps_may_be((uint8_t)i);) {
        slabs += part->bin[i].current_slabs;
    }
    return slabs > 0;
}

/* What of a heap is as it was at the last copy. */
struct rest {
    bool stretches;
    bool gaps;
};

static void copy_pages(struct arena_statistics *part, struct page_heap *heap, struct rest rest)
{
    struct arena_totals *totals = &part->totals;
    lock_acquire(&heap->lock);
    totals->active_pages = heap->active_pages - heap->mapped_pages;
    totals->dirty_pages = heap->stage[STAGE_DIRTY].page_count + heap->recent_pages;
    totals->muzzy_pages = heap->stage[STAGE_MUZZY].page_count;
    size_t held = totals->active_pages + totals->dirty_pages + totals->muzzy_pages;
    totals->mapped_bytes = held * PAGE_BYTES;
    totals->retained_bytes = (heap->chunk_pages - held) * PAGE_BYTES + heap->retained_bytes;
    totals->large.allocated = (heap->large_pages - heap->margin_pages) * PAGE_BYTES;
    totals->descriptor_bytes = heap->chunk_count * offsetof(struct chunk, run);
    for (unsigned i = 0; i < STAGES; i++) {
        totals->stage[i] = stage_copy(&heap->stage[i]);
        part->decay_ms[i] = heap->stage[i].decay.decay_ms;
    }
    for (unsigned i = 0; i < LARGE_CLASSES; i++) {
        if (heap->large[i].alloc_count != 0) {
            part->large_class[i].alloc_count = heap->large[i].alloc_count;
            part->large_class[i].free_count = heap->large[i].free_count;
            mark(part->marks.large_class, i);
        }
    }
    if (!rest.stretches) {
        clear_stretches(part);
        page_heap_visit_unused(heap, visit_stretch, part);
    }
    if (!rest.gaps) {
        part->gap_pages = has_gaps(part) ? gaps_count(heap) : 0;
    }
    totals->hole_pages += part->gap_pages;
    if (UNLIKELY(hpa_policy.on)) {
        copy_hpa(&part->hpa, heap);
    }
    part->lock[SHOWN_PAGES] = lock_counters_held(&heap->lock);
    lock_release(&heap->lock);
}

static_assert(sizeof(struct bin_counters) == offsetof(struct bin_statistics, current_regions),
              "copied as they are");
static_assert(offsetof(struct bin_counters, queued_slabs) ==
                  offsetof(struct bin_statistics, queued_slabs),
              "in the same order");

/* The counters of a lock that the caller holds. Few locks were ever waited for. */
static void copy_lock(struct lock_counters *copy, const struct lock *lock)
{
    if (UNLIKELY(lock->wait_count != 0 || copy->owner_change_count != 0)) {
        *copy = lock_counters_held(lock);
    }
    copy->acquire_count = lock->acquire_count;
}

static uint64_t larger_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void merge_lock(struct lock_counters *into, const struct lock_counters *from)
{
    into->acquire_count += from->acquire_count;
    if (LIKELY(from->owner_change_count == 0)) {
        return; /* Nobody ever waited. */
    }
    into->sleep_count += from->sleep_count;
    into->spin_count += from->spin_count;
    into->owner_change_count += from->owner_change_count;
    into->sleep_ns += from->sleep_ns;
    into->sleep_max_ns = larger_of(into->sleep_max_ns, from->sleep_max_ns);
    into->sleepers_max = larger_of(into->sleepers_max, from->sleepers_max);
}

/* Adds numbers to numbers: `bytes` of them, a constant. */
ALWAYS_INLINE void add_numbers(void *into, const void *from, size_t bytes)
{
    uint64_t *sums = into;
    const uint64_t *numbers = from;
    for (size_t i = 0; i < bytes / sizeof *sums; i++) {
        sums[i] += numbers[i];
    }
}

/* Adds the counters of a class's further bins to those of its first. */
static NOINLINE void add_shards(struct arena_statistics *part, struct arena *arena, unsigned index)
{
    struct bin *bin;
    for (unsigned i = 1; (bin = shards_bin(arena, (uint8_t)index, i)) != NULL; i++) {
        lock_acquire(&bin->lock);
        add_numbers(&part->bin[index], &bin->counters, sizeof bin->counters);
        part->bin_copy[index].hole_pages += bin->holes.purged_pages;
        const struct lock_counters lock = lock_counters_held(&bin->lock);
        lock_release(&bin->lock);
        merge_lock(&part->bin_lock[index], &lock);
    }
}

ALWAYS_INLINE void copy_bin(struct arena_statistics *part, struct arena *arena, unsigned index,
                            bool has_shards)
{
    struct bin *bin = &arena->bin[index];
    struct bin_statistics *copy = &part->bin[index];
    uint64_t bit = (uint64_t)1 << index;
    lock_acquire(&bin->lock);
    bool used = bin->counters.slab_count != 0 || has_shards;
    if (used) {
        memcpy(copy, &bin->counters, sizeof bin->counters);
    }
    part->bin_copy[index].hole_pages = bin->holes.purged_pages;
    copy_lock(&part->bin_lock[index], &bin->lock);
    lock_release(&bin->lock);
    if (has_shards) {
        add_shards(part, arena, index);
    }
    if (used) {
        copy->current_regions = copy->alloc_count - copy->free_count;
        part->marks.bin[0] |= bit;
    } else if (UNLIKELY((part->marks.bin[0] & bit) != 0)) {
        *copy = (struct bin_statistics){0}; /* The part was another arena's. */
        part->marks.bin[0] &= ~bit;
    }
    part->bin_copy[index].request_count = copy->request_count;
}

/* Most bins rest between two refreshes: their copy is still right, and their locks are not taken.
 * Result: whether those rest whose slabs may have gaps. Such a slab that is being made while they
 * are counted is of a bin that does not rest then, or the next time. */
ALWAYS_INLINE bool copy_all_bins(struct arena_statistics *part, struct arena *arena, bool has_copy,
                                 bool has_shards)
{
    bool gaps_rest = has_copy;
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        uint64_t taken = lock_acquire_count(&arena->bin[i].lock);
        taken += has_shards ? shards_taken(arena, (uint8_t)i) : 0;
        if (!has_copy || taken != part->bin_lock[i].acquire_count) {
            copy_bin(part, arena, i, has_shards);
            gaps_rest = gaps_rest && !gaps_may_be((uint8_t)i);
        }
        part->bin[i].request_count = part->bin_copy[i].request_count;
        part->totals.hole_pages += part->bin_copy[i].hole_pages;
    }
    return gaps_rest;
}

static bool copy_bins(struct arena_statistics *part, struct arena *arena, bool has_copy)
{
    return LIKELY(arena_shards(arena) == NULL) ? copy_all_bins(part, arena, has_copy, false)
                                               : copy_all_bins(part, arena, has_copy, true);
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
        uint64_t freed = atomic_load_explicit(&huge->free_count[i], memory_order_relaxed);
        uint64_t made = atomic_load_explicit(&huge->alloc_count[i], memory_order_relaxed);
        if (made != 0) {
            large->free_count += freed;
            large->alloc_count += made;
            mark(part->marks.large_class, i);
        }
    }
    size_t bytes = atomic_load_explicit(&huge->live_bytes, memory_order_relaxed);
    part->totals.active_pages += bytes / PAGE_BYTES;
    part->totals.mapped_bytes += bytes;
    part->totals.large.allocated += bytes;
}

static void add_cache(struct arena_statistics *part, const struct cache *cache)
{
    uint64_t untold[CACHED_CLASSES];
    uint64_t classes = cache_untold(cache, untold);
    part->totals.cached_bytes += cache_cached_bytes(cache);
    for (; classes != 0; classes &= classes - 1) {
        unsigned i = bits_lowest(classes);
        if (i < SMALL_CLASSES) {
            part->bin[i].request_count += untold[i];
            mark(part->marks.bin, i);
        } else {
            part->large_class[i - SMALL_CLASSES].request_count += untold[i];
            mark(part->marks.large_class, i - SMALL_CLASSES);
        }
    }
}

/* opaque: the part to which caches of its arena are added, when only those are wanted. */
struct cache_visit {
    const struct arena *arena;
    struct arena_statistics *part;
};

static void visit_cache_of(struct cache *cache, void *opaque)
{
    struct cache_visit *visit = opaque;
    if (cache_arena(cache) == visit->arena) {
        add_cache(visit->part, cache);
    }
}

static void visit_any_cache(struct cache *cache, void *opaque)
{
    (void)opaque;
    struct arena_statistics *part =
        atomic_load_explicit(&cache_arena(cache)->statistics, memory_order_relaxed);
    if (part != NULL) {
        add_cache(part, cache);
    }
}

static void add_small(struct arena_statistics *part)
{
    struct size_statistics sum = {0};
    uint64_t slabs = 0;
    for (uint64_t bins = part->marks.bin[0]; bins != 0; bins &= bins - 1) {
        unsigned i = bits_lowest(bins);
        const struct bin_statistics *bin = &part->bin[i];
        sum.allocated += bin->current_regions * bin_size[i + 1];
        sum.alloc_count += bin->alloc_count;
        sum.free_count += bin->free_count;
        sum.request_count += bin->request_count;
        sum.fill_count += bin->fill_count;
        sum.flush_count += bin->flush_count;
        slabs += bin->current_slabs;
    }
    part->totals.small = sum;
    part->totals.descriptor_bytes += slabs * sizeof(struct run);
}

/* A cache takes and gives each large block alone: fills and flushes are the blocks. Blocks that no
 * cache holds are requested whenever they are made. */
static void add_large(struct arena_statistics *part)
{
    struct size_statistics *large = &part->totals.large;
    const unsigned end = LARGE_CLASSES_COUNTED;
    for (unsigned i = 0; (i = next_marked(part->marks.large_class, i, end)) < end; i++) {
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
    totals->mapped_bytes += huge.mapped_bytes - (huge.live_bytes - huge.margin_bytes);
    totals->retained_bytes += pool.spare_bytes;
    totals->spare_descriptors = spare_chunks;
    totals->descriptor_bytes += spare_chunks * offsetof(struct chunk, run);
    totals->map_bytes = pool.mapped_bytes / PAGE_BYTES;
    totals->base_bytes = meta_touched_bytes() + totals->map_bytes;
    totals->base_huge_pages = meta_huge_pages();
    totals->stashed_bytes = quarantine_bytes();
    totals->resident_bytes = huge.touched_bytes + totals->base_bytes;
    if (spare_chunks > 0) {
        add_stretch(part, STRETCH_CLEAN, CHUNK_PAGES, spare_chunks);
    }
    huge_visit_kept(visit_kept, part);
    part->lock[SHOWN_HUGE] = lock_counters(huge_lock());
    part->lock[SHOWN_POOL] = lock_counters(chunk_pool_lock());
    part->lock[SHOWN_MAP] = lock_counters(map_lock());
    part->lock[SHOWN_META] = lock_counters(meta_lock());
    part->lock[SHOWN_THREADS] = lock_counters(threads_lock());
}

/* A part in three steps: what the arena counts, then what lies in caches (add_cache()), then the
 * sums. */
static void copy_arena(struct arena_statistics *part, struct arena *arena, uint64_t now_ns)
{
    bool has_copy = part->source == arena && part->reset_count == control.reset_count;
    bool pages_rest =
        has_copy && lock_acquire_count(&arena->pages.lock) == part->lock[SHOWN_PAGES].acquire_count;
    part->source = arena;
    part->reset_count = control.reset_count;
    clear_sums(part);
    part->uptime_ns = now_ns > arena->created_ns ? now_ns - arena->created_ns : 0;
    bool gaps_rest = copy_bins(part, arena, has_copy);
    /* Arena 0 has stretches that are no arena's, too. */
    struct rest rest = {pages_rest && arena->index != 0, pages_rest && gaps_rest};
    copy_pages(part, &arena->pages, rest);
    take_out_holes(&part->totals);
    copy_huge(part, arena);
    for (unsigned i = 0; i < CACHED_LARGE_CLASSES; i++) {
        part->large_class[i].request_count =
            atomic_load_explicit(&arena->large_requests[i], memory_order_relaxed);
        mark(part->marks.large_class, i);
    }
}

static void sum_part(struct arena_statistics *part, const struct arena *arena)
{
    add_small(part);
    add_large(part);
    part->totals.thread_count = atomic_load_explicit(&arena->thread_count, memory_order_relaxed);
    if (arena->index == 0) {
        add_common(part);
    }
    part->totals.resident_bytes +=
        (part->totals.active_pages + part->totals.dirty_pages) * PAGE_BYTES;
}

/* All of it, of one arena. */
static void take_part(struct arena_statistics *part, struct arena *arena, uint64_t now_ns)
{
    copy_arena(part, arena, now_ns);
    struct cache_visit visit = {arena, part};
    thread_for_each_cache(visit_cache_of, &visit);
    sum_part(part, arena);
}

static void merge_bin(struct bin_statistics *into, const struct bin_statistics *from)
{
    into->alloc_count += from->alloc_count;
    into->free_count += from->free_count;
    into->request_count += from->request_count;
    into->fill_count += from->fill_count;
    into->flush_count += from->flush_count;
    into->slab_count += from->slab_count;
    into->reslab_count += from->reslab_count;
    into->current_slabs += from->current_slabs;
    into->queued_slabs += from->queued_slabs;
    into->slab_regions += from->slab_regions;
    into->current_regions += from->current_regions;
}

static void merge_large(struct large_statistics *into, const struct large_statistics *from)
{
    into->alloc_count += from->alloc_count;
    into->free_count += from->free_count;
    into->request_count += from->request_count;
    into->current_count += from->current_count;
}

static void merge_stretch(struct stretch_statistics *into, const struct stretch_statistics *from)
{
    for (unsigned i = 0; i < STRETCH_KINDS; i++) {
        into->count[i] += from->count[i];
        into->bytes[i] += from->bytes[i];
    }
}

static void merge_marks(struct part_marks *into, const struct part_marks *from)
{
    uint64_t *sum = (uint64_t *)into;
    const uint64_t *word = (const uint64_t *)from;
    for (unsigned i = 0; i < sizeof *into / sizeof *sum; i++) {
        sum[i] |= word[i];
    }
}

static void merge_part(struct arena_statistics *into, const struct arena_statistics *from)
{
    const struct part_marks *marks = &from->marks;
    add_numbers(&into->totals, &from->totals, sizeof into->totals);
    for (uint64_t bins = marks->bin[0]; bins != 0; bins &= bins - 1) {
        unsigned i = bits_lowest(bins);
        merge_bin(&into->bin[i], &from->bin[i]);
    }
    const unsigned classes = LARGE_CLASSES_COUNTED;
    for (unsigned i = 0; (i = next_marked(marks->large_class, i, classes)) < classes; i++) {
        merge_large(&into->large_class[i], &from->large_class[i]);
    }
    for (unsigned i = 0; (i = next_marked(marks->stretch, i, STRETCH_CLASSES)) < STRETCH_CLASSES;
         i++) {
        merge_stretch(&into->stretch[i], &from->stretch[i]);
    }
    merge_marks(&into->marks, marks);
    if (UNLIKELY(hpa_policy.on)) {
        add_numbers(&into->hpa, &from->hpa, sizeof into->hpa);
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
    uint64_t freed = totals->cached_bytes + totals->stashed_bytes;
    return given - (freed < given ? freed : given);
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
        .helpers = helper_statistics(),
        .control_lock = lock_counters_held(&control.lock),
    };
}

/* The part of an arena, made when there is none yet. Control lock held. */
static struct arena_statistics *part_of(struct arena *arena)
{
    struct arena_statistics *part = atomic_load_explicit(&arena->statistics, memory_order_relaxed);
    part = part != NULL ? part : arena->old_statistics;
    return part != NULL ? part : meta_alloc(sizeof *part, 64);
}

/* Nothing of what the arena holds is left; what it has counted stays. It leaves the table under the
 * control lock, so whoever refreshes the snapshot meets it as one of the two. */
void statistics_end_arena(struct arena *arena)
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
    clear_stretches(&spare);
    memset(&spare.hpa, 0, sizeof spare.hpa);
    merge_part(&destroyed, &spare);
    for (unsigned i = 0; i < STAGES; i++) {
        destroyed.decay_ms[i] = arena_default_decay_ms(i);
    }
    arena->old_statistics = part_of(arena);
    if (arena->old_statistics != NULL) {
        arena->old_statistics->source = NULL; /* The next arena of that index counts anew. */
    }
    spare.source = NULL;
    atomic_store_explicit(&arena->statistics, NULL, memory_order_release);
    atomic_store_explicit(&any_destroyed, true, memory_order_release);
    arena_end(arena);
    lock_release(&control.lock);
}

const struct arena_statistics *statistics_destroyed(void)
{
    return atomic_load_explicit(&any_destroyed, memory_order_acquire) ? &destroyed : NULL;
}

static void clear_merged(void)
{
    clear_sums(&statistics_merged);
    clear_stretches(&statistics_merged);
    memset(&statistics_merged.hpa, 0, sizeof statistics_merged.hpa);
    memset(statistics_merged.bin, 0, sizeof statistics_merged.bin);
    statistics_merged.marks.bin[0] = 0;
    statistics_merged.uptime_ns = 0;
    memset(statistics_merged.bin_lock, 0, sizeof statistics_merged.bin_lock);
    for (unsigned i = 0; i < STAGES; i++) {
        statistics_merged.decay_ms[i] = arena_default_decay_ms(i);
    }
}

/* Copies what each arena counts to its part. False when memory for a part was refused. */
static bool copy_arenas(uint64_t now_ns)
{
    bool complete = true;
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        struct arena_statistics *part = part_of(arena);
        if (part != NULL) {
            copy_arena(part, arena, now_ns);
            atomic_store_explicit(&arena->statistics, part, memory_order_release);
        }
        complete &= part != NULL;
    }
    return complete;
}

bool statistics_refresh(void)
{
    uint64_t now_ns = os_time_coarse_ns();
    (void)arena_limit(); /* From here on each arena has an index. */
    lock_acquire(&control.lock);
    bool complete = copy_arenas(now_ns);
    thread_for_each_cache(visit_any_cache, NULL);
    clear_merged();
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        struct arena_statistics *part =
            atomic_load_explicit(&arena->statistics, memory_order_relaxed);
        if (part != NULL) {
            sum_part(part, arena);
        } else {
            take_part(&spare, arena, now_ns);
            part = &spare;
        }
        merge_part(&statistics_merged, part);
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
    bool may_have_gaps = false;
    struct bin *bin;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        for (unsigned shard = 0; (bin = shards_bin(arena, i, shard)) != NULL; shard++) {
            lock_acquire(&bin->lock);
            holes += bin->holes.purged_pages;
            may_have_gaps |= gaps_may_be(i) && bin->counters.current_slabs > 0;
            lock_release(&bin->lock);
        }
    }
    lock_acquire(&arena->pages.lock);
    size_t pages = arena->pages.active_pages - arena->pages.mapped_pages;
    holes += may_have_gaps ? gaps_count(&arena->pages) : 0;
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

void statistics_reset_locks(void)
{
    struct lock *const common[] = {&control.lock,     threads_lock(), huge_lock(),
                                   chunk_pool_lock(), map_lock(),     meta_lock()};
    for (unsigned i = 0; i < sizeof common / sizeof common[0]; i++) {
        lock_reset_counters(common[i]);
    }
    arenas_visit_locks(lock_reset_counters);
    lock_acquire(&control.lock);
    control.reset_count++;
    lock_release(&control.lock);
}

struct lock *control_lock(void)
{
    return &control.lock;
}
