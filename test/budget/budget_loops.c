/* budget_loops.c: goal: the number of instructions of one operation of an allocator. Method: a loop
 * runs under callgrind with the allocator's functions and with functions that only return, for two
 * counts of rounds each; budget_mark() separates the four runs and the warm-up before them.
 * Differences of the counts leave the operation alone: starting and warming cancel, and so does the
 * loop. The loops call through a table, so both run the very same code.
 *
 *     budget_loops LOOP SIZE-OR-NAME ROUNDS MORE-ROUNDS
 *
 * Linked with no allocator: the one to count is preloaded, so peers are counted with the same
 * program. run_budget reads the counts and holds them against budgets.tsv.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_BLOCKS = 1000, HIT_CLASSES = 16, STEP_BYTES = 4096 };

typedef int control_function(const size_t *mib, size_t mib_length, void *old, size_t *old_length,
                             void *new, size_t new_length);
typedef int by_name_function(const char *name, void *old, size_t *old_length, void *new,
                             size_t new_length);

struct calls {
    void *(*alloc)(size_t size);
    void (*release)(void *block);
    void *(*zeroed)(size_t count, size_t size);
    void *(*resize)(void *block, size_t size);
    void (*release_sized)(void *block, size_t size, int flags);
    control_function *control;
    by_name_function *control_by_name;
};

typedef void loop_function(const struct calls *calls, size_t size, size_t rounds);

/* Not every allocator has them. */
__attribute__((weak)) void sdallocx(void *block, size_t size, int flags);
__attribute__((weak)) control_function mallctlbymib;
__attribute__((weak)) by_name_function mallctl;
__attribute__((weak)) int mallctlnametomib(const char *name, size_t *mib, size_t *mib_length);

void budget_mark(void);
void *budget_empty_alloc(size_t size);
void budget_empty_free(void *block);
void *budget_empty_calloc(size_t count, size_t size);
void *budget_empty_realloc(void *block, size_t size);
void budget_empty_sdallocx(void *block, size_t size, int flags);
control_function budget_empty_mallctlbymib;
by_name_function budget_empty_mallctl;

static void pair_loop(const struct calls *calls, size_t size, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        calls->release(calls->alloc(size));
    }
}

static void calloc_loop(const struct calls *calls, size_t size, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        calls->release(calls->zeroed(1, size));
    }
}

static void sized_loop(const struct calls *calls, size_t size, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        calls->release_sized(calls->alloc(size), size, 0);
    }
}

/* One block of each of several classes, so that nothing is the class used last. */
static void hit_loop(const struct calls *calls, size_t size, size_t rounds)
{
    static const size_t sizes[HIT_CLASSES] = {8,   16,  32,  48,  80,   96,   160,  224,
                                              320, 448, 640, 896, 1280, 1792, 2560, 4096};
    void *blocks[HIT_CLASSES];
    (void)size;
    for (size_t i = 0; i < rounds; i++) {
        for (size_t j = 0; j < HIT_CLASSES; j++) {
            blocks[j] = calls->alloc(sizes[j]);
        }
        for (size_t j = 0; j < HIT_CLASSES; j++) {
            calls->release(blocks[j]);
        }
    }
}

/* Freed in the order of their allocation: more than a thread keeps of some classes. */
static void batch_loop(const struct calls *calls, size_t size, size_t rounds)
{
    static void *blocks[BATCH_BLOCKS];
    for (size_t i = 0; i < rounds; i++) {
        for (size_t j = 0; j < BATCH_BLOCKS; j++) {
            blocks[j] = calls->alloc(size);
        }
        for (size_t j = 0; j < BATCH_BLOCKS; j++) {
            calls->release(blocks[j]);
        }
    }
}

static void growth_loop(const struct calls *calls, size_t size, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        void *block = NULL;
        for (size_t bytes = STEP_BYTES; bytes <= size; bytes += STEP_BYTES) {
            block = calls->resize(block, bytes);
        }
        calls->release(block);
    }
}

/* A block that moves between two classes: a string that grows and is cut again. */
static void resize_loop(const struct calls *calls, size_t size, size_t rounds)
{
    void *block = calls->alloc(size);
    for (size_t i = 0; i < rounds; i++) {
        block = calls->resize(block, 4 * size);
        block = calls->resize(block, size);
    }
    calls->release(block);
}

/* Blocks on their way between two threads. turn: 0 the owner allocates, 1 the other frees. */
struct handover {
    pthread_mutex_t lock;
    pthread_cond_t turned;
    int turn;
    const struct calls *calls;
    size_t rounds;
    void *blocks[BATCH_BLOCKS];
};

