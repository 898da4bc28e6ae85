/* test_shards.c: goal: a class has as many bins as the option says; each is a bin like any other,
 * with slabs, a lock and counters of its own, and whoever goes through an arena meets them all.
 * Method: options with several bins for some classes; users with numbers fill and flush in fresh
 * arenas; slabs, counters and locks of each bin are compared with what its users did. A user works
 * beside a bin whose lock is held all the while, so that only a bin of its own lets it go on.
 */
#include "upper_floors.h"

#include "control/statistics.h"
#include "heap/holes.h"
#include "heap/reset.h"
#include "heap/shards.h"
#include "os/os.h"
#include "pages/meta.h"

#include <semaphore.h>

enum { FEW = 3, MANY = 64, BATCH = 128 };

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:20,bin_shards:1-512:3|1024-1024:64";

static unsigned fill(struct arena *arena, uint8_t class_index, void **blocks, uint16_t number)
{
    struct bin_user user = {.number = number, .contended = true};
    unsigned filled = arena_fill(arena, class_index, blocks, BATCH, &user);
    assert_in_range(filled, 1, BATCH);
    assert_false(user.contended);
    return filled;
}

static void flush(uint8_t class_index, void *const *blocks, unsigned count)
{
    bool contended = true;
    arena_flush(class_index, blocks, count, &contended);
    assert_false(contended);
}

static struct run *slab_of(const void *block)
{
    return chunk_run(map_owner(block), block);
}

static void the_option_says_how_many_bins_a_class_has(void **state)
{
    (void)state;
    assert_true(shards_wanted);
    assert_int_equal(shards_count(class_of(8)), FEW);
    assert_int_equal(shards_count(class_of(512)), FEW);
    assert_int_equal(shards_count(class_of(640)), 1);
    assert_int_equal(shards_count(class_of(1024)), MANY);
    assert_int_equal(shards_count(class_of(14336)), 1);
}

static void caches_are_spread_as_they_join(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    for (unsigned i = 0; i < 2 * MANY; i++) {
        assert_int_equal(shards_join(arena, SHARDS_THREAD), i);
    }
    assert_int_equal(shards_join(arena, SHARDS_OTHER), 0);
    assert_int_equal(shards_join(arena, SHARDS_OTHER), 1);
    assert_int_equal(shards_join(arena, SHARDS_THREAD), 2 * MANY);
    assert_int_equal(shards_join(fresh_arena(), SHARDS_THREAD), 0);
}

static void further_bins_come_when_one_is_wanted(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    const uint8_t class_index = class_of(64);
    assert_ptr_equal(shards_pick(arena, class_index, 0), &arena->bin[class_index]);
    assert_ptr_equal(shards_pick(arena, class_index, FEW), &arena->bin[class_index]);
    assert_null(shards_bin(arena, class_index, 1));
    struct bin *last = shards_pick(arena, class_index, FEW - 1);
    assert_ptr_equal(shards_bin(arena, class_index, 0), &arena->bin[class_index]);
    assert_ptr_equal(shards_bin(arena, class_index, FEW - 1), last);
    assert_null(shards_bin(arena, class_index, FEW));
    assert_ptr_equal(shards_pick(arena, class_index, 5 * FEW + 1),
                     shards_bin(arena, class_index, 1));
    for (unsigned i = 1; i < FEW; i++) {
        const struct bin *bin = shards_bin(arena, class_index, i);
        assert_true(bin_is_valid(bin));
        assert_int_equal((uintptr_t)bin % 64, 0);
        assert_int_equal(bin->lock.rank, LOCK_BIN);
    }
    assert_null(shards_bin(arena, class_of(80), 1));
    assert_ptr_equal(shards_pick(arena, class_of(14336), 7), &arena->bin[class_of(14336)]);
    assert_null(shards_bin(arena, class_of(14336), 1));
    last = shards_pick(arena, class_of(1024), MANY - 1);
    assert_ptr_equal(shards_bin(arena, class_of(1024), MANY - 1), last);
}

/* Live blocks of one class, of users of two arenas. */
static struct {
    void *block[8192];
    unsigned owner[8192];
    unsigned count;
    uint64_t out[2 * FEW];
} live;

