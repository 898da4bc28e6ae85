/* test_guard.c: goal: the switch works: modes that fill blocks are seen by every call of every
 * thread from its next call on, do what they say to each way to allocate and free, and leave no
 * trace once they are off.
 * Method: modes are set and read back through the content of blocks, for the calling thread and for
 * threads stepped by barriers; options are changed in place to see the modes that they ask for.
 */
#include "upper_floors.h"

#include "api/guard.h"

static void call(void)
{
    API(free)(API(malloc)(100));
}

static void clear_modes(void)
{
    thread_set_modes(0);
    call();
    assert_ptr_equal(thread_front_now(), &thread_cache()->front);
}

/* The compiler may not reason about memory after free: the tests look at it on purpose. */
static const void *freed(void *block)
{
    void *volatile hidden = block;
    API(free)(block);
    return hidden;
}

static const size_t sizes[] = {1, 8, 100, 1024, 5000, 14336, 16384, 32768, 40000, 300000, 3000000};

static void options_ask_for_modes(void **state)
{
    (void)state;
    const struct options saved = options;
    assert_int_equal(guard_modes_of_options(), 0);
    options.junk = JUNK_TRUE;
    assert_int_equal(guard_modes_of_options(), MODE_JUNK_ALLOC | MODE_JUNK_FREE);
    options.junk = JUNK_ALLOC;
    assert_int_equal(guard_modes_of_options(), MODE_JUNK_ALLOC);
    options.junk = JUNK_FREE;
    assert_int_equal(guard_modes_of_options(), MODE_JUNK_FREE);
    options.junk = JUNK_FALSE;
    options.zero = true;
    assert_int_equal(guard_modes_of_options(), MODE_ZERO);
    options.zero = false;
    options.tcache = false; /* A mode of each thread, which it may change. */
    assert_int_equal(guard_modes_of_options(), 0);
    options = saved;
}

static void fresh_blocks_are_junk_in_every_byte(void **state)
{
    (void)state;
    thread_set_modes(MODE_JUNK_ALLOC);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        char *block = API(malloc)(sizes[i]);
        assert_non_null(block);
        size_t usable = API(malloc_usable_size)(block);
        EXPECT(bytes_are(block, usable, JUNK_ALLOC_BYTE), "malloc(%zu)", sizes[i]);
        API(free)(block);
        block = API(mallocx)(sizes[i], 0);
        EXPECT(bytes_are(block, usable, JUNK_ALLOC_BYTE), "mallocx(%zu)", sizes[i]);
        API(free)(block);
        block = API(aligned_alloc)(64, sizes[i]);
        EXPECT(bytes_are(block, sizes[i], JUNK_ALLOC_BYTE), "aligned_alloc(%zu)", sizes[i]);
        API(free)(block);
    }
    clear_modes();
}

static void calloc_stays_zero_under_junk(void **state)
{
    (void)state;
    thread_set_modes(MODE_JUNK_ALLOC | MODE_JUNK_FREE);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        char *block = API(calloc)(1, sizes[i]);
        assert_non_null(block);
        EXPECT(bytes_are(block, sizes[i], 0), "calloc(%zu)", sizes[i]);
        API(free)(block);
        block = API(mallocx)(sizes[i], 0x40);
        EXPECT(bytes_are(block, API(malloc_usable_size)(block), 0), "mallocx(%zu, zero)", sizes[i]);
        API(free)(block);
    }
    clear_modes();
}

static void freed_blocks_are_junk(void **state)
{
    (void)state;
    thread_set_modes(MODE_JUNK_FREE);
    /* A block of a cached class stays mapped while it lies in the cache. */
    for (unsigned i = 0; sizes[i] <= CACHED_SIZE_MAX; i++) {
        char *block = API(malloc)(sizes[i]);
        size_t usable = API(malloc_usable_size)(block);
        memset(block, 1, usable);
        EXPECT(bytes_are(freed(block), usable, JUNK_FREE_BYTE), "free(%zu)", sizes[i]);
        block = API(malloc)(sizes[i]);
        memset(block, 1, usable);
        void *volatile hidden = block;
        API(sdallocx)(block, sizes[i], 0);
        EXPECT(bytes_are(hidden, usable, JUNK_FREE_BYTE), "sdallocx(%zu)", sizes[i]);
    }
    clear_modes();
}

static void fresh_blocks_are_zero_in_zero_mode(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        char *block = API(malloc)(sizes[i]);
        memset(block, 0xcc, sizes[i]);
        API(free)(block);
        thread_set_modes(MODE_ZERO);
        block = API(malloc)(sizes[i]);
        EXPECT(bytes_are(block, API(malloc_usable_size)(block), 0), "malloc(%zu)", sizes[i]);
        API(free)(block);
        clear_modes();
    }
}

static void blocks_are_left_alone_once_modes_are_off(void **state)
{
    (void)state;
    thread_set_modes(MODE_JUNK_ALLOC | MODE_JUNK_FREE);
    call();
    clear_modes();
    char *block = API(malloc)(1024);
    memset(block, 0x33, 1024);
    assert_true(bytes_are(freed(block), 1024, 0x33));
    char *again = API(malloc)(1024);
    assert_ptr_equal(again, block);
    assert_true(bytes_are(again, 1024, 0x33));
    API(free)(again);
}

