/* arena.h: an arena: a bin of slabs for each small class, and a page heap for the rest.
 *
 * Threads use one arena each, and many threads may share it. Blocks go back to the bin that they
 * came from, whoever frees them. Bins exchange blocks with thread caches in batches, under one lock
 * each. Options may ask for several bins of a class (shards.h).
 *
 * In a bin the slabs with free regions stand in a queue, in the order in which they got the first
 * of them; the first serves until it is full. So a slab that was left alone for long has gathered
 * many regions by its turn (docs/decisions/slab-order.md). One empty slab is kept, further ones go
 * back to the page heap. Memory between live blocks is given back by sweeps (holes.h).
 *
 * Invariants: the queue holds exactly the slabs with some regions free and some not; a slab with
 * all regions free is `empty` or gone.
 *
 * Thread safety: all functions may be called by any thread; each takes the locks that it needs.
 */
#ifndef HEAP_ARENA_H
#define HEAP_ARENA_H

#include "heap/slab.h"

enum {
    ARENAS_MAX = 4095, /* the MALLOCX_ARENA field has 12 bits */
    ARENA_AUTO_MAX = 4094,
};

struct bin_counters {
    uint64_t alloc_count;   /* regions given to caches and callers */
    uint64_t free_count;    /* regions that came back */
    uint64_t request_count; /* blocks asked for by the program; merged from caches */
    uint64_t fill_count;
    uint64_t flush_count;
    uint64_t slab_count;   /* slabs ever made */
    uint64_t reslab_count; /* times that a slab with free regions was taken up again */
    size_t current_slabs;
    size_t slab_regions; /* of these slabs: two of a class may differ by one region */
    size_t queued_slabs; /* of them with some regions free and some not */
};

enum {
    CACHED_LARGE_CLASSES = CACHED_CLASSES - SMALL_CLASSES,
    /* Classes of 16 KiB up to 2^48 bytes; no block is larger. */
    LARGE_CLASSES_COUNTED = (48 - 14) * STEPS_PER_DOUBLING + 1,
    ARENA_NAME_BYTES = 32,
};

/* Blocks with mappings of their own, by class; made with the first of them. */
struct huge_counters {
    _Atomic uint64_t alloc_count[LARGE_CLASSES_COUNTED]; /* any thread, relaxed: a statistic */
    _Atomic uint64_t free_count[LARGE_CLASSES_COUNTED];  /* likewise */
    _Atomic uint64_t live_bytes;                         /* likewise */
};

/* Memory of a bin's slabs that lies between live blocks, see holes.h. */
struct holes {
    size_t purged_pages;     /* ones in `purged` of the bin's slabs */
    size_t swept_pages;      /* purged since the last judgement */
    size_t reused_pages;     /* likewise: purged ones that came into use */
    size_t sweep_from_bytes; /* more idle bytes than this ask for a sweep */
    uint64_t since_ns;       /* the last judgement */
    unsigned margin_lg;      /* the margin doubles where sweeps prove wrong */
    uint64_t fills_seen;     /* at the last look of holes_look() */
    uint64_t flushes_swept;  /* flushes when all holes were swept */
};

/* Who fills from an arena's bins. */
struct bin_user {
    uint16_t number; /* picks its bin of each class: shards.h */
    bool contended;  /* set by each fill: the lock was held */
};

struct bin {
    struct lock lock;
    struct run *first; /* under the lock, as all that follows */
    struct run *last;
    struct run *empty;
    struct bin_counters counters;
    struct holes holes;
};

struct arena_statistics;
struct huge;
struct shards;

