/* test_statistics.c: goal: what the process holds adds up: allocated is exactly the usable bytes
 * of live blocks, and the sums keep the order that their meanings give them.
 * Method: snapshots before and after known allocations of all kinds, from the test's thread and
 * from others; copies of counters against the counters themselves.
 */
#include "upper_floors.h"

#include "control/statistics.h"
#include "pages/purge.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:12";

static struct statistics refreshed(void)
{
    assert_true(statistics_refresh());
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

static void the_part_of_an_arena_tells_its_bins_and_pages(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    void *blocks[10];
    bool contended;
    uint8_t class_index = class_of(512);
    assert_null(statistics_part(arena));
    assert_int_equal(arena_fill(arena, class_index, blocks, 10, &(struct bin_user){0}), 10);
    (void)refreshed();
    const struct arena_statistics *part = statistics_part(arena);
    assert_int_equal(part->bin[class_index].alloc_count, 10);
    assert_int_equal(part->bin[class_index].fill_count, 1);
    assert_int_equal(part->bin[class_index].slab_count, 1);
    assert_int_equal(part->bin[class_index].current_slabs, 1);
    assert_int_equal(part->bin_lock[class_index].acquire_count, 2);
    assert_int_equal(part->bin_lock[class_index].sleep_count, 0);
    assert_int_equal(part->totals.small.allocated, 5120);
    assert_int_equal(part->totals.active_pages, slab_page_count(class_index));
    assert_int_equal(part->totals.large.allocated, 0);
    assert_int_equal(part->totals.dirty_pages, 0);
    void *large = large_alloc(arena, 65536, 1, false);
    (void)refreshed();
    assert_ptr_equal(statistics_part(arena), part);
    assert_int_equal(part->totals.large.allocated, 65536);
    large_free(large, CODE_RUN);
    arena_flush(class_index, blocks, 10, &contended);
    arena_purge(arena);
    (void)refreshed();
    assert_int_equal(part->totals.active_pages, 0);
    assert_int_equal(part->totals.dirty_pages, 0);
    assert_true(part->totals.stage[STAGE_DIRTY].purge_count > 0);
    assert_true(part->totals.stage[STAGE_DIRTY].purge_call_count > 0);
    assert_in_range(part->totals.stage[STAGE_DIRTY].purged_pages, 17,
                    16 + slab_page_count(class_index));
}

/* Numbers of stretches by kind, added up over the classes. */
static uint64_t stretch_bytes(const struct arena_statistics *part, unsigned kind)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < STRETCH_CLASSES; i++) {
        bytes += part->stretch[i].bytes[kind];
    }
    return bytes;
}

static void unused_stretches_are_the_unused_pages(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    page_heap_set_decay(&arena->pages, STAGE_MUZZY, DECAY_NEVER);
    void *blocks[6];
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = large_alloc(arena, 65536, 1, false);
    }
    (void)refreshed();
    const struct arena_statistics *part = statistics_part(arena);
    uint64_t clean = stretch_bytes(part, STRETCH_CLEAN);
    assert_int_equal(clean, CHUNK_BYTES - 6 * 65536);
    assert_int_equal(clean, part->totals.retained_bytes);
    /* A tail of 4 pages falls unused: class 3 counts stretches of 16 KiB. */
    assert_true(large_resize(blocks[1], CODE_RUN, 65536 - 16384, false));
    (void)refreshed();
    assert_int_equal(part->stretch[3].count[STAGE_DIRTY], 1);
    assert_int_equal(stretch_bytes(part, STAGE_DIRTY), 16384);
    lock_acquire(&arena->pages.lock);
    purge_to(&arena->pages, 0);
    lock_release(&arena->pages.lock);
    (void)refreshed();
    assert_int_equal(part->stretch[3].count[STAGE_DIRTY], 0);
    assert_int_equal(part->stretch[3].count[STAGE_MUZZY], 1);
    assert_int_equal(stretch_bytes(part, STAGE_MUZZY), 16384);
    assert_int_equal(stretch_bytes(part, STRETCH_CLEAN), clean);
    /* A run that is kept whole is a dirty stretch. */
    large_free(blocks[3], CODE_RUN);
    (void)refreshed();
    assert_int_equal(stretch_bytes(part, STAGE_DIRTY), 65536);
    assert_int_equal(part->totals.dirty_pages, 16);
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        if (i != 3) {
            large_free(blocks[i], CODE_RUN);
        }
    }
    arena_purge(arena);
}

static void set_holes(struct bin *bin, size_t pages)
{
    lock_acquire(&bin->lock);
    bin->holes.purged_pages = pages;
    lock_release(&bin->lock);
}

static void pages_of_slabs_without_memory_are_retained(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    struct bin *bin = &arena->bin[class_of(512)];
    void *block;
    bool contended;
    assert_int_equal(arena_fill(arena, class_of(512), &block, 1, &(struct bin_user){0}), 1);
    (void)refreshed();
    struct arena_totals before = statistics_part(arena)->totals;
    set_holes(bin, 3);
    struct statistics whole = refreshed();
    struct arena_totals after = statistics_part(arena)->totals;
    assert_int_equal(statistics_active_now(), whole.active);
    set_holes(bin, 0);
    assert_int_equal(after.active_pages, before.active_pages - 3);
    assert_int_equal(after.mapped_bytes, before.mapped_bytes - 3 * PAGE_BYTES);
    assert_int_equal(after.retained_bytes, before.retained_bytes + 3 * PAGE_BYTES);
    arena_flush(class_of(512), &block, 1, &contended);
}

