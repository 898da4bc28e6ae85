/* test_option_hint.c: goal: a mistyped key or value names the nearest right one, and one that is
 * near nothing names none.
 * Method: mistakes that people make, with what they meant; each key of the table with a character
 * left out, doubled, changed and swapped names itself or a key as near.
 */
#include "unit_check.h"

#include "config/option_hint.h"

static const char *key_hint(const char *key)
{
    static char hint[OPTION_HINT_BYTES];
    option_hint_key((struct span){key, strlen(key)}, hint);
    return hint;
}

static const char *value_hint(const char *key, const char *value)
{
    static char hint[OPTION_HINT_BYTES];
    const struct option_row *row = option_find(key, strlen(key));
    assert_non_null(row);
    option_hint_value(row, (struct span){value, strlen(value)}, hint);
    return hint;
}

static void mistyped_keys_name_what_was_meant(void **state)
{
    (void)state;
    assert_string_equal(key_hint("dirty_decay"), " (did you mean dirty_decay_ms?)");
    assert_string_equal(key_hint("drity_decay_ms"), " (did you mean dirty_decay_ms?)");
    assert_string_equal(key_hint("Narenas"), " (did you mean narenas?)");
    assert_string_equal(key_hint("narena"), " (did you mean narenas?)");
    assert_string_equal(key_hint("background_threads"), " (did you mean background_thread?)");
    assert_string_equal(key_hint("lg_tcache_mx"), " (did you mean lg_tcache_max?)");
    assert_string_equal(key_hint("stat_print"), " (did you mean stats_print?)");
}

static void what_is_near_nothing_names_nothing(void **state)
{
    (void)state;
    static const char *const far[] = {"", "x", "qqqqqqqq", "nosuchoption", "verbose", "xy"};
    for (unsigned i = 0; i < sizeof far / sizeof far[0]; i++) {
        assert_string_equal(key_hint(far[i]), "");
    }
    char long_key[600];
    memset(long_key, 'z', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    assert_string_equal(key_hint(long_key), "");
    assert_string_equal(value_hint("zero", long_key), "");
}

static void expect_some_hint(const char *typed)
{
    if (option_find(typed, strlen(typed)) == NULL) {
        EXPECT(key_hint(typed)[0] != '\0', "nothing for %s", typed);
    }
}

static void one_mistake_in_any_key_is_seen(void **state)
{
    (void)state;
    const struct option_row *row;
    for (unsigned i = 0; (row = option_row(i)) != NULL; i++) {
        const char *name = option_name(row);
        int length = (int)strlen(name);
        for (int at = 0; at + 1 < length; at++) {
            char typed[80];
            (void)snprintf(typed, sizeof typed, "%.*s%s", at, name, name + at + 1);
            expect_some_hint(typed);
            (void)snprintf(typed, sizeof typed, "%.*sq%s", at, name, name + at);
            expect_some_hint(typed);
            (void)snprintf(typed, sizeof typed, "%.*s%c%c%s", at, name, name[at + 1], name[at],
                           name + at + 2);
            if (length > 4) {
                expect_some_hint(typed);
            }
        }
    }
}

static void mistyped_values_name_the_nearest(void **state)
{
    (void)state;
    assert_string_equal(value_hint("zero", "True"), " (did you mean true?)");
    assert_string_equal(value_hint("zero", "flase"), " (did you mean false?)");
    assert_string_equal(value_hint("zero", "1"), "");
    assert_string_equal(value_hint("junk", "aloc"), " (did you mean alloc?)");
    assert_string_equal(value_hint("thp", "alwais"), " (did you mean always?)");
    assert_string_equal(value_hint("narenas", "0"), " (did you mean 1?)");
    assert_string_equal(value_hint("dirty_decay_ms", "-5"), " (did you mean -1?)");
    assert_string_equal(value_hint("muzzy_decay_ms", "99999999999999"),
                        " (did you mean 18446744072000?)");
    assert_string_equal(value_hint("oversize_threshold", "8M"), " (did you mean 8388608?)");
    assert_string_equal(value_hint("oversize_threshold", "64k"), " (did you mean 65536?)");
    assert_string_equal(value_hint("oversize_threshold", "99999999999G"), "");
    assert_string_equal(value_hint("narenas", "many"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistyped_keys_name_what_was_meant),
        cmocka_unit_test(what_is_near_nothing_names_nothing),
        cmocka_unit_test(one_mistake_in_any_key_is_seen),
        cmocka_unit_test(mistyped_values_name_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
