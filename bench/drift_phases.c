/* drift_phases.c: goal: what an allocator's heap becomes over a hundred million operations while
 * sizes shift, as a cache server's do. Method: drift_phases OPERATIONS BUDGET_MIB: a table of
 * slots holds blocks up to a byte budget. Each operation replaces a random slot (a free and a
 * malloc, evicting more at random while over budget); sizes come from a band that moves with each
 * of 20 phases between 32 B and 8 KiB. Resident memory is read 10 times a phase (clock stopped)
 * and divided by live bytes: mean, worst and at the end.
 */
#include "bench_common.h"

enum { PHASES = 20, SAMPLES = 10, BAND_DOUBLINGS = 3, SLOTS_PER_MIB = 4096 };

/* The lowest size of each phase's band: up, down, and jumps, as a server's mix of values does. */
static const uint16_t phase_low_bytes[PHASES] = {
    64, 96, 160, 256, 384, 640, 1000, 512, 200, 48, 32, 300, 900, 128, 700, 80, 400, 1000, 240, 120,
};

struct cache {
    struct bench_random random;
    void **blocks;
    uint32_t *sizes_bytes;
    size_t slot_count;
    size_t live_bytes;
    size_t budget_bytes;
    uint64_t operations;
};

static void cache_drop(struct cache *cache, size_t slot)
{
    if (cache->blocks[slot] != NULL) {
        free(cache->blocks[slot]);
        cache->live_bytes -= cache->sizes_bytes[slot];
        cache->blocks[slot] = NULL;
        cache->operations++;
    }
}

static void cache_replace(struct cache *cache, size_t low_bytes)
{
    size_t slot = bench_random_between(&cache->random, 0, cache->slot_count - 1);
    cache_drop(cache, slot);
    size_t size_bytes = bench_random_log(&cache->random, low_bytes, BAND_DOUBLINGS);
    void *block = bench_malloc(size_bytes);
    bench_touch_pages(block, 0, size_bytes);
    cache->blocks[slot] = block;
    cache->sizes_bytes[slot] = (uint32_t)size_bytes;
    cache->live_bytes += size_bytes;
    cache->operations++;
    while (cache->live_bytes > cache->budget_bytes) {
        cache_drop(cache, bench_random_between(&cache->random, 0, cache->slot_count - 1));
    }
}

int main(int argc, char **argv)
{
    uint64_t operation_total = bench_argument(argc, argv, 1, 100000000);
    size_t budget_mib = (size_t)bench_argument(argc, argv, 2, 256);
    struct cache cache = {.random = {BENCH_SEED}, .budget_bytes = budget_mib << 20};
    cache.slot_count = budget_mib * SLOTS_PER_MIB;
    cache.blocks = calloc(cache.slot_count, sizeof *cache.blocks);
    cache.sizes_bytes = calloc(cache.slot_count, sizeof *cache.sizes_bytes);
    if (cache.blocks == NULL || cache.sizes_bytes == NULL) {
        bench_die("calloc refused");
    }

    double ratio_sum = 0;
    double ratio_worst = 0;
    double ratio = 0;
    size_t table_bytes = cache.slot_count * (sizeof *cache.blocks + sizeof *cache.sizes_bytes);
    struct bench_stopwatch watch = {0};
    for (uint64_t sample = 1; sample <= PHASES * SAMPLES; sample++) {
        size_t low_bytes = phase_low_bytes[(sample - 1) / SAMPLES];
        bench_start(&watch);
        while (cache.operations < operation_total / (PHASES * SAMPLES) * sample) {
            cache_replace(&cache, low_bytes);
        }
        bench_stop(&watch);
        ratio = (double)bench_rss_kib() * 1024.0 / (double)(cache.live_bytes + table_bytes);
        ratio_sum += ratio;
        ratio_worst = ratio > ratio_worst ? ratio : ratio_worst;
    }

    bench_report_ratio("rss_live_mean", ratio_sum / (PHASES * SAMPLES));
    bench_report_ratio("rss_live_worst", ratio_worst);
    bench_report_ratio("rss_live_end", ratio);
    bench_finish(&watch, cache.operations);
    return 0;
}
