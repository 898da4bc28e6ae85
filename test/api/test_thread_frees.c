/* test_thread_frees.c: goal: blocks may be freed and resized by another thread than the one that
 * allocated them; no block is lost, handed out twice, or overwritten.
 * Method: threads put tagged blocks into shared places by atomic exchange and check, resize or
 * free what they get out; at the end everything is checked and freed. Seeds are fixed per thread
 * and printed.
 */
#include "api_test.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, PLACES = 512, ROUNDS = LIBRARY_IS_PREFIXED ? 2000 : 8000 };

/* Stands at the head of each block: how long it is and how its rest is marked. */
struct head {
    size_t size;
    uint64_t tag;
};

static _Atomic(struct head *) places[PLACES];
static atomic_uint failures;

static struct head *make_block(uint64_t *random)
{
    unsigned lg = 5 + (unsigned)(random_next(random) % 12);
    size_t size = ((size_t)1 << lg) + random_next(random) % ((size_t)1 << lg);
    struct head *head = random_next(random) % 4 == 0 ? calloc(1, size) : malloc(size);
    if (head == NULL) {
        atomic_fetch_add(&failures, 1);
        return NULL;
    }
    head->size = size;
    head->tag = random_next(random);
    content_fill(head + 1, size - sizeof *head, head->tag);
    return head;
}

static void verify(struct head *head)
{
    bool sound = malloc_usable_size(head) == oracle_usable(head->size) &&
                 content_is(head + 1, head->size - sizeof *head, head->tag);
    if (!sound) {
        atomic_fetch_add(&failures, 1);
    }
}

/* The content survives; the new tail is marked. */
static struct head *resize(struct head *head, uint64_t *random)
{
    size_t old_size = head->size;
    size_t size = sizeof *head + random_next(random) % 20000;
    head = realloc(head, size);
    if (head == NULL) {
        atomic_fetch_add(&failures, 1);
        return NULL;
    }
    size_t kept = old_size < size ? old_size : size;
    if (!content_is(head + 1, kept - sizeof *head, head->tag)) {
        atomic_fetch_add(&failures, 1);
    }
    head->size = size;
    content_fill(head + 1, size - sizeof *head, head->tag);
    return head;
}

static void *exchange_blocks(void *argument)
{
    uint64_t random = 1000 + (uint64_t)(uintptr_t)argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct head *mine = make_block(&random);
        struct head *other = atomic_exchange(&places[random_next(&random) % PLACES], mine);
        if (other == NULL) {
            continue;
        }
        verify(other);
        if (random_next(&random) % 4 == 0) {
            other = resize(other, &random);
        }
        free(other);
    }
    return NULL;
}

static void blocks_wander_between_threads(void **state)
{
    (void)state;
    print_message("seeds: 1000 to %u\n", 1000 + THREADS - 1);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, exchange_blocks, (void *)i), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (unsigned i = 0; i < PLACES; i++) {
        struct head *left = atomic_exchange(&places[i], NULL);
        if (left != NULL) {
            verify(left);
            free(left);
        }
    }
    assert_int_equal(atomic_load(&failures), 0);
}

enum { BATCH = 1000, BATCHES = LIBRARY_IS_PREFIXED ? 50 : 200 };

static void *batches[BATCHES][BATCH];
static atomic_uint batches_ready;

static void *produce(void *argument)
{
    size_t size = (size_t)(uintptr_t)argument;
    for (unsigned b = 0; b < BATCHES; b++) {
        for (unsigned i = 0; i < BATCH; i++) {
            batches[b][i] = malloc(size);
            memset(batches[b][i], 0x21, 16);
        }
        atomic_store_explicit(&batches_ready, b + 1, memory_order_release);
    }
    return NULL;
}

static void one_thread_allocates_another_frees(void **state)
{
    (void)state;
    for (size_t size = 16; size <= 2048; size *= 8) {
        atomic_store(&batches_ready, 0);
        pthread_t producer;
        assert_int_equal(pthread_create(&producer, NULL, produce, (void *)size), 0);
        for (unsigned b = 0; b < BATCHES; b++) {
            while (atomic_load_explicit(&batches_ready, memory_order_acquire) <= b) {
                usleep(50);
            }
            for (unsigned i = 0; i < BATCH; i++) {
                EXPECT(((unsigned char *)batches[b][i])[15] == 0x21, "batch %u block %u", b, i);
                free(batches[b][i]);
            }
        }
        assert_int_equal(pthread_join(producer, NULL), 0);
    }
}

static void *leave_blocks_behind(void *argument)
{
    void **blocks = argument;
    for (unsigned i = 0; i < 100; i++) {
        blocks[i] = malloc(16 + i * 40);
        content_fill(blocks[i], 16 + i * 40, i);
    }
    return NULL;
}

static void blocks_outlive_their_thread(void **state)
{
    (void)state;
    void *blocks[100];
    for (unsigned round = 0; round < 100; round++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, leave_blocks_behind, blocks), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        for (unsigned i = 0; i < 100; i++) {
            EXPECT(content_is(blocks[i], 16 + i * 40, i), "round %u block %u", round, i);
            free(blocks[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_wander_between_threads),
        cmocka_unit_test(one_thread_allocates_another_frees),
        cmocka_unit_test(blocks_outlive_their_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
