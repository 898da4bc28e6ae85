/* test_tally.c: goal: tallies hold the sums of the samples that live, by trace and thread, whoever
 * frees them; what is over serves again.
 * Method: random samples beside a naive model of all pairs of 40 traces and 5 threads; the bytes of
 * the allocator's own memory before and after; threads that free each other's samples, with walks
 * meanwhile; a table that keeps all sums, in a child.
 */
#include "unit_check.h"

#include "pages/meta.h"
#include "profile/draw.h"
#include "profile/tally.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TRACES = 40, THREADS = 5, SAMPLES = 2000, STEPS = 100000 };

static uintptr_t frames[TRACES][TRACE_DEPTH_MAX + 10];
static unsigned depths[TRACES];

/* Traces that differ in their first frame, their last one, or their depth alone. */
static int make_traces(void **state)
{
    (void)state;
    meta_start();
    tally_start(false);
    for (unsigned i = 0; i < TRACES; i++) {
        depths[i] = i == 0 ? 0 : i < 10 ? i : i < 20 ? 16 : i < 39 ? 17 + i : TRACE_DEPTH_MAX;
        for (unsigned j = 0; j < depths[i]; j++) {
            frames[i][j] = 0x1000 + j;
        }
        if (i >= 10 && i < 20) {
            frames[i][i % 2 == 0 ? 0 : 15] += i;
        }
    }
    return 0;
}

static unsigned below(uint64_t *random, unsigned end)
{
    return (unsigned)(draw_bits(random) % end);
}

static struct sample_size random_size(uint64_t *random)
{
    uint64_t bits = draw_bits(random);
    size_t usable = 8 + bits % 100000;
    return (struct sample_size){usable, usable - (bits >> 32) % 8, 65536 + (bits >> 40), 19};
}

struct sample {
    struct tally *tally;
    struct sample_size size;
    unsigned trace;
    unsigned thread;
};

static struct tally_sums model[TRACES][THREADS];
static struct profiled_thread *threads[THREADS];

static void count(struct tally_sums *sums, const struct sample_size *size, bool comes)
{
    uint64_t sign = comes ? 1 : (uint64_t)-1;
    sums->objects += sign;
    sums->usable_bytes += sign * size->usable_bytes;
    sums->requested_bytes += sign * size->requested_bytes;
    sums->weighted_objects += sign * size->weight;
    sums->weighted_bytes += sign * ((size->weight * size->usable_bytes) >> WEIGHT_BITS);
}

static unsigned trace_of(const struct tally *tally)
{
    for (unsigned i = 0; i < TRACES; i++) {
        size_t bytes = tally->trace->depth * sizeof frames[0][0];
        if (tally->trace->depth == depths[i] &&
            memcmp(tally->trace->frame, frames[i], bytes) == 0) {
            return i;
        }
    }
    fail_msg("a trace of %u frames that nobody sampled", tally->trace->depth);
    return 0;
}

static void compare(const struct tally *tally, void *opaque)
{
    unsigned *visited = opaque;
    unsigned trace = trace_of(tally);
    for (unsigned i = 0; i < THREADS; i++) {
        if (threads[i] == tally->thread) {
            assert_memory_equal(&tally->live, &model[trace][i], sizeof tally->live);
            assert_true(tally->live.objects > 0);
            ++*visited;
        }
    }
}

static void expect_model(void)
{
    unsigned visited = 0;
    unsigned expected = 0;
    tally_visit(compare, &visited);
    for (unsigned i = 0; i < TRACES * THREADS; i++) {
        expected += model[i / THREADS][i % THREADS].objects > 0;
    }
    assert_int_equal(visited, expected);
}

static void add_model(struct tally_sums *sums, const struct tally_sums *more)
{
    sums->objects += more->objects;
    sums->usable_bytes += more->usable_bytes;
    sums->requested_bytes += more->requested_bytes;
    sums->weighted_objects += more->weighted_objects;
    sums->weighted_bytes += more->weighted_bytes;
}