struct arena {
    unsigned index; /* immutable once the arena is in the table */
    bool is_manual; /* immutable: made by the program */
    bool ends;      /* under the lock of the table: being destroyed */
    /* Blocks from this size on that its threads ask for are the oversize arena's; 0: none. Relaxed,
     * any thread. */
    _Atomic size_t oversize_bytes;
    _Atomic bool watches_mappings; /* relaxed, any thread: large.h does more for each */
    _Atomic bool shows_active;     /* likewise: somebody has the address of pages.active_pages */
    struct huge *first_huge;       /* of a manual arena: its mappings; under the page heap's lock */
    struct arena *next_gone;       /* under the lock of the table: destroyed ones, the last first */
    _Atomic uint64_t holes_seen_ns; /* any thread, relaxed: the last look at idle bins */
    _Atomic bool holes_wait;        /* likewise: some were not idle then */
    /* Any thread, relaxed: a hint for choosing arenas. A manual arena's grows under the lock of the
     * table, so that none comes while it is being destroyed. */
    _Atomic unsigned thread_count;
    struct page_heap pages;
    struct bin bin[SMALL_CLASSES];
    uint64_t created_ns;                  /* immutable */
    _Atomic(struct huge_counters *) huge; /* NULL before the first such block; acquire */
    /* Blocks of 16 to 32 KiB that programs asked for; relaxed, any thread. */
    _Atomic uint64_t large_requests[CACHED_LARGE_CLASSES];
    /* Its part of the snapshot, opaque here: written under the control lock, release. */
    _Atomic(struct arena_statistics *) statistics;
    struct arena_statistics *old_statistics; /* of a former arena: memory for it; control lock */
    _Atomic(struct shards *) shards; /* NULL: each class has but one bin; written once, release */
    char name[ARENA_NAME_BYTES];     /* under the lock of the table; empty: by its index */
};

static inline struct shards *arena_shards(struct arena *arena)
{
    return atomic_load_explicit(&arena->shards, memory_order_acquire);
}

/* The queue of a bin. Lock held. */
static inline void bin_append(struct bin *bin, struct run *slab)
{
    slab->previous = bin->last;
    slab->next = NULL;
    *(bin->last != NULL ? &bin->last->next : &bin->first) = slab;
    bin->last = slab;
    bin->counters.queued_slabs++;
}

/* A new slab is the bin's. Lock held. */
static inline void bin_adopt(struct bin *bin, struct run *slab)
{
    slab->bin = bin;
    bin->counters.slab_count++;
    bin->counters.current_slabs++;
    bin->counters.slab_regions += slab->region_count;
    bin_append(bin, slab);
}

static inline void bin_remove(struct bin *bin, struct run *slab)
{
    *(slab->previous != NULL ? &slab->previous->next : &bin->first) = slab->next;
    *(slab->next != NULL ? &slab->next->previous : &bin->last) = slab->previous;
    bin->counters.queued_slabs--;
}

/* Makes arena 0, and lays down from which size on blocks are the oversize arena's. False when
 * memory is refused. */
MUST_USE bool arenas_start(void);

/* The decay time of a stage in arenas to come. */
int64_t arena_default_decay_ms(unsigned stage);
void arena_set_default_decay_ms(unsigned stage, int64_t decay_ms);

/* Written under the lock of the table; release. */
extern HIDDEN _Atomic(struct arena *) arena_table[ARENAS_MAX];

/* The arena of an index, or NULL. */
static inline struct arena *arena_get(unsigned index)
{
    return index < ARENAS_MAX ? atomic_load_explicit(&arena_table[index], memory_order_acquire)
                              : NULL;
}
/* Number of automatic arenas made so far; indices below it are valid. */
unsigned arena_count(void);
/* What arenas.narenas shows: automatic arenas, made or not yet, that of oversize blocks, and up to
 * the highest index that a manual one ever had. */
unsigned arena_visible_count(void);
/* A walk over all arenas, by index, from *index = 0 on; *index becomes where to go on. NULL at the
 * end. The last may be one that has no index yet. Each that is there from the first call to the
 * last is met once, unless it ends or begins again meanwhile. */
struct arena *arena_next(unsigned *index);
/* Automatic arenas that threads may be spread over: opt.narenas. */
unsigned arena_limit(void);
/* A further automatic arena, or NULL at the limit or when memory is refused. */
struct arena *arena_create(void);

