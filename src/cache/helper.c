/* helper.c: the threads that give idle memory back. See helper.h.
 *
 * Making and ending are done under one lock, which the fork of another thread does not wait for: a
 * child begins anew. A helper's state also changes without it, when the helper leaves: whoever
 * changes it by compare-and-exchange has the right to the next step.
 */
#include "cache/helper.h"

#include "cache/thread.h"
#include "config/options.h"
#include "os/os.h"
#include "pages/hpa.h"
#include "pages/huge.h"

#include <stdlib.h>

enum {
    /* Memory is gone 9/8 of the decay time after it fell unused, for nine wake-ups. */
    LOOKS_PER_DECAY = 8,
    NS_PER_MS = 1000000,
    LEAST_NAP_NS = 10 * NS_PER_MS,
    RESTING_TIMES = 64,
    EXIT_WAIT_NS = 200 * NS_PER_MS,
};

enum state { NONE, STARTING, RUNNING, LEAVING, ENDING };

enum stop { STOP_FORK = 1, STOP_EXIT = 2 }; /* a fork is under way; the process ends */

struct helper {
    _Atomic uint32_t state; /* any thread; seq_cst beside users; RUNNING publishes `thread` */
    _Atomic uint32_t over;  /* 1: its last step is done; release, for whoever waits at exit */
    uintptr_t thread;       /* under the lock */
    _Atomic uintptr_t self; /* while it runs, else 0; relaxed: asked for by its own thread */
};

static struct {
    struct lock lock;
    _Atomic unsigned users;      /* seq_cst: who leaves looks at it after changing the state */
    _Atomic unsigned resting;    /* times that nobody tries; relaxed: a rough count */
    _Atomic bool background;     /* written under the lock; relaxed, any thread */
    _Atomic bool needed;         /* relaxed, any thread: background helpers have something to do */
    _Atomic bool libc_started;   /* likewise */
    _Atomic uint32_t stops;      /* likewise: why none may start: bits of enum stop */
    _Atomic unsigned limit;      /* written under the lock; relaxed */
    _Atomic uint64_t look_count; /* relaxed: a statistic */
    _Atomic uint64_t nap_ns;     /* likewise */
    struct helper helper[HELPERS_MAX]; /* their fields say */
} helpers = {.lock.rank = LOCK_HELPER, .limit = HELPERS_MAX};

static bool change_state(struct helper *helper, enum state from, enum state to)
{
    uint32_t expected = from;
    return atomic_compare_exchange_strong_explicit(&helper->state, &expected, to,
                                                   memory_order_seq_cst, memory_order_seq_cst);
}

static uint32_t state_of(const struct helper *helper)
{
    return atomic_load_explicit(&helper->state, memory_order_seq_cst);
}

static void set_state(struct helper *helper, enum state state)
{
    atomic_store_explicit(&helper->state, state, memory_order_seq_cst);
}

static unsigned user_count(void)
{
    return atomic_load_explicit(&helpers.users, memory_order_seq_cst);
}

bool helper_is_background(void)
{
    return atomic_load_explicit(&helpers.background, memory_order_relaxed);
}

unsigned helper_limit(void)
{
    return atomic_load_explicit(&helpers.limit, memory_order_relaxed);
}

/* The shorter of the times after which pages leave a stage; 0: none do so by time, or no dirty page
 * ever becomes another. */
static uint64_t shorter_decay_ms(int64_t dirty, int64_t muzzy)
{
    if (dirty < 0 || (dirty == 0 && muzzy < 0)) {
        return 0;
    }
    return (uint64_t)(dirty == 0 || (muzzy > 0 && muzzy < dirty) ? muzzy : dirty);
}

/* Likewise, of these and the times of hpa:true: holes in slabs follow the former in any case. */
static uint64_t shortest_ms(int64_t dirty, int64_t muzzy)
{
    uint64_t decay_ms = shorter_decay_ms(dirty, muzzy);
    uint64_t hpa_ms = UNLIKELY(hpa_policy.on) ? hpa_shortest_ms() : 0;
    return decay_ms == 0 || (hpa_ms > 0 && hpa_ms < decay_ms) ? hpa_ms : decay_ms;
}

static uint64_t default_decay_ms(void)
{
    return shortest_ms(options.dirty_decay_ms, options.muzzy_decay_ms);
}

/* Of what a helper looks at: whether something is left to wait for, and the shortest decay time. */
struct look {
    bool waiting;
    uint64_t decay_ms;
};

