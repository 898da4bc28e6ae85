/* profiling.c: turning heap profiling on and off. See profiling.h.
 *
 * The control lock makes one of all changes; loading comes before it, since that allocates.
 */
#include "control/profiling.h"

#include "cache/thread.h"
#include "config/options.h"
#include "control/ctl.h"
#include "control/outside.h"
#include "control/statistics.h"
#include "os/modules.h"
#include "pages/mapped.h"
#include "profile/sample_log.h"
#include "profile/sampler.h"

#include <stdlib.h>

bool profiling_is_open(void)
{
    return options.prof || sampler_has_started();
}

bool profiling_is_active(void)
{
    return (thread_modes() & (MODE_SAMPLE | MODE_START_PROFILE)) != 0;
}

/* For programs outside. Control lock held. */
static void publish(void)
{
    uint32_t has_sampled = sampler_has_started();
    atomic_store_explicit(&outside_block.lg_period, sampler_lg_period(), memory_order_relaxed);
    atomic_store_explicit(&outside_block.is_active, profiling_is_active(), memory_order_relaxed);
    atomic_store_explicit(&outside_block.has_sampled, has_sampled, memory_order_relaxed);
}

struct sampling *profiling_own_sampling(void)
{
    struct cache *cache = thread_own_cache();
    return cache != NULL ? &cache->sampling : NULL;
}

/* Control lock held. */
static void start(void)
{
    if (sampler_has_started()) {
        return;
    }
    (void)mapped_watch_peak(options.prof && options.prof_gdump);
    sampler_set_finder(profiling_own_sampling);
    sampler_start();
    publish();
    if (options.prof && options.prof_log) {
        (void)!sample_log_begin(NULL);
    }
}

void profiling_prepare(void)
{
    lock_acquire(control_lock());
    start();
    lock_release(control_lock());
}

/* What it needs is loaded. */
static void switch_active(bool active)
{
    lock_acquire(control_lock());
    if (active) {
        start();
    }
    uint32_t before = thread_modes();
    uint32_t modes = before & ~(uint32_t)(MODE_SAMPLE | MODE_START_PROFILE);
    modes |= active ? MODE_SAMPLE : 0;
    if (modes != before) {
        thread_set_modes(modes);
    }
    publish();
    lock_release(control_lock());
}

void profiling_set_active(bool active)
{
    if (active) {
        sampler_load();
    }
    switch_active(active);
}

bool profiling_activate_unloaded(void)
{
    bool can = sampler_load_nothing();
    if (can) {
        switch_active(true);
    }
    return can;
}

void profiling_start_when_possible(void)
{
    static atomic_flag begun = ATOMIC_FLAG_INIT;
    /* What loading allocates comes here too. */
    if (os_modules_can_start() &&
        !atomic_flag_test_and_set_explicit(&begun, memory_order_relaxed)) {
        profiling_set_active(true);
    }
}

static void end_log_at_exit(void)
{
    profiling_prepare();
    sample_log_end_at_exit(ctl_version);
}

void profiling_end_log_at_exit(void)
{
    static atomic_flag is_known = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set_explicit(&is_known, memory_order_relaxed)) {
        (void)atexit(end_log_at_exit);
    }
}

void profiling_reset(unsigned lg_period)
{
    lock_acquire(control_lock());
    start();
    bool changes = sampler_lg_period() != lg_period;
    sampler_reset(lg_period);
    publish();
    if (changes) {
        thread_set_modes(thread_modes()); /* All threads draw anew. */
    }
    lock_release(control_lock());
}
