/* test_sampled.c: goal: sampled blocks of all sizes are blocks like others for every public call,
 * count as such, and hand up their marks once each: when they are freed, or their arena ends.
 * Method: marks are numbers whose ends are counted; blocks of each small class and of large sizes,
 * filled to their last byte, beside ordinary ones; random takes and frees; a manual arena that is
 * reset with such blocks in it; mistakes in children that must abort.
 */
#include "upper_floors.h"

#include "config/options.h"
#include "heap/reset.h"
#include "heap/sampled.h"
#include "heap/shards.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:8";

enum { MARKS = 8000, KIB = 1024 };

static unsigned ends[MARKS];
static size_t ended_bytes[MARKS];
static uint64_t next_mark;

static void note_end(const void *block, uint64_t mark, size_t usable_bytes)
{
    ASSERT(block != NULL);
    ASSERT(mark > 0 && mark < MARKS);
    ends[mark]++;
    ended_bytes[mark] = usable_bytes;
}

static int set_up(void **state)
{
    sampled_end = note_end;
    int result = start_allocator(state);
    /* Whoever samples has all threads look at the map for sized deallocation, too. */
    thread_cache()->front.sized_limit = 0;
    return result;
}

static int forget_marks(void **state)
{
    (void)state;
    memset(ends, 0, sizeof ends);
    next_mark = 0;
    return 0;
}

/* Marks 1 .. next_mark have ended `times` times each. */
static void expect_ends(unsigned times)
{
    for (uint64_t mark = 1; mark <= next_mark; mark++) {
        EXPECT(ends[mark] == times, "mark %lu ended %u times", (unsigned long)mark, ends[mark]);
    }
}

/* A sampled block, as a caller with a draw would make it, filled with its mark. */
static unsigned char *sample(struct arena *arena, size_t size, uint64_t mark)
{
    size_t usable = block_usable_size(size, 1);
    unsigned char *block;
    if (usable <= SMALL_SIZE_MAX) {
        block = sampled_alloc(arena, class_of(size), mark);
    } else {
        block = large_alloc(arena, usable, 1, false);
        assert_true(sampled_mark(block, map_code(block), mark));
    }
    assert_non_null(block);
    assert_true(map_code(block) == CODE_SAMPLED || map_code(block) == CODE_SAMPLED_HUGE);
    assert_int_equal(API(malloc_usable_size)(block), usable);
    memset(block, (int)(mark % 251), usable);
    return block;
}

static void expect_bytes(const unsigned char *block, uint64_t mark)
{
    EXPECT(bytes_are(block, API(malloc_usable_size)(block), (unsigned char)(mark % 251)),
           "the block of mark %lu has changed", (unsigned long)mark);
}

static void each_small_class_has_them(void **state)
{
    (void)state;
    static unsigned char *blocks[3 * RUN_REGIONS_MAX];
    struct arena *arena = fresh_arena();
    for (uint8_t class_index = 0; class_index < SMALL_CLASSES; class_index++) {
        (void)forget_marks(NULL);
        size_t size = class_size(class_index);
        unsigned count = 3 * slab_region_count(class_index);
        for (unsigned i = 0; i < count; i++) {
            blocks[i] = sample(arena, size, ++next_mark);
            assert_int_equal((uintptr_t)blocks[i] % (size & (0 - size)), 0);
        }
        struct bin *bin = shards_sampled_bin(arena, class_index);
        assert_ptr_not_equal(bin, &arena->bin[class_index]);
        assert_int_equal(bin->counters.alloc_count - bin->counters.free_count, count);
        assert_int_equal(arena->bin[class_index].counters.alloc_count, 0);
        expect_ends(0);
        for (unsigned i = 0; i < count; i++) {
            expect_bytes(blocks[i], i + 1);
            assert_ptr_equal(large_arena(blocks[i], map_code(blocks[i])), arena);
            i % 2 == 0 ? API(free)(blocks[i]) : API(sdallocx)(blocks[i], size, 0);
            assert_int_equal(ends[i + 1], 1);
            assert_int_equal(ended_bytes[i + 1], size);
        }
        expect_ends(1);
        assert_int_equal(bin->counters.alloc_count, bin->counters.free_count);
        assert_true(bin_is_valid(bin));
    }
    arena_purge(arena);
    assert_int_equal(arena->pages.active_pages, 0);
    assert_true(page_heap_is_valid(&arena->pages));
}

