/* defrag.c: the hint for programs that move their own blocks together, as Redis does.
 *
 * A program with activedefrag asks for each block whether moving it makes sense, then allocates
 * another past the caches, copies, and frees the old one past the caches. The new one comes from
 * the first slab of the bin's queue. So moving makes sense from any other slab that has free
 * regions, and soonest from those that have most of them: from the emptier half, slabs empty and
 * others fill.
 */
#include "api/block.h"
#include "api/malloc.h"

/* At least as empty as the slabs of the queue are on average; the first of them is where blocks
 * come from. Lock of the bin held. */
static bool is_worth_leaving(const struct bin *bin, const struct run *slab)
{
    if (slab == bin->first || slab->free_count == 0) {
        return false;
    }
    size_t live = bin->counters.alloc_count - bin->counters.free_count;
    size_t kept = bin->empty != NULL ? bin->empty->region_count : 0;
    size_t free_regions = bin->counters.slab_regions - live - kept;
    return slab->free_count * bin->counters.queued_slabs >= free_regions;
}

/* 1 for a block that a program had better move, else 0: also for what is no block in a slab. */
int je_get_defrag_hint(void *block)
{
    unsigned code = map_code(block);
    if (code == 0 || code > SMALL_CLASSES * CODE_SCALE) {
        return 0;
    }
    const struct run *slab = chunk_run(map_owner(block), block);
    struct bin *bin = &arena_of_run(slab)->bin[slab->class_index];
    lock_acquire(&bin->lock);
    bool hint = is_worth_leaving(bin, slab);
    lock_release(&bin->lock);
    return hint;
}
