/* reset.c: slabs by bins, then runs, then mappings. See reset.h.
 *
 * A bin's lock is held while its slabs are collected: nobody finds one of them there any more when
 * they are given back.
 */
#include "heap/reset.h"

#include "heap/holes.h"
#include "heap/sampled.h"
#include "heap/shards.h"
#include "pages/extent.h"

struct slab_search {
    const struct bin *bin; /* slabs without blocks, but its empty one, are being given back */
    struct run *found;     /* by `next` */
};

static void visit_run(struct run *run, void *opaque)
{
    struct slab_search *search = opaque;
    if (!run_is_slab(run) || run->bin != search->bin) {
        return; /* What else is in it may change, under another lock. */
    }
    bool is_leaving = run->free_count == run->region_count && run != search->bin->empty;
    if (!is_leaving) {
        run->free_count = run->region_count; /* It leaves: no other reset takes it. */
        run->next = search->found;
        search->found = run;
    }
}

/* All slabs of the bin, out of it. */
static struct run *take_slabs(struct arena *arena, struct bin *bin)
{
    lock_acquire(&bin->lock);
    struct slab_search search = {bin, NULL};
    if (bin->counters.current_slabs > 0) {
        page_heap_visit_runs(&arena->pages, visit_run, &search);
    }
    bin->first = NULL;
    bin->last = NULL;
    bin->empty = NULL;
    bin->holes.purged_pages = 0;
    bin->counters.current_slabs = 0;
    bin->counters.slab_regions = 0;
    bin->counters.queued_slabs = 0;
    bin->counters.free_count = bin->counters.alloc_count;
    lock_release(&bin->lock);
    return search.found;
}

static void reset_bin(struct arena *arena, struct bin *bin)
{
    struct run *next;
    for (struct run *slab = take_slabs(arena, bin); slab != NULL; slab = next) {
        next = slab->next;
        holes_note_end(slab);
        slab_delete(slab);
    }
}

void arena_reset(struct arena *arena)
{
    ASSERT(arena->is_manual);
    struct bin *bin;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        for (unsigned shard = 0; (bin = shards_bin(arena, i, shard)) != NULL; shard++) {
            reset_bin(arena, bin);
        }
    }
    if (sampled_end != NULL) {
        sampled_forget_runs(arena);
    }
    page_heap_free_large_runs(&arena->pages);
    large_free_mappings(arena);
}

void arena_empty(struct arena *arena)
{
    arena_reset(arena);
    page_heap_empty(&arena->pages);
    if (page_heap_has_hooks(&arena->pages)) {
        extent_destroy_retained(&arena->pages);
    }
}
