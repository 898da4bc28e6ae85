/* holes.h: memory of slabs that lies between live blocks.
 *
 * Survivors of one size pin their slabs against every other size. But most of such a slab is free,
 * and whole pages of it can go back to the system while the slab stays what it is: it is faulted in
 * again where regions are handed out later. A sweep does that to the slabs of a bin that will serve
 * last (docs/decisions/holes-in-slabs.md).
 *
 * A flush asks for a sweep when the bin's idle bytes have grown by a margin since the last: a share
 * of its live bytes, doubled while most of what sweeps take is wanted back. A bin that nobody takes
 * from is swept whole when the decay time is over. dirty_decay_ms:-1 stops both. With hpa:true
 * chunks that are huge pages are left whole, and holes do not make a chunk dense.
 *
 * Thread safety: holes_sweep() and holes_look() take the bin's lock and let it go after each slab;
 * the others are called with it held.
 */
#ifndef HEAP_HOLES_H
#define HEAP_HOLES_H

#include "base/bits.h"
#include "heap/arena.h"
#include "pages/hpa.h"

enum { HOLES_SPARE, HOLES_ALL };

void holes_init(struct holes *holes);

/* Bytes of the regions that are out, in caches too. */
static inline size_t holes_live_bytes(const struct bin *bin, uint8_t class_index)
{
    const struct bin_counters *counters = &bin->counters;
    return (size_t)(counters->alloc_count - counters->free_count) * bin_size[class_index + 1];
}

/* Bytes of the bin's slabs that no block outside of them has, less what was given back. */
static inline size_t holes_idle_bytes(const struct bin *bin, uint8_t class_index)
{
    size_t pages = bin->counters.current_slabs * slab_page_count(class_index);
    size_t held = (pages - bin->holes.purged_pages) * PAGE_BYTES;
    size_t live = holes_live_bytes(bin, class_index);
    return held > live ? held - live : 0;
}

/* Purged pages of a slab came into use. */
static inline void holes_note_reuse(struct bin *bin, const struct run *slab, unsigned pages)
{
    bin->holes.purged_pages -= pages;
    bin->holes.reused_pages += pages;
    if (UNLIKELY(hpa_policy.on)) {
        page_heap_fill_holes(slab->chunk, pages);
    }
}

/* A slab with purged pages ends, in a bin or with all of its arena's. */
static inline void holes_note_end(const struct run *slab)
{
    if (UNLIKELY(hpa_policy.on)) {
        page_heap_note_holes(slab->chunk, -(int)bits_count(slab->purged));
    }
}

/* After regions came back: the slab may join or leave the queue. `before` is its free_count until
 * then. Result: a slab to delete once the lock is free, or NULL. Lock held. */
static inline struct run *bin_settle(struct bin *bin, struct run *slab, unsigned before)
{
    if (slab->free_count == slab->region_count) {
        if (before > 0) {
            bin_remove(bin, slab);
        }
        if (bin->empty == NULL) {
            bin->empty = slab;
            return NULL;
        }
        bin->counters.current_slabs--;
        bin->counters.slab_regions -= slab->region_count;
        if (UNLIKELY(slab->purged != 0)) {
            bin->holes.purged_pages -= bits_count(slab->purged);
            holes_note_end(slab);
        }
        return slab;
    }
    if (before == 0) {
        bin_append(bin, slab);
    }
    return NULL;
}

/* Gives the holes of one of the arena's bins back: of all slabs, or (HOLES_SPARE) not of those that
 * serve next. */
void holes_sweep(struct arena *arena, struct bin *bin, uint8_t class_index, unsigned which);

/* Sweeps the bins that were not taken from for the decay time. False when no bin waits for that. */
bool holes_look(struct arena *arena, uint64_t now_ns);

#endif
