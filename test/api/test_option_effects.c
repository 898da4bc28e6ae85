/* test_option_effects.c: goal: each option does what it says, seen where a user sees it: in usable
 * sizes, system calls, /proc, lines on stderr and the process's end; never in its mirror alone.
 * Method: this program runs itself again with options in the environment and the name of a task;
 * the child does the task, and the parent looks at its status and at what it printed.
 */
#include "option_task.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* The library registers its fork handlers by this name, which the program's own definition hides
 * from it: refused when a task asks for it. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso);
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso)
{
    (void)prepare;
    (void)parent;
    (void)child;
    (void)dso;
    return getenv("REFUSE_ATFORK") != NULL ? ENOMEM : 0;
}

static unsigned count_in(const char *text, const char *what)
{
    unsigned count = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        count++;
    }
    return count;
}

/* Tasks of the child. Status 0..99 is what it counted. */

static int narenas(void)
{
    unsigned count = 0;
    size_t length = sizeof count;
    return mallctl("opt.narenas", &count, &length, NULL, 0) == 0 ? (int)count : 99;
}

static int narenas_on_cpus(int cpus)
{
    cpu_set_t all;
    cpu_set_t some;
    CPU_ZERO(&some);
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < cpus) {
        return 98;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && cpus > 0; cpu++) {
        if (CPU_ISSET((size_t)cpu, &all)) {
            CPU_SET((size_t)cpu, &some);
            cpus--;
        }
    }
    return sched_setaffinity(0, sizeof some, &some) == 0 ? narenas() : 98;
}

static int narenas_on_1(void)
{
    return narenas_on_cpus(1);
}

static int narenas_on_2(void)
{
    return narenas_on_cpus(2);
}

/* 0 when usable sizes are whole pages, 1 when they are those of the classes, 2 for a mixture. */
static int usable_sizes(void)
{
    static const struct {
        size_t size;
        size_t paged;
        size_t class_bytes;
    } cases[] = {{16385, 20480, 20480},       {33000, 36864, 40960},
                 {70000, 73728, 81920},       {600000, 602112, 655360},
                 {1050000, 1052672, 1310720}, {9000000, 9003008, 10485760}};
    unsigned paged = 0;
    unsigned by_class = 0;
    enum { CASES = sizeof cases / sizeof cases[0] };
    for (unsigned i = 0; i < CASES; i++) {
        char *block = malloc(cases[i].size);
        char *grown = realloc(malloc(100), cases[i].size);
        size_t usable = malloc_usable_size(block);
        bool agree = malloc_usable_size(grown) == usable && nallocx(cases[i].size, 0) == usable;
        memset(block, 1, usable);
        memset(grown, 1, usable);
        paged += agree && usable == cases[i].paged;
        by_class += agree && usable == cases[i].class_bytes;
        free(block);
        sdallocx(grown, cases[i].size, 0);
    }
    return paged == CASES ? 0 : by_class == CASES ? 1 : 2;
}

/* Whether calloc gets the memory of a block anew: 1 when its pages were dropped and not cleared,
 * which the kernel shows as pages that are not there. */
static int calloc_drops_pages(size_t size)
{
    char *block;
    /* The first one is returned at once, the next are kept. */
    for (unsigned round = 0; round < 4; round++) {
        block = malloc(size);
        if (block == NULL) {
            return 97;
        }
        memset(block, 1, size);
        free(block);
    }
    unsigned char present[1] = {0};
    block = calloc(1, size);
    uintptr_t middle = (uintptr_t)(block + size / 2) & ~(uintptr_t)4095;
    if (block == NULL || mincore((void *)middle, 4096, present) != 0) {
        return 97;
    }
    int dropped = (present[0] & 1) == 0;
    for (size_t i = 0; i < size; i += 4096) {
        if (block[i] != 0) {
            return 96;
        }
    }
    free(block);
    return dropped;
}

static int calloc_4_mib(void)
{
    return calloc_drops_pages((size_t)4 << 20);
}

static int calloc_16_mib(void)
{
    return calloc_drops_pages((size_t)16 << 20);
}

/* 40 MiB in blocks of 64 KiB. */
static int allocate_40_mib(void)
{
    for (unsigned i = 0; i < 640; i++) {
        free(malloc(64 << 10));
    }
    return 0;
}

