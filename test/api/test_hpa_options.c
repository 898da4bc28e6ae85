/* test_hpa_options.c: goal: each key of hpa:true changes what the kernel is asked.
 * Method: option_task.h; the program defines madvise() and counts its calls by their advice. All
 * delays are 0, so that a call of the allocator does at once what is due.
 */
#include "option_task.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { KIB = 1024, BLOCK = 64 * KIB, MANY = 1024, ADVICES = 32, COLLAPSE = 25 };

static atomic_uint asked[ADVICES];

int madvise(void *address, size_t size_bytes, int advice)
{
    if (advice >= 0 && advice < ADVICES) {
        atomic_fetch_add(&asked[advice], 1);
    }
    return (int)syscall(SYS_madvise, address, size_bytes, advice);
}

static int count_of(int advice)
{
    unsigned count = atomic_load(&asked[advice]);
    return count < 99 ? (int)count : 99;
}

static void *blocks[MANY];

static void allocate(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        blocks[i] = malloc(BLOCK);
        memset(blocks[i], 1, BLOCK);
    }
}

/* Blocks of less than half a chunk; then whether huge pages were asked for. */
static int fill_half_a_chunk(void)
{
    allocate(12);
    return count_of(MADV_HUGEPAGE);
}

static int fill_and_collapse(void)
{
    allocate(MANY);
    return count_of(COLLAPSE);
}

/* Every second block of 64 MiB falls unused: half of each chunk. */
static void thin_out(void)
{
    allocate(MANY);
    for (unsigned i = 0; i < MANY; i += 2) {
        free(blocks[i]);
    }
}

static int thin_out_and_purge(void)
{
    thin_out();
    return count_of(MADV_DONTNEED);
}

static int thin_out_and_break_up(void)
{
    thin_out();
    size_t broken = stat_value("stats.arenas.0.hpa_shard.ndehugifies");
    /* The allocator's own memory asks for that too. */
    return broken < 99 && broken <= (size_t)count_of(MADV_NOHUGEPAGE) ? (int)broken : 100;
}

static const struct task tasks[] = {
    {"fill_half_a_chunk", NULL, fill_half_a_chunk},
    {"fill_and_collapse", NULL, fill_and_collapse},
    {"thin_out_and_purge", NULL, thin_out_and_purge},
    {"thin_out_and_break_up", NULL, thin_out_and_break_up},
};

#define ON "narenas:1,hpa:true,hpa_hugify_delay_ms:0,hpa_min_purge_interval_ms:0,"

/* What the task counted. */
static int counted(const char *conf, const char *task)
{
    int status = run_task(conf, task);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) < 100, "%s, %s: status 0x%x", conf, task,
           status);
    return WEXITSTATUS(status);
}

static void a_chunk_is_dense_from_the_threshold_on(void **state)
{
    (void)state;
    expect_exit(ON, "fill_half_a_chunk", 0);
    assert_int_equal(counted(ON "hpa_hugification_threshold:524288", "fill_half_a_chunk"), 1);
    assert_int_equal(counted(ON "hpa_hugification_threshold_ratio:0.25", "fill_half_a_chunk"), 1);
    expect_exit(ON "hpa_hugification_threshold:1048576", "fill_half_a_chunk", 0);
}

static void pages_are_copied_together_when_told(void **state)
{
    (void)state;
    expect_exit(ON, "fill_and_collapse", 0);
    expect_exit(ON "hpa_hugify_sync:false", "fill_and_collapse", 0);
    assert_in_range(counted(ON "hpa_hugify_sync:true", "fill_and_collapse"), 28, 34);
}

static void chunks_are_purged_from_the_threshold_on(void **state)
{
    (void)state;
    const char *task = "thin_out_and_purge";
    assert_true(counted(ON "hpa_dirty_mult:0", task) > 0);
    assert_true(counted(ON "hpa_dirty_mult:0,hpa_purge_threshold:524288", task) > 0);
    expect_exit(ON "hpa_dirty_mult:0,hpa_purge_threshold:1572864", task, 0);
    expect_exit(ON "hpa_dirty_mult:0,hpa_purge_threshold_ratio:0.75", task, 0);
}

static void a_purge_breaks_up_so_many_huge_pages(void **state)
{
    (void)state;
    const char *task = "thin_out_and_break_up";
    assert_true(counted(ON "hpa_dirty_mult:0", task) > 0);
    expect_exit(ON "hpa_dirty_mult:0,experimental_hpa_max_purge_nhp:0", task, 0);
}

int main(int argc, char **argv)
{
    begin_tasks(argc, argv, tasks, sizeof tasks / sizeof tasks[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_is_dense_from_the_threshold_on),
        cmocka_unit_test(pages_are_copied_together_when_told),
        cmocka_unit_test(chunks_are_purged_from_the_threshold_on),
        cmocka_unit_test(a_purge_breaks_up_so_many_huge_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
