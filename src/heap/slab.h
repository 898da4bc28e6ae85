/* slab.h: a run of pages cut into regions of one size class.
 *
 *     base of the run                                            end
 *      | gap | region 0 | region 1 | ... | region n-1 | gap |
 *              ^ first, a multiple of the class size
 *              |<- may have been used ->|<- fresh: never used, untouched, zero when the run was ->|
 *
 * Regions that were freed are ones in free_bits; those from `fresh` on were never handed out, so
 * that a large slab costs only the memory that its used part touches. The lowest free region is
 * handed out first: live blocks gather and slabs empty sooner.
 *
 * Nothing of this lies in the slab: a write past a block cannot reach it.
 *
 * Between its live regions a slab has holes: whole pages on which only freed regions lie. Their
 * memory can be given back while the slab stays what it is (slab_purge_holes); the pages then are
 * ones in `purged` until a region on them is handed out.
 *
 * Invariants: free_count = ones in free_bits + (region_count - fresh); no bit at or above fresh is
 * set; on a page in `purged` all regions are ones in free_bits. Guarded by the lock of the bin that
 * the slab belongs to.
 */
#ifndef HEAP_SLAB_H
#define HEAP_SLAB_H

#include "heap/class.h"
#include "pages/page_heap.h"

/* Pages of a slab, and ceil(2^32 / size), which divides offsets within it exactly, up to 64 pages.
 * Sizes are a balance: a small slab empties sooner and pins less, a large one is taken less often
 * (docs/decisions/slab-sizes.md). Written by slab_start() alone. */
struct slab_shape {
    uint32_t reciprocal;
    uint8_t page_count;
};
HIDDEN extern struct slab_shape slab_shapes[SMALL_CLASSES];

/* Takes the option slab_sizes. Before the first slab. */
void slab_start(void);

/* Pages of a slab of a class. Constant after slab_start(). */
static inline unsigned slab_page_count(uint8_t class_index)
{
    ASSERT(class_index < SMALL_CLASSES);
    return slab_shapes[class_index].page_count;
}

/* Regions that a slab of the class has at least. */
unsigned slab_region_count(uint8_t class_index);

/* A slab of the class with all regions free. NULL when memory is refused. */
MUST_USE struct run *slab_new(struct page_heap *heap, uint8_t class_index);

/* Makes a slab of a run that has the pages of its class; the code stands in the map for them. */
void slab_make(struct run *run, uint8_t class_index, unsigned code);

/* Number of the region that starts at the pointer, or RUN_REGIONS_MAX when none does. */
unsigned slab_region_index(const struct run *slab, const void *region);

/* Gives back the pages of a slab whose regions are all free. */
void slab_delete(struct run *slab);

/* Takes up to `wanted` regions, in rising address order, the lowest first. Result: how many. */
unsigned slab_take(struct run *slab, void **regions, unsigned wanted);

/* Puts `count` neighbours back, upwards from the one at `region`; all lie in the slab's run. NULL;
 * or the first of them that is not the start of a region or is not out: a double free, or a pointer
 * into the middle of a block. Nothing has changed then, and the caller reports the mistake. */
MUST_USE const void *slab_put(struct run *slab, const void *region, unsigned count);

/* Mistakes that were found in a batch of frees, and are reported when it is done. Those beyond the
 * last are left alone without a report: more are rare, and of one sort. */
enum { SLAB_FAULTS_MAX = 16 };
struct slab_fault {
    const void *region;
    bool is_start; /* of a region: it was freed before */
};
struct slab_faults {
    unsigned count;
    struct slab_fault fault[SLAB_FAULTS_MAX];
};
void slab_note_fault(struct slab_faults *faults, struct slab_fault fault);
/* Of neighbours that slab_put() refused, puts those that are no mistake. Result: how many. */
unsigned slab_put_faultless(struct run *slab, const char *region, unsigned count,
                            struct slab_faults *faults);
/* Tells of them. No lock may be held: the program's function may allocate. */
void slab_report(const struct slab_faults *faults);

/* The end of the blocks from `at` on that are neighbours in one direction; beyond `at`. */
ALWAYS_INLINE void *const *slab_neighbours_end(void *const *at, void *const *end, ptrdiff_t size)
{
    const char *last = *at++;
    if (at == end) {
        return at;
    }
    ptrdiff_t step = (const char *)*at - last;
    if (step != size && step != -size) {
        return at;
    }
    const char *next = last + step + step;
    at++;
    while (end - at >= 4 && at[0] == next && at[1] == next + step && at[2] == next + 2 * step &&
           at[3] == next + 3 * step) {
        next += 4 * step;
        at += 4;
    }
    while (at < end && *at == next) {
        next += step;
        at++;
    }
    return at;
}

/* Gives the memory of the slab's holes back to the system. Result: pages that had memory before. */
unsigned slab_purge_holes(struct run *slab);

bool slab_is_valid(const struct run *slab);

#endif
