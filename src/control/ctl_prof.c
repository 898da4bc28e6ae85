/* ctl_prof.c: the control names of heap profiling but those of dumps. See profiling.h.
 *
 * In a process that was started without prof:true, and never sampled, most names answer ENOENT, as
 * in jemalloc, and what can be read is false; prof.active may be turned on there too, and opens the
 * others.
 */
#include "cache/thread.h"
#include "config/options.h"
#include "control/ctl_values.h"
#include "control/profiling.h"

#include <errno.h>
#include <string.h>

/* Any byte can be read as one; a bool must be 0 or 1. */
static bool flag_at(const void *new_value)
{
    unsigned char flag;
    memcpy(&flag, new_value, sizeof flag);
    return flag != 0;
}

int read_prof_active(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    value->number = profiling_is_active();
    return 0;
}

int write_prof_active(const size_t *mib, const void *new_value)
{
    (void)mib;
    profiling_set_active(flag_at(new_value));
    return 0;
}

int read_prof_thread_init(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    value->number = profiling_is_open() && sampler_wants_threads();
    return 0;
}

int write_prof_thread_init(const size_t *mib, const void *new_value)
{
    (void)mib;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    sampler_want_threads(flag_at(new_value));
    return 0;
}

int read_prof_lg_sample(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    value->number = sampler_lg_period();
    return 0;
}

/* A new distance of samples may come with it. */
int call_prof_reset(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    size_t lg_period = sampler_lg_period();
    if (!profiling_is_open()) {
        return ENOENT;
    }
    if (buffers->old != NULL || buffers->old_length != NULL) {
        return EPERM;
    }
    if (buffers->new != NULL) {
        if (buffers->new_length != sizeof lg_period) {
            return EINVAL;
        }
        memcpy(&lg_period, buffers->new, sizeof lg_period);
    }
    profiling_reset(lg_period < DRAW_LG_MAX ? (unsigned)lg_period : (unsigned)DRAW_LG_MAX);
    return 0;
}

int read_thread_prof_active(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    const struct cache *cache = thread_own_cache();
    value->number = profiling_is_open() && cache != NULL && !cache->sampling.is_refused;
    return 0;
}

int write_thread_prof_active(const size_t *mib, const void *new_value)
{
    (void)mib;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    return thread_refuse_samples(!flag_at(new_value)) ? 0 : EAGAIN;
}

static struct lock_counters lock_sum; /* under the control lock */
static uint64_t lock_sum_epoch;       /* likewise: of which snapshot it is */

static void add_lock(struct lock *lock)
{
    struct lock_counters counters = lock_counters(lock);
    lock_sum.acquire_count += counters.acquire_count;
    lock_sum.sleep_count += counters.sleep_count;
    lock_sum.spin_count += counters.spin_count;
    lock_sum.owner_change_count += counters.owner_change_count;
    lock_sum.sleep_ns += counters.sleep_ns;
    if (counters.sleep_max_ns > lock_sum.sleep_max_ns) {
        lock_sum.sleep_max_ns = counters.sleep_max_ns;
    }
    if (counters.sleepers_max > lock_sum.sleepers_max) {
        lock_sum.sleepers_max = counters.sleepers_max;
    }
}

/* A counter of all locks of the tallies, as they were when it was first asked for since the last
 * snapshot. */
int read_prof_lock(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    uint64_t epoch;
    int error = statistics_read_whole(offsetof(struct statistics, epoch), &epoch);
    if (error != 0) {
        return error;
    }
    lock_acquire(control_lock());
    if (epoch != lock_sum_epoch) {
        lock_sum_epoch = epoch;
        lock_sum = (struct lock_counters){0};
        sampler_visit_locks(add_lock);
    }
    memcpy(&value->number, (const char *)&lock_sum + argument, sizeof value->number);
    lock_release(control_lock());
    return 0;
}

