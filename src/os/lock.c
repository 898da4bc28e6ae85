/* lock.c: the contended half of the mutex. See lock.h.
 *
 * The protocol of the three values 0, 1, 2 is that of Ulrich Drepper, "Futexes Are Tricky" (2011),
 * mutex 2. A waiter first spins: critical sections here are some hundred instructions, shorter than
 * a sleep and a wake-up.
 */
#include "os/lock.h"

#include "base/print.h"
#include "os/os.h"

/* A waiter looks at the lock once for so many turns of mutex_max_spin: at its default of 600, which
 * is 200 pauses, a wait is over or about as long as a sleep and a wake-up. */
enum { TURNS_A_LOOK = 3, LOOKS_DEFAULT = 200 };

/* Looks before a waiter sleeps. Written at the start, while others may wait for it; relaxed. */
static _Atomic uint64_t spin_looks = LOOKS_DEFAULT;

void lock_set_spin(int64_t max_spin)
{
    uint64_t looks =
        max_spin < 0 ? UINT64_MAX : ((uint64_t)max_spin + TURNS_A_LOOK - 1) / TURNS_A_LOOK;
    atomic_store_explicit(&spin_looks, looks, memory_order_relaxed);
}

/* 0, or the thread that is inside fork. Written by that thread; relaxed: the value matters only to
 * the thread that it names, which wrote it. */
static _Atomic uintptr_t forking_thread;

#if DG_DEBUG
static __thread unsigned held_ranks __attribute__((tls_model("initial-exec")));
#else
static unsigned held_ranks;
#endif

void lock_init(struct lock *lock, enum lock_rank rank)
{
    *lock = (struct lock){.rank = (uint32_t)rank};
}

/* Locks of one rank may nest only while forking, when all are taken in the order of the arenas. */
void lock_rank_taken(enum lock_rank rank)
{
    if (!config_debug || atomic_load_explicit(&forking_thread, memory_order_relaxed) != 0) {
        return;
    }
    if ((held_ranks >> rank) != 0) {
        message_and_abort("lock order: rank %d taken while 0x%x is held", (int)rank, held_ranks);
    }
    held_ranks |= 1u << rank;
}

void lock_rank_left(enum lock_rank rank)
{
    if (config_debug) {
        held_ranks &= ~(1u << rank);
    }
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

bool lock_is_own_fork(void)
{
    return atomic_load_explicit(&forking_thread, memory_order_relaxed) == os_thread_self();
}

static bool held_by_own_fork(uint32_t word)
{
    return word >= LOCK_FORKING && lock_is_own_fork();
}

static bool spin(struct lock *lock)
{
    uint64_t looks = atomic_load_explicit(&spin_looks, memory_order_relaxed);
    for (uint64_t i = 0; i < looks; i++) {
        relax();
        uint32_t expected = LOCK_FREE;
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == LOCK_FREE &&
            atomic_compare_exchange_strong_explicit(&lock->word, &expected, LOCK_HELD,
                                                    memory_order_acquire, memory_order_relaxed)) {
            lock->spin_count++;
            return true;
        }
    }
    return false;
}

/* The value that tells the holder that somebody sleeps. */
static uint32_t with_sleeper(uint32_t word)
{
    return word >= LOCK_FORKING ? LOCK_FORKING_CONTENDED : LOCK_CONTENDED;
}

/* Takes the lock as contended: whoever slept once cannot know that nobody else sleeps. */
static void sleep_until_free(struct lock *lock)
{
    for (;;) {
        uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
        uint32_t wanted = with_sleeper(word);
        if (!atomic_compare_exchange_weak_explicit(&lock->word, &word, wanted, memory_order_acquire,
                                                   memory_order_relaxed)) {
            continue;
        }
        if (word == LOCK_FREE) {
            return;
        }
        os_wait((uint32_t *)&lock->word, wanted);
    }
}

/* Waits beyond spinning, and counts that once the lock is held. */
static void sleep_counted(struct lock *lock)
{
    uint64_t start_ns = os_time_ns();
    uint32_t sleepers = 1 + atomic_fetch_add_explicit(&lock->sleepers, 1, memory_order_relaxed);
    sleep_until_free(lock);
    atomic_fetch_sub_explicit(&lock->sleepers, 1, memory_order_relaxed);
    uint64_t slept_ns = os_time_ns() - start_ns;
    lock->sleep_ns += slept_ns;
    if (slept_ns > lock->sleep_max_ns) {
        lock->sleep_max_ns = slept_ns;
    }
    if (sleepers > lock->sleepers_max) {
        lock->sleepers_max = sleepers;
    }
}

void lock_acquire_slow(struct lock *lock)
{
    if (held_by_own_fork(atomic_load_explicit(&lock->word, memory_order_relaxed))) {
        return;
    }
    if (!spin(lock)) {
        sleep_counted(lock);
    }
    lock->acquire_count++;
    lock->wait_count++;
    if (config_debug) {
        lock_rank_taken((enum lock_rank)lock->rank);
    }
}

void lock_release_slow(struct lock *lock)
{
    if (held_by_own_fork(atomic_load_explicit(&lock->word, memory_order_relaxed))) {
        return;
    }
    uint32_t word = atomic_exchange_explicit(&lock->word, LOCK_FREE, memory_order_release);
    CHECK(word == LOCK_HELD || word == LOCK_CONTENDED);
    if (word == LOCK_CONTENDED) {
        os_wake((uint32_t *)&lock->word, 1);
    }
}

struct lock_counters lock_counters_held(const struct lock *lock)
{
    return (struct lock_counters){
        .acquire_count = lock->acquire_count,
        .sleep_count = lock->wait_count - lock->spin_count,
        .spin_count = lock->spin_count,
        .owner_change_count = lock->wait_count,
        .sleep_ns = lock->sleep_ns,
        .sleep_max_ns = lock->sleep_max_ns,
        .sleepers_max = lock->sleepers_max,
    };
}

struct lock_counters lock_counters(struct lock *lock)
{
    lock_acquire(lock);
    struct lock_counters counters = lock_counters_held(lock);
    lock_release(lock);
    return counters;
}

void lock_reset_counters(struct lock *lock)
{
    lock_acquire(lock);
    lock->acquire_count = 0;
    lock->wait_count = 0;
    lock->spin_count = 0;
    lock->sleep_ns = 0;
    lock->sleep_max_ns = 0;
    lock->sleepers_max = 0;
    lock_release(lock);
}

void lock_fork_begins(void)
{
    atomic_store_explicit(&forking_thread, os_thread_self(), memory_order_relaxed);
}

void lock_fork_ends(void)
{
    atomic_store_explicit(&forking_thread, 0, memory_order_relaxed);
}

void lock_hold_for_fork(struct lock *lock)
{
    lock_acquire(lock);
    uint32_t word = atomic_exchange_explicit(&lock->word, LOCK_FORKING, memory_order_relaxed);
    if (word == LOCK_CONTENDED) {
        /* Sleepers wait for another value: let them see this one. */
        os_wake((uint32_t *)&lock->word, INT32_MAX);
    }
}

void lock_release_after_fork(struct lock *lock)
{
    uint32_t word = atomic_exchange_explicit(&lock->word, LOCK_FREE, memory_order_release);
    if (word == LOCK_FORKING_CONTENDED) {
        os_wake((uint32_t *)&lock->word, INT32_MAX);
    }
}
