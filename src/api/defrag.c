/* defrag.c: the hint for programs that move their own blocks together, as Redis does.
 *
 * A program with activedefrag asks for each block whether moving it makes sense, then allocates
 * another past the caches, copies, and frees the old one past the caches. The new one comes from
 * the first slab of the bin's queue, which leaves the queue when it is full: so no block is moved
 * to and fro, and every other slab with free regions could be left.
 *
 * Leaving costs a copy for each live block and gains the free regions: from an eighth of them on
 * that is always worth it. The average of the queue alone would be no measure. Slabs that are kept
 * by a block that the program cannot move, as one that lies in a cache, are emptier than all
 * others: in a Redis 63 of them made 811 that were four fifths empty look full enough.
 */
#include "api/block.h"
#include "api/malloc.h"

enum { WORTH_DIVISOR = 8 };

/* An eighth of the regions is free; or nearly as many as in the slabs of the queue on average,
 * which moves what lies dense everywhere. Lock of the bin held. */
static bool is_worth_leaving(const struct bin *bin, const struct run *slab)
{
    size_t regions = slab->region_count;
    if (slab == bin->first || slab->free_count == 0) {
        return false;
    }
    if (slab->free_count * WORTH_DIVISOR >= regions) {
        return true;
    }
    size_t live = bin->counters.alloc_count - bin->counters.free_count;
    size_t kept = bin->empty != NULL ? bin->empty->region_count : 0;
    size_t free_regions = bin->counters.slab_regions - live - kept;
    size_t queued = bin->counters.queued_slabs;
    /* Live regions here, and on average: at most 9/8 of that. */
    return 8 * queued * (regions - slab->free_count) + 9 * free_regions <= 9 * queued * regions;
}

/* 1 for a block that a program had better move, else 0: also for what is no block in a slab. */
int je_get_defrag_hint(void *block)
{
    unsigned code = map_code(block);
    if (code == 0 || code > SMALL_CLASSES * CODE_SCALE) {
        return 0;
    }
    const struct run *slab = chunk_run(map_owner(block), block);
    struct bin *bin = slab->bin;
    lock_acquire(&bin->lock);
    bool hint = is_worth_leaving(bin, slab);
    lock_release(&bin->lock);
    return hint;
}
