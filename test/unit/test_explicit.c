/* test_explicit.c: goal: caches without threads are made under the lowest free id, serve like those
 * of threads, and leave nothing behind; threads may race for their making and ending.
 * Method: blocks are followed through the bins; all ids are used up; the allocator's own memory is
 * measured; threads make, end twice and make again; a forked child finds what was there.
 */
#include "upper_floors.h"

#include "cache/explicit.h"
#include "pages/meta.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:8";

static unsigned made(struct arena *arena)
{
    unsigned id;
    assert_true(explicit_create(arena, &id));
    return id;
}

static void the_lowest_free_id_is_given(void **state)
{
    (void)state;
    struct arena *arena = thread_arena();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(made(arena), i);
    }
    assert_true(explicit_destroy(3));
    assert_true(explicit_destroy(1));
    assert_null(explicit_get(1));
    assert_int_equal(made(arena), 1);
    assert_int_equal(made(arena), 3);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(explicit_destroy(i));
        assert_false(explicit_destroy(i));
        assert_false(explicit_flush(i));
    }
    assert_false(explicit_flush(EXPLICIT_MAX));
    assert_false(explicit_destroy(UINT32_MAX));
    assert_null(explicit_get(UINT32_MAX));
}

struct cached_sum {
    const struct arena *arena;
    size_t bytes;
};

static void add_cached(struct cache *cache, void *opaque)
{
    struct cached_sum *sum = opaque;
    if (cache_arena(cache) == sum->arena) {
        sum->bytes += cache_cached_bytes(cache);
    }
}

/* Bytes of the blocks that lie in caches which use the arena. */
static size_t cached_bytes_of(const struct arena *arena)
{
    struct cached_sum sum = {arena, 0};
    thread_for_each_cache(add_cached, &sum);
    return sum.bytes;
}

static void its_blocks_go_back_with_it(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    unsigned threads = arena->thread_count;
    struct cache *cache;
    unsigned id = made(arena);
    cache = explicit_get(id);
    assert_true(cache_is_valid(cache));
    const struct bin_counters *counters = &arena->bin[class_of(100)].counters;
    for (unsigned round = 0; round < 2; round++) {
        void *block = cache_alloc(cache, class_of(100));
        assert_non_null(block);
        assert_ptr_equal(large_arena(block, map_code(block)), arena);
        cache_free(cache, class_of(100), block);
        assert_true(counters->alloc_count > counters->free_count);
        assert_int_equal(cached_bytes_of(arena), cache_cached_bytes(cache));
        assert_true(cached_bytes_of(arena) >= 112);
        assert_true(round == 0 ? explicit_flush(id) : explicit_destroy(id));
        assert_int_equal(counters->alloc_count, counters->free_count);
        assert_int_equal(cached_bytes_of(arena), 0);
    }
    assert_int_equal(counters->request_count, 2);
    assert_int_equal(arena->thread_count, threads);
}

static void memory_of_ended_ones_serves_new_ones(void **state)
{
    (void)state;
    assert_true(explicit_destroy(made(thread_arena())));
    size_t bytes = meta_bytes();
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(explicit_destroy(made(thread_arena())));
    }
    assert_int_equal(meta_bytes(), bytes);
}

static void ids_run_out(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EXPLICIT_MAX; i++) {
        assert_int_equal(made(thread_arena()), i);
    }
    size_t bytes = meta_bytes();
    unsigned id = 4242;
    assert_false(explicit_create(thread_arena(), &id));
    assert_int_equal(id, 4242);
    assert_true(explicit_destroy(17));
    assert_int_equal(made(thread_arena()), 17);
    for (unsigned i = 0; i < EXPLICIT_MAX; i++) {
        assert_true(explicit_destroy(i));
    }
    assert_true(meta_bytes() - bytes <= META_BLOCK_BYTES);
}

enum { RACERS = 4, RACES = 2000 };

static void *race(void *opaque)
{
    uint64_t seed = (uint64_t)(uintptr_t)opaque;
    for (unsigned i = 0; i < RACES; i++) {
        unsigned id;
        if (random_below(&seed, 2) == 0) {
            if (explicit_create(thread_arena(), &id)) {
                (void)explicit_get(id);
            }
        } else {
            (void)!explicit_destroy(random_below(&seed, 8));
        }
    }
    return NULL;
}

static void count_cache(struct cache *cache, void *opaque)
{
    *(unsigned *)opaque += cache->pointer == NULL;
}

static void makers_and_enders_may_race(void **state)
{
    (void)state;
    pthread_t thread[RACERS];
    for (uintptr_t i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, race, (void *)(i + 1)), 0);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    unsigned listed = 0;
    unsigned known = 0;
    thread_for_each_cache(count_cache, &listed);
    for (unsigned id = 0; id < EXPLICIT_MAX; id++) {
        known += explicit_destroy(id);
    }
    assert_int_equal(listed, known);
    listed = 0;
    thread_for_each_cache(count_cache, &listed);
    assert_int_equal(listed, 0);
}

static void use_inherited(void *opaque)
{
    unsigned id = *(unsigned *)opaque;
    unsigned listed = 0;
    thread_for_each_cache(count_cache, &listed);
    CHILD_EXPECT(listed == 1);
    struct cache *cache = explicit_get(id);
    CHILD_EXPECT(cache != NULL);
    void *block = cache_alloc(cache, 5);
    CHILD_EXPECT(block != NULL);
    cache_free(cache, 5, block);
    CHILD_EXPECT(explicit_destroy(id));
}

static void *fork_with(void *id)
{
    expect_success(use_inherited, id);
    return NULL;
}

static void a_forked_child_has_them(void **state)
{
    (void)state;
    unsigned id = made(thread_arena());
    use_inherited(&id);
    id = made(thread_arena());
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fork_with, &id), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(explicit_destroy(id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_free_id_is_given),
        cmocka_unit_test(its_blocks_go_back_with_it),
        cmocka_unit_test(memory_of_ended_ones_serves_new_ones),
        cmocka_unit_test(ids_run_out),
        cmocka_unit_test(makers_and_enders_may_race),
        cmocka_unit_test(a_forked_child_has_them),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
