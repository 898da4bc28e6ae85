/* test_cache.c: goal: a thread cache gives each block once, the last freed first, grows, flushes
 * and collects, and its counters tell exactly what went through it.
 * Method: caches of the test's own over fresh arenas; random allocations and frees of all classes
 * against a model of the live blocks and bytes; the path of the fast functions is driven by hand.
 */
#include "upper_floors.h"

#include "pages/meta.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:32";

static struct cache *new_cache(struct arena *arena)
{
    void *block = meta_alloc(CACHE_BLOCK_BYTES, 4096);
    assert_non_null(block);
    struct cache *cache = cache_init(block, arena);
    assert_true(cache_is_valid(cache));
    return cache;
}

static unsigned count_of(const struct cache *cache, uint8_t class_index)
{
    const struct cache_bin *bin = &cache->front.bin[class_index + 1];
    return (unsigned)(bin->bottom - bin->head);
}

static void *take(struct cache *cache, uint8_t class_index)
{
    void *block = cache_alloc(cache, class_index);
    assert_non_null(block);
    assert_int_equal(map_code(block), class_code(class_index));
    return block;
}

static void check_all_is_back(struct cache *cache, const struct arena *arena)
{
    cache_flush(cache);
    assert_true(cache_is_valid(cache));
    assert_int_equal(cache_cached_bytes(cache), 0);
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        assert_true(bin_is_valid(&arena->bin[i]));
        assert_int_equal(arena->bin[i].counters.alloc_count, arena->bin[i].counters.free_count);
    }
    assert_int_equal(arena->pages.large_pages, 0);
    assert_true(page_heap_is_valid(&arena->pages));
}

static void a_new_cache_is_empty_and_open_to_the_fast_paths(void **state)
{
    (void)state;
    struct cache *cache = new_cache(fresh_arena());
    assert_int_equal(cache->front.limit, CACHED_SIZE_MAX + 1);
    assert_int_equal(cache->front.sized_limit, SMALL_SIZE_MAX + 1);
    assert_int_equal(cache->front.mode, 0);
    assert_int_equal(cache_allocated_bytes(cache), 0);
    assert_int_equal(cache_freed_bytes(cache), 0);
    for (unsigned i = 0; i < CODE_BINS; i++) {
        assert_int_equal(cache->front.bin[i].inverse, bin_inverse[i]);
    }
}

static void the_block_freed_last_comes_first(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    struct cache *cache = new_cache(arena);
    for (uint8_t i = 0; i < CACHED_CLASSES; i++) {
        void *first = take(cache, i);
        void *second = take(cache, i);
        assert_ptr_not_equal(first, second);
        cache_free(cache, i, first);
        cache_free(cache, i, second);
        assert_ptr_equal(take(cache, i), second);
        assert_ptr_equal(take(cache, i), first);
        cache_free(cache, i, first);
        cache_free(cache, i, second);
        assert_true(cache_is_valid(cache));
    }
    check_all_is_back(cache, arena);
}

static void a_bin_grows_to_its_share_and_then_flushes_the_oldest(void **state)
{
    (void)state;
    enum { BLOCKS = 3000 };
    static void *blocks[BLOCKS];
    static const size_t sizes[] = {8, 128, 1024, 8192};
    struct arena *arena = fresh_arena();
    for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
        struct cache *cache = new_cache(arena);
        uint8_t class_index = class_of(sizes[s]);
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = take(cache, class_index);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            cache_free(cache, class_index, blocks[i]);
            assert_true(count_of(cache, class_index) > 0);
        }
        assert_true(cache_is_valid(cache));
        unsigned capacity = cache->front.bin[class_index + 1].capacity;
        assert_true(capacity >= 7);
        assert_true(capacity * sizes[s] <= 256 * 1024);
        /* The newest stay. */
        assert_ptr_equal(*cache->front.bin[class_index + 1].head, blocks[BLOCKS - 1]);
        unsigned held = count_of(cache, class_index);
        const struct bin_counters *counters = &arena->bin[class_index].counters;
        assert_int_equal(counters->alloc_count - counters->free_count, held);
        check_all_is_back(cache, arena);
    }
}

