/* test_purge.c: goal: unused pages go back when the policy says, lazily or for good, read as zero
 * when promised so, and no page that is in use is touched.
 * Method: page heaps of the test's own, with tags in each page of a live run; the clock is made up;
 * caps and peaks are small; pages that cannot be purged, or not lazily, are locked in memory.
 */
#include "page_heap_check.h"

#include "api/process.h"
#include "base/bits.h"
#include "os/os.h"
#include "pages/idle.h"
#include "pages/purge.h"

#include <sys/syscall.h>

static struct page_policy usual_policy;

static int start(void **state)
{
    (void)state;
    usual_policy = page_policy;
    return process_start() ? 0 : -1;
}

static int put_back(void **state)
{
    (void)state;
    page_policy = usual_policy;
    return 0;
}

static void purged_pages_read_as_zero_and_live_ones_stay(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    enum { COUNT = 100 };
    struct run *runs[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        runs[i] = must_alloc(&heap, 1 + i % 9);
        tag_pages(runs[i], 0, i);
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        run_free(runs[i], runs[i]->page_count);
    }
    size_t dirty = heap.stage[STAGE_DIRTY].page_count;
    assert_true(dirty > 0);
    page_heap_purge(&heap, 0);
    expect_valid(&heap);
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 0);
    assert_int_equal(heap.stage[STAGE_DIRTY].purged_pages, dirty);
    assert_int_equal(heap.stage[STAGE_DIRTY].purge_count, 1);
    assert_true(heap.stage[STAGE_DIRTY].purge_call_count >= 1);
    for (unsigned i = 0; i < COUNT; i += 2) {
        bool zeroed = false;
        runs[i] = run_alloc(&heap, request_of(1 + i % 9, 1, LARGE_NONE), &zeroed);
        assert_true(zeroed);
        assert_true(bytes_are(runs[i]->first, bytes_of(runs[i]), 0));
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(i % 2 == 0 || has_tags(runs[i], i));
        run_free(runs[i], runs[i]->page_count);
    }
    expect_empty(&heap);
}

static void unused_pages_go_when_their_time_is_over(void **state)
{
    (void)state;
    /* Only the curve shall purge here. */
    page_policy.dirty_cap_bytes = (size_t)1 << 40;
    struct page_heap heap;
    /* So long an epoch that the real clock, which is read when runs are freed, stands still. */
    const uint64_t epoch_ns = 3600ull * 1000000000;
    page_heap_init(&heap, NULL, 3600 * 1000 * (int64_t)DECAY_STEPS);
    struct run *runs[10];
    for (unsigned i = 0; i < 10; i++) {
        runs[i] = must_alloc(&heap, 100);
    }
    for (unsigned i = 1; i < 10; i++) {
        run_free(runs[i], 100);
    }
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 900);
    uint64_t now = os_time_ns();
    page_heap_decay(&heap, now);
    page_heap_decay(&heap, now + epoch_ns);
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 900);
    size_t former = 900;
    for (unsigned epoch = 2; epoch <= DECAY_STEPS + 2; epoch++) {
        page_heap_decay(&heap, now + epoch * epoch_ns);
        assert_true(heap.stage[STAGE_DIRTY].page_count <= former);
        former = heap.stage[STAGE_DIRTY].page_count;
        if (epoch == DECAY_STEPS / 4) {
            expect_valid(&heap);
            assert_true(former > 0);
        }
    }
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 0);
    run_free(runs[0], 100);
    expect_empty(&heap);
}

static void unused_pages_never_pass_the_cap(void **state)
{
    (void)state;
    struct page_heap heap;
    page_policy.dirty_cap_bytes = 300 * PAGE_BYTES;
    page_policy.dirty_cap_divisor = 4;
    page_heap_init(&heap, NULL, 3600 * 1000);
    enum { COUNT = 60 };
    struct run *runs[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        runs[i] = must_alloc(&heap, 64);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        run_free(runs[i], 64);
        /* The share that was allowed at the last look, when more pages were active. */
        size_t cap = COUNT * 64 / 4;
        assert_true(heap.stage[STAGE_DIRTY].page_count + heap.recent_pages <= cap);
        expect_valid(&heap);
    }
    assert_true(heap.stage[STAGE_DIRTY].purge_count > 0);
    expect_empty(&heap);
}

