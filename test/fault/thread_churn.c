/* thread_churn.c: goal: threads that come and go, in every way, leave nothing behind.
 *
 * Method: short threads that allocate and end by return, by pthread_exit, by cancellation, or
 * after thread-specific destructors that allocate and free and ask to be called again; each
 * leaves a block to the main thread, which compares and frees it. After a warm-up the resident
 * size may grow by one page per 1,000 threads, plus the noise of measuring.
 *
 *   thread_churn [SEED [THREADS]]
 */
#include <jemalloc/jemalloc.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "process_memory.h"
#include "tagged_load.h"

enum {
    WAVE = 8, /* threads at a time */
    WARM_THREADS_MIN = 800,
    STEPS = 60,
    DESTRUCTOR_ROUNDS = 3,
    LARGEST = 1 << 15,
    PAGE = 4096,
    NOISE_PAGES = 64,
};

enum ending { BY_RETURN, BY_EXIT, BY_CANCELLATION, BY_DESTRUCTORS, ENDING_COUNT };

struct visitor {
    pthread_t thread;
    enum ending ending;
    struct tagged_load load;
    struct tagged_block left; /* for the main thread */
};

static pthread_key_t key;
static struct visitor visitors[WAVE];
static uint64_t destructor_calls;

/* The value is a block that counts the rounds; each round brings a new block. */
static void destructor(void *value)
{
    unsigned char *block = value;
    unsigned char round = block[0];
    free(block);
    __atomic_fetch_add(&destructor_calls, 1, __ATOMIC_RELAXED);
    if (round < DESTRUCTOR_ROUNDS) {
        unsigned char *next = malloc(100 + 1000 * (size_t)round);
        if (next == NULL) {
            load_finding("a request in a destructor was refused, in round", round);
        }
        next[0] = (unsigned char)(round + 1);
        pthread_setspecific(key, next);
    }
}

static void *visitor_main(void *argument)
{
    struct visitor *visitor = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    load_steps(&visitor->load, STEPS);
    load_finish(&visitor->load);
    visitor->left.size_bytes = random_size(&visitor->load.random, LARGEST);
    visitor->left.tag = random_next(&visitor->load.random);
    visitor->left.start = malloc(visitor->left.size_bytes);
    if (visitor->left.start == NULL) {
        load_finding("a request was refused, of size", visitor->left.size_bytes);
    }
    tagged_fill(&visitor->left);
    if (visitor->ending == BY_DESTRUCTORS) {
        unsigned char *first = calloc(1, 64);
        pthread_setspecific(key, first);
    }
    if (visitor->ending == BY_EXIT) {
        pthread_exit(NULL);
    }
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    while (visitor->ending == BY_CANCELLATION) {
        usleep(20); /* a point of cancellation */
    }
    return NULL;
}

static void wave(uint64_t seed, uint64_t number)
{
    for (size_t i = 0; i < WAVE; i++) {
        struct visitor *visitor = &visitors[i];
        visitor->ending = (enum ending)(i % ENDING_COUNT);
        load_start(&visitor->load, seed, number * WAVE + i, LARGEST);
        if (pthread_create(&visitor->thread, NULL, visitor_main, visitor) != 0) {
            load_finding("a thread could not be started", i);
        }
        if (visitor->ending == BY_CANCELLATION) {
            pthread_cancel(visitor->thread);
        }
    }
    for (size_t i = 0; i < WAVE; i++) {
        pthread_join(visitors[i].thread, NULL);
        tagged_check(&visitors[i].left);
        free(visitors[i].left.start);
    }
}

int main(int argc, char **argv)
{
    static char command[128];
    uint64_t seed = argc > 1 ? (uint64_t)strtoull(argv[1], NULL, 0) : (uint64_t)getpid();
    uint64_t wanted = argc > 2 ? (uint64_t)strtoull(argv[2], NULL, 0) : 2000;
    uint64_t warm = wanted / 10 > WARM_THREADS_MIN ? wanted / 10 : WARM_THREADS_MIN;
    uint64_t number = 0;
    snprintf(command, sizeof command, "%s %" PRIu64 " %" PRIu64, argv[0], seed, wanted);
    load_command_set(command);
    puts(command);
    pthread_key_create(&key, destructor);
    for (; number * WAVE < warm; number++) {
        wave(seed, number);
    }
    load_purge();
    size_t resident_warm = resident_bytes();
    for (; number * WAVE < warm + wanted; number++) {
        wave(seed, number);
    }
    load_purge();
    size_t resident_end = resident_bytes();
    printf("%" PRIu64 " threads after a warm-up of %" PRIu64 ", %" PRIu64
           " destructors; resident %zu, then %zu KiB\n",
           wanted, warm, destructor_calls, resident_warm / 1024, resident_end / 1024);
    if (resident_end > resident_warm + (NOISE_PAGES + wanted / 1000) * PAGE) {
        load_finding("threads leave memory behind; bytes", resident_end - resident_warm);
    }
    return EXIT_SUCCESS;
}
