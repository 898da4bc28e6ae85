/* cache.h: a thread cache: for each class a stack of free blocks, taken and given without a lock.
 *
 *     slots of one bin      full                      head              bottom
 *                            v                          v                  v
 *                            [ room ......... | block | block | ... | block | NULL ]
 *
 * malloc takes *head and moves head up; free stores below head and moves it down. NULL under the
 * bottom says "empty" without a count; the low 16 bits of head equal to `full` say "no room" (a
 * bin's slots span less than 64 KiB, so no other position has those bits). `left` counts down to
 * the next event.
 *
 * A bin of zeros is always slow: inverse 0 rejects every free, and limit 0 rejects every malloc. So
 * one static front of zeros serves threads that have no cache yet, and a thread whose pointer is
 * set to a zero front takes the slow path on each call. That one pointer is the switch for
 * everything that must see each call: fill, exact counts, sampling, checks. The fast paths test
 * nothing else.
 *
 * Counting costs the fast paths nothing: requests are the way that `left` went; frees are what came
 * in by fills and what is there, against requests.
 *
 * Sampling for heap profiles costs them nothing either: where the thread samples, `left` ends at
 * the bin's next sample, if that is not farther than the event is anyway. Draws have no memory, so
 * all bins may be drawn anew at any time (draw.h).
 *
 * Invariants: full <= head <= bottom, counted in slots; *bottom is NULL; the blocks of bin i are of
 * class i - 1. Thread safety: a cache belongs to one thread; others read its counters only, which
 * may be stale.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "cache/bound.h"
#include "heap/arena.h"
#include "heap/large.h"
#include "heap/shards.h"
#include "profile/sampler.h"

enum {
    CACHE_BINS = CACHED_CLASSES + 1, /* bins that can hold blocks, bin 0 does not */
    CACHE_LEFT = 1 << 16,            /* allocations of a bin between events, at most */
    SLOT_PIECES = 14,
};

struct cache_bin {
    void **head;
    uint64_t inverse; /* of the block start test: heap/class.h */
    uint32_t left;
    uint16_t full; /* low 16 bits of the address of the lowest slot */
    uint16_t capacity;
    void **bottom;
};

/* What a thread's pointer points at. Modes are bits. MODE_SAMPLE alone is no reason for a shim: the
 * fast paths go on, and each slow path sees the mode: all others are above it. */
enum {
    MODE_SAMPLE = 1, /* the thread samples for heap profiles */
    MODE_JUNK_ALLOC = 2,
    MODE_JUNK_FREE = 4,
    MODE_ZERO = 8,
    MODE_UNCACHED = 16,
    MODE_SWITCH = 32,          /* another thread asked this one to look at the process's modes */
    MODE_INTERVAL = 64,        /* allocated bytes are counted, for stats_interval */
    MODE_HELPER = 128,         /* the next request for memory makes a helper (helper.h) */
    MODE_EXACT = 256,          /* bytes are counted at each call, in `exact` */
    MODE_SCAN = 512,           /* frees look for their block among those freed last */
    MODE_QUARANTINE = 1024,    /* some freed blocks are held back: quarantine.h */
    MODE_CALL_HOOKS = 2048,    /* hooks are told of each call: event_hooks.h */
    MODE_BYTE_HOOKS = 4096,    /* hooks are told of bytes: goes with MODE_EXACT in each thread */
    MODE_START_PROFILE = 8192, /* the next request begins to sample, if libc has started by then */
};

struct cache;

struct cache_front {
    struct cache_bin bin[CODE_BINS];
    size_t limit;        /* malloc of fewer bytes may use the bins */
    size_t sized_limit;  /* sized deallocation of fewer bytes may trust the size */
    struct cache *cache; /* the cache itself; NULL: none */
    uint32_t mode;
};

/* Bytes by usable size, in MODE_EXACT: a thread gets there when the program asks for the addresses
 * of the first two, or for the peak. They are counted from the thread's begin. */
struct exact_counters {
    uint64_t allocated;
    uint64_t freed;
    int64_t peak_base; /* allocated less freed when the peak was reset */
    int64_t peak;      /* the most of that since, less the base */
};