static void large_blocks_are_marked_where_they_lie(void **state)
{
    (void)state;
    static const size_t sizes[] = {16 * KIB,  20 * KIB,   32 * KIB,   36 * KIB,
                                   200 * KIB, 1024 * KIB, 2048 * KIB, 9000 * KIB};
    struct arena *arena = fresh_arena();
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char *block = sample(arena, sizes[i], ++next_mark);
        assert_ptr_equal(large_arena(block, map_code(block)), arena);
        expect_bytes(block, next_mark);
        /* An ordinary block again, and sampled once more. */
        unsigned code = map_code(block);
        uint64_t mark = 0;
        assert_true(sampled_unmark(block, &code, &mark));
        assert_int_equal(mark, next_mark);
        assert_int_equal(map_code(block), code);
        assert_int_equal(API(malloc_usable_size)(block), sizes[i]);
        assert_true(sampled_mark(block, code, ++next_mark));
        ends[mark] = 1; /* It ended by hand. */
        API(free)(block);
        assert_int_equal(ended_bytes[next_mark], sizes[i]);
        assert_int_equal(API(malloc_usable_size)(API(malloc)(sizes[i])), sizes[i]);
    }
    expect_ends(1);
    assert_true(page_heap_is_valid(&arena->pages));
}

static void realloc_moves_them(void **state)
{
    (void)state;
    static const size_t sizes[] = {10, 100, 5000, 20 * KIB, 300 * KIB, 3000 * KIB};
    struct arena *arena = fresh_arena();
    for (unsigned from = 0; from < COUNT_OF(sizes); from++) {
        for (unsigned to = 0; to < COUNT_OF(sizes); to++) {
            unsigned char *block = sample(arena, sizes[from], ++next_mark);
            unsigned char value = (unsigned char)(next_mark % 251);
            size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
            block = API(realloc)(block, sizes[to]);
            assert_true(bytes_are(block, kept, value));
            assert_int_equal(ends[next_mark], from == to ? 0 : 1);
            API(free)(block);
        }
    }
    expect_ends(1);
}

static void random_blocks_keep_their_bytes_and_marks(void **state)
{
    (void)state;
    enum { SLOTS = 400, STEPS = MARKS - 10 };
    static struct slot {
        unsigned char *block;
        uint64_t mark;
    } slots[SLOTS];
    uint64_t seed = seed_of_test("random_blocks_keep_their_bytes_and_marks");
    struct arena *arena = fresh_arena();
    for (unsigned step = 0; step < STEPS; step++) {
        struct slot *slot = &slots[random_below(&seed, SLOTS)];
        if (slot->block != NULL) {
            expect_bytes(slot->block, slot->mark);
            assert_int_equal(ends[slot->mark], 0);
            API(free)(slot->block);
            assert_int_equal(ends[slot->mark], 1);
        }
        unsigned limit = random_below(&seed, 10) == 0 ? 2000 * KIB : 2 * KIB;
        *slot = (struct slot){NULL, ++next_mark};
        slot->block = sample(arena, 1 + random_below(&seed, limit), next_mark);
        if (step % 1000 == 0) {
            arena_purge(arena);
            assert_true(page_heap_is_valid(&arena->pages));
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        API(free)(slots[i].block);
    }
    expect_ends(1);
}

static void a_reset_hands_all_marks_up(void **state)
{
    (void)state;
    struct arena *arena = arena_create_manual();
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 300; i++) {
            (void)sample(arena, (size_t)8 << i % 12, ++next_mark);
        }
        for (unsigned i = 0; i < 200; i++) {
            (void)sample(arena, (size_t)16 * KIB << i % 8, ++next_mark);
            assert_non_null(large_alloc(arena, (size_t)16 * KIB << i % 8, 1, false));
        }
        expect_ends(0);
        round == 0 ? arena_reset(arena) : arena_empty(arena);
        expect_ends(1);
        (void)forget_marks(NULL);
    }
    assert_int_equal(arena->pages.chunk_count, 0);
}

static void free_twice(void *size)
{
    unsigned char *block = sample(fresh_arena(), (size_t)(uintptr_t)size, 1);
    unsigned char *other = sample(fresh_arena(), (size_t)(uintptr_t)size, 2);
    API(free)(block);
    API(free)(other);
    API(free)(block);
}

static void free_inside(void *size)
{
    API(free)(sample(fresh_arena(), (size_t)(uintptr_t)size, 1) + 8);
}

static void mistakes_are_found(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 14336, 20 * KIB, 3000 * KIB};
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        expect_abort(free_inside, (void *)sizes[i], "invalid pointer");
    }
    expect_abort(free_twice, (void *)(uintptr_t)100, "double free");
    expect_abort(free_twice, (void *)(uintptr_t)(300 * KIB), "freed before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_small_class_has_them, forget_marks),
        cmocka_unit_test_setup(large_blocks_are_marked_where_they_lie, forget_marks),
        cmocka_unit_test_setup(realloc_moves_them, forget_marks),
        cmocka_unit_test_setup(random_blocks_keep_their_bytes_and_marks, forget_marks),
        cmocka_unit_test_setup(a_reset_hands_all_marks_up, forget_marks),
        cmocka_unit_test(mistakes_are_found),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
