/* os_page_blocks.c: goal: with OS pages above 4 KiB every range that goes back to the system is
 * whole OS pages of nobody's, memory does go back, and valloc and pvalloc align to the OS page.
 *
 * Method: os_page_rules.c is preloaded, which plays the kernel and ends the process at the first
 * breach. Here the calls are made that reach each place where the allocator maps, unmaps, purges
 * or moves; what is live is compared after each.
 *
 *   os_page_blocks OS-PAGE-BYTES [SEED]
 */
#include <jemalloc/jemalloc.h>

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process_memory.h"
#include "tagged_load.h"

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    PAGE = 4096,
    THREADS = 48, /* more than the allocator keeps warm caches */
    ROUNDS = 6,
    LOAD_STEPS = 3000,
    LARGEST = 3 * MIB,
    HEAP_BLOCKS = 4000,
};

/* Of the preloaded library; NULL without it. */
extern size_t os_page_rules_calls(void) __attribute__((weak));

static size_t os_page;

static void expect(bool holds, const char *what, size_t detail)
{
    if (!holds) {
        load_finding(what, detail);
    }
}

static void check_rules(void)
{
    expect((size_t)sysconf(_SC_PAGESIZE) == os_page, "sysconf tells another page size", os_page);
    free(malloc(LARGEST));
    expect(os_page_rules_calls != NULL && os_page_rules_calls() > 0, "the rules are not there", 0);
}

static void check_page_blocks(void)
{
    for (size_t pages = 1; pages <= 40; pages++) {
        for (size_t back = 0; back < 3; back++) {
            size_t size_bytes = pages * os_page - back * (os_page / 4);
            char *whole = pvalloc(size_bytes);
            char *exact = valloc(size_bytes);
            expect(whole != NULL && exact != NULL, "a block of pages is refused", size_bytes);
            expect((uintptr_t)whole % os_page == 0, "pvalloc is not at an OS page", size_bytes);
            expect((uintptr_t)exact % os_page == 0, "valloc is not at an OS page", size_bytes);
            expect(malloc_usable_size(whole) >= pages * os_page, "pvalloc is short", size_bytes);
            memset(whole, 0x11, pages * os_page);
            memset(exact, 0x22, size_bytes);
            free(whole);
            free(exact);
        }
    }
}

/* A cleared block of a kept mapping, with a length that ends inside an OS page. */
static void check_cleared(void)
{
    const size_t size_bytes = 9 * MIB + PAGE;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned char *block = calloc(1, size_bytes);
        expect(block != NULL, "calloc is refused", size_bytes);
        for (size_t at = 0; at < size_bytes; at += KIB) {
            expect(block[at] == 0, "calloc is not clear at", at);
        }
        memset(block, 0x33, size_bytes);
        free(block);
    }
}

/* Mappings that grow and shrink by sizes that end inside OS pages. */
static void check_resized(struct random_stream *random)
{
    struct tagged_block block = {NULL, 0, 0};
    for (unsigned step = 0; step < 40; step++) {
        struct tagged_block next = block;
        next.size_bytes = MIB + random_below(random, 6 * MIB);
        next.start = realloc(block.start, next.size_bytes);
        expect(next.start != NULL, "realloc is refused", next.size_bytes);
        if (block.size_bytes > 0) {
            struct tagged_block kept = next;
            kept.size_bytes =
                block.size_bytes < next.size_bytes ? block.size_bytes : next.size_bytes;
            tagged_check(&kept);
        }
        tagged_fill(&next);
        block = next;
    }
    free(block.start);
}

static pthread_barrier_t all_have_caches;

static void *thread_main(void *argument)
{
    free(malloc((size_t)(uintptr_t)argument));
    pthread_barrier_wait(&all_have_caches);
    return NULL;
}

/* Many caches at once, so that some give their memory back when their threads end; the second
 * round lives in them again. */
static void check_threads(void)
{
    for (unsigned round = 0; round < 2; round++) {
        pthread_t threads[THREADS];
        pthread_barrier_init(&all_have_caches, NULL, THREADS);
        for (size_t i = 0; i < THREADS; i++) {
            int error = pthread_create(&threads[i], NULL, thread_main, (void *)(i * 64 + 1));
            expect(error == 0, "a thread could not be started", i);
        }
        for (size_t i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
        pthread_barrier_destroy(&all_have_caches);
    }
}

/* Every 16th block stays, and pins the OS page that it lies in; the rest is to go back. */
static void check_given_back(void)
{
    static struct tagged_block heap[HEAP_BLOCKS];
    size_t before = resident_bytes();
    for (size_t i = 0; i < HEAP_BLOCKS; i++) {
        heap[i] = (struct tagged_block){malloc(5 * PAGE), 5 * PAGE, i};
        expect(heap[i].start != NULL, "malloc is refused", i);
        tagged_fill(&heap[i]);
    }
    size_t full = resident_bytes();
    for (size_t i = 0; i < HEAP_BLOCKS; i++) {
        if (i % 16 != 0) {
            free(heap[i].start);
        }
    }
    load_purge();
    size_t kept = resident_bytes();
    expect(kept < full && full - kept > (full - before) / 2, "too little is given back, bytes",
           full - kept);
    for (size_t i = 0; i < HEAP_BLOCKS; i += 16) {
        tagged_check(&heap[i]);
        free(heap[i].start);
    }
}

static void check_load(uint64_t seed)
{
    static struct tagged_load load;
    load_start(&load, seed, 0, LARGEST);
    for (unsigned round = 0; round < ROUNDS; round++) {
        load_steps(&load, LOAD_STEPS / ROUNDS);
        load_purge();
        load_check(&load);
    }
    load_finish(&load);
}

int main(int argc, char **argv)
{
    static char command[128];
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    os_page = argc > 1 ? strtoull(argv[1], NULL, 0) : (size_t)sysconf(_SC_PAGESIZE);
    snprintf(command, sizeof command, "LD_PRELOAD=(the rules) %s %zu %zu", argv[0], os_page,
             (size_t)seed);
    printf("%s\n", command);
    load_command_set(command);
    struct random_stream random = random_stream_of(seed, 1);
    check_rules();
    check_page_blocks();
    check_cleared();
    check_resized(&random);
    check_threads();
    check_given_back();
    check_load(seed);
    printf("%zu calls of the allocator, 0 breaches\n", os_page_rules_calls());
    return EXIT_SUCCESS;
}
