/* test_fork.c: goal: after fork both processes can allocate and free, whatever other threads were
 * doing at that moment, and both still have the content of all blocks.
 * Method: single-threaded forks, forks of forks, and 200 forks while four threads allocate. A
 * child that hangs dies by its alarm and fails the test.
 */
#include "api_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { KEPT = 200, CHILD_SECONDS = 20 };

static void *kept[KEPT];

static size_t kept_size(unsigned i)
{
    return 1 + (size_t)i * i * 3;
}

static void make_kept(void)
{
    for (unsigned i = 0; i < KEPT; i++) {
        kept[i] = malloc(kept_size(i));
        assert_non_null(kept[i]);
        content_fill(kept[i], kept_size(i), i);
    }
}

static bool kept_is_intact(void)
{
    for (unsigned i = 0; i < KEPT; i++) {
        if (!content_is(kept[i], kept_size(i), i)) {
            return false;
        }
    }
    return true;
}

static bool allocator_works(void)
{
    enum { COUNT = 300 };
    void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size = i % 50 == 0 ? (size_t)300 << 10 : 1 + i * 60;
        blocks[i] = i % 3 == 0 ? calloc(1, size) : malloc(size);
        if (blocks[i] == NULL || malloc_usable_size(blocks[i]) != oracle_usable(size)) {
            return false;
        }
        content_fill(blocks[i], size < 4096 ? size : 4096, i);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size = i % 50 == 0 ? (size_t)300 << 10 : 1 + i * 60;
        if (!content_is(blocks[i], size < 4096 ? size : 4096, i)) {
            return false;
        }
        free(blocks[i]);
    }
    return true;
}

static int child_status(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_child_and_its_child_can_allocate(void **state)
{
    (void)state;
    make_kept();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(CHILD_SECONDS);
        bool sound = allocator_works() && kept_is_intact();
        pid_t grandchild = fork();
        if (grandchild == 0) {
            alarm(CHILD_SECONDS);
            for (unsigned i = 0; i < KEPT; i++) {
                free(kept[i]);
            }
            _exit(allocator_works() ? 0 : 1);
        }
        int status = -1;
        waitpid(grandchild, &status, 0);
        _exit(sound && status == 0 && allocator_works() && kept_is_intact() ? 0 : 1);
    }
    assert_true(allocator_works());
    assert_int_equal(child_status(child), 0);
    assert_true(kept_is_intact());
    for (unsigned i = 0; i < KEPT; i++) {
        free(kept[i]);
    }
}

static atomic_bool stop;
static atomic_uint failures;
static _Atomic(void *) shared_places[64];

static void *allocate_until_stopped(void *argument)
{
    uint64_t random = 1 + (uint64_t)(uintptr_t)argument;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        unsigned lg = 4 + (unsigned)(random_next(&random) % 14);
        void *block = malloc(((size_t)1 << lg) + random_next(&random) % 1000);
        if (block == NULL) {
            atomic_fetch_add(&failures, 1);
            return NULL;
        }
        memset(block, 1, 16);
        free(atomic_exchange(&shared_places[random_next(&random) % 64], block));
        if (random_next(&random) % 256 == 0) {
            free(realloc(malloc(100), (size_t)1 << 20));
            usleep(500); /* leaves the machine's cores to the forks now and then */
        }
    }
    return NULL;
}

static void *work_in_child_thread(void *result)
{
    *(bool *)result = allocator_works();
    return NULL;
}

static void fork_once(unsigned round)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(CHILD_SECONDS);
        bool sound = allocator_works() && kept_is_intact();
        bool in_thread = true;
        if (round % 10 == 0 && !LIBRARY_IS_PREFIXED) {
            pthread_t thread;
            sound = sound && pthread_create(&thread, NULL, work_in_child_thread, &in_thread) == 0 &&
                    pthread_join(thread, NULL) == 0;
        }
        _exit(sound && in_thread ? 0 : 1);
    }
    assert_true(allocator_works());
    int status = child_status(child);
    EXPECT(status == 0, "child of fork %u ended with %#x", round, (unsigned)status);
}

static void two_hundred_forks_while_four_threads_allocate(void **state)
{
    (void)state;
    make_kept();
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_until_stopped, (void *)i), 0);
    }
    for (unsigned round = 0; round < 200; round++) {
        fork_once(round);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&failures), 0);
    assert_true(kept_is_intact());
}

static unsigned prepared;
static unsigned ran_in_parent;

static void prepare_that_allocates(void)
{
    prepared++;
    free(malloc(1000));
}

static void parent_that_allocates(void)
{
    ran_in_parent++;
    free(malloc(2000));
}

static void child_that_allocates(void)
{
    free(malloc(3000));
}

static void atfork_handlers_may_allocate(void **state)
{
    (void)state;
    assert_int_equal(
        pthread_atfork(prepare_that_allocates, parent_that_allocates, child_that_allocates), 0);
    for (unsigned i = 0; i < 5; i++) {
        fork_once(i);
    }
    assert_int_equal(prepared, 5);
    assert_int_equal(ran_in_parent, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_and_its_child_can_allocate),
        cmocka_unit_test(two_hundred_forks_while_four_threads_allocate),
        cmocka_unit_test(atfork_handlers_may_allocate),
    };
    alarm(150); /* a parent that hangs in fork must not hang the test run */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