static void look_at_arena(struct look *look, struct arena *arena, uint64_t now_ns)
{
    look->waiting |= arena_look(arena, now_ns);
    uint64_t decay_ms = shortest_ms(page_heap_decay_ms(&arena->pages, STAGE_DIRTY),
                                    page_heap_decay_ms(&arena->pages, STAGE_MUZZY));
    if (decay_ms > 0 && (look->decay_ms == 0 || decay_ms < look->decay_ms)) {
        look->decay_ms = decay_ms;
    }
}

static struct look look_at_all(unsigned number)
{
    uint64_t now_ns = os_time_coarse_ns();
    struct look look = {false, 0};
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        if (idle_helper(arena->pages.place) == number) {
            look_at_arena(&look, arena, now_ns);
        }
    }
    if (number == 0) {
        look.waiting |= huge_look(now_ns);
    }
    if (look.decay_ms == 0) {
        look.decay_ms = default_decay_ms();
    }
    atomic_fetch_add_explicit(&helpers.look_count, 1, memory_order_relaxed);
    return look;
}

/* False when it is to stay, or is being ended. A user that came meanwhile saw a helper and started
 * none: then this one stays, unless that user has claimed the state to start another. Nobody is
 * left behind: who left is joined, by the next start or by the last user. */
static bool leave(struct helper *helper)
{
    if (!change_state(helper, RUNNING, LEAVING)) {
        return false;
    }
    return user_count() <= 1 || !change_state(helper, LEAVING, RUNNING);
}

static uint64_t nap_of(uint64_t decay_ms)
{
    uint64_t nap_ns = decay_ms * NS_PER_MS / LOOKS_PER_DECAY;
    return nap_ns < LEAST_NAP_NS ? LEAST_NAP_NS : nap_ns;
}

static void start_others(void);

/* Looks and naps until it is not wanted. */
static void serve(struct helper *helper, unsigned number)
{
    uint64_t nap_ns = nap_of(default_decay_ms());
    uint64_t looked_ns = os_time_ns();
    unsigned lonely_looks = 0;
    for (;;) {
        idle_nap(number, nap_ns);
        if (state_of(helper) == ENDING) {
            return;
        }
        uint64_t now_ns = os_time_ns();
        atomic_fetch_add_explicit(&helpers.nap_ns, now_ns - looked_ns, memory_order_relaxed);
        looked_ns = now_ns;
        idle_look(number);
        struct look look = look_at_all(number);
        nap_ns = nap_of(look.decay_ms);
        if (helper_is_background()) {
            if (number == 0) {
                start_others();
            }
        } else {
            lonely_looks = user_count() > 1 ? 0 : lonely_looks + 1;
            /* What is unused after so many looks was freed by the one user since, which goes on, or
             * the system can take it (muzzy). */
            bool useless = lonely_looks > (look.waiting ? LOOKS_PER_DECAY + 1 : 0);
            if (useless && leave(helper)) {
                return;
            }
        }
        if (!look.waiting) {
            idle_sleep(number);
        }
    }
}

static void *run(void *opaque)
{
    struct helper *helper = opaque;
    atomic_store_explicit(&helper->self, os_thread_self(), memory_order_relaxed);
    thread_stay_uncached();
    os_thread_set_name(helper_is_background() ? "jemalloc_bg_thd" : "jemalloc_idle");
    serve(helper, (unsigned)(helper - helpers.helper));
    atomic_store_explicit(&helper->self, 0, memory_order_relaxed);
    atomic_store_explicit(&helper->over, 1, memory_order_release);
    os_wake((uint32_t *)&helper->over, 1);
    return NULL;
}

/* Ends what is there, unless one that left has been joined. Lock held, so none is STARTING; while
 * one goes from RUNNING to LEAVING or back, once a look, this asks again. */
static bool claim_end(struct helper *helper)
{
    for (uint32_t state = state_of(helper); state == RUNNING || state == LEAVING;
         state = state_of(helper)) {
        if (change_state(helper, (enum state)state, ENDING)) {
            return true;
        }
    }
    return false;
}

static void join(struct helper *helper, unsigned number)
{
    os_thread_join(helper->thread);
    idle_stop(number);
    set_state(helper, NONE);
}

/* Lock held. Helper 0 first: it makes the others. */
static void end_all(void)
{
    bool any = false;
    for (unsigned i = 0; i < HELPERS_MAX; i++) {
        struct helper *helper = &helpers.helper[i];
        if (claim_end(helper)) {
            idle_rouse(i);
            join(helper, i);
            any = true;
        }
    }
    if (any) {
        arenas_forget_helper();
    }
}

