/* test_prof_samples.c: goal: samples are taken by all functions that allocate, of all sizes, as
 * often as the contract says, and end when their blocks do.
 * Method: lg_prof_sample:0 samples each call: counts of samples by class are compared with a count
 * of the program's own blocks, over random calls too. For longer periods, drawn anew for each size
 * and function, a million samples are compared with what is expected: sums of squares, within 7
 * standard deviations to both sides, since a rhythm would give too small a sum.
 */
#include "prof_check.h"

#include <math.h>
#include <pthread.h>

const char *malloc_conf = "prof:true,lg_prof_sample:0,prof_stats:true";

/* Of another API version, they are declared by hand. */
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

static void *by_malloc(size_t size)
{
    return malloc(size);
}

static void *by_calloc(size_t size)
{
    return calloc(1, size);
}

static void *by_realloc(size_t size)
{
    return realloc(NULL, size);
}

static void *by_posix_memalign(size_t size)
{
    void *block = NULL;
    return posix_memalign(&block, 16, size) == 0 ? block : NULL;
}

static void *by_aligned_alloc(size_t size)
{
    return aligned_alloc(64, size);
}

static void *by_memalign(size_t size)
{
    return memalign(4096, size);
}

static void *by_large_alignment(size_t size)
{
    return aligned_alloc((size_t)1 << 16, size);
}

static void *by_mallocx(size_t size)
{
    return mallocx(size, 0);
}

static void *by_mallocx_zeroed(size_t size)
{
    return mallocx(size, MALLOCX_ZERO | MALLOCX_ALIGN(32));
}

static void *by_mallocx_uncached(size_t size)
{
    return mallocx(size, MALLOCX_TCACHE_NONE);
}

static void *by_mallocx_in_arena(size_t size)
{
    return mallocx(size, MALLOCX_ARENA(0));
}

static void *by_rallocx(size_t size)
{
    return rallocx(mallocx(size < 1000 ? 5000 : 5, 0), size, 0); /* It moves. */
}

#ifndef JEMALLOC_PREFIXED
void *_Znwm(size_t size);
void *_ZnwmSt11align_val_t(size_t size, size_t alignment);
void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);

static void *by_new(size_t size)
{
    return _Znwm(size);
}

static void *by_new_aligned(size_t size)
{
    return _ZnwmSt11align_val_t(size, 128);
}

static void *by_new_nothrow(size_t size)
{
    return _ZnwmRKSt9nothrow_t(size, "");
}
#endif

static void *(*const ways[])(size_t size) = {
    by_malloc,
    by_calloc,
    by_realloc,
    by_posix_memalign,
    by_aligned_alloc,
    by_memalign,
    by_mallocx,
    by_mallocx_zeroed,
    by_mallocx_uncached,
    by_mallocx_in_arena,
    by_large_alignment,
    by_rallocx,
#ifndef JEMALLOC_PREFIXED
    by_new,
    by_new_aligned,
    by_new_nothrow,
#endif
};
enum { WAYS = sizeof ways / sizeof ways[0], ENDS = 5 };

static void end_block(void *block, size_t size, unsigned end)
{
    switch (end) {
    case 0:
        free(block);
        break;
    case 1:
        dallocx(block, 0);
        break;
    case 2:
        dallocx(block, MALLOCX_TCACHE_NONE);
        break;
    case 3:
        sdallocx(block, malloc_usable_size(block), 0);
        break;
    default:
        free_sized(block, size);
    }
}

/* Sizes that are classes, one more, and one less, up to 5 MiB. */
static size_t next_size(size_t size)
{
    size_t class_bytes = oracle_class_size(class_of_size(size));
    return size < class_bytes - 1 ? class_bytes - 1 : size + 1;
}

static void each_call_is_sampled(void **state)
{
    (void)state;
    unsigned end = 0;
    set_switch("thread.prof.active", true);
    for (unsigned way = 0; way < WAYS; way++) {
        for (size_t size = 1; size <= (size_t)5 << 20; size = next_size(size)) {
            char *block = ways[way](size);
            assert_non_null(block);
            size_t usable = malloc_usable_size(block);
            end_block(block, size, 0);
            struct samples ever = samples_of(usable, "accum");
            struct samples live = samples_of(usable, "live");
            block = ways[way](size);
            memset(block, 0x11, usable);
            struct samples ever_now = samples_of(usable, "accum");
            struct samples live_now = samples_of(usable, "live");
            EXPECT(ever_now.count == ever.count + 1, "way %u, %zu bytes: %lu samples", way, size,
                   ever_now.count - ever.count);
            EXPECT(ever_now.requested_bytes == ever.requested_bytes + size,
                   "way %u, %zu bytes: %lu", way, size,
                   ever_now.requested_bytes - ever.requested_bytes);
            EXPECT(live_now.count == live.count + 1, "way %u, %zu bytes", way, size);
            /* free_sized() is for blocks without an alignment. */
            bool aligned = way >= 3;
            end_block(block, size, end++ % (aligned ? ENDS - 1 : ENDS));
            live_now = samples_of(usable, "live");
            EXPECT(live_now.count == live.count, "way %u, %zu bytes live on", way, size);
            EXPECT(live_now.requested_bytes == live.requested_bytes, "way %u, %zu bytes", way,
                   size);
        }
    }
}