static void junk_takes_precedence_over_zero(void **state)
{
    (void)state;
    thread_set_modes(MODE_JUNK_ALLOC | MODE_ZERO);
    char *block = API(malloc)(100);
    assert_true(bytes_are(block, 100, JUNK_ALLOC_BYTE));
    API(free)(block);
    clear_modes();
}

enum { RUNNERS = 3 };

static struct {
    pthread_barrier_t barrier;
    _Atomic unsigned before; /* any thread, relaxed: read behind the barrier, like the next two */
    _Atomic unsigned during;
    _Atomic unsigned after;
} running;

/* 1 when a fresh block is junk in every byte; the block is dirtied for the next time. */
static unsigned sees_junk(void)
{
    char *block = API(malloc)(500);
    unsigned result = bytes_are(block, 500, JUNK_ALLOC_BYTE);
    memset(block, 0x77, 500);
    API(free)(block);
    return result;
}

static void *run_through_the_switch(void *argument)
{
    (void)sees_junk();
    atomic_fetch_add(&running.before, sees_junk());
    pthread_barrier_wait(&running.barrier);
    pthread_barrier_wait(&running.barrier);
    atomic_fetch_add(&running.during, sees_junk());
    atomic_fetch_add(&running.during, sees_junk());
    pthread_barrier_wait(&running.barrier);
    pthread_barrier_wait(&running.barrier);
    atomic_fetch_add(&running.after, sees_junk());
    atomic_fetch_add(&running.after, thread_front_now() != &thread_cache()->front);
    return argument;
}

static void the_switch_reaches_running_threads_at_their_next_call(void **state)
{
    (void)state;
    pthread_t threads[RUNNERS];
    pthread_barrier_init(&running.barrier, NULL, RUNNERS + 1);
    for (unsigned i = 0; i < RUNNERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_through_the_switch, NULL), 0);
    }
    pthread_barrier_wait(&running.barrier);
    thread_set_modes(MODE_JUNK_ALLOC);
    pthread_barrier_wait(&running.barrier);
    assert_int_equal(sees_junk(), 1);
    pthread_barrier_wait(&running.barrier);
    thread_set_modes(0);
    pthread_barrier_wait(&running.barrier);
    for (unsigned i = 0; i < RUNNERS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&running.barrier);
    assert_int_equal(running.before, 0);
    assert_int_equal(running.during, 2 * RUNNERS);
    assert_int_equal(running.after, 0);
    clear_modes();
}

static struct {
    _Atomic bool stop; /* the test's thread writes, the others read; relaxed: a hint */
    _Atomic unsigned mistakes;
} flipping;

/* Blocks keep their content whatever the modes do to others' meanwhile. */
static void *keep_allocating(void *argument)
{
    const unsigned char mark = (unsigned char)(uintptr_t)argument;
    char *kept[64] = {NULL};
    for (unsigned i = 0; !atomic_load_explicit(&flipping.stop, memory_order_relaxed); i++) {
        char **slot = &kept[i % 64];
        size_t size = 16 + i % 64 * 24;
        if (*slot != NULL && !bytes_are(*slot, size, mark)) {
            atomic_fetch_add(&flipping.mistakes, 1);
        }
        API(free)(*slot);
        *slot = API(malloc)(size);
        memset(*slot, mark, size);
    }
    for (unsigned i = 0; i < 64; i++) {
        API(free)(kept[i]);
    }
    return NULL;
}

static void flipping_modes_under_load_harms_no_block(void **state)
{
    (void)state;
    pthread_t threads[RUNNERS];
    for (uintptr_t i = 0; i < RUNNERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, keep_allocating, (void *)(i + 1)), 0);
    }
    for (unsigned i = 0; i < 2000; i++) {
        thread_set_modes(i % 3 == 0   ? 0
                         : i % 3 == 1 ? MODE_JUNK_ALLOC | MODE_JUNK_FREE
                                      : MODE_ZERO);
        call();
        usleep(50);
    }
    atomic_store(&flipping.stop, true);
    for (unsigned i = 0; i < RUNNERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(flipping.mistakes, 0);
    clear_modes();
}

static void free_twice(void *modes)
{
    thread_set_modes(*(const uint32_t *)modes);
    void *block = API(malloc)(64);
    void *volatile hidden = block;
    API(free)(block);
    API(free)(hidden);
}

static void a_double_free_is_caught_in_each_mode(void **state)
{
    (void)state;
    uint32_t modes[] = {0, MODE_JUNK_ALLOC, MODE_JUNK_FREE, MODE_ZERO, MODE_JUNK_FREE | MODE_ZERO};
    for (unsigned i = 0; i < COUNT_OF(modes); i++) {
        expect_abort(free_twice, &modes[i], "double free");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_ask_for_modes),
        cmocka_unit_test(fresh_blocks_are_junk_in_every_byte),
        cmocka_unit_test(calloc_stays_zero_under_junk),
        cmocka_unit_test(freed_blocks_are_junk),
        cmocka_unit_test(fresh_blocks_are_zero_in_zero_mode),
        cmocka_unit_test(blocks_are_left_alone_once_modes_are_off),
        cmocka_unit_test(junk_takes_precedence_over_zero),
        cmocka_unit_test(the_switch_reaches_running_threads_at_their_next_call),
        cmocka_unit_test(flipping_modes_under_load_harms_no_block),
        cmocka_unit_test(a_double_free_is_caught_in_each_mode),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
