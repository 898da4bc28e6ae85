/* drift_heap.c: goal: the cost of a large live heap of small objects. Method: drift_heap MIB N:
 * fill MIB mebibytes with objects of 120..280 bytes (not timed), then N times free a random one
 * and put a new one in its place. Every object is written in full when it is made. `rss_live`
 * counts the table of pointers as live.
 */
#include "bench_common.h"

enum { LOW_BYTES = 120, HIGH_BYTES = 280, MEAN_BYTES = (LOW_BYTES + HIGH_BYTES) / 2 };

static void object_put(void **slot, struct bench_random *random)
{
    size_t size_bytes = bench_random_between(random, LOW_BYTES, HIGH_BYTES);
    *slot = bench_malloc(size_bytes);
    memset(*slot, 1, size_bytes);
}

int main(int argc, char **argv)
{
    size_t total_bytes = (size_t)bench_argument(argc, argv, 1, 1024) << 20;
    uint64_t count = bench_argument(argc, argv, 2, 5000000);
    size_t slot_count = total_bytes / MEAN_BYTES + 1;
    struct bench_random random = {BENCH_SEED};
    void **slots = bench_malloc(slot_count * sizeof *slots);
    for (size_t i = 0; i < slot_count; i++) {
        object_put(&slots[i], &random);
    }

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    for (uint64_t i = 0; i < count; i++) {
        void **slot = &slots[bench_random_between(&random, 0, slot_count - 1)];
        free(*slot);
        object_put(slot, &random);
    }
    bench_stop(&watch);

    /* The mean of the sizes is known to 0.01 %: a million and more are drawn. */
    double live_bytes = (double)slot_count * (MEAN_BYTES + sizeof *slots);
    bench_report_ratio("rss_live", (double)bench_rss_kib() * 1024.0 / live_bytes);
    bench_report_ratio("ns_per_replace", count == 0 ? 0 : (double)watch.cpu_ns / (double)count);
    bench_finish(&watch, count);
    return 0;
}
