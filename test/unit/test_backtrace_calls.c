/* test_backtrace_calls.c: goal: walks that begin inside malloc do no harm wherever a program calls
 * it: while libraries are opened and closed, in their constructors, beside forks and in the child,
 * in signal handlers, in the destructors of a thread that ends and after them.
 * Method: a hook of the allocator (experimental.hooks) walks at each allocation of any thread, by
 * each of the three ways; rounds of loading, forking, signals and thread ends beside it. A deadlock
 * ends by SIGALRM.
 */
#include "unit_check.h"

#include "base/names.h"
#include "config/options.h"
#include "profile/backtrace.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { FRAMES_MAX = 128, WALKERS = 2, HANG_SECONDS = 100 };

int API(mallctl)(const char *name, void *old_value, size_t *old_bytes, void *new_value,
                 size_t new_bytes);
void *API(malloc)(size_t size_bytes);
void API(free)(void *block);

static atomic_ulong walks;
static atomic_ulong short_walks;
static atomic_bool is_over;
static bool is_started_early;

static void walk(void)
{
    uintptr_t frames[FRAMES_MAX];
    unsigned count = backtrace_take(frames, FRAMES_MAX);
    atomic_fetch_add_explicit(&walks, 1, memory_order_relaxed);
    if (count < 2) {
        atomic_fetch_add_explicit(&short_walks, 1, memory_order_relaxed);
    }
}

/* Before main(): profiling may start here. */
__attribute__((constructor)) static void start_early(void)
{
    is_started_early = backtrace_start();
    walk();
}

__attribute__((visibility("default"))) void walk_for_library(void);
void walk_for_library(void)
{
    walk();
}

static void on_alloc(void *extra, int type, void *result, uintptr_t raw, uintptr_t arguments[3])
{
    (void)extra;
    (void)type;
    (void)result;
    (void)raw;
    (void)arguments;
    walk();
}

static void *walker(void *opaque)
{
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        void *block = API(malloc)(64);
        __asm__ volatile("" : : "r"(block) : "memory");
        API(free)(block);
    }
    return opaque;
}

static void load_and_unload(void)
{
    for (unsigned i = 0; i < 60; i++) {
        void *library = dlopen(LOADED_CHAIN, RTLD_NOW | RTLD_LOCAL);
        EXPECT(library != NULL, "%s", dlerror());
        assert_int_equal(dlclose(library), 0);
    }
}

static void fork_and_walk(void)
{
    for (unsigned i = 0; i < 40; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)alarm(HANG_SECONDS);
            backtrace_forked();
            for (unsigned j = 0; j < 20; j++) {
                API(free)(API(malloc)(64));
            }
            walk();
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static pthread_key_t key;

/* Runs again and again, as destructors do that set their key anew. */
static void at_thread_end(void *opaque)
{
    uintptr_t round = (uintptr_t)opaque;
    API(free)(API(malloc)(64));
    if (round < 6) {
        (void)pthread_setspecific(key, (void *)(round + 1));
    }
}

static void *short_thread(void *opaque)
{
    (void)pthread_setspecific(key, (void *)1);
    API(free)(API(malloc)(64));
    return opaque;
}

static void end_threads(void)
{
    for (unsigned i = 0; i < 100; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, short_thread, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void on_timer(int number)
{
    (void)number;
    walk();
}

/* The handler interrupts walks, the unwinder's among them. */
static void walk_under_signals(void)
{
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    assert_int_equal(sigaction(SIGPROF, &action, NULL), 0);
    struct itimerval often = {{0, 200}, {0, 200}};
    assert_int_equal(setitimer(ITIMER_PROF, &often, NULL), 0);
    for (unsigned i = 0; i < 20000; i++) {
        walk();
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_PROF, &never, NULL), 0);
}

struct scene {
    void (*play)(void);
    bool has_walkers;
};

static void play(const struct scene *scene, unsigned way)
{
    pthread_t threads[WALKERS];
    options.prof_unwind = way;
    atomic_store(&is_over, false);
    for (unsigned i = 0; scene->has_walkers && i < WALKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, walker, NULL), 0);
    }
    unsigned long before = atomic_load(&walks);
    scene->play();
    assert_true(atomic_load(&walks) > before);
    atomic_store(&is_over, true);
    for (unsigned i = 0; scene->has_walkers && i < WALKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&short_walks), 0);
}

static void play_all_ways(struct scene scene)
{
    struct {
        void (*alloc)(void *, int, void *, uintptr_t, uintptr_t[3]);
        void *none[3];
    } hooks = {on_alloc, {NULL, NULL, NULL}};
    void *handle = NULL;
    size_t length = sizeof handle;
    assert_int_equal(
        API(mallctl)("experimental.hooks.install", &handle, &length, &hooks, sizeof hooks), 0);
    for (unsigned way = UNWIND_AUTO; way <= UNWIND_DWARF; way++) {
        play(&scene, way);
    }
    assert_int_equal(API(mallctl)("experimental.hooks.remove", NULL, NULL, &handle, sizeof handle),
                     0);
}

static void test_constructor(void **state)
{
    (void)state;
    assert_true(is_started_early);
    assert_true(atomic_load(&walks) > 0);
}

static void test_loading(void **state)
{
    (void)state;
    play_all_ways((struct scene){load_and_unload, true});
}

static void test_forks(void **state)
{
    (void)state;
    play_all_ways((struct scene){fork_and_walk, true});
}

static void test_thread_ends(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&key, at_thread_end), 0);
    play_all_ways((struct scene){end_threads, true});
}

static void test_signals(void **state)
{
    (void)state;
    play_all_ways((struct scene){walk_under_signals, false});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constructor), cmocka_unit_test(test_loading),
        cmocka_unit_test(test_forks),       cmocka_unit_test(test_thread_ends),
        cmocka_unit_test(test_signals),
    };
    (void)alarm(HANG_SECONDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
