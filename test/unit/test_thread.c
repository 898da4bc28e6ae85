/* test_thread.c: goal: each thread has one cache, made at its first call and given back at its
 * exit; modes set by one thread reach all others at their next call, and setting them back gives
 * the fast paths back.
 * Method: the pointer of the thread is read after each step; other threads are stepped by barriers;
 * a key destructor allocates after the cache is gone; a forked child counts what is left.
 */
#include "upper_floors.h"

#include "os/os.h"
#include "pages/meta.h"

#include <sys/mman.h>

static void count_cache(struct cache *cache, void *opaque)
{
    (void)cache;
    (*(unsigned *)opaque)++;
}

static unsigned cache_count(void)
{
    unsigned count = 0;
    thread_for_each_cache(count_cache, &count);
    return count;
}

/* One allocation and free: whatever waits for the next call happens. */
static void call(void)
{
    void *block = API(malloc)(100);
    assert_non_null(block);
    API(free)(block);
}

static void the_pointer_of_a_thread_is_its_cache(void **state)
{
    (void)state;
    call();
    struct cache *cache = thread_cache();
    assert_ptr_equal(thread_front_now(), &cache->front);
    assert_ptr_equal(thread_front_now()->cache, cache);
    assert_ptr_equal(thread_arena(), cache_arena(cache));
    assert_int_equal(thread_mode(), 0);
    assert_true(cache_is_valid(cache));
}

struct seen {
    const struct cache_front *first;
    struct cache *cache;
    unsigned caches;
    unsigned threads_of_arena;
};

static void *look(void *opaque)
{
    struct seen *seen = opaque;
    seen->first = thread_front_now();
    call();
    seen->cache = thread_cache();
    seen->caches = cache_count();
    seen->threads_of_arena = thread_arena()->thread_count;
    return NULL;
}

static void run_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_thread_gets_a_cache_at_its_first_call_and_leaves_it_at_its_exit(void **state)
{
    (void)state;
    unsigned before = cache_count();
    struct seen seen = {NULL, NULL, 0, 0};
    run_thread(look, &seen);
    assert_non_null(seen.cache);
    assert_ptr_not_equal(seen.cache, thread_cache());
    assert_int_equal(seen.caches, before + 1);
    assert_true(seen.threads_of_arena >= 1);
    assert_int_equal(cache_count(), before);
}

static void blocks_of_exited_threads_serve_new_ones(void **state)
{
    (void)state;
    struct seen first = {NULL, NULL, 0, 0};
    run_thread(look, &first);
    size_t bytes = meta_bytes();
    for (unsigned i = 0; i < 100; i++) {
        struct seen seen = {NULL, NULL, 0, 0};
        run_thread(look, &seen);
        assert_ptr_equal(seen.cache, first.cache);
    }
    assert_int_equal(meta_bytes(), bytes);
}

enum { CROWD = 40, CROWD_CLASSES = 24 };

struct crowd {
    pthread_barrier_t *together; /* NULL: alone */
    char *cache;
};

/* Uses so many bins that the cache has more than one page. */
static void *use_many_bins(void *opaque)
{
    struct crowd *crowd = opaque;
    for (uint8_t i = 0; i < CROWD_CLASSES; i++) {
        API(free)(API(malloc)(class_size(i)));
    }
    crowd->cache = (char *)thread_cache();
    if (crowd->together != NULL) {
        (void)pthread_barrier_wait(crowd->together);
    }
    return NULL;
}

static bool second_page_is_resident(char *block)
{
    unsigned char resident = 0;
    assert_int_equal(mincore(block + os_page_bytes, 1, &resident), 0);
    return resident & 1;
}

/* Blocks that lost their memory must not stand before those that kept it. */
static void after_a_crowd_the_next_thread_gets_warm_memory(void **state)
{
    (void)state;
    pthread_t threads[CROWD];
    struct crowd crowd[CROWD];
    pthread_barrier_t together;
    assert_int_equal(pthread_barrier_init(&together, NULL, CROWD), 0);
    for (unsigned i = 0; i < CROWD; i++) {
        crowd[i].together = &together;
        assert_int_equal(pthread_create(&threads[i], NULL, use_many_bins, &crowd[i]), 0);
    }
    unsigned warm = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        warm += second_page_is_resident(crowd[i].cache);
    }
    assert_int_equal(warm, 16);
    for (unsigned i = 0; i < 3; i++) {
        struct crowd one = {NULL, NULL};
        run_thread(use_many_bins, &one);
        assert_true(second_page_is_resident(one.cache));
    }
    pthread_barrier_destroy(&together);
}

