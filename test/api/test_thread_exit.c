/* test_thread_exit.c: goal: a thread may allocate and free to its very end: in pthread key
 * destructors, in every round of them, in C++-style thread_local destructors, after pthread_exit
 * and cancellation; and threads leave no memory.
 * Method: destructors of keys made before and after the thread's first allocation; many short
 * threads with the process's resident memory read before and after.
 */
#include "api_test.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_uint destructions;
static atomic_uint failures;
static pthread_key_t early_key;
static pthread_key_t late_key;

static void use_the_allocator(unsigned tag)
{
    void *blocks[32];
    for (unsigned i = 0; i < 32; i++) {
        blocks[i] = malloc(8 + i * 100);
        if (blocks[i] == NULL) {
            atomic_fetch_add(&failures, 1);
            continue;
        }
        content_fill(blocks[i], 8 + i * 100, tag + i);
    }
    for (unsigned i = 0; i < 32; i++) {
        if (blocks[i] != NULL && !content_is(blocks[i], 8 + i * 100, tag + i)) {
            atomic_fetch_add(&failures, 1);
        }
        free(blocks[i]);
    }
}

/* Frees the value, works, and sets a new value until the C library gives up after its rounds. */
static void early_destructor(void *value)
{
    atomic_fetch_add(&destructions, 1);
    use_the_allocator(100);
    free(value);
    pthread_setspecific(early_key, malloc(50));
}

static void late_destructor(void *value)
{
    atomic_fetch_add(&destructions, 1);
    free(value);
    use_the_allocator(200);
}

struct exit_registration {
    void *block;
};

extern int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *dso_handle);
extern void *__dso_handle;

/* What C++ runs for a thread_local object. */
static void thread_local_destructor(void *object)
{
    atomic_fetch_add(&destructions, 1);
    struct exit_registration *registration = object;
    free(registration->block);
    free(registration);
    use_the_allocator(300);
}

static void *live_and_die(void *how)
{
    struct exit_registration *registration = malloc(sizeof *registration);
    registration->block = malloc(500);
    __cxa_thread_atexit_impl(thread_local_destructor, registration, &__dso_handle);
    pthread_setspecific(early_key, malloc(10));
    pthread_setspecific(late_key, malloc(20));
    use_the_allocator(0);
    if (how != NULL) {
        pthread_exit(NULL);
    }
    return NULL;
}

static void destructors_may_allocate(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&early_key, early_destructor), 0);
    free(malloc(1));
    assert_int_equal(pthread_key_create(&late_key, late_destructor), 0);
    enum { ROUNDS = 200 };
    for (uintptr_t i = 0; i < ROUNDS; i++) {
        pthread_t threads[2];
        assert_int_equal(pthread_create(&threads[0], NULL, live_and_die, NULL), 0);
        assert_int_equal(pthread_create(&threads[1], NULL, live_and_die, (void *)1), 0);
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
    }
    assert_int_equal(atomic_load(&failures), 0);
    assert_true(atomic_load(&destructions) >= ROUNDS * 2 * 3);
    pthread_key_delete(early_key);
    pthread_key_delete(late_key);
}

static void *only_free(void *block)
{
    free(block);
    return NULL;
}

static void a_thread_may_begin_with_free(void **state)
{
    (void)state;
    for (size_t size = 8; size <= (size_t)1 << 20; size *= 2) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, only_free, malloc(size)), 0);
        pthread_join(thread, NULL);
    }
}

static void *allocate_until_cancelled(void *unused)
{
    (void)unused;
    for (;;) {
        use_the_allocator(1);
        pthread_testcancel();
    }
    return NULL;
}

static void cancelled_threads_are_harmless(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, allocate_until_cancelled, NULL), 0);
        usleep(200);
        pthread_cancel(thread);
        pthread_join(thread, NULL);
    }
    assert_int_equal(atomic_load(&failures), 0);
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    unsigned long total = 0;
    unsigned long resident = 0;
    assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void *short_life(void *unused)
{
    use_the_allocator(7);
    return unused;
}

static void run_short_threads(unsigned count)
{
    for (unsigned i = 0; i < count; i += 4) {
        pthread_t threads[4];
        for (unsigned k = 0; k < 4; k++) {
            assert_int_equal(pthread_create(&threads[k], NULL, short_life, NULL), 0);
        }
        for (unsigned k = 0; k < 4; k++) {
            pthread_join(threads[k], NULL);
        }
    }
}

/* A page lost per thread would be 16 MiB. */
static void short_threads_leave_no_memory(void **state)
{
    (void)state;
    if (LIBRARY_IS_PREFIXED) {
        skip(); /* the sanitizer's own memory of threads grows */
    }
    run_short_threads(400);
    size_t before = resident_bytes();
    run_short_threads(4000);
    size_t after = resident_bytes();
    EXPECT(after < before + ((size_t)2 << 20), "resident %zu after, %zu before", after, before);
    assert_int_equal(atomic_load(&failures), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destructors_may_allocate),
        cmocka_unit_test(a_thread_may_begin_with_free),
        cmocka_unit_test(cancelled_threads_are_harmless),
        cmocka_unit_test(short_threads_leave_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
