/* fork_storm.c: goal: fork() at any moment leaves an allocator that works in parent and child.
 *
 * Method: 1, 2, 4, 8 and 16 threads allocate without pause while the main thread forks. The child
 * checks a load that it inherited, allocates, starts threads that allocate, forks again, and the
 * grandchild allocates too. A child that does not end within the limit hangs on a lock that some
 * thread of the parent held.
 *
 *   fork_storm [SEED [FORKS]]
 */
#include <jemalloc/jemalloc.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../abort/child_run.h"
#include "tagged_load.h"

enum {
    THREADS_MAX = 16,
    CHILD_THREADS = 2,
    CHILD_STEPS = 40,
    HANG_SECONDS = 20, /* the figure allows 5; a lock never given back takes any limit */
    PAUSE_MAX_US = 200,
    LARGEST = 1 << 16,
};

static struct tagged_load loads[THREADS_MAX];
static struct tagged_load main_load;
static _Atomic bool stop;

static void *allocating_thread(void *argument)
{
    struct tagged_load *load = argument;
    while (!stop) {
        load_step(load);
    }
    load_finish(load);
    return NULL;
}

static void *child_thread(void *argument)
{
    struct tagged_load *load = argument;
    load_steps(load, CHILD_STEPS);
    load_finish(load);
    return NULL;
}

static void grandchild_check(void)
{
    int status = 0;
    pid_t grandchild = fork();
    if (grandchild == 0) {
        load_steps(&main_load, CHILD_STEPS);
        load_finish(&main_load);
        _exit(0);
    }
    if (grandchild < 0 || waitpid(grandchild, &status, 0) < 0 || status != 0) {
        load_finding("the child's child failed, with status", (size_t)status);
    }
}

static void child_body(void *argument)
{
    static struct tagged_load child_loads[CHILD_THREADS];
    pthread_t threads[CHILD_THREADS];
    uint64_t seed = *(const uint64_t *)argument;
    load_check(&main_load);
    load_steps(&main_load, CHILD_STEPS);
    for (size_t i = 0; i < CHILD_THREADS; i++) {
        load_start(&child_loads[i], seed, i + 1, LARGEST);
        if (pthread_create(&threads[i], NULL, child_thread, &child_loads[i]) != 0) {
            load_finding("the child could not start a thread", i);
        }
    }
    grandchild_check();
    for (size_t i = 0; i < CHILD_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    load_finish(&main_load);
}

/* The number of children that failed. */
static unsigned storm(uint64_t seed, size_t thread_count, size_t fork_count)
{
    struct random_stream random = random_stream_of(seed, thread_count);
    pthread_t threads[THREADS_MAX];
    unsigned failures = 0;
    stop = false;
    load_start(&main_load, seed, 100 + thread_count, LARGEST);
    load_steps(&main_load, CHILD_STEPS);
    for (size_t i = 0; i < thread_count; i++) {
        load_start(&loads[i], seed, i, LARGEST);
        if (pthread_create(&threads[i], NULL, allocating_thread, &loads[i]) != 0) {
            load_finding("a thread could not be started", i);
        }
    }
    for (size_t i = 0; i < fork_count && failures < 5; i++) {
        struct child_result result;
        uint64_t child_seed = random_next(&random);
        usleep((useconds_t)random_below(&random, PAUSE_MAX_US));
        load_steps(&main_load, 3);
        child_run(child_body, &child_seed, HANG_SECONDS, &result);
        if (result.hung || result.signal != 0 || result.exit_code != 0) {
            char ending[300];
            child_describe(&result, ending, sizeof ending);
            printf("FAILED fork %zu with %zu threads: %s\n", i, thread_count, ending);
            failures++;
        }
    }
    stop = true;
    for (size_t i = 0; i < thread_count; i++) {
        pthread_join(threads[i], NULL);
    }
    load_finish(&main_load);
    return failures;
}

int main(int argc, char **argv)
{
    static char command[128];
    static const size_t thread_counts[] = {1, 2, 4, 8, 16};
    enum { STORMS = sizeof thread_counts / sizeof thread_counts[0] };
    uint64_t seed = argc > 1 ? (uint64_t)strtoull(argv[1], NULL, 0) : (uint64_t)getpid();
    size_t forks = argc > 2 ? strtoull(argv[2], NULL, 0) : 300;
    unsigned failures = 0;
    snprintf(command, sizeof command, "%s %" PRIu64 " %zu", argv[0], seed, forks);
    load_command_set(command);
    puts(command);
    for (size_t i = 0; i < STORMS; i++) {
        failures += storm(seed, thread_counts[i], forks / STORMS);
    }
    printf("%zu forks, %u failures\n", forks / STORMS * STORMS, failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
