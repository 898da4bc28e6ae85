/* micro_handoff.c: goal: the cost of blocks that one thread allocates and another frees. Method:
 * micro_handoff SIZE BATCH N: a producer allocates a batch and passes it on, a consumer frees it
 * in order, until N blocks have lived. Two batches go round, so that both threads work at the same
 * time and neither can run ahead without bound.
 */
#include "bench_common.h"

#include <pthread.h>

enum { RING_SLOTS = 2, BATCH_MAX = 65536 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    void **batches[RING_SLOTS];
    uint64_t produced; /* under mutex, as is consumed */
    uint64_t consumed;
    uint64_t batch_total;
    size_t batch_count;
    size_t size_bytes;
} ring = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void ring_advance(uint64_t *position)
{
    pthread_mutex_lock(&ring.mutex);
    (*position)++;
    pthread_cond_broadcast(&ring.changed);
    pthread_mutex_unlock(&ring.mutex);
}

static void *produce(void *unused)
{
    for (uint64_t batch = 0; batch < ring.batch_total; batch++) {
        pthread_mutex_lock(&ring.mutex);
        while (ring.produced - ring.consumed == RING_SLOTS) {
            pthread_cond_wait(&ring.changed, &ring.mutex);
        }
        pthread_mutex_unlock(&ring.mutex);
        for (size_t i = 0; i < ring.batch_count; i++) {
            ring.batches[batch % RING_SLOTS][i] = bench_malloc(ring.size_bytes);
        }
        ring_advance(&ring.produced);
    }
    return unused;
}

static void *consume(void *unused)
{
    for (uint64_t batch = 0; batch < ring.batch_total; batch++) {
        pthread_mutex_lock(&ring.mutex);
        while (ring.produced == ring.consumed) {
            pthread_cond_wait(&ring.changed, &ring.mutex);
        }
        pthread_mutex_unlock(&ring.mutex);
        for (size_t i = 0; i < ring.batch_count; i++) {
            free(ring.batches[batch % RING_SLOTS][i]);
        }
        ring_advance(&ring.consumed);
    }
    return unused;
}

int main(int argc, char **argv)
{
    ring.size_bytes = (size_t)bench_argument(argc, argv, 1, 64);
    ring.batch_count = (size_t)bench_argument(argc, argv, 2, 1000);
    if (ring.batch_count == 0 || ring.batch_count > BATCH_MAX) {
        bench_die("usage: micro_handoff SIZE BATCH N, BATCH 1..65536");
    }
    ring.batch_total = bench_argument(argc, argv, 3, 1000000) / ring.batch_count;
    for (size_t i = 0; i < RING_SLOTS; i++) {
        ring.batches[i] = bench_malloc(ring.batch_count * sizeof(void *));
    }

    pthread_t producer;
    pthread_t consumer;
    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    if (pthread_create(&producer, NULL, produce, NULL) != 0) {
        bench_die("pthread_create failed");
    }
    if (pthread_create(&consumer, NULL, consume, NULL) != 0) {
        bench_die("pthread_create failed");
    }
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    bench_stop(&watch);

    bench_finish(&watch, ring.batch_total * ring.batch_count);
    return 0;
}
