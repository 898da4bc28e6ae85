/* test_byte_hooks.c: goal: a hook of experimental.hooks.thread_event runs in each thread whenever
 * the thread's bytes pass a multiple of its interval, and is told the thread's sums.
 * Method: hooks note what they are told in thread-local storage; threads allocate and free known
 * sizes. Hooks stay for good, so each test is in a process of its own.
 */
#include "api_test.h"

#include <pthread.h>
#include <sys/wait.h>

struct wish {
    void (*callback)(bool is_alloc, uint64_t allocated, uint64_t deallocated);
    uint64_t interval;
    bool is_alloc_only;
};

static const char name[] = "experimental.hooks.thread_event";

enum { INTERVAL = 10240 /* a size class */, BLOCK = 1024, HOOKS_MAX = 4 };

/* What hooks change is volatile: libc's header says that free() calls no function of a file. */
static _Thread_local volatile unsigned alloc_calls;
static _Thread_local volatile unsigned free_calls;
static _Thread_local volatile uint64_t last_allocated;
static _Thread_local volatile uint64_t last_deallocated;

static void note(bool is_alloc, uint64_t allocated, uint64_t deallocated)
{
    *(is_alloc ? &alloc_calls : &free_calls) += 1;
    last_allocated = allocated;
    last_deallocated = deallocated;
    errno = EDOM;
}

static void note_and_allocate(bool is_alloc, uint64_t allocated, uint64_t deallocated)
{
    free(realloc(malloc((size_t)3 * INTERVAL), (size_t)30 * INTERVAL));
    note(is_alloc, allocated, deallocated);
}

static int install(void (*callback)(bool, uint64_t, uint64_t), uint64_t interval, bool only)
{
    struct wish wish;
    memset(&wish, 0, sizeof wish);
    wish.callback = callback;
    wish.interval = interval;
    wish.is_alloc_only = only;
    return mallctl(name, NULL, NULL, &wish, sizeof wish);
}

static uint64_t counter(const char *which)
{
    uint64_t value;
    size_t length = sizeof value;
    assert_int_equal(mallctl(which, &value, &length, NULL, 0), 0);
    return value;
}

static void run_in_child(void (*body)(void))
{
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        body();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: status %d", status);
}

