/* idle.h: how freeing threads call the helper thread, which gives unused memory back (helper.h).
 *
 * While something is unused the helper naps between looks and need not be called. When it found
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
 * at once. ROUSED stays until the next idle_start(): the helper is wanted no more.
 *
 * One thread may be the helper; any thread may call. No lock is taken.
 */
#ifndef PAGES_IDLE_H
#define PAGES_IDLE_H

#include "base/check.h"

/* Before a helper is made, and in a forked child. */
void idle_start(void);

/* The helper: a look begins; calls from now on count. */
void idle_look(void);
/* The helper: until the time is up, whoever calls. */
void idle_nap(uint64_t duration_ns);
/* The helper: until somebody has called since the last idle_look(). */
void idle_sleep(void);

/* Something fell unused where the helper found nothing. One atomic operation, and a system call
 * when the helper sleeps. */
void idle_call(void);
/* Ends this nap or sleep and all further ones at once. */
void idle_rouse(void);

#endif
