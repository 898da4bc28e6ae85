/* test_lock.c: goal: the lock excludes, wakes, counts, keeps its ranks, and passes through fork.
 * Method: locks of the test's own. Threads add to a plain counter under a lock; a waiter is made to
 * sleep and must wake up; wrong orders run in a child, which must abort in debug builds; the fork
 * protocol is walked by hand and through fork() beside a thread that keeps the lock busy.
 */
#include "unit_check.h"

#include "os/lock.h"
#include "os/os.h"

#include <pthread.h>

enum { WORKERS = 4, ROUNDS = 50000 };
#ifdef __SANITIZE_THREAD__
enum { FORKS = 0 }; /* libtsan's own locks may be held at _Fork(), which it does not know */
#else
enum { FORKS = 50 };
#endif

static uint32_t word_of(struct lock *lock)
{
    return atomic_load_explicit(&lock->word, memory_order_relaxed);
}

static void short_sleep(void)
{
    usleep(1000);
}

static void *do_nothing(void *argument)
{
    return argument;
}

/* From here on the process counts as one with threads. */
static void become_threaded(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, do_nothing, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void try_takes_a_free_lock_once(void **state)
{
    (void)state;
    struct lock lock;
    lock_init(&lock, LOCK_PAGES);
    assert_int_equal(word_of(&lock), LOCK_FREE);
    for (unsigned round = 1; round <= 3; round++) {
        assert_true(lock_try(&lock));
        assert_int_equal(word_of(&lock), LOCK_HELD);
        assert_false(lock_try(&lock));
        lock_release(&lock);
        assert_int_equal(word_of(&lock), LOCK_FREE);
        assert_int_equal(lock.acquire_count, round);
    }
    assert_int_equal(lock.wait_count, 0);
    assert_int_equal(lock.spin_count, 0);
}

static void a_lock_of_zero_bytes_is_free(void **state)
{
    (void)state;
    static struct lock lock;
    lock_acquire(&lock);
    assert_int_equal(word_of(&lock), LOCK_HELD);
    lock_release(&lock);
    assert_int_equal(word_of(&lock), LOCK_FREE);
}

struct counted {
    struct lock lock;
    uint64_t count;
};

static void *count_up(void *argument)
{
    struct counted *counted = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        lock_acquire(&counted->lock);
        counted->count++;
        lock_release(&counted->lock);
    }
    return NULL;
}

static void threads_exclude_each_other_and_every_acquisition_counts(void **state)
{
    (void)state;
    struct counted counted = {.count = 0};
    lock_init(&counted.lock, LOCK_BIN);
    pthread_t threads[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &counted), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(counted.count, WORKERS * ROUNDS);
    assert_int_equal(counted.lock.acquire_count, WORKERS * ROUNDS);
    assert_true(counted.lock.wait_count <= counted.lock.acquire_count);
    assert_true(counted.lock.spin_count <= counted.lock.wait_count);
    assert_int_equal(word_of(&counted.lock), LOCK_FREE);
}

struct waiter {
    struct lock *lock;
    _Atomic bool inside;
};

static void *wait_for_lock(void *argument)
{
    struct waiter *waiter = argument;
    lock_acquire(waiter->lock);
    atomic_store(&waiter->inside, true);
    lock_release(waiter->lock);
    return NULL;
}

static void a_sleeping_waiter_is_woken_by_the_release(void **state)
{
    (void)state;
    struct lock lock;
    lock_init(&lock, LOCK_PAGES);
    become_threaded();
    lock_acquire(&lock);
    struct waiter waiters[WORKERS];
    pthread_t threads[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        waiters[i] = (struct waiter){.lock = &lock};
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_lock, &waiters[i]), 0);
    }
    while (word_of(&lock) != LOCK_CONTENDED) {
        short_sleep();
    }
    short_sleep();
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_false(atomic_load(&waiters[i].inside));
    }
    lock_release(&lock);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(atomic_load(&waiters[i].inside));
    }
    assert_int_equal(lock.acquire_count, WORKERS + 1);
    assert_true(lock.wait_count >= 1);
    assert_int_equal(word_of(&lock), LOCK_FREE);
    struct lock_counters counters = lock_counters(&lock);
    assert_int_equal(counters.acquire_count, WORKERS + 2);
    assert_in_range(counters.sleep_count, 1, WORKERS);
    assert_int_equal(counters.owner_change_count, counters.sleep_count + counters.spin_count);
    assert_in_range(counters.sleepers_max, 1, WORKERS);
    assert_true(counters.sleep_max_ns > 0 && counters.sleep_max_ns <= counters.sleep_ns);
    assert_int_equal(lock.sleepers, 0);
    lock_reset_counters(&lock);
    counters = lock_counters(&lock);
    assert_int_equal(counters.acquire_count, 1);
    assert_int_equal(counters.sleep_count + counters.spin_count + counters.sleep_ns, 0);
    assert_int_equal(counters.sleep_max_ns + counters.sleepers_max, 0);
}