/* An arena of the program's own: no thread comes to it by itself. The index is that of the one
 * destroyed last, or a new one. NULL when there is none, or memory is refused. */
struct arena *arena_create_manual(void);
/* Begins the end of a manual arena: false when it is none, threads use it, or another thread ends
 * it. The caller empties it (reset.h); then its index may serve another. */
MUST_USE bool arena_end_begins(struct arena *arena);
void arena_end(struct arena *arena);
/* A thread begins to use an arena: false when it is being destroyed, or is. And leaves it. */
MUST_USE bool arena_join(struct arena *arena);
void arena_leave(struct arena *arena);

/* The arena for blocks of at least oversize_bytes of `arena`: that of all such blocks, made with
 * the first of them, so that they do not fragment the others; or `arena` itself when it is manual,
 * or memory is refused. */
struct arena *arena_for_oversize(struct arena *arena);
/* Where a large block that a thread of the arena asks for comes from. */
static inline struct arena *arena_for_size(struct arena *arena, size_t size_bytes)
{
    size_t from = atomic_load_explicit(&arena->oversize_bytes, memory_order_relaxed);
    return LIKELY(size_bytes - 1 < from - 1) ? arena : arena_for_oversize(arena);
}

/* The arena for a new thread: the least used, or that of its CPU. */
struct arena *arena_for_thread(void);
/* The arena of an index; an automatic one is made if it is not there yet, with those before it.
 * NULL when there is none, or memory is refused. */
struct arena *arena_demand(unsigned index);
/* The arena that the fewest threads use; NULL when there is none but `except`. */
struct arena *arena_least_used(const struct arena *except);
/* The arena for a thread that found another one contended: the least used, or a new one; or that of
 * its CPU, NULL when it has that. */
struct arena *arena_choose(const struct arena *contended);

/* The arena of a block that slabs or runs serve. */
static inline struct arena *arena_of_run(const struct run *run)
{
    return run->chunk->heap->arena;
}

/* Fills a cache: up to `wanted` blocks of a small class, at least one unless memory is refused.
 * Result: how many, in the order in which they should be used. */
unsigned arena_fill(struct arena *arena, uint8_t class_index, void **blocks, unsigned wanted,
                    struct bin_user *user);

/* Takes back count blocks of one small class, of any arenas. Aborts on blocks that are not out. */
void arena_flush(uint8_t class_index, void *const *blocks, unsigned count, bool *contended);

/* Adds requests that a cache of that number counted; of a class that caches hold. */
void arena_count_requests(struct arena *arena, uint8_t class_index, unsigned user_number,
                          uint64_t requests);

/* The counters of blocks with mappings of their own, made when there are none; NULL when memory is
 * refused. */
MUST_USE struct huge_counters *arena_huge_counters(struct arena *arena);

/* The name of an arena, "auto_0" or "manual_9" unless it was given one, into a buffer of
 * ARENA_NAME_BYTES; and a new one, cut to that. */
void arena_name(struct arena *arena, char *buffer);
void arena_set_name(struct arena *arena, const char *name);

/* In a forked child: what threads that are not there were doing to the arenas is over. */
void arenas_only_self_left(void);

/* Visits each lock of the arenas but that of their table. */
void arenas_visit_locks(void (*visit)(struct lock *lock));

/* Purges the dirty pages of an arena: all, or what its decay curve no longer allows now. */
void arena_purge(struct arena *arena);
void arena_decay(struct arena *arena, uint64_t now_ns);
/* The same for the helper: whether something is left to wait for (page_heap_look()). */
MUST_USE bool arena_look(struct arena *arena, uint64_t now_ns);
/* Helpers are gone: what was left to them is done by frees again. */
void arenas_forget_helper(void);

/* For fork: takes each lock of the arenas, in the order of ranks; lets them go. */
void arenas_hold_locks(void);
void arenas_release_locks(void);

/* The lock of the table, under which arenas come and go. */
struct lock *arena_table_lock(void);

bool bin_is_valid(const struct bin *bin);

#endif