/* One that hangs, since a thread that called exit() held one of our locks, is left alone. */
static void end_at_exit(struct helper *helper, unsigned number, uint64_t deadline_ns)
{
    if (!claim_end(helper)) {
        return;
    }
    idle_rouse(number);
    for (uint64_t now_ns = os_time_ns();
         atomic_load_explicit(&helper->over, memory_order_acquire) == 0 && now_ns < deadline_ns;
         now_ns = os_time_ns()) {
        os_wait_for((uint32_t *)&helper->over, 0, deadline_ns - now_ns);
    }
    if (atomic_load_explicit(&helper->over, memory_order_acquire) != 0) {
        join(helper, number);
    }
}

void helper_end_at_exit(void)
{
    atomic_fetch_or_explicit(&helpers.stops, STOP_EXIT, memory_order_relaxed);
    uint64_t deadline_ns = os_time_ns() + EXIT_WAIT_NS;
    if (lock_try(&helpers.lock)) {
        for (unsigned i = 0; i < HELPERS_MAX; i++) {
            end_at_exit(&helpers.helper[i], i, deadline_ns);
        }
        lock_release(&helpers.lock);
    }
}

/* Lock held. One that left is waited for: it is past all that could wait. */
static bool claim_start(struct helper *helper)
{
    if (change_state(helper, LEAVING, STARTING)) {
        os_thread_join(helper->thread);
        return true;
    }
    return change_state(helper, NONE, STARTING);
}

/* Lock held. True when the helper is there. */
static bool start_one(unsigned number)
{
    struct helper *helper = &helpers.helper[number];
    if (!claim_start(helper)) {
        return state_of(helper) == RUNNING;
    }
    if (number == 0) {
        bool background = helper_is_background();
        idle_share(background ? helper_limit() : 1, background);
    }
    atomic_store_explicit(&helper->over, 0, memory_order_relaxed);
    idle_start(number);
    bool started = os_thread_start(&helper->thread, run, helper);
    if (!started) {
        idle_stop(number);
        atomic_store_explicit(&helpers.resting, RESTING_TIMES, memory_order_relaxed);
    }
    set_state(helper, started ? RUNNING : NONE);
    return started;
}

/* By helper 0: one for each further arena. Whoever holds the lock may want to end it. */
static void start_others(void)
{
    unsigned wanted = arena_count() < helper_limit() ? arena_count() : helper_limit();
    for (unsigned i = 1; i < wanted; i++) {
        bool missing = state_of(&helpers.helper[i]) == NONE &&
                       atomic_load_explicit(&helpers.resting, memory_order_relaxed) == 0;
        if (missing && lock_try(&helpers.lock)) {
            (void)start_one(i);
            lock_release(&helpers.lock);
        }
    }
}

static bool may_start(void)
{
    return atomic_load_explicit(&helpers.resting, memory_order_relaxed) == 0 &&
           atomic_load_explicit(&helpers.stops, memory_order_relaxed) == 0 && !lock_is_own_fork() &&
           (atomic_load_explicit(&helpers.libc_started, memory_order_relaxed) || user_count() > 1);
}

bool helper_is_wanted(void)
{
    bool wanted = helper_is_background()
                      ? atomic_load_explicit(&helpers.needed, memory_order_relaxed)
                      : options.idle_purge && user_count() > 1 && default_decay_ms() > 0;
    uint32_t state = wanted ? state_of(&helpers.helper[0]) : RUNNING;
    return (state == NONE || state == LEAVING) && may_start();
}

void helper_start_when_wanted(void)
{
    if (helper_is_wanted() && lock_try(&helpers.lock)) {
        if (helper_is_wanted()) {
            (void)start_one(0);
        }
        lock_release(&helpers.lock);
    }
}

void helper_end_when_unwanted(void)
{
    unsigned users = user_count();
    if (users > 1) {
        return;
    }
    if (users == 1) {
        if (!helper_is_background()) {
            idle_call(0); /* One that sleeps wakes, and ends by itself. */
        }
        return;
    }
    lock_acquire(&helpers.lock);
    if (user_count() == 0) {
        end_all();
    }
    lock_release(&helpers.lock);
}

static void rest_less(void)
{
    unsigned resting = atomic_load_explicit(&helpers.resting, memory_order_relaxed);
    if (resting > 0) {
        atomic_store_explicit(&helpers.resting, resting - 1, memory_order_relaxed);
    }
}

static void note_libc(void)
{
    if (!libc_tells_start || process_has_one_thread()) {
        atomic_store_explicit(&helpers.libc_started, true, memory_order_relaxed);
    }
}