static void *allocate_in_thread(void *opaque)
{
    (void)opaque;
    (void)allocate_40_mib();
    return NULL;
}

/* 4 MiB that fall unused. */
static void fill_and_free(void)
{
    enum { COUNT = 64, BYTES = 64 << 10 };
    void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = malloc(BYTES);
        memset(blocks[i], 1, BYTES);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
}

/* Pages fall unused until a background thread runs; then 40 MiB in this thread, which has made it,
 * and 40 MiB in another. */
static int allocate_beside_helpers(void)
{
    for (unsigned i = 0; i < 1000 && stat_value("stats.background_thread.num_threads") == 0; i++) {
        if (i % 100 == 0) {
            fill_and_free();
        }
        usleep(1000);
    }
    size_t helpers = stat_value("stats.background_thread.num_threads");
    dprintf(STDERR_FILENO, "helpers run: %zu\n", helpers);
    pthread_t thread;
    (void)allocate_40_mib();
    dprintf(STDERR_FILENO, "second thread\n");
    if (pthread_create(&thread, NULL, allocate_in_thread, NULL) != 0) {
        return 99;
    }
    pthread_join(thread, NULL);
    dprintf(STDERR_FILENO, "rest\n");
    usleep(300000);
    return helpers > 0 && helpers < 99 ? 1 : 0;
}

static int reallocate_to_zero(void)
{
    size_t before = stat_value("stats.zero_reallocs");
    void *block = realloc(malloc(100), 0);
    bool counted = stat_value("stats.zero_reallocs") == before + 1;
    int result = block != NULL ? 1 : 0;
    free(block);
    return counted ? result : 95;
}

/* Bit 0: a fresh block has 0xa5; bit 1: a freed one had 0x5a; bit 2: a fresh block is zero. */
static int fill_bytes(void)
{
    enum { BYTES = 300 };
    unsigned char *block = malloc(BYTES);
    unsigned fresh = 0;
    unsigned zero = 0;
    for (unsigned i = 0; i < BYTES; i++) {
        fresh += block[i] == 0xa5;
        zero += block[i] == 0;
    }
    memset(block, 1, BYTES);
    volatile unsigned char *freed = block;
    free(block);
    bool junk_freed = freed[BYTES / 2] == 0x5a;
    return (fresh == BYTES) | junk_freed << 1 | (zero == BYTES) << 2;
}

static int ask_too_much(void)
{
    volatile size_t much = (size_t)1 << 60;
    return malloc(much) == NULL && errno == ENOMEM ? 0 : 1;
}

void *_Znwm(size_t size);
void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);

static int new_too_much(void)
{
    volatile size_t much = (size_t)1 << 60;
    return _ZnwmRKSt9nothrow_t(much, "") == NULL ? 0 : 1;
}

static int throw_too_much(void)
{
    volatile size_t much = (size_t)1 << 60;
    return _Znwm(much) != NULL;
}

/* Slabs that 64 blocks of a page take: 4 of 16 pages each, as usual. */
static int slabs_of_64_pages(void)
{
    void *blocks[64];
    size_t before = stat_value("stats.arenas.0.bins.28.curslabs");
    for (unsigned i = 0; i < 64; i++) {
        blocks[i] = malloc(4096);
        memset(blocks[i], (int)i, 4096);
    }
    size_t slabs = stat_value("stats.arenas.0.bins.28.curslabs") - before;
    bool whole = true;
    for (unsigned i = 0; i < 64; i++) {
        whole = whole && *(unsigned char *)blocks[i] == i && ((char *)blocks[i])[4095] == (char)i;
        free(blocks[i]);
    }
    return whole && stat_value("arenas.bin.28.slab_size") % 4096 == 0 ? (int)slabs : 94;
}

static bool go_to_cpu(unsigned cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
}

static int arena_now(void)
{
    unsigned index = 99;
    size_t length = sizeof index;
    return mallctl("thread.arena", &index, &length, NULL, 0) == 0 ? (int)index : 99;
}

/* Enough batches for a thread to look where it is. */
static void use_memory(void)
{
    static void *blocks[5000];
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 5000; i++) {
            blocks[i] = malloc(512);
        }
        for (unsigned i = 0; i < 5000; i++) {
            free(blocks[i]);
        }
    }
}

