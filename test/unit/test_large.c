/* test_large.c: goal: blocks above 14 KiB have their size, alignment, class code and arena, keep
 * their content through resizing and moving, and read as zero where that was promised.
 * Method: all sizes around the borders of runs and mappings with all alignments; random
 * allocations, resizes and frees against a model of size and mark; stale memory is made on purpose
 * before zero is asked for.
 */
#include "upper_floors.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:12";

enum { KIB = 1024, MIB = 1024 * 1024, RUN_MAX = RUN_PAGES_MAX * PAGE_BYTES };

static struct arena *arena;

static int start_arena(void **state)
{
    int result = start_allocator(state);
    arena = fresh_arena();
    return result;
}

static unsigned expected_code(size_t size_bytes, size_t alignment)
{
    if (size_bytes > RUN_MAX || alignment > CHUNK_BYTES) {
        return CODE_HUGE;
    }
    bool is_cached = size_bytes >= LARGE_SIZE_MIN && size_bytes <= CACHED_SIZE_MAX;
    return is_cached ? class_code(class_of(size_bytes)) : CODE_RUN;
}

/* The facts that hold for each live block. */
static void check_block(const void *block, size_t size_bytes, unsigned code)
{
    assert_int_equal(map_code(block), code);
    assert_int_equal(large_size(block, code), size_bytes);
    assert_ptr_equal(large_arena(block, code), arena);
    assert_int_equal(map_code((const char *)block + PAGE_BYTES), 0);
    assert_true(page_heap_is_valid(&arena->pages));
}

static void sizes_and_alignments_are_kept(void **state)
{
    (void)state;
    static const size_t sizes[] = {16 * KIB, 20 * KIB,       32 * KIB, 36 * KIB,
                                   64 * KIB, RUN_MAX - 4096, RUN_MAX,  RUN_MAX + 4096,
                                   2 * MIB,  2 * MIB + 4096, 5 * MIB};
    for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
        for (size_t alignment = 1; alignment <= 8 * MIB; alignment *= 2) {
            void *block = large_alloc(arena, sizes[s], alignment, false);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % alignment, 0);
            unsigned code = expected_code(sizes[s], alignment);
            check_block(block, sizes[s], code);
            ((char *)block)[0] = 1;
            ((char *)block)[sizes[s] - 1] = 1;
            large_free(block, code);
            assert_int_equal(map_code(block), 0);
        }
    }
    assert_int_equal(arena->pages.active_pages, 0);
    assert_true(page_heap_is_valid(&arena->pages));
}

static void cached_classes_take_up_what_was_freed_last(void **state)
{
    (void)state;
    for (uint8_t i = SMALL_CLASSES; i < CACHED_CLASSES; i++) {
        void *block = large_alloc_cached(arena, i);
        assert_non_null(block);
        check_block(block, class_size(i), class_code(i));
        memset(block, i, class_size(i));
        large_free(block, class_code(i));
        assert_int_equal(map_code(block), 0);
        assert_ptr_equal(large_alloc_cached(arena, i), block);
        large_free(block, class_code(i));
    }
    assert_int_equal(arena->pages.large_pages, 0);
}

static void zero_is_kept_over_stale_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {16 * KIB, 64 * KIB, RUN_MAX, 2 * MIB, 10 * MIB};
    for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
        for (unsigned round = 0; round < 3; round++) {
            void *stale = large_alloc(arena, sizes[s], 1, false);
            assert_non_null(stale);
            memset(stale, 0xee, sizes[s]);
            large_free(stale, expected_code(sizes[s], 1));
            void *block = large_alloc(arena, sizes[s], 1, true);
            assert_non_null(block);
            EXPECT(bytes_are(block, sizes[s], 0), "size %zu is not zero", sizes[s]);
            memset(block, 0xee, sizes[s]);
            large_free(block, expected_code(sizes[s], 1));
        }
    }
}

