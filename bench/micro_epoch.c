/* micro_epoch.c: goal: the cost of a fresh snapshot of an allocator's statistics, as monitors take
 * it by writing "epoch". Method: micro_epoch REFRESHES: ARENAS threads, each bound to an arena of
 * its own by thread.arena, hold blocks of 8 bytes to 32 KiB between as many free ones; while they
 * wait, the main thread refreshes. For allocators with jemalloc's mallctl, found by dlsym.
 */
#define _GNU_SOURCE 1
#include "bench_common.h"

#include <pthread.h>

enum { ARENAS = 8, BLOCKS = 400 };

typedef int mallctl_function(const char *, void *, size_t *, void *, size_t);

static mallctl_function *mallctl_found;
static pthread_barrier_t filled;
static pthread_barrier_t done;

static void *fill_arena(void *context)
{
    unsigned arena = (unsigned)(uintptr_t)context;
    struct bench_random random = {BENCH_SEED + arena};
    void *blocks[BLOCKS];
    if (mallctl_found("thread.arena", NULL, NULL, &arena, sizeof arena) != 0) {
        bench_die("no such arena");
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = bench_malloc(bench_random_log(&random, 8, 12));
    }
    for (size_t i = 0; i < BLOCKS; i += 2) {
        free(blocks[i]);
    }
    pthread_barrier_wait(&filled);
    pthread_barrier_wait(&done);
    for (size_t i = 1; i < BLOCKS; i += 2) {
        free(blocks[i]);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t refreshes = bench_argument(argc, argv, 1, 10000);
    void *symbol = dlsym(RTLD_DEFAULT, "mallctl");
    if (symbol == NULL) {
        bench_die("the allocator has no mallctl");
    }
    memcpy(&mallctl_found, &symbol, sizeof mallctl_found);

    pthread_t threads[ARENAS];
    pthread_barrier_init(&filled, NULL, ARENAS + 1);
    pthread_barrier_init(&done, NULL, ARENAS + 1);
    for (uintptr_t i = 0; i < ARENAS; i++) {
        if (pthread_create(&threads[i], NULL, fill_arena, (void *)i) != 0) {
            bench_die("pthread_create failed");
        }
    }
    pthread_barrier_wait(&filled);

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    for (uint64_t i = 0; i < refreshes; i++) {
        uint64_t epoch = 1;
        if (mallctl_found("epoch", NULL, NULL, &epoch, sizeof epoch) != 0) {
            bench_die("no refresh");
        }
    }
    bench_stop(&watch);
    pthread_barrier_wait(&done);
    for (size_t i = 0; i < ARENAS; i++) {
        pthread_join(threads[i], NULL);
    }

    printf("ns_per_refresh %.1f\n", (double)watch.cpu_ns / (double)refreshes);
    bench_finish(&watch, refreshes);
    return 0;
}
