/* drift_survivors.c: goal: how much memory a few survivors hold. Method: drift_survivors
 * random|newest MIB IDLE_MS: fill MIB mebibytes with blocks of 64 B..64 KiB (log-uniform, every
 * page written), free 95 % (chosen at random, or all but the newest 5 %), make no call for
 * IDLE_MS, then read resident memory. `rss_live` is that over the bytes that live.
 */
#include "bench_common.h"

enum { LOW_BYTES = 64, DOUBLINGS = 10, SURVIVOR_PERCENT = 5 };

struct field {
    void **blocks;
    uint32_t *sizes_bytes;
    size_t capacity;
    size_t count;
};

static void field_fill(struct field *field, struct bench_random *random, size_t total_bytes)
{
    size_t filled_bytes = 0;
    while (filled_bytes < total_bytes && field->count < field->capacity) {
        size_t size_bytes = bench_random_log(random, LOW_BYTES, DOUBLINGS);
        void *block = bench_malloc(size_bytes);
        bench_touch_pages(block, 0, size_bytes);
        field->blocks[field->count] = block;
        field->sizes_bytes[field->count] = (uint32_t)size_bytes;
        field->count++;
        filled_bytes += size_bytes;
    }
}

/* Frees in the order of allocation and returns the bytes that stay. */
static size_t field_thin(struct field *field, struct bench_random *random, bool keep_newest)
{
    size_t live_bytes = 0;
    size_t newest_start = field->count - field->count * SURVIVOR_PERCENT / 100;
    for (size_t i = 0; i < field->count; i++) {
        bool lucky = bench_random_between(random, 0, 99) < SURVIVOR_PERCENT;
        if (keep_newest ? i >= newest_start : lucky) {
            live_bytes += field->sizes_bytes[i];
        } else {
            free(field->blocks[i]);
        }
    }
    return live_bytes;
}

int main(int argc, char **argv)
{
    bool keep_newest = argc > 1 && strcmp(argv[1], "newest") == 0;
    size_t total_bytes = (size_t)bench_argument(argc, argv, 2, 512) << 20;
    unsigned idle_ms = (unsigned)bench_argument(argc, argv, 3, 15000);
    struct bench_random random = {BENCH_SEED};
    struct field field = {.capacity = total_bytes / 2048 + 1};
    field.blocks = bench_malloc(field.capacity * sizeof *field.blocks);
    field.sizes_bytes = bench_malloc(field.capacity * sizeof *field.sizes_bytes);

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    field_fill(&field, &random, total_bytes);
    size_t live_bytes = field_thin(&field, &random, keep_newest);
    bench_stop(&watch);
    bench_idle_ms(idle_ms);

    uint64_t rss_kib = bench_rss_kib();
    bench_report("idle_rss_kib", rss_kib);
    bench_report("live_kib", live_bytes / 1024);
    bench_report_ratio("rss_live", (double)rss_kib * 1024.0 / (double)live_bytes);
    bench_finish(&watch, field.count);
    return 0;
}