/* Letters, digits, signs, spaces and tabs. */
static bool is_name(const char *text)
{
    bool is = text != NULL;
    for (size_t i = 0; is && text[i] != '\0'; i++) {
        is = (text[i] >= ' ' && text[i] <= '~') || text[i] == '\t';
    }
    return is;
}

/* The calling thread's record; NULL when it has none, unless it is to be made. */
static struct profiled_thread *own_record(bool made)
{
    struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        return NULL;
    }
    if (!made) {
        return cache->sampling.thread;
    }
    profiling_prepare();
    return sampling_thread(&cache->sampling);
}

static int write_thread_name(const struct ctl_buffers *buffers)
{
    const char *name;
    if (buffers->new_length != sizeof name) {
        return EINVAL;
    }
    if (options.prof_sys_thread_name) {
        return ENOENT;
    }
    memcpy(&name, buffers->new, sizeof name);
    if (!is_name(name)) {
        return EINVAL;
    }
    struct profiled_thread *thread = own_record(true);
    if (thread == NULL) {
        return ENOMEM;
    }
    tally_thread_set_name(thread, name);
    return 0;
}

/* What is read is where the name is kept: it changes with the name. */
int call_thread_prof_name(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    bool reads = buffers->old != NULL || buffers->old_length != NULL;
    bool writes = buffers->new != NULL || buffers->new_length != 0;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    if (reads && writes) {
        return EPERM;
    }
    if (buffers->new != NULL) {
        return write_thread_name(buffers);
    }
    const struct profiled_thread *thread = own_record(options.prof_sys_thread_name);
    const char *name = thread != NULL ? thread->name : "";
    return ctl_copy_out(&name, sizeof name, buffers);
}

/* They are kept while nothing samples, too. */
static int call_hook(enum sampler_hook hook, const struct ctl_buffers *buffers)
{
    uintptr_t function = sampler_hook(hook);
    if (buffers->old == NULL && buffers->new == NULL) {
        return EINVAL;
    }
    int error = ctl_copy_out(&function, sizeof function, buffers);
    if (buffers->new == NULL || error != 0) {
        return error;
    }
    if (!profiling_is_open()) {
        return ENOENT;
    }
    if (buffers->new_length != sizeof function) {
        return EINVAL;
    }
    memcpy(&function, buffers->new, sizeof function);
    if (function == 0 && hook == HOOK_BACKTRACE) {
        return EINVAL;
    }
    sampler_set_hook(hook, function);
    return 0;
}

int call_prof_hook_backtrace(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    return call_hook(HOOK_BACKTRACE, buffers);
}

int call_prof_hook_sample(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    return call_hook(HOOK_SAMPLE, buffers);
}

int call_prof_hook_free(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    return call_hook(HOOK_FREE, buffers);
}

/* prof.stats.bins.<i>.live and its like. */
enum { PLACE_OF_SUM = 3 };

static int read_sums(enum sampled_kind kind, size_t class_index, const struct ctl_buffers *buffers)
{
    if (!options.prof_stats) {
        return ENOENT;
    }
    if (buffers->new != NULL || buffers->new_length != 0) {
        return EPERM;
    }
    struct sampled_sums sums = sampler_sums(kind, (uint8_t)class_index);
    return ctl_copy_out(&sums, sizeof sums, buffers);
}

int call_prof_bin_live(const size_t *mib, const struct ctl_buffers *buffers)
{
    return read_sums(SAMPLED_LIVE, mib[PLACE_OF_SUM], buffers);
}

int call_prof_bin_ever(const size_t *mib, const struct ctl_buffers *buffers)
{
    return read_sums(SAMPLED_EVER, mib[PLACE_OF_SUM], buffers);
}

int call_prof_large_live(const size_t *mib, const struct ctl_buffers *buffers)
{
    return read_sums(SAMPLED_LIVE, mib[PLACE_OF_SUM] + SMALL_CLASSES, buffers);
}

int call_prof_large_ever(const size_t *mib, const struct ctl_buffers *buffers)
{
    return read_sums(SAMPLED_EVER, mib[PLACE_OF_SUM] + SMALL_CLASSES, buffers);
}
