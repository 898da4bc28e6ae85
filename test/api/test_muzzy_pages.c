/* test_muzzy_pages.c: goal: with muzzy_decay_ms freed pages are left to the system to take
 * (MADV_FREE), are counted so, serve again with calloc still zero, and go for good by
 * arena.<i>.purge. With the default, and with 0, none are.
 * Method: this program runs itself again with MALLOC_CONF, frees blocks that it wrote to, and sums
 * LazyFree over /proc/self/smaps, beside the counters.
 */
#include "api_test.h"

#include <sys/types.h>
#include <sys/wait.h>

enum { BLOCKS = 300, BLOCK_BYTES = 48 * 1024, PAGE_KIB = 4, FAILED = 1, UNSEEN = 77 };

static uint64_t number(const char *name)
{
    uint64_t value = 0;
    size_t length = sizeof value;
    uint64_t epoch = 1;
    (void)mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    return mallctl(name, &value, &length, NULL, 0) == 0 ? value : UINT64_MAX;
}

/* KiB that the kernel may take; -1 when it does not tell. */
static long lazy_free_kib(void)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[512];
    long sum = -1;
    while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
        long kib;
        if (sscanf(line, "LazyFree: %ld kB", &kib) == 1) {
            sum = sum < 0 ? kib : sum + kib;
        }
    }
    if (smaps != NULL) {
        fclose(smaps);
    }
    return sum;
}

static void free_written_blocks(void)
{
    void *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK_BYTES);
        memset(blocks[i], 0x77, BLOCK_BYTES);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

static bool all_of_calloc_is_zero(void)
{
    bool zero = true;
    void *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = calloc(1, BLOCK_BYTES);
        const unsigned char *bytes = blocks[i];
        for (size_t at = 0; at < BLOCK_BYTES; at++) {
            zero &= bytes[at] == 0;
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    return zero;
}

static int report(const char *what, uint64_t muzzy, long lazy_kib)
{
    print_error("%s: muzzy pages %lu, LazyFree %ld KiB\n", what, (unsigned long)muzzy, lazy_kib);
    return FAILED;
}

/* In the second run. */
static int muzzy_pages_come_and_go(void)
{
    const long least_kib = (long)BLOCKS * BLOCK_BYTES / 1024 * 9 / 10;
    free_written_blocks();
    long lazy_kib = lazy_free_kib();
    uint64_t muzzy = number("stats.arenas.0.pmuzzy");
    if (muzzy * PAGE_KIB < (uint64_t)least_kib || muzzy == UINT64_MAX ||
        number("stats.arenas.0.dirty_purged") < muzzy ||
        number("stats.arenas.0.dirty_nmadvise") == 0 || number("stats.arenas.0.pdirty") != 0 ||
        number("stats.arenas.0.muzzy_purged") != 0) {
        return report("after the frees", muzzy, lazy_kib);
    }
    if (lazy_kib >= 0 && lazy_kib < least_kib) {
        return report("the kernel was not told", muzzy, lazy_kib);
    }
    if (!all_of_calloc_is_zero()) {
        return report("calloc is not zero", muzzy, lazy_kib);
    }
    muzzy = number("stats.arenas.0.pmuzzy");
    (void)mallctl("arena.0.purge", NULL, NULL, NULL, 0);
    if (number("stats.arenas.0.pmuzzy") != 0 || number("stats.arenas.0.muzzy_purged") < muzzy ||
        number("stats.arenas.0.muzzy_nmadvise") == 0 ||
        number("stats.arenas.0.muzzy_npurge") == 0 || lazy_free_kib() > least_kib / 10) {
        return report("after the purge", number("stats.arenas.0.pmuzzy"), lazy_free_kib());
    }
    return lazy_kib < 0 ? UNSEEN : 0;
}

/* In the second run. */
static int there_are_no_muzzy_pages(void)
{
    free_written_blocks();
    (void)mallctl("arena.0.decay", NULL, NULL, NULL, 0);
    (void)mallctl("arena.0.purge", NULL, NULL, NULL, 0);
    bool none = number("stats.arenas.0.pmuzzy") == 0 &&
                number("stats.arenas.0.muzzy_npurge") == 0 && lazy_free_kib() <= 0;
    return none ? 0 : report("without the stage", number("stats.arenas.0.pmuzzy"), lazy_free_kib());
}

static void expect_good_run(const char *configuration, const char *mode)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("MALLOC_CONF", configuration, 1);
        execl("/proc/self/exe", "test_muzzy_pages", mode, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == UNSEEN) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void purged_pages_are_left_to_the_system(void **state)
{
    (void)state;
    if (LIBRARY_IS_PREFIXED) {
        skip();
    }
    expect_good_run("dirty_decay_ms:0,muzzy_decay_ms:-1,tcache:false", "muzzy");
    expect_good_run("dirty_decay_ms:0,muzzy_decay_ms:600000,tcache:false", "muzzy");
}

static void without_the_option_they_go_at_once(void **state)
{
    (void)state;
    if (LIBRARY_IS_PREFIXED) {
        skip();
    }
    expect_good_run("dirty_decay_ms:0,tcache:false", "none");
    expect_good_run("dirty_decay_ms:0,muzzy_decay_ms:0,tcache:false", "none");
    expect_good_run("tcache:false", "none");
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        return strcmp(argv[1], "muzzy") == 0 ? muzzy_pages_come_and_go()
                                             : there_are_no_muzzy_pages();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purged_pages_are_left_to_the_system),
        cmocka_unit_test(without_the_option_they_go_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
