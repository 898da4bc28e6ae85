/* micro_churn.c: goal: the cost of threads that come and go: making, filling and giving back what
 * an allocator keeps for each. Method: micro_churn THREADS BLOCKS: THREADS short threads, WIDTH at
 * a time; each allocates BLOCKS blocks of 16..1024 bytes, frees all but one, and leaves that one
 * to the thread that is started after it.
 */
#include "bench_common.h"

#include <pthread.h>

enum { WIDTH = 4, BLOCKS_MAX = 4096 };

struct visit {
    pthread_t thread;
    size_t block_count;
    uint64_t seed;
    void *inherited;
    void *left_behind;
};

static void *visit_run(void *context)
{
    struct visit *visit = context;
    struct bench_random random = {visit->seed};
    void *blocks[BLOCKS_MAX];
    for (size_t i = 0; i < visit->block_count; i++) {
        blocks[i] = bench_malloc(bench_random_between(&random, 16, 1024));
    }
    free(visit->inherited);
    for (size_t i = 1; i < visit->block_count; i++) {
        free(blocks[i]);
    }
    visit->left_behind = blocks[0];
    return NULL;
}

int main(int argc, char **argv)
{
    size_t thread_count = (size_t)bench_argument(argc, argv, 1, 20000);
    size_t block_count = (size_t)bench_argument(argc, argv, 2, 300);
    if (block_count == 0 || block_count > BLOCKS_MAX) {
        bench_die("usage: micro_churn THREADS BLOCKS, BLOCKS 1..4096");
    }

    struct visit visits[WIDTH] = {0};
    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    for (size_t i = 0; i < thread_count; i++) {
        struct visit *visit = &visits[i % WIDTH];
        if (i >= WIDTH) {
            pthread_join(visit->thread, NULL);
        }
        visit->inherited = visit->left_behind;
        visit->block_count = block_count;
        visit->seed = BENCH_SEED + i;
        if (pthread_create(&visit->thread, NULL, visit_run, visit) != 0) {
            bench_die("pthread_create failed");
        }
    }
    for (size_t i = 0; i < WIDTH && i < thread_count; i++) {
        pthread_join(visits[i].thread, NULL);
    }
    bench_stop(&watch);

    bench_finish(&watch, thread_count * block_count);
    return 0;
}