static void every_order_of_two_ranks(enum lock_rank first, enum lock_rank second)
{
    struct lock outer;
    struct lock inner;
    lock_init(&outer, first);
    lock_init(&inner, second);
    lock_acquire(&outer);
    lock_acquire(&inner);
    lock_release(&inner);
    lock_release(&outer);
}

static void take_all_ranks_in_order(void)
{
    for (unsigned first = 0; first < LOCK_RANK_COUNT; first++) {
        for (unsigned second = first + 1; second < LOCK_RANK_COUNT; second++) {
            every_order_of_two_ranks((enum lock_rank)first, (enum lock_rank)second);
        }
    }
}

static void rising_ranks_may_nest(void **state)
{
    (void)state;
    expect_good_end(run_in_child(take_all_ranks_in_order));
}

static enum lock_rank outer_rank;
static enum lock_rank inner_rank;

static void take_chosen_ranks(void)
{
    every_order_of_two_ranks(outer_rank, inner_rank);
}

static void take_chosen_ranks_apart(void)
{
    struct lock one;
    struct lock other;
    lock_init(&one, outer_rank);
    lock_init(&other, inner_rank);
    lock_acquire(&one);
    lock_release(&one);
    lock_acquire(&other);
    lock_release(&other);
}

static void falling_or_equal_ranks_abort_in_debug_builds(void **state)
{
    (void)state;
    for (unsigned first = 0; first < LOCK_RANK_COUNT; first++) {
        for (unsigned second = 0; second <= first; second += 3) {
            outer_rank = (enum lock_rank)first;
            inner_rank = (enum lock_rank)second;
            expect_good_end(run_in_child(take_chosen_ranks_apart));
            struct child_end end = run_in_child(take_chosen_ranks);
            if (config_debug) {
                char text[96];
                (void)snprintf(text, sizeof text, "lock order: rank %u taken while 0x%x is held",
                               second, 1u << first);
                expect_abort_with(end, text);
            } else {
                expect_good_end(end);
            }
        }
    }
}

static void locks_of_one_rank_nest_inside_fork(void)
{
    lock_fork_begins();
    every_order_of_two_ranks(LOCK_BIN, LOCK_BIN);
    lock_fork_ends();
}

static void fork_may_hold_locks_of_one_rank(void **state)
{
    (void)state;
    expect_good_end(run_in_child(locks_of_one_rank_nest_inside_fork));
}

static void the_forking_thread_passes_its_own_locks(void **state)
{
    (void)state;
    struct lock lock;
    lock_init(&lock, LOCK_META);
    assert_false(lock_is_own_fork());
    lock_fork_begins();
    assert_true(lock_is_own_fork());
    lock_hold_for_fork(&lock);
    assert_int_equal(word_of(&lock), LOCK_FORKING);
    for (unsigned i = 0; i < 3; i++) {
        lock_acquire(&lock);
        assert_int_equal(word_of(&lock), LOCK_FORKING);
        lock_release(&lock);
        assert_int_equal(word_of(&lock), LOCK_FORKING);
    }
    assert_int_equal(lock.acquire_count, 1);
    lock_release_after_fork(&lock);
    lock_fork_ends();
    assert_int_equal(word_of(&lock), LOCK_FREE);
    assert_true(lock_try(&lock));
    lock_release(&lock);
}

static void other_threads_wait_until_fork_is_over(void **state)
{
    (void)state;
    struct lock lock;
    lock_init(&lock, LOCK_META);
    become_threaded();
    lock_fork_begins();
    lock_hold_for_fork(&lock);
    struct waiter waiter = {.lock = &lock};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_lock, &waiter), 0);
    while (word_of(&lock) != LOCK_FORKING_CONTENDED) {
        short_sleep();
    }
    lock_acquire(&lock);
    lock_release(&lock);
    assert_int_equal(word_of(&lock), LOCK_FORKING_CONTENDED);
    assert_false(atomic_load(&waiter.inside));
    lock_release_after_fork(&lock);
    lock_fork_ends();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&waiter.inside));
    assert_int_equal(word_of(&lock), LOCK_FREE);
}