/* The capacity after the blocks were taken and given back so many times. */
static unsigned grown_capacity(struct arena *arena, uint8_t class_index, unsigned threads,
                               unsigned rounds)
{
    enum { BLOCKS = 2000 };
    static void *blocks[BLOCKS];
    unsigned before = atomic_exchange(&arena->thread_count, threads);
    struct cache *cache = new_cache(arena);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = take(cache, class_index);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            cache_free(cache, class_index, blocks[i]);
        }
    }
    cache_flush(cache);
    atomic_store(&arena->thread_count, before);
    return cache->front.bin[class_index + 1].capacity;
}

static void many_threads_have_smaller_shares(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    uint8_t class_index = class_of(1024);
    assert_int_equal(grown_capacity(arena, class_index, 4, 1), 255);
    assert_int_equal(grown_capacity(arena, class_index, 100, 1), 63);
    assert_int_equal(grown_capacity(arena, class_index, 5000, 1), 31);
}

static void a_bin_that_swings_may_hold_more(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    uint8_t class_index = class_of(1024);
    assert_int_equal(grown_capacity(arena, class_index, 4, 2), 255);
    assert_int_equal(grown_capacity(arena, class_index, 4, 3), 511);
    assert_int_equal(grown_capacity(arena, class_index, 4, 20), 511);
    assert_int_equal(grown_capacity(arena, class_index, 5000, 20), 31);
}

/* One more doubling of a bin's slots, by allocations alone; the blocks are chained. */
static void grow_once(struct cache *cache, uint8_t class_index, void **chain)
{
    const struct cache_bin *bin = &cache->front.bin[class_index + 1];
    unsigned before = bin->capacity;
    do {
        void **block = take(cache, class_index);
        *block = *chain;
        *chain = block;
    } while (bin->capacity == before && ((cache->at_limit >> (class_index + 1)) & 1) == 0);
}

/* Bins that grow in step leave many outgrown pieces, so the block of slots may run out while some
 * bins have none yet: each order of growth must leave them their first. */
static void a_bin_first_used_late_finds_slots(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("a_bin_first_used_late_finds_slots");
    struct arena *arena = fresh_arena();
    struct cache *cache = new_cache(arena);
    for (unsigned round = 0; round < 3000; round++) {
        memset(cache, 0, CACHE_BLOCK_BYTES);
        cache = cache_init(cache, arena);
        void *chain[SMALL_CLASSES] = {NULL};
        unsigned early = 1 + random_below(&seed, SMALL_CLASSES);
        unsigned steps = (4 + random_below(&seed, 8)) * early;
        for (unsigned i = 0; i < steps; i++) {
            uint8_t class_index = (uint8_t)random_below(&seed, early);
            grow_once(cache, class_index, &chain[class_index]);
        }
        for (uint8_t i = 0; i < CACHED_CLASSES; i++) {
            cache_free(cache, i, take(cache, i));
        }
        for (uint8_t i = 0; i < early; i++) {
            while (chain[i] != NULL) {
                void *block = chain[i];
                chain[i] = *(void **)block;
                cache_free(cache, i, block);
            }
        }
        check_all_is_back(cache, arena);
    }
}

struct model {
    void *block[2000];
    uint8_t class_index[2000];
    unsigned count;
    uint64_t allocated;
    uint64_t freed;
    uint64_t requests[CACHED_CLASSES];
};

static void model_alloc(struct model *model, struct cache *cache, uint8_t class_index)
{
    void *block = take(cache, class_index);
    /* A block that is out already holds its own address. */
    assert_ptr_not_equal(*(void **)block, block);
    *(void **)block = block;
    model->block[model->count] = block;
    model->class_index[model->count++] = class_index;
    model->allocated += class_size(class_index);
    model->requests[class_index]++;
}

static void model_free(struct model *model, struct cache *cache, unsigned at)
{
    void *block = model->block[at];
    uint8_t class_index = model->class_index[at];
    assert_ptr_equal(*(void **)block, block);
    *(void **)block = NULL;
    model->freed += class_size(class_index);
    model->block[at] = model->block[--model->count];
    model->class_index[at] = model->class_index[model->count];
    cache_free(cache, class_index, block);
}

