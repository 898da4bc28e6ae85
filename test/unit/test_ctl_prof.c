/* test_ctl_prof.c: goal: the names of heap profiling check what they are given, before anything
 * changes, and answer by what profiling does.
 * Method: the numbers that profiling.h and sampler.h tell are compared, first while it is closed.
 */
#include "upper_floors.h"

#include "config/options.h"
#include "control/ctl.h"
#include "control/profiling.h"

static int call(const char *name, void *old, size_t *old_length, const void *new, size_t new_length)
{
    size_t mib[CTL_DEPTH_MAX];
    size_t length = CTL_DEPTH_MAX;
    assert_true(ctl_start());
    assert_int_equal(ctl_name_to_mib(name, mib, &length), 0);
    struct ctl_buffers buffers = {old, old_length, new, new_length};
    return ctl_by_mib(mib, length, &buffers);
}

static bool is_on(const char *name)
{
    bool on = false;
    size_t length = sizeof on;
    assert_int_equal(call(name, &on, &length, NULL, 0), 0);
    return on;
}

static int turn(const char *name, bool on)
{
    return call(name, NULL, NULL, &on, sizeof on);
}

static void closed_names_are_no_names(void **state)
{
    (void)state;
    static const char *const hooks[] = {"experimental.hooks.prof_backtrace",
                                        "experimental.hooks.prof_sample",
                                        "experimental.hooks.prof_sample_free"};
    uintptr_t hook = 0;
    size_t length = sizeof hook;
    assert_int_equal(turn("prof.thread_active_init", false), ENOENT);
    assert_int_equal(turn("thread.prof.active", false), ENOENT);
    assert_int_equal(call("prof.reset", NULL, NULL, NULL, 0), ENOENT);
    assert_int_equal(call("thread.prof.name", NULL, NULL, NULL, 0), ENOENT);
    for (unsigned i = 0; i < COUNT_OF(hooks); i++) {
        assert_int_equal(call(hooks[i], &hook, &length, NULL, 0), 0);
        assert_int_equal(hook != 0, i == 0);
        assert_int_equal(call(hooks[i], NULL, NULL, &hook, sizeof hook), ENOENT);
        assert_int_equal(call(hooks[i], NULL, NULL, NULL, 0), EINVAL);
    }
    assert_false(is_on("prof.active") || is_on("prof.thread_active_init"));
    assert_false(is_on("thread.prof.active"));
    assert_int_equal(turn("prof.active", false), 0);
    assert_false(profiling_is_open());
}

static void switches_do_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(turn("prof.active", true), 0);
    assert_true(profiling_is_active() && is_on("prof.active"));
    assert_true(is_on("prof.thread_active_init") && is_on("thread.prof.active"));
    assert_int_equal(turn("prof.thread_active_init", false), 0);
    assert_false(sampler_wants_threads());
    assert_int_equal(turn("prof.thread_active_init", true), 0);
    assert_true(sampler_wants_threads());
    assert_int_equal(turn("thread.prof.active", false), 0);
    assert_true(thread_own_cache()->sampling.is_refused);
    assert_false(is_on("thread.prof.active"));
    assert_int_equal(turn("thread.prof.active", true), 0);
    assert_int_equal(turn("prof.active", false), 0);
    assert_false(profiling_is_active());
}

static void resets_are_checked(void **state)
{
    (void)state;
    size_t lg_period = 7;
    size_t length = sizeof lg_period;
    assert_int_equal(call("prof.reset", NULL, NULL, &lg_period, 4), EINVAL);
    assert_int_equal(call("prof.reset", &lg_period, &length, NULL, 0), EPERM);
    assert_int_equal(sampler_lg_period(), options.lg_prof_sample);
    assert_int_equal(call("prof.reset", NULL, NULL, &lg_period, sizeof lg_period), 0);
    assert_int_equal(sampler_lg_period(), 7);
    assert_int_equal(call("prof.reset", NULL, NULL, NULL, 0), 0);
    assert_int_equal(sampler_lg_period(), 7);
    assert_int_equal(call("prof.lg_sample", &lg_period, &length, NULL, 0), 0);
    assert_int_equal(lg_period, 7);
}

