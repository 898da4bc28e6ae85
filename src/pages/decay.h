/* decay.h: how many unused dirty pages may stay, as a curve over time.
 *
 * Pages that fell unused t milliseconds ago may stay in the share 1 - smoothstep(t / decay_ms): all
 * at first, none after decay_ms. Time is cut into DECAY_STEPS epochs; a ring counts the pages that
 * came in each. decay_ms 0 purges at once, -1 never.
 *
 * Invariants: limit <= the sum of the ring; the ring's newest entry is that of the running epoch.
 * Counts only: this module purges nothing, reads no clock and takes no lock (its owner's is held).
 */
#ifndef PAGES_DECAY_H
#define PAGES_DECAY_H

#include "base/check.h"

enum { DECAY_STEPS = 200, DECAY_NEVER = -1 };

struct decay {
    int64_t decay_ms;
    uint64_t epoch_start_ns;    /* 0: the clock was not read yet */
    size_t limit_pages;         /* what may stay at the last advance */
    size_t known_pages;         /* what was there at the last advance */
    uint32_t ring[DECAY_STEPS]; /* pages that fell unused, oldest first from `oldest` */
    unsigned oldest;
};

/* decay_ms: -1 never, 0 at once, else the time after which nothing may stay. */
void decay_init(struct decay *decay, int64_t decay_ms);

/* Tells the time and the number of dirty pages now. Result: how many of them may stay. */
size_t decay_advance(struct decay *decay, uint64_t now_ns, size_t dirty_pages);

/* Nothing is left of which the curve would allow less later: no page at all, or only some that the
 * last advance knew and allowed no more (the system refused to take them). */
bool decay_is_over(const struct decay *decay, size_t dirty_pages);

/* After a purge: dirty_pages are left, none of them newly come. */
void decay_purged(struct decay *decay, size_t dirty_pages);

#endif