enum { KEPT = 100, KEPT_SIZE = 3500 }; /* a class that nothing else here uses */

static void *keep_and_exit(void *argument)
{
    void **blocks = argument;
    for (unsigned i = 0; i < KEPT; i++) {
        blocks[i] = API(malloc)(KEPT_SIZE);
    }
    API(free)(blocks[0]);
    return NULL;
}

static void an_exited_thread_keeps_nothing_in_its_cache(void **state)
{
    (void)state;
    void *blocks[KEPT];
    run_thread(keep_and_exit, blocks);
    struct arena *arena = large_arena(blocks[1], map_code(blocks[1]));
    const struct bin_counters *counters = &arena->bin[class_of(KEPT_SIZE)].counters;
    assert_int_equal(counters->alloc_count - counters->free_count, KEPT - 1);
    assert_int_equal(counters->request_count, KEPT);
    for (unsigned i = 1; i < KEPT; i++) {
        API(free)(blocks[i]);
    }
    cache_flush(thread_cache());
    assert_int_equal(counters->alloc_count, counters->free_count);
    assert_true(bin_is_valid(&arena->bin[class_of(KEPT_SIZE)]));
}

static pthread_key_t late_key;
static struct {
    unsigned rounds;
    bool had_no_cache;
    bool worked;
} late;

/* Sets its own key again until the allocator's destructor has certainly run. */
static void work_late(void *value)
{
    late.rounds++;
    if (late.rounds < 3) {
        (void)pthread_setspecific(late_key, value);
        return;
    }
    late.had_no_cache = thread_cache() == NULL;
    char *block = API(malloc)(1000);
    memset(block, 1, 1000);
    block = API(realloc)(block, 100000);
    late.worked = block != NULL && bytes_are(block, 1000, 1) && thread_arena() == arena_get(0);
    API(free)(block);
}

static void *leave_late_work(void *argument)
{
    call();
    (void)pthread_setspecific(late_key, argument);
    return NULL;
}

static void destructors_that_come_later_allocate_without_a_cache(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&late_key, work_late), 0);
    unsigned before = cache_count();
    run_thread(leave_late_work, &late);
    pthread_key_delete(late_key);
    assert_int_equal(late.rounds, 3);
    assert_true(late.had_no_cache);
    assert_true(late.worked);
    assert_int_equal(cache_count(), before);
}

static void modes_apply_at_the_next_call_and_zero_gives_the_fast_paths_back(void **state)
{
    (void)state;
    call();
    struct cache *cache = thread_cache();
    thread_set_modes(MODE_JUNK_ALLOC | MODE_ZERO);
    assert_int_equal(thread_modes(), MODE_JUNK_ALLOC | MODE_ZERO);
    assert_int_equal(thread_front_now()->mode, MODE_SWITCH);
    assert_int_equal(thread_front_now()->limit, 0);
    call();
    assert_ptr_equal(thread_front_now(), cache->shim);
    assert_ptr_equal(thread_front_now()->cache, cache);
    assert_int_equal(thread_mode(), MODE_JUNK_ALLOC | MODE_ZERO);
    assert_int_equal(thread_front_now()->limit, 0);
    assert_int_equal(thread_front_now()->sized_limit, 0);
    assert_ptr_equal(thread_cache(), cache);
    thread_set_modes(0);
    call();
    assert_ptr_equal(thread_front_now(), &cache->front);
    assert_int_equal(thread_mode(), 0);
    assert_true(cache_is_valid(cache));
}

static struct {
    pthread_barrier_t barrier;
    uint32_t before;
    uint32_t during;
    uint32_t after;
    bool fast_again;
} stepped;

static void *step_through_modes(void *argument)
{
    call();
    stepped.before = thread_mode();
    pthread_barrier_wait(&stepped.barrier);
    pthread_barrier_wait(&stepped.barrier);
    call();
    stepped.during = thread_mode();
    pthread_barrier_wait(&stepped.barrier);
    pthread_barrier_wait(&stepped.barrier);
    call();
    stepped.after = thread_mode();
    stepped.fast_again = thread_front_now() == &thread_cache()->front;
    return argument;
}