static void wait_for_turn(struct handover *handover, int turn)
{
    pthread_mutex_lock(&handover->lock);
    while (handover->turn != turn) {
        pthread_cond_wait(&handover->turned, &handover->lock);
    }
    pthread_mutex_unlock(&handover->lock);
}

static void give_turn(struct handover *handover, int turn)
{
    pthread_mutex_lock(&handover->lock);
    handover->turn = turn;
    pthread_cond_signal(&handover->turned);
    pthread_mutex_unlock(&handover->lock);
}

static void *free_in_thread(void *argument)
{
    struct handover *handover = argument;
    for (size_t i = 0; i < handover->rounds; i++) {
        wait_for_turn(handover, 1);
        for (size_t j = 0; j < BATCH_BLOCKS; j++) {
            handover->calls->release(handover->blocks[j]);
        }
        give_turn(handover, 0);
    }
    return NULL;
}

/* The driver counts inside the allocator's functions only: waiting costs what it costs. */
static void remote_loop(const struct calls *calls, size_t size, size_t rounds)
{
    static struct handover handover = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                       .turned = PTHREAD_COND_INITIALIZER};
    handover.turn = 0;
    handover.calls = calls;
    handover.rounds = rounds;
    pthread_t thread;
    if (pthread_create(&thread, NULL, free_in_thread, &handover) != 0) {
        fputs("budget_loops: no thread\n", stderr);
        exit(1);
    }
    for (size_t i = 0; i < rounds; i++) {
        wait_for_turn(&handover, 0);
        for (size_t j = 0; j < BATCH_BLOCKS; j++) {
            handover.blocks[j] = calls->alloc(size);
        }
        give_turn(&handover, 1);
    }
    pthread_join(thread, NULL);
}

/* The name of a counter, where a size stands for other loops. */
static const char *asked_name;

static void counter_loop(const struct calls *calls, size_t size, size_t rounds)
{
    size_t mib[8];
    size_t mib_length = sizeof mib / sizeof mib[0];
    (void)size;
    if (mallctlnametomib(asked_name, mib, &mib_length) != 0) {
        fprintf(stderr, "budget_loops: no %s\n", asked_name);
        exit(1);
    }
    for (size_t i = 0; i < rounds; i++) {
        uint64_t value;
        size_t length = sizeof value;
        (void)calls->control(mib, mib_length, &value, &length, NULL, 0);
    }
}

static void name_loop(const struct calls *calls, size_t size, size_t rounds)
{
    (void)size;
    for (size_t i = 0; i < rounds; i++) {
        uint64_t value;
        size_t length = sizeof value;
        (void)calls->control_by_name(asked_name, &value, &length, NULL, 0);
    }
}

static const struct {
    const char *name;
    loop_function *run;
} loops[] = {
    {"pair", pair_loop},     {"calloc", calloc_loop}, {"sized", sized_loop},
    {"hit", hit_loop},       {"batch", batch_loop},   {"growth", growth_loop},
    {"resize", resize_loop}, {"remote", remote_loop}, {"counter", counter_loop},
    {"name", name_loop},
};

static loop_function *loop_named(const char *name)
{
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        if (strcmp(loops[i].name, name) == 0) {
            return loops[i].run;
        }
    }
    return NULL;
}

int main(int argument_count, char **arguments)
{
    static const struct calls empty = {
        budget_empty_alloc,    budget_empty_free,         budget_empty_calloc, budget_empty_realloc,
        budget_empty_sdallocx, budget_empty_mallctlbymib, budget_empty_mallctl};
    const struct calls real = {malloc, free, calloc, realloc, sdallocx, mallctlbymib, mallctl};
    loop_function *run = argument_count == 5 ? loop_named(arguments[1]) : NULL;
    if (run == NULL) {
        fputs("budget_loops: LOOP SIZE-OR-NAME ROUNDS MORE-ROUNDS\n", stderr);
        return 1;
    }
    bool asks = run == counter_loop || run == name_loop;
    if ((run == sized_loop && sdallocx == NULL) || (asks && mallctl == NULL)) {
        fputs("budget_loops: the allocator does not have this function\n", stderr);
        return 2;
    }
    asked_name = arguments[2];
    size_t size = strtoul(arguments[2], NULL, 10);
    size_t rounds = strtoul(arguments[3], NULL, 10);
    size_t more_rounds = strtoul(arguments[4], NULL, 10);
    run(&real, size, rounds);
    budget_mark();
    run(&real, size, rounds);
    budget_mark();
    run(&real, size, more_rounds);
    budget_mark();
    run(&empty, size, rounds);
    budget_mark();
    run(&empty, size, more_rounds);
    budget_mark();
    return 0;
}