/* The counts of a walk's trace and of each of its tallies, which it consumes. Result: its number.
 */
static unsigned expect_walked_trace(struct tally_walk *walk, const struct trace *trace,
                                    const struct tally_counts *counts)
{
    struct tally like = {.trace = (struct trace *)trace};
    unsigned number = trace_of(&like);
    struct tally_sums sum = {.objects = 0};
    struct tally_counts each;
    uint64_t thread;
    while (tally_walk_tally(walk, &each, &thread)) {
        assert_true(thread >= threads[0]->number && thread <= threads[THREADS - 1]->number);
        struct tally_sums *expected = &model[number][thread - threads[0]->number];
        assert_memory_equal(&each.live, expected, sizeof each.live);
        add_model(&sum, &each.live);
    }
    assert_memory_equal(&counts->live, &sum, sizeof sum);
    return number;
}

/* A walk meets each trace with live blocks once, and its sums are those of the model. */
static void expect_walk(void)
{
    bool met[TRACES] = {false};
    struct tally_walk walk;
    struct tally_counts counts;
    struct tally_sums whole = {.objects = 0};
    struct tally_sums of_threads = {.objects = 0};
    const struct trace *trace;
    uint64_t traces = 0;
    tally_walk_begin(&walk);
    while ((trace = tally_walk_trace(&walk, &counts)) != NULL) {
        unsigned number = expect_walked_trace(&walk, trace, &counts);
        assert_false(met[number]);
        met[number] = true;
        traces++;
        add_model(&whole, &counts.live);
    }
    struct profiled_thread *thread = NULL;
    while ((thread = tally_walk_thread(&walk, thread)) != NULL) {
        add_model(&of_threads, &thread->walk_counts.live);
    }
    assert_int_equal(walk.trace_count, traces);
    assert_memory_equal(&walk.counts.live, &whole, sizeof whole);
    assert_memory_equal(&of_threads, &whole, sizeof whole);
    tally_walk_end(&walk);
}

static void sums_agree_with_a_model(void **state)
{
    (void)state;
    static struct sample samples[SAMPLES];
    uint64_t random = 7;
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = tally_thread_begin();
        assert_non_null(threads[i]);
        assert_true(i == 0 || threads[i]->number == threads[i - 1]->number + 1);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        struct sample *sample = &samples[below(&random, SAMPLES)];
        if (sample->tally != NULL) {
            tally_remove(sample->tally, &sample->size);
            count(&model[sample->trace][sample->thread], &sample->size, false);
        }
        *sample = (struct sample){NULL, random_size(&random), below(&random, TRACES),
                                  below(&random, THREADS)};
        if (step < STEPS - 2 * SAMPLES) {
            sample->tally = tally_add(threads[sample->thread], frames[sample->trace],
                                      depths[sample->trace], &sample->size);
            assert_non_null(sample->tally);
            count(&model[sample->trace][sample->thread], &sample->size, true);
        }
        if (step % 5000 == 0) {
            expect_model();
            expect_walk();
        }
    }
    for (unsigned i = 0; i < SAMPLES; i++) {
        if (samples[i].tally != NULL) {
            tally_remove(samples[i].tally, &samples[i].size);
            count(&model[samples[i].trace][samples[i].thread], &samples[i].size, false);
        }
    }
    expect_model();
    for (unsigned i = 0; i < THREADS; i++) {
        tally_thread_end(threads[i]);
    }
}

static void note_depth(const struct tally *tally, void *opaque)
{
    *(unsigned *)opaque = tally->trace->depth;
}

static void surplus_frames_are_cut(void **state)
{
    (void)state;
    struct sample_size size = {100, 90, 65536, 19};
    struct profiled_thread *thread = tally_thread_begin();
    unsigned depth = 0;
    struct tally *tally = tally_add(thread, frames[TRACES - 1], TRACE_DEPTH_MAX + 10, &size);
    tally_visit(note_depth, &depth);
    assert_int_equal(depth, TRACE_DEPTH_MAX);
    tally_remove(tally, &size);
    tally_thread_end(thread);
}

