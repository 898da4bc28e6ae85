/* test_bin_shards.c: goal: bin_shards gives a size class several bins in an arena: threads of
 * different bins never have blocks in one slab, whoever frees them; arenas.bin.<i>.nshards, the
 * report and the statistics tell of all of them. Method: this program runs itself again with the
 * option; two threads take turns, block by block, over the class of 8 bytes, whose slabs are one
 * page each, so that addresses tell slabs apart.
 */
#include "option_task.h"

#include <pthread.h>

enum { BLOCKS = 3000, TAKERS = 2, PAGE = 4096, ROUNDS = 500 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned turn;               /* under the lock: of which taker */
    int flags;                   /* of mallocx(); written before the takers begin */
    char *block[TAKERS][BLOCKS]; /* under the lock */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void begin_turn(unsigned taker)
{
    pthread_mutex_lock(&table.lock);
    while (table.turn != taker) {
        pthread_cond_wait(&table.changed, &table.lock);
    }
}

static void end_turn(unsigned taker)
{
    table.turn = (taker + 1) % TAKERS;
    pthread_cond_broadcast(&table.changed);
    pthread_mutex_unlock(&table.lock);
}

/* After each third block it frees one of the other's, past its own cache, which would hand it out
 * again. No slab becomes empty that way, so none may change its owner. */
static void *take_in_turns(void *opaque)
{
    unsigned taker = (unsigned)(uintptr_t)opaque;
    for (unsigned i = 0; i < BLOCKS; i++) {
        begin_turn(taker);
        table.block[taker][i] = mallocx(8, table.flags);
        char **others = table.block[(taker + 1) % TAKERS];
        if (i % 3 == 2) {
            dallocx(others[i - 1], MALLOCX_TCACHE_NONE);
            others[i - 1] = NULL;
        }
        end_turn(taker);
    }
    return NULL;
}

static uintptr_t page_of(const char *block)
{
    return (uintptr_t)block / PAGE;
}

/* Pages on which both have live blocks. */
static unsigned shared_pages(void)
{
    unsigned shared = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        for (unsigned j = 0; table.block[0][i] != NULL && j < BLOCKS; j++) {
            shared += table.block[1][j] != NULL &&
                      page_of(table.block[0][i]) == page_of(table.block[1][j]);
        }
    }
    return shared;
}

static int run_takers(void *(*body)(void *))
{
    pthread_t threads[TAKERS];
    for (uintptr_t i = 0; i < TAKERS; i++) {
        if (pthread_create(&threads[i], NULL, body, (void *)i) != 0) {
            return 90;
        }
    }
    for (unsigned i = 0; i < TAKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    return 0;
}

/* 1 when the two have blocks on one page, 0 when not. */
static int share_slabs(void)
{
    int failed = run_takers(take_in_turns);
    return failed != 0 ? failed : shared_pages() > 0;
}

static int share_slabs_uncached(void)
{
    table.flags = MALLOCX_TCACHE_NONE;
    return share_slabs();
}

static void *take_and_give(void *opaque)
{
    unsigned taker = (unsigned)(uintptr_t)opaque;
    for (unsigned i = 0; i < ROUNDS; i++) {
        begin_turn(taker);
        void *block = mallocx(8, MALLOCX_TCACHE_NONE);
        dallocx(block, MALLOCX_TCACHE_NONE);
        end_turn(taker);
    }
    return NULL;
}

/* Each block is taken under its bin's lock, and given back under it. 0 when the statistics have
 * seen all, by both threads; else the number of what is wrong. */
static int count_everything(void)
{
    size_t ops = stat_value("stats.arenas.0.bins.0.mutex.num_ops");
    size_t taken = stat_value("stats.arenas.0.bins.0.nmalloc");
    size_t given = stat_value("stats.arenas.0.bins.0.ndalloc");
    size_t requests = stat_value("stats.arenas.0.bins.0.nrequests");
    size_t small = stat_value("stats.arenas.0.small.nmalloc");
    int failed = run_takers(take_and_give);
    if (failed != 0) {
        return failed;
    }
    const size_t all = TAKERS * ROUNDS;
    bool right[] = {
        stat_value("stats.arenas.0.bins.0.mutex.num_ops") >= ops + 2 * all,
        stat_value("stats.arenas.0.bins.0.nmalloc") >= taken + all,
        stat_value("stats.arenas.0.bins.0.ndalloc") >= given + all,
        stat_value("stats.arenas.0.bins.0.nrequests") >= requests + all,
        stat_value("stats.arenas.0.small.nmalloc") >= small + all,
        stat_value("stats.arenas.4096.bins.0.nmalloc") >= taken + all,
    };
    for (int i = 0; i < (int)(sizeof right / sizeof right[0]); i++) {
        if (!right[i]) {
            return i + 1;
        }
    }
    return 0;
}

/* Forks beside a thread with a bin of its own, which goes on in both processes. */
static int fork_beside(void)
{
    table.flags = MALLOCX_TCACHE_NONE;
    int failed = run_takers(take_in_turns);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(20);
        for (unsigned i = 0; i < BLOCKS; i++) {
            free(table.block[0][i]);
            free(table.block[1][i]);
        }
        _exit(run_takers(take_and_give));
    }
    int status = -1;
    bool well = failed == 0 && child > 0 && waitpid(child, &status, 0) == child && status == 0;
    return well && run_takers(take_and_give) == 0 ? 0 : 1;
}

