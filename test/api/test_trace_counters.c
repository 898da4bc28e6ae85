/* test_trace_counters.c: goal: every counter of blocks is right when the program is quiet: per
 * small class, per large class, per arena, merged, of destroyed arenas, and in all.
 * Method: random operations that the test counts itself, by class; then the differences of all
 * counters between two snapshots. First past the caches, where each operation is an arena's too, in
 * an automatic arena and in one of the program's; then through the cache of the thread and through
 * explicit ones, where arenas see fills, and requests must still be exact; then with threads that
 * end, in an arena of the program's, where no other block is. Slabs are counted by what
 * experimental.utilization.query says of the blocks that lie in them.
 */
#include "control_check.h"

#include <pthread.h>

enum {
    SMALL = ORACLE_SMALL_COUNT,
    COUNTED = ORACLE_SMALL_COUNT + 45, /* classes up to 16 MiB and a bit */
    BLOCKS = 600,
    OPERATIONS = 30000,
    ALL = 4096,
    DESTROYED = 4097,
    SIZE_MOST = (8 << 20) - 4096,
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
    snprintf(name, sizeof name, format, arena, index);
    return read_sized(name, sizeof(uint64_t));
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

/* Mostly small ones; less than 8 MiB, from which on blocks are the oversize arena's. */
static size_t random_size(void)
{
    unsigned bits =
        (unsigned)(trace_next() % 10 != 0 ? 3 + trace_next() % 12 : 14 + trace_next() % 10);
    size_t size = ((size_t)1 << bits) - 1 - trace_next() % ((size_t)1 << (bits - 1));
    return size < SIZE_MOST ? size : SIZE_MOST;
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

static void check_sum(unsigned arena, const char *format, const struct counts *counts,
                      unsigned first, unsigned end, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = first; i < end; i++) {
        sum += *(const uint64_t *)((const char *)&counts->class[i] + offset);
    }
    uint64_t told = read_number(format, arena, 0);
    EXPECT(told == sum, "%s: %lu, not %lu", format, told, sum);
}

/* The sums of an arena are those of its classes. */
static void check_sums_of(unsigned arena, const struct counts *counts)
{
#define CHECK_SUMS(field, offset)                                               \
    check_sum(arena, "stats.arenas.%u.small." field, counts, 0, SMALL, offset); \
    check_sum(arena, "stats.arenas.%u.large." field, counts, SMALL, COUNTED, offset)
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
    check_sums_of(arena, &after);
}

/* Slabs of a class, as far as live blocks lie in them: each of the k blocks of a slab is 1/k. */
struct slab_parts {
    double all;
    double nonfull;
};

static void add_block(struct slab_parts *parts, void *block)
{
    struct {
        void *current;
        size_t free_count, region_count, bytes, bin_free_count, bin_region_count;
    } told;
    size_t length = sizeof told;
    assert_int_equal(
        mallctl("experimental.utilization.query", &told, &length, &block, sizeof(void *)), 0);
    double part = 1.0 / (double)(told.region_count - told.free_count);
    parts->all += part;
    parts->nonfull += told.free_count > 0 ? part : 0;
}

static uint64_t rounded(double sum)
{
    return (uint64_t)(sum + 0.5);
}

/* Slabs of an arena in which no other blocks are than these, and no cache holds any: at most one
 * of each class is empty, and one of its sampled blocks. */
static void check_slabs(unsigned arena, void **blocks)
{
    static struct slab_parts parts[SMALL];
    uint64_t spare = read_sized("opt.prof", sizeof(bool)) != 0 ? 2 : 1;
    memset(parts, 0, sizeof parts);
    for (unsigned i = 0; i < BLOCKS; i++) {
        unsigned class = blocks[i] != NULL ? class_of_usable(malloc_usable_size(blocks[i])) : SMALL;
        if (class < SMALL) {
            add_block(&parts[class], blocks[i]);
        }
    }
    for (unsigned i = 0; i < SMALL; i++) {
        uint64_t slabs = read_number("stats.arenas.%u.bins.%u.curslabs", arena, i);
        uint64_t nonfull = read_number("stats.arenas.%u.bins.%u.nonfull_slabs", arena, i);
        uint64_t used = rounded(parts[i].all);
        EXPECT(slabs >= used && slabs <= used + spare, "%zu bytes: %lu slabs, not %lu",
               oracle_class_size(i), slabs, used);
        EXPECT(nonfull == rounded(parts[i].nonfull), "%zu bytes: %lu nonfull slabs, not %lu",
               oracle_class_size(i), nonfull, rounded(parts[i].nonfull));
        EXPECT(read_number("stats.arenas.%u.bins.%u.nslabs", arena, i) >= slabs,
               "%zu bytes: fewer slabs ever than now", oracle_class_size(i));
    }
}

static unsigned new_arena(void)
{
    unsigned arena = 0;
    size_t length = sizeof arena;
    assert_int_equal(mallctl("arenas.create", &arena, &length, NULL, 0), 0);
    return arena;
}

static void destroy(unsigned arena)
{
    char name[80];
    snprintf(name, sizeof name, "arena.%u.destroy", arena);
    assert_int_equal(mallctl(name, NULL, NULL, NULL, 0), 0);
}

/* The operations are in `arena`, and the counters are those of `counted`. */
static void trace_past_the_caches(unsigned arena, unsigned counted)
{
    static void *blocks[BLOCKS];
    static struct counts before;
    int flags = MALLOCX_TCACHE_NONE | MALLOCX_ARENA(arena);
    own = (struct counts){.allocated = 0};
    refresh();
    take_counts(counted, &before);
    for (unsigned round = 0; round < 3; round++) {
        run_trace(blocks, flags);
        check_counters(counted, &before, false);
        if (arena != 0) {
            check_slabs(arena, blocks);
        }
    }
    free_all(blocks, flags);
    check_counters(counted, &before, false);
}

static void each_operation_past_the_caches_counts_in_its_arena(void **state)
{
    (void)state;
    trace_past_the_caches(0, 0);
}

static void all_arenas_together_count_it_too(void **state)
{
    (void)state;
    trace_past_the_caches(0, ALL);
}

static void arenas_of_the_program_count_what_is_made_in_them(void **state)
{
    (void)state;
    unsigned one = new_arena();
    unsigned other = new_arena();
    trace_past_the_caches(one, one);
    trace_past_the_caches(other, other);
    trace_past_the_caches(one, ALL);
    destroy(one);
    destroy(other);
}

/* Blocks that the arena still had are freed with it. */
static void destroyed_arenas_leave_their_counts(void **state)
{
    (void)state;
    static void *blocks[BLOCKS];
    static struct counts before;
    static struct counts after;
    for (unsigned round = 0; round < 3; round++) {
        unsigned arena = new_arena();
        own = (struct counts){.allocated = 0};
        refresh();
        take_counts(DESTROYED, &before);
        run_trace(blocks, MALLOCX_TCACHE_NONE | MALLOCX_ARENA(arena));
        destroy(arena);
        memset(blocks, 0, sizeof blocks);
        for (unsigned i = 0; i < COUNTED; i++) {
            own.class[i].frees = own.class[i].allocs;
            own.class[i].live = 0;
        }
        refresh();
        take_counts(DESTROYED, &after);
        for (unsigned i = 0; i < COUNTED; i++) {
            check_class(i, &before.class[i], &after.class[i], false);
        }
        EXPECT(after.allocated == before.allocated, "allocated: %ld more",
               (long)(after.allocated - before.allocated));
        for (unsigned i = 0; i < SMALL; i++) {
            assert_int_equal(read_number("stats.arenas.%u.bins.%u.curslabs", DESTROYED, i), 0);
        }
    }
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

/* The cache gives its blocks back when it is told to, and when it ends. */
static void explicit_caches_count_like_those_of_threads(void **state)
{
    (void)state;
    static void *blocks[BLOCKS];
    static struct counts before;
    unsigned id = 0;
    size_t length = sizeof id;
    assert_int_equal(mallctl("tcache.create", &id, &length, NULL, 0), 0);
    flush_cache();
    own = (struct counts){.allocated = 0};
    refresh();
    take_counts(0, &before);
    run_trace(blocks, (int)MALLOCX_TCACHE(id));
    refresh();
    assert_int_equal(read_number("stats.allocated", 0, 0) - before.allocated, own.allocated);
    assert_true(read_number("stats.arenas.%u.tcache_bytes", 0, 0) > 0);
    assert_int_equal(mallctl("tcache.flush", NULL, NULL, &id, sizeof id), 0);
    check_counters(0, &before, true);
    assert_int_equal(read_number("stats.arenas.%u.tcache_bytes", 0, 0), 0);
    free_all(blocks, (int)MALLOCX_TCACHE(id));
    assert_int_equal(mallctl("tcache.destroy", NULL, NULL, &id, sizeof id), 0);
    check_counters(0, &before, true);
}

struct bound_trace {
    unsigned arena;
    bool leaves_blocks;
    void *blocks[BLOCKS];
};

static void *trace_in_arena(void *opaque)
{
    struct bound_trace *trace = opaque;
    int result = mallctl("thread.arena", NULL, NULL, &trace->arena, sizeof trace->arena);
    EXPECT(result == 0, "thread.arena: %d", result);
    run_trace(trace->blocks, 0);
    if (!trace->leaves_blocks) {
        free_all(trace->blocks, 0);
    }
    return NULL;
}

/* Of each class, and slabs too. */
static void threads_that_ended_leave_exact_counts_in_their_arena(void **state)
{
    (void)state;
    static struct bound_trace trace;
    static struct counts before;
    trace.arena = new_arena();
    for (unsigned round = 0; round < 4; round++) {
        pthread_t thread;
        trace.leaves_blocks = round % 2 == 0;
        own = (struct counts){.allocated = 0};
        refresh();
        take_counts(trace.arena, &before);
        assert_int_equal(pthread_create(&thread, NULL, trace_in_arena, &trace), 0);
        pthread_join(thread, NULL);
        static struct counts after;
        refresh();
        take_counts(trace.arena, &after);
        for (unsigned i = 0; i < COUNTED; i++) {
            check_class(i, &before.class[i], &after.class[i], true);
        }
        check_sums_of(trace.arena, &after);
        check_slabs(trace.arena, trace.blocks);
        assert_int_equal(read_number("stats.arenas.%u.tcache_bytes", trace.arena, 0), 0);
        free_all(trace.blocks, MALLOCX_TCACHE_NONE);
    }
    destroy(trace.arena);
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
        cmocka_unit_test(arenas_of_the_program_count_what_is_made_in_them),
        cmocka_unit_test(destroyed_arenas_leave_their_counts),
        cmocka_unit_test(requests_and_live_blocks_are_exact_through_the_cache),
        cmocka_unit_test(explicit_caches_count_like_those_of_threads),
        cmocka_unit_test(threads_that_ended_leave_exact_counts_in_their_arena),
        cmocka_unit_test(threads_that_ended_leave_their_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
