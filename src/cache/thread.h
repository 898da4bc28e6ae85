/* thread.h: the one pointer of each thread, and what it may point at.
 *
 *     thread_front ->  front_none       the thread has not allocated yet
 *                  ->  its cache        the normal state: fast paths work
 *                  ->  its shim         a mode needs to see each call; the shim knows the cache
 *                  ->  front_switch     another thread changed the modes: look at them at the next
 * call
 *                  ->  front_hooked     a hook of the program runs: the cache is out of reach
 *                  ->  front_exited     the thread's destructor has run: no cache any more
 *                  ->  front_exited_in_event   ... and a hook is told of its call
 *
 * All but the cache are zero bins with limit 0, so the fast paths fall through to the slow ones,
 * which sort out which it is. 8 bytes of thread-local storage in all, so dlopen of the library
 * always works.
 *
 * The owner writes its pointer under the threads lock; other threads may store front_switch into
 * it, under the same lock; the owner reads it without.
 */
#ifndef CACHE_THREAD_H
#define CACHE_THREAD_H

#include "cache/cache.h"

extern struct cache_front front_none;

/* relaxed: the owner reads what it wrote, or front_switch, which carries no data. */
extern __thread _Atomic(struct cache_front *) thread_front;

ALWAYS_INLINE struct cache_front *thread_front_now(void)
{
    return atomic_load_explicit(&thread_front, memory_order_relaxed);
}

void thread_start(void);

/* The cache of the calling thread, made when it has none yet; NULL when it must do without one (its
 * destructors have run, caches are off, memory is refused). The arena for it then is
 * thread_arena(). */
struct cache *thread_cache(void);
struct arena *thread_arena(void);
/* The cache that counts for the calling thread, used or not; NULL when it has none. To be asked
 * instead of the front's `cache`, which another thread may hide at any moment by a switch. */
struct cache *thread_own_cache(void);

/* Before a hook of the program runs and after: what it allocates goes past the thread's cache,
 * which may be in the middle of something. The result goes from the one to the other; NULL: there
 * is nothing to come back from. */
void *thread_enter_hook(void);
void thread_leave_hook(void *cache);

/* Before a hook is told of a call or of bytes, and after. What it allocates is ordinary, but no
 * hook is told. False: the thread is in such a hook already, in a hook of an arena, or has no cache
 * for lack of memory. */
MUST_USE bool thread_enter_event(void);
void thread_leave_event(void);

/* Process-wide modes, of all threads from their next call on: MODE_ bits. */
void thread_set_modes(uint32_t modes);
uint32_t thread_modes(void);

/* The modes of the calling thread; valid after thread_cache(). One without a cache has those of the
 * process. */
static inline uint32_t thread_mode(void)
{
    struct cache_front *front = thread_front_now();
    return LIKELY(front->cache != NULL) ? front->mode : thread_modes();
}

/* The calling thread looks at the modes at its next call. May be called under any lock. */
void thread_look_at_modes(void);
/* In MODE_HELPER, with no lock held: makes a helper if it is still wanted, and leaves the mode. */
void thread_make_helper(void);
/* The calling thread, which has no cache yet, never gets one. */
void thread_stay_uncached(void);

/* The calling thread's exact counters, from now on kept at each of its calls. NULL when it has no
 * cache, used or not, or memory is refused. */
MUST_USE struct exact_counters *thread_count_exactly(void);

/* Makes the calling thread use caches or not. */
void thread_enable_cache(bool enabled);

/* Makes the calling thread sample or not, while others do. False when it has no cache, used or not.
 */
MUST_USE bool thread_refuse_samples(bool refuses);

/* Makes the calling thread use an arena, and stay there. False when it has no cache, used or not,
 * since its destructors have run. */
MUST_USE bool thread_use_arena(struct arena *arena);

/* A cache of no thread, in the list of all; NULL when memory is refused. Gives its blocks and its
 * memory back. */
MUST_USE struct cache *thread_new_other_cache(struct arena *arena);
void thread_delete_other_cache(struct cache *cache);

/* Visits each cache, of threads and others, under the threads lock. */
void thread_for_each_cache(void (*visit)(struct cache *cache, void *opaque), void *opaque);

struct lock *threads_lock(void);
/* In a forked child: the caches of the other threads are forgotten with what they hold. */
void thread_only_self_left(void);

#endif
