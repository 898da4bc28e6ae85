/* test_active_defrag.c: goal: a program that moves its own blocks, as Redis's activedefrag and
 * Valkey's do, gets memory back after a load that deletes most of what it had. Method: a client
 * that makes Redis's calls (the hint, mallocx() and dallocx() past the caches, the statistics that
 * its CONFIG and INFO read) over patterns of deletion; the bytes of active pages beyond the live
 * ones must fall to a part of what they were, and no block may lose its content.
 */
#include "api_test.h"

#ifndef JEMALLOC_FRAG_HINT
#error "Redis takes activedefrag for impossible without this macro"
#endif

enum { COUNT = 120000, PASSES = 8 };

static unsigned char *blocks[COUNT];
static uint64_t seed = 88172645463325252u;

static unsigned random_below(unsigned limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 33) % limit);
}

static size_t value_of(const char *name)
{
    uint64_t epoch = 1;
    size_t value = 0;
    size_t length = sizeof value;
    assert_int_equal(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
    assert_int_equal(mallctl(name, &value, &length, NULL, 0), 0);
    return value;
}

/* As Redis's allocator_frag_bytes: what active pages hold beyond live blocks. */
static size_t wasted_bytes(void)
{
    return value_of("stats.active") - value_of("stats.allocated");
}

static void make_blocks(unsigned (*size)(void))
{
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned bytes = size();
        blocks[i] = malloc(bytes);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i % 251), bytes);
    }
}

static void drop_blocks(void)
{
    for (unsigned i = 0; i < COUNT; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}

/* Redis's activeDefragAlloc(). */
static unsigned char *move(unsigned char *block)
{
    size_t size = malloc_usable_size(block);
    unsigned char *fresh = mallocx(size, MALLOCX_TCACHE_NONE);
    assert_non_null(fresh);
    memcpy(fresh, block, size);
    dallocx(block, MALLOCX_TCACHE_NONE);
    return fresh;
}

static bool hint_of_redis(unsigned char *block)
{
    return je_get_defrag_hint(block) != 0;
}

/* Valkey asks for numbers and judges itself: here, slabs that are less than three quarters full. */
static bool hint_of_valkey(unsigned char *block)
{
    struct {
        size_t free_regions;
        size_t regions;
        size_t size;
    } answer;
    void *pointer = block;
    size_t length = sizeof answer;
    assert_int_equal(
        mallctl("experimental.utilization.batch_query", &answer, &length, &pointer, sizeof pointer),
        0);
    return answer.regions > 1 && answer.free_regions * 4 > answer.regions;
}

static bool is_any(unsigned i)
{
    (void)i;
    return true;
}

/* Moves those that the program can move. Result: blocks moved in the last pass. */
static unsigned defragment(bool (*hint)(unsigned char *block), bool (*may_move)(unsigned i))
{
    unsigned moved = 0;
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    for (unsigned pass = 0; pass < PASSES; pass++) {
        moved = 0;
        for (unsigned i = 0; i < COUNT; i++) {
            if (blocks[i] != NULL && may_move(i) && hint(blocks[i])) {
                blocks[i] = move(blocks[i]);
                moved++;
            }
        }
    }
    return moved;
}

static void check_content(void)
{
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT(blocks[i] == NULL || blocks[i][0] == i % 251, "block %u has changed", i);
    }
}

static unsigned of_one_size(void)
{
    return 150;
}

static unsigned small(void)
{
    return 10 + random_below(500);
}

static unsigned of_all_sizes(void)
{
    return 10 + random_below(random_below(20) == 0 ? 8000 : 400);
}

/* Every eighth stays; or each one in eight by chance; or all of a stretch in eight. */
static bool stays_regularly(unsigned i)
{
    return i % 8 == 0;
}

static bool stays_by_chance(unsigned i)
{
    (void)i;
    return random_below(8) == 0;
}

static bool stays_in_stretches(unsigned i)
{
    return (i / 20) % 8 == 0;
}

static const struct {
    const char *name;
    unsigned (*size)(void);
    bool (*stays)(unsigned i);
} patterns[] = {
    {"one size, regular", of_one_size, stays_regularly},
    {"one size, by chance", of_one_size, stays_by_chance},
    {"small sizes, by chance", small, stays_by_chance},
    {"small sizes, stretches", small, stays_in_stretches},
    {"all sizes, by chance", of_all_sizes, stays_by_chance},
};