#define MUST(condition)                                                         \
    do {                                                                        \
        if (!(condition)) {                                                     \
            print_error("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                           \
        }                                                                       \
    } while (0)

/* Each multiple that is passed is one call, a block of several intervals too. */
static void pass_multiples(void)
{
    MUST(install(note, INTERVAL, false) == 0);
    free(malloc(1));
    alloc_calls = 0;
    free_calls = 0;
    static void *blocks[100];
    for (unsigned i = 0; i < 100; i++) {
        uint64_t before = counter("thread.allocated");
        unsigned calls = alloc_calls;
        errno = 0;
        blocks[i] = malloc(BLOCK);
        MUST(errno == 0);
        uint64_t after = counter("thread.allocated");
        MUST(after - before == BLOCK);
        MUST(alloc_calls - calls == (before / INTERVAL != after / INTERVAL));
        MUST(alloc_calls == calls || last_allocated == after);
    }
    MUST(alloc_calls >= 100 * BLOCK / INTERVAL);
    MUST(free_calls == 0);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t before = counter("thread.deallocated");
        unsigned calls = free_calls;
        errno = 0;
        free(blocks[i]);
        MUST(errno == 0);
        uint64_t after = counter("thread.deallocated");
        MUST(after - before == BLOCK);
        MUST(free_calls - calls == (before / INTERVAL != after / INTERVAL));
        MUST(free_calls == calls || last_deallocated == after);
    }
    unsigned calls = alloc_calls;
    void *block = malloc((size_t)10 * INTERVAL);
    MUST(alloc_calls == calls + 1);
    block = realloc(block, (size_t)100 * INTERVAL);
    MUST(alloc_calls == calls + 2);
    free(block);
}

static void multiples_are_passed(void **state)
{
    (void)state;
    run_in_child(pass_multiples);
}

static void only_allocate(void)
{
    MUST(install(note, INTERVAL, true) == 0);
    free_calls = 0;
    alloc_calls = 0;
    for (unsigned i = 0; i < 50; i++) {
        free(malloc(INTERVAL));
    }
    MUST(alloc_calls == 50);
    MUST(free_calls == 0);
}

static void frees_are_left_out_on_wish(void **state)
{
    (void)state;
    run_in_child(only_allocate);
}

static void recurse(void)
{
    MUST(install(note_and_allocate, INTERVAL, false) == 0);
    alloc_calls = 0;
    free_calls = 0;
    void *block = malloc(INTERVAL);
    MUST(alloc_calls == 1 && free_calls == 0);
    free(block);
    MUST(alloc_calls == 1 && free_calls == 1);
}

static void a_hook_that_allocates_calls_none(void **state)
{
    (void)state;
    run_in_child(recurse);
}

static pthread_barrier_t barrier;

static void *allocate_in_thread(void *opaque)
{
    free(malloc(1)); /* The thread is there before the hook, or it is not. */
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_barrier_wait(&barrier);
    alloc_calls = 0;
    for (unsigned i = 0; i < 10; i++) {
        free(malloc(INTERVAL));
    }
    *(unsigned *)opaque = alloc_calls;
    MUST(last_allocated >= 10 * INTERVAL && last_allocated < 14 * INTERVAL);
    return NULL;
}

static void hook_all_threads(void)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    unsigned calls[THREADS];
    MUST(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        MUST(pthread_create(&threads[i], NULL, allocate_in_thread, &calls[i]) == 0);
    }
    (void)pthread_barrier_wait(&barrier);
    MUST(install(note, INTERVAL, true) == 0);
    (void)pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < THREADS; i++) {
        MUST(pthread_join(threads[i], NULL) == 0);
        MUST(calls[i] == 10);
    }
    /* And children of fork. */
    alloc_calls = 0;
    pid_t child = fork();
    if (child == 0) {
        free(malloc(INTERVAL));
        _exit(alloc_calls != 1);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    MUST(status == 0);
}

static void all_threads_have_their_own_sums(void **state)
{
    (void)state;
    run_in_child(hook_all_threads);
}

static volatile unsigned other_calls;

static void note_other(bool is_alloc, uint64_t allocated, uint64_t deallocated)
{
    (void)is_alloc;
    (void)allocated;
    (void)deallocated;
    other_calls++;
}

static void fill_places(void)
{
    MUST(install(NULL, INTERVAL, false) == EINVAL);
    MUST(install(note, 0, false) == EINVAL);
    struct wish wish = {note, INTERVAL, false};
    size_t length = sizeof wish;
    MUST(mallctl(name, NULL, NULL, NULL, 0) == EINVAL);
    MUST(mallctl(name, NULL, NULL, &wish, sizeof wish - 1) == EINVAL);
    MUST(mallctl(name, NULL, &length, &wish, sizeof wish) == EPERM);
    free(malloc((size_t)10 * INTERVAL));
    MUST(alloc_calls == 0);
    for (unsigned i = 0; i + 1 < HOOKS_MAX; i++) {
        MUST(install(note, INTERVAL, true) == 0);
    }
    MUST(install(note_other, (uint64_t)4 * INTERVAL, true) == 0);
    MUST(install(note, INTERVAL, true) == EAGAIN);
    alloc_calls = 0;
    other_calls = 0;
    for (unsigned i = 0; i < 20; i++) {
        free(malloc(INTERVAL));
    }
    MUST(alloc_calls == 20 * (HOOKS_MAX - 1));
    MUST(other_calls == 5);
}

static void four_hooks_have_a_place(void **state)
{
    (void)state;
    run_in_child(fill_places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiples_are_passed),
        cmocka_unit_test(frees_are_left_out_on_wish),
        cmocka_unit_test(a_hook_that_allocates_calls_none),
        cmocka_unit_test(all_threads_have_their_own_sums),
        cmocka_unit_test(four_hooks_have_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
