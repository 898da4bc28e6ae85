/* test_trace_counters.c: goal: every counter of blocks is right when the program is quiet: per
 * small class, per large class, per arena, merged, and in all.
 * Method: random operations that the test counts itself, by class; then the differences of all
 * counters between two snapshots. First past the caches, where each operation is an arena's too;
 * then through the cache of the thread, where arenas see fills, and requests must still be exact;
 * then with threads that end.
 */
#include "api_test.h"

#include <pthread.h>

enum {
    SMALL = ORACLE_SMALL_COUNT,
    COUNTED = ORACLE_SMALL_COUNT + 45, /* classes up to 16 MiB and a bit */
    BLOCKS = 600,
    OPERATIONS = 30000,
    ALL = 4096,
};

struct class_counts {
    uint64_t allocs;
    uint64_t frees;
    uint64_t requests;
    uint64_t live;
};

struct counts {
    struct class_counts class[COUNTED];
    uint64_t allocated;
};

/* What the program did, by its own count. */
static struct counts own;

static uint64_t read_number(const char *format, unsigned arena, unsigned index)
{
    char name[80];
    uint64_t value = 0;
    size_t length = sizeof value;
    snprintf(name, sizeof name, format, arena, index);
    int result = mallctl(name, &value, &length, NULL, 0);
    EXPECT(result == 0, "%s: %d", name, result);
    return value;
}

static void refresh(void)
{
    uint64_t epoch = 1;
    assert_int_equal(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
}

/* The counters of an arena in the last snapshot. */
static void take_counts(unsigned arena, struct counts *counts)
{
    for (unsigned i = 0; i < COUNTED; i++) {
        bool small = i < SMALL;
        unsigned index = small ? i : i - SMALL;
#define FIELD(name) (small ? "stats.arenas.%u.bins.%u." name : "stats.arenas.%u.lextents.%u." name)
        counts->class[i] = (struct class_counts){
            .allocs = read_number(FIELD("nmalloc"), arena, index),
            .frees = read_number(FIELD("ndalloc"), arena, index),
            .requests = read_number(FIELD("nrequests"), arena, index),
            .live = read_number(small ? "stats.arenas.%u.bins.%u.curregs"
                                      : "stats.arenas.%u.lextents.%u.curlextents",
                                arena, index),
        };
#undef FIELD
    }
    counts->allocated = read_number("stats.allocated", 0, 0);
}

static uint64_t trace_next(void)
{
    static uint64_t state;
    if (state == 0) {
        const char *text = getenv("TEST_SEED");
        state = text != NULL ? strtoull(text, NULL, 0) : 0x2545f4914f6cdd1du;
        print_message("repeat with TEST_SEED=0x%llx\n", (unsigned long long)state);
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Mostly small ones; up to 8 MiB. */
static size_t random_size(void)
{
    unsigned bits =
        (unsigned)(trace_next() % 10 != 0 ? 3 + trace_next() % 12 : 14 + trace_next() % 10);
    return ((size_t)1 << bits) - 1 - trace_next() % ((size_t)1 << (bits - 1));
}

static unsigned class_of_usable(size_t usable)
{
    unsigned i = 0;
    while (oracle_class_size(i) < usable) {
        i++;
    }
    assert_true(i < COUNTED);
    return i;
}

static void count_block(void *block, bool made)
{
    size_t usable = malloc_usable_size(block);
    struct class_counts *class = &own.class[class_of_usable(usable)];
    class->allocs += made;
    class->requests += made;
    class->frees += !made;
    class->live += made ? 1 : (uint64_t)-1;
    own.allocated += made ? usable : (uint64_t)0 - usable;
}

static void run_trace(void **blocks, int flags)
{
    for (unsigned i = 0; i < OPERATIONS; i++) {
        void **block = &blocks[trace_next() % BLOCKS];
        if (*block != NULL) {
            count_block(*block, false);
            dallocx(*block, flags);
            *block = NULL;
        } else {
            *block = mallocx(random_size(), flags);
            assert_non_null(*block);
            count_block(*block, true);
        }
    }
}

static void free_all(void **blocks, int flags)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i] != NULL) {
            count_block(blocks[i], false);
            dallocx(blocks[i], flags);
            blocks[i] = NULL;
        }
    }
}

static void check_class(unsigned index, const struct class_counts *before,
                        const struct class_counts *after, bool cached)
{
    const struct class_counts *expected = &own.class[index];
    size_t size = oracle_class_size(index);
    EXPECT(after->requests - before->requests == expected->requests,
           "requests of %zu bytes: %lu, not %lu", size, after->requests - before->requests,
           expected->requests);
    EXPECT(after->live - before->live == expected->live, "blocks of %zu bytes: %ld, not %ld", size,
           (long)(after->live - before->live), (long)expected->live);
    EXPECT(after->live == after->allocs - after->frees, "%zu bytes: made less freed is not live",
           size);
    /* Arenas do not see what a cache serves by itself, and give it more than was asked for. */
    if (!cached || size > 32768) {
        EXPECT(after->allocs - before->allocs == expected->allocs,
               "made of %zu bytes: %lu, not %lu", size, after->allocs - before->allocs,
               expected->allocs);
        EXPECT(after->frees - before->frees == expected->frees, "freed of %zu bytes: %lu, not %lu",
               size, after->frees - before->frees, expected->frees);
    }
}

