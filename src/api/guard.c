/* guard.c: junk and zero filling, and statistics each so many bytes. See guard.h.
 *
 * The fast paths never come here: a thread in a mode has an all-slow front. What is filled is the
 * whole usable size, so that a program which writes past its request still meets the pattern.
 */
#include "api/guard.h"

#include "config/options.h"
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

void guard_allocated(void *block, size_t usable_bytes, bool zeroed)
{
    uint32_t mode = thread_mode();
    if ((mode & MODE_INTERVAL) != 0) {
        count_towards_report(usable_bytes);
    }
    if (zeroed) {
        return;
    }
    if ((mode & MODE_JUNK_ALLOC) != 0) {
        memset(block, JUNK_ALLOC_BYTE, usable_bytes);
    } else if ((mode & MODE_ZERO) != 0) {
        memset(block, 0, usable_bytes);
    }
}

void guard_grown(void *block, size_t old_bytes, size_t usable_bytes, bool zeroed)
{
    if (usable_bytes > old_bytes) {
        guard_allocated((char *)block + old_bytes, usable_bytes - old_bytes, zeroed);
    }
}

void guard_freed(void *block, size_t usable_bytes)
{
    if ((thread_mode() & MODE_JUNK_FREE) != 0) {
        memset(block, JUNK_FREE_BYTE, usable_bytes);
    }
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
    return modes;
}