static bool lock_in_memory(const struct run *run)
{
    return syscall(SYS_mlock, run->first, bytes_of(run)) == 0;
}

/* Unused pages of a size that the growth cannot use would add to the peak. */
static void at_a_new_peak_unused_pages_make_room(void **state)
{
    (void)state;
    enum { SMALL = 4, PAIRS = 1000 };
    static struct run *runs[2 * PAIRS];
    struct page_heap heap;
    page_policy.dirty_cap_bytes = (size_t)1 << 40;
    page_heap_init(&heap, NULL, 10000);
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        runs[i] = must_alloc(&heap, SMALL);
    }
    for (unsigned i = 0; i < 2 * PAIRS; i += 2) {
        run_free(runs[i], SMALL);
    }
    /* Below the peak all of them stay. */
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, PAIRS * SMALL);
    size_t peak = heap.peak_active_pages;
    assert_int_equal(peak, 2 * PAIRS * SMALL);
    struct run *first = NULL;
    unsigned count = 0;
    while (heap.active_pages <= peak) {
        struct run *run = must_alloc(&heap, 2 * SMALL);
        run->next = first;
        first = run;
        count++;
        size_t slack = larger(peak / SLACK_DIVISOR, SLACK_PAGES);
        assert_true(heap.active_pages + heap.stage[STAGE_DIRTY].page_count <=
                    peak + slack + 2 * SMALL);
    }
    assert_true(heap.stage[STAGE_DIRTY].purged_pages > PAIRS * SMALL - PAIRS);
    /* Few calls for many pages. */
    assert_true(heap.stage[STAGE_DIRTY].purge_count < count / 4);
    expect_valid(&heap);
    while (first != NULL) {
        struct run *run = first;
        first = run->next;
        run_free(run, 0);
    }
    for (unsigned i = 1; i < 2 * PAIRS; i += 2) {
        run_free(runs[i], SMALL);
    }
    expect_empty(&heap);
}

static void pages_that_the_program_locked_in_memory_are_purged_too(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *keeper = must_alloc(&heap, 1);
    struct run *stuck = must_alloc(&heap, 8);
    char *first = stuck->first;
    if (!lock_in_memory(stuck)) {
        run_free(stuck, 8);
        run_free(keeper, 1);
        expect_empty(&heap);
        skip();
    }
    memset(first, 3, 8 * PAGE_BYTES);
    run_free(stuck, 8);
    page_heap_purge(&heap, 0);
    expect_valid(&heap);
    /* Linux has a call for it from 5.18 on; before, they stay dirty. */
    assert_true(heap.stage[STAGE_DIRTY].page_count == 0 || heap.stage[STAGE_DIRTY].page_count == 8);
    assert_int_equal(heap.stage[STAGE_DIRTY].purged_pages, 8 - heap.stage[STAGE_DIRTY].page_count);
    assert_int_equal(syscall(SYS_munlock, first, 8 * PAGE_BYTES), 0);
    run_free(keeper, 1);
    page_heap_purge(&heap, 0);
    expect_empty(&heap);
}

/* A heap whose dirty pages stay until they are purged, and its muzzy ones for ever. */
static void init_with_muzzy(struct page_heap *heap, int64_t decay_ms)
{
    page_heap_init(heap, NULL, decay_ms);
    page_heap_set_decay(heap, STAGE_MUZZY, DECAY_NEVER);
}

static void expect_stages(const struct page_heap *heap, size_t dirty, size_t muzzy)
{
    expect_valid(heap);
    assert_int_equal(heap->stage[STAGE_DIRTY].page_count, dirty);
    assert_int_equal(heap->stage[STAGE_MUZZY].page_count, muzzy);
}