static void add_live(struct arena *arena, uint8_t class_index, unsigned owner)
{
    void *blocks[BATCH];
    uint16_t number = (uint16_t)(owner % FEW);
    unsigned filled = fill(arena, class_index, blocks, number);
    for (unsigned i = 0; i < filled; i++) {
        assert_ptr_equal(slab_of(blocks[i])->bin, shards_bin(arena, class_index, number));
        live.block[live.count] = blocks[i];
        live.owner[live.count++] = owner;
    }
    live.out[owner] += filled;
}

static void drop_live(uint8_t class_index, uint64_t *seed)
{
    void *blocks[BATCH];
    unsigned count = 0;
    for (; count < BATCH && live.count > 0; count++) {
        unsigned at = random_below(seed, live.count);
        blocks[count] = live.block[at];
        live.out[live.owner[at]]--;
        live.block[at] = live.block[--live.count];
        live.owner[at] = live.owner[live.count];
    }
    flush(class_index, blocks, count);
}

static void blocks_go_back_to_the_bin_that_made_their_slab(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("blocks_go_back_to_the_bin_that_made_their_slab");
    struct arena *const arenas[2] = {fresh_arena(), fresh_arena()};
    const uint8_t class_index = class_of(160);
    for (unsigned step = 0; step < 1000 || live.count > 0; step++) {
        bool grows = step < 1000 && random_below(&seed, 2) == 0 && live.count < 8192 - BATCH;
        if (grows) {
            unsigned owner = random_below(&seed, 2 * FEW);
            add_live(arenas[owner / FEW], class_index, owner);
        } else if (live.count > 0) {
            drop_live(class_index, &seed);
        }
        for (unsigned owner = 0; step > 200 && owner < 2 * FEW; owner++) {
            const struct bin *bin = shards_bin(arenas[owner / FEW], class_index, owner % FEW);
            EXPECT(bin->counters.alloc_count - bin->counters.free_count == live.out[owner],
                   "bin %u in step %u", owner, step);
            assert_true(bin_is_valid(bin));
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        arena_purge(arenas[i]);
        assert_true(page_heap_is_valid(&arenas[i]->pages));
        assert_int_equal(arenas[i]->pages.active_pages, 0);
    }
}

static struct {
    struct arena *arena;
    void *block[BATCH];
    unsigned count;
    bool contended;
    sem_t go;
    sem_t done;
} held;

static void *fill_beside_a_held_bin(void *unused)
{
    sem_wait(&held.go);
    struct bin_user user = {.number = 1};
    held.count = arena_fill(held.arena, class_of(64), held.block, BATCH, &user);
    arena_flush(class_of(64), held.block, held.count, &held.contended);
    held.contended |= user.contended;
    sem_post(&held.done);
    return unused;
}

static void a_user_does_not_wait_for_another_bin(void **state)
{
    (void)state;
    held.arena = fresh_arena();
    struct bin *first = shards_pick(held.arena, class_of(64), 0);
    struct bin *second = shards_pick(held.arena, class_of(64), 1);
    pthread_t thread;
    assert_int_equal(sem_init(&held.go, 0, 0), 0);
    assert_int_equal(sem_init(&held.done, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, fill_beside_a_held_bin, NULL), 0);
    lock_acquire(&first->lock);
    uint64_t taken = lock_acquire_count(&first->lock);
    sem_post(&held.go);
    sem_wait(&held.done);
    lock_release(&first->lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(lock_acquire_count(&first->lock), taken);
    assert_true(held.count > 0);
    assert_false(held.contended);
    assert_int_equal(lock_acquire_count(&second->lock), 2);
    assert_int_equal(second->counters.fill_count, 1);
    assert_int_equal(second->counters.flush_count, 1);
    assert_int_equal(first->counters.fill_count, 0);
    assert_int_equal(shards_taken(held.arena, class_of(64)), 2);
}

static void *tell_number(void *unused)
{
    (void)unused;
    struct cache *cache = thread_cache();
    void *block = API(malloc)(64);
    bool own =
        slab_of(block)->bin == shards_pick(cache_arena(cache), class_of(64), cache->user.number);
    API(free)(block);
    return (void *)(uintptr_t)(own ? cache->user.number : UINT16_MAX + 1u);
}

static void threads_and_made_caches_have_their_numbers(void **state)
{
    (void)state;
    struct cache *own = thread_cache();
    struct arena *home = cache_arena(own);
    struct arena *arena = fresh_arena();
    (void)shards_join(arena, SHARDS_THREAD);
    assert_true(thread_use_arena(arena));
    assert_int_equal(own->user.number, 1);
    struct cache *made = thread_new_other_cache(arena);
    struct cache *other = thread_new_other_cache(arena);
    assert_int_equal(made->user.number, 0);
    assert_int_equal(other->user.number, 1);
    void *block = cache_alloc(other, class_of(64));
    assert_ptr_equal(slab_of(block)->bin, shards_bin(arena, class_of(64), 1));
    cache_free(other, class_of(64), block);
    thread_delete_other_cache(made);
    thread_delete_other_cache(other);
    /* Past the caches, the thread's own bin. */
    struct block_request request = {.size_bytes = 64, .alignment = 1, .arena = arena};
    block = block_alloc(&request);
    assert_ptr_equal(slab_of(block)->bin, shards_bin(arena, class_of(64), 1));
    assert_int_equal(shards_bin(arena, class_of(64), 1)->counters.request_count, 2);
    assert_int_equal(arena->bin[class_of(64)].counters.request_count, 0);
    block_free(block, map_code(block), true);
    assert_true(thread_use_arena(home));
    for (unsigned i = 0; i < 2; i++) {
        pthread_t thread;
        void *number;
        assert_int_equal(pthread_create(&thread, NULL, tell_number, NULL), 0);
        assert_int_equal(pthread_join(thread, &number), 0);
        assert_true((uintptr_t)number <= UINT16_MAX);
    }
}

/* The word of each lock of the class's bins. */
static void check_words(struct arena *arena, uint8_t class_index, uint32_t word)
{
    const struct bin *bin;
    for (unsigned i = 0; (bin = shards_bin(arena, class_index, i)) != NULL; i++) {
        assert_int_equal(bin->lock.word, word);
    }
}

static void fork_holds_the_locks_of_all_bins_and_makes_none(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    const uint8_t class_index = class_of(1024);
    (void)shards_pick(arena, class_index, 1);
    lock_fork_begins();
    arenas_hold_locks();
    check_words(arena, class_index, LOCK_FORKING);
    assert_ptr_equal(shards_pick(arena, class_index, 1), shards_bin(arena, class_index, 1));
    assert_ptr_equal(shards_pick(arena, class_of(16), 1), &arena->bin[class_of(16)]);
    assert_null(shards_bin(arena, class_of(16), 1));
    arenas_release_locks();
    lock_fork_ends();
    check_words(arena, class_index, LOCK_FREE);
    assert_ptr_not_equal(shards_pick(arena, class_of(16), 1), &arena->bin[class_of(16)]);
}

/* The numbers of the class in the last snapshot are those of its bins together. */
static void check_snapshot(struct arena *arena, uint8_t class_index)
{
    assert_true(statistics_refresh());
    const struct arena_statistics *part = statistics_part(arena);
    const struct bin_statistics *sum = &part->bin[class_index];
    struct bin_counters counters = {0};
    uint64_t taken = 0;
    const struct bin *bin;
    for (unsigned i = 0; (bin = shards_bin(arena, class_index, i)) != NULL; i++) {
        counters.alloc_count += bin->counters.alloc_count;
        counters.free_count += bin->counters.free_count;
        counters.request_count += bin->counters.request_count;
        counters.fill_count += bin->counters.fill_count;
        counters.flush_count += bin->counters.flush_count;
        counters.slab_count += bin->counters.slab_count;
        counters.reslab_count += bin->counters.reslab_count;
        counters.current_slabs += bin->counters.current_slabs;
        counters.slab_regions += bin->counters.slab_regions;
        counters.queued_slabs += bin->counters.queued_slabs;
        taken += lock_acquire_count(&bin->lock);
    }
    assert_memory_equal(sum, &counters, sizeof counters);
    assert_int_equal(sum->current_regions, counters.alloc_count - counters.free_count);
    assert_int_equal(part->bin_lock[class_index].acquire_count, taken);
    assert_int_equal(part->totals.small.alloc_count, counters.alloc_count);
}

static void statistics_are_sums_over_the_bins(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    const uint8_t class_index = class_of(1024);
    void *blocks[4][BATCH];
    unsigned count[4];
    check_snapshot(arena, class_index);
    for (uint16_t i = 0; i < 4; i++) {
        count[i] = fill(arena, class_index, blocks[i], (uint16_t)(i + 1));
        arena_count_requests(arena, class_index, i + 1u, 10u + i);
        check_snapshot(arena, class_index);
    }
    assert_int_equal(statistics_part(arena)->bin[class_index].request_count, 46);
    /* None of them moved: a snapshot takes no lock of a bin. */
    uint64_t taken = shards_taken(arena, class_index);
    check_snapshot(arena, class_index);
    assert_int_equal(shards_taken(arena, class_index), taken);
    flush(class_index, blocks[3], count[3]);
    check_snapshot(arena, class_index);
    statistics_reset_locks();
    assert_int_equal(shards_taken(arena, class_index), 0);
    check_snapshot(arena, class_index);
    for (unsigned i = 0; i < 3; i++) {
        flush(class_index, blocks[i], count[i]);
    }
    check_snapshot(arena, class_index);
}

/* Every fourth block of several slabs of user 1 stays. */
static unsigned leave_holes(struct arena *arena, uint8_t class_index, void **kept)
{
    unsigned stay = 0;
    for (unsigned round = 0; round < 4; round++) {
        void *blocks[BATCH];
        unsigned count = fill(arena, class_index, blocks, 1);
        for (unsigned i = 0; i < count; i++) {
            memset(blocks[i], 1, 1024);
            if (i % 16 == 0) {
                kept[stay++] = blocks[i];
            } else {
                flush(class_index, &blocks[i], 1);
            }
        }
    }
    return stay;
}

static void holes_of_all_bins_are_given_back(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    const uint8_t class_index = class_of(1024);
    void *kept[4 * BATCH];
    unsigned stay = leave_holes(arena, class_index, kept);
    const struct bin *bin = shards_bin(arena, class_index, 1);
    size_t active = statistics_active_now();
    arena_purge(arena);
    size_t purged = bin->holes.purged_pages;
    assert_true(purged > 0);
    assert_int_equal(arena->bin[class_index].holes.purged_pages, 0);
    assert_true(statistics_active_now() <= active - purged * PAGE_BYTES);
    assert_true(statistics_refresh());
    assert_int_equal(statistics_part(arena)->totals.hole_pages, purged);
    flush(class_index, kept, stay);
    /* Those that nobody takes from are swept when the decay time is over. */
    stay = leave_holes(arena, class_index, kept);
    uint64_t decay_ns = (uint64_t)page_heap_decay_ms(&arena->pages, STAGE_DIRTY) * 1000000u;
    uint64_t now_ns = os_time_coarse_ns();
    assert_true(holes_look(arena, now_ns + decay_ns));
    purged = bin->holes.purged_pages;
    assert_false(holes_look(arena, now_ns + 2 * decay_ns));
    assert_true(bin->holes.purged_pages > purged);
    flush(class_index, kept, stay);
}

static void a_hint_compares_with_the_slabs_of_its_own_bin(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    const uint8_t class_index = class_of(512);
    unsigned regions = slab_region_count(class_index);
    void *blocks[3][RUN_REGIONS_MAX];
    for (unsigned i = 0; i < 3; i++) {
        struct bin_user user = {.number = 1};
        assert_int_equal(arena_fill(arena, class_index, blocks[i], regions, &user), regions);
    }
    flush(class_index, blocks[0], 2);
    flush(class_index, blocks[1], regions - 2);
    assert_int_equal(je_get_defrag_hint(blocks[0][regions - 1]), 0);
    assert_int_equal(je_get_defrag_hint(blocks[1][regions - 1]), 1);
    assert_int_equal(je_get_defrag_hint(blocks[2][regions - 1]), 0);
}

static void a_reset_and_an_end_leave_nothing_in_any_bin(void **state)
{
    (void)state;
    struct arena *arena = arena_create_manual();
    void *blocks[BATCH];
    for (unsigned round = 0; round < 2; round++) {
        for (uint16_t number = 0; number < MANY; number++) {
            (void)fill(arena, class_of(1024), blocks, number);
            unsigned count = fill(arena, class_of(64), blocks, number);
            flush(class_of(64), blocks, count / 2);
        }
        arena_reset(arena);
        for (unsigned i = 0; i < MANY; i++) {
            const struct bin *bin = shards_bin(arena, class_of(1024), i);
            assert_null(bin->first);
            assert_null(bin->empty);
            assert_int_equal(bin->counters.current_slabs, 0);
            assert_true(bin->counters.alloc_count > 0);
            assert_int_equal(bin->counters.alloc_count, bin->counters.free_count);
        }
        assert_int_equal(arena->pages.active_pages, 0);
    }
    assert_true(arena_end_begins(arena));
    arena_empty(arena);
    statistics_end_arena(arena);
    const struct arena_statistics *destroyed = statistics_destroyed();
    assert_int_equal(destroyed->bin[class_of(1024)].fill_count, 2 * MANY);
    assert_ptr_equal(arena_create_manual(), arena);
    for (unsigned i = 0; i < MANY; i++) {
        const struct bin *bin = shards_bin(arena, class_of(1024), i);
        assert_int_equal(bin->counters.alloc_count, 0);
        assert_int_equal(lock_acquire_count(&bin->lock), 0);
        assert_true(bin->holes.sweep_from_bytes > 0);
    }
    assert_true(arena_end_begins(arena));
    arena_empty(arena);
    statistics_end_arena(arena);
}

static void fill_without_memory_for_bins(void *opaque)
{
    struct arena *arena = opaque;
    struct rlimit limit;
    (void)getrlimit(RLIMIT_AS, &limit);
    const struct rlimit tight = {1 << 16, limit.rlim_max};
    void *block = NULL;
    (void)setrlimit(RLIMIT_AS, &tight);
    while (meta_alloc(64, 64) != NULL) {
    }
    struct bin *first = shards_pick(arena, class_of(64), 1);
    (void)setrlimit(RLIMIT_AS, &limit);
    CHILD_EXPECT(first == &arena->bin[class_of(64)]);
    CHILD_EXPECT(shards_bin(arena, class_of(64), 1) == NULL);
    struct bin_user user = {.number = 1};
    CHILD_EXPECT(arena_fill(arena, class_of(64), &block, 1, &user) == 1);
    CHILD_EXPECT(slab_of(block)->bin == shards_bin(arena, class_of(64), 1));
}

static void the_first_bin_serves_all_where_memory_is_refused(void **state)
{
    (void)state;
    expect_success(fill_without_memory_for_bins, fresh_arena());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_option_says_how_many_bins_a_class_has),
        cmocka_unit_test(caches_are_spread_as_they_join),
        cmocka_unit_test(further_bins_come_when_one_is_wanted),
        cmocka_unit_test(blocks_go_back_to_the_bin_that_made_their_slab),
        cmocka_unit_test(a_user_does_not_wait_for_another_bin),
        cmocka_unit_test(threads_and_made_caches_have_their_numbers),
        cmocka_unit_test(fork_holds_the_locks_of_all_bins_and_makes_none),
        cmocka_unit_test(statistics_are_sums_over_the_bins),
        cmocka_unit_test(holes_of_all_bins_are_given_back),
        cmocka_unit_test(a_hint_compares_with_the_slabs_of_its_own_bin),
        cmocka_unit_test(a_reset_and_an_end_leave_nothing_in_any_bin),
        cmocka_unit_test(the_first_bin_serves_all_where_memory_is_refused),
    };
    return cmocka_run_group_tests_name("shards", tests, start_allocator, NULL);
}
