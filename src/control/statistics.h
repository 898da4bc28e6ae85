/* statistics.h: what the process holds, summed when somebody asks.
 *
 * Everything is counted on the way down, under locks that are held anyway; this module adds it up.
 * The numbers of a snapshot belong together as far as threads stand still.
 */
#ifndef CONTROL_STATISTICS_H
#define CONTROL_STATISTICS_H

#include "heap/arena.h"
#include "pages/huge.h"

struct statistics {
    size_t allocated; /* bytes of live blocks, by usable size */
    size_t active;    /* bytes of pages that hold live blocks or could serve caches and slabs */
    size_t metadata;  /* bytes of the allocator's own memory that were touched */
    size_t resident;  /* bytes of memory: active, unused dirty, kept mappings, metadata */
    size_t mapped;    /* address space of chunks in use and large mappings */
    size_t retained;  /* address space kept without memory */
    uint64_t epoch;   /* how often it was refreshed */
};

/* Calls of realloc(non-NULL, 0); relaxed, any thread. */
extern _Atomic size_t statistics_zero_reallocs;

/* Sums anew. Any thread; takes the control lock. */
void statistics_refresh(void);
/* The last snapshot. */
struct statistics statistics_now(void);

/* A copy of the counters of one bin, and of its lock's. */
struct bin_view {
    struct bin_counters counters;
    uint64_t lock_count;
    uint64_t lock_wait_count;
    uint64_t lock_spin_count;
    size_t hole_pages; /* of its slabs, between live blocks, without memory */
};
struct bin_view statistics_bin(struct arena *arena, unsigned bin);

/* A copy of the page heap's counters. */
struct pages_view {
    size_t active_pages; /* without those of slabs that have no memory */
    size_t dirty_pages;
    size_t muzzy_pages;
    size_t chunk_pages;
    size_t large_pages;
    uint64_t purge_count; /* of dirty pages */
    uint64_t purge_call_count;
    uint64_t purged_pages;
    uint64_t muzzy_purge_count;
    uint64_t muzzy_purge_call_count;
    uint64_t muzzy_purged_pages;
    uint64_t lock_count;
    uint64_t lock_wait_count;
};
struct pages_view statistics_pages(struct arena *arena);

struct lock *control_lock(void);

#endif
