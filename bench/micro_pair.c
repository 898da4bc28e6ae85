/* micro_pair.c: goal: the cost of the shortest lives. Method: three loops over one size,
 * single-threaded, chosen by the first word:
 *   pair SIZE N          malloc and free, N times
 *   batch SIZE COUNT N   COUNT mallocs, then COUNT frees in the same order, until N have lived
 *   calloc SIZE N        calloc and free, N times
 * Each block is written once. No randomness.
 */
#include "bench_common.h"

enum { BATCH_MAX = 65536 };

static void pair_run(size_t size_bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        free(bench_malloc(size_bytes));
    }
}

static void calloc_run(size_t size_bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        void *block = calloc(1, size_bytes);
        if (block == NULL) {
            bench_die("calloc refused");
        }
        bench_touch(block);
        free(block);
    }
}

static void batch_run(size_t size_bytes, size_t batch_count, uint64_t count)
{
    static void *blocks[BATCH_MAX];
    for (uint64_t done = 0; done < count; done += batch_count) {
        for (size_t i = 0; i < batch_count; i++) {
            blocks[i] = bench_malloc(size_bytes);
        }
        for (size_t i = 0; i < batch_count; i++) {
            free(blocks[i]);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        bench_die("usage: micro_pair pair SIZE N | batch SIZE COUNT N | calloc SIZE N");
    }
    size_t size_bytes = (size_t)bench_argument(argc, argv, 2, 16);
    bool is_batch = strcmp(argv[1], "batch") == 0;
    uint64_t count = bench_argument(argc, argv, is_batch ? 4 : 3, 1000000);
    uint64_t batch_count = is_batch ? bench_argument(argc, argv, 3, 32) : 1;
    if (batch_count == 0 || batch_count > BATCH_MAX) {
        bench_die("COUNT must be 1..65536");
    }

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    if (is_batch) {
        batch_run(size_bytes, (size_t)batch_count, count);
    } else if (strcmp(argv[1], "calloc") == 0) {
        calloc_run(size_bytes, count);
    } else {
        pair_run(size_bytes, count);
    }
    bench_stop(&watch);

    bench_finish(&watch, count);
    return 0;
}
