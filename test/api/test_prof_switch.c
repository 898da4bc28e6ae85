/* test_prof_switch.c: goal: a process that was started without profiling can be profiled: the names
 * answer as documented before and after, all threads begin and end to sample at once, and blocks
 * from before, sampled or not, end as they should, sized deallocation included.
 * Method: workers allocate and free all the while, by malloc and sdallocx, and exchange blocks; the
 * main thread turns the switches. What is sampled is counted by prof.stats.
 */
#include "prof_check.h"

#include <pthread.h>
#include <stdatomic.h>

const char *malloc_conf = "prof_stats:true";

enum { WORKERS = 3, SHELF = 512 };

static _Atomic bool ends;
static _Atomic uint64_t rounds[WORKERS];
static _Atomic(char *) shelf[SHELF]; /* of blocks whose first byte is their size's code */

static size_t size_of_code(unsigned char code)
{
    return 1 + (size_t)code * code / 4; /* up to 16 KiB */
}

static char *new_block(unsigned char code)
{
    char *block = malloc(size_of_code(code));
    if (block == NULL) {
        abort();
    }
    block[0] = (char)code;
    return block;
}

static void *work(void *opaque)
{
    _Atomic uint64_t *round = opaque;
    uint64_t random = (uintptr_t)opaque;
    while (!atomic_load(&ends)) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        char *block = new_block((unsigned char)(random >> 40));
        char *old = atomic_exchange(&shelf[(random >> 20) % SHELF], block);
        if (old != NULL) {
            sdallocx(old, size_of_code((unsigned char)old[0]), 0);
        }
        atomic_fetch_add_explicit(round, 1, memory_order_relaxed);
    }
    return NULL;
}

static pthread_t workers[WORKERS];

static int start_workers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&workers[i], NULL, work, &rounds[i]), 0);
    }
    return 0;
}

/* Until each worker has begun and ended some rounds. */
static void wait_for_rounds(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        uint64_t before = atomic_load(&rounds[i]);
        while (atomic_load(&rounds[i]) < before + 100) {
            (void)usleep(100);
        }
    }
}

static void names_are_closed_before(void **state)
{
    (void)state;
    static const char *const closed[] = {"prof.thread_active_init", "thread.prof.active"};
    bool on = true;
    const char *name = "some thread";
    size_t lg_period = 0;
    assert_false(read_switch("opt.prof"));
    assert_false(read_switch("prof.active"));
    for (unsigned i = 0; i < 2; i++) {
        assert_false(read_switch(closed[i]));
        assert_int_equal(mallctl(closed[i], NULL, NULL, &on, sizeof on), ENOENT);
    }
    size_t length = sizeof name;
    assert_int_equal(mallctl("thread.prof.name", &name, &length, NULL, 0), ENOENT);
    assert_int_equal(mallctl("thread.prof.name", NULL, NULL, &name, sizeof name), ENOENT);
    assert_int_equal(mallctl("prof.reset", NULL, NULL, NULL, 0), ENOENT);
    assert_int_equal(mallctl("prof.reset", NULL, NULL, &lg_period, sizeof lg_period), ENOENT);
    set_switch("prof.active", false);
    assert_false(read_switch("prof.active"));
    assert_int_equal(samples_ever(), 0);
}

static void all_threads_begin_to_sample(void **state)
{
    (void)state;
    wait_for_rounds();
    set_switch("prof.active", true);
    assert_true(read_switch("prof.active"));
    assert_false(read_switch("opt.prof"));
    assert_true(read_switch("thread.prof.active"));
    assert_true(read_switch("prof.thread_active_init"));
    reset_samples(0);
    wait_for_rounds();
    /* All blocks that the workers make now are samples. */
    uint64_t before = samples_ever();
    uint64_t made = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        made -= atomic_load(&rounds[i]);
    }
    wait_for_rounds();
    for (unsigned i = 0; i < WORKERS; i++) {
        made += atomic_load(&rounds[i]);
    }
    uint64_t sampled = samples_ever() - before;
    EXPECT(sampled + WORKERS >= made, "%lu samples of %lu blocks", sampled, made);
}

static void a_name_is_cut_and_kept(void **state)
{
    (void)state;
    static const char *wrong[] = {"two\nlines", "bell\a", NULL};
    const char *name = "a name of more than fifteen";
    const char *read = NULL;
    size_t length = sizeof read;
    assert_int_equal(mallctl("thread.prof.name", &read, &length, NULL, 0), 0);
    assert_string_equal(read, "");
    assert_int_equal(mallctl("thread.prof.name", NULL, NULL, &name, sizeof name), 0);
    assert_int_equal(mallctl("thread.prof.name", &read, &length, NULL, 0), 0);
    assert_string_equal(read, "a name of more ");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(mallctl("thread.prof.name", NULL, NULL, &wrong[i], sizeof wrong[i]),
                         EINVAL);
    }
    assert_int_equal(mallctl("thread.prof.name", &read, &length, &name, sizeof name), EPERM);
    assert_string_equal(read, "a name of more ");
}

static void the_period_is_what_was_reset(void **state)
{
    (void)state;
    size_t length = sizeof(size_t);
    size_t period = 99;
    reset_samples(24);
    assert_int_equal(mallctl("prof.lg_sample", &period, &length, NULL, 0), 0);
    assert_int_equal(period, 24);
    assert_int_equal(mallctl("prof.reset", NULL, NULL, NULL, 0), 0);
    assert_int_equal(mallctl("prof.lg_sample", &period, &length, NULL, 0), 0);
    assert_int_equal(period, 24);
    /* Some 10 MiB at once are a sample with a probability of 1/2; 2^63 bytes never. */
    reset_samples(200);
    assert_int_equal(mallctl("prof.lg_sample", &period, &length, NULL, 0), 0);
    assert_int_equal(period, 63);
    wait_for_rounds();
    uint64_t before = samples_ever();
    wait_for_rounds();
    free(malloc((size_t)10 << 20));
    assert_int_equal(samples_ever(), before);
}

static void all_threads_end_to_sample(void **state)
{
    (void)state;
    reset_samples(0);
    wait_for_rounds();
    set_switch("prof.active", false);
    wait_for_rounds();
    uint64_t before = samples_ever();
    wait_for_rounds();
    assert_int_equal(samples_ever(), before);
}

static void switches_may_be_turned_at_any_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        set_switch("prof.active", i % 2 == 0);
        if (i % 5 == 0) {
            reset_samples(i % 3 == 0 ? 0 : i % 25);
        }
        (void)usleep(200);
    }
    set_switch("prof.active", false);
}

/* Also: none was lost, whichever way it was freed. */
static void all_samples_end(void **state)
{
    (void)state;
    atomic_store(&ends, true);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    }
    for (unsigned i = 0; i < SHELF; i++) {
        char *block = atomic_exchange(&shelf[i], NULL);
        if (block != NULL) {
            sdallocx(block, size_of_code((unsigned char)block[0]), 0);
        }
    }
    for (unsigned i = 0; i < ORACLE_SMALL_COUNT; i++) {
        struct samples live = samples_of_class(i, "live");
        EXPECT(live.count < 50, "%lu samples of %zu bytes live", live.count, oracle_class_size(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(names_are_closed_before, start_workers),
        cmocka_unit_test(all_threads_begin_to_sample),
        cmocka_unit_test(a_name_is_cut_and_kept),
        cmocka_unit_test(the_period_is_what_was_reset),
        cmocka_unit_test(all_threads_end_to_sample),
        cmocka_unit_test(switches_may_be_turned_at_any_time),
        cmocka_unit_test(all_samples_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