static void a_run_shrinks_and_grows_where_it_lies(void **state)
{
    (void)state;
    char *block = large_alloc(arena, 128 * KIB, 1, false);
    assert_non_null(block);
    memset(block, 0x44, 128 * KIB);
    assert_true(large_resize(block, CODE_RUN, 32 * KIB, false));
    check_block(block, 32 * KIB, class_code(class_of(32 * KIB)));
    assert_true(large_resize(block, map_code(block), 100 * KIB, true));
    check_block(block, 100 * KIB, CODE_RUN);
    assert_true(bytes_are(block, 32 * KIB, 0x44));
    assert_true(bytes_are(block + 32 * KIB, 68 * KIB, 0));
    assert_true(large_resize(block, CODE_RUN, 100 * KIB, false));
    check_block(block, 100 * KIB, CODE_RUN);
    large_free(block, CODE_RUN);
}

static void a_run_grows_neither_over_a_neighbour_nor_into_a_mapping(void **state)
{
    (void)state;
    char *block = large_alloc(arena, 64 * KIB, 1, false);
    char *next = large_alloc(arena, 64 * KIB, 1, false);
    assert_ptr_equal(next, block + 64 * KIB);
    assert_false(large_resize(block, CODE_RUN, 68 * KIB, false));
    check_block(block, 64 * KIB, CODE_RUN);
    large_free(next, CODE_RUN);
    /* What was freed last is kept whole until a purge. */
    page_heap_purge(&arena->pages, 0);
    assert_true(large_resize(block, CODE_RUN, 68 * KIB, false));
    assert_false(large_resize(block, CODE_RUN, RUN_MAX + 4096, false));
    assert_null(large_move(block, CODE_RUN, 2 * MIB, 1, false));
    check_block(block, 68 * KIB, CODE_RUN);
    large_free(block, CODE_RUN);
}

static void a_mapping_resizes_and_moves_with_its_content(void **state)
{
    (void)state;
    char *block = large_alloc(arena, 3 * MIB, 1, false);
    assert_non_null(block);
    memset(block, 0x66, 3 * MIB);
    assert_true(large_resize(block, CODE_HUGE, 2 * MIB, false));
    check_block(block, 2 * MIB, CODE_HUGE);
    assert_true(large_resize(block, CODE_HUGE, 3 * MIB, true));
    assert_true(bytes_are(block, 2 * MIB, 0x66));
    assert_true(bytes_are(block + 2 * MIB, MIB, 0));
    for (size_t size = 5 * MIB; size <= 40 * MIB; size += size / 4) {
        size_t pages = size / PAGE_BYTES * PAGE_BYTES;
        char *moved = large_move(block, CODE_HUGE, pages, 1, true);
        assert_non_null(moved);
        block = moved;
        check_block(block, pages, CODE_HUGE);
        assert_true(bytes_are(block, 2 * MIB, 0x66));
        assert_true(bytes_are(block + 2 * MIB, pages - 2 * MIB, 0));
    }
    assert_null(large_move(block, CODE_HUGE, 2 * MIB, 1, false));
    assert_true(large_resize(block, CODE_HUGE, CACHED_SIZE_MAX, false));
    check_block(block, CACHED_SIZE_MAX, CODE_HUGE);
    large_free(block, CODE_HUGE);
}

static void impossible_sizes_are_refused_and_nothing_leaks(void **state)
{
    (void)state;
    struct huge_statistics before = huge_statistics();
    assert_null(large_alloc(arena, (size_t)1 << 60, 1, false));
    assert_null(large_alloc(arena, (size_t)1 << 47, (size_t)1 << 46, false));
    char *block = large_alloc(arena, 2 * MIB, 1, false);
    assert_non_null(block);
    block[0] = 9;
    assert_false(large_resize(block, CODE_HUGE, (size_t)1 << 60, false));
    assert_null(large_move(block, CODE_HUGE, (size_t)1 << 60, 1, false));
    check_block(block, 2 * MIB, CODE_HUGE);
    assert_int_equal(block[0], 9);
    large_free(block, CODE_HUGE);
    assert_int_equal(huge_statistics().live_bytes, before.live_bytes);
    assert_int_equal(huge_statistics().live_count, before.live_count);
}

