/* recent.h: the last samples that were taken, freed or not.
 *
 *     oldest ... first .......................... last
 *     (being told, else gone)   `count` entries, at most `max`
 *
 * A sample has an entry from the moment when its block is there. The block's end is written into
 * it, so an entry outlives its block, and a block its entry: the record of a live block points at
 * its entry, and back, as long as both are there. Entries are taken away in the order in which they
 * came; those that somebody may still be telling wait until nobody is.
 *
 * Thread safety: all functions may be called by any thread, with no lock held.
 */
#ifndef PROFILE_RECENT_H
#define PROFILE_RECENT_H

#include "base/print.h"
#include "profile/record.h"
#include "profile/sampler.h"

/* Before the first sample; as many as the option says. */
void recent_start(void);

/* How many are kept; -1: all. */
int64_t recent_max(void);
/* Result: how many were. */
int64_t recent_set_max(int64_t max);

/* A sample that has a record is there; its block ended, and the record goes. */
void recent_add(struct record *record, size_t usable_bytes);
void recent_end(struct record *record, const struct sample_end *end);

/* Whether a live sample has an entry. Who finds none is right for good: one is made before the
 * block is handed out. */
static inline bool recent_has(const struct record *record)
{
    return atomic_load_explicit(&record->recent, memory_order_acquire) != NULL;
}

/* Tells the entries that there are, the oldest first, as jemalloc's JSON has them. The sink may do
 * as it likes, and allocate. The calling thread's sampling, or NULL. */
void recent_print(struct sampling *sampling, print_sink sink, void *opaque);

/* For fork. In the child only one thread is left: how often it is telling. */
void recent_visit_lock(void (*visit)(struct lock *lock));
void recent_forked(unsigned printing);

#endif
