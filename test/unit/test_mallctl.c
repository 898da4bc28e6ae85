/* test_mallctl.c: goal: the exported control functions (api/mallctl.c) start the allocator
 * and hand names, MIBs and buffers through unchanged.
 * Method: the program calls itself for each function as its first call of all; then answers by name
 * and by MIB are compared with each other and with the classes.
 */
#include "upper_floors.h"

#include "control/ctl.h"

static const char *own_path;

static void run_again(void *word)
{
    (void)execl(own_path, own_path, (const char *)word, (char *)NULL);
    _exit(99);
}

static void ignore(void *opaque, const char *text)
{
    (void)opaque;
    (void)text;
}

/* The first call of the process; its exit code. */
static int first_call(const char *word)
{
    size_t mib[CTL_DEPTH_MAX] = {0};
    size_t mib_length = CTL_DEPTH_MAX;
    size_t value = 0;
    size_t value_bytes = sizeof value;
    if (!DG_PREFIXED && thread_front_now() != &front_none) {
        return 10;
    }
    if (strcmp(word, "name") == 0) {
        return API(mallctl)("arenas.page", &value, &value_bytes, NULL, 0) != 0 || value != 4096;
    }
    if (strcmp(word, "mib") == 0) {
        return API(mallctlnametomib)("arenas.page", mib, &mib_length) != 0 || mib_length != 2;
    }
    if (strcmp(word, "by") == 0) {
        return API(mallctlbymib)(mib, 0, NULL, NULL, NULL, 0) != ENOENT;
    }
    API(malloc_stats_print)(ignore, NULL, NULL);
    return thread_front_now() == &front_none ? 11 : 0;
}

static void each_function_may_be_the_first_call_of_all(void **state)
{
    (void)state;
    char *words[] = {"name", "mib", "by", "print"};
    for (unsigned i = 0; i < COUNT_OF(words); i++) {
        expect_success(run_again, words[i]);
    }
}

static void name_and_mib_give_the_same_answers(void **state)
{
    (void)state;
    size_t mib[CTL_DEPTH_MAX];
    size_t mib_length = CTL_DEPTH_MAX;
    assert_int_equal(API(mallctlnametomib)("arenas.bin.0.size", mib, &mib_length), 0);
    assert_int_equal(mib_length, 4);
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        char name[40];
        size_t by_name = 0;
        size_t by_mib = 0;
        size_t length = sizeof(size_t);
        (void)snprintf(name, sizeof name, "arenas.bin.%u.size", i);
        assert_int_equal(API(mallctl)(name, &by_name, &length, NULL, 0), 0);
        mib[2] = i;
        assert_int_equal(API(mallctlbymib)(mib, mib_length, &by_mib, &length, NULL, 0), 0);
        assert_int_equal(by_name, class_size((uint8_t)i));
        assert_int_equal(by_mib, by_name);
    }
}

static void what_is_written_arrives(void **state)
{
    (void)state;
    bool enabled = false;
    bool old = false;
    size_t length = sizeof old;
    assert_int_equal(API(mallctl)("thread.tcache.enabled", &old, &length, &enabled, sizeof enabled),
                     0);
    assert_true(old);
    assert_null(thread_cache());
    enabled = true;
    assert_int_equal(API(mallctl)("thread.tcache.enabled", &old, &length, &enabled, sizeof enabled),
                     0);
    assert_false(old);
    assert_non_null(thread_cache());
}

static void errors_are_results_and_leave_errno(void **state)
{
    (void)state;
    size_t value;
    size_t length = 1;
    errno = 44;
    assert_int_equal(API(mallctl)("no.such.name", NULL, NULL, NULL, 0), ENOENT);
    assert_int_equal(API(mallctl)("arenas.page", &value, &length, NULL, 0), EINVAL);
    length = sizeof value;
    assert_int_equal(API(mallctl)("arenas.page", NULL, NULL, &value, length), EPERM);
    assert_int_equal(API(mallctlnametomib)("no.such.name", &value, &length), ENOENT);
    assert_int_equal(errno, 44);
}

int main(int argument_count, char **arguments)
{
    own_path = arguments[0];
    if (argument_count > 1) {
        return first_call(arguments[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_function_may_be_the_first_call_of_all),
        cmocka_unit_test(name_and_mib_give_the_same_answers),
        cmocka_unit_test(what_is_written_arrives),
        cmocka_unit_test(errors_are_results_and_leave_errno),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
