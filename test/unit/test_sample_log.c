/* test_sample_log.c: goal: a log has each end of a sampled block between its begin and its end,
 * with places of threads and traces that hold; a file is whole or not there; what a log kept serves
 * the next one.
 * Method: ends made by hand, and the text that follows from them; files in a folder; the bytes of
 * the allocator's own memory; threads that add while logs come and go.
 */
#include "unit_check.h"

#include "base/print.h"
#include "config/options.h"
#include "os/os.h"
#include "pages/meta.h"
#include "profile/dump.h"
#include "profile/dump_file.h"
#include "profile/sample_log.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MANY = 1000 };

static const uintptr_t frames[4] = {0x401000, 0x7f0000001234, 0x55, 0x66};
static char folder[] = "/tmp/test_sample_log_XXXXXX";
static char path[sizeof folder + 32];
static char *text;
static char told[1024];
static struct profiled_thread *one;

static void hear(void *opaque, const char *message_text)
{
    (void)opaque;
    size_t used = strlen(told);
    snprintf(told + used, sizeof told - used, "%s", message_text);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.json", folder);
    meta_start();
    tally_start(false);
    record_start();
    dump_start();
    sample_log_start();
    one = tally_thread_begin();
    message_sink = hear;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    free(text);
    (void)unlink(path);
    return rmdir(folder);
}

static void read_log(const char *from)
{
    FILE *file = fopen(from, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t length = (size_t)ftell(file);
    rewind(file);
    text = realloc(text, length + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, length, file), length);
    text[length] = '\0';
    (void)fclose(file);
}

/* A block that was made at frames[from] and ends at frames[to], by some thread. */
static void add(unsigned from, unsigned to, struct profiled_thread *by, size_t usable_bytes)
{
    struct sample_size size = {usable_bytes, usable_bytes, 65536, 19};
    struct tally *tally = tally_add(one, frames + from, 1, &size);
    struct trace *trace = tally_trace_hold(frames + to, 1);
    struct sample_end end = {tally, 5, 7, by, trace, usable_bytes};
    sample_log_add(&end);
    tally_trace_release(trace);
    tally_remove(tally, &size);
}

static void the_text_is_jemallocs(void **state)
{
    (void)state;
    struct profiled_thread *two = tally_thread_begin();
    add(0, 1, one, 8); /* There is no log yet. */
    uint64_t before = os_time_ns();
    assert_true(sample_log_begin(path));
    assert_true(record_is_wanted());
    add(0, 1, two, 64);
    add(2, 0, one, 128);
    add(0, 1, NULL, 192);
    tally_thread_set_name(two, "t\\wo");
    tally_thread_end(two); /* The log outlives it. */
    assert_true(sample_log_end("1.2 \"v\""));
    uint64_t longest = os_time_ns() - before;
    assert_false(record_is_wanted());
    add(0, 1, one, 8);
    read_log(path);
    static const char head[] = "{\"info\":{\"duration\":";
    assert_true(strncmp(text, head, sizeof head - 1) == 0);
    char *rest;
    uint64_t duration = strtoull(text + sizeof head - 1, &rest, 10);
    assert_true(duration > 0 && duration <= longest);
    char expected[2048];
    snprintf(expected, sizeof expected,
             ",\"version\":\"1.2 \\\"v\\\"\",\"lg_sample_rate\":19,"
             "\"prof_time_resolution\":\"default\",\"pid\":%d},"
             "\"threads\":[{\"thr_uid\":0,\"thr_name\":\"\"},"
             "{\"thr_uid\":1,\"thr_name\":\"t\\\\wo\"},{\"thr_uid\":2,\"thr_name\":\"\"}],"
             "\"stack_traces\":[[\"0x401000\"],[\"0x7f0000001234\"],[\"0x55\"]],"
             "\"allocations\":["
             "{\"alloc_thread\":0,\"free_thread\":1,\"alloc_trace\":0,\"free_trace\":1,"
             "\"alloc_timestamp\":5,\"free_timestamp\":7,\"usize\":64},"
             "{\"alloc_thread\":0,\"free_thread\":0,\"alloc_trace\":2,\"free_trace\":0,"
             "\"alloc_timestamp\":5,\"free_timestamp\":7,\"usize\":128},"
             "{\"alloc_thread\":0,\"free_thread\":2,\"alloc_trace\":0,\"free_trace\":1,"
             "\"alloc_timestamp\":5,\"free_timestamp\":7,\"usize\":192}]}",
             getpid());
    assert_string_equal(rest, expected);
}