/* Rounds of new threads, each with traces of its own. */
static void what_is_over_serves_again(void **state)
{
    (void)state;
    enum { ROUNDS = 50 };
    struct sample_size size = {100, 90, 65536, 19};
    size_t before = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct tally *tallies[SAMPLES];
        struct profiled_thread *thread = tally_thread_begin();
        for (unsigned i = 0; i < SAMPLES; i++) {
            uintptr_t own[20] = {round * SAMPLES + i};
            tallies[i] = tally_add(thread, own, 1 + i % 20, &size);
            assert_ptr_equal(tally_add(thread, own, 1 + i % 20, &size), tallies[i]);
        }
        tally_thread_end(thread); /* Its samples outlive it. */
        assert_true(tallies[0]->thread == thread);
        for (unsigned i = 0; i < 2 * SAMPLES; i++) {
            tally_remove(tallies[i / 2], &size);
        }
        before = round == 0 ? meta_bytes() : before;
    }
    assert_int_equal(meta_bytes(), before);
}

/* So many that some share a chain of the table. */
static void threads_at_one_trace_have_tallies_of_their_own(void **state)
{
    (void)state;
    static struct tally *tallies[SAMPLES];
    static struct profiled_thread *each[SAMPLES];
    struct sample_size size = {100, 90, 65536, 19};
    for (unsigned i = 0; i < SAMPLES; i++) {
        each[i] = tally_thread_begin();
        tallies[i] = tally_add(each[i], frames[9], depths[9], &size);
        assert_ptr_equal(tallies[i]->thread, each[i]);
        assert_int_equal(tallies[i]->live.objects, 1);
    }
    for (unsigned i = 0; i < SAMPLES; i++) {
        tally_remove(tallies[i], &size);
        tally_thread_end(each[i]);
    }
}

/* What is freed, and comes anew, where a walk stands: it goes on, and what is over ends with it. */
static void a_walk_keeps_its_place(void **state)
{
    (void)state;
    enum { OWN = 3 };
    struct sample_size size = {100, 90, 65536, 19};
    struct profiled_thread *own[OWN];
    struct tally *tallies[OWN];
    struct tally_walk walk;
    struct tally_counts counts;
    uint64_t number;
    size_t before = meta_bytes();
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < OWN; i++) {
            own[i] = tally_thread_begin();
            tallies[i] = tally_add(own[i], frames[9], depths[9], &size);
        }
        tally_walk_begin(&walk);
        const struct trace *trace = tally_walk_trace(&walk, &counts);
        assert_int_equal(trace->depth, depths[9]);
        assert_int_equal(counts.live.objects, OWN);
        assert_int_equal(walk.counts.live.objects, OWN);
        assert_true(round % 3 == 0 || tally_walk_tally(&walk, &counts, &number));
        for (unsigned i = 0; i < OWN; i++) {
            tally_remove(tallies[i], &size);
            tally_thread_end(own[i]);
        }
        assert_memory_equal(trace->frame, frames[9], depths[9] * sizeof frames[9][0]);
        unsigned left = 0;
        while (tally_walk_tally(&walk, &counts, &number)) {
            assert_int_equal(counts.live.objects, 0);
            left++;
        }
        assert_int_equal(left, 1);
        if (round % 2 == 0) {
            assert_null(tally_walk_trace(&walk, &counts));
        }
        tally_walk_end(&walk);
        before = round == 0 ? meta_bytes() : before;
    }
    assert_int_equal(meta_bytes(), before);
    expect_model();
}

/* So many traces that some share a chain of the table: each walk meets all of them, and leaves them
 * as they are. */