/* The system does not take them while it has memory, so a wrong promise shows. */
static void muzzy_pages_are_never_promised_to_be_zero(void **state)
{
    (void)state;
    struct page_heap heap;
    init_with_muzzy(&heap, 0);
    struct run *keeper = must_alloc(&heap, 1);
    struct run *run = must_alloc(&heap, 10);
    unsigned page = run->page;
    memset(run->first, 5, bytes_of(run));
    run_free(run, 10);
    expect_stages(&heap, 0, 10);
    assert_int_equal(heap.stage[STAGE_DIRTY].purged_pages, 10);
    assert_int_equal(heap.stage[STAGE_MUZZY].purge_call_count, 0);
    /* All of them, the rest with clean pages behind it, clean pages alone. */
    bool zeroed = true;
    run = run_alloc(&heap, request_of(4, 1, LARGE_NONE), &zeroed);
    assert_int_equal(run->page, page);
    assert_false(zeroed);
    expect_stages(&heap, 0, 6);
    struct run *mixed = run_alloc(&heap, request_of(20, 1, LARGE_NONE), &zeroed);
    assert_int_equal(mixed->page, page + 4);
    assert_false(zeroed);
    expect_stages(&heap, 0, 0);
    struct run *clean = run_alloc(&heap, request_of(20, 1, LARGE_NONE), &zeroed);
    assert_true(zeroed);
    assert_true(bytes_are(clean->first, bytes_of(clean), 0));
    /* Nobody touched it, but what was muzzy is not clean again. */
    run_free(mixed, 0);
    expect_stages(&heap, 0, 6);
    run_free(clean, 0);
    run_free(run, 0);
    run_free(keeper, 0);
    expect_empty(&heap);
}

static void a_run_grows_over_muzzy_pages(void **state)
{
    (void)state;
    struct page_heap heap;
    init_with_muzzy(&heap, 0);
    bool zeroed;
    struct run *run = run_alloc(&heap, request_of(5, 1, 1), &zeroed);
    struct run *behind = must_alloc(&heap, 10);
    memset(behind->first, 5, bytes_of(behind));
    run_free(behind, 10);
    expect_stages(&heap, 0, 10);
    assert_true(run_grow(run, 8, 4));
    expect_stages(&heap, 0, 7);
    assert_int_equal(bits_count_range(run->chunk->dirty, run->page, 8), 3);
    run_shrink(run, 1, 1);
    expect_stages(&heap, 0, 14);
    run_free(run, 1);
    expect_empty(&heap);
}

/* Looks three times, a minute apart: what came before the second look is gone at the third. */
static void pass_time(struct page_heap *heap)
{
    const uint64_t minute_ns = 60000ull * 1000000;
    const uint64_t now = os_time_ns();
    for (unsigned i = 0; i < 3; i++) {
        page_heap_decay(heap, now + i * minute_ns);
    }
}

static void a_chunk_of_muzzy_pages_stays_until_they_are_clean(void **state)
{
    (void)state;
    struct page_heap heap;
    init_with_muzzy(&heap, 0);
    for (unsigned way = 0; way < 3; way++) {
        size_t spare_bytes = chunk_pool_statistics().spare_bytes;
        struct run *run = must_alloc(&heap, 100);
        struct chunk *chunk = run->chunk;
        memset(run->first, 1, bytes_of(run));
        run_free(run, 100);
        expect_stages(&heap, 0, 100);
        assert_int_equal(heap.chunk_count, 1);
        assert_ptr_equal(chunk->heap, &heap);
        if (way == 0) {
            page_heap_purge(&heap, 0);
        } else if (way == 1) {
            page_heap_set_decay(&heap, STAGE_MUZZY, 0);
            page_heap_set_decay(&heap, STAGE_MUZZY, 10000);
        } else {
            pass_time(&heap);
        }
        expect_stages(&heap, 0, 0);
        assert_int_equal(heap.chunk_count, 0);
        assert_null(chunk->heap);
        assert_true(chunk_pool_statistics().spare_bytes >= spare_bytes);
        assert_int_equal(heap.stage[STAGE_MUZZY].purged_pages, 100 * (way + 1));
        assert_int_equal(heap.stage[STAGE_MUZZY].purge_count, way + 1);
        assert_int_equal(heap.stage[STAGE_MUZZY].purge_call_count, way + 1);
    }
    expect_empty(&heap);
}

static void a_purge_of_muzzy_pages_leaves_their_dirty_neighbours(void **state)
{
    (void)state;
    struct page_heap heap;
    init_with_muzzy(&heap, 10000);
    struct run *runs[4];
    for (unsigned i = 0; i < 4; i++) {
        runs[i] = must_alloc(&heap, 10);
        memset(runs[i]->first, 1, bytes_of(runs[i]));
    }
    run_free(runs[0], 10);
    run_free(runs[2], 10);
    pass_time(&heap);
    expect_stages(&heap, 0, 20);
    run_free(runs[1], 10);
    expect_stages(&heap, 10, 20);
    page_heap_set_decay(&heap, STAGE_MUZZY, 0);
    expect_stages(&heap, 10, 0);
    assert_int_equal(heap.stage[STAGE_MUZZY].purge_call_count, 2);
    run_free(runs[3], 10);
    expect_empty(&heap);
}

