/* helper.c: the thread that gives idle memory back. See helper.h.
 *
 * One word is its state; whoever changes it by compare-and-exchange has the right to the next step,
 * so starting and ending need no lock.
 */
#include "cache/helper.h"

#include "config/options.h"
#include "heap/arena.h"
#include "os/lock.h"
#include "os/os.h"
#include "pages/huge.h"
#include "pages/idle.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    /* Memory is gone 9/8 of the decay time after it fell unused, for nine wake-ups. */
    LOOKS_PER_DECAY = 8,
    NS_PER_MS = 1000000,
    LEAST_NAP_NS = 10 * NS_PER_MS,
    RESTING_USERS = 64,
};

enum state { NONE, STARTING, RUNNING, LEAVING, ENDING };

static struct {
    _Atomic unsigned users;   /* seq_cst: who leaves looks at it after changing the state */
    _Atomic unsigned resting; /* users that may come before the next try; relaxed: a rough count */
    _Atomic uint32_t state;   /* any thread; seq_cst beside users; RUNNING publishes `thread` */
    uintptr_t thread;         /* written by whoever made the state STARTING */
    bool has_exit_handler;    /* likewise */
} helper;

static bool change_state(enum state from, enum state to)
{
    uint32_t expected = from;
    return atomic_compare_exchange_strong_explicit(&helper.state, &expected, to,
                                                   memory_order_seq_cst, memory_order_seq_cst);
}

static unsigned user_count(void)
{
    return atomic_load_explicit(&helper.users, memory_order_seq_cst);
}

static uint32_t helper_state(void)
{
    return atomic_load_explicit(&helper.state, memory_order_seq_cst);
}

/* Whether something is left to wait for. */
static bool look_at_all(void)
{
    uint64_t now_ns = os_time_coarse_ns();
    bool waiting = huge_look(now_ns);
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        waiting |= arena_look(arena, now_ns);
    }
    return waiting;
}

/* False when it is to stay, or is being ended. A user that came meanwhile saw a helper and started
 * none: then this one stays, unless that user has claimed the state to start another. Nobody is
 * left behind: who left is joined, by the next start or by the last user. */
static bool leave(void)
{
    if (!change_state(RUNNING, LEAVING)) {
        return false;
    }
    return user_count() <= 1 || !change_state(LEAVING, RUNNING);
}

/* The shorter of the times after which pages leave a stage; 0: none do so by time, or no dirty page
 * ever becomes another. */
static uint64_t decay_ms(void)
{
    int64_t dirty = options.dirty_decay_ms;
    int64_t muzzy = options.muzzy_decay_ms;
    if (dirty < 0 || (dirty == 0 && muzzy < 0)) {
        return 0;
    }
    return (uint64_t)(dirty == 0 || (muzzy > 0 && muzzy < dirty) ? muzzy : dirty);
}

static void *run(void *unused)
{
    uint64_t nap_ns = decay_ms() * NS_PER_MS / LOOKS_PER_DECAY;
    unsigned lonely_looks = 0;
    os_thread_set_name("jemalloc_idle");
    for (;;) {
        idle_nap(nap_ns < LEAST_NAP_NS ? LEAST_NAP_NS : nap_ns);
        if (helper_state() == ENDING) {
            return unused;
        }
        idle_look();
        bool waiting = look_at_all();
        lonely_looks = user_count() > 1 ? 0 : lonely_looks + 1;
        /* What is unused after so many looks was freed by the one user since, which goes on, or the
         * system can take it (muzzy). */
        bool useless = lonely_looks > (waiting ? LOOKS_PER_DECAY + 1 : 0);
        if (useless && leave()) {
            return unused;
        }
        if (!waiting) {
            idle_sleep();
        }
    }
}

static bool is_resting(void)
{
    unsigned resting = atomic_load_explicit(&helper.resting, memory_order_relaxed);
    if (resting > 0) {
        atomic_store_explicit(&helper.resting, resting - 1, memory_order_relaxed);
    }
    return resting > 0;
}

/* Whoever looks for threads that nobody joined, as thread checkers do at exit, finds none. */
static void join_left_at_exit(void)
{
    if (change_state(LEAVING, ENDING)) {
        os_thread_join(helper.thread);
        atomic_store_explicit(&helper.state, NONE, memory_order_seq_cst);
    }
}

/* Claims the right to start one. One that left is waited for: it is past all that could wait. */
static bool claim_start(void)
{
    if (change_state(LEAVING, STARTING)) {
        os_thread_join(helper.thread);
        return true;
    }
    return change_state(NONE, STARTING);
}

static NOINLINE void start_slow(void)
{
    if (lock_is_own_fork() || is_resting() || !claim_start()) {
        return;
    }
    if (!helper.has_exit_handler) {
        helper.has_exit_handler = true;
        (void)atexit(join_left_at_exit);
    }
    idle_start();
    bool started = os_thread_start(&helper.thread, run);
    if (!started) {
        atomic_store_explicit(&helper.resting, RESTING_USERS, memory_order_relaxed);
    }
    atomic_store_explicit(&helper.state, started ? RUNNING : NONE, memory_order_seq_cst);
}

void helper_user_comes(void)
{
    atomic_fetch_add_explicit(&helper.users, 1, memory_order_seq_cst);
}

void helper_user_goes(void)
{
    atomic_fetch_sub_explicit(&helper.users, 1, memory_order_seq_cst);
}

void helper_start_when_wanted(void)
{
    bool wanted = options.idle_purge && decay_ms() > 0 && user_count() > 1;
    uint32_t state = wanted ? helper_state() : RUNNING;
    if (state == NONE || state == LEAVING) {
        start_slow();
    }
}

/* The last user's claim to the helper. It cannot be STARTING, which a user does; and while it goes
 * from RUNNING to LEAVING or back, once a look, this asks again. */
static bool claim_end(void)
{
    for (uint32_t state = helper_state(); state == RUNNING || state == LEAVING;
         state = helper_state()) {
        if (change_state((enum state)state, ENDING)) {
            return true;
        }
    }
    return false;
}

void helper_end_when_unwanted(void)
{
    unsigned users = user_count();
    if (users == 1) {
        idle_call(); /* One that sleeps wakes, and ends by itself. */
    } else if (users == 0 && claim_end()) {
        idle_rouse();
        os_thread_join(helper.thread);
        atomic_store_explicit(&helper.state, NONE, memory_order_seq_cst);
    }
}

void helper_forget(bool is_user)
{
    atomic_store_explicit(&helper.users, is_user, memory_order_relaxed);
    atomic_store_explicit(&helper.resting, 0, memory_order_relaxed);
    atomic_store_explicit(&helper.state, NONE, memory_order_relaxed);
    idle_start();
}