/* Tens: the arena of a thread that began on CPU 1; ones: that of the same thread on CPU 0. */
static void *visit_two_cpus(void *result)
{
    if (!go_to_cpu(1)) {
        return NULL;
    }
    free(malloc(1));
    *(int *)result = arena_now() * 10;
    if (go_to_cpu(0)) {
        use_memory();
        *(int *)result += arena_now();
    }
    return NULL;
}

static int arenas_of_two_cpus(void)
{
    pthread_t thread;
    int result = 93;
    if (pthread_create(&thread, NULL, visit_two_cpus, &result) != 0) {
        return 93;
    }
    (void)pthread_join(thread, NULL);
    return result;
}

static int move_by_hand(void)
{
    unsigned index = 0;
    return mallctl("thread.arena", NULL, NULL, &index, sizeof index);
}

static void *meet_at_a_lock(void *unused)
{
    for (unsigned i = 0; i < 300000; i++) {
        free(malloc(64));
    }
    return unused;
}

/* 1 when waits for a lock ended by spinning only, 0 when none did, 2 for some. */
static int spin_share(void)
{
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++) {
        if (pthread_create(&threads[i], NULL, meet_at_a_lock, NULL) != 0) {
            return 92;
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    size_t waits = stat_value("stats.arenas.0.bins.4.mutex.num_wait");
    size_t spins = stat_value("stats.arenas.0.bins.4.mutex.num_spin_acq");
    return waits + spins == 0 ? 3 : spins == 0 ? 0 : waits == 0 ? 1 : 2;
}

static int just_start(void)
{
    free(malloc(1));
    return 0;
}

static const struct task tasks[] = {
    {"narenas", NULL, narenas},
    {"narenas_on_1", NULL, narenas_on_1},
    {"narenas_on_2", NULL, narenas_on_2},
    {"usable_sizes", NULL, usable_sizes},
    {"calloc_4_mib", NULL, calloc_4_mib},
    {"calloc_16_mib", NULL, calloc_16_mib},
    {"allocate_40_mib", NULL, allocate_40_mib},
    {"allocate_beside_helpers", NULL, allocate_beside_helpers},
    {"reallocate_to_zero", NULL, reallocate_to_zero},
    {"fill_bytes", NULL, fill_bytes},
    {"ask_too_much", NULL, ask_too_much},
    {"new_too_much", NULL, new_too_much},
    {"throw_too_much", NULL, throw_too_much},
    {"slabs_of_64_pages", NULL, slabs_of_64_pages},
    {"arenas_of_two_cpus", NULL, arenas_of_two_cpus},
    {"move_by_hand", NULL, move_by_hand},
    {"spin_share", NULL, spin_share},
    {"just_start", NULL, just_start},
};

/* What the parent expects. */

static bool has_cpus(int count)
{
    cpu_set_t all;
    return sched_getaffinity(0, sizeof all, &all) == 0 && CPU_COUNT(&all) >= count;
}

static void arenas_follow_the_cpus(void **state)
{
    (void)state;
    expect_exit("", "narenas_on_1", 1);
    expect_exit("narenas_ratio:9", "narenas_on_1", 1);
    expect_exit("narenas:7", "narenas_on_1", 7);
    if (!has_cpus(2)) {
        skip();
    }
    int usual = run_task("", "narenas_on_2");
    if (!WIFEXITED(usual) || WEXITSTATUS(usual) != 8) {
        skip(); /* a quota of this machine's is below two CPUs */
    }
    expect_exit("narenas_ratio:1.25", "narenas_on_2", 3);
    expect_exit("narenas_ratio:1.2", "narenas_on_2", 2);
    expect_exit("narenas_ratio:0.1", "narenas_on_2", 1);
    expect_exit("narenas_ratio:0.1,narenas:default", "narenas_on_2", 1);
}

static bool write_line(const char *folder, const char *name, const char *line)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    bool written = fputs(line, file) >= 0;
    return fclose(file) == 0 && written;
}

static void move_self_to(const char *folder)
{
    char line[32];
    (void)snprintf(line, sizeof line, "%d\n", (int)getpid());
    (void)write_line(folder, "cgroup.procs", line);
}