static void follow_model(uint64_t seed, struct arena *arena, struct cache *cache)
{
    static struct model model;
    memset(&model, 0, sizeof model);
    for (unsigned step = 0; step < 60000; step++) {
        bool grows = (step / 3000) % 2 == 0;
        if (model.count < 2000 && random_below(&seed, 10) < (grows ? 7u : 3u)) {
            model_alloc(&model, cache, (uint8_t)random_below(&seed, CACHED_CLASSES));
        } else if (model.count > 0) {
            model_free(&model, cache, random_below(&seed, model.count));
        }
        if (step % 64 == 0) {
            assert_int_equal(cache_allocated_bytes(cache), model.allocated);
            assert_int_equal(cache_freed_bytes(cache), model.freed);
            assert_true(cache_is_valid(cache));
        }
    }
    while (model.count > 0) {
        model_free(&model, cache, model.count - 1);
    }
    assert_int_equal(cache_allocated_bytes(cache), model.allocated);
    assert_int_equal(cache_freed_bytes(cache), model.allocated);
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        assert_int_equal(cache_untold_requests(cache, i), model.requests[i]);
    }
    cache_merge_counters(cache);
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        assert_int_equal(cache_untold_requests(cache, i), 0);
        assert_int_equal(arena->bin[i].counters.request_count, model.requests[i]);
    }
    check_all_is_back(cache, arena);
}

static void counters_follow_a_model_of_random_operations(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    follow_model(seed_of_test("counters_follow_a_model_of_random_operations"), arena,
                 new_cache(arena));
}

static void they_follow_it_under_bounds_too(void **state)
{
    (void)state;
    static const char *const texts[] = {"8-32768:0", "8-500:0|2000-16384:1", "8-32768:37",
                                        "8-512:1000"};
    for (unsigned i = 0; i < COUNT_OF(texts); i++) {
        struct arena *arena = fresh_arena();
        struct cache *cache = new_cache(arena);
        struct bounds bounds = bound_default();
        assert_true(bound_apply(&bounds, texts[i]));
        bound_limit_size(&bounds, i % 2 == 0 ? 32768 : 5000);
        cache_set_bounds(cache, &bounds);
        follow_model(seed_of_test("they_follow_it_under_bounds_too"), arena, cache);
    }
}

enum { MANY = 20000 };
static void *many[MANY];

/* The most blocks that a bin held while many came back. */
static unsigned most_held(struct cache *cache, uint8_t class_index)
{
    unsigned most = 0;
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = take(cache, class_index);
    }
    for (unsigned i = 0; i < MANY; i++) {
        cache_free(cache, class_index, many[i]);
        unsigned held = count_of(cache, class_index);
        most = held > most ? held : most;
    }
    assert_true(cache_is_valid(cache));
    return most;
}

static void set_slots_of(struct cache *cache, unsigned slots)
{
    struct bounds bounds = bound_default();
    for (unsigned i = 0; i < CACHED_CLASSES; i++) {
        bounds.slots[i] = (uint16_t)slots;
    }
    cache_set_bounds(cache, &bounds);
}

static void a_bound_is_held_and_reached(void **state)
{
    (void)state;
    static const unsigned slots[] = {0, 1, 2, 3, 6, 7, 8, 100, 1023, 1024, 3000, 4095, BOUND_MAX};
    struct arena *arena = fresh_arena();
    struct cache *cache = new_cache(arena);
    for (unsigned i = 0; i < COUNT_OF(slots); i++) {
        set_slots_of(cache, slots[i]);
        assert_int_equal(cache_slots(cache, 3), slots[i]);
        assert_int_equal(most_held(cache, 3), slots[i]);
        check_all_is_back(cache, arena);
    }
    set_slots_of(cache, BOUND_NONE);
    assert_true(most_held(cache, 3) >= 255);
    check_all_is_back(cache, arena);
}

/* More slots than a cache's block has room for are mappings, which end with it. */
static void many_slots_end_with_the_cache(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    struct cache *cache = new_cache(arena);
    for (unsigned round = 0; round < 2; round++) {
        size_t before = meta_touched_bytes();
        set_slots_of(cache, BOUND_MAX);
        for (uint8_t i = 0; i < 5; i++) {
            assert_int_equal(most_held(cache, i), BOUND_MAX);
        }
        assert_true(meta_touched_bytes() >= before + 3 * 64 * 1024);
        cache_flush(cache);
        if (round == 0) {
            set_slots_of(cache, 5);
            /* The map of the blocks may have grown. */
            assert_true(meta_touched_bytes() < before + 3 * 64 * 1024);
        } else {
            cache_end(cache);
            assert_true(meta_touched_bytes() < before + 64 * 1024);
        }
    }
    assert_int_equal(arena->bin[3].counters.alloc_count, arena->bin[3].counters.free_count);
}

