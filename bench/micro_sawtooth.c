/* micro_sawtooth.c: goal: what memory that goes up and down costs in time, and what stays resident
 * when the program rests. Method: micro_sawtooth MIB TEETH IDLE_MS: fill MIB mebibytes with blocks
 * of 64 B..64 KiB (log-uniform, every page written), free all but each twentieth, rest, and
 * repeat; survivors go at the next tooth. Idle time is in neither clock. `idle_rss_kib` is
 * resident memory after the last rest.
 */
#include "bench_common.h"

enum { LOW_BYTES = 64, DOUBLINGS = 10, KEEP_EACH = 20 };

struct tooth {
    void **blocks;
    size_t block_count;
    size_t capacity;
};

static void tooth_fill(struct tooth *tooth, struct bench_random *random, size_t total_bytes)
{
    size_t filled_bytes = 0;
    tooth->block_count = 0;
    while (filled_bytes < total_bytes && tooth->block_count < tooth->capacity) {
        size_t size_bytes = bench_random_log(random, LOW_BYTES, DOUBLINGS);
        void *block = bench_malloc(size_bytes);
        bench_touch_pages(block, 0, size_bytes);
        tooth->blocks[tooth->block_count++] = block;
        filled_bytes += size_bytes;
    }
}

static void tooth_free(struct tooth *tooth, bool survivors)
{
    for (size_t i = 0; i < tooth->block_count; i++) {
        if ((i % KEEP_EACH == 0) == survivors) {
            free(tooth->blocks[i]);
        }
    }
}

int main(int argc, char **argv)
{
    size_t total_bytes = (size_t)bench_argument(argc, argv, 1, 64) << 20;
    uint64_t tooth_count = bench_argument(argc, argv, 2, 10);
    unsigned idle_ms = (unsigned)bench_argument(argc, argv, 3, 100);
    struct bench_random random = {BENCH_SEED};
    struct tooth tooth = {.capacity = total_bytes / 1024};
    tooth.blocks = bench_malloc(tooth.capacity * sizeof *tooth.blocks);

    uint64_t operations = 0;
    struct bench_stopwatch watch = {0};
    for (uint64_t i = 0; i < tooth_count; i++) {
        bench_start(&watch);
        tooth_free(&tooth, true);
        tooth_fill(&tooth, &random, total_bytes);
        tooth_free(&tooth, false);
        bench_stop(&watch);
        operations += tooth.block_count;
        bench_idle_ms(idle_ms);
    }
    bench_report("idle_rss_kib", bench_rss_kib());

    bench_finish(&watch, operations);
    return 0;
}
