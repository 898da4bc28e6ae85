/* statistics.h: what the process holds, summed when somebody asks.
 *
 * Everything is counted on the way down, under locks that are held anyway; this module copies it
 * into a snapshot, one part for each arena and one for all together. The numbers of a snapshot
 * belong together as far as threads stand still.
 *
 * What belongs to no arena is shown in arena 0: the stock of spare chunks, kept mappings, the
 * allocator's own memory, and their locks. So the parts add up to the whole.
 */
#ifndef CONTROL_STATISTICS_H
#define CONTROL_STATISTICS_H

#include "cache/helper.h"
#include "heap/arena.h"
#include "pages/huge.h"

/* The whole, in bytes. */
struct statistics {
    uint64_t allocated; /* live blocks, by usable size */
    uint64_t active;    /* pages that hold live blocks or could serve caches and slabs */
    uint64_t metadata;  /* the allocator's own memory that was touched */
    uint64_t metadata_descriptors;
    uint64_t metadata_map;
    uint64_t metadata_huge_pages;
    uint64_t resident; /* memory: active, unused dirty, kept mappings, metadata */
    uint64_t mapped; /* address space with memory behind it, or that had some since its last use */
    uint64_t retained; /* address space kept without memory */
    uint64_t epoch;    /* how often it was refreshed */
    struct helper_statistics helpers;
    struct lock_counters control_lock;
};

/* Calls of realloc(non-NULL, 0); relaxed, any thread. */
extern _Atomic size_t statistics_zero_reallocs;

/* Blocks of small or large classes together. */
struct size_statistics {
    uint64_t allocated; /* bytes of blocks out, those in caches included */
    uint64_t alloc_count;
    uint64_t free_count;
    uint64_t request_count;
    uint64_t fill_count;
    uint64_t flush_count;
};

struct bin_statistics {
    uint64_t
        alloc_count; /* these in the order of struct bin_counters, from which they are copied */
    uint64_t free_count;
    uint64_t request_count;
    uint64_t fill_count;
    uint64_t flush_count;
    uint64_t slab_count;
    uint64_t reslab_count;
    uint64_t current_slabs;
    uint64_t slab_regions;
    uint64_t queued_slabs;
    uint64_t current_regions;
};

struct large_statistics {
    uint64_t alloc_count;
    uint64_t free_count;
    uint64_t request_count;
    uint64_t current_count;
};

/* Unused stretches of one size class, by kind: STAGE_DIRTY, STAGE_MUZZY, STRETCH_CLEAN. */
struct stretch_statistics {
    uint64_t count[STRETCH_KINDS];
    uint64_t bytes[STRETCH_KINDS];
};

struct stage_statistics {
    uint64_t purge_count;
    uint64_t purge_call_count;
    uint64_t purged_pages;
};

/* The locks whose counters are shown. */
enum {
    SHOWN_PAGES, /* page heap */
    SHOWN_HUGE,
    SHOWN_POOL,
    SHOWN_MAP,
    SHOWN_META,
    SHOWN_THREADS,
    SHOWN_LOCKS,
};

/* Classes of unused stretches: those of large blocks, and 4, 8 and 12 KiB before. */
enum { STRETCH_CLASSES = LARGE_CLASSES_COUNTED + 3 };

struct arena_totals {
    uint64_t thread_count;
    uint64_t active_pages;
    uint64_t dirty_pages;
    uint64_t muzzy_pages;
    uint64_t mapped_bytes;
    uint64_t retained_bytes;
    uint64_t spare_descriptors;
    uint64_t hole_pages; /* of slabs, without memory: neither active nor mapped, but retained */
    uint64_t base_bytes; /* the allocator's own memory */
    uint64_t descriptor_bytes;
    uint64_t map_bytes;
    uint64_t base_huge_pages; /* asked for, for the allocator's own memory */
    uint64_t stashed_bytes;   /* freed blocks that are held back; of all arenas, in arena 0 */
    uint64_t cached_bytes;    /* in caches of the arena's threads */
    uint64_t resident_bytes;
    struct stage_statistics stage[STAGES];
    struct size_statistics small;
    struct size_statistics large;
};

