/* process.c: start, fork and exit. See process.h.
 *
 * The order of the locks at fork is that of their ranks. libc runs our prepare handler after those
 * registered later and before those registered earlier, which may allocate: the forking thread owns
 * every lock by then and passes them.
 */
#include "api/process.h"

#include "api/guard.h"
#include "api/malloc.h"
#include "base/names.h"
#include "base/print.h"
#include "cache/helper.h"
#include "cache/quarantine.h"
#include "config/options.h"
#include "control/ctl.h"
#include "control/profiling.h"
#include "control/outside.h"
#include "control/report.h"
#include "control/statistics.h"
#include "heap/shards.h"
#include "heap/special.h"
#include "os/os.h"
#include "pages/hpa.h"
#include "pages/meta.h"
#include "profile/dump.h"
#include "profile/dump_trigger.h"

#include <pthread.h>
#include <stdlib.h>

/* The program may set where messages go, and options, by variables of these names. */
EXPORT extern void (*API(malloc_message))(void *opaque, const char *text);
EXPORT extern const char *API(malloc_conf);
EXPORT extern const char *API(malloc_conf_2_conf_harder);

void (*API(malloc_message))(void *opaque, const char *text);
__attribute__((weak)) const char *API(malloc_conf);
__attribute__((weak)) const char *API(malloc_conf_2_conf_harder);

static struct {
    struct lock forking;   /* libc may run the handlers of several forks together: one at a time */
    struct lock lock;      /* taken by whoever starts the process */
    bool fork_holds_locks; /* under the forking lock */
    bool pieces_started;   /* under the lock */
    _Atomic bool started;  /* written under the lock (release); read by every thread's first call */
} process = {.forking.rank = LOCK_FORK, .lock.rank = LOCK_START};

static void write_message(void *opaque, const char *text)
{
    void (*chosen)(void *, const char *) = API(malloc_message);
    (chosen != NULL ? chosen : print_to_stderr)(opaque, text);
}

static_assert((int)THP_DEFAULT == (int)HUGE_PAGES_SYSTEM,
              "the option names the policies in their order");
static_assert((int)THP_ALWAYS == (int)HUGE_PAGES_ALWAYS,
              "the option names the policies in their order");
static_assert((int)THP_NEVER == (int)HUGE_PAGES_NEVER,
              "the option names the policies in their order");
static_assert((int)HUGIFY_EAGER == (int)HPA_STYLE_EAGER,
              "the option names the policies in their order");
static_assert((int)HUGIFY_LAZY == (int)HPA_STYLE_LAZY,
              "the option names the policies in their order");
static_assert((int)DSS_DISABLED == (int)BREAK_DISABLED,
              "the option names the policies in their order");
static_assert((int)DSS_PRIMARY == (int)BREAK_PRIMARY,
              "the option names the policies in their order");
static_assert((int)DSS_SECONDARY == (int)BREAK_SECONDARY,
              "the option names the policies in their order");
static_assert((int)METADATA_THP_AUTO == (int)META_THP_AUTO,
              "the option names the policies in their order");
static_assert((int)METADATA_THP_ALWAYS == (int)META_THP_ALWAYS,
              "the option names the policies in their order");

/* Hands options down to where they are kept; each place begins with the option's default. */
static void hand_options_down(void)
{
    slab_start();
    shards_start();
    large_start();
    special_start();
    lock_set_spin(options.mutex_max_spin);
    helper_begin();
    page_policy.huge_pages = options.thp;
    page_policy.purge_batch = (unsigned)options.process_madvise_max_batch;
    chunk_policy.retain = options.retain;
    atomic_store_explicit(&chunk_policy.use_of_break, options.dss, memory_order_relaxed);
    os_purge_is_trusted = options.trust_madvise;
    meta_uses_break = options.dss != DSS_DISABLED;
    meta_thp = options.metadata_thp;
    huge_policy.cache_ms = options.dirty_decay_ms;
    huge_policy.huge_pages = options.thp;
    if (options.huge_arena_pac_thp && options.oversize_threshold > 0) {
        huge_policy.thp_bytes = options.oversize_threshold;
    }
}

static unsigned pages_of(size_t bytes)
{
    return (unsigned)(bytes / PAGE_BYTES);
}

