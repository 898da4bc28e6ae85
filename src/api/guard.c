/* guard.c: junk and zero filling, exact counts, double frees, and statistics each so many bytes.
 * See guard.h.
 *
 * The fast paths never come here: a thread in a mode has an all-slow front. What is filled is the
 * whole usable size, so that a program which writes past its request still meets the pattern.
 */
#include "api/guard.h"

#include "base/mistake.h"
#include "cache/event_hooks.h"
#include "config/options.h"
#include "control/profiling.h"
#include "control/report.h"

#include <string.h>

/* Prints when the sum passes a multiple of the interval. What the printing itself allocates, by the
 * program's function for messages, is counted and prints nothing. */
static NOINLINE void count_towards_report(size_t bytes)
{
    static _Atomic uint64_t allocated_bytes;
    static atomic_flag printing = ATOMIC_FLAG_INIT;
    uint64_t interval = options.stats_interval > 0 ? (uint64_t)options.stats_interval : 1;
    uint64_t before = atomic_fetch_add_explicit(&allocated_bytes, bytes, memory_order_relaxed);
    if (before / interval == (before + bytes) / interval ||
        atomic_flag_test_and_set_explicit(&printing, memory_order_acquire)) {
        return;
    }
    report_print(NULL, NULL, options.stats_interval_opts);
    atomic_flag_clear_explicit(&printing, memory_order_release);
}

/* The thread is in MODE_EXACT. */
static void count_exactly(size_t allocated_bytes, size_t freed_bytes)
{
    struct exact_counters *exact = &thread_own_cache()->exact;
    exact->allocated += allocated_bytes;
    exact->freed += freed_bytes;
    int64_t live = (int64_t)(exact->allocated - exact->freed) - exact->peak_base;
    if (live > exact->peak) {
        exact->peak = live;
    }
}

static void fill_fresh(void *block, size_t bytes, bool zeroed, uint32_t mode)
{
    if (zeroed) {
        return;
    }
    if ((mode & MODE_JUNK_ALLOC) != 0) {
        memset(block, JUNK_ALLOC_BYTE, bytes);
    } else if ((mode & MODE_ZERO) != 0) {
        memset(block, 0, bytes);
    }
}

/* Counted bytes that a hook may wait for. */
static void tell_hooks(size_t allocated_bytes, size_t freed_bytes, uint32_t mode)
{
    if ((mode & MODE_BYTE_HOOKS) != 0) {
        event_hooks_bytes(allocated_bytes, freed_bytes);
    }
}

/* May print, and make a thread: comes last. */
static void do_asides(size_t bytes, uint32_t mode)
{
    if ((mode & MODE_INTERVAL) != 0) {
        count_towards_report(bytes);
    }
    if ((mode & MODE_HELPER) != 0) {
        thread_make_helper();
    }
    if ((mode & MODE_START_PROFILE) != 0) {
        profiling_start_when_possible();
    }
}

void guard_allocated(void *block, size_t usable_bytes, bool zeroed)
{
    uint32_t mode = thread_mode();
    if ((mode & MODE_EXACT) != 0) {
        count_exactly(usable_bytes, 0);
    }
    fill_fresh(block, usable_bytes, zeroed, mode);
    tell_hooks(usable_bytes, 0, mode);
    do_asides(usable_bytes, mode);
}

void guard_resized(void *block, size_t old_bytes, size_t usable_bytes, bool zeroed)
{
    uint32_t mode = thread_mode();
    if ((mode & MODE_EXACT) != 0) {
        count_exactly(usable_bytes, old_bytes);
    }
    if (usable_bytes > old_bytes) {
        fill_fresh((char *)block + old_bytes, usable_bytes - old_bytes, zeroed, mode);
    }
    tell_hooks(usable_bytes, old_bytes, mode);
    if (usable_bytes > old_bytes) {
        do_asides(usable_bytes - old_bytes, mode);
    }
}

/* The thread is in MODE_SCAN. */
static bool is_double_free(const void *block)
{
    const struct cache *cache = thread_front_now()->cache;
    unsigned code = map_code(block);
    bool is = code < CODE_RUN && cache != NULL &&
              cache_holds(cache, (uint8_t)(code / CODE_SCALE - 1), block,
                          options.debug_double_free_max_scan);
    if (is) {
        mistake("free(): double free of %p: the block is among those freed last", block);
    }
    return is;
}

bool guard_freed(void *block, size_t usable_bytes)
{
    uint32_t mode = thread_mode();
    if ((mode & MODE_SCAN) != 0 && is_double_free(block)) {
        return false;
    }
    if ((mode & MODE_EXACT) != 0) {
        count_exactly(0, usable_bytes);
    }
    if ((mode & MODE_JUNK_FREE) != 0) {
        memset(block, JUNK_FREE_BYTE, usable_bytes);
    }
    tell_hooks(0, usable_bytes, mode);
    return true;
}

uint32_t guard_modes_of_options(void)
{
    uint32_t modes = 0;
    if (options.junk == JUNK_TRUE || options.junk == JUNK_ALLOC) {
        modes |= MODE_JUNK_ALLOC;
    }
    if (options.junk == JUNK_TRUE || options.junk == JUNK_FREE) {
        modes |= MODE_JUNK_FREE;
    }
    if (options.zero) {
        modes |= MODE_ZERO;
    }
    if (options.lg_san_uaf_align >= 0) {
        modes |= MODE_QUARANTINE;
    }
    if (options.stats_interval >= 0) {
        modes |= MODE_INTERVAL;
    }
    if (options.debug_double_free_max_scan > 0) {
        modes |= MODE_SCAN;
    }
    if (options.prof && options.prof_active) {
        modes |= MODE_START_PROFILE;
    }
    return modes;
}
