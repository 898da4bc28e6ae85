/* micro_server.c: goal: the cost of a server's life: arrays of live blocks that pass from thread
 * to thread. Method: micro_server THREADS N: arrays of blocks wait in a queue; a thread takes the
 * oldest, replaces REPLACE_COUNT random blocks of it (16..1024 bytes), and puts it back, until N
 * blocks have been replaced in all. Most frees are thus of another thread's blocks. The live heap
 * is the same for every number of threads, apart from the arrays that are in work.
 */
#include "bench_common.h"

#include <pthread.h>

enum {
    ARRAY_SLOTS = 100,
    REPLACE_COUNT = 500,
    ARRAYS_MIN = 500,
    LOW_BYTES = 16,
    HIGH_BYTES = 1024
};

struct block_array {
    struct bench_random random;
    void *blocks[ARRAY_SLOTS];
};

static struct {
    pthread_mutex_t mutex;
    struct block_array **arrays; /* under mutex, as are head and count */
    size_t capacity;
    size_t head;
    size_t count;
    uint64_t rounds_left;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void queue_put(struct block_array *array)
{
    pthread_mutex_lock(&queue.mutex);
    queue.arrays[(queue.head + queue.count) % queue.capacity] = array;
    queue.count++;
    pthread_mutex_unlock(&queue.mutex);
}

/* NULL when the work is done. There are more arrays than threads, so the queue is never empty. */
static struct block_array *queue_take(void)
{
    struct block_array *array = NULL;
    pthread_mutex_lock(&queue.mutex);
    if (queue.rounds_left > 0 && queue.count > 0) {
        queue.rounds_left--;
        array = queue.arrays[queue.head];
        queue.head = (queue.head + 1) % queue.capacity;
        queue.count--;
    }
    pthread_mutex_unlock(&queue.mutex);
    return array;
}

static void *serve(void *unused)
{
    for (struct block_array *array = queue_take(); array != NULL; array = queue_take()) {
        for (unsigned i = 0; i < REPLACE_COUNT; i++) {
            size_t slot = bench_random_between(&array->random, 0, ARRAY_SLOTS - 1);
            free(array->blocks[slot]);
            array->blocks[slot] =
                bench_malloc(bench_random_between(&array->random, LOW_BYTES, HIGH_BYTES));
        }
        queue_put(array);
    }
    return unused;
}

static void queue_fill(size_t array_count)
{
    queue.capacity = array_count;
    queue.arrays = bench_malloc(array_count * sizeof *queue.arrays);
    for (size_t i = 0; i < array_count; i++) {
        struct block_array *array = bench_malloc(sizeof *array);
        array->random.state = BENCH_SEED + i * 7919;
        for (size_t slot = 0; slot < ARRAY_SLOTS; slot++) {
            array->blocks[slot] =
                bench_malloc(bench_random_between(&array->random, LOW_BYTES, HIGH_BYTES));
        }
        queue_put(array);
    }
}

int main(int argc, char **argv)
{
    size_t thread_count = (size_t)bench_argument(argc, argv, 1, 2);
    queue.rounds_left = bench_argument(argc, argv, 2, 1000000) / REPLACE_COUNT;
    uint64_t operations = queue.rounds_left * REPLACE_COUNT;
    if (thread_count == 0 || thread_count > 100000) {
        bench_die("usage: micro_server THREADS N");
    }
    queue_fill(ARRAYS_MIN + thread_count);
    pthread_t *threads = bench_malloc(thread_count * sizeof *threads);

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    for (size_t i = 0; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, serve, NULL) != 0) {
            bench_die("pthread_create failed");
        }
    }
    for (size_t i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
    }
    bench_stop(&watch);

    bench_finish(&watch, operations);
    return 0;
}
