/* test_conf_sources.c: goal: the symbol malloc_conf of the program is read at start-up, the
 * environment variable MALLOC_CONF wins over it, and malloc_conf_2_conf_harder wins over both.
 * Method: this program defines both symbols; it runs itself again with and without the variable
 * and reads opt.*.
 */
#include "api_test.h"

#include <sys/types.h>
#include <sys/wait.h>

const char *malloc_conf = "narenas:3,dirty_decay_ms:1234,zero:false";
const char *malloc_conf_2_conf_harder = "zero:true";

static long option_value(const char *name, size_t size)
{
    int64_t value = 0;
    size_t length = size;
    if (mallctl(name, &value, &length, NULL, 0) != 0) {
        return -99;
    }
    return (long)value;
}

/* In the second run: exit status 0 when the options have the values of the arguments. */
static int compare_with_arguments(char **arguments)
{
    long narenas = option_value("opt.narenas", sizeof(unsigned));
    long dirty = option_value("opt.dirty_decay_ms", sizeof(ssize_t));
    long zero = option_value("opt.zero", sizeof(bool));
    bool equal =
        narenas == atol(arguments[1]) && dirty == atol(arguments[2]) && zero == atol(arguments[3]);
    if (!equal) {
        print_error("narenas %ld, dirty_decay_ms %ld, zero %ld\n", narenas, dirty, zero);
    }
    return equal ? 0 : 1;
}

static void expect_options(const char *environment, const char *narenas, const char *dirty,
                           const char *zero)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (environment == NULL) {
            unsetenv("MALLOC_CONF");
        } else {
            setenv("MALLOC_CONF", environment, 1);
        }
        execl("/proc/self/exe", "test_conf_sources", narenas, dirty, zero, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void the_symbol_is_read(void **state)
{
    (void)state;
    expect_options(NULL, "3", "1234", "1");
}

static void the_environment_wins_over_the_symbol(void **state)
{
    (void)state;
    if (LIBRARY_IS_PREFIXED) {
        skip();
    }
    expect_options("dirty_decay_ms:77", "3", "77", "1");
    expect_options("narenas:5,zero:false,dirty_decay_ms:-1", "5", "-1", "1");
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        return compare_with_arguments(argv);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_symbol_is_read),
        cmocka_unit_test(the_environment_wins_over_the_symbol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