static void modes_reach_threads_that_run_already(void **state)
{
    (void)state;
    pthread_t thread;
    pthread_barrier_init(&stepped.barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, step_through_modes, NULL), 0);
    pthread_barrier_wait(&stepped.barrier);
    thread_set_modes(MODE_JUNK_FREE);
    pthread_barrier_wait(&stepped.barrier);
    pthread_barrier_wait(&stepped.barrier);
    thread_set_modes(0);
    pthread_barrier_wait(&stepped.barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&stepped.barrier);
    assert_int_equal(stepped.before, 0);
    assert_int_equal(stepped.during, MODE_JUNK_FREE);
    assert_int_equal(stepped.after, 0);
    assert_true(stepped.fast_again);
    call();
}

static void *read_mode(void *mode)
{
    call();
    *(uint32_t *)mode = thread_mode();
    return NULL;
}

static void threads_that_begin_later_have_the_modes(void **state)
{
    (void)state;
    uint32_t mode = 0;
    thread_set_modes(MODE_ZERO);
    run_thread(read_mode, &mode);
    assert_int_equal(mode, MODE_ZERO);
    thread_set_modes(0);
    run_thread(read_mode, &mode);
    assert_int_equal(mode, 0);
    call();
}

static void a_thread_turns_its_own_cache_off_and_on(void **state)
{
    (void)state;
    call();
    struct cache *cache = thread_front_now()->cache;
    thread_enable_cache(false);
    assert_null(thread_cache());
    assert_int_equal(cache_cached_bytes(cache), 0);
    assert_ptr_equal(thread_arena(), cache_arena(cache));
    call();
    assert_int_equal(cache_cached_bytes(cache), 0);
    /* A change of the process's modes does not turn it on again. */
    thread_set_modes(MODE_ZERO);
    call();
    assert_null(thread_cache());
    thread_set_modes(0);
    call();
    assert_null(thread_cache());
    thread_enable_cache(true);
    assert_ptr_equal(thread_cache(), cache);
    call();
    assert_ptr_equal(thread_front_now(), &cache->front);
    assert_true(cache_cached_bytes(cache) > 0);
}

static void *wait_twice(void *barrier)
{
    call();
    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier);
    return NULL;
}

static void check_in_child(void *main_cache)
{
    unsigned threads = 0;
    CHILD_EXPECT(cache_count() == 1);
    CHILD_EXPECT(thread_cache() == main_cache);
    for (unsigned i = 0; i < arena_count(); i++) {
        threads += arena_get(i)->thread_count;
    }
    CHILD_EXPECT(threads == 1);
    call();
}

static void a_forked_child_keeps_its_own_cache_only(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_twice, &barrier), 0);
    }
    pthread_barrier_wait(&barrier);
    assert_true(cache_count() >= THREADS + 1);
    expect_success(check_in_child, thread_cache());
    assert_true(cache_count() >= THREADS + 1);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&barrier);
}

/* While this thread owns the locks as a forking one, it finds each of them held, and passes. */
static const struct arena *arena_after_contention(void)
{
    lock_fork_begins();
    arenas_hold_locks();
    for (unsigned i = 0; i < 100; i++) {
        void *block = API(malloc)(100);
        assert_non_null(block);
        API(free)(block);
        cache_flush(thread_cache());
    }
    arenas_release_locks();
    lock_fork_ends();
    return thread_arena();
}

static void *meet_contention(void *unused)
{
    const struct arena *first = arena_get(0);
    call();
    assert_true(thread_use_arena(arena_get(0)));
    assert_ptr_equal(thread_arena(), first);
    assert_ptr_equal(arena_after_contention(), first);
    thread_cache()->stays = false;
    assert_ptr_not_equal(arena_after_contention(), first);
    return unused;
}

static void a_thread_stays_in_the_arena_that_it_asked_for(void **state)
{
    (void)state;
    run_thread(meet_contention, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pointer_of_a_thread_is_its_cache),
        cmocka_unit_test(a_thread_gets_a_cache_at_its_first_call_and_leaves_it_at_its_exit),
        cmocka_unit_test(blocks_of_exited_threads_serve_new_ones),
        cmocka_unit_test(after_a_crowd_the_next_thread_gets_warm_memory),
        cmocka_unit_test(an_exited_thread_keeps_nothing_in_its_cache),
        cmocka_unit_test(destructors_that_come_later_allocate_without_a_cache),
        cmocka_unit_test(modes_apply_at_the_next_call_and_zero_gives_the_fast_paths_back),
        cmocka_unit_test(modes_reach_threads_that_run_already),
        cmocka_unit_test(threads_that_begin_later_have_the_modes),
        cmocka_unit_test(a_thread_turns_its_own_cache_off_and_on),
        cmocka_unit_test(a_forked_child_keeps_its_own_cache_only),
        cmocka_unit_test(a_thread_stays_in_the_arena_that_it_asked_for),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