static void a_full_bin_keeps_what_the_divisor_says(void **state)
{
    (void)state;
    static const struct {
        unsigned lg;
        unsigned kept;
    } cases[] = {{1, 32}, {2, 16}, {3, 8}, {16, 0}};
    struct options saved = options;
    struct arena *arena = fresh_arena();
    struct cache *cache = new_cache(arena);
    for (uint8_t class_index = 10; class_index < CACHED_CLASSES; class_index += 28) {
        for (unsigned i = 0; i < COUNT_OF(cases); i++) {
            *(class_index < SMALL_CLASSES ? &options.lg_tcache_flush_small_div
                                          : &options.lg_tcache_flush_large_div) = cases[i].lg;
            set_slots_of(cache, 64);
            for (unsigned j = 0; j < 65; j++) {
                many[j] = take(cache, class_index);
            }
            cache_flush(cache);
            for (unsigned j = 0; j < 65; j++) {
                cache_free(cache, class_index, many[j]);
            }
            assert_int_equal(count_of(cache, class_index), cases[i].kept + 1);
            check_all_is_back(cache, arena);
        }
        options = saved;
    }
}

/* Slow events of one class until blocks of another, idle one go back. */
static unsigned events_until_collected(struct arena *arena)
{
    const uint8_t idle = class_of(1024);
    const uint8_t busy = class_of(4096);
    struct cache *cache = new_cache(arena);
    set_slots_of(cache, 7);
    for (unsigned i = 0; i < 4; i++) {
        many[i] = take(cache, idle);
    }
    for (unsigned i = 0; i < 4; i++) {
        cache_free(cache, idle, many[i]);
    }
    unsigned held = count_of(cache, idle);
    uint64_t before = arena->bin[busy].counters.fill_count + arena->bin[busy].counters.flush_count;
    while (count_of(cache, idle) == held) {
        for (unsigned i = 0; i < 100; i++) {
            many[i] = take(cache, busy);
        }
        for (unsigned i = 0; i < 100; i++) {
            cache_free(cache, busy, many[i]);
        }
    }
    uint64_t after = arena->bin[busy].counters.fill_count + arena->bin[busy].counters.flush_count;
    check_all_is_back(cache, arena);
    return (unsigned)(after - before);
}

static void options_set_the_rhythm_of_collections(void **state)
{
    (void)state;
    struct options saved = options;
    struct arena *arena = fresh_arena();
    unsigned usual = events_until_collected(arena);
    options.tcache_gc_incr_bytes = 64 * 4096;
    unsigned often = events_until_collected(arena);
    options.tcache_gc_incr_bytes = 65536 * 4096ull;
    unsigned seldom = events_until_collected(arena);
    options.tcache_gc_incr_bytes = 64 * 4096;
    options.tcache_gc_delay_bytes = 64 * 4096 * 100;
    unsigned delayed = events_until_collected(arena);
    options = saved;
    EXPECT(often * 4 < usual, "%u, %u", often, usual);
    EXPECT(seldom > usual * 4, "%u, %u", seldom, usual);
    EXPECT(delayed > often * 20, "%u, %u", delayed, often);
}

/* What the fast path of malloc does; NULL where it falls through. */
static void *fast(struct cache *cache, uint8_t class_index)
{
    struct cache_bin *bin = &cache->front.bin[class_index + 1];
    void *block = *bin->head;
    if (block != NULL && --bin->left != 0) {
        bin->head++;
        return block;
    }
    return NULL;
}

static void requests_stay_exact_when_the_countdown_ends(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    struct cache *cache = new_cache(arena);
    uint8_t class_index = class_of(32);
    const unsigned requests = 3 * CACHE_LEFT + 17;
    unsigned events = 0;
    for (unsigned i = 0; i < requests; i++) {
        void *block = fast(cache, class_index);
        if (block == NULL) {
            block = cache_alloc(cache, class_index);
            events++;
        }
        assert_non_null(block);
        cache_free(cache, class_index, block);
    }
    assert_int_equal(events, 4);
    assert_int_equal(cache_untold_requests(cache, class_index), requests);
    assert_int_equal(cache_allocated_bytes(cache), (uint64_t)requests * 32);
    assert_int_equal(cache_freed_bytes(cache), (uint64_t)requests * 32);
    check_all_is_back(cache, arena);
}