enum { BLOCKS = 400, CLASSES = 96 };

static uint64_t live_counts[CLASSES];

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}

/* Small ones for the most part; up to 4 MiB. */
static size_t random_size(uint64_t *random)
{
    unsigned bits = 3 + (unsigned)(next_random(random) % 20);
    return 1 + (size_t)next_random(random) % ((size_t)1 << bits);
}

static void change_block(void **block, uint64_t *random)
{
    size_t size = random_size(random);
    switch (*block == NULL ? 8 + next_random(random) % WAYS : next_random(random) % 8) {
    case 0:
    case 1:
    case 2:
        *block = realloc(*block, size);
        break;
    case 3:
        *block = rallocx(*block, size, MALLOCX_ALIGN(64));
        break;
    case 4:
        (void)xallocx(*block, size, size / 2, 0);
        break;
    case 5:
        /* A little more: where it lies, if there is room. */
        *block = realloc(*block, malloc_usable_size(*block) + size % 10000);
        break;
    case 6:
    case 7:
        end_block(*block, 0, (unsigned)(size % (ENDS - 1)));
        *block = NULL;
        break;
    default:
        *block = ways[next_random(random) % WAYS](size);
    }
}

static void count_live(void *block, int by)
{
    if (block != NULL) {
        live_counts[class_of_size(malloc_usable_size(block))] += (uint64_t)by;
    }
}

static void expect_live_counts(unsigned step)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        uint64_t live = samples_of_class(i, "live").count;
        EXPECT(live == live_counts[i], "step %u: %lu live samples of %zu bytes, not %lu", step,
               live, oracle_class_size(i), live_counts[i]);
    }
}

static void live_samples_are_the_live_blocks(void **state)
{
    (void)state;
    static void *blocks[BLOCKS];
    enum { STEPS = 60000, LOOK = 500 };
    uint64_t random = 88;
    for (unsigned i = 0; i < CLASSES; i++) {
        live_counts[i] = samples_of_class(i, "live").count;
    }
    for (unsigned step = 0; step < STEPS; step++) {
        void **block = &blocks[next_random(&random) % BLOCKS];
        count_live(*block, -1);
        change_block(block, &random);
        count_live(*block, 1);
        if (step % LOOK == 0) {
            expect_live_counts(step);
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        count_live(blocks[i], -1);
        free(blocks[i]);
    }
    expect_live_counts(STEPS);
}

static void *free_them(void *opaque)
{
    void **blocks = opaque;
    for (unsigned i = 0; i < BLOCKS; i++) {
        /* Sized: by a thread that never sampled itself. */
        sdallocx(blocks[i], malloc_usable_size(blocks[i]), 0);
    }
    return NULL;
}

static void other_threads_end_them(void **state)
{
    (void)state;
    void *blocks[BLOCKS];
    pthread_t thread;
    struct samples before = samples_of(500, "live");
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(500);
    }
    assert_int_equal(samples_of(500, "live").count, before.count + BLOCKS);
    assert_int_equal(pthread_create(&thread, NULL, free_them, blocks), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(samples_of(500, "live").count, before.count);
}

static void switches_stop_and_resume(void **state)
{
    (void)state;
    static const char *const names[] = {"prof.active", "thread.prof.active"};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t live = samples_of(100, "live").count;
        void *sampled = malloc(100);
        set_switch(names[i], false);
        assert_false(read_switch(names[i]));
        uint64_t ever = samples_ever();
        void *plain = malloc(100);
        assert_int_equal(samples_of(100, "live").count, live + 1);
        free(sampled);
        assert_int_equal(samples_of(100, "live").count, live);
        free(plain);
        assert_int_equal(samples_of(100, "live").count, live);
        assert_int_equal(samples_ever(), ever);
        set_switch(names[i], true);
        free(malloc(100));
        assert_true(samples_ever() > ever);
    }
}

static void *count_own_samples(void *opaque)
{
    uint64_t *count = opaque;
    uint64_t before = samples_ever();
    free(malloc(77));
    *count = samples_ever() - before;
    return NULL;
}

static uint64_t samples_of_new_thread(void)
{
    uint64_t count = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, count_own_samples, &count), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return count;
}

static void new_threads_sample_when_told(void **state)
{
    (void)state;
    assert_true(read_switch("prof.thread_active_init"));
    assert_int_equal(samples_of_new_thread(), 1);
    set_switch("prof.thread_active_init", false);
    assert_int_equal(samples_of_new_thread(), 0);
    set_switch("prof.thread_active_init", true);
    assert_int_equal(samples_of_new_thread(), 1);
}

