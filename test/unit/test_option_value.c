/* test_option_value.c: goal: each kind of value is read as jemalloc reads it, whole or not at all.
 * Method: the values at the ends of each kind and beside them, on the rows of the table; what a
 * refused value leaves is what was there.
 */
#include "unit_check.h"

#include "config/option_value.h"

static struct options target;

static int clear(void **state)
{
    (void)state;
    memset(&target, 0, sizeof target);
    return 0;
}

static enum option_verdict set(const char *name, const char *value)
{
    const struct option_row *row = option_find(name, strlen(name));
    assert_non_null(row);
    return option_set(row, &target, (struct span){value, strlen(value)});
}

static void numbers_have_three_bases_and_a_sign(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        uint64_t number;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"7", true, 7},
        {"+7", true, 7},
        {"-7", true, UINT64_MAX - 6},
        {"0x1F", true, 31},
        {"-0X1f", true, UINT64_MAX - 30},
        {"017", true, 15},
        {"00000000000000000000000000000000000000000000000000000000000000000000000017", true, 15},
        {"18446744073709551615", true, UINT64_MAX},
        {"0xffffffffffffffff", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"0x10000000000000000", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+-1", false, 0},
        {"0x", false, 0},
        {"08", false, 0},
        {"1 ", false, 0},
        {" 1", false, 0},
        {"1k", false, 0},
        {"a", false, 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t number = 0;
        struct span span = {cases[i].text, strlen(cases[i].text)};
        EXPECT(span_number(span, &number) == cases[i].valid, "%s", cases[i].text);
        EXPECT(!cases[i].valid || number == cases[i].number, "%s is %llu", cases[i].text,
               (unsigned long long)number);
    }
    uint64_t number;
    assert_true(span_number((struct span){"123456", 3}, &number));
    assert_int_equal(number, 123);
}

static void fractions_are_sixteen_bits_and_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum option_verdict verdict;
        uint32_t raw;
    } cases[] = {
        {"0", OPTION_ACCEPTED, 0},
        {"1", OPTION_ACCEPTED, 65536},
        {".5", OPTION_ACCEPTED, 32768},
        {"0.25", OPTION_ACCEPTED, 16384},
        {"0.123456789", OPTION_ACCEPTED, 8090},
        {"0.99999999999999999999999999999999999999999", OPTION_ACCEPTED, 65535},
        {"65535.5", OPTION_ACCEPTED, 0xffff8000},
        {"-1", OPTION_ACCEPTED, UINT32_MAX},
        {"65536", OPTION_INVALID, 0},
        {"5.", OPTION_INVALID, 0},
        {".", OPTION_INVALID, 0},
        {"", OPTION_INVALID, 0},
        {"-2", OPTION_INVALID, 0},
        {"-1x", OPTION_INVALID, 0},
        {"1.2.3", OPTION_INVALID, 0},
        {"0x1", OPTION_INVALID, 0},
        {"1e3", OPTION_INVALID, 0},
        {"99999999999999999999999", OPTION_INVALID, 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        target.hpa_dirty_mult = 0;
        EXPECT(set("hpa_dirty_mult", cases[i].text) == cases[i].verdict, "%s", cases[i].text);
        EXPECT(target.hpa_dirty_mult == cases[i].raw, "%s is %u", cases[i].text,
               target.hpa_dirty_mult);
    }
    assert_int_equal(set("hpa_purge_threshold_ratio", "1"), OPTION_ACCEPTED);
    assert_int_equal(set("hpa_purge_threshold_ratio", "1.0001"), OPTION_INVALID);
    assert_int_equal(set("narenas_ratio", "-1"), OPTION_INVALID);
    assert_int_equal(set("narenas_ratio", "1.5"), OPTION_ACCEPTED);
    assert_int_equal(target.narenas_ratio, 98304);
}

static void settings_go_to_the_classes_that_they_span(void **state)
{
    (void)state;
    assert_int_equal(set("bin_shards", "1-16:2|17-128:4"), OPTION_ACCEPTED);
    assert_int_equal(target.bin_shards[0], 3);
    assert_int_equal(target.bin_shards[1], 3);
    assert_int_equal(target.bin_shards[2], 5);
    assert_int_equal(target.bin_shards[8], 5);
    assert_int_equal(target.bin_shards[9], 0);
    /* Later ones win where they speak, and the rest stays. */
    assert_int_equal(set("bin_shards", "129-160:64|"), OPTION_ACCEPTED);
    assert_int_equal(target.bin_shards[8], 5);
    assert_int_equal(target.bin_shards[9], 65);
    assert_int_equal(target.bin_shards[10], 0);
    assert_int_equal(set("bin_shards", "14000-999999999:7"), OPTION_ACCEPTED);
    assert_int_equal(target.bin_shards[34], 0);
    assert_int_equal(target.bin_shards[35], 8);
    assert_int_equal(set("tcache_ncached_max", "8-8:0|32768-32768:8191"), OPTION_ACCEPTED);
    assert_int_equal(target.tcache_ncached_max[0], 1);
    assert_int_equal(target.tcache_ncached_max[1], 0);
    assert_int_equal(target.tcache_ncached_max[40], 8192);
    assert_int_equal(set("slab_sizes", "1-8:99999"), OPTION_ACCEPTED);
    assert_int_equal(target.slab_sizes[0], 255);
    assert_int_equal(set("slab_sizes", "default"), OPTION_ACCEPTED);
    assert_int_equal(target.slab_sizes[0], 0);
    /* An empty range is one, as in jemalloc. */
    assert_int_equal(set("slab_sizes", "64-8:3"), OPTION_ACCEPTED);
    assert_int_equal(target.slab_sizes[2], 0);
}

static void one_bad_setting_refuses_all(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",        "x",         "1-8",    "1-8:",    "1:8-2",   "1-8:65",       "1-8:0", "1-8:2|x",
        "1-8:2||", "1-8:2|1-9", "|1-8:2", "1-8:2:3", "1--8:65", "1-8:2|1-8:65", "-8:1",  "1-8:1k"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        EXPECT(set("bin_shards", wrong[i]) == OPTION_BAD_SETTINGS, "%s", wrong[i]);
        for (unsigned class_index = 0; class_index < 36; class_index++) {
            EXPECT(target.bin_shards[class_index] == 0, "%s", wrong[i]);
        }
    }
    assert_int_equal(set("tcache_ncached_max", "1-8:8192"), OPTION_BAD_SETTINGS);
    assert_int_equal(set("slab_sizes", "defaul"), OPTION_BAD_SETTINGS);
    assert_int_equal(set("bin_shards", "default"), OPTION_BAD_SETTINGS);
}

static void a_span_is_short_of_a_text_or_whole(void **state)
{
    (void)state;
    assert_true(span_is((struct span){"zero:true", 4}, "zero"));
    assert_false(span_is((struct span){"zero", 3}, "zero"));
    assert_false(span_is((struct span){"zero", 4}, "zer"));
    assert_true(span_begins((struct span){"ze", 2}, "zero"));
    assert_true(span_begins((struct span){"", 0}, "zero"));
    assert_false(span_begins((struct span){"zerox", 5}, "zero"));
}

#define VALUE_TEST(name) cmocka_unit_test_setup(name, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VALUE_TEST(numbers_have_three_bases_and_a_sign),
        VALUE_TEST(fractions_are_sixteen_bits_and_cut),
        VALUE_TEST(settings_go_to_the_classes_that_they_span),
        VALUE_TEST(one_bad_setting_refuses_all),
        VALUE_TEST(a_span_is_short_of_a_text_or_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