static void check_sum(const char *format, const struct counts *counts, unsigned first, unsigned end,
                      size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = first; i < end; i++) {
        sum += *(const uint64_t *)((const char *)&counts->class[i] + offset);
    }
    EXPECT(read_number(format, 0, 0) == sum, "%s: %lu, not %lu", format, read_number(format, 0, 0),
           sum);
}

/* The sums of an arena are those of its classes. */
static void check_sums(const struct counts *counts)
{
#define CHECK_SUMS(field, offset)                                        \
    check_sum("stats.arenas.%u.small." field, counts, 0, SMALL, offset); \
    check_sum("stats.arenas.%u.large." field, counts, SMALL, COUNTED, offset)
    CHECK_SUMS("nmalloc", offsetof(struct class_counts, allocs));
    CHECK_SUMS("ndalloc", offsetof(struct class_counts, frees));
    CHECK_SUMS("nrequests", offsetof(struct class_counts, requests));
#undef CHECK_SUMS
}

/* Compares all counters of the arena, and of all arenas, with the program's. */
static void check_counters(unsigned arena, const struct counts *before, bool cached)
{
    static struct counts after;
    refresh();
    take_counts(arena, &after);
    EXPECT(after.allocated - before->allocated == own.allocated, "allocated: %ld, not %ld",
           (long)(after.allocated - before->allocated), (long)own.allocated);
    for (unsigned i = 0; i < COUNTED; i++) {
        check_class(i, &before->class[i], &after.class[i], cached);
    }
    if (arena != ALL) {
        check_sums(&after);
    }
}

static void trace_past_the_caches(unsigned arena)
{
    static void *blocks[BLOCKS];
    static struct counts before;
    own = (struct counts){.allocated = 0};
    refresh();
    take_counts(arena, &before);
    for (unsigned round = 0; round < 3; round++) {
        run_trace(blocks, MALLOCX_TCACHE_NONE);
        check_counters(arena, &before, false);
    }
    free_all(blocks, MALLOCX_TCACHE_NONE);
    check_counters(arena, &before, false);
}

static void each_operation_past_the_caches_counts_in_its_arena(void **state)
{
    (void)state;
    trace_past_the_caches(0);
}

static void all_arenas_together_count_it_too(void **state)
{
    (void)state;
    trace_past_the_caches(ALL);
}

static void flush_cache(void)
{
    assert_int_equal(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
}

static void requests_and_live_blocks_are_exact_through_the_cache(void **state)
{
    (void)state;
    static void *blocks[BLOCKS];
    static struct counts before;
    flush_cache();
    own = (struct counts){.allocated = 0};
    refresh();
    take_counts(0, &before);
    run_trace(blocks, 0);
    refresh();
    assert_int_equal(read_number("stats.allocated", 0, 0) - before.allocated, own.allocated);
    flush_cache();
    refresh();
    assert_int_equal(read_number("stats.arenas.%u.tcache_bytes", 0, 0), 0);
    check_counters(0, &before, true);
    free_all(blocks, 0);
    flush_cache();
    check_counters(0, &before, true);
}

static void *trace_in_thread(void *blocks)
{
    run_trace(blocks, 0);
    free_all(blocks, 0);
    return NULL;
}

/* libc's own blocks for a thread stay from the first thread on. */
static void threads_that_ended_leave_their_counts(void **state)
{
    (void)state;
    static void *blocks[BLOCKS];
    static struct counts before;
    pthread_t thread;
    for (unsigned round = 0; round < 2; round++) {
        own = (struct counts){.allocated = 0};
        flush_cache();
        refresh();
        take_counts(ALL, &before);
        assert_int_equal(pthread_create(&thread, NULL, trace_in_thread, blocks), 0);
        pthread_join(thread, NULL);
    }
    static struct counts after;
    refresh();
    take_counts(ALL, &after);
    for (unsigned i = SMALL; i < COUNTED; i++) {
        check_class(i, &before.class[i], &after.class[i], true);
    }
    uint64_t requests = 0;
    uint64_t expected = 0;
    for (unsigned i = 0; i < SMALL; i++) {
        requests += after.class[i].requests - before.class[i].requests;
        expected += own.class[i].requests;
    }
    EXPECT(requests >= expected && requests <= expected + 10, "%lu requests, not %lu", requests,
           expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_past_the_caches_counts_in_its_arena),
        cmocka_unit_test(all_arenas_together_count_it_too),
        cmocka_unit_test(requests_and_live_blocks_are_exact_through_the_cache),
        cmocka_unit_test(threads_that_ended_leave_their_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
