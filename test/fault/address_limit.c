/* address_limit.c: goal: programs finish under any limit on their address space.
 *
 * Method: 25 limits (RLIMIT_AS) from 8 MiB to 4 GiB, evenly in the logarithm, times three programs
 * that handle NULL: one that fills a table with small blocks, one that grows a few blocks by
 * realloc to tens of MiB, one with threads. Each is this program executed again under the limit.
 * It must end with exit code 0, have been given at least one block, and have found ENOMEM with each
 * refusal and every byte in place.
 *
 *   address_limit [SEED [STEPS]]
 */
#include <jemalloc/jemalloc.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../abort/child_run.h"
#include "tagged_load.h"

enum {
    LIMIT_COUNT = 25,
    PROGRAM_COUNT = 3,
    HANG_SECONDS = 60,
    TABLE_BLOCKS = 30000,
    GROWN_BLOCKS = 2,
    THREADS = 4,
};

static const size_t smallest_limit = (size_t)8 << 20;
static const size_t grown_maximum = (size_t)96 << 20;

static unsigned char *allocate(size_t size_bytes)
{
    errno = 0;
    unsigned char *block = malloc(size_bytes);
    if (block == NULL && errno != ENOMEM) {
        load_finding("a refusal came with the wrong errno", (size_t)errno);
    }
    return block;
}

/* Small blocks until the table is full or memory is; then all are compared and freed, twice. */
static size_t program_table(uint64_t seed, size_t steps)
{
    static struct tagged_block table[TABLE_BLOCKS];
    struct random_stream random = random_stream_of(seed, 1);
    size_t given = 0;
    (void)steps;
    for (unsigned round = 0; round < 2; round++) {
        size_t count = 0;
        while (count < TABLE_BLOCKS) {
            struct tagged_block *block = &table[count];
            *block = (struct tagged_block){NULL, random_size(&random, 4096), random_next(&random)};
            block->start = allocate(block->size_bytes);
            if (block->start == NULL) {
                break;
            }
            tagged_fill(block);
            count++;
        }
        for (size_t i = 0; i < count; i++) {
            tagged_check(&table[i]);
            free(table[i].start);
        }
        given += count;
    }
    return given;
}

/* Blocks that grow by half until refused; the content survives growth and refusal. */
static size_t program_grow(uint64_t seed, size_t steps)
{
    size_t given = 0;
    (void)steps;
    for (unsigned i = 0; i < GROWN_BLOCKS; i++) {
        struct tagged_block block = {allocate(4096), 4096, seed + i};
        while (block.start != NULL) {
            tagged_fill(&block);
            given++;
            size_t wanted = block.size_bytes + block.size_bytes / 2;
            errno = 0;
            void *grown = wanted <= grown_maximum ? realloc(block.start, wanted) : NULL;
            if (grown == NULL) {
                if (wanted <= grown_maximum && errno != ENOMEM) {
                    load_finding("a refusal came with the wrong errno", (size_t)errno);
                }
                break;
            }
            block.start = grown;
            tagged_check(&block);
            block.size_bytes = wanted;
        }
        if (block.start != NULL) {
            tagged_check(&block);
        }
        free(block.start);
    }
    return given;
}

static size_t load_steps_limited;

static void *thread_main(void *argument)
{
    struct tagged_load *load = argument;
    load_steps(load, load_steps_limited);
    load_finish(load);
    return NULL;
}

/* As many of the threads as the limit allows, the main thread always. */
static size_t program_threads(uint64_t seed, size_t steps)
{
    static struct tagged_load loads[THREADS];
    pthread_t threads[THREADS];
    size_t started = 1;
    size_t given = 0;
    load_steps_limited = steps;
    for (size_t i = 0; i < THREADS; i++) {
        load_start(&loads[i], seed, i, 1 << 20);
        loads[i].refusals_allowed = true;
    }
    while (started < THREADS &&
           pthread_create(&threads[started], NULL, thread_main, &loads[started]) == 0) {
        started++;
    }
    thread_main(&loads[0]);
    for (size_t i = 1; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < started; i++) {
        given += loads[i].step_count - loads[i].refusal_count;
    }
    return given;
}

static size_t (*const programs[PROGRAM_COUNT])(uint64_t seed, size_t steps) = {
    program_table, program_grow, program_threads};

static int worker(char **argv)
{
    size_t given = programs[atoi(argv[2])](strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
    dprintf(STDERR_FILENO, "%zu requests served\n", given);
    return given > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The limit holds from the execution on, so that the loader and libc share it. */
static void execute_limited(void *argument)
{
    char **arguments = argument;
    size_t limit_bytes = strtoull(arguments[5], NULL, 0);
    const struct rlimit limit = {limit_bytes, limit_bytes};
    setrlimit(RLIMIT_AS, &limit);
    execv(arguments[0], arguments);
    _exit(126);
}

/* The i-th of 25 limits: 8 MiB times 2^(9 i / 24), by repeated multiplication in fixed point. */
static size_t limit_of(unsigned index)
{
    const uint64_t ratio = 85046; /* 2^(9/24) in 16 bits of fraction, rounded up */
    uint64_t limit = smallest_limit;
    for (unsigned i = 0; i < index; i++) {
        limit = limit * ratio >> 16;
    }
    return limit & ~(size_t)4095;
}

int main(int argc, char **argv)
{
    static char command[128];
    if (argc == 6 && strcmp(argv[1], "--worker") == 0) {
        snprintf(command, sizeof command, "ulimit -v %llu; %s --worker %s %s %s 0",
                 strtoull(argv[5], NULL, 0) / 1024, argv[0], argv[2], argv[3], argv[4]);
        load_command_set(command);
        return worker(argv);
    }

    unsigned failures = 0;
    char seed[32];
    char steps[32];
    snprintf(seed, sizeof seed, "%s", argc > 1 ? argv[1] : "1");
    snprintf(steps, sizeof steps, "%s", argc > 2 ? argv[2] : "2000");
    printf("%s %s %s\n", argv[0], seed, steps);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        for (unsigned program = 0; program < PROGRAM_COUNT; program++) {
            char mode[] = "--worker";
            char number[16];
            char limit[32];
            struct child_result result;
            char *arguments[] = {argv[0], mode, number, seed, steps, limit, NULL};
            snprintf(number, sizeof number, "%u", program);
            snprintf(limit, sizeof limit, "%zu", limit_of(i));
            child_run(execute_limited, arguments, HANG_SECONDS, &result);
            bool passed = !result.hung && result.signal == 0 && result.exit_code == 0;
            char ending[300];
            child_describe(&result, ending, sizeof ending);
            printf("%s limit %zu KiB, program %u: %s\n", passed ? "ok" : "FAILED",
                   limit_of(i) / 1024, program, ending);
            failures += !passed;
        }
    }
    printf("%d runs, %u failures\n", LIMIT_COUNT * PROGRAM_COUNT, failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