/* From a place that needs one (idle.h), under its lock: the thread's next call makes it. */
static void make_soon(void)
{
    rest_less();
    note_libc();
    atomic_store_explicit(&helpers.needed, true, memory_order_relaxed);
    if (helper_is_wanted()) {
        thread_look_at_modes();
    }
}

static void set_maker(void)
{
    atomic_store_explicit(&idle_maker, helper_is_background() ? make_soon : NULL,
                          memory_order_relaxed);
}

void helper_begin(void)
{
    atomic_store_explicit(&helpers.background, options.background_thread, memory_order_relaxed);
    atomic_store_explicit(&helpers.limit, (unsigned)options.max_background_threads,
                          memory_order_relaxed);
    set_maker();
}

void helper_user_comes(void)
{
    atomic_fetch_add_explicit(&helpers.users, 1, memory_order_seq_cst);
    rest_less();
    note_libc();
}

void helper_user_goes(void)
{
    atomic_fetch_sub_explicit(&helpers.users, 1, memory_order_seq_cst);
}

/* Lock held. The program's threads are at home in libc here, and one of ours may come. */
static bool restart(bool background)
{
    static bool has_exit_handler;
    end_all();
    atomic_store_explicit(&helpers.background, background, memory_order_relaxed);
    atomic_store_explicit(&helpers.resting, 0, memory_order_relaxed);
    set_maker();
    if (!background) {
        return true;
    }
    if (!has_exit_handler && !options.background_thread && !options.idle_purge) {
        has_exit_handler = true;
        (void)atexit(helper_end_at_exit);
    }
    return start_one(0);
}

/* Of the calling thread: it cannot end itself. */
static bool is_helper(void)
{
    bool is = false;
    for (unsigned i = 0; i < HELPERS_MAX; i++) {
        is |=
            atomic_load_explicit(&helpers.helper[i].self, memory_order_relaxed) == os_thread_self();
    }
    return is;
}

bool helper_set_background(bool on)
{
    bool done = true;
    if (is_helper()) {
        return false;
    }
    lock_acquire(&helpers.lock);
    if (on != helper_is_background() || (on && state_of(&helpers.helper[0]) == NONE)) {
        done = restart(on) || restart(false);
        done = done && helper_is_background() == on;
    }
    lock_release(&helpers.lock);
    return done;
}

bool helper_set_limit(unsigned limit)
{
    bool done = true;
    if (is_helper()) {
        return false;
    }
    lock_acquire(&helpers.lock);
    if (limit != helper_limit()) {
        bool running = helper_is_background() && state_of(&helpers.helper[0]) == RUNNING;
        if (running) {
            end_all();
        }
        atomic_store_explicit(&helpers.limit, limit, memory_order_relaxed);
        done = !running || start_one(0);
    }
    lock_release(&helpers.lock);
    return done;
}

struct helper_statistics helper_statistics(void)
{
    struct helper_statistics result = {0};
    for (unsigned i = 0; i < HELPERS_MAX; i++) {
        result.count += state_of(&helpers.helper[i]) == RUNNING;
    }
    result.look_count = atomic_load_explicit(&helpers.look_count, memory_order_relaxed);
    uint64_t nap_ns = atomic_load_explicit(&helpers.nap_ns, memory_order_relaxed);
    result.interval_ns = result.look_count == 0 ? 0 : nap_ns / result.look_count;
    return result;
}

void helper_fork_begins(void)
{
    atomic_fetch_or_explicit(&helpers.stops, STOP_FORK, memory_order_relaxed);
}

void helper_fork_ends(void)
{
    atomic_fetch_and_explicit(&helpers.stops, ~(uint32_t)STOP_FORK, memory_order_relaxed);
}

void helper_forget(bool is_user)
{
    lock_init(&helpers.lock, LOCK_HELPER);
    atomic_store_explicit(&helpers.users, is_user, memory_order_relaxed);
    atomic_store_explicit(&helpers.resting, 0, memory_order_relaxed);
    atomic_store_explicit(&helpers.needed, false, memory_order_relaxed);
    bool any = false;
    for (unsigned i = 0; i < HELPERS_MAX; i++) {
        any |= state_of(&helpers.helper[i]) != NONE;
        set_state(&helpers.helper[i], NONE);
        atomic_store_explicit(&helpers.helper[i].self, 0, memory_order_relaxed);
        idle_stop(i);
    }
    if (any) {
        arenas_forget_helper();
    }
}