struct cache {
    struct cache_front front;
    struct cache_front *shim;      /* all-slow front of this cache, made when first needed */
    _Atomic(struct arena *) arena; /* the owner writes it (release); others read it (acquire) */
    const struct bounds *bounds;   /* NULL: the bins are as large as their use makes them */
    struct bounds own_bounds;      /* `bounds` when the owner has set them */
    bool in_hook;                  /* threads lock: a hook of the program runs; set by the owner */
    bool in_event;                 /* a hook of event_hooks.h runs in the thread; its owner's */
    bool stays;                    /* in its arena, which was asked for by number */
    struct bin_user user;
    struct cache *previous; /* list of all caches, under the threads lock */
    struct cache *next;
    _Atomic(struct cache_front *) *pointer; /* the thread's pointer, NULL: of no thread; under the
                                             * threads lock */
    void *nil;                              /* NULL: bottom of the bins that have no slots */
    char *slots_next;                       /* slots never used */
    char *slots_end;
    void **piece[SLOT_PIECES];          /* pieces of 2^i slots that bins outgrew */
    uint64_t at_limit;                  /* bit i: bin i may not grow any more */
    uint64_t used;                      /* bit i: bin i had slots, or was barred: others' counters
                                         * are 0 */
    uint64_t ran_full;                  /* bit i: bin i ran full last, not empty */
    uint8_t swings[CACHE_BINS];         /* times that this changed, up to a bound */
    uint32_t event_count;               /* slow events since the last collection */
    uint32_t contended_count;           /* batches that found their lock held */
    uint64_t moved_bytes;               /* since the last collection, where options count them */
    uint64_t kept_bytes;                /* ... since the last that took blocks from idle bins */
    uint32_t left_seen[CACHE_BINS];     /* `left` at the last collection: unchanged means idle */
    uint64_t requests_due[CACHE_BINS];  /* allocations when `left` will be 0 */
    int64_t taken[CACHE_BINS];          /* blocks from arenas less blocks to arenas */
    uint64_t requests_told[CACHE_BINS]; /* requests that arenas know of */
    uint64_t direct_alloc_bytes;        /* blocks that bypass the bins */
    uint64_t direct_free_bytes;
    struct sampling sampling;
    struct exact_counters exact; /* valid in MODE_EXACT; its owner's, who may read it at any time */
};

enum { CACHE_BLOCK_BYTES = 128 * 1024 };

/* Makes a cache in a block of CACHE_BLOCK_BYTES. */
struct cache *cache_init(void *block, struct arena *arena);

/* A block of a class, index < CACHED_CLASSES. NULL when memory is refused. A `left` of 0 says that
 * the fast path has counted this request and left the event to this function. */
MUST_USE void *cache_alloc(struct cache *cache, uint8_t class_index);

/* The thread begins to sample, by another period too, or ends it. Threads lock held. */
void cache_sample(struct cache *cache, unsigned lg_period);
void cache_sample_no_more(struct cache *cache);
/* Whether the block that cache_alloc() would hand out next is to be sampled. */
static inline bool cache_sample_is_due(const struct cache *cache, uint8_t class_index)
{
    unsigned bin = class_index + 1u;
    return cache->front.bin[bin].left <= 1 && ((cache->sampling.due >> bin) & 1) != 0;
}
/* That block came from somewhere else, and is counted as if the bin had handed it out. */
void cache_note_sampled(struct cache *cache, uint8_t class_index);

/* Takes a block of a class back; the caller has verified that it starts a block. */
void cache_free(struct cache *cache, uint8_t class_index, void *block);

/* Whether a block of a class is among the `most` that its bin would hand out next. */
bool cache_holds(const struct cache *cache, uint8_t class_index, const void *block, unsigned most);

/* Gives all blocks back to their arenas. */
void cache_flush(struct cache *cache);

/* Tells the arena what was requested since the last time. */
void cache_merge_counters(struct cache *cache);
/* Requests of a cached class that the arena was not told of. */
uint64_t cache_untold_requests(const struct cache *cache, uint8_t class_index);
/* The same of all classes: bit i: there are some of class i, and untold[i] is their number. */
uint64_t cache_untold(const struct cache *cache, uint64_t untold[CACHED_CLASSES]);
/* The arena that fills it. Any thread. */
static inline struct arena *cache_arena(const struct cache *cache)
{
    return atomic_load_explicit(&cache->arena, memory_order_acquire);
}
/* Makes the cache use another arena from now on. False when a thread may not join it. */
bool cache_move(struct cache *cache, struct arena *arena);

/* Gives all blocks back, and sizes the bins by other bounds from now on. */
void cache_set_bounds(struct cache *cache, const struct bounds *bounds);
/* The bounds that hold: its own, or the default. */
struct bounds cache_bounds(const struct cache *cache);
/* Blocks of a class that its bin may hold now. */
unsigned cache_slots(const struct cache *cache, uint8_t class_index);

/* The end of a cache, flushed: its block may serve another. */
void cache_end(struct cache *cache);

/* Bytes ever allocated from and freed to this cache's thread, by usable size. */
uint64_t cache_allocated_bytes(const struct cache *cache);
uint64_t cache_freed_bytes(const struct cache *cache);
/* Bytes of the blocks that lie in the bins. */
size_t cache_cached_bytes(const struct cache *cache);

bool cache_is_valid(const struct cache *cache);

#endif
