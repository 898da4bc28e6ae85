/* drift_latency.c: goal: how long a single malloc or free can take while the allocator gives
 * memory back. Method: drift_latency SECONDS MIB: waves of MIB mebibytes rise and fall (64 B..64
 * KiB, log-uniform), with half a second of light work between them, so that purging falls into
 * calls. Every call is timed into a histogram with 16 steps a doubling; p50, p99.9 and the maximum
 * are printed, in nanoseconds. The cost of reading the clock (rdtsc where there is one) is
 * measured and is part of all figures equally.
 */
#include "bench_common.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum { LOW_BYTES = 64, DOUBLINGS = 10, STEPS_LG = 4, BUCKETS = 64 << STEPS_LG, LIGHT_BATCH = 64 };

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total;
    uint64_t maximum;
};

static struct histogram malloc_times;
static struct histogram free_times;

static uint64_t tick_read(void)
{
#if defined(__x86_64__)
    unsigned core;
    return __rdtscp(&core);
#else
    return bench_clock_ns(CLOCK_MONOTONIC);
#endif
}

static unsigned bucket_of(uint64_t ticks)
{
    if (ticks < (1U << STEPS_LG)) {
        return (unsigned)ticks;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(ticks) - STEPS_LG;
    return ((shift + 1) << STEPS_LG) + (unsigned)((ticks >> shift) & ((1U << STEPS_LG) - 1));
}

static uint64_t bucket_low(unsigned bucket)
{
    unsigned shift = bucket >> STEPS_LG;
    uint64_t step = bucket & ((1U << STEPS_LG) - 1);
    return shift == 0 ? step : ((1ULL << STEPS_LG) + step) << (shift - 1);
}

static void histogram_add(struct histogram *histogram, uint64_t ticks)
{
    histogram->counts[bucket_of(ticks)]++;
    histogram->total++;
    histogram->maximum = ticks > histogram->maximum ? ticks : histogram->maximum;
}

static uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    uint64_t wanted = (uint64_t)((double)histogram->total * quantile);
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen > wanted) {
            return bucket_low(bucket);
        }
    }
    return histogram->maximum;
}

static void *timed_malloc(size_t size_bytes)
{
    uint64_t before = tick_read();
    void *block = malloc(size_bytes);
    histogram_add(&malloc_times, tick_read() - before);
    if (block == NULL) {
        bench_die("malloc refused");
    }
    bench_touch_pages(block, 0, size_bytes);
    return block;
}

static void timed_free(void *block)
{
    uint64_t before = tick_read();
    free(block);
    histogram_add(&free_times, tick_read() - before);
}

static uint64_t wave_run(struct bench_random *random, void **blocks, size_t capacity,
                         size_t total_bytes)
{
    size_t count = 0;
    size_t filled_bytes = 0;
    while (filled_bytes < total_bytes && count < capacity) {
        size_t size_bytes = bench_random_log(random, LOW_BYTES, DOUBLINGS);
        blocks[count++] = timed_malloc(size_bytes);
        filled_bytes += size_bytes;
    }
    for (size_t i = 0; i < count; i++) {
        size_t other = bench_random_between(random, i, count - 1);
        void *chosen = blocks[other];
        blocks[other] = blocks[i];
        timed_free(chosen);
    }
    return count;
}

/* Little work, mostly waiting: the time in which an allocator's decay falls due. */
static uint64_t rest_run(struct bench_random *random, unsigned rest_ms)
{
    void *blocks[LIGHT_BATCH];
    for (unsigned i = 0; i < rest_ms / 2; i++) {
        for (unsigned j = 0; j < LIGHT_BATCH; j++) {
            blocks[j] = timed_malloc(bench_random_log(random, LOW_BYTES, DOUBLINGS));
        }
        for (unsigned j = 0; j < LIGHT_BATCH; j++) {
            timed_free(blocks[j]);
        }
        bench_idle_ms(2);
    }
    return (uint64_t)rest_ms / 2 * LIGHT_BATCH;
}

static void report_histogram(const char *name, const struct histogram *histogram,
                             double ns_per_tick)
{
    printf("%s_p50_ns %.1f\n", name, (double)histogram_quantile(histogram, 0.5) * ns_per_tick);
    printf("%s_p999_ns %.1f\n", name, (double)histogram_quantile(histogram, 0.999) * ns_per_tick);
    printf("%s_max_ns %.0f\n", name, (double)histogram->maximum * ns_per_tick);
}

int main(int argc, char **argv)
{
    uint64_t seconds = bench_argument(argc, argv, 1, 12);
    size_t total_bytes = (size_t)bench_argument(argc, argv, 2, 64) << 20;
    size_t capacity = total_bytes / 1024;
    struct bench_random random = {BENCH_SEED};
    void **blocks = bench_malloc(capacity * sizeof *blocks);

    uint64_t operations = 0;
    uint64_t ticks_before = tick_read();
    uint64_t started_ns = bench_clock_ns(CLOCK_MONOTONIC);
    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    while (bench_clock_ns(CLOCK_MONOTONIC) - started_ns < seconds * 1000000000ULL) {
        operations += wave_run(&random, blocks, capacity, total_bytes);
        operations += rest_run(&random, seconds > 1 ? 500 : 20);
    }
    bench_stop(&watch);
    double ns_per_tick = (double)(bench_clock_ns(CLOCK_MONOTONIC) - started_ns) /
                         (double)(tick_read() - ticks_before);

    report_histogram("malloc", &malloc_times, ns_per_tick);
    report_histogram("free", &free_times, ns_per_tick);
    bench_finish(&watch, operations);
    return 0;
}
