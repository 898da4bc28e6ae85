/* test_recent.c: goal: the list has the last samples as they were and ended, is told without a lock
 * while it changes, and what leaves it serves again.
 * Method: samples made by hand, and the text that follows from them; sinks that change the list, or
 * fork; the bytes of the allocator's own memory; threads that add, end, tell and set the limit.
 */
#include "unit_check.h"

#include "pages/meta.h"
#include "profile/recent.h"

#include <pthread.h>
#include <stdatomic.h>

enum { FRAMES = 3, MANY = 500 };

static const uintptr_t frames[FRAMES] = {0x401000, 0x7f0000001234, 0x55};
static struct profiled_thread *one;
static char text[1 << 20];

struct made {
    struct record *record;
    struct tally *tally;
    struct sample_size size;
};

/* Every number gives another size and another trace. */
static struct made make(unsigned number)
{
    uintptr_t own[FRAMES] = {frames[0] + number, frames[1], frames[2]};
    struct made made = {record_new(), NULL, {1000 + number, 900 + number, 65536, 19}};
    made.tally = tally_add(one, own, FRAMES, &made.size);
    (void)record_mark(made.record, made.tally, made.size.requested_bytes, made.size.usable_bytes);
    made.record->alloc_time_ns = 100 + number;
    recent_add(made.record, made.size.usable_bytes);
    return made;
}

static void end_by(struct made *made, struct profiled_thread *thread, struct trace *trace)
{
    struct sample_end end = {.tally = made->tally,
                             .alloc_time_ns = made->record->alloc_time_ns,
                             .free_time_ns = 777,
                             .thread = thread,
                             .trace = trace,
                             .usable_bytes = made->size.usable_bytes};
    recent_end(made->record, &end);
    tally_remove(made->tally, &made->size);
    record_free(made->record);
}

static void append(void *opaque, const char *piece)
{
    (void)opaque;
    strncat(text, piece, sizeof text - 1 - strlen(text));
}

static void tell(void)
{
    text[0] = '\0';
    recent_print(NULL, append, NULL);
}

static int set_up(void **state)
{
    (void)state;
    meta_start();
    tally_start(false);
    record_start();
    recent_start();
    one = tally_thread_begin();
    return 0;
}

static void the_text_is_jemallocs(void **state)
{
    (void)state;
    assert_false(record_is_wanted());
    assert_int_equal(recent_set_max(2), 0);
    assert_true(record_is_wanted());
    tell();
    assert_string_equal(text,
                        "{\"sample_interval\":524288,\"recent_alloc_max\":2,\"recent_alloc\":[]}");
    struct profiled_thread *two = tally_thread_begin();
    struct made first = make(0);
    struct made second = make(1);
    struct trace *trace = tally_trace_hold(frames + 2, 1);
    tally_thread_set_name(two, "a \"name\"");
    end_by(&second, two, trace);
    tally_trace_release(trace);
    tally_thread_end(two); /* The entry outlives thread, trace and block. */
    tell();
    assert_string_equal(
        text, "{\"sample_interval\":524288,\"recent_alloc_max\":2,\"recent_alloc\":["
              "{\"size\":900,\"usize\":1000,\"released\":false,\"alloc_thread_uid\":0,"
              "\"alloc_time\":100,\"alloc_trace\":[\"0x401000\",\"0x7f0000001234\",\"0x55\"]},"
              "{\"size\":901,\"usize\":1001,\"released\":true,\"alloc_thread_uid\":0,"
              "\"alloc_time\":101,\"alloc_trace\":[\"0x401001\",\"0x7f0000001234\",\"0x55\"],"
              "\"dalloc_thread_uid\":1,\"dalloc_thread_name\":\"a \\\"name\\\"\","
              "\"dalloc_time\":777,\"dalloc_trace\":[\"0x55\"]}]}");
    /* Ended by a thread that is not known any more, and without memory for a trace. */
    end_by(&first, NULL, NULL);
    tell();
    assert_non_null(strstr(text, "\"0x55\"],\"dalloc_time\":777},{\"size\":901,"));
    assert_int_equal(recent_set_max(0), 2);
    assert_false(record_is_wanted());
}

static unsigned entries_told(void)
{
    unsigned count = 0;
    tell();
    for (const char *at = text; (at = strstr(at, "\"usize\"")) != NULL; at++) {
        count++;
    }
    return count;
}

static void the_oldest_leave_first(void **state)
{
    (void)state;
    static struct made made[MANY];
    size_t before = 0;
    for (unsigned round = 0; round < 5; round++) {
        (void)recent_set_max(100);
        for (unsigned i = 0; i < MANY; i++) {
            made[i] = make(i);
            assert_true(recent_has(made[i].record));
            assert_true(i < 100 || !recent_has(made[i - 100].record));
        }
        assert_int_equal(entries_told(), 100);
        assert_ptr_equal(strstr(text, "\"usize\""), strstr(text, "\"usize\":1400,"));
        (void)recent_set_max(10);
        assert_int_equal(entries_told(), 10);
        (void)recent_set_max(-1);
        for (unsigned i = 0; i < MANY - 5; i++) {
            end_by(&made[i], one, NULL);
        }
        assert_int_equal(entries_told(), 10);
        (void)recent_set_max(0);
        assert_int_equal(entries_told(), 0);
        for (unsigned i = MANY - 5; i < MANY; i++) {
            assert_false(recent_has(made[i].record));
            end_by(&made[i], one, NULL);
        }
        before = round == 0 ? meta_bytes() : before;
    }
    assert_int_equal(meta_bytes(), before);
}

