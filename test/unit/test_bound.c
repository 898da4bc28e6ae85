/* test_bound.c: goal: options that ask for nothing leave the bins alone, and each that asks for
 * something bounds just the classes that it names.
 * Method: options are set, read as at a start, and every class is looked at; texts are applied that
 * are right, and wrong in each part.
 */
#include "upper_floors.h"

#include "cache/bound.h"

static struct options saved;

static int save_options(void **state)
{
    saved = options;
    return start_allocator(state);
}

static int restore_options(void **state)
{
    (void)state;
    options = saved;
    bound_start();
    return 0;
}

/* The bounds after a configuration text; NULL when it asks for nothing. */
static const struct bounds *bounds_of(const char *text)
{
    options = saved;
    assert_true(options_apply(text));
    bound_start();
    return bound_of_options();
}

static void expect_slots(const struct bounds *bounds, uint8_t first, uint8_t last, unsigned slots)
{
    assert_non_null(bounds);
    for (uint8_t i = 0; i < CACHED_CLASSES; i++) {
        bool is_meant = i >= first && i <= last;
        EXPECT((bound_slots(bounds, i) == slots) == is_meant, "class %u: %u", i,
               bound_slots(bounds, i));
    }
}

static void defaults_ask_for_nothing(void **state)
{
    (void)state;
    assert_null(bounds_of(""));
    assert_null(bounds_of("tcache_max:32768,tcache_nslots_small_min:20,tcache_nslots_large:20"));
    assert_null(bounds_of("lg_tcache_nslots_mul:1,tcache_gc_incr_bytes:65536"));
    assert_null(bounds_of("experimental_tcache_gc:false"));
}

static void a_rhythm_bounds_no_class(void **state)
{
    (void)state;
    static const char *const texts[] = {"tcache_gc_incr_bytes:1024", "tcache_gc_delay_bytes:1",
                                        "lg_tcache_flush_small_div:2",
                                        "lg_tcache_flush_large_div:2"};
    for (unsigned i = 0; i < COUNT_OF(texts); i++) {
        const struct bounds *bounds = bounds_of(texts[i]);
        expect_slots(bounds, 0, CACHED_CLASSES - 1, BOUND_NONE);
        assert_int_equal(bounds->size_max, CACHED_SIZE_MAX);
    }
}

static void the_largest_size_is_that_of_a_class(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {{"tcache_max:0", 8},         {"tcache_max:8", 8},
                 {"tcache_max:9", 16},        {"tcache_max:1025", 1280},
                 {"tcache_max:15000", 16384}, {"lg_tcache_max:10", 1024},
                 {"tcache_max:32767", 32768}, {"tcache_max:99999", 32768}};
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        const struct bounds *bounds = bounds_of(cases[i].text);
        if (cases[i].size == CACHED_SIZE_MAX && strcmp(cases[i].text, "tcache_max:32767") != 0) {
            assert_null(bounds);
            continue;
        }
        assert_int_equal(bounds->size_max, cases[i].size);
        expect_slots(bounds, (uint8_t)(class_of(cases[i].size) + 1), CACHED_CLASSES - 1, 0);
    }
}

static void small_classes_get_regions_of_slabs_between_two_ends(void **state)
{
    (void)state;
    const struct bounds *bounds = bounds_of("lg_tcache_nslots_mul:0,tcache_nslots_small_min:31,"
                                            "tcache_nslots_small_max:101");
    unsigned inside = 0;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        unsigned slots = bound_slots(bounds, i);
        unsigned regions = slab_region_count(i);
        assert_int_equal(slots % 2, 0);
        assert_true(slots >= 32 && slots <= 100);
        bool between = regions >= 32 && regions <= 100;
        inside += between;
        assert_true(!between || slots == (regions + 1) / 2 * 2);
    }
    assert_true(inside > 0);
    for (uint8_t i = SMALL_CLASSES; i < CACHED_CLASSES; i++) {
        assert_int_equal(bound_slots(bounds, i), BOUND_NONE);
    }
    bounds = bounds_of("tcache_nslots_small_max:1,lg_tcache_nslots_mul:-16");
    expect_slots(bounds, 0, SMALL_CLASSES - 1, 2);
    bounds = bounds_of("tcache_nslots_small_min:2048,tcache_nslots_small_max:64");
    expect_slots(bounds, 0, SMALL_CLASSES - 1, 64);
    bounds = bounds_of("lg_tcache_nslots_mul:16,tcache_nslots_small_max:2047");
    expect_slots(bounds, 0, SMALL_CLASSES - 1, 2046);
}

static void large_classes_have_a_number_of_their_own(void **state)
{
    (void)state;
    expect_slots(bounds_of("tcache_nslots_large:3"), SMALL_CLASSES, CACHED_CLASSES - 1, 3);
}

static void ranges_win_over_the_rest(void **state)
{
    (void)state;
    const struct bounds *bounds =
        bounds_of("tcache_ncached_max:33-70:5|14336-16384:0,tcache_nslots_large:3");
    for (uint8_t i = 0; i < CACHED_CLASSES; i++) {
        size_t size = class_size(i);
        unsigned expected = size == 48 || size == 64 || size == 80 ? 5
                            : size == 14336 || size == 16384       ? 0
                            : i >= SMALL_CLASSES                   ? 3
                                                                   : BOUND_NONE;
        EXPECT(bound_slots(bounds, i) == expected, "size %zu: %u", size, bound_slots(bounds, i));
    }
}

static void a_text_changes_all_or_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",         "8",      "8-16",    "8-16:",  "8-16:8192",
                                        "8-16:1|x", "a-16:1", "8-16:1,", "8:16-1", "-:"};
    struct bounds before = bound_default();
    struct bounds bounds = before;
    for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
        EXPECT(!bound_apply(&bounds, wrong[i]), "\"%s\"", wrong[i]);
        assert_memory_equal(&bounds, &before, sizeof bounds);
    }
    assert_true(bound_apply(&bounds, "8-8:0|16-40000:8191"));
    assert_int_equal(bound_slots(&bounds, 0), 0);
    for (uint8_t i = 1; i < CACHED_CLASSES; i++) {
        assert_int_equal(bound_slots(&bounds, i), BOUND_MAX);
    }
    /* What another range said before stays. */
    assert_true(bound_apply(&bounds, "32-32:7"));
    assert_int_equal(bound_slots(&bounds, 0), 0);
    assert_int_equal(bound_slots(&bounds, 2), 7);
}

static void a_text_ends_at_its_most_characters(void **state)
{
    (void)state;
    char text[BOUND_TEXT_MAX + 32];
    memset(text, '0', sizeof text);
    memcpy(text, "8-8:", 4);
    text[BOUND_TEXT_MAX - 1] = '5';
    memcpy(text + BOUND_TEXT_MAX, "|not read", sizeof "|not read");
    struct bounds bounds = bound_default();
    /* A leading zero says octal. */
    assert_true(bound_apply(&bounds, text));
    assert_int_equal(bound_slots(&bounds, 0), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_ask_for_nothing),
        cmocka_unit_test(a_rhythm_bounds_no_class),
        cmocka_unit_test(the_largest_size_is_that_of_a_class),
        cmocka_unit_test(small_classes_get_regions_of_slabs_between_two_ends),
        cmocka_unit_test(large_classes_have_a_number_of_their_own),
        cmocka_unit_test(ranges_win_over_the_rest),
        cmocka_unit_test(a_text_changes_all_or_nothing),
        cmocka_unit_test(a_text_ends_at_its_most_characters),
    };
    return cmocka_run_group_tests(tests, save_options, restore_options);
}
