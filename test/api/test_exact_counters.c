/* test_exact_counters.c: goal: the counters behind thread.allocatedp and thread.deallocatedp are
 * right at every moment, and thread.peak.read is the most that they differed since the reset.
 * Method: threads play random calls of every family over blocks of all sizes, and keep the sums
 * themselves by usable size; after each call the counters, the control names and the peak must
 * agree. Caches are turned off and on meanwhile, and the modes of all threads change.
 */
#include "api_test.h"

#include <pthread.h>

enum { BLOCKS = 64, CALLS = 20000, THREADS = 3 };

struct play {
    uint64_t seed;
    void *block[BLOCKS];
    const uint64_t *allocated;
    const uint64_t *freed;
    uint64_t allocated_sum;
    uint64_t freed_sum;
    int64_t base;
    int64_t peak;
    int64_t peak_most; /* if each realloc that moved its block held both for a moment */
};

static uint64_t read_u64(const char *name)
{
    uint64_t value = 0;
    size_t length = sizeof value;
    EXPECT(mallctl(name, &value, &length, NULL, 0) == 0, "%s", name);
    return value;
}

static const uint64_t *read_pointer(const char *name)
{
    const uint64_t *pointer = NULL;
    size_t length = sizeof(pointer);
    EXPECT(mallctl(name, (void *)&pointer, &length, NULL, 0) == 0, "%s", name);
    return pointer;
}

static void note(struct play *play, size_t allocated, size_t freed)
{
    play->allocated_sum += allocated;
    play->freed_sum += freed;
    int64_t live = (int64_t)(play->allocated_sum - play->freed_sum) - play->base;
    play->peak = live > play->peak ? live : play->peak;
    live += (int64_t)freed;
    play->peak_most = live > play->peak_most ? live : play->peak_most;
}

static size_t random_size(struct play *play)
{
    return random_next(&play->seed) >> (random_next(&play->seed) % 21 + 43);
}

static void *make(struct play *play)
{
    size_t size = random_size(play);
    void *block = NULL;
    switch ((random_next(&play->seed) >> 32) % 6) {
    case 0:
        return calloc(1, size);
    case 1:
        return posix_memalign(&block, 64, size) == 0 ? block : NULL;
    case 2:
        return mallocx(size + 1, MALLOCX_ARENA(0) | MALLOCX_TCACHE_NONE);
    case 3:
        return aligned_alloc(8192, size);
    default:
        return malloc(size);
    }
}

static void resize(struct play *play, void **block)
{
    size_t before = malloc_usable_size(*block);
    size_t size = random_size(play) + 1;
    const void *old = *block;
    if ((random_next(&play->seed) >> 32) % 2 == 0) {
        *block = realloc(*block, size);
    } else {
        (void)xallocx(*block, size, 0, 0);
    }
    size_t after = malloc_usable_size(*block);
    if (*block != old || after != before) {
        note(play, after, before);
    }
}

static void drop(struct play *play, void **block)
{
    size_t usable = malloc_usable_size(*block);
    switch ((random_next(&play->seed) >> 32) % 3) {
    case 0:
        sdallocx(*block, usable, 0);
        break;
    case 1:
        dallocx(*block, MALLOCX_TCACHE_NONE);
        break;
    default:
        free(*block);
    }
    *block = NULL;
    play->freed_sum += usable;
}

static void step(struct play *play)
{
    void **block = &play->block[(random_next(&play->seed) >> 32) % BLOCKS];
    if (*block == NULL) {
        *block = make(play);
        EXPECT(*block != NULL, "memory refused");
        note(play, malloc_usable_size(*block), 0);
    } else if ((random_next(&play->seed) >> 32) % 3 == 0) {
        resize(play, block);
    } else {
        drop(play, block);
    }
}

static void turn_cache(bool on)
{
    EXPECT(mallctl("thread.tcache.enabled", NULL, NULL, &on, sizeof on) == 0, "turn the cache");
}

static void check(const struct play *play)
{
    EXPECT(*play->allocated == play->allocated_sum, "allocated %llu, not %llu",
           (unsigned long long)*play->allocated, (unsigned long long)play->allocated_sum);
    EXPECT(*play->freed == play->freed_sum, "freed %llu, not %llu",
           (unsigned long long)*play->freed, (unsigned long long)play->freed_sum);
}

static void check_names(struct play *play)
{
    int64_t peak = (int64_t)read_u64("thread.peak.read");
    EXPECT(read_u64("thread.allocated") == play->allocated_sum, "thread.allocated");
    EXPECT(read_u64("thread.deallocated") == play->freed_sum, "thread.deallocated");
    EXPECT(peak >= play->peak, "peak %lld", (long long)peak);
    EXPECT(peak <= play->peak_most, "peak %lld", (long long)peak);
    check(play); /* Control allocates nothing. */
}

static void reset_peak(struct play *play)
{
    EXPECT(mallctl("thread.peak.reset", NULL, NULL, NULL, 0) == 0, "reset the peak");
    play->base = (int64_t)(play->allocated_sum - play->freed_sum);
    play->peak = 0;
    play->peak_most = 0;
}

static void *play_all(void *opaque)
{
    struct play play = {.seed = 0x9e3779b97f4a7c15u + (uintptr_t)opaque};
    for (unsigned i = 0; i < 1000; i++) {
        step(&play); /* Nobody asked yet. */
    }
    play.allocated = read_pointer("thread.allocatedp");
    play.freed = read_pointer("thread.deallocatedp");
    play.allocated_sum = read_u64("thread.allocated");
    play.freed_sum = read_u64("thread.deallocated");
    check(&play);
    reset_peak(&play);
    for (unsigned i = 0; i < CALLS; i++) {
        step(&play);
        check(&play);
        if (i % 64 == 0) {
            check_names(&play);
            turn_cache(i % 128 == 0);
        }
        if (i % 1000 == 0) {
            reset_peak(&play);
            assert_ptr_equal(read_pointer("thread.allocatedp"), play.allocated);
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (play.block[i] != NULL) {
            drop(&play, &play.block[i]);
        }
    }
    check_names(&play);
    return NULL;
}

static void counters_are_exact_in_every_thread(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, play_all, (void *)i), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

/* A thread of this process that did not ask keeps its counters; one that did, too. */
static void the_first_thread_may_ask_later(void **state)
{
    (void)state;
    uint64_t before = read_u64("thread.allocated");
    void *block = malloc(5000);
    uint64_t after = read_u64("thread.allocated");
    assert_int_equal(after - before, malloc_usable_size(block));
    const uint64_t *allocated = read_pointer("thread.allocatedp");
    assert_int_equal(*allocated, after);
    assert_true(read_u64("thread.peak.read") >= malloc_usable_size(block));
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_thread_may_ask_later),
        cmocka_unit_test(counters_are_exact_in_every_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
