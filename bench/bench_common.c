/* bench_common.c: the end of every benchmark program: its report, and on request the counters of
 * the allocator.
 *
 * DG_BENCH_COUNTS=1 asks for the lock and remote-free counters of an allocator that has jemalloc's
 * mallctl. It is found by dlsym, so that the same binary runs under every allocator, and what an
 * allocator does not know is left out, not reported as zero.
 */
#define _GNU_SOURCE 1
#include "bench_common.h"

typedef int mallctl_function(const char *, void *, size_t *, void *, size_t);

/* 4096 is jemalloc's documented index for all arenas merged. */
static const char *const mutex_names[] = {
    "stats.arenas.4096.mutexes.large",
    "stats.arenas.4096.mutexes.extent_avail",
    "stats.arenas.4096.mutexes.extents_dirty",
    "stats.arenas.4096.mutexes.extents_muzzy",
    "stats.arenas.4096.mutexes.extents_retained",
    "stats.arenas.4096.mutexes.decay_dirty",
    "stats.arenas.4096.mutexes.decay_muzzy",
    "stats.arenas.4096.mutexes.base",
    "stats.arenas.4096.mutexes.tcache_list",
    "stats.mutexes.background_thread",
    "stats.mutexes.ctl",
};

/* Names that an allocator may have beyond jemalloc's. */
static const char *const counter_names[] = {
    "stats.remote_frees",
    "stats.lock_ops",
    "stats.lock_waits",
    "stats.syscalls",
    "stats.arenas.4096.small.nfills",
    "stats.arenas.4096.small.nflushes",
};

struct lock_counts {
    uint64_t operations;
    uint64_t waits;
    bool known;
};

static bool counter_read(mallctl_function *mallctl_found, const char *name, uint64_t *value)
{
    size_t length = sizeof *value;
    *value = 0;
    return mallctl_found(name, value, &length, NULL, 0) == 0 && length <= sizeof *value;
}

static void lock_counts_add(mallctl_function *mallctl_found, const char *mutex,
                            struct lock_counts *counts)
{
    char name[160];
    uint64_t value;
    snprintf(name, sizeof name, "%s.num_ops", mutex);
    if (!counter_read(mallctl_found, name, &value)) {
        return;
    }
    counts->known = true;
    counts->operations += value;
    snprintf(name, sizeof name, "%s.num_wait", mutex);
    if (counter_read(mallctl_found, name, &value)) {
        counts->waits += value;
    }
}

static void report_counts(void)
{
    mallctl_function *mallctl_found = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "mallctl");
    if (symbol == NULL) {
        return;
    }
    memcpy(&mallctl_found, &symbol, sizeof mallctl_found);

    uint64_t epoch = 1;
    (void)mallctl_found("epoch", NULL, NULL, &epoch, sizeof epoch);

    struct lock_counts counts = {0};
    for (size_t i = 0; i < sizeof mutex_names / sizeof mutex_names[0]; i++) {
        lock_counts_add(mallctl_found, mutex_names[i], &counts);
    }
    uint64_t bin_count;
    if (counter_read(mallctl_found, "arenas.nbins", &bin_count)) {
        for (uint64_t bin = 0; bin < bin_count; bin++) {
            char mutex[96];
            snprintf(mutex, sizeof mutex, "stats.arenas.4096.bins.%u.mutex", (unsigned)bin);
            lock_counts_add(mallctl_found, mutex, &counts);
        }
    }
    if (counts.known) {
        bench_report("count_lock_operations", counts.operations);
        bench_report("count_lock_waits", counts.waits);
    }
    for (size_t i = 0; i < sizeof counter_names / sizeof counter_names[0]; i++) {
        uint64_t value;
        if (counter_read(mallctl_found, counter_names[i], &value)) {
            printf("count_%s %llu\n", counter_names[i], (unsigned long long)value);
        }
    }
}

/* The file that serves malloc to this process. */
static void report_provider(void)
{
    Dl_info info;
    void *symbol = dlsym(RTLD_DEFAULT, "malloc");
    if (symbol != NULL && dladdr(symbol, &info) != 0) {
        printf("provider %s\n", info.dli_fname);
    }
}

void bench_finish(const struct bench_stopwatch *watch, uint64_t operations)
{
    bench_report("seed", BENCH_SEED);
    bench_report("operations", operations);
    bench_report("cpu_ns", watch->cpu_ns);
    bench_report("wall_ns", watch->wall_ns);
    report_provider();
    if (getenv("DG_BENCH_COUNTS") != NULL) {
        report_counts();
    }
}