static void to_stderr(void *unused, const char *text)
{
    (void)unused;
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static unsigned shards_of(size_t index)
{
    size_t mib[4];
    size_t places = 4;
    unsigned count = 0;
    size_t length = sizeof count;
    if (mallctlnametomib("arenas.bin.0.nshards", mib, &places) != 0) {
        return 99;
    }
    mib[2] = index;
    return mallctlbymib(mib, places, &count, &length, NULL, 0) == 0 ? count : 99;
}

/* 0 when classes 0 to 2 have 2 bins, 3 has 64 and 4 has one, and the report says so. */
static int tell_numbers(void)
{
    free(malloc(8));
    malloc_stats_print(to_stderr, NULL, "Jmdaxe");
    malloc_stats_print(to_stderr, NULL, "gdaxelh");
    bool right = shards_of(0) == 2 && shards_of(2) == 2 && shards_of(3) == 64 && shards_of(4) == 1;
    return right ? 0 : 1;
}

static const struct task tasks[] = {
    {"share_slabs", NULL, share_slabs},
    {"share_slabs_uncached", NULL, share_slabs_uncached},
    {"count_everything", NULL, count_everything},
    {"fork_beside", NULL, fork_beside},
    {"tell_numbers", NULL, tell_numbers},
};

static void threads_of_different_bins_share_no_slab(void **state)
{
    (void)state;
    expect_exit("narenas:1", "share_slabs", 1);
    expect_exit("narenas:1", "share_slabs_uncached", 1);
    expect_exit("narenas:1,bin_shards:16-128:2", "share_slabs_uncached", 1);
    expect_exit("narenas:1,bin_shards:8-8:2", "share_slabs", 0);
    expect_exit("narenas:1,bin_shards:8-8:2", "share_slabs_uncached", 0);
    expect_exit("narenas:1,bin_shards:1-14336:64", "share_slabs", 0);
    expect_exit("narenas:1,bin_shards:1-14336:64", "share_slabs_uncached", 0);
    expect_exit("narenas:1,bin_shards:1-14336:2,tcache:false", "share_slabs", 0);
}

static void statistics_are_those_of_all_bins(void **state)
{
    (void)state;
    expect_exit("narenas:1", "count_everything", 0);
    expect_exit("narenas:1,bin_shards:1-64:2", "count_everything", 0);
    expect_exit("narenas:1,bin_shards:1-64:64", "count_everything", 0);
}

static void a_fork_has_all_bins_free_in_both_processes(void **state)
{
    (void)state;
    expect_exit("narenas:1,bin_shards:1-64:2", "fork_beside", 0);
}

static void numbers_of_bins_are_told(void **state)
{
    (void)state;
    expect_exit("bin_shards:1-32:2|33-48:64", "tell_numbers", 0);
    EXPECT(strstr(heard, "\"nshards\":64") != NULL, "%s", heard);
    EXPECT(strstr(heard, "without effect") == NULL, "%s", heard);
    /* The row of class 0 in a table of bins: size, index, and the number in its column. */
    const char *row = strstr(heard, "\n                   8   0");
    EXPECT(row != NULL, "%s", heard);
    const char *heading = strstr(heard, "bins:");
    size_t column = (size_t)(strstr(heading, "nshards") - heading) + strlen("nshards") - 1;
    EXPECT(row[1 + column] == '2' && row[column] == ' ', "%s", heard);
}

int main(int argc, char **argv)
{
    begin_tasks(argc, argv, tasks, sizeof tasks / sizeof tasks[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_of_different_bins_share_no_slab),
        cmocka_unit_test(statistics_are_those_of_all_bins),
        cmocka_unit_test(a_fork_has_all_bins_free_in_both_processes),
        cmocka_unit_test(numbers_of_bins_are_told),
    };
    return cmocka_run_group_tests_name("bin_shards", tests, NULL, NULL);
}
