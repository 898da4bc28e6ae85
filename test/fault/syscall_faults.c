/* syscall_faults.c: goal: when the system refuses memory calls, the allocator refuses requests,
 * and nothing else happens: no crash, no hang, no changed byte, no wrong errno, and all is well
 * again once the system gives.
 *
 * Method: mmap, munmap, mprotect, madvise and mremap come to fault_syscalls.c first. Part 1
 * starts a process for each k: call k of the process fails (once; from then on; and every 7th and
 * at random from shifted beginnings), start-up included. Part 2 injects faults at random into a
 * running load, with one thread and with four, until the wanted number was seen; after each fault
 * every live byte is compared. Both run with the default purging and with immediate purging,
 * which makes more calls.
 *
 *   syscall_faults [SEED [POINTS [FAULTS]]]
 */
#include <jemalloc/jemalloc.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../abort/child_run.h"
#include "fault_syscalls.h"
#include "process_memory.h"
#include "tagged_load.h"

enum {
    HANG_SECONDS = 20, /* the figure allows 5; a busy machine may lose some of them */
    START_STEPS = 400,
    ROUND_STEPS = 400,
    ROUNDS_MAX = 3000,
    PURGE_EVERY = 50,
    HUGE_EVERY = 40,
    WARM_ROUNDS = 8,
    THREADS = 4,
    LARGEST = 3 << 20,
    NOTHING_INJECTED = 3,
    FAULTS_PER_SECOND = 20, /* far below what a busy machine does */
    PAGE = 4096,
    NOISE_PAGES = 512, /* caches of four threads and partly used chunks between two measurements */
};

static char *program;

/* Once the faults end, requests of every kind succeed. */
static void check_recovered(void)
{
    fault_plan_set((struct fault_plan){.mode = FAULT_NONE});
    for (size_t size_bytes = 1; size_bytes <= (size_t)16 << 20; size_bytes *= 2) {
        struct tagged_block block = {malloc(size_bytes), size_bytes, size_bytes};
        if (block.start == NULL) {
            load_finding("a request is still refused after the faults ended, size", size_bytes);
        }
        tagged_fill(&block);
        tagged_check(&block);
        free(block.start);
    }
}

static void refusal_check(const void *block)
{
    if (block == NULL && errno != ENOMEM) {
        load_finding("a refusal came with the wrong errno", (size_t)errno);
    }
}

/* A block of a size that comes from the system rather than from what was freed before: grown, then
 * shrunk. Its ends keep their words, and a mapping that is not all there would fault. */
static void huge_step(struct random_stream *random)
{
    size_t size_bytes = ((size_t)6 << 20) + random_below(random, (size_t)6 << 20);
    const size_t sizes[] = {size_bytes, size_bytes * 2, size_bytes / 2, size_bytes + 4096};
    uint64_t tag = random_next(random);
    char *volatile block = NULL;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        errno = 0;
        char *volatile moved = realloc(block, sizes[i]);
        refusal_check(moved);
        if (moved != NULL) {
            if (block != NULL && memcmp(moved, &tag, sizeof tag) != 0) {
                load_finding("realloc lost the content of a huge block of size", sizes[i]);
            }
            block = moved;
            memcpy(block, &tag, sizeof tag);
            memcpy(block + sizes[i] - sizeof tag, &tag, sizeof tag);
        }
    }
    free(block);
}

/* One step, and a comparison of everything when a fault was injected in it. */
static void step_and_walk(struct tagged_load *load)
{
    uint64_t before = fault_count();
    if (load->step_count % HUGE_EVERY == 0) {
        huge_step(&load->random);
    }
    if (load->step_count % PURGE_EVERY == 0) {
        load_purge();
    }
    load_step(load);
    if (fault_count() != before) {
        load_check(load);
    }
}

static void *thread_steps(void *argument)
{
    struct tagged_load *load = argument;
    for (size_t i = 0; i < ROUND_STEPS; i++) {
        step_and_walk(load);
    }
    load_finish(load);
    return NULL;
}

/* The child of part 1; its plan is in the environment and active since its first call. */
static int start_worker(uint64_t seed)
{
    static struct tagged_load load;
    load_start(&load, seed, 0, LARGEST);
    load.refusals_allowed = true;
    for (size_t i = 0; i < START_STEPS; i++) {
        step_and_walk(&load);
    }
    load_check(&load);
    bool injected = fault_count() > 0;
    check_recovered();
    load.refusals_allowed = false;
    load_steps(&load, START_STEPS / 4);
    load_finish(&load);
    return injected ? EXIT_SUCCESS : NOTHING_INJECTED;
}

static void round_run(uint64_t seed, size_t round, size_t thread_count)
{
    static struct tagged_load loads[THREADS];
    static const uint64_t percents[] = {2, 10, 30, 60, 100};
    pthread_t threads[THREADS];
    uint64_t percent = percents[round % (sizeof percents / sizeof percents[0])];
    for (size_t i = 0; i < thread_count; i++) {
        load_start(&loads[i], seed, round * THREADS + i, LARGEST);
        loads[i].refusals_allowed = true;
        load_steps(&loads[i], LOAD_SLOTS);
    }
    fault_plan_set((struct fault_plan){FAULT_RANDOM, percent, seed + round});
    for (size_t i = 1; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, thread_steps, &loads[i]) != 0) {
            load_finding("a thread could not be started", i);
        }
    }
    thread_steps(&loads[0]);
    for (size_t i = 1; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
    }
    load_purge();
    check_recovered();
    load_purge();
}