static void names_are_checked(void **state)
{
    (void)state;
    static const char *texts[] = {"", "a b\tc~!", "\x7f", "caf\xc3\xa9", "\n"};
    for (unsigned i = 0; i < COUNT_OF(texts); i++) {
        const char *read = NULL;
        size_t length = sizeof read;
        int error = call("thread.prof.name", NULL, NULL, &texts[i], sizeof texts[i]);
        assert_int_equal(error, i < 2 ? 0 : EINVAL);
        assert_int_equal(call("thread.prof.name", &read, &length, NULL, 0), 0);
        assert_string_equal(read, texts[i < 2 ? i : 1]);
    }
    assert_int_equal(call("thread.prof.name", NULL, NULL, &texts[0], 3), EINVAL);
    options.prof_sys_thread_name = true;
    assert_int_equal(call("thread.prof.name", NULL, NULL, &texts[0], sizeof texts[0]), ENOENT);
    const char *read = NULL;
    size_t length = sizeof read;
    assert_int_equal(call("thread.prof.name", &read, &length, NULL, 0), 0);
    assert_string_equal(read, "test_ctl_prof");
    options.prof_sys_thread_name = false;
}

static void sums_are_an_option(void **state)
{
    (void)state;
    struct sampled_sums sums;
    size_t length = sizeof sums;
    assert_int_equal(call("prof.stats.bins.3.live", &sums, &length, NULL, 0), ENOENT);
    options.prof_stats = true;
    profiling_reset(0);
    profiling_set_active(true);
    void *block = API(malloc)(40);
    void *large = API(malloc)(50000);
    profiling_set_active(false);
    assert_int_equal(call("prof.stats.bins.3.live", &sums, &length, NULL, 0), 0);
    assert_true(sums.requested_bytes == 40 && sums.count == 1);
    assert_int_equal(call("prof.stats.lextents.7.live", &sums, &length, NULL, 0), 0);
    assert_true(sums.requested_bytes == 50000 && sums.count == 1);
    API(free)(block);
    API(free)(large);
    assert_int_equal(call("prof.stats.bins.3.live", &sums, &length, NULL, 0), 0);
    assert_true(sums.requested_bytes == 0 && sums.count == 0);
    assert_int_equal(call("prof.stats.bins.3.accum", &sums, &length, NULL, 0), 0);
    assert_true(sums.requested_bytes == 40 && sums.count == 1);
    assert_int_equal(call("prof.stats.lextents.7.accum", &sums, &length, NULL, 0), 0);
    assert_true(sums.requested_bytes == 50000 && sums.count == 1);
    assert_int_equal(call("prof.stats.bins.3.accum", NULL, NULL, &sums, length), EPERM);
}

static uint64_t lock_count(void)
{
    uint64_t count = 1;
    size_t length = sizeof count;
    assert_int_equal(call("epoch", NULL, NULL, &count, sizeof count), 0);
    assert_int_equal(call("stats.mutexes.prof.num_ops", &count, &length, NULL, 0), 0);
    return count;
}

static void locks_are_counted(void **state)
{
    (void)state;
    uint64_t before = lock_count();
    profiling_set_active(true);
    void *block = API(malloc)(40);
    API(free)(block);
    profiling_set_active(false);
    /* Reading takes 65 locks too, a sample four and more. */
    assert_true(lock_count() >= before + 65 + 4);
    assert_int_equal(call("stats.mutexes.reset", NULL, NULL, NULL, 0), 0);
    assert_true(lock_count() < 2 * 65 + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_names_are_no_names), cmocka_unit_test(switches_do_what_they_say),
        cmocka_unit_test(resets_are_checked),        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(sums_are_an_option),        cmocka_unit_test(locks_are_counted),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
