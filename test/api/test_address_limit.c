/* test_address_limit.c: goal: under a limit of address space (ulimit -v) programs start, run into
 * clean refusals, and work on after they freed something.
 * Method: 25 limits from 8 MiB to 4 GiB; under each this program runs itself again and allocates
 * until refused or 48 MiB are held, three times.
 */
#include "api_test.h"

#include <sys/resource.h>
#include <sys/wait.h>

enum { LIMITS = 25, PLACES = 60000, CHILD_SECONDS = 60, MOST_HELD = 48 << 20 };

static unsigned char *places[PLACES];

/* Returns how many blocks it got; 0 and a message when something is wrong. */
static unsigned fill_until_refused(size_t size)
{
    size_t held = 0;
    unsigned count = 0;
    while (count < PLACES && held < MOST_HELD) {
        errno = 0;
        unsigned char *block = count % 5 == 0 ? calloc(1, size) : malloc(size);
        if (block == NULL) {
            if (errno != ENOMEM) {
                print_error("refused with errno %d\n", errno);
                return 0;
            }
            break;
        }
        memset(block, (int)(count & 0xff), size < 64 ? size : 64);
        places[count++] = block;
        held += size;
    }
    return count;
}

static bool verify_and_free(unsigned count, size_t size)
{
    bool sound = true;
    for (unsigned i = 0; i < count; i++) {
        for (size_t k = 0; k < (size < 64 ? size : 64); k++) {
            sound = sound && places[i][k] == (i & 0xff);
        }
        free(places[i]);
    }
    return sound;
}

/* The run under a limit. */
static int limited_run(void)
{
    const size_t sizes[] = {64, 3000, 40000, 700000, 100};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned first = fill_until_refused(sizes[i]);
        if (first == 0 && sizes[i] < 10000) {
            print_error("not one block of %zu bytes\n", sizes[i]);
            return 1;
        }
        if (!verify_and_free(first, sizes[i])) {
            print_error("content of blocks of %zu bytes lost\n", sizes[i]);
            return 1;
        }
    }
    volatile size_t vast = (size_t)8 << 30;
    errno = 0;
    bool refused = malloc(vast) == NULL && errno == ENOMEM;
    free(malloc(100));
    return refused ? 0 : 1;
}

static void every_limit_is_survived(void **state)
{
    (void)state;
    if (LIBRARY_IS_PREFIXED) {
        skip(); /* sanitizers need address space without limit */
    }
    double limit = 8 << 20;
    unsigned losses = 0;
    for (unsigned i = 0; i < LIMITS; i++, limit *= 1.2968395546510096 /* 512^(1/24) */) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            const struct rlimit space = {(rlim_t)limit, (rlim_t)limit};
            setrlimit(RLIMIT_AS, &space);
            alarm(CHILD_SECONDS);
            execl("/proc/self/exe", "test_address_limit", "limited", (char *)NULL);
            _exit(127);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (status != 0) {
            losses++;
            print_error("limit %.0f KiB: status %#x\n", limit / 1024, (unsigned)status);
        }
    }
    assert_int_equal(losses, 0);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return limited_run();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_limit_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
