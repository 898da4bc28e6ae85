/* test_double_free_scan.c: goal: with debug_double_free_max_scan:N a block that is freed again is
 * caught at once while fewer than N others of its class were freed since; with 0 only the one that
 * was freed last is.
 * Method: the program runs itself again with each configuration, frees a block, then others, then
 * the block again, and leaves without another call if that went unseen.
 */
#include "api_test.h"

#include <signal.h>
#include <sys/wait.h>

enum { OTHERS_MAX = 6, SEEN_NOTHING = 41 };

static const char *own_path;

static int free_twice(size_t size, unsigned others_between, bool sized)
{
    char *volatile block = malloc(size);
    void *others[OTHERS_MAX];
    for (unsigned i = 0; i < others_between; i++) {
        others[i] = malloc(size);
    }
    free(block);
    for (unsigned i = 0; i < others_between; i++) {
        free(others[i]);
    }
    if (sized) {
        sdallocx(block, size, 0);
    } else {
        free(block);
    }
    _exit(SEEN_NOTHING);
}

static int outcome_of(const char *scan, const char *size, unsigned others, const char *way)
{
    char configuration[64];
    char number[16];
    snprintf(configuration, sizeof configuration, "debug_double_free_max_scan:%s", scan);
    snprintf(number, sizeof number, "%u", others);
    int status = -1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(2);
        (void)setenv("MALLOC_CONF", configuration, 1);
        (void)execl(own_path, own_path, size, number, way, (char *)NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect(const char *scan, unsigned others, bool caught)
{
    const char *const sizes[] = {"24", "4000", "20000"};
    const char *const ways[] = {"free", "sized"};
    for (unsigned i = 0; i < 6; i++) {
        int status = outcome_of(scan, sizes[i / 2], others, ways[i % 2]);
        bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
        bool went_on = WIFEXITED(status) && WEXITSTATUS(status) == SEEN_NOTHING;
        EXPECT(caught ? died : went_on, "scan %s, size %s, %u others, %s: status 0x%x", scan,
               sizes[i / 2], others, ways[i % 2], (unsigned)status);
    }
}

static void as_many_as_asked_are_looked_at(void **state)
{
    (void)state;
    expect("3", 0, true);
    expect("3", 2, true);
    expect("3", 3, false);
    expect("5", 4, true);
    expect("1000000", 5, true);
    expect("0", 2, false);
}

static void the_option_reads_as_set(void **state)
{
    (void)state;
    unsigned value = 77;
    size_t length = sizeof value;
    assert_int_equal(mallctl("opt.debug_double_free_max_scan", &value, &length, NULL, 0), 0);
    assert_int_equal(value, 0);
}

int main(int argument_count, char **arguments)
{
    own_path = arguments[0];
    if (argument_count > 3) {
        return free_twice(strtoul(arguments[1], NULL, 10),
                          (unsigned)strtoul(arguments[2], NULL, 10),
                          strcmp(arguments[3], "sized") == 0);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_asked_are_looked_at),
        cmocka_unit_test(the_option_reads_as_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
