/* test_prof_memory.c: goal: where each block is a sample, a program needs at most 1.6 times the
 * memory that it needs without samples; twice, where all of its blocks are of 8 bytes.
 * Method: a child makes and replaces blocks of one size, or of many, and tells what its resident
 * memory grew by; with lg_prof_sample:0, and without profiling.
 */
#include "option_task.h"

enum { BLOCKS = 400000, ROUNDS = 3 };

static size_t resident_kib(void)
{
    size_t pages[2] = {0};
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu %zu", &pages[0], &pages[1]) != 2) {
        exit(98);
    }
    fclose(file);
    return pages[1] * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static size_t some_size(uint64_t random)
{
    return 16 + (random >> 50 & 7 ? random >> 20 & 127 : random >> 20 & 2047);
}

/* 0: of many sizes. */
static int fill(size_t size)
{
    static char *blocks[BLOCKS];
    memset((void *)blocks, 0, sizeof blocks);
    free(malloc(1));
    uint64_t random = 1;
    size_t before = resident_kib();
    for (unsigned i = 0; i < BLOCKS * ROUNDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        char **block = &blocks[(random >> 33) % BLOCKS];
        size_t bytes = size != 0 ? size : some_size(random);
        free(*block);
        *block = malloc(bytes);
        if (*block == NULL) {
            return 97;
        }
        memset(*block, 1, bytes);
    }
    fprintf(stderr, "%zu", resident_kib() - before);
    return 0;
}

static int fill_8(void)
{
    return fill(8);
}

static int fill_16(void)
{
    return fill(16);
}

static int fill_100(void)
{
    return fill(100);
}

static int fill_mixed(void)
{
    return fill(0);
}

static const struct task tasks[] = {
    {"fill_8", NULL, fill_8},
    {"fill_16", NULL, fill_16},
    {"fill_100", NULL, fill_100},
    {"fill_mixed", NULL, fill_mixed},
};
enum { TASKS = sizeof tasks / sizeof tasks[0] };

static double grown_kib(const char *conf, const char *task)
{
    expect_exit(conf, task, 0);
    return strtod(heard, NULL);
}

static void samples_are_small(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TASKS; i++) {
        double plain = grown_kib("prof:false", tasks[i].name);
        double sampled = grown_kib("prof:true,lg_prof_sample:0", tasks[i].name);
        EXPECT(plain > 1000, "%s: %g KiB", tasks[i].name, plain);
        double most = tasks[i].run == fill_8 ? 2.1 : 1.6;
        EXPECT(sampled < plain * most, "%s: %g KiB, %g without samples", tasks[i].name, sampled,
               plain);
        /* Eight bytes a block, at least: they are sampled. */
        EXPECT(sampled > plain + 8.0 * BLOCKS / 2 / 1024, "%s: %g KiB, %g", tasks[i].name, sampled,
               plain);
    }
}

int main(int argc, char **argv)
{
    begin_tasks(argc, argv, tasks, TASKS);
    const struct CMUnitTest tests[] = {cmocka_unit_test(samples_are_small)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
