/* test_defrag.c: goal: the hint names blocks of slabs that are at least as empty as the average,
 * and never those of the slab that serves next, of a full one, or of the empty one that is kept.
 * Method: slabs of one class in a fresh arena, filled as the test says.
 */
#include "upper_floors.h"

enum { CLASS_BYTES = 512, SLABS = 4 };

static void only_blocks_of_emptier_slabs_are_named(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    uint8_t class_index = class_of(CLASS_BYTES);
    unsigned regions = slab_region_count(class_index);
    static void *blocks[SLABS + 1][RUN_REGIONS_MAX];
    bool contended;
    for (unsigned i = 0; i <= SLABS; i++) {
        assert_int_equal(arena_fill(arena, class_index, blocks[i], regions, &(struct bin_user){0}),
                         regions);
    }
    assert_int_equal(arena->bin[class_index].counters.slab_regions, (SLABS + 1) * regions);
    /* Slab 0 serves next, 1 is full, 2 is nearly full, 3 nearly empty, the last is empty. */
    static const unsigned freed[SLABS] = {4, 0, 1, 20};
    for (unsigned i = 0; i < SLABS; i++) {
        if (freed[i] > 0) {
            arena_flush(class_index, blocks[i], freed[i], &contended);
        }
    }
    arena_flush(class_index, blocks[SLABS], regions, &contended);
    assert_non_null(arena->bin[class_index].empty);
    assert_int_equal(je_get_defrag_hint(blocks[0][regions - 1]), 0);
    assert_int_equal(je_get_defrag_hint(blocks[1][regions - 1]), 0);
    assert_int_equal(je_get_defrag_hint(blocks[2][regions - 1]), 0);
    assert_int_equal(je_get_defrag_hint(blocks[3][regions - 1]), 1);
    /* With the emptiest gone slab 2 is the emptiest but for the first. */
    arena_flush(class_index, &blocks[3][20], regions - 20, &contended);
    assert_int_equal(arena->bin[class_index].counters.slab_regions, SLABS * regions);
    arena_flush(class_index, &blocks[2][1], 3, &contended);
    assert_int_equal(je_get_defrag_hint(blocks[2][regions - 1]), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_blocks_of_emptier_slabs_are_named),
    };
    return cmocka_run_group_tests_name("defrag", tests, start_allocator, NULL);
}