enum { SLOTS = 40, STEPS = 3000 };

struct slot {
    char *block;
    size_t size_bytes;
    unsigned char mark;
};

static size_t random_size(uint64_t *seed)
{
    unsigned limit = random_below(seed, 8) == 0 ? 700 : 64;
    return (size_t)(4 + random_below(seed, limit)) * PAGE_BYTES;
}

/* Marks at both ends and in each page tell whether a block was overlapped or lost. */
static void mark(struct slot *slot, size_t from)
{
    for (size_t at = from; at < slot->size_bytes; at += PAGE_BYTES) {
        slot->block[at] = (char)slot->mark;
        slot->block[at + PAGE_BYTES - 1] = (char)slot->mark;
    }
}

static void check_marks(const struct slot *slot)
{
    for (size_t at = 0; at < slot->size_bytes; at += PAGE_BYTES) {
        EXPECT((unsigned char)slot->block[at] == slot->mark &&
                   (unsigned char)slot->block[at + PAGE_BYTES - 1] == slot->mark,
               "mark lost at %zu of %zu", at, slot->size_bytes);
    }
    check_block(slot->block, slot->size_bytes, map_code(slot->block));
}

static void step_of_model(struct slot *slot, uint64_t *seed)
{
    if (slot->block == NULL) {
        slot->size_bytes = random_size(seed);
        slot->mark = (unsigned char)(1 + random_below(seed, 255));
        slot->block = large_alloc(arena, slot->size_bytes, 1, true);
        assert_non_null(slot->block);
        EXPECT(bytes_are(slot->block, 64, 0) && slot->block[slot->size_bytes - 1] == 0, "not zero");
        mark(slot, 0);
        return;
    }
    check_marks(slot);
    unsigned code = map_code(slot->block);
    size_t wanted = random_size(seed);
    if (random_below(seed, 2) == 0) {
        large_free(slot->block, code);
        slot->block = NULL;
    } else if (large_resize(slot->block, code, wanted, true)) {
        size_t old = slot->size_bytes;
        slot->size_bytes = wanted;
        if (wanted > old) {
            assert_true(bytes_are(slot->block + old, wanted - old, 0));
            mark(slot, old);
        }
        check_marks(slot);
    } else {
        check_marks(slot);
    }
}

static void random_operations_follow_a_model(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("random_operations_follow_a_model");
    struct slot slots[SLOTS] = {{NULL, 0, 0}};
    for (unsigned step = 0; step < STEPS; step++) {
        step_of_model(&slots[random_below(&seed, SLOTS)], &seed);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i].block != NULL) {
            check_marks(&slots[i]);
            large_free(slots[i].block, map_code(slots[i].block));
        }
    }
    assert_int_equal(arena->pages.active_pages, 0);
    assert_int_equal(arena->pages.large_pages, 0);
    assert_true(page_heap_is_valid(&arena->pages));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_alignments_are_kept),
        cmocka_unit_test(cached_classes_take_up_what_was_freed_last),
        cmocka_unit_test(zero_is_kept_over_stale_memory),
        cmocka_unit_test(a_run_shrinks_and_grows_where_it_lies),
        cmocka_unit_test(a_run_grows_neither_over_a_neighbour_nor_into_a_mapping),
        cmocka_unit_test(a_mapping_resizes_and_moves_with_its_content),
        cmocka_unit_test(impossible_sizes_are_refused_and_nothing_leaks),
        cmocka_unit_test(random_operations_follow_a_model),
    };
    return cmocka_run_group_tests(tests, start_arena, NULL);
}