static unsigned count_of(const char *word)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        count++;
    }
    return count;
}

static void a_log_of_any_length_leaves_nothing(void **state)
{
    (void)state;
    size_t before = 0;
    for (unsigned round = 0; round < 6; round++) {
        assert_true(sample_log_begin(path));
        struct profiled_thread *two = tally_thread_begin();
        for (unsigned i = 0; i < MANY; i++) {
            add(i % 4, (i + 1) % 4, i % 2 == 0 ? two : NULL, 1000 + i);
        }
        tally_thread_end(two);
        assert_true(sample_log_end("v"));
        before = round == 0 ? meta_bytes() : before;
        read_log(path);
        assert_int_equal(count_of("\"usize\""), MANY);
        assert_int_equal(count_of("[\"0x"), 4);
        assert_int_equal(count_of("thr_uid"), 3);
        assert_non_null(strstr(text, "\"usize\":1999}]}"));
    }
    assert_int_equal(meta_bytes(), before);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static char longest[DUMP_PATH_BYTES + 1];
    memset(longest, 'x', DUMP_PATH_BYTES);
    assert_false(sample_log_end("v"));
    assert_false(sample_log_begin(longest));
    assert_true(options_apply("prof_prefix:"));
    assert_false(sample_log_begin(NULL));
    assert_true(options_apply("prof_prefix:jeprof"));
    assert_true(sample_log_begin("/nowhere/a"));
    assert_false(sample_log_begin(path));
    add(0, 1, one, 64);
    assert_false(sample_log_end("v"));
    assert_false(sample_log_end("v"));
    assert_string_equal(told, "");
    assert_true(sample_log_begin("/nowhere/a"));
    sample_log_end_at_exit("v");
    assert_string_equal(told, "<jemalloc>: failed to write the log \"/nowhere/a\"\n");
    sample_log_end_at_exit("v"); /* There is none. */
    assert_string_equal(strchr(told, '\n'), "\n");
    assert_false(sample_log_end("v"));
}

static void times_are_of_the_chosen_clock(void **state)
{
    (void)state;
    assert_int_equal(record_time_shift(), 0);
    options.prof_time_resolution = TIME_HIGH;
    uint64_t before = os_time_of_day_ns();
    uint64_t shown = record_shown_time(os_time_ns(), record_time_shift());
    uint64_t after = os_time_of_day_ns();
    /* Two clocks are not read at once. */
    assert_true(shown >= before - 1000000000 && shown <= after + 1000000000);
    assert_int_equal(record_shown_time(0, record_time_shift()), 0);
    assert_true(sample_log_begin(path));
    assert_true(sample_log_end("v"));
    read_log(path);
    assert_non_null(strstr(text, "\"prof_time_resolution\":\"high\""));
    options.prof_time_resolution = TIME_DEFAULT;
}

/* A name of its own belongs to the process that began the log. */
static void end_in_child(void)
{
    add(1, 2, one, 64);
    sample_log_end_at_exit("v");
}

static void children_leave_a_named_log_alone(void **state)
{
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_true(sample_log_begin(path));
    expect_good_end(run_in_child(end_in_child));
    assert_int_equal(access(path, F_OK), -1);
    sample_log_end_at_exit("v");
    read_log(path);
    assert_int_equal(count_of("\"usize\""), 0);
}

static _Atomic bool is_over;

static void *add_often(void *unused)
{
    (void)unused;
    struct profiled_thread *own = tally_thread_begin();
    for (unsigned i = 0; !atomic_load(&is_over); i++) {
        add(i % 4, i % 3, own, 64);
    }
    tally_thread_end(own);
    return NULL;
}

static void threads_add_while_logs_come_and_go(void **state)
{
    (void)state;
    enum { THREADS = 3, LOGS = 30 };
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_often, NULL), 0);
    }
    for (unsigned i = 0; i < LOGS; i++) {
        assert_true(sample_log_begin(path));
        add(0, 1, one, 4711);
        assert_true(sample_log_end("v"));
        read_log(path);
        assert_int_equal(count_of("\"usize\":4711}"), 1);
        assert_true(count_of("thr_uid") <= 1 + THREADS);
        assert_true(count_of("[\"0x") <= 4);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_jemallocs),
        cmocka_unit_test(a_log_of_any_length_leaves_nothing),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(times_are_of_the_chosen_clock),
        cmocka_unit_test(children_leave_a_named_log_alone),
        cmocka_unit_test(threads_add_while_logs_come_and_go),
    };
    return cmocka_run_group_tests(tests, set_up, finish);
}