static void keep_some(bool (*stays)(unsigned i))
{
    for (unsigned i = 0; i < COUNT; i++) {
        if (!stays(i)) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    }
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}

static void run_patterns(bool (*hint)(unsigned char *block))
{
    for (unsigned i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        make_blocks(patterns[i].size);
        keep_some(patterns[i].stays);
        size_t before = wasted_bytes();
        unsigned moved = defragment(hint, is_any);
        size_t after = wasted_bytes();
        print_message("%s: %zu KiB beyond live blocks, then %zu; %u moved last\n", patterns[i].name,
                      before / 1024, after / 1024, moved);
        EXPECT(after * 3 < before, "%s: %zu, then %zu", patterns[i].name, before, after);
        check_content();
        drop_blocks();
    }
}

static void moving_by_the_hint_gives_memory_back(void **state)
{
    (void)state;
    run_patterns(hint_of_redis);
}

static void moving_by_utilization_gives_memory_back(void **state)
{
    (void)state;
    run_patterns(hint_of_valkey);
}

/* Each tenth stretch of some slabs keeps one block in a hundred, which does not move. */
static bool is_in_company(unsigned i)
{
    return i / 2000 % 10 != 9;
}

static bool stays_in_company_or_alone(unsigned i)
{
    return i % (is_in_company(i) ? 5 : 100) == 0;
}

static bool stays_densely(unsigned i)
{
    return i % 12 != 0;
}

/* Where all slabs are fuller than what is always worth leaving. */
static void dense_blocks_move_too(void **state)
{
    (void)state;
    size_t at_rest = wasted_bytes(); /* an empty slab of each class that the tests before used */
    make_blocks(of_one_size);
    keep_some(stays_densely);
    size_t before = wasted_bytes() - at_rest;
    unsigned moved = defragment(hint_of_redis, is_any);
    size_t after = wasted_bytes() - at_rest;
    print_message("%zu KiB beyond live blocks, then %zu; %u moved last\n", before / 1024,
                  after / 1024, moved);
    EXPECT(after * 3 < before, "%zu, then %zu", before, after);
    EXPECT(moved == 0, "%u moved still", moved);
    check_content();
    drop_blocks();
}

/* Redis moves its data, not the blocks of its interpreter, nor those that lie in a cache. */
static void blocks_that_do_not_move_hold_no_others_up(void **state)
{
    (void)state;
    make_blocks(of_one_size);
    keep_some(stays_in_company_or_alone);
    size_t before = wasted_bytes();
    unsigned moved = defragment(hint_of_redis, is_in_company);
    size_t after = wasted_bytes();
    print_message("%zu KiB beyond live blocks, then %zu; %u moved last\n", before / 1024,
                  after / 1024, moved);
    EXPECT(after * 3 < before, "%zu, then %zu", before, after);
    EXPECT(moved == 0, "%u moved still", moved);
    check_content();
    drop_blocks();
}

static void what_is_no_block_of_a_slab_stays(void **state)
{
    (void)state;
    int local;
    void *run = malloc(20000);
    void *large = malloc(200000);
    void *huge = malloc(3 << 20);
    void *const pointers[] = {NULL, &local, (void *)-1, (void *)(uintptr_t)0x123456789abcu,
                              run,  large,  huge};
    for (unsigned i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        assert_int_equal(je_get_defrag_hint(pointers[i]), 0);
    }
    free(run);
    free(large);
    free(huge);
}

/* A heap without holes has nothing to gain. */
static void full_slabs_stay(void **state)
{
    (void)state;
    make_blocks(of_one_size);
    unsigned hints = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        hints += hint_of_redis(blocks[i]);
    }
    assert_true(hints < COUNT / 100);
    drop_blocks();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moving_by_the_hint_gives_memory_back),
        cmocka_unit_test(moving_by_utilization_gives_memory_back),
        cmocka_unit_test(blocks_that_do_not_move_hold_no_others_up),
        cmocka_unit_test(dense_blocks_move_too),
        cmocka_unit_test(what_is_no_block_of_a_slab_stays),
        cmocka_unit_test(full_slabs_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