static void pages_pass_both_stages_in_their_times(void **state)
{
    (void)state;
    page_policy.dirty_cap_bytes = (size_t)1 << 40;
    struct page_heap heap;
    const uint64_t epoch_ns = 3600ull * 1000000000;
    const int64_t decay_ms = 3600 * 1000 * (int64_t)DECAY_STEPS;
    page_heap_init(&heap, NULL, decay_ms);
    page_heap_set_decay(&heap, STAGE_MUZZY, decay_ms);
    struct run *keeper = must_alloc(&heap, 1);
    struct run *runs[10];
    for (unsigned i = 0; i < 10; i++) {
        runs[i] = must_alloc(&heap, 45);
    }
    for (unsigned i = 0; i < 10; i++) {
        run_free(runs[i], 45);
    }
    const uint64_t now = os_time_ns();
    size_t most_muzzy = 0;
    for (unsigned epoch = 0; epoch <= 2 * DECAY_STEPS + 4; epoch++) {
        page_heap_decay(&heap, now + epoch * epoch_ns);
        size_t dirty = heap.stage[STAGE_DIRTY].page_count;
        size_t muzzy = heap.stage[STAGE_MUZZY].page_count;
        expect_valid(&heap);
        assert_int_equal(heap.stage[STAGE_DIRTY].purged_pages, 450 - dirty);
        assert_int_equal(heap.stage[STAGE_MUZZY].purged_pages, 450 - dirty - muzzy);
        assert_true(epoch <= DECAY_STEPS + 2 || dirty == 0);
        most_muzzy = muzzy > most_muzzy ? muzzy : most_muzzy;
    }
    assert_true(most_muzzy > 0);
    expect_stages(&heap, 0, 0);
    run_free(keeper, 0);
    expect_empty(&heap);
}

/* Whether the freeing thread looks at the clock for them, also when dirty pages go at once. */
static void muzzy_pages_go_while_runs_are_freed(void **state)
{
    (void)state;
    enum { MUZZY_PAGES = 100, ROUNDS_MAX = 400, RUNS_A_ROUND = 40 };
    static const int64_t decays_ms[] = {0, 1};
    for (unsigned i = 0; i < 2; i++) {
        struct page_heap heap;
        page_heap_init(&heap, NULL, decays_ms[i]);
        page_heap_set_decay(&heap, STAGE_MUZZY, 1);
        struct run *keeper = must_alloc(&heap, 1);
        run_free(must_alloc(&heap, MUZZY_PAGES), MUZZY_PAGES);
        for (unsigned round = 0;
             round < ROUNDS_MAX && heap.stage[STAGE_MUZZY].purged_pages < MUZZY_PAGES; round++) {
            (void)usleep(5000);
            for (unsigned run = 0; run < RUNS_A_ROUND; run++) {
                run_free(must_alloc(&heap, 1), 0);
            }
        }
        assert_true(heap.stage[STAGE_MUZZY].purged_pages >= MUZZY_PAGES - 1);
        expect_valid(&heap);
        run_free(keeper, 0);
        expect_empty(&heap);
    }
}

/* Linux refuses it for memory that is locked. */
static void what_cannot_be_purged_lazily_is_purged_for_good(void **state)
{
    (void)state;
    struct page_heap heap;
    init_with_muzzy(&heap, 0);
    struct run *keeper = must_alloc(&heap, 1);
    struct run *stuck = must_alloc(&heap, 8);
    char *first = stuck->first;
    if (!lock_in_memory(stuck)) {
        run_free(stuck, 0);
        run_free(keeper, 0);
        expect_empty(&heap);
        skip();
    }
    memset(first, 3, 8 * PAGE_BYTES);
    run_free(stuck, 8);
    /* Where locked memory cannot be purged at all (Linux before 5.18) it stays dirty. */
    bool purgeable = os_purge(first, 8 * PAGE_BYTES);
    expect_stages(&heap, purgeable ? 0 : 8, 0);
    if (purgeable) {
        bool zeroed;
        stuck = run_alloc(&heap, request_of(8, 1, LARGE_NONE), &zeroed);
        assert_ptr_equal(stuck->first, first);
        assert_true(zeroed);
        assert_true(bytes_are(first, 8 * PAGE_BYTES, 0));
        run_free(stuck, 0);
    }
    assert_int_equal(syscall(SYS_munlock, first, 8 * PAGE_BYTES), 0);
    run_free(keeper, 0);
    expect_empty(&heap);
}

