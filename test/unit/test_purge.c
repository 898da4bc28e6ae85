/* test_purge.c: goal: unused pages go back when the policy says, read as zero then, and no page
 * that is in use is touched. Method: page heaps of the test's own, with tags in each page of a live
 * run; the clock is made up; caps and peaks are small; pages that cannot be purged are locked in
 * memory.
 */
#include "page_heap_check.h"

#include "api/process.h"
#include "os/os.h"

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
    enum { SMALL = 4, PAIRS = 1000, SLACK = 128 };
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
        size_t slack = peak / 32 > SLACK ? peak / 32 : SLACK;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purged_pages_read_as_zero_and_live_ones_stay),
        cmocka_unit_test_teardown(unused_pages_go_when_their_time_is_over, put_back),
        cmocka_unit_test_teardown(unused_pages_never_pass_the_cap, put_back),
        cmocka_unit_test_teardown(at_a_new_peak_unused_pages_make_room, put_back),
        cmocka_unit_test(pages_that_the_program_locked_in_memory_are_purged_too),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