static void walks_meet_traces_of_one_chain(void **state)
{
    (void)state;
    static struct tally *tallies[SAMPLES];
    struct sample_size size = {100, 90, 65536, 19};
    struct profiled_thread *thread = tally_thread_begin();
    struct tally_walk walk;
    struct tally_counts counts;
    for (unsigned i = 0; i < SAMPLES; i++) {
        uintptr_t own[2] = {0x5000, i};
        tallies[i] = tally_add(thread, own, 2, &size);
    }
    for (unsigned round = 0; round < 3; round++) {
        unsigned met = 0;
        tally_walk_begin(&walk);
        assert_int_equal(walk.trace_count, SAMPLES);
        while (tally_walk_trace(&walk, &counts) != NULL) {
            assert_int_equal(counts.live.objects, 1);
            met++;
        }
        assert_int_equal(met, SAMPLES);
        tally_walk_end(&walk);
    }
    for (unsigned i = 0; i < SAMPLES; i++) {
        tally_remove(tallies[i], &size);
    }
    tally_thread_end(thread);
    expect_model();
}

/* A reset in the middle of a walk ends the trace that it stands on; later ones are not met. */
static void a_reset_ends_what_a_walk_stands_on(void **state)
{
    (void)state;
    enum { OWN = 4 };
    struct sample_size size = {100, 90, 65536, 19};
    struct profiled_thread *own[OWN];
    struct tally *tallies[OWN];
    struct tally_walk walk;
    struct tally_counts counts;
    uint64_t number;
    size_t before = 0;
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < OWN; i++) {
            own[i] = tally_thread_begin();
            tallies[i] = tally_add(own[i], frames[9], depths[9], &size);
        }
        tally_walk_begin(&walk);
        assert_non_null(tally_walk_trace(&walk, &counts));
        assert_int_equal(counts.live.objects, OWN);
        assert_true(tally_walk_tally(&walk, &counts, &number));
        for (unsigned i = 0; i < round % OWN; i++) {
            tally_remove(tallies[i], &size);
        }
        tally_reset();
        assert_true(tally_walk_tally(&walk, &counts, &number));
        assert_false(tally_walk_tally(&walk, &counts, &number));
        assert_null(tally_walk_trace(&walk, &counts));
        tally_walk_end(&walk);
        for (unsigned i = round % OWN; i < OWN; i++) {
            tally_remove(tallies[i], &size);
        }
        for (unsigned i = 0; i < OWN; i++) {
            tally_thread_end(own[i]);
        }
        before = round < OWN ? meta_bytes() : before;
    }
    assert_int_equal(meta_bytes(), before);
    expect_model();
}

/* Each thread frees what another one sampled. */
enum { WORKERS = 4, HANDED = 64, ROUNDS_EACH = 20000 };
static _Atomic(struct tally *) handed[HANDED];
static const struct sample_size handed_size = {4096, 4000, 131072, 19};

static void *work(void *opaque)
{
    uint64_t random = (uintptr_t)opaque;
    struct profiled_thread *thread = tally_thread_begin();
    for (unsigned i = 0; i < ROUNDS_EACH; i++) {
        unsigned trace = below(&random, TRACES);
        struct tally *tally = tally_add(thread, frames[trace], depths[trace], &handed_size);
        tally = atomic_exchange(&handed[below(&random, HANDED)], tally);
        if (tally != NULL) {
            tally_remove(tally, &handed_size);
        }
    }
    tally_thread_end(thread);
    return NULL;
}

static void count_tallies(const struct tally *tally, void *opaque)
{
    assert_true(tally->live.objects > 0);
    ++*(unsigned *)opaque;
}