/* Makes pages unused in each of the ways that must call: a run, one kept whole, the end of one. */
static void unuse(struct page_heap *heap, unsigned way)
{
    struct run *run = run_alloc_large(heap, 9, 3);
    assert_non_null(run);
    if (way == 0) {
        run_free_large(run);
        return;
    }
    if (way == 1) {
        run_shrink(run, 5, 0);
    }
    run_free(run, run->page_count);
}

static void expect_calls(int64_t muzzy_decay_ms)
{
    struct page_heap heap;
    page_heap_init(&heap, NULL, 3600 * 1000 * (int64_t)DECAY_STEPS);
    page_heap_set_decay(&heap, STAGE_MUZZY, muzzy_decay_ms);
    struct run *keeper = must_alloc(&heap, 1);
    uint64_t now = os_time_ns();
    idle_start(0);
    alarm(60); /* A call that is missing makes the sleep last. */
    for (unsigned i = 0; i < 6; i++) {
        idle_look(0);
        unuse(&heap, i % 3);
        idle_sleep(0);
        assert_false(heap.calls_helper);
        /* Further ones do not even come to where it would be made. */
        assert_true(heap.purge_from_pages > 0);
        for (; page_heap_look(&heap, now); now += 3600ull * 1000000000) {
            assert_false(heap.calls_helper);
        }
        assert_int_equal(page_stock_unused(&heap), 0);
        assert_true(muzzy_decay_ms < 0 || heap.stage[STAGE_MUZZY].page_count == 0);
        assert_true(heap.calls_helper);
    }
    alarm(0);
    run_free(keeper, 1);
    expect_empty(&heap);
}

/* Purged pages that come back by growing in place tell against the purge as much as those of a new
 * run. */
static void growing_over_purged_pages_counts_as_regret(void **state)
{
    (void)state;
    enum { PAGES = 200 };
    struct page_heap heap;
    page_heap_init(&heap, NULL, 10000);
    struct run *run = run_alloc_large(&heap, PAGES, 20);
    assert_non_null(run);
    run_shrink(run, 1, 0);
    page_heap_purge(&heap, 0);
    size_t reused = heap.growth.reused_pages;
    size_t regret = heap.regret_pages;
    assert_true(run_grow(run, PAGES, 20));
    assert_int_equal(heap.growth.reused_pages, reused + PAGES - 1);
    assert_int_equal(heap.regret_pages, regret + PAGES - 1);
    run_free_large(run);
    expect_empty(&heap);
}

/* Holes of 40 sizes, used one at a time: together far more than the peak of the active pages. */
static void a_program_that_swings_past_its_peak_keeps_more(void **state)
{
    (void)state;
    enum { LEAST = 20, SIZES = 40, ROUNDS = 30 };
    struct page_heap heap;
    struct run *plugs[SIZES];
    struct run *holes[SIZES];
    uint64_t calls[ROUNDS];
    page_policy.dirty_cap_bytes = (size_t)1 << 40;
    page_heap_init(&heap, NULL, 3600 * 1000);
    for (unsigned i = 0; i < SIZES; i++) {
        holes[i] = must_alloc(&heap, LEAST + i);
        plugs[i] = must_alloc(&heap, 1);
    }
    for (unsigned i = 0; i < SIZES; i++) {
        run_free(holes[i], 0);
    }
    heap.peak_active_pages = heap.active_pages;
    size_t slack = heap.growth.slack_pages;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < SIZES; i++) {
            run_free(must_alloc(&heap, LEAST + i), LEAST + i);
        }
        calls[round] = heap.stage[STAGE_DIRTY].purge_call_count;
        expect_valid(&heap);
    }
    assert_true(calls[0] > 0);
    assert_true(heap.growth.slack_pages > slack);
    assert_int_equal(calls[ROUNDS - 1], calls[ROUNDS / 2]);
    for (unsigned i = 0; i < SIZES; i++) {
        run_free(plugs[i], 0);
    }
    expect_empty(&heap);
}

