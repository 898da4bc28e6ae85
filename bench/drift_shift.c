/* drift_shift.c: goal: whether memory freed at one size serves another. Method: drift_shift
 * OBJECTS ROUNDS: OBJECTS blocks of 100 bytes; then ROUNDS times 70 % are freed at random and the
 * table is refilled with blocks 1.5 times larger than before. `rss_live` is resident memory over
 * live bytes at the end. Every block is written in full.
 */
#include "bench_common.h"

enum { FIRST_BYTES = 100, FREED_PERCENT = 70 };

static size_t table_refill(void **blocks, uint32_t *sizes_bytes, size_t count, size_t size_bytes)
{
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        if (blocks[i] == NULL) {
            blocks[i] = bench_malloc(size_bytes);
            memset(blocks[i], 1, size_bytes);
            sizes_bytes[i] = (uint32_t)size_bytes;
            filled++;
        }
    }
    return filled;
}

static void table_thin(struct bench_random *random, void **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bench_random_between(random, 0, 99) < FREED_PERCENT) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    }
}

int main(int argc, char **argv)
{
    size_t count = (size_t)bench_argument(argc, argv, 1, 1000000);
    uint64_t round_count = bench_argument(argc, argv, 2, 6);
    struct bench_random random = {BENCH_SEED};
    void **blocks = calloc(count, sizeof *blocks);
    uint32_t *sizes_bytes = calloc(count, sizeof *sizes_bytes);
    if (blocks == NULL || sizes_bytes == NULL) {
        bench_die("calloc refused");
    }

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    size_t size_bytes = FIRST_BYTES;
    uint64_t operations = table_refill(blocks, sizes_bytes, count, size_bytes);
    for (uint64_t round = 0; round < round_count; round++) {
        size_bytes += size_bytes / 2;
        table_thin(&random, blocks, count);
        operations += table_refill(blocks, sizes_bytes, count, size_bytes);
    }
    bench_stop(&watch);

    size_t live_bytes = count * (sizeof *blocks + sizeof *sizes_bytes);
    for (size_t i = 0; i < count; i++) {
        live_bytes += sizes_bytes[i];
    }
    uint64_t rss_kib = bench_rss_kib();
    bench_report("end_rss_kib", rss_kib);
    bench_report("live_kib", live_bytes / 1024);
    bench_report_ratio("rss_live", (double)rss_kib * 1024.0 / (double)live_bytes);
    bench_finish(&watch, operations);
    return 0;
}
