/* test_statistics.c: goal: what the process holds adds up: allocated is exactly the usable bytes
 * of live blocks, and the sums keep the order that their meanings give them.
 * Method: snapshots before and after known allocations of all kinds, from the test's thread and
 * from others; copies of counters against the counters themselves.
 */
#include "upper_floors.h"

#include "control/statistics.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:12";

static struct statistics refreshed(void)
{
    statistics_refresh();
    struct statistics now = statistics_now();
    assert_true(now.allocated <= now.active);
    assert_true(now.active <= now.mapped);
    assert_true(now.active <= now.resident);
    assert_true(now.metadata > 0);
    assert_int_equal(now.active % PAGE_BYTES, 0);
    assert_int_equal(now.mapped % PAGE_BYTES, 0);
    return now;
}

static void a_snapshot_stays_until_the_next_refresh(void **state)
{
    (void)state;
    struct statistics before = refreshed();
    void *block = API(malloc)(123456);
    struct statistics same = statistics_now();
    assert_memory_equal(&before, &same, sizeof before);
    struct statistics after = refreshed();
    assert_int_equal(after.epoch, before.epoch + 1);
    assert_int_equal(after.allocated - before.allocated, API(malloc_usable_size)(block));
    API(free)(block);
}

static void allocated_is_the_usable_bytes_of_live_blocks(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("allocated_is_the_usable_bytes_of_live_blocks");
    enum { BLOCKS = 2000 };
    static void *blocks[BLOCKS];
    size_t live = 0;
    struct statistics before = refreshed();
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = (size_t)1 << random_below(&seed, i % 100 == 0 ? 23 : 15);
        blocks[i] = API(malloc)(size + random_below(&seed, (unsigned)size));
        assert_non_null(blocks[i]);
        live += API(malloc_usable_size)(blocks[i]);
        if (i % 200 == 0) {
            assert_int_equal(refreshed().allocated - before.allocated, live);
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        live -= API(malloc_usable_size)(blocks[i]);
        API(free)(blocks[i]);
        if (i % 200 == 0) {
            assert_int_equal(refreshed().allocated - before.allocated, live);
        }
    }
    assert_int_equal(live, 0);
    assert_int_equal(refreshed().allocated, before.allocated);
}

static void *allocate_and_hand_over(void *blocks)
{
    for (unsigned i = 0; i < 100; i++) {
        ((void **)blocks)[i] = API(malloc)(1000);
    }
    return NULL;
}

static void blocks_of_other_threads_count(void **state)
{
    (void)state;
    void *blocks[100];
    struct statistics before = refreshed();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, allocate_and_hand_over, blocks), 0);
    pthread_join(thread, NULL);
    size_t grown = refreshed().allocated - before.allocated;
    /* libc keeps the stack and the vectors of the thread. */
    assert_in_range(grown, 100 * 1024, 100 * 1024 + 4096);
    for (unsigned i = 0; i < 100; i++) {
        API(free)(blocks[i]);
    }
    assert_int_equal(refreshed().allocated - before.allocated, grown - 100 * 1024);
}

static void a_large_block_moves_active_mapped_and_resident(void **state)
{
    (void)state;
    const size_t bytes = (size_t)16 << 20;
    /* Kept mappings would make room for the block. */
    huge_purge();
    struct statistics before = refreshed();
    void *block = API(malloc)(bytes);
    struct statistics with = refreshed();
    assert_int_equal(with.allocated - before.allocated, bytes);
    assert_int_equal(with.active - before.active, bytes);
    assert_true(with.mapped - before.mapped >= bytes);
    assert_true(with.resident - before.resident >= bytes);
    API(free)(block);
    assert_int_equal(refreshed().active, before.active);
}

static void bins_and_pages_are_copied_as_they_are(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    void *blocks[10];
    bool contended;
    unsigned filled = arena_fill(arena, class_of(512), blocks, 10, &contended);
    assert_int_equal(filled, 10);
    struct bin_view bin = statistics_bin(arena, class_of(512));
    assert_int_equal(bin.counters.alloc_count, 10);
    assert_int_equal(bin.counters.fill_count, 1);
    assert_int_equal(bin.counters.slab_count, 1);
    assert_int_equal(bin.counters.current_slabs, 1);
    assert_int_equal(bin.lock_count, 2);
    assert_int_equal(bin.lock_wait_count, 0);
    struct pages_view pages = statistics_pages(arena);
    assert_int_equal(pages.active_pages, slab_page_count(class_of(512)));
    assert_int_equal(pages.large_pages, 0);
    assert_int_equal(pages.chunk_pages, arena->pages.chunk_pages);
    assert_int_equal(pages.dirty_pages, 0);
    void *large = large_alloc(arena, 65536, 1, false);
    assert_int_equal(statistics_pages(arena).large_pages, 16);
    large_free(large, CODE_RUN);
    arena_flush(class_of(512), blocks, 10, &contended);
    arena_purge(arena);
    pages = statistics_pages(arena);
    assert_int_equal(pages.active_pages, 0);
    assert_int_equal(pages.dirty_pages, 0);
    assert_true(pages.purge_count > 0);
    assert_true(pages.purge_call_count > 0);
    assert_in_range(pages.purged_pages, 17, 16 + slab_page_count(class_of(512)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_stays_until_the_next_refresh),
        cmocka_unit_test(allocated_is_the_usable_bytes_of_live_blocks),
        cmocka_unit_test(blocks_of_other_threads_count),
        cmocka_unit_test(a_large_block_moves_active_mapped_and_resident),
        cmocka_unit_test(bins_and_pages_are_copied_as_they_are),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