/* The child of part 2: rounds of random faults until enough were seen. */
static int load_worker(uint64_t seed, uint64_t wanted, size_t thread_count)
{
    size_t resident_warm = 0;
    size_t round = 0;
    for (; fault_count() < wanted && round < ROUNDS_MAX; round++) {
        if (round == WARM_ROUNDS) {
            resident_warm = resident_bytes();
        }
        round_run(seed, round, thread_count);
    }
    if (fault_count() < wanted) {
        load_finding("the load makes too few system calls for the wanted faults; seen",
                     (size_t)fault_count());
    }
    size_t allowed = resident_warm + (NOISE_PAGES + wanted / 1000) * PAGE;
    if (round > WARM_ROUNDS && resident_bytes() > allowed) {
        load_finding("memory is lost: resident bytes beyond the allowed",
                     resident_bytes() - allowed);
    }
    return EXIT_SUCCESS;
}

static unsigned failure_count;

/* Runs this program again as a worker. */
static int worker_run(char *const arguments[], const char *plan, bool purge_at_once,
                      unsigned limit_seconds)
{
    static const char conf[] = "dirty_decay_ms:0,muzzy_decay_ms:0";
    struct child_result result;
    setenv("DG_FAULT", plan, 1);
    if (purge_at_once) {
        setenv("MALLOC_CONF", conf, 1);
    } else {
        unsetenv("MALLOC_CONF");
    }
    child_execute(arguments, NULL, limit_seconds, &result);
    if (!result.hung && result.signal == 0 &&
        (result.exit_code == 0 || result.exit_code == NOTHING_INJECTED)) {
        return result.exit_code;
    }
    char ending[300];
    child_describe(&result, ending, sizeof ending);
    printf("FAILED %s\n  repeat with: DG_FAULT=%s MALLOC_CONF=%s", ending, plan,
           purge_at_once ? conf : "");
    for (size_t i = 0; arguments[i] != NULL; i++) {
        printf(" %s", arguments[i]);
    }
    printf("\n");
    failure_count++;
    return 0;
}

/* Part 1. The points of one mode end early at the first k that the process does not reach. */
static unsigned start_points(enum fault_mode mode, uint64_t seed, unsigned points,
                             bool purge_at_once)
{
    unsigned run_count = 0;
    for (unsigned k = 1; k <= points; k++) {
        char plan[64];
        char seed_text[32];
        uint64_t number = mode == FAULT_EVERY    ? 2 + k % 7
                          : mode == FAULT_RANDOM ? 1 + k * 13 % 100
                                                 : k;
        snprintf(plan, sizeof plan, "%d:%" PRIu64 ":%" PRIu64, (int)mode, number, seed + k);
        snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed + k / 16);
        char worker[] = "--start";
        char *arguments[] = {program, worker, seed_text, NULL};
        run_count++;
        if (worker_run(arguments, plan, purge_at_once, HANG_SECONDS) == NOTHING_INJECTED &&
            mode <= FAULT_FOREVER) {
            break;
        }
    }
    return run_count;
}

/* Part 2. */
static void load_faults(uint64_t seed, unsigned long faults, unsigned thread_count,
                        bool purge_at_once)
{
    char seed_text[32];
    char faults_text[32];
    char threads_text[16];
    char worker[] = "--load";
    snprintf(seed_text, sizeof seed_text, "%" PRIu64, seed);
    snprintf(faults_text, sizeof faults_text, "%lu", faults);
    snprintf(threads_text, sizeof threads_text, "%u", thread_count);
    char *arguments[] = {program, worker, seed_text, faults_text, threads_text, NULL};
    worker_run(arguments, "0:0:0", purge_at_once,
               HANG_SECONDS + (unsigned)(faults / FAULTS_PER_SECOND));
}

static int drive(uint64_t seed, unsigned points, unsigned long faults)
{
    unsigned run_count = 0;
    printf("%s %" PRIu64 " %u %lu\n", program, seed, points, faults);
    for (int purge = 0; purge <= 1; purge++) {
        for (int mode = FAULT_ONCE; mode <= FAULT_RANDOM; mode++) {
            unsigned runs = start_points((enum fault_mode)mode, seed, points, purge == 1);
            printf("mode %d, purging %s: %u starts\n", mode, purge ? "at once" : "by time", runs);
            run_count += runs;
        }
    }
    for (unsigned part = 0; part < 4; part++) {
        load_faults(seed + part, faults / 4, part % 2 == 0 ? 1 : THREADS, part >= 2);
    }
    printf("%u starts and %lu faults under load, %u failures\n", run_count, faults, failure_count);
    return failure_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static uint64_t number_of(int argc, char **argv, int index, uint64_t missing)
{
    return argc > index ? (uint64_t)strtoull(argv[index], NULL, 0) : missing;
}

int main(int argc, char **argv)
{
    static char command[256];
    program = argv[0];
    bool start = argc > 1 && strcmp(argv[1], "--start") == 0;
    bool load = argc > 1 && strcmp(argv[1], "--load") == 0;
    if (!start && !load) {
        return drive(number_of(argc, argv, 1, (uint64_t)getpid()),
                     (unsigned)number_of(argc, argv, 2, 40),
                     (unsigned long)number_of(argc, argv, 3, 2000));
    }
    snprintf(command, sizeof command, "%s %s ... (printed by the driver)", argv[0], argv[1]);
    load_command_set(command);
    uint64_t seed = number_of(argc, argv, 2, 0);
    if (start) {
        return start_worker(seed);
    }
    return load_worker(seed, number_of(argc, argv, 3, 0), (size_t)number_of(argc, argv, 4, 1));
}
