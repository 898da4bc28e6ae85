/* test_check.c: goal: a failed check ends the process with one line that names the place, each rung
 * in the builds that it is for, and a check that holds does nothing. Method: children whose
 * standard error and end are looked at.
 */
#include "base/check.h"

#include "unit_check.h"

static volatile int zero;

static void fail_check(void)
{
    CHECK(zero == 1);
}

static void fail_assert(void)
{
    ASSERT(zero == 1);
}

static void take_wrong_branches(void)
{
    CHILD_EXPECT(!ALWAYS(zero == 1));
    CHILD_EXPECT(NEVER(zero == 0));
}

static void hold_all(void)
{
    CHECK(zero == 0);
    ASSERT(zero == 0);
    ASSERT_SLOW(zero == 0);
    CHILD_EXPECT(ALWAYS(zero == 0));
    CHILD_EXPECT(!NEVER(zero == 1));
}

static void a_check_that_fails_names_the_place_and_aborts(void **state)
{
    (void)state;
    expect_abort_with(run_in_child(fail_check), "test_check.c:");
    expect_abort_with(run_in_child(fail_check), "failed check: zero == 1");
}

static void assertions_and_wrong_branches_abort_in_debug_builds_only(void **state)
{
    (void)state;
    if (config_debug) {
        expect_abort_with(run_in_child(fail_assert), "failed check: zero == 1");
        expect_abort_with(run_in_child(take_wrong_branches), "ALWAYS zero == 1");
    } else {
        expect_good_end(run_in_child(fail_assert));
        expect_good_end(run_in_child(take_wrong_branches));
    }
}

static void what_holds_does_nothing(void **state)
{
    (void)state;
    expect_good_end(run_in_child(hold_all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_that_fails_names_the_place_and_aborts),
        cmocka_unit_test(assertions_and_wrong_branches_abort_in_debug_builds_only),
        cmocka_unit_test(what_holds_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
