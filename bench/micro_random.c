/* micro_random.c: goal: the cost of replacing a random one of many live blocks, where cache misses
 * count more than instructions. Method: micro_random SLOTS LOW HIGH N fills SLOTS blocks of
 * LOW..HIGH bytes (not timed), then N times frees one at random and puts a new one of random size
 * in its place. The generator's seed is fixed and printed.
 */
#include "bench_common.h"

int main(int argc, char **argv)
{
    size_t slot_count = (size_t)bench_argument(argc, argv, 1, 10000);
    size_t low_bytes = (size_t)bench_argument(argc, argv, 2, 16);
    size_t high_bytes = (size_t)bench_argument(argc, argv, 3, 1024);
    uint64_t count = bench_argument(argc, argv, 4, 1000000);
    if (slot_count == 0 || low_bytes == 0 || high_bytes < low_bytes) {
        bench_die("usage: micro_random SLOTS LOW HIGH N");
    }

    struct bench_random random = {BENCH_SEED};
    void **slots = bench_malloc(slot_count * sizeof *slots);
    for (size_t i = 0; i < slot_count; i++) {
        slots[i] = bench_malloc(bench_random_between(&random, low_bytes, high_bytes));
    }

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    for (uint64_t i = 0; i < count; i++) {
        size_t slot = bench_random_between(&random, 0, slot_count - 1);
        free(slots[slot]);
        slots[slot] = bench_malloc(bench_random_between(&random, low_bytes, high_bytes));
    }
    bench_stop(&watch);

    bench_finish(&watch, count);
    return 0;
}
