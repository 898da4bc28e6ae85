/* test_dump_trigger.c: goal: intervals and peaks make profiles due, and each that is due is written
 * once; what is told of leaks is right to the word, in the singular too.
 * Method: counts and mapped sizes by hand; files in a folder of its own; the end of a child.
 */
#include "unit_check.h"

#include "api/process.h"
#include "base/print.h"
#include "config/options.h"
#include "control/profiling.h"
#include "profile/draw.h"
#include "profile/dump.h"
#include "profile/dump_trigger.h"

#include <dirent.h>

static char folder[] = "/tmp/test_dump_trigger_XXXXXX";
static char told[1024];

static void hear(void *opaque, const char *text)
{
    (void)opaque;
    size_t used = strlen(told);
    snprintf(told + used, sizeof told - used, "%s", text);
}

static int start(void **state)
{
    (void)state;
    char prefix[64];
    assert_non_null(mkdtemp(folder));
    snprintf(prefix, sizeof prefix, "%s/a", folder);
    assert_true(process_start());
    profiling_prepare();
    message_sink = hear;
    return dump_set_prefix(prefix) ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* Removes the files, each of which has this letter. Result: how many. */
static unsigned take_files(char letter)
{
    DIR *entries = opendir(folder);
    unsigned count = 0;
    char path[512];
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        unsigned number;
        char found;
        if (entry->d_name[0] != '.') {
            assert_int_equal(sscanf(entry->d_name, "a.%*u.%u.%c", &number, &found), 2);
            assert_int_equal(found, letter);
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            assert_int_equal(unlink(path), 0);
            count++;
        }
    }
    (void)closedir(entries);
    return count;
}

static unsigned serve(char letter)
{
    if (dump_is_due()) {
        dump_serve();
    }
    assert_false(dump_is_due());
    return take_files(letter);
}

static void intervals_make_one_due_each(void **state)
{
    (void)state;
    const uint64_t one = (uint64_t)1 << WEIGHT_BITS;
    assert_false(dump_counts());
    assert_int_equal(dump_interval_bytes(), 0);
    assert_true(options_apply("lg_prof_interval:10"));
    assert_true(dump_counts());
    assert_int_equal(dump_interval_bytes(), 1024);
    dump_count(one, 1023);
    assert_int_equal(serve('i'), 0);
    dump_count(one, 1);
    assert_int_equal(serve('i'), 1);
    assert_int_equal(serve('i'), 0);
    dump_count(one / 2, 2046);
    assert_int_equal(serve('i'), 0);
    dump_count(5 * one, 10);
    assert_int_equal(serve('i'), 1);
    /* Several that wait are one. */
    dump_count(one, 10000);
    dump_count(one, 10000);
    assert_int_equal(serve('i'), 1);
    assert_true(options_apply("lg_prof_interval:-1"));
}

static void peaks_make_one_due_each(void **state)
{
    (void)state;
    mapped_change(1000);
    assert_int_equal(serve('u'), 0);
    (void)mapped_watch_peak(true);
    mapped_change(1);
    assert_int_equal(serve('u'), 1);
    mapped_change(-1);
    mapped_change(1);
    assert_int_equal(serve('u'), 0);
    (void)mapped_watch_peak(false);
    mapped_change(-1001);
}

static unsigned served;

static void serve_within(const char *path)
{
    (void)path;
    served++;
    atomic_store(&dump_interval_is_over, true);
    dump_serve();
}

/* What its hook makes due waits for the next place. */
static void one_is_served_at_a_time(void **state)
{
    (void)state;
    (void)dump_set_hook(serve_within);
    atomic_store(&dump_interval_is_over, true);
    dump_serve();
    assert_int_equal(served, 1);
    assert_true(dump_is_due());
    assert_int_equal(take_files('i'), 1);
    (void)dump_set_hook(NULL);
    dump_forked();
    assert_int_equal(serve('i'), 1);
}

static void add_leak(size_t usable, uint64_t weight, uintptr_t frame)
{
    struct sample_size size = {usable, usable, weight, 19};
    struct profiled_thread *thread = tally_thread_begin();
    CHILD_EXPECT(tally_add(thread, &frame, 1, &size) != NULL);
}

static void expect_told(const char *expected)
{
    if (strcmp(told, expected) != 0) {
        dprintf(STDERR_FILENO, "not \"%s\" but \"%s\"\n", expected, told);
        _exit(99);
    }
    told[0] = '\0';
    CHILD_EXPECT(take_files('f') == 1);
}

static void leak(void)
{
    const uint64_t one = (uint64_t)1 << WEIGHT_BITS;
    dump_at_exit();
    expect_told("");
    CHILD_EXPECT(options_apply("prof_leak:true"));
    dump_at_exit();
    expect_told("");
    add_leak(1, one, 1);
    dump_at_exit();
    expect_told("<jemalloc>: Leak approximation summary: ~1 byte, ~1 object, >= 1 context\n"
                "<jemalloc>: Run jeprof on dump output for leak detail\n");
    add_leak(10, 5 * one / 2, 1);
    dump_at_exit();
    expect_told("<jemalloc>: Leak approximation summary: ~26 bytes, ~4 objects, >= 1 context\n"
                "<jemalloc>: Run jeprof on dump output for leak detail\n");
    add_leak(100, one, 2);
    dump_at_exit();
    expect_told("<jemalloc>: Leak approximation summary: ~126 bytes, ~5 objects, >= 2 contexts\n"
                "<jemalloc>: Run jeprof on dump output for leak detail\n");
    CHILD_EXPECT(options_apply("prof_leak_error:true"));
    dump_at_exit();
    _exit(7);
}

static void leaks_are_told_to_the_word(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        leak();
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_int_equal(take_files('f'), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_make_one_due_each),
        cmocka_unit_test(peaks_make_one_due_each),
        cmocka_unit_test(one_is_served_at_a_time),
        cmocka_unit_test(leaks_are_told_to_the_word),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
