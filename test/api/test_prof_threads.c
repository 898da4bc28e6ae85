/* test_prof_threads.c: goal: where each block is a sample, nothing waits for itself: not in forks,
 * ends of threads, signals that interrupt an unwinder, dlopen, or callbacks under the loader's
 * lock; and samples end whoever frees their blocks.
 * Method: all of these at once, for a number of rounds; an alarm ends the test where it hangs.
 */
#include "prof_check.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif

const char *malloc_conf = "prof:true,lg_prof_sample:0,prof_stats:true";

enum { HANG_SECONDS = 160, FORKS = 300, CHILD_HANG_SECONDS = 30 };

static _Atomic bool ends;
static _Atomic unsigned signals_seen;

static void allocate(size_t size)
{
    char *block = malloc(size);
    if (block == NULL) {
        abort();
    }
    block[size - 1] = 1;
    __asm__ volatile("" : : "r"(block) : "memory"); /* The compiler sees no end of it. */
    free(block);
}

static void *allocate_all_the_while(void *opaque)
{
    (void)opaque;
    for (size_t size = 1; !atomic_load(&ends); size = size % 70000 + 77) {
        allocate(size);
    }
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
    int error = errno;
    allocate(200);
    atomic_fetch_add(&signals_seen, 1);
    errno = error;
}

/* The unwinder itself, which signals interrupt; nothing else here allocates. */
static void *unwind_all_the_while(void *opaque)
{
    (void)opaque;
    while (!atomic_load(&ends)) {
#ifdef __GLIBC__
        void *frames[30];
        (void)backtrace(frames, 30);
#endif
    }
    return NULL;
}

static void *load_all_the_while(void *opaque)
{
    (void)opaque;
    while (!atomic_load(&ends)) {
        void *library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) {
            (void)dlclose(library);
        }
    }
    return NULL;
}

static int visit(struct dl_phdr_info *info, size_t size, void *opaque)
{
    (void)info;
    (void)opaque;
    allocate(size);
    return 0;
}

static void *visit_all_the_while(void *opaque)
{
    (void)opaque;
    while (!atomic_load(&ends)) {
        (void)dl_iterate_phdr(visit, NULL);
    }
    return NULL;
}

static void fork_once(void)
{
    uint64_t before = samples_of(300, "accum").count;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(CHILD_HANG_SECONDS);
        void *block = malloc(300);
        bool sampled = samples_of(300, "accum").count > before;
        free(block);
        allocate(100000);
        _exit(sampled ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: 0x%x", (unsigned)status);
}

static void all_at_once(void **state)
{
    (void)state;
    static void *(*const bodies[])(void *) = {allocate_all_the_while, unwind_all_the_while,
                                              allocate_all_the_while, load_all_the_while,
                                              visit_all_the_while};
    enum { BODIES = sizeof bodies / sizeof bodies[0] };
    pthread_t threads[BODIES];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
#ifdef __GLIBC__
    void *frames[2];
    (void)backtrace(frames, 2); /* The first call loads libgcc. */
#endif
    for (unsigned i = 0; i < BODIES; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], NULL), 0);
    }
    for (unsigned i = 0; i < FORKS || atomic_load(&signals_seen) < 100; i++) {
        assert_int_equal(pthread_kill(threads[1], SIGUSR1), 0);
        if (i < FORKS) {
            fork_once();
        } else {
            (void)usleep(100);
        }
    }
    atomic_store(&ends, true);
    for (unsigned i = 0; i < BODIES; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

enum { SIZE = 777, LATE_ROUNDS = 3 };

static pthread_key_t key;

/* Runs again, after the allocator's own destructor has run. */
static void late(void *value)
{
    uintptr_t round = (uintptr_t)value & 7;
    allocate(SIZE);
    if (round < LATE_ROUNDS) {
        (void)pthread_setspecific(key, (void *)((uintptr_t)value + 1)); /* NOLINT */
    }
}

static void *end_late(void *opaque)
{
    free(opaque);
    (void)pthread_setspecific(key, (void *)8); /* NOLINT */
    return malloc(SIZE);
}

static void samples_outlive_their_threads(void **state)
{
    (void)state;
    enum { THREADS = 50 };
    void *block = malloc(SIZE);
    uint64_t live = samples_of(SIZE, "live").count;
    assert_int_equal(pthread_key_create(&key, late), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, end_late, block), 0);
        assert_int_equal(pthread_join(thread, &block), 0);
        assert_int_equal(samples_of(SIZE, "live").count, live);
    }
    free(block);
    assert_int_equal(samples_of(SIZE, "live").count, live - 1);
}

int main(void)
{
    (void)alarm(HANG_SECONDS);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(samples_outlive_their_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