static void hand_hpa_options_down(void)
{
    hpa_policy = (struct hpa_policy){
        .on = options.hpa,
        .collapses = options.hpa_hugify_sync,
        .style = options.hpa_hugify_style,
        .dense_pages = pages_of(options.hpa_hugification_threshold),
        .purge_pages = pages_of(options.hpa_purge_threshold),
        .dirty_mult = options.hpa_dirty_mult,
        .hugify_delay_ms = options.hpa_hugify_delay_ms,
        .purge_interval_ms = options.hpa_min_purge_interval_ms,
        .purge_delay_ms = options.hpa_min_purge_delay_ms,
        .purged_huge_max = options.experimental_hpa_max_purge_nhp,
    };
}

static void start_pieces(void)
{
    os_start();
    message_sink = write_message;
    ctl_block_source = API(mallocx);
    bool any_option = options_load();
    meta_start();
    map_start();
    chunk_pool_start();
    huge_start();
    thread_start();
    if (any_option) {
        hand_options_down();
        hand_hpa_options_down();
    }
    process.pieces_started = true;
}

/* The locks of a rank above the arenas', and of one below. */
static void each_outer_lock(void (*visit)(struct lock *lock))
{
    visit(&process.lock);
    visit(control_lock());
    dump_visit_lock(visit);
    visit(threads_lock());
    visit(quarantine_lock());
    sampler_visit_locks(visit);
}

static void each_inner_lock(void (*visit)(struct lock *lock))
{
    visit(huge_lock());
    visit(chunk_pool_lock());
    visit(map_lock());
    visit(meta_lock());
}

/* A process with one thread has no lock held that the child would find so, and shells fork often.
 */
static void before_fork(void)
{
    if (process_has_one_thread()) {
        helper_fork_begins();
        return;
    }
    lock_acquire(&process.forking);
    process.fork_holds_locks = true;
    lock_fork_begins();
    each_outer_lock(lock_hold_for_fork);
    arenas_hold_locks();
    each_inner_lock(lock_hold_for_fork);
}

static void release_all_locks(void)
{
    each_outer_lock(lock_release_after_fork);
    arenas_release_locks();
    each_inner_lock(lock_release_after_fork);
    lock_fork_ends();
}

static void after_fork_in_parent(void)
{
    if (process.fork_holds_locks) {
        process.fork_holds_locks = false;
        release_all_locks();
        lock_release(&process.forking);
    }
    helper_fork_ends();
}

static void after_fork_in_child(void)
{
    if (process.fork_holds_locks) {
        process.fork_holds_locks = false;
        thread_only_self_left();
        release_all_locks();
        lock_rank_left(LOCK_FORK);
        lock_init(&process.forking, LOCK_FORK);
        arenas_only_self_left();
        sampler_forked();
    }
    helper_fork_ends();
}

static void at_exit(void)
{
    report_print(NULL, NULL, options.stats_print_opts);
}

static void write_final_profile(void)
{
    profiling_prepare();
    dump_at_exit();
}

static bool start_once(void)
{
    bool first = false;
    lock_acquire(&process.lock);
    if (!atomic_load_explicit(&process.started, memory_order_relaxed)) {
        if (!process.pieces_started) {
            start_pieces();
        }
        first = arenas_start();
        if (first) {
            thread_set_modes(guard_modes_of_options());
            outside_tell_start();
            atomic_store_explicit(&process.started, true, memory_order_release);
        }
    }
    lock_release(&process.lock);
    return first;
}

bool process_start(void)
{
    if (LIKELY(atomic_load_explicit(&process.started, memory_order_acquire))) {
        return true;
    }
    if (start_once()) {
        /* From here on the allocator works, so these may allocate. */
        (void)thread_cache();
        if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0) {
            message("fork handlers refused: fork in a program with threads may hang");
            if (options.abort) {
                abort();
            }
        }
        if (options.background_thread || options.idle_purge) {
            (void)atexit(helper_end_at_exit);
        }
        if (options.stats_print) {
            (void)atexit(at_exit);
        }
        if (options.prof && options.prof_final) {
            (void)atexit(write_final_profile);
        }
        if (options.prof && options.prof_log) {
            profiling_end_log_at_exit();
        }
        if (options.prof && options.prof_active) {
            profiling_start_when_possible();
        }
    }
    return atomic_load_explicit(&process.started, memory_order_acquire);
}
