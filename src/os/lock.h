/* lock.h: a 4-byte futex mutex with a rank, counters, and fork in any state.
 *
 *     word   0 free   1 held   2 held, somebody may sleep
 *            3 held by fork    4 held by fork, somebody may sleep
 *
 * Ranks order the locks: a thread takes locks in rising rank only, which debug builds assert.
 * While the process has one thread the word is changed by plain stores: the lock then only marks
 * itself.
 *
 * Fork: the forking thread takes every lock with lock_hold_for_fork(). Until it lets them go it
 * owns them all, so its own acquire and release calls pass through (handlers of other libraries may
 * allocate between ours and the fork); all other threads wait.
 *
 * Invariants: word is one of the five values; the counters change only under the lock.
 */
#ifndef OS_LOCK_H
#define OS_LOCK_H

#include "base/check.h"

#include <stdatomic.h>

/* From the outermost lock to the innermost: a thread that holds a rank takes only higher ones. */
enum lock_rank {
    LOCK_FORK,       /* one fork at a time */
    LOCK_HELPER,     /* making and ending helper threads; not held by fork */
    LOCK_START,      /* start of the process */
    LOCK_CONTROL,    /* mallctl state */
    LOCK_DUMP,       /* writing a heap profile */
    LOCK_THREADS,    /* list of thread caches */
    LOCK_QUARANTINE, /* blocks that are held back */
    LOCK_RECENT,     /* the list of recent samples */
    LOCK_LOG,        /* the log of samples */
    LOCK_TALLY,      /* one stripe of the profiler's tallies */
    LOCK_TALLY_POOL, /* free tallies of the profiler */
    LOCK_RECORD,     /* free records of its samples */
    LOCK_ARENAS,     /* table of arenas */
    LOCK_BIN,        /* one bin of one arena */
    LOCK_PAGES,      /* page heap of one arena */
    LOCK_HUGE,       /* huge mappings */
    LOCK_POOL,       /* spare chunks */
    LOCK_MAP,        /* address map */
    LOCK_META,       /* the allocator's own memory */
    LOCK_BREAK,      /* the program break */
    LOCK_RANK_COUNT,
};

struct lock {
    _Atomic uint32_t word;     /* any thread; acquire on taking, release on letting go */
    uint32_t rank;             /* immutable after lock_init() */
    uint64_t acquire_count;    /* under the lock */
    uint64_t wait_count;       /* under the lock: acquisitions that found it held */
    uint64_t spin_count;       /* under the lock: waits that ended before sleeping */
    uint64_t sleep_ns;         /* under the lock: length of the other waits */
    uint64_t sleep_max_ns;     /* under the lock: the longest of them */
    _Atomic uint32_t sleepers; /* relaxed, any thread: those who wait beyond spinning, now */
    uint32_t sleepers_max;     /* under the lock */
};

/* A copy of a lock's counters; taking it counts too. */
struct lock_counters {
    uint64_t acquire_count;
    uint64_t sleep_count; /* waits beyond spinning; the next two are of these only */
    uint64_t spin_count;
    uint64_t owner_change_count; /* at least: a wait means that another thread was the owner */
    uint64_t sleep_ns;
    uint64_t sleep_max_ns;
    uint64_t sleepers_max;
};

enum { LOCK_FREE, LOCK_HELD, LOCK_CONTENDED, LOCK_FORKING, LOCK_FORKING_CONTENDED };

/* Not zero while the process has one thread; libc keeps it, from its own start on. musl's is not
 * public. */
#ifdef __GLIBC__
static const bool libc_tells_start = true;
extern char __libc_single_threaded;
static inline bool process_has_one_thread(void)
{
    return __libc_single_threaded != 0;
}
#else
static const bool libc_tells_start = false;
static inline bool process_has_one_thread(void)
{
    return false;
}
#endif

/* How long a waiter spins before it sleeps, as jemalloc's mutex_max_spin: 0 not at all, -1 until
 * the lock is free. Before the first wait. */
void lock_set_spin(int64_t max_spin);
void lock_init(struct lock *lock, enum lock_rank rank);
void lock_acquire_slow(struct lock *lock);
void lock_release_slow(struct lock *lock);

/* Debug builds: the ranks that this thread holds. No-ops in release builds. */
void lock_rank_taken(enum lock_rank rank);
void lock_rank_left(enum lock_rank rank);

/* True when the lock could be taken at once. */
static inline bool lock_try(struct lock *lock)
{
    uint32_t expected = LOCK_FREE;
    if (process_has_one_thread()) {
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) != LOCK_FREE) {
            return false;
        }
        atomic_store_explicit(&lock->word, LOCK_HELD, memory_order_relaxed);
    } else if (!atomic_compare_exchange_strong_explicit(
                   &lock->word, &expected, LOCK_HELD, memory_order_acquire, memory_order_relaxed)) {
        return false;
    }
    lock->acquire_count++;
    if (config_debug) {
        lock_rank_taken((enum lock_rank)lock->rank);
    }
    return true;
}

static inline void lock_acquire(struct lock *lock)
{
    if (UNLIKELY(!lock_try(lock))) {
        lock_acquire_slow(lock);
    }
}

static inline void lock_release(struct lock *lock)
{
    uint32_t expected = LOCK_HELD;
    if (config_debug) {
        lock_rank_left((enum lock_rank)lock->rank);
    }
    if (process_has_one_thread()) {
        if (LIKELY(atomic_load_explicit(&lock->word, memory_order_relaxed) == LOCK_HELD)) {
            atomic_store_explicit(&lock->word, LOCK_FREE, memory_order_relaxed);
            return;
        }
    } else if (LIKELY(atomic_compare_exchange_strong_explicit(&lock->word, &expected, LOCK_FREE,
                                                              memory_order_release,
                                                              memory_order_relaxed))) {
        return;
    }
    lock_release_slow(lock);
}

/* How often the lock was taken, looked at without taking it. Equal to an earlier number: whatever
 * the lock guards has not changed since, as far as the caller could know. A plain load of eight
 * bytes, beside plain stores under the lock, which must stay as cheap as they are. */
READS_OTHERS static inline uint64_t lock_acquire_count(const struct lock *lock)
{
    return *(const volatile uint64_t *)&lock->acquire_count;
}

/* The counters of a lock that the caller holds; of one that it does not hold. Zero again. */
struct lock_counters lock_counters_held(const struct lock *lock);
struct lock_counters lock_counters(struct lock *lock);
void lock_reset_counters(struct lock *lock);

/* Fork: takes the lock and marks it as the forking thread's; lets it go in the parent; makes it new
 * in the child, where no other thread exists. */
void lock_hold_for_fork(struct lock *lock);
void lock_release_after_fork(struct lock *lock);
/* The thread that is inside fork, from the first lock that it holds to the last that it lets go. */
void lock_fork_begins(void);
void lock_fork_ends(void);
/* Whether the calling thread is that one. */
bool lock_is_own_fork(void);

#endif
