/* signal_storm.c: goal: signals that arrive in the middle of any call of the allocator change
 * nothing.
 *
 * Method: four threads allocate, compare and free while another sends each in turn real-time
 * signals (which queue, rather than merge) at 10 kHz. The handler does not allocate, as the
 * contract asks; it uses some stack and sets errno and restores it. Ends when the wanted number
 * was handled.
 *
 *   signal_storm [SEED [SIGNALS]]
 */
#include <jemalloc/jemalloc.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tagged_load.h"

enum {
    THREADS = 4,
    LARGEST = 1 << 20,
    SIGNAL_INTERVAL_NS = 100000,
    HANDLER_STACK_BYTES = 512,
    PATIENCE = 20, /* times the time that the signals take at the wanted rate */
};

static _Atomic uint64_t handled_count;
static _Atomic bool stop;
static struct tagged_load loads[THREADS];

static void handler(int number)
{
    int saved_errno = errno;
    volatile char stack[HANDLER_STACK_BYTES];
    memset((char *)stack, number, sizeof stack);
    errno = EINTR;
    atomic_fetch_add_explicit(&handled_count, 1, memory_order_relaxed);
    errno = saved_errno;
}

static void *allocating_thread(void *argument)
{
    struct tagged_load *load = argument;
    while (!stop) {
        load_step(load);
    }
    load_finish(load);
    return NULL;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Sends what is due by the clock, so that late wake-ups do not lower the rate. */
static void send_signals(const pthread_t *threads, uint64_t wanted)
{
    uint64_t start = now_ns();
    uint64_t sent = 0;
    while (handled_count < wanted) {
        uint64_t elapsed = now_ns() - start;
        for (uint64_t due = elapsed / SIGNAL_INTERVAL_NS; sent < due; sent++) {
            (void)pthread_kill(threads[sent % THREADS], SIGRTMIN);
        }
        if (elapsed > wanted * SIGNAL_INTERVAL_NS * PATIENCE + 1000000000) {
            load_finding("signals are not handled; only", (size_t)handled_count);
        }
        const struct timespec pause = {0, SIGNAL_INTERVAL_NS};
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    static char command[128];
    uint64_t seed = argc > 1 ? (uint64_t)strtoull(argv[1], NULL, 0) : (uint64_t)getpid();
    uint64_t wanted = argc > 2 ? (uint64_t)strtoull(argv[2], NULL, 0) : 30000;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    pthread_t threads[THREADS];
    snprintf(command, sizeof command, "%s %" PRIu64 " %" PRIu64, argv[0], seed, wanted);
    load_command_set(command);
    puts(command);
    sigaction(SIGRTMIN, &action, NULL);
    for (size_t i = 0; i < THREADS; i++) {
        load_start(&loads[i], seed, i, LARGEST);
        if (pthread_create(&threads[i], NULL, allocating_thread, &loads[i]) != 0) {
            load_finding("a thread could not be started", i);
        }
    }
    send_signals(threads, wanted);
    stop = true;
    uint64_t steps = 0;
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        steps += loads[i].step_count;
    }
    printf("%" PRIu64 " signals handled during %" PRIu64 " steps, 0 losses\n", handled_count,
           steps);
    return EXIT_SUCCESS;
}
