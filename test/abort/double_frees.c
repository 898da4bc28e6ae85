/* double_frees.c: goal: a block that is freed twice ends the process with one line.
 *
 * Method: the block freed last is caught by the second call itself, in every class. A block with
 * other frees between is caught at the latest when the cache that holds it is flushed, explicitly
 * or by the thread's exit; so is one whose first free is already back in its slab, also when
 * another thread did it. Large blocks beyond the cache and huge ones are always caught at once.
 */
#include <jemalloc/jemalloc.h>

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "death_check.h"

enum { SMALL_MAX = 14336, CACHED_MAX = 32768, BETWEEN = 3 };

static void flush(void)
{
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}

static size_t size_of(const void *argument)
{
    return *(const size_t *)argument;
}

/* The compiler may not know that it is the same block. */
static void *new_block(const void *argument)
{
    void *volatile block = malloc(size_of(argument));
    if (block == NULL) {
        exit(EXIT_FAILURE);
    }
    return block;
}

static void at_once(void *argument)
{
    void *volatile block = new_block(argument);
    free(block);
    free(block);
}

static void after_others(void *argument)
{
    void *volatile other = new_block(argument);
    void *volatile block = new_block(argument);
    free(other);
    free(block);
    free(block);
}

static void free_then_dallocx(void *argument)
{
    void *volatile block = new_block(argument);
    free(block);
    dallocx(block, 0);
}

static void dallocx_then_free(void *argument)
{
    void *volatile block = new_block(argument);
    dallocx(block, 0);
    free(block);
}

static void sdallocx_then_free(void *argument)
{
    void *volatile block = new_block(argument);
    sdallocx(block, size_of(argument), 0);
    free(block);
}

static void free_then_realloc_zero(void *argument)
{
    void *volatile block = new_block(argument);
    free(block);
    block = realloc(block, 0);
}

/* Small blocks always move when their class changes. */
static void after_realloc_moved(void *argument)
{
    void *volatile before = new_block(argument);
    void *volatile after = realloc(before, 4 * size_of(argument) + 4096);
    free(before);
    free(after);
}

/* An alignment that the address does not have forces a move at any size. */
static void after_rallocx_moved(void *argument)
{
    void *volatile before = new_block(argument);
    uintptr_t address = (uintptr_t)before;
    size_t alignment = 2 * (size_t)(address & -address);
    void *volatile after = rallocx(before, size_of(argument), MALLOCX_ALIGN(alignment));
    free(before);
    free(after);
}

static void others_between(void *argument)
{
    void *volatile other[BETWEEN];
    void *volatile block = new_block(argument);
    for (size_t i = 0; i < BETWEEN; i++) {
        other[i] = new_block(argument);
    }
    free(block);
    for (size_t i = 0; i < BETWEEN; i++) {
        free(other[i]);
    }
    free(block);
}

static void *others_between_thread(void *argument)
{
    others_between(argument);
    return NULL;
}

/* No explicit flush: the exit of the thread must see it. */
static void at_thread_exit(void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, others_between_thread, argument) == 0) {
        pthread_join(thread, NULL);
    }
}

static void after_flush(void *argument)
{
    void *volatile block = new_block(argument);
    free(block);
    flush();
    free(block);
}

static void *free_thread(void *block)
{
    free(block);
    return NULL;
}

static void after_another_thread(void *argument)
{
    pthread_t thread;
    void *volatile block = new_block(argument);
    if (pthread_create(&thread, NULL, free_thread, block) == 0) {
        pthread_join(thread, NULL);
    }
    free(block);
}

struct second_free {
    pthread_barrier_t freed;
    void *block;
};

static void *second_free_thread(void *argument)
{
    struct second_free *second = argument;
    pthread_barrier_wait(&second->freed);
    free(second->block);
    return NULL;
}

/* The thread is there before the first free: its creation allocates, and might get the block. */
static void in_two_caches(void *argument)
{
    pthread_t thread;
    struct second_free second = {.block = new_block(argument)};
    pthread_barrier_init(&second.freed, NULL, 2);
    if (pthread_create(&thread, NULL, second_free_thread, &second) == 0) {
        free(second.block);
        pthread_barrier_wait(&second.freed);
        pthread_join(thread, NULL);
    }
}

struct mistake_row {
    const char *name;
    void (*run)(void *argument);
    enum moment latest;   /* for sizes that are cached */
    size_t largest_bytes; /* that the row makes sense for */
};

static const struct mistake_row mistakes[] = {
    {"free, free", at_once, AT_ONCE, SIZE_MAX},
    {"free of another, free, free", after_others, AT_ONCE, SIZE_MAX},
    {"free, dallocx", free_then_dallocx, AT_ONCE, SIZE_MAX},
    {"dallocx, free", dallocx_then_free, AT_ONCE, SIZE_MAX},
    {"sdallocx, free", sdallocx_then_free, AT_ONCE, SIZE_MAX},
    {"free, realloc(p, 0)", free_then_realloc_zero, AT_ONCE, SIZE_MAX},
    {"realloc that moves, free of the old", after_realloc_moved, AT_ONCE, SMALL_MAX},
    {"rallocx that moves, free of the old", after_rallocx_moved, AT_ONCE, SIZE_MAX},
    {"free, others, free, flush", others_between, BY_FLUSH, SIZE_MAX},
    {"free, others, free, thread exit", at_thread_exit, BY_FLUSH, CACHED_MAX},
    {"free, flush, free, flush", after_flush, BY_FLUSH, SIZE_MAX},
    {"free by a thread that exits, free, flush", after_another_thread, BY_FLUSH, SIZE_MAX},
    {"free, free by a thread that exits, flush", in_two_caches, BY_FLUSH, SIZE_MAX},
};

static void try_size(size_t size_bytes)
{
    char name[128];
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        const struct mistake_row *row = &mistakes[i];
        bool cached = size_bytes <= CACHED_MAX;
        if (size_bytes <= row->largest_bytes) {
            snprintf(name, sizeof name, "%s: %zu bytes", row->name, size_bytes);
            death_expect(name, cached ? row->latest : AT_ONCE, row->run, &size_bytes);
        }
    }
}

int main(void)
{
    static const size_t beyond[] = {36864,   65536,   262144,   1 << 20, (1 << 20) + 4096,
                                    2 << 20, 8 << 20, 100 << 20};
    for (size_t size_bytes = 8; size_bytes <= CACHED_MAX; size_bytes = nallocx(size_bytes + 1, 0)) {
        try_size(size_bytes);
    }
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        try_size(beyond[i]);
    }
    return death_report();
}
