/* idle.h: how threads of the program call the helpers, which give unused memory back (helper.h).
 *
 * While something is unused a helper naps between looks and need not be called. When it found
 * nothing it sleeps without a time limit; each place that then gets its first unused memory calls.
 * Places that found themselves clean at the helper's look remember so under their own lock, and
 * call once: no fast path looks at anything here.
 *
 *     idle_start -> LOOKING -- idle_nap ---------------> NAPPING --- time is up ----+
 *                      |   \-- idle_sleep -------------> ASLEEP ---- idle_call ---+ |
 *                      |                                                          v v
 *                      +<-- idle_look ------------------------------------------ CALLED
 *
 * A call that comes between the look at a place and the sleep changes the word, so the sleep ends
 * at once. An urgent one ends a nap too. ROUSED stays until the next idle_start(): that helper is
 * wanted no more. NOBODY: there is none.
 *
 * Places have numbers: an arena's is its turn of being made, modulo IDLE_PLACES. Each helper has
 * the places whose number modulo the number of helpers is its own; while one is not there yet,
 * helper 0 is called, which makes it. Any thread may call. No lock is taken.
 */
#ifndef PAGES_IDLE_H
#define PAGES_IDLE_H

#include "base/check.h"

#include <stdatomic.h>

enum { IDLE_PLACES = 4 };

/* Before a helper is made; when it is gone. */
void idle_start(unsigned helper);
void idle_stop(unsigned helper);

/* While no helper is there: how many share the places, 1 .. IDLE_PLACES, and whether they relieve
 * the program's threads of purging by time and by the cap. */
void idle_share(unsigned helpers, bool relieve);
/* The latter, while helper 0 is there. Relaxed: who reads an old value purges itself once more, or
 * leaves it to whoever purges next. */
extern _Atomic bool idle_relief;
static inline bool idle_relieves(void)
{
    return atomic_load_explicit(&idle_relief, memory_order_relaxed);
}
/* The helper of a place; the first where its own is not there. */
unsigned idle_helper(unsigned place);

/* The helper: a look begins; calls from now on count. */
void idle_look(unsigned helper);
/* The helper: until the time is up or a call is urgent. */
void idle_nap(unsigned helper, uint64_t duration_ns);
/* The helper: until somebody has called since the last idle_look(). */
void idle_sleep(unsigned helper);

/* Something fell unused where the helper found nothing. One atomic operation, and a system call
 * when the helper sleeps. */
void idle_call(unsigned place);
/* The same for what does not wait until the nap is over. */
void idle_urge(unsigned place);
/* Ends this nap or sleep and all further ones at once. */
void idle_rouse(unsigned helper);

/* The program has grown, or keeps so much unused that a helper is worth its while: asks whoever
 * makes helpers, unless there is one. May be called under a lock. */
void idle_want(void);
/* Who is asked, set by the floor above; NULL: nobody, and no helper relieves anybody. */
extern void (*_Atomic idle_maker)(void);
static inline bool idle_has_maker(void)
{
    return atomic_load_explicit(&idle_maker, memory_order_relaxed) != NULL;
}

#endif