enum { CLASS_MARK_WORDS = (STRETCH_CLASSES + 63) / 64 };

/* Most classes have nothing to tell: a refresh passes by what is not marked. Invariant: bins,
 * classes and stretches without their bit are all zeros. */
struct part_marks {
    uint64_t bin[1];
    uint64_t large_class[CLASS_MARK_WORDS];
    uint64_t stretch[CLASS_MARK_WORDS];
};

/* What was copied of a bin, beside its counters: as it is until the bin's lock is taken again. */
struct bin_copy {
    uint64_t request_count; /* without those that caches have not told yet */
    uint64_t hole_pages;
};

/* Chunks of one sort with the option hpa; of each pair the second is of huge pages. */
struct hpa_slabs {
    uint64_t count[2];
    uint64_t active_pages[2];
    uint64_t dirty_pages[2];
};

/* All zero without the option. */
struct hpa_statistics {
    struct hpa_slabs all;
    struct hpa_slabs full;
    struct hpa_slabs empty;
    struct hpa_slabs nonfull[PAGE_HEAP_LISTS]; /* by the page heap's lists */
    uint64_t chunk_count;
    uint64_t active_pages;
    uint64_t dirty_pages;
    uint64_t purge_passes;
    uint64_t purges;
    uint64_t hugifies;
    uint64_t hugify_failures;
    uint64_t dehugifies;
};

struct arena_statistics {
    /* These parts are nothing but numbers that add up. */
    struct arena_totals totals;
    struct bin_statistics bin[SMALL_CLASSES];
    struct large_statistics large_class[LARGE_CLASSES_COUNTED];
    struct stretch_statistics stretch[STRETCH_CLASSES];
    struct hpa_statistics hpa;
    /* These do not. */
    struct part_marks marks;
    const struct arena *source; /* the arena of the last copy */
    uint64_t reset_count;       /* of the counters of locks, before the last copy */
    uint64_t gap_pages;         /* of gaps.h, at the last copy; in totals.hole_pages too */
    struct bin_copy bin_copy[SMALL_CLASSES];
    uint64_t uptime_ns;
    int64_t decay_ms[STAGES];
    struct lock_counters lock[SHOWN_LOCKS];
    struct lock_counters bin_lock[SMALL_CLASSES];
};

/* Makes the snapshot anew. False when memory for a part is refused: that arena keeps its last
 * numbers, or has none, and the whole is right. Any thread; takes the control lock. */
bool statistics_refresh(void);
/* The whole of the last snapshot. */
struct statistics statistics_now(void);

extern HIDDEN struct arena_statistics statistics_merged; /* of all arenas */

/* The part of an arena in the last snapshot, or of all arenas (NULL): NULL when it has none. The
 * part stays where it is for good; its numbers change under the control lock. */
static inline const struct arena_statistics *statistics_part(const struct arena *arena)
{
    return arena == NULL ? &statistics_merged
                         : atomic_load_explicit(&arena->statistics, memory_order_acquire);
}
/* What destroyed arenas have counted together; NULL before the first. They are in no other sum. */
const struct arena_statistics *statistics_destroyed(void);
/* Ends a manual arena that is empty (arena_end()) and adds what it counted to these. */
void statistics_end_arena(struct arena *arena);
/* Copies something of it. */
void statistics_copy(void *copy, const void *source, size_t bytes);
uint64_t statistics_number(const void *number);

/* The number at an offset of a part; at one of the whole. Into *number, since programs ask often:
 * these end as they begin, without a register to save. The result is 0. */
int statistics_read(const struct arena_statistics *part, size_t offset, uint64_t *number);
int statistics_read_whole(size_t offset, uint64_t *number);

/* Bytes of active pages, now. */
size_t statistics_active_now(void);

/* Sets the counters of all locks to zero. */
void statistics_reset_locks(void);

struct lock *control_lock(void);

#endif