/* On a machine that has version 1 and lets this test make a group. */
static void arenas_follow_a_live_quota(void **state)
{
    (void)state;
    static const char mount[] = "/sys/fs/cgroup/cpu";
    char folder[128];
    (void)snprintf(folder, sizeof folder, "%s/test_option_effects.%d", mount, (int)getpid());
    if (!has_cpus(2) || mkdir(folder, 0700) != 0) {
        skip();
    }
    bool set = write_line(folder, "cpu.cfs_period_us", "100000\n") &&
               write_line(folder, "cpu.cfs_quota_us", "70000\n");
    move_self_to(folder);
    int below_one = set ? run_task("", "narenas") : 0;
    set = set && write_line(folder, "cpu.cfs_quota_us", "170000\n");
    int below_two = set ? run_task("", "narenas_on_2") : 0;
    move_self_to(mount);
    (void)rmdir(folder);
    if (!set) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(below_one), 1);
    assert_int_equal(WEXITSTATUS(below_two), 8);
}

static void usable_sizes_are_pages_or_classes(void **state)
{
    (void)state;
    expect_exit("", "usable_sizes", 0);
    expect_exit("disable_large_size_classes:true", "usable_sizes", 0);
    expect_exit("disable_large_size_classes:false", "usable_sizes", 1);
    expect_exit("disable_large_size_classes:false,tcache:false", "usable_sizes", 1);
}

static void calloc_drops_pages_from_the_threshold_on(void **state)
{
    (void)state;
    expect_exit("dirty_decay_ms:-1", "calloc_4_mib", 0);
    expect_exit("dirty_decay_ms:-1", "calloc_16_mib", 1);
    expect_exit("dirty_decay_ms:-1,calloc_madvise_threshold:4194304", "calloc_4_mib", 1);
    expect_exit("dirty_decay_ms:-1,calloc_madvise_threshold:33554432", "calloc_16_mib", 0);
}

static void statistics_come_each_so_many_bytes(void **state)
{
    (void)state;
    static const char begin[] = "___ Begin jemalloc statistics ___";
    expect_exit("stats_interval_opts:gablx", "allocate_40_mib", 0);
    assert_int_equal(count_in(heard, begin), 0);
    expect_exit("stats_interval:10485760,stats_interval_opts:gablx", "allocate_40_mib", 0);
    EXPECT(count_in(heard, begin) >= 3 && count_in(heard, begin) <= 5, "%s", heard);
    EXPECT(strstr(heard, "Run-time option settings") == NULL, "%s", heard);
    expect_exit("stats_interval:33554432", "allocate_40_mib", 0);
    assert_int_equal(count_in(heard, begin), 1);
    assert_int_equal(count_in(heard, "Run-time option settings"), 1);
}

/* By bytes still, in whichever thread, and not by time. */
static void statistics_come_beside_background_threads(void **state)
{
    (void)state;
    static const char begin[] = "___ Begin jemalloc statistics ___";
    static const char conf[] =
        "background_thread:true,stats_interval:10485760,stats_interval_opts:gablx";
    expect_exit(conf, "allocate_beside_helpers", 1);
    const char *parts[] = {strstr(heard, "helpers run"), strstr(heard, "second thread"),
                           strstr(heard, "rest\n")};
    assert_non_null(parts[0]);
    assert_non_null(parts[1]);
    assert_non_null(parts[2]);
    unsigned from[3];
    for (unsigned i = 0; i < 3; i++) {
        from[i] = count_in(parts[i], begin);
    }
    EXPECT(from[0] - from[1] >= 3 && from[0] - from[1] <= 5, "%s", heard);
    EXPECT(from[1] - from[2] >= 3 && from[1] - from[2] <= 5, "%s", heard);
    EXPECT(from[2] == 0, "%s", heard);
    EXPECT(strstr(heard, "Background threads: 1") != NULL, "%s", heard);
}

static void realloc_to_zero_does_as_told(void **state)
{
    (void)state;
    expect_exit("", "reallocate_to_zero", 0);
    expect_exit("zero_realloc:free", "reallocate_to_zero", 0);
    expect_exit("zero_realloc:alloc", "reallocate_to_zero", 1);
    expect_abort("zero_realloc:abort", "reallocate_to_zero",
                 "<jemalloc>: Called realloc(non-null-ptr, 0) with \"zero_realloc:abort\" set\n");
}