static void idle_bins_give_their_blocks_back(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    struct cache *cache = new_cache(arena);
    uint8_t idle = class_of(256);
    cache_free(cache, idle, take(cache, idle));
    unsigned before = count_of(cache, idle);
    assert_true(before > 0);
    enum { BLOCKS = 200 };
    void *blocks[BLOCKS];
    for (unsigned round = 0; round < 2000 && count_of(cache, idle) > 0; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = take(cache, class_of(4096));
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            cache_free(cache, class_of(4096), blocks[i]);
        }
    }
    assert_int_equal(count_of(cache, idle), 0);
    assert_true(count_of(cache, class_of(4096)) > 0);
    check_all_is_back(cache, arena);
}

static void a_moved_cache_uses_the_other_arena(void **state)
{
    (void)state;
    struct arena *from = fresh_arena();
    struct arena *to = fresh_arena();
    struct cache *cache = new_cache(from);
    cache->pointer = &thread_front; /* It counts as a thread's. */
    atomic_store(&from->thread_count, 1);
    void *old = take(cache, class_of(64));
    cache_flush(cache);
    assert_true(cache_move(cache, to));
    assert_int_equal(from->thread_count, 0);
    assert_int_equal(to->thread_count, 1);
    assert_int_equal(from->bin[class_of(64)].counters.request_count, 1);
    void *young = take(cache, class_of(64));
    assert_ptr_equal(large_arena(young, map_code(young)), to);
    cache_free(cache, class_of(64), old);
    cache_free(cache, class_of(64), young);
    check_all_is_back(cache, from);
    check_all_is_back(cache, to);
}

static void free_twice_in_a_row(void *opaque)
{
    struct cache *cache = opaque;
    void *block = take(cache, class_of(64));
    cache_free(cache, class_of(64), block);
    cache_free(cache, class_of(64), block);
}

static void free_twice_and_flush(void *opaque)
{
    struct cache *cache = opaque;
    uint8_t class_index = class_of(64);
    void *block = take(cache, class_index);
    void *between = take(cache, class_index);
    cache_free(cache, class_index, block);
    cache_free(cache, class_index, between);
    cache_free(cache, class_index, block);
    cache_flush(cache);
}

static void free_a_run_twice_and_flush(void *opaque)
{
    struct cache *cache = opaque;
    uint8_t class_index = class_of(20480);
    void *block = take(cache, class_index);
    void *between = take(cache, class_index);
    cache_free(cache, class_index, block);
    cache_free(cache, class_index, between);
    cache_free(cache, class_index, block);
    cache_flush(cache);
}

static void double_frees_abort_at_once_or_by_the_flush(void **state)
{
    (void)state;
    struct cache *cache = new_cache(fresh_arena());
    expect_abort(free_twice_in_a_row, cache, "double free");
    expect_abort(free_twice_and_flush, cache, "double free");
    expect_abort(free_a_run_twice_and_flush, cache, "double free");
}

static void validity_sees_a_head_beyond_its_slots(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    struct cache *cache = new_cache(arena);
    cache_free(cache, 3, take(cache, 3));
    struct cache_bin *bin = &cache->front.bin[4];
    void **head = bin->head;
    bin->head = bin->bottom - bin->capacity - 1;
    assert_false(cache_is_valid(cache));
    bin->head = head;
    bin->full++;
    assert_false(cache_is_valid(cache));
    bin->full--;
    check_all_is_back(cache, arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_cache_is_empty_and_open_to_the_fast_paths),
        cmocka_unit_test(the_block_freed_last_comes_first),
        cmocka_unit_test(a_bin_grows_to_its_share_and_then_flushes_the_oldest),
        cmocka_unit_test(many_threads_have_smaller_shares),
        cmocka_unit_test(a_bin_that_swings_may_hold_more),
        cmocka_unit_test(a_bin_first_used_late_finds_slots),
        cmocka_unit_test(counters_follow_a_model_of_random_operations),
        cmocka_unit_test(they_follow_it_under_bounds_too),
        cmocka_unit_test(a_bound_is_held_and_reached),
        cmocka_unit_test(many_slots_end_with_the_cache),
        cmocka_unit_test(a_full_bin_keeps_what_the_divisor_says),
        cmocka_unit_test(options_set_the_rhythm_of_collections),
        cmocka_unit_test(requests_stay_exact_when_the_countdown_ends),
        cmocka_unit_test(idle_bins_give_their_blocks_back),
        cmocka_unit_test(a_moved_cache_uses_the_other_arena),
        cmocka_unit_test(double_frees_abort_at_once_or_by_the_flush),
        cmocka_unit_test(validity_sees_a_head_beyond_its_slots),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