static size_t slack_after(size_t purged_pages, size_t reused_pages, uint64_t age_ns)
{
    struct page_heap heap;
    page_heap_init(&heap, NULL, 10000);
    heap.growth =
        (struct growth){4 * SLACK_PAGES, purged_pages, reused_pages, os_time_coarse_ns() - age_ns};
    lock_acquire(&heap.lock);
    purge_for_growth(&heap);
    lock_release(&heap.lock);
    return heap.growth.slack_pages;
}

static void purges_for_the_peak_are_judged_by_what_comes_back_soon(void **state)
{
    (void)state;
    const uint64_t second_ns = 1000000000;
    assert_int_equal(slack_after(2000, 1500, second_ns), 8 * SLACK_PAGES);
    assert_int_equal(slack_after(2000, 500, second_ns), 2 * SLACK_PAGES);
    /* Few pages say nothing yet, and an old window says nothing at all. */
    assert_int_equal(slack_after(200, 150, second_ns), 4 * SLACK_PAGES);
    assert_int_equal(slack_after(2000, 1500, 60 * second_ns), 4 * SLACK_PAGES);
}

static int small_os_pages(void **state)
{
    os_page_bytes = PAGE_BYTES;
    return put_back(state);
}

/* On large OS pages holes of a few pages cannot be purged: not each growth may try again. */
static void what_the_system_refuses_is_not_tried_at_each_growth(void **state)
{
    (void)state;
    enum { HOLE = 4, HOLES = 200, GROWTHS = 50 };
    struct page_heap heap;
    struct run *runs[2 * HOLES];
    struct run *more[GROWTHS];
    os_page_bytes = 16 * PAGE_BYTES;
    page_policy.dirty_cap_bytes = (size_t)1 << 40;
    page_heap_init(&heap, NULL, 3600 * 1000);
    for (unsigned i = 0; i < 2 * HOLES; i++) {
        runs[i] = must_alloc(&heap, HOLE);
    }
    for (unsigned i = 0; i < 2 * HOLES; i += 2) {
        run_free(runs[i], HOLE);
    }
    heap.peak_active_pages = heap.active_pages;
    for (unsigned i = 0; i < GROWTHS; i++) {
        more[i] = must_alloc(&heap, HOLE + 1);
    }
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, HOLES * HOLE);
    assert_int_equal(heap.stage[STAGE_DIRTY].purge_count, 1);
    for (unsigned i = 0; i < GROWTHS; i++) {
        run_free(more[i], 0);
    }
    assert_int_equal(heap.stage[STAGE_DIRTY].purge_count, 1);
    for (unsigned i = 1; i < 2 * HOLES; i += 2) {
        run_free(runs[i], 0);
    }
    expect_empty(&heap);
}

static void a_clean_heap_calls_the_helper_once(void **state)
{
    (void)state;
    expect_calls(0);
    expect_calls(3600 * 1000 * (int64_t)DECAY_STEPS);
    expect_calls(DECAY_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purged_pages_read_as_zero_and_live_ones_stay),
        cmocka_unit_test_teardown(unused_pages_go_when_their_time_is_over, put_back),
        cmocka_unit_test_teardown(unused_pages_never_pass_the_cap, put_back),
        cmocka_unit_test_teardown(at_a_new_peak_unused_pages_make_room, put_back),
        cmocka_unit_test(pages_that_the_program_locked_in_memory_are_purged_too),
        cmocka_unit_test(muzzy_pages_are_never_promised_to_be_zero),
        cmocka_unit_test(a_run_grows_over_muzzy_pages),
        cmocka_unit_test(a_chunk_of_muzzy_pages_stays_until_they_are_clean),
        cmocka_unit_test(a_purge_of_muzzy_pages_leaves_their_dirty_neighbours),
        cmocka_unit_test_teardown(pages_pass_both_stages_in_their_times, put_back),
        cmocka_unit_test(muzzy_pages_go_while_runs_are_freed),
        cmocka_unit_test(growing_over_purged_pages_counts_as_regret),
        cmocka_unit_test_teardown(a_program_that_swings_past_its_peak_keeps_more, put_back),
        cmocka_unit_test(purges_for_the_peak_are_judged_by_what_comes_back_soon),
        cmocka_unit_test_teardown(what_the_system_refuses_is_not_tried_at_each_growth,
                                  small_os_pages),
        cmocka_unit_test(a_clean_heap_calls_the_helper_once),
        cmocka_unit_test(what_cannot_be_purged_lazily_is_purged_for_good),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
