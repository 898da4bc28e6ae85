/* drift_threads.c: goal: what a thousand threads cost in time and memory, and what of it stays
 * when they are gone. Method: drift_threads THREADS OPERATIONS IDLE_MS: each thread replaces
 * random ones of its blocks of 16 B..16 KiB (every page written), OPERATIONS times; one block in
 * ten goes to another thread through a shared table and is freed there. All threads live until all
 * are done; then each frees what it has and its share of the table, and exits. `peak_rss_kib` is
 * read when all are done, `gone_rss_kib` IDLE_MS after the last has exited.
 */
#include "bench_common.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SLOTS = 100, LOW_BYTES = 16, HIGH_BYTES = 16384, EXCHANGES = 4096, EXCHANGE_EACH = 10 };

/* Any thread puts a block in and takes another out; acquire-release hands over its content. */
static _Atomic(void *) exchange[EXCHANGES];

static struct {
    pthread_barrier_t all_done;
    pthread_barrier_t measured;
    uint64_t operations;
    size_t thread_count;
} run;

static void *block_new(struct bench_random *random)
{
    size_t size_bytes = bench_random_between(random, LOW_BYTES, HIGH_BYTES);
    void *block = bench_malloc(size_bytes);
    bench_touch_pages(block, 0, size_bytes);
    return block;
}

static void *thread_run(void *context)
{
    size_t index = (size_t)(uintptr_t)context;
    struct bench_random random = {BENCH_SEED + index * 7919};
    void *slots[SLOTS] = {0};
    for (uint64_t i = 0; i < run.operations; i++) {
        size_t slot = bench_random_between(&random, 0, SLOTS - 1);
        void *leaving = slots[slot];
        if (leaving != NULL && i % EXCHANGE_EACH == 0) {
            size_t place = bench_random_between(&random, 0, EXCHANGES - 1);
            leaving = atomic_exchange_explicit(&exchange[place], leaving, memory_order_acq_rel);
        }
        free(leaving);
        slots[slot] = block_new(&random);
    }
    pthread_barrier_wait(&run.all_done);
    pthread_barrier_wait(&run.measured);
    for (size_t slot = 0; slot < SLOTS; slot++) {
        free(slots[slot]);
    }
    for (size_t place = index; place < EXCHANGES; place += run.thread_count) {
        free(atomic_load_explicit(&exchange[place], memory_order_relaxed));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t thread_count = (size_t)bench_argument(argc, argv, 1, 1000);
    if (thread_count == 0 || thread_count > 100000) {
        bench_die("usage: drift_threads THREADS OPERATIONS IDLE_MS");
    }
    run.thread_count = thread_count;
    run.operations = bench_argument(argc, argv, 2, 1000);
    unsigned idle_ms = (unsigned)bench_argument(argc, argv, 3, 15000);
    pthread_barrier_init(&run.all_done, NULL, (unsigned)thread_count + 1);
    pthread_barrier_init(&run.measured, NULL, (unsigned)thread_count + 1);
    pthread_t *threads = bench_malloc(thread_count * sizeof *threads);

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    for (size_t i = 0; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, thread_run, (void *)(uintptr_t)i) != 0) {
            bench_die("pthread_create failed");
        }
    }
    pthread_barrier_wait(&run.all_done);
    uint64_t peak_rss_kib = bench_rss_kib();
    pthread_barrier_wait(&run.measured);
    for (size_t i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
    }
    bench_stop(&watch);
    bench_idle_ms(idle_ms);

    bench_report("peak_rss_kib", peak_rss_kib);
    bench_report("gone_rss_kib", bench_rss_kib());
    bench_finish(&watch, (uint64_t)thread_count * run.operations);
    return 0;
}