static void threads_free_what_others_sampled(void **state)
{
    (void)state;
    pthread_t workers[WORKERS];
    for (uintptr_t i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&workers[i], NULL, work, (void *)i), 0);
    }
    struct tally_walk walk;
    struct tally_counts counts;
    for (unsigned i = 0; i < 200; i++) {
        tally_walk_begin(&walk);
        while (tally_walk_trace(&walk, &counts) != NULL) {
            uint64_t objects = 0;
            uint64_t number;
            while (tally_walk_tally(&walk, &counts, &number)) {
                objects += counts.live.objects;
            }
            assert_true(objects <= HANDED + WORKERS);
        }
        tally_walk_end(&walk);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(workers[i], NULL), 0);
    }
    for (unsigned i = 0; i < HANDED; i++) {
        if (handed[i] != NULL) {
            tally_remove(handed[i], &handed_size);
        }
    }
    unsigned left = 0;
    tally_visit(count_tallies, &left);
    assert_int_equal(left, 0);
}

static void check_all(const struct tally *tally, void *opaque)
{
    ++*(unsigned *)opaque;
    CHILD_EXPECT(tally->live.objects == 0 && tally->live.weighted_bytes == 0);
    CHILD_EXPECT(tally->all.objects == 3 && tally->all.usable_bytes == 3 * 4096);
}

static void keep_all(void)
{
    tally_start(true);
    struct profiled_thread *thread = tally_thread_begin();
    for (unsigned i = 0; i < 3 * TRACES; i++) {
        struct tally *tally =
            tally_add(thread, frames[i % TRACES], depths[i % TRACES], &handed_size);
        CHILD_EXPECT(tally != NULL);
        tally_remove(tally, &handed_size);
    }
    unsigned visited = 0;
    tally_visit(check_all, &visited);
    CHILD_EXPECT(visited == TRACES);
}

static void all_sums_stay_where_they_are_kept(void **state)
{
    (void)state;
    expect_good_end(run_in_child(keep_all));
}

/* Held without a tally, then with some, then without again. */
static void a_trace_stays_while_it_is_held(void **state)
{
    (void)state;
    struct sample_size size = {100, 90, 65536, 19};
    size_t before = 0;
    for (unsigned round = 0; round < 100; round++) {
        uintptr_t own[2] = {0x7000, round};
        struct trace *trace = tally_trace_hold(own, 2);
        struct profiled_thread *thread = tally_thread_begin();
        uint64_t number = thread->number;
        assert_non_null(trace);
        assert_ptr_equal(tally_trace_hold(own, 2), trace);
        struct tally *tally = tally_add(thread, own, 2, &size);
        assert_ptr_equal(tally->trace, trace);
        tally_trace_release(trace);
        tally_trace_hold_more(trace);
        tally_thread_hold(thread);
        tally_thread_end(thread);
        tally_remove(tally, &size);
        tally_trace_release(trace);
        uintptr_t other[2] = {0x7001, round};
        struct trace *another = tally_trace_hold(other, 2);
        assert_ptr_not_equal(another, trace);
        assert_int_equal(trace->depth, 2);
        assert_memory_equal(trace->frame, own, sizeof own);
        assert_int_equal(thread->number, number);
        tally_trace_release(another);
        tally_trace_release(trace);
        tally_thread_end(thread);
        before = round == 0 ? meta_bytes() : before;
    }
    assert_int_equal(meta_bytes(), before);
    expect_model();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_agree_with_a_model),
        cmocka_unit_test(surplus_frames_are_cut),
        cmocka_unit_test(what_is_over_serves_again),
        cmocka_unit_test(threads_at_one_trace_have_tallies_of_their_own),
        cmocka_unit_test(a_walk_keeps_its_place),
        cmocka_unit_test(walks_meet_traces_of_one_chain),
        cmocka_unit_test(a_reset_ends_what_a_walk_stands_on),
        cmocka_unit_test(a_trace_stays_while_it_is_held),
        cmocka_unit_test(threads_free_what_others_sampled),
        cmocka_unit_test(all_sums_stay_where_they_are_kept),
    };
    return cmocka_run_group_tests(tests, make_traces, NULL);
}
