/* shards.h: the bins of a class in an arena, where the option bin_shards asks for more than one, or
 * sampled blocks want one of their own (sampled.h).
 *
 * A slab belongs to the bin that made it, and its blocks go back there. Each cache that joins an
 * arena has a number, which picks one bin of each class: as many threads fill from a class at once
 * as it has bins, each with a lock of its own.
 *
 * The first bin of a class is in the arena; further ones are made when a cache first wants one,
 * that of sampled blocks with the first of these, and stay for good. Where memory for further ones
 * is refused the first serves all.
 *
 * Invariant: for blocks that are not sampled a class has one bin, or as many as the option says.
 *
 * Thread safety: all functions may be called by any thread.
 */
#ifndef HEAP_SHARDS_H
#define HEAP_SHARDS_H

#include "heap/arena.h"

/* Whether the option asks for more than one anywhere. Written by shards_start() alone. */
HIDDEN extern bool shards_wanted;

/* Takes the option. Before the first arena. */
void shards_start(void);

/* Bins of a class in each arena: constant after the options were read. */
unsigned shards_count(uint8_t class_index);

/* What an arena has beside its first bins; NULL when memory is refused: it has no more then. */
MUST_USE struct shards *shards_new(void);

/* Caches of threads are spread over the bins, and those that programs make, each for themselves. */
enum shards_joiner { SHARDS_THREAD, SHARDS_OTHER, SHARDS_JOINERS };

uint16_t shards_join_slow(struct shards *shards, enum shards_joiner joiner);

/* The number of a cache that comes to an arena. */
static inline uint16_t shards_join(struct arena *arena, enum shards_joiner joiner)
{
    struct shards *shards = arena_shards(arena);
    return LIKELY(shards == NULL) ? 0 : shards_join_slow(shards, joiner);
}

/* The bin that a cache's number picks. No lock but those before LOCK_ARENAS may be held. */
struct bin *shards_pick(struct arena *arena, uint8_t class_index, unsigned number);

struct bin *shards_further(struct shards *shards, uint8_t class_index, unsigned index);

/* Bin number `index` of a class, from 0 on; NULL at the end of those that were made. That of
 * sampled blocks is the last. */
static inline struct bin *shards_bin(struct arena *arena, uint8_t class_index, unsigned index)
{
    if (index == 0) {
        return &arena->bin[class_index];
    }
    struct shards *shards = arena_shards(arena);
    return LIKELY(shards == NULL) ? NULL : shards_further(shards, class_index, index);
}

/* The bin of sampled blocks of a class, made when there is none. NULL when memory is refused, or
 * the caller is inside fork. No lock but those before LOCK_ARENAS may be held. */
MUST_USE struct bin *shards_sampled_bin(struct arena *arena, uint8_t class_index);

/* How often the locks of a class's further bins were taken, as lock_acquire_count(). */
uint64_t shards_taken(struct arena *arena, uint8_t class_index);

/* Of all bins of an arena: visits the locks, gives back what they can spare, makes them count from
 * zero. */
void shards_visit_locks(struct arena *arena, void (*visit)(struct lock *lock));
void shards_purge(struct arena *arena);
void shards_begin_again(struct arena *arena);

#endif
