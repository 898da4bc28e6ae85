/* test_dlopen.c: goal: the library can be loaded at run time into a program that uses another
 * allocator, without a static-TLS error, and dlclose while its threads still run and exit is
 * harmless.
 * Method: 100 rounds of dlopen, work in four threads, dlclose before the threads exit. This
 * program is not linked with the library; the path is its argument.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>
#include <pthread.h>

#include <cmocka.h>

enum { ROUNDS = 100, THREADS = 4 };

static const char *library_path;

struct round {
    void *(*mallocx)(size_t, int);
    void (*dallocx)(void *, int);
    pthread_barrier_t worked;
    pthread_barrier_t closed;
};

/* Leaves blocks in the thread's cache, so that its exit has something to do. */
static void *work_and_exit_late(void *argument)
{
    struct round *round = argument;
    uintptr_t failed = 0;
    for (unsigned i = 0; i < 500; i++) {
        size_t size = 8 + i * 16;
        unsigned char *block = round->mallocx(size, 0);
        if (block == NULL) {
            failed = 1;
            continue;
        }
        memset(block, 0x31, size);
        round->dallocx(block, 0);
    }
    pthread_barrier_wait(&round->worked);
    pthread_barrier_wait(&round->closed);
    return (void *)failed;
}

static void *symbol(void *handle, const char *name)
{
    void *address = dlsym(handle, name);
    assert_non_null(address);
    return address;
}

static void load_work_close_exit(void)
{
    void *handle = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        fail_msg("dlopen: %s", dlerror());
    }
    struct round round;
    *(void **)&round.mallocx = symbol(handle, "mallocx");
    *(void **)&round.dallocx = symbol(handle, "dallocx");
    pthread_barrier_init(&round.worked, NULL, THREADS + 1);
    pthread_barrier_init(&round.closed, NULL, THREADS + 1);
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work_and_exit_late, &round), 0);
    }
    void *own = round.mallocx(1000, 0);
    assert_non_null(own);
    round.dallocx(own, 0);
    pthread_barrier_wait(&round.worked);
    assert_int_equal(dlclose(handle), 0);
    pthread_barrier_wait(&round.closed);
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    pthread_barrier_destroy(&round.worked);
    pthread_barrier_destroy(&round.closed);
}

static void loading_and_closing_while_threads_exit_is_harmless(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        load_work_close_exit();
    }
}

static void both_allocators_live_side_by_side(void **state)
{
    (void)state;
    void *handle = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    void *(*their_malloc)(size_t) = NULL;
    void (*their_free)(void *) = NULL;
    *(void **)&their_malloc = symbol(handle, "malloc");
    *(void **)&their_free = symbol(handle, "free");
    for (size_t size = 1; size <= (size_t)1 << 20; size *= 2) {
        void *theirs = their_malloc(size);
        void *ours = malloc(size);
        assert_non_null(theirs);
        assert_non_null(ours);
        memset(theirs, 1, size);
        memset(ours, 2, size);
        assert_int_equal(((unsigned char *)theirs)[size - 1], 1);
        their_free(theirs);
        free(ours);
    }
    dlclose(handle);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        print_error("usage: test_dlopen /path/libjemalloc.so.2\n");
        return 2;
    }
    library_path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_and_closing_while_threads_exit_is_harmless),
        cmocka_unit_test(both_allocators_live_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
