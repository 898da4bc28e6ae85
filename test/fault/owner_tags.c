/* owner_tags.c: goal: under threads no block is lost, none is given twice, and memory comes back.
 *
 * Method: each thread tags its blocks with its own number, passes a third of them to other
 * threads, which compare and free them, and ends while blocks of its own are live; a later thread
 * frees those. A shadow of the address space (../model/address_shadow.h) sees a block given twice
 * at once. At the end every block that was allocated has been freed exactly once, and the
 * resident size is that of the first cycles, to 10 %.
 *
 *   owner_tags [SEED [CYCLES [THREADS [STEPS]]]]
 */
#include <jemalloc/jemalloc.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../model/address_shadow.h"
#include "process_memory.h"
#include "tagged_load.h"

enum {
    THREADS_MAX = 64,
    OWN_SLOTS = 200,
    BOX_SLOTS = 256,
    LARGEST = 1 << 18,
    WARM_CYCLES = 4,
    NOISE_BYTES = 2 << 20, /* stacks and caches of threads that end in another order */
};

struct owner {
    pthread_t thread;
    struct random_stream random;
    struct tagged_block block[OWN_SLOTS]; /* outlive the thread */
    pthread_mutex_t guard;
    struct tagged_block box[BOX_SLOTS]; /* under guard */
    size_t box_count;                   /* under guard */
};

static struct owner owners[THREADS_MAX];
static size_t owner_count;
static size_t step_count;
static _Atomic uint64_t allocated_count;
static _Atomic uint64_t freed_count;

static void block_take(struct owner *owner, struct tagged_block *block)
{
    block->size_bytes = random_size(&owner->random, LARGEST);
    block->tag = random_next(&owner->random);
    block->start = malloc(block->size_bytes);
    if (block->start == NULL) {
        load_finding("a request was refused, of size", block->size_bytes);
    }
    if (!shadow_claim(block->start, malloc_usable_size(block->start))) {
        load_finding("a block was given twice, of size", block->size_bytes);
    }
    tagged_fill(block);
    atomic_fetch_add_explicit(&allocated_count, 1, memory_order_relaxed);
}

static void block_give_back(struct tagged_block *block)
{
    tagged_check(block);
    if (!shadow_release(block->start, malloc_usable_size(block->start))) {
        load_finding("a block's usable size changed, of size", block->size_bytes);
    }
    free(block->start);
    block->start = NULL;
    atomic_fetch_add_explicit(&freed_count, 1, memory_order_relaxed);
}

static void block_pass_on(struct owner *owner, struct tagged_block *block)
{
    struct owner *other = &owners[random_below(&owner->random, owner_count)];
    pthread_mutex_lock(&other->guard);
    if (other->box_count < BOX_SLOTS) {
        other->box[other->box_count++] = *block;
        block->start = NULL;
    }
    pthread_mutex_unlock(&other->guard);
}

/* Frees up to `most` blocks of other threads. */
static void box_empty(struct owner *owner, size_t most)
{
    for (size_t i = 0; i < most; i++) {
        struct tagged_block block = {0};
        pthread_mutex_lock(&owner->guard);
        if (owner->box_count > 0) {
            block = owner->box[--owner->box_count];
        }
        pthread_mutex_unlock(&owner->guard);
        if (block.start == NULL) {
            return;
        }
        block_give_back(&block);
    }
}

static void *owner_main(void *argument)
{
    struct owner *owner = argument;
    for (size_t i = 0; i < step_count; i++) {
        struct tagged_block *block = &owner->block[random_below(&owner->random, OWN_SLOTS)];
        if (block->start == NULL) {
            block_take(owner, block);
        } else if (random_chance(&owner->random, 33)) {
            block_pass_on(owner, block);
        } else {
            block_give_back(block);
        }
        box_empty(owner, 2);
    }
    return NULL;
}

static void cycle_run(void)
{
    for (size_t i = 0; i < owner_count; i++) {
        if (pthread_create(&owners[i].thread, NULL, owner_main, &owners[i]) != 0) {
            load_finding("a thread could not be started", i);
        }
    }
    for (size_t i = 0; i < owner_count; i++) {
        pthread_join(owners[i].thread, NULL);
    }
}

static void all_free(void)
{
    for (size_t i = 0; i < owner_count; i++) {
        box_empty(&owners[i], BOX_SLOTS);
        for (size_t slot = 0; slot < OWN_SLOTS; slot++) {
            if (owners[i].block[slot].start != NULL) {
                block_give_back(&owners[i].block[slot]);
            }
        }
    }
    load_purge();
}

static void owners_start(uint64_t seed)
{
    if (!shadow_start()) {
        load_finding("no memory for the shadow", 0);
    }
    for (size_t i = 0; i < owner_count; i++) {
        owners[i].random = random_stream_of(seed, i);
        pthread_mutex_init(&owners[i].guard, NULL);
    }
}

static uint64_t number_of(int argc, char **argv, int index, uint64_t missing)
{
    return argc > index ? (uint64_t)strtoull(argv[index], NULL, 0) : missing;
}

int main(int argc, char **argv)
{
    static char command[256];
    uint64_t seed = number_of(argc, argv, 1, (uint64_t)getpid());
    size_t cycles = number_of(argc, argv, 2, 20);
    owner_count = number_of(argc, argv, 3, 16);
    step_count = number_of(argc, argv, 4, 2000);
    if (owner_count < 1 || owner_count > THREADS_MAX) {
        fprintf(stderr, "1 to %d threads\n", THREADS_MAX);
        return EXIT_FAILURE;
    }
    snprintf(command, sizeof command, "%s %" PRIu64 " %zu %zu %zu", argv[0], seed, cycles,
             owner_count, step_count);
    load_command_set(command);
    puts(command);
    owners_start(seed);

    size_t resident_warm = 0;
    for (size_t i = 0; i < cycles; i++) {
        cycle_run();
        if (i % 2 == 1) {
            all_free();
        }
        if (i + 1 == WARM_CYCLES) {
            resident_warm = resident_bytes();
        }
    }
    all_free();
    size_t resident_end = resident_bytes();
    printf("%" PRIu64 " blocks allocated, %" PRIu64
           " freed; resident %zu KiB after %d cycles, %zu KiB at the end\n",
           allocated_count, freed_count, resident_warm / 1024, WARM_CYCLES, resident_end / 1024);
    if (allocated_count != freed_count) {
        load_finding("blocks were lost", (size_t)(allocated_count - freed_count));
    }
    if (cycles > WARM_CYCLES && resident_end > resident_warm + resident_warm / 10 + NOISE_BYTES) {
        load_finding("memory does not come back; resident bytes at the end", resident_end);
    }
    return EXIT_SUCCESS;
}