static struct made made_by_sink[MANY];
static unsigned made_count;

/* All that is told leaves the list, and its blocks end, at the first piece. */
static void append_and_replace(void *opaque, const char *piece)
{
    append(opaque, piece);
    if (made_count == 0) {
        (void)recent_set_max(3);
        for (unsigned i = 0; i < 20; i++) {
            end_by(&made_by_sink[i], one, NULL);
        }
    }
    made_by_sink[20 + made_count] = make(100 + made_count);
    made_count++;
}

static void a_list_that_changes_is_told_as_it_was(void **state)
{
    (void)state;
    (void)recent_set_max(20);
    for (unsigned i = 0; i < 20; i++) {
        made_by_sink[i] = make(i);
    }
    text[0] = '\0';
    recent_print(NULL, append_and_replace, NULL);
    assert_true(made_count > 3);
    const char *at = text;
    for (unsigned i = 0; i < 20; i++) {
        char wanted[96];
        snprintf(wanted, sizeof wanted, "\"size\":%u,\"usize\":%u,", 900 + i, 1000 + i);
        at = strstr(at, wanted);
        EXPECT(at != NULL, "%s is not in %s", wanted, text);
        snprintf(wanted, sizeof wanted, "\"alloc_trace\":[\"0x%x\"", 0x401000 + i);
        EXPECT(strstr(at, wanted) != NULL, "%s is not in %s", wanted, text);
    }
    assert_null(strstr(at, "\"usize\":110"));
    assert_int_equal(entries_told(), 3);
    (void)recent_set_max(0);
    for (unsigned i = 0; i < made_count; i++) {
        end_by(&made_by_sink[20 + i], one, NULL);
    }
}

/* In a child of another thread, which was telling the list, nobody tells it any more. */
static void reuse_in_child(void)
{
    recent_forked(0);
    size_t before = 0;
    for (unsigned i = 0; i < 1000; i++) {
        struct made made = make(i % 7);
        end_by(&made, one, NULL);
        before = i == 20 ? meta_bytes() : before;
    }
    CHILD_EXPECT(meta_bytes() == before);
}

static void fork_in_sink(void *opaque, const char *piece)
{
    if (*(bool *)opaque) {
        *(bool *)opaque = false;
        expect_good_end(run_in_child(reuse_in_child));
    }
    append(NULL, piece);
}

static void a_child_knows_that_nobody_tells(void **state)
{
    (void)state;
    bool first = true;
    (void)recent_set_max(10);
    struct made made = make(0);
    text[0] = '\0';
    recent_print(NULL, fork_in_sink, &first);
    assert_false(first);
    end_by(&made, one, NULL);
    (void)recent_set_max(0);
}

static _Atomic bool is_over;

static void *add_and_end(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 20000; i++) {
        struct record *record = record_new();
        if (record != NULL) {
            struct made made = {record, NULL, {64, 64, 65536, 19}};
            made.tally = tally_add(one, frames, 1 + i % FRAMES, &made.size);
            (void)record_mark(record, made.tally, 64, 64);
            recent_add(record, 64);
            struct trace *trace = tally_trace_hold(frames, i % FRAMES);
            end_by(&made, one, trace);
            tally_trace_release(trace);
        }
    }
    return NULL;
}

static void swallow(void *opaque, const char *piece)
{
    *(size_t *)opaque += strlen(piece);
}

static void *tell_often(void *unused)
{
    (void)unused;
    size_t length = 0;
    while (!atomic_load(&is_over)) {
        recent_print(NULL, swallow, &length);
    }
    return NULL;
}

static void threads_agree(void **state)
{
    (void)state;
    pthread_t workers[3];
    pthread_t tellers[2];
    (void)recent_set_max(50);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&workers[i], NULL, add_and_end, NULL), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&tellers[i], NULL, tell_often, NULL), 0);
    }
    for (int max = 0; max < 2000; max++) {
        (void)recent_set_max(max % 60);
    }
    (void)recent_set_max(30);
    for (unsigned i = 0; i < 3; i++) {
        (void)pthread_join(workers[i], NULL);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < 2; i++) {
        (void)pthread_join(tellers[i], NULL);
    }
    assert_true(entries_told() <= 30);
    (void)recent_set_max(0);
    assert_int_equal(entries_told(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_jemallocs),
        cmocka_unit_test(the_oldest_leave_first),
        cmocka_unit_test(a_list_that_changes_is_told_as_it_was),
        cmocka_unit_test(a_child_knows_that_nobody_tells),
        cmocka_unit_test(threads_agree),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