static void the_parts_add_up_to_the_whole(void **state)
{
    (void)state;
    void *blocks[200];
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = API(malloc)(i * (size_t)i * 100 + 1);
    }
    struct statistics whole = refreshed();
    struct arena_totals sum = {0};
    const struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        const struct arena_totals *totals = &statistics_part(arena)->totals;
        for (unsigned word = 0; word < sizeof sum / sizeof(uint64_t); word++) {
            ((uint64_t *)&sum)[word] += ((const uint64_t *)totals)[word];
        }
    }
    assert_memory_equal(&sum, &statistics_part(NULL)->totals, sizeof sum);
    assert_int_equal(whole.active, sum.active_pages * PAGE_BYTES);
    assert_int_equal(whole.allocated, sum.small.allocated + sum.large.allocated - sum.cached_bytes);
    assert_int_equal(whole.mapped, sum.mapped_bytes);
    assert_int_equal(whole.retained, sum.retained_bytes);
    assert_int_equal(statistics_active_now(), whole.active);
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        API(free)(blocks[i]);
    }
}

static void a_reset_sets_the_counters_of_all_locks_to_zero(void **state)
{
    (void)state;
    (void)refreshed();
    assert_true(statistics_part(NULL)->lock[SHOWN_PAGES].acquire_count > arena_count());
    statistics_reset_locks();
    (void)refreshed();
    const struct arena_statistics *part = statistics_part(arena_get(arena_count() - 1));
    assert_int_equal(part->lock[SHOWN_PAGES].acquire_count, 1);
    assert_int_equal(part->bin_lock[5].acquire_count, 1);
    assert_true(statistics_now().control_lock.acquire_count < 5);
}

/* A refresh passes by bins and pages that rest: their numbers stay. */
static void a_refresh_of_what_rests_changes_nothing(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    bool contended;
    void *blocks[3];
    assert_int_equal(arena_fill(arena, class_of(512), blocks, 3, &(struct bin_user){0}), 3);
    set_holes(&arena->bin[class_of(512)], 2);
    void *large = large_alloc(arena, 65536, 1, false);
    large_free(large_alloc(arena, 131072, 1, false), CODE_RUN);
    (void)refreshed();
    static struct arena_statistics before;
    const struct arena_statistics *part = statistics_part(arena);
    before = *part;
    for (unsigned i = 0; i < 3; i++) {
        (void)refreshed();
        assert_memory_equal(&part->totals, &before.totals, sizeof before.totals);
        assert_memory_equal(part->bin, before.bin, sizeof before.bin);
        assert_memory_equal(part->bin_lock, before.bin_lock, sizeof before.bin_lock);
        assert_memory_equal(part->large_class, before.large_class, sizeof before.large_class);
        assert_memory_equal(part->stretch, before.stretch, sizeof before.stretch);
    }
    set_holes(&arena->bin[class_of(512)], 0);
    arena_flush(class_of(512), blocks, 3, &contended);
    large_free(large, CODE_RUN);
}

/* Whether something rests is told by the counter of its lock, which can come to an old number. */
static void a_reset_of_the_locks_hides_no_change(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    struct bin *bin = &arena->bin[class_of(512)];
    bool contended;
    void *block;
    assert_int_equal(arena_fill(arena, class_of(512), &block, 1, &(struct bin_user){0}), 1);
    (void)refreshed();
    const struct arena_statistics *part = statistics_part(arena);
    uint64_t copied = part->bin_lock[class_of(512)].acquire_count;
    statistics_reset_locks();
    arena_flush(class_of(512), &block, 1, &contended);
    while (bin->lock.acquire_count < copied) {
        lock_acquire(&bin->lock);
        lock_release(&bin->lock);
    }
    assert_int_equal(bin->lock.acquire_count, copied);
    (void)refreshed();
    assert_int_equal(part->bin[class_of(512)].free_count, 1);
    assert_int_equal(part->bin[class_of(512)].current_regions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_stays_until_the_next_refresh),
        cmocka_unit_test(allocated_is_the_usable_bytes_of_live_blocks),
        cmocka_unit_test(blocks_of_other_threads_count),
        cmocka_unit_test(a_large_block_moves_active_mapped_and_resident),
        cmocka_unit_test(the_part_of_an_arena_tells_its_bins_and_pages),
        cmocka_unit_test(unused_stretches_are_the_unused_pages),
        cmocka_unit_test(pages_of_slabs_without_memory_are_retained),
        cmocka_unit_test(the_parts_add_up_to_the_whole),
        cmocka_unit_test(a_reset_sets_the_counters_of_all_locks_to_zero),
        cmocka_unit_test(a_refresh_of_what_rests_changes_nothing),
        cmocka_unit_test(a_reset_of_the_locks_hides_no_change),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