/* A squared deviation from the expected number of samples, in units of its variance. */
static double deviation(double expected, double probability, uint64_t samples)
{
    double variance = expected * (1 - probability);
    double difference = (double)samples - expected;
    return difference * difference / variance;
}

/* Blocks of one size by one function, until so many samples are to be expected, at a period of
 * 1 to 32 times the usable size. */
static double sample_cell(void *(*way)(size_t), size_t size, unsigned lg_more, unsigned samples)
{
    enum { HELD = 64 };
    void *held[HELD] = {NULL};
    void *probe = way(size);
    size_t usable = malloc_usable_size(probe);
    unsigned lg_period = 63 - (unsigned)__builtin_clzll(usable) + lg_more;
    double probability = 1 - exp(-(double)usable / (double)((size_t)1 << lg_period));
    uint64_t count = (uint64_t)(samples / probability);
    free(probe);
    reset_samples(lg_period);
    uint64_t before = samples_of(usable, "accum").count;
    for (uint64_t i = 0; i < count; i++) {
        free(held[i % HELD]);
        held[i % HELD] = way(size);
    }
    uint64_t got = samples_of(usable, "accum").count - before;
    for (unsigned i = 0; i < HELD; i++) {
        free(held[i]);
    }
    return deviation((double)count * probability, probability, got);
}

static void samples_are_as_many_as_expected(void **state)
{
    (void)state;
    /* A tenth under a sanitizer. */
    const char *more = getenv("PROF_SAMPLES");
    unsigned of_cell = more != NULL ? (unsigned)atoi(more) : LIBRARY_IS_PREFIXED ? 120 : 1200;
    uint64_t random = 4;
    double sum = 0;
    unsigned cells = 0;
    for (unsigned way = 0; way < WAYS; way++) {
        if (ways[way] == by_rallocx || ways[way] == by_large_alignment) {
            continue; /* They make other blocks too; runs and mappings come by sizes. */
        }
        for (unsigned i = 0; i < ORACLE_SMALL_COUNT + 28; i++) {
            size_t size = oracle_class_size(i) - (size_t)(next_random(&random) % 3);
            unsigned lg_more = (unsigned)(next_random(&random) % 5);
            double part = sample_cell(ways[way], size, lg_more, of_cell);
            EXPECT(part < 60, "way %u, %zu bytes, %u: %g", way, size, lg_more, part);
            sum += part;
            cells++;
        }
    }
    reset_samples(0);
    print_message("%u cells of %u samples: sum of squares %g\n", cells, of_cell, sum);
    double spread = 7 * sqrt(2.0 * cells);
    assert_true(sum < cells + spread && sum > cells - spread);
}

/* The sizes of a program's life in one period: many bins, and blocks past them, at once. */
static void a_mixture_is_as_expected(void **state)
{
    (void)state;
    enum { HELD = 1000, LG = 12 };
    static void *held[HELD];
    static uint64_t counts[CLASSES];
    static uint64_t before[CLASSES];
    unsigned rounds = LIBRARY_IS_PREFIXED ? 300000 : 3000000;
    uint64_t random = 9;
    double sum = 0;
    unsigned cells = 0;
    reset_samples(LG);
    for (unsigned i = 0; i < CLASSES; i++) {
        before[i] = samples_of_class(i, "accum").count;
    }
    for (unsigned i = 0; i < rounds; i++) {
        unsigned bits = 3 + (unsigned)(next_random(&random) % 12);
        size_t size = 1 + (size_t)next_random(&random) % ((size_t)1 << bits);
        free(held[i % HELD]);
        held[i % HELD] = malloc(size);
        counts[class_of_size(malloc_usable_size(held[i % HELD]))]++;
    }
    for (unsigned i = 0; i < CLASSES; i++) {
        double probability = 1 - exp(-(double)oracle_class_size(i) / (double)((size_t)1 << LG));
        double expected = (double)counts[i] * probability;
        if (expected * (1 - probability) > 30) {
            uint64_t got = samples_of_class(i, "accum").count - before[i];
            double part = deviation(expected, probability, got);
            EXPECT(part < 60, "%zu bytes: %lu samples, not %g", oracle_class_size(i), got,
                   expected);
            sum += part;
            cells++;
        }
    }
    for (unsigned i = 0; i < HELD; i++) {
        free(held[i]);
        held[i] = NULL;
    }
    reset_samples(0);
    print_message("%u cells: sum of squares %g\n", cells, sum);
    assert_true(cells > 20 && sum < cells + 7 * sqrt(2.0 * cells));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_is_sampled),
        cmocka_unit_test(live_samples_are_the_live_blocks),
        cmocka_unit_test(other_threads_end_them),
        cmocka_unit_test(switches_stop_and_resume),
        cmocka_unit_test(new_threads_sample_when_told),
        cmocka_unit_test(samples_are_as_many_as_expected),
        cmocka_unit_test(a_mixture_is_as_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