static void blocks_are_filled_as_told(void **state)
{
    (void)state;
    expect_exit("junk:true", "fill_bytes", 1 | 2);
    expect_exit("junk:alloc", "fill_bytes", 1);
    expect_exit("junk:free,zero:true", "fill_bytes", 2 | 4);
    expect_exit("zero:true", "fill_bytes", 4);
    expect_exit("junk:true,tcache:false", "fill_bytes", 1 | 2);
}

static void refused_memory_ends_the_process_when_told(void **state)
{
    (void)state;
    expect_exit("", "ask_too_much", 0);
    expect_abort("xmalloc:true", "ask_too_much", "<jemalloc>: Error in malloc(): out of memory\n");
    expect_exit("", "new_too_much", 0);
    static const char line[] = "<jemalloc>: Allocation of size 1152921504606846976 failed. ";
    expect_abort("experimental_infallible_new:true", "new_too_much", line);
    expect_abort("experimental_infallible_new:true", "throw_too_much", line);
}

static void slabs_have_as_many_pages_as_told(void **state)
{
    (void)state;
    expect_exit("tcache:false,narenas:1", "slabs_of_64_pages", 4);
    expect_exit("tcache:false,narenas:1,slab_sizes:4096-4096:4", "slabs_of_64_pages", 16);
    expect_exit("tcache:false,narenas:1,slab_sizes:1-14336:3", "slabs_of_64_pages", 22);
    expect_exit("tcache:false,narenas:1,slab_sizes:1-99999:9999", "slabs_of_64_pages", 1);
    expect_exit("tcache:false,narenas:1,slab_sizes:1-14336:0", "slabs_of_64_pages", 64);
    expect_exit("tcache:false,narenas:1,slab_sizes:1-9999:1|1-8192:2,slab_sizes:default",
                "slabs_of_64_pages", 4);
}

static void each_cpu_has_an_arena_when_told(void **state)
{
    (void)state;
    cpu_set_t all;
    bool first_two =
        sched_getaffinity(0, sizeof all, &all) == 0 && CPU_ISSET(0, &all) && CPU_ISSET(1, &all);
    if (!first_two) {
        skip();
    }
    expect_exit("percpu_arena:percpu,narenas:1", "arenas_of_two_cpus", 10);
    expect_exit("percpu_arena:percpu", "move_by_hand", EPERM);
    expect_exit("", "move_by_hand", 0);
    expect_exit("percpu_arena:percpu", "narenas_on_1", 1);
    expect_exit("percpu_arena:percpu", "narenas_on_2", 2);
    expect_exit("percpu_arena:phycpu", "narenas_on_2", 1);
}

static void waiters_spin_as_long_as_told(void **state)
{
    (void)state;
    if (!has_cpus(2)) {
        skip();
    }
    expect_exit("tcache:false,narenas:1,mutex_max_spin:0", "spin_share", 0);
    expect_exit("tcache:false,narenas:1,mutex_max_spin:-1", "spin_share", 1);
}

static void warnings_end_the_process_when_told(void **state)
{
    (void)state;
    static const char line[] = "<jemalloc>: fork handlers refused";
    (void)setenv("REFUSE_ATFORK", "1", 1);
    expect_exit("", "just_start", 0);
    EXPECT(strstr(heard, line) != NULL, "%s", heard);
    expect_abort("abort:true", "just_start", line);
    (void)unsetenv("REFUSE_ATFORK");
    expect_exit("abort:true", "just_start", 0);
}

int main(int argc, char **argv)
{
    begin_tasks(argc, argv, tasks, sizeof tasks / sizeof tasks[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arenas_follow_the_cpus),
        cmocka_unit_test(arenas_follow_a_live_quota),
        cmocka_unit_test(usable_sizes_are_pages_or_classes),
        cmocka_unit_test(calloc_drops_pages_from_the_threshold_on),
        cmocka_unit_test(statistics_come_each_so_many_bytes),
        cmocka_unit_test(statistics_come_beside_background_threads),
        cmocka_unit_test(realloc_to_zero_does_as_told),
        cmocka_unit_test(blocks_are_filled_as_told),
        cmocka_unit_test(refused_memory_ends_the_process_when_told),
        cmocka_unit_test(slabs_have_as_many_pages_as_told),
        cmocka_unit_test(each_cpu_has_an_arena_when_told),
        cmocka_unit_test(waiters_spin_as_long_as_told),
        cmocka_unit_test(warnings_end_the_process_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