/* The lock changes hands while somebody sleeps: the holder lets go once both the forking thread
 * and, after it, a waiter are asleep. */
struct handover {
    struct lock lock;
    struct waiter waiter;
    pthread_t waiter_thread;
    _Atomic bool held;
};

static void *hold_until_both_sleep(void *argument)
{
    struct handover *handover = argument;
    lock_acquire(&handover->lock);
    atomic_store(&handover->held, true);
    while (word_of(&handover->lock) != LOCK_CONTENDED) {
        short_sleep();
    }
    usleep(5000);
    int refused = pthread_create(&handover->waiter_thread, NULL, wait_for_lock, &handover->waiter);
    usleep(20000);
    lock_release(&handover->lock);
    return refused == 0 ? handover : NULL;
}

static void a_sleeper_that_fork_overtook_is_woken_after_it(void **state)
{
    (void)state;
    static struct handover handover;
    lock_init(&handover.lock, LOCK_META);
    handover.waiter.lock = &handover.lock;
    pthread_t holder;
    assert_int_equal(pthread_create(&holder, NULL, hold_until_both_sleep, &handover), 0);
    while (!atomic_load(&handover.held)) {
        short_sleep();
    }
    lock_fork_begins();
    lock_hold_for_fork(&handover.lock);
    lock_release_after_fork(&handover.lock);
    lock_fork_ends();
    void *created;
    assert_int_equal(pthread_join(holder, &created), 0);
    assert_non_null(created);
    assert_int_equal(pthread_join(handover.waiter_thread, NULL), 0);
    assert_true(atomic_load(&handover.waiter.inside));
}

struct busy {
    struct lock lock;
    uint64_t one; /* under the lock: equal to the other whenever the lock is free */
    uint64_t other;
    _Atomic bool stop;
};

static void *keep_busy(void *argument)
{
    struct busy *busy = argument;
    while (!atomic_load_explicit(&busy->stop, memory_order_relaxed)) {
        lock_acquire(&busy->lock);
        busy->one++;
        busy->other++;
        lock_release(&busy->lock);
    }
    return NULL;
}

/* The child's view: whole, free, and usable. */
static void look_from_the_child(struct busy *busy)
{
    lock_release_after_fork(&busy->lock);
    lock_fork_ends();
    CHILD_EXPECT(busy->one == busy->other);
    CHILD_EXPECT(word_of(&busy->lock) == LOCK_FREE);
    lock_acquire(&busy->lock);
    CHILD_EXPECT(!lock_try(&busy->lock));
    lock_release(&busy->lock);
    _exit(0);
}

static void a_fork_beside_a_busy_thread_gives_a_whole_child(void **state)
{
    (void)state;
    static struct busy busy;
    lock_init(&busy.lock, LOCK_META);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_busy, &busy), 0);
    for (int i = 0; i < FORKS; i++) {
        lock_fork_begins();
        lock_hold_for_fork(&busy.lock);
        pid_t child = _Fork();
        if (child == 0) {
            look_from_the_child(&busy);
        }
        lock_release_after_fork(&busy.lock);
        lock_fork_ends();
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    atomic_store(&busy.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(busy.one == busy.other);
    assert_true(busy.lock.acquire_count >= busy.one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(try_takes_a_free_lock_once),
        cmocka_unit_test(a_lock_of_zero_bytes_is_free),
        cmocka_unit_test(rising_ranks_may_nest),
        cmocka_unit_test(falling_or_equal_ranks_abort_in_debug_builds),
        cmocka_unit_test(fork_may_hold_locks_of_one_rank),
        cmocka_unit_test(the_forking_thread_passes_its_own_locks),
        cmocka_unit_test(threads_exclude_each_other_and_every_acquisition_counts),
        cmocka_unit_test(a_sleeping_waiter_is_woken_by_the_release),
        cmocka_unit_test(other_threads_wait_until_fork_is_over),
        cmocka_unit_test(a_sleeper_that_fork_overtook_is_woken_after_it),
        cmocka_unit_test(a_fork_beside_a_busy_thread_gives_a_whole_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
