/* dump_trigger.c: intervals, peaks, and the end of the process. See dump_trigger.h.
 *
 * Bytes are counted by samples, which costs nothing where none is taken: over an interval of many
 * periods the count is off by the square root of their number.
 */
#include "profile/dump_trigger.h"

#include "base/print.h"
#include "os/files.h"
#include "profile/draw.h"
#include "profile/dump.h"

_Atomic bool dump_interval_is_over;

uint64_t dump_interval_bytes(void)
{
    return options.lg_prof_interval < 0 ? 0 : (uint64_t)1 << options.lg_prof_interval;
}

void dump_count(uint64_t weight, size_t usable_bytes)
{
    static _Atomic uint64_t counted_bytes;
    uint64_t bytes = (uint64_t)(((unsigned __int128)weight * usable_bytes) >> WEIGHT_BITS);
    uint64_t before = atomic_fetch_add_explicit(&counted_bytes, bytes, memory_order_relaxed);
    if (before >> options.lg_prof_interval != (before + bytes) >> options.lg_prof_interval) {
        atomic_store_explicit(&dump_interval_is_over, true, memory_order_relaxed);
    }
}

static bool take(_Atomic bool *flag)
{
    return atomic_load_explicit(flag, memory_order_relaxed) &&
           atomic_exchange_explicit(flag, false, memory_order_relaxed);
}

static atomic_flag serving = ATOMIC_FLAG_INIT;

void dump_forked(void)
{
    atomic_flag_clear_explicit(&serving, memory_order_relaxed);
}

void dump_serve(void)
{
    if (atomic_flag_test_and_set_explicit(&serving, memory_order_acquire)) {
        return;
    }
    if (take(&dump_interval_is_over)) {
        (void)dump_write_unasked(DUMP_INTERVAL, NULL);
    }
    if (take(&mapped_has_new_peak)) {
        (void)dump_write_unasked(DUMP_PEAK, NULL);
    }
    atomic_flag_clear_explicit(&serving, memory_order_release);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void report_leaks(const struct dump_totals *totals)
{
    uint64_t bytes = totals->live.weighted_bytes;
    uint64_t objects = totals->live.weighted_objects;
    objects = (objects >> WEIGHT_BITS) + (objects >> (WEIGHT_BITS - 1) & 1);
    if (totals->live.objects == 0) {
        return;
    }
    message("Leak approximation summary: ~%llu byte%s, ~%llu object%s, >= %llu context%s",
            (unsigned long long)bytes, plural(bytes), (unsigned long long)objects, plural(objects),
            (unsigned long long)totals->trace_count, plural(totals->trace_count));
    message("Run jeprof on dump output for leak detail");
    if (options.prof_leak_error) {
        message("Exiting with error code because memory leaks were detected");
        os_exit(1);
    }
}

void dump_at_exit(void)
{
    struct dump_totals totals = {.trace_count = 0};
    (void)dump_write_unasked(DUMP_FINAL, &totals);
    if (options.prof_leak) {
        report_leaks(&totals);
    }
}
