/* test_hpa.c: goal: dense chunks become huge pages when their delay is over and not before, in each
 * style; purges take what exceeds the share, from chunks and at times that the policy allows; and
 * all is undone when chunks leave.
 * Method: page heaps of the test's own, policies set by hand, clocks that are handed in; the flags
 * of mappings in /proc/self/smaps; a madvise() of the test's own, which does what other threads
 * might do while a huge page is made.
 */
#include "page_heap_check.h"

#include "api/process.h"
#include "os/os.h"
#include "pages/extent.h"
#include "pages/hpa.h"
#include "pages/idle.h"
#include "pages/purge.h"

#include <sys/syscall.h>

enum { MS = 1000000, DONTNEED_LOCKED = 24 };

static const struct hpa_policy plain = {
    .on = true,
    .style = HPA_STYLE_LAZY,
    .dense_pages = 400,
    .purge_pages = 1,
    .dirty_mult = 1 << 14,
    .hugify_delay_ms = 1000,
    .purge_interval_ms = 0,
    .purged_huge_max = -1,
};

static int start(void **state)
{
    (void)state;
    return process_start() ? 0 : -1;
}

/* What happens during the next call that asks for huge pages. */
static struct {
    void (*meanwhile)(struct page_heap *heap);
    struct page_heap *heap;
    struct run *runs[2];
    bool refuses_purges;
    unsigned refused;
} during;

/* Calls that asked for huge pages, and for small ones. */
static uint64_t asked_huge;
static uint64_t asked_small;

int madvise(void *address, size_t size_bytes, int advice)
{
    void (*meanwhile)(struct page_heap * heap) = during.meanwhile;
    if (advice == MADV_HUGEPAGE && meanwhile != NULL) {
        during.meanwhile = NULL;
        meanwhile(during.heap);
    }
    asked_huge += advice == MADV_HUGEPAGE;
    asked_small += advice == MADV_NOHUGEPAGE;
    if (during.refuses_purges && (advice == MADV_DONTNEED || advice == DONTNEED_LOCKED)) {
        during.refused++;
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, address, size_bytes, advice);
}

static int switch_off(void **state)
{
    (void)state;
    hpa_policy = (struct hpa_policy){.on = false};
    memset(&during, 0, sizeof during);
    atomic_store(&idle_maker, NULL);
    return 0;
}

static bool wants_huge_pages(const void *address)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    char line[512];
    bool here = false;
    bool wants = false;
    while (fgets(line, sizeof line, smaps) != NULL) {
        unsigned long from;
        unsigned long to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            here = from <= (uintptr_t)address && (uintptr_t)address < to;
        } else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            wants = strstr(line, " hg") != NULL;
        }
    }
    fclose(smaps);
    return wants;
}

static void work_at(struct page_heap *heap, uint64_t now_ns)
{
    lock_acquire(&heap->lock);
    hpa_work(heap, now_ns);
    lock_release(&heap->lock);
    expect_valid(heap);
}

static void drop(struct page_heap *heap, struct run *one, struct run *other)
{
    run_free(one, 0);
    run_free(other, 0);
    expect_empty(heap);
}

static void dense_chunks_become_huge_pages_after_their_delay(void **state)
{
    (void)state;
    hpa_policy = plain;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *sparse = must_alloc(&heap, 256);
    assert_false(hpa_waits(&heap, 0));
    uint64_t before = os_time_coarse_ns();
    struct run *dense = must_alloc(&heap, 200);
    struct chunk *chunk = dense->chunk;
    assert_ptr_equal(chunk, sparse->chunk);
    assert_int_equal(chunk->hpa_state, HPA_WAITING);
    assert_true(hpa_waits(&heap, 0));
    work_at(&heap, before + 999 * MS);
    assert_int_equal(heap.hpa.hugifies, 0);
    assert_false(wants_huge_pages(chunk->base));
    work_at(&heap, os_time_coarse_ns() + 1000 * MS);
    assert_int_equal(heap.hpa.hugifies, 1);
    assert_int_equal(heap.hpa.huge_chunks, 1);
    assert_int_equal(chunk->hpa_state, HPA_HUGE);
    assert_true(wants_huge_pages(chunk->base));
    assert_false(hpa_waits(&heap, 0));
    run_free(dense, 200);
    run_free(sparse, 256);
    expect_empty(&heap);
    assert_int_equal(heap.hpa.dehugifies, 1);
    assert_int_equal(heap.hpa.huge_chunks, 0);
    assert_false(wants_huge_pages(chunk->base));
}

static void who_is_dense_no_more_stays_small(void **state)
{
    (void)state;
    hpa_policy = plain;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *one = must_alloc(&heap, 256);
    struct run *other = must_alloc(&heap, 200);
    assert_int_equal(one->chunk->hpa_state, HPA_WAITING);
    run_free(other, 0);
    work_at(&heap, os_time_coarse_ns() + 2000 * MS);
    assert_int_equal(heap.hpa.hugifies, 0);
    assert_int_equal(one->chunk->hpa_state, HPA_SMALL);
    /* It may wait again, and leave while it does. */
    other = must_alloc(&heap, 200);
    assert_int_equal(one->chunk->hpa_state, HPA_WAITING);
    drop(&heap, other, one);
    assert_null(heap.hpa.first);
    assert_null(heap.hpa.last);
}

static void who_is_dense_again_with_dirty_pages_waits_again(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *one = must_alloc(&heap, 256);
    struct run *other = must_alloc(&heap, 200);
    struct chunk *chunk = one->chunk;
    run_free(other, 200);
    work_at(&heap, os_time_coarse_ns() + 2000 * MS);
    assert_int_equal(chunk->hpa_state, HPA_SMALL);
    other = must_alloc(&heap, 100);
    assert_int_equal(chunk->hpa_state, HPA_SMALL);
    assert_true(run_grow(other, 200, 0));
    assert_int_equal(chunk->hpa_state, HPA_WAITING);
    run_free(other, 200);
    work_at(&heap, os_time_coarse_ns() + 2000 * MS);
    other = must_alloc(&heap, 200);
    assert_int_equal(chunk->hpa_state, HPA_WAITING);
    drop(&heap, other, one);
}

static void each_style_has_its_moment(void **state)
{
    (void)state;
    for (unsigned style = HPA_STYLE_NONE; style <= HPA_STYLE_LAZY; style++) {
        hpa_policy = plain;
        hpa_policy.style = style;
        hpa_policy.hugify_delay_ms = 0;
        struct page_heap heap;
        page_heap_init(&heap, NULL, DECAY_NEVER);
        struct run *run = must_alloc(&heap, 10);
        assert_int_equal(heap.hpa.hugifies, style == HPA_STYLE_EAGER);
        struct run *rest = must_alloc(&heap, 256);
        struct run *more = must_alloc(&heap, 200);
        work_at(&heap, os_time_coarse_ns());
        assert_int_equal(heap.hpa.hugifies, style != HPA_STYLE_NONE);
        run_free(run, 0);
        run_free(rest, 0);
        run_free(more, 0);
        expect_empty(&heap);
    }
}

static void a_refused_collapse_is_counted(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.collapses = true;
    hpa_policy.hugify_delay_ms = 0;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *one = must_alloc(&heap, 256);
    /* Nothing is touched: there is nothing to collapse. */
    struct run *other = must_alloc(&heap, 256);
    assert_int_equal(heap.hpa.hugifies, 1);
    assert_true(heap.hpa.hugify_failures <= 1);
    drop(&heap, one, other);
    /* Those that are huge from the start have nothing to copy. */
    hpa_policy.style = HPA_STYLE_EAGER;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    one = must_alloc(&heap, 256);
    assert_int_equal(heap.hpa.hugifies, 1);
    assert_int_equal(heap.hpa.hugify_failures, 0);
    run_free(one, 0);
    expect_empty(&heap);
}

static void memory_of_hooks_is_left_alone(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.hugify_delay_ms = 0;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    page_heap_set_hooks(&heap, extent_default_hooks(), 7);
    assert_true(page_heap_grow(&heap, 256));
    struct run *one = must_alloc(&heap, 256);
    struct run *other = must_alloc(&heap, 256);
    struct chunk *chunk = one->chunk;
    assert_ptr_equal(chunk, other->chunk);
    assert_non_null(chunk->extent);
    work_at(&heap, os_time_coarse_ns());
    assert_int_equal(chunk->hpa_state, HPA_SMALL);
    assert_int_equal(heap.hpa.hugifies, 0);
    assert_false(wants_huge_pages(chunk->base));
    drop(&heap, one, other);
}

/* A chunk that becomes huge at the next work, during which that happens. */
static struct chunk *make_dense(struct page_heap *heap, void (*meanwhile)(struct page_heap *heap))
{
    page_heap_init(heap, NULL, DECAY_NEVER);
    during.runs[0] = must_alloc(heap, 256);
    during.runs[1] = must_alloc(heap, 200);
    during.heap = heap;
    during.meanwhile = meanwhile;
    assert_int_equal(during.runs[0]->chunk->hpa_state, HPA_WAITING);
    return during.runs[0]->chunk;
}

static void free_all(struct page_heap *heap)
{
    assert_true(lock_try(&heap->lock));
    lock_release(&heap->lock);
    run_free(during.runs[0], 256);
    run_free(during.runs[1], 200);
    page_heap_purge(heap, 0);
    expect_valid(heap);
    assert_int_equal(heap->active_pages, 0);
    assert_int_equal(heap->stage[STAGE_DIRTY].page_count, 0);
    assert_int_equal(heap->chunk_count, 1);
}

static void a_huge_page_is_made_without_the_lock(void **state)
{
    (void)state;
    hpa_policy = plain;
    struct page_heap heap;
    struct chunk *chunk = make_dense(&heap, free_all);
    work_at(&heap, os_time_coarse_ns() + 1000 * MS);
    assert_null(during.meanwhile);
    assert_int_equal(heap.hpa.hugifies, 1);
    assert_int_equal(heap.hpa.dehugifies, 1);
    assert_int_equal(heap.hpa.huge_chunks, 0);
    assert_int_equal(heap.hpa.making_chunks, 0);
    assert_false(wants_huge_pages(chunk->base));
    expect_empty(&heap);
}

static void purge_and_work(struct page_heap *heap)
{
    run_free(during.runs[1], 200);
    hpa_policy.dirty_mult = 0;
    work_at(heap, os_time_coarse_ns() + 1000 * MS);
    assert_int_equal(heap->stage[STAGE_DIRTY].page_count, 200);
    during.runs[1] = must_alloc(heap, 200);
}

static void a_chunk_that_becomes_huge_is_not_purged(void **state)
{
    (void)state;
    hpa_policy = plain;
    struct page_heap heap;
    struct chunk *chunk = make_dense(&heap, purge_and_work);
    work_at(&heap, os_time_coarse_ns() + 1000 * MS);
    assert_int_equal(chunk->hpa_state, HPA_HUGE);
    assert_int_equal(heap.hpa.purges, 0);
    run_free(during.runs[0], 256);
    run_free(during.runs[1], 200);
    expect_empty(&heap);
}

static void fork_meanwhile(struct page_heap *heap)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        page_heap_forget_others(heap);
        bool is_small = during.runs[0]->chunk->hpa_state == HPA_SMALL;
        run_free(during.runs[0], 256);
        run_free(during.runs[1], 200);
        page_heap_purge(heap, 0);
        _exit(is_small && page_heap_is_valid(heap) && heap->chunk_count == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_forked_child_forgets_who_made_huge_pages(void **state)
{
    (void)state;
    hpa_policy = plain;
    struct page_heap heap;
    struct chunk *chunk = make_dense(&heap, fork_meanwhile);
    work_at(&heap, os_time_coarse_ns() + 1000 * MS);
    assert_int_equal(chunk->hpa_state, HPA_HUGE);
    run_free(during.runs[0], 256);
    run_free(during.runs[1], 200);
    expect_empty(&heap);
}

static void any_purge_breaks_up_huge_pages(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *one = must_alloc(&heap, 256);
    struct run *other = must_alloc(&heap, 200);
    struct run *rest = must_alloc(&heap, 50);
    struct chunk *chunk = one->chunk;
    work_at(&heap, os_time_coarse_ns() + 1000 * MS);
    assert_int_equal(chunk->hpa_state, HPA_HUGE);
    run_free(rest, 50);
    page_heap_purge(&heap, 0);
    expect_valid(&heap);
    assert_int_equal(heap.hpa.dehugifies, 1);
    assert_false(wants_huge_pages(chunk->base));
    /* Still dense, so it waits again. */
    assert_int_equal(chunk->hpa_state, HPA_WAITING);
    work_at(&heap, os_time_coarse_ns() + 1000 * MS);
    assert_true(wants_huge_pages(chunk->base));
    run_free(other, 200);
    page_heap_purge(&heap, 0);
    assert_int_equal(chunk->hpa_state, HPA_SMALL);
    assert_null(heap.hpa.first);
    run_free(one, 0);
    expect_empty(&heap);
}

static void no_page_becomes_muzzy(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    struct page_heap heap;
    page_heap_init(&heap, NULL, 10000);
    page_heap_set_decay(&heap, STAGE_MUZZY, 10000);
    struct run *one = must_alloc(&heap, 256);
    struct run *other = must_alloc(&heap, 200);
    run_free(other, 200);
    page_heap_set_decay(&heap, STAGE_DIRTY, 0);
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 0);
    assert_int_equal(heap.stage[STAGE_MUZZY].page_count, 0);
    run_free(one, 0);
    expect_empty(&heap);
}

enum { CHUNKS = 6 };

/* Chunks with one run of 256 pages in use and one of 250 that was freed dirty. */
static void make_dirty(struct page_heap *heap, struct run *kept[CHUNKS])
{
    struct run *dirty[CHUNKS];
    page_heap_init(heap, NULL, DECAY_NEVER);
    for (unsigned i = 0; i < CHUNKS; i++) {
        kept[i] = must_alloc(heap, 256);
        dirty[i] = must_alloc(heap, 250);
    }
    for (unsigned i = 0; i < CHUNKS; i++) {
        run_free(dirty[i], 250);
    }
    assert_int_equal(heap->stage[STAGE_DIRTY].page_count, CHUNKS * 250);
}

static void drop_kept(struct page_heap *heap, struct run *kept[CHUNKS])
{
    for (unsigned i = 0; i < CHUNKS; i++) {
        run_free(kept[i], 256);
    }
    expect_empty(heap);
}

static size_t dirty_pages(const struct page_heap *heap)
{
    return heap->stage[STAGE_DIRTY].page_count;
}

static void a_purge_goes_down_to_the_share(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.style = HPA_STYLE_NONE;
    struct page_heap heap;
    struct run *kept[CHUNKS];
    make_dirty(&heap, kept);
    /* A quarter of 1536 is 384: five of the six go. */
    work_at(&heap, MS);
    assert_int_equal(dirty_pages(&heap), 250);
    assert_int_equal(heap.hpa.purges, 5);
    assert_int_equal(heap.hpa.purge_passes, 1);
    work_at(&heap, 2 * MS);
    assert_int_equal(heap.hpa.purge_passes, 1);
    drop_kept(&heap, kept);
}

static void the_share_may_have_no_bound(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    struct page_heap heap;
    struct run *kept[CHUNKS];
    make_dirty(&heap, kept);
    work_at(&heap, MS);
    assert_int_equal(dirty_pages(&heap), CHUNKS * 250);
    assert_false(hpa_waits(&heap, 0) && heap.hpa.first == NULL);
    drop_kept(&heap, kept);
}

static void chunks_below_the_threshold_and_times_too_soon_are_left_alone(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.style = HPA_STYLE_NONE;
    hpa_policy.dirty_mult = 0;
    hpa_policy.purge_pages = 251;
    hpa_policy.purge_interval_ms = 5000;
    hpa_policy.purge_delay_ms = 100;
    struct page_heap heap;
    struct run *kept[CHUNKS];
    make_dirty(&heap, kept);
    work_at(&heap, MS);
    assert_int_equal(dirty_pages(&heap), CHUNKS * 250);
    hpa_policy.purge_pages = 250;
    work_at(&heap, 1000 * MS); /* the delay begins */
    work_at(&heap, 1099 * (uint64_t)MS);
    assert_int_equal(dirty_pages(&heap), CHUNKS * 250);
    work_at(&heap, 1100 * (uint64_t)MS);
    assert_int_equal(dirty_pages(&heap), 0);
    /* The interval holds back the next one. */
    struct run *more = must_alloc(&heap, 250);
    run_free(more, 250);
    hpa_policy.purge_delay_ms = 0;
    work_at(&heap, 6099 * (uint64_t)MS);
    assert_int_equal(dirty_pages(&heap), 250);
    work_at(&heap, 6100 * (uint64_t)MS);
    assert_int_equal(dirty_pages(&heap), 0);
    drop_kept(&heap, kept);
}

static void a_purge_breaks_up_so_many_huge_pages_only(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.style = HPA_STYLE_EAGER;
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    hpa_policy.purged_huge_max = 2;
    struct page_heap heap;
    struct run *kept[CHUNKS];
    make_dirty(&heap, kept);
    hpa_policy.dirty_mult = 0;
    assert_int_equal(heap.hpa.huge_chunks, CHUNKS);
    work_at(&heap, MS);
    assert_int_equal(heap.hpa.dehugifies, 2);
    assert_int_equal(heap.hpa.huge_chunks, CHUNKS - 2);
    assert_int_equal(dirty_pages(&heap), (CHUNKS - 2) * 250);
    drop_kept(&heap, kept);
}

static void what_never_comes_does_not_wait(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.hugify_delay_ms = UINT64_MAX;
    struct page_heap heap;
    struct run *kept[CHUNKS];
    make_dirty(&heap, kept);
    assert_null(heap.hpa.first);
    assert_true(hpa_waits(&heap, 0));
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    assert_false(hpa_waits(&heap, 0));
    hpa_policy.dirty_mult = 0;
    hpa_policy.purge_pages = 251;
    work_at(&heap, MS);
    assert_false(hpa_waits(&heap, MS));
    hpa_policy.purge_pages = 250;
    hpa_policy.purge_delay_ms = UINT64_MAX;
    work_at(&heap, MS);
    assert_false(hpa_waits(&heap, MS));
    hpa_policy.purge_delay_ms = 1000;
    work_at(&heap, MS);
    assert_true(hpa_waits(&heap, MS));
    work_at(&heap, 1001 * (uint64_t)MS);
    assert_int_equal(dirty_pages(&heap), 0);
    assert_false(hpa_waits(&heap, 1001 * (uint64_t)MS));
    drop_kept(&heap, kept);
}

static void huge_pages_that_must_stay_do_not_wait(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.style = HPA_STYLE_EAGER;
    hpa_policy.purged_huge_max = 0;
    struct page_heap heap;
    struct run *kept[CHUNKS];
    make_dirty(&heap, kept);
    work_at(&heap, MS);
    assert_int_equal(dirty_pages(&heap), CHUNKS * 250);
    assert_false(hpa_waits(&heap, MS));
    hpa_policy.purged_huge_max = 1;
    assert_true(hpa_waits(&heap, MS));
    drop_kept(&heap, kept);
}

/* Pages of runs that are kept whole are unused, too, and the interval will be over. */
static void what_is_kept_whole_waits_for_the_interval(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.style = HPA_STYLE_NONE;
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    hpa_policy.purge_interval_ms = 5000;
    struct page_heap heap;
    struct run *kept[CHUNKS];
    make_dirty(&heap, kept);
    hpa_policy.dirty_mult = 0;
    heap.calls_helper = false;
    work_at(&heap, MS);
    assert_int_equal(heap.hpa.purge_passes, 1);
    struct run *large = run_alloc_large(&heap, 8, 0);
    assert_non_null(large);
    run_free_large(large);
    assert_int_equal(heap.recent_pages, 8);
    work_at(&heap, 2 * MS);
    assert_true(hpa_waits(&heap, 2 * MS));
    work_at(&heap, 5001 * (uint64_t)MS);
    assert_int_equal(heap.recent_pages + dirty_pages(&heap), 0);
    assert_false(hpa_waits(&heap, 5001 * (uint64_t)MS));
    drop_kept(&heap, kept);
}

static void a_refused_purge_is_none_and_does_not_wait(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.style = HPA_STYLE_NONE;
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    struct page_heap heap;
    struct run *kept[CHUNKS];
    make_dirty(&heap, kept);
    hpa_policy.dirty_mult = 0;
    during.refuses_purges = true;
    during.refused = 0;
    work_at(&heap, MS);
    unsigned refused = during.refused;
    assert_true(refused >= CHUNKS);
    assert_false(hpa_waits(&heap, MS));
    work_at(&heap, 2 * MS);
    assert_int_equal(during.refused, refused);
    during.refuses_purges = false;
    assert_int_equal(heap.hpa.purges, 0);
    assert_int_equal(heap.hpa.purge_passes, 0);
    /* Tried again after some more freed runs. */
    for (unsigned i = 0; i < 2000; i++) {
        run_free(must_alloc(&heap, 1), 1);
    }
    assert_true(dirty_pages(&heap) <= 1); /* the last one, between two ticks */
    assert_true(heap.hpa.purges >= CHUNKS);
    drop_kept(&heap, kept);
}

/* A sleep that nobody ends hangs. */
static void a_helper_that_sleeps_is_called_for_dense_chunks(void **state)
{
    (void)state;
    hpa_policy = plain;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *one = must_alloc(&heap, 256);
    idle_start(0);
    idle_look(0);
    assert_false(page_heap_look(&heap, MS));
    struct run *other = must_alloc(&heap, 200);
    idle_sleep(0);
    idle_look(0);
    assert_true(page_heap_look(&heap, MS));
    uint64_t later = os_time_coarse_ns() + 1000 * MS;
    assert_false(page_heap_look(&heap, later));
    assert_int_equal(heap.hpa.hugifies, 1);
    idle_stop(0);
    drop(&heap, one, other);
}

static unsigned makings;

static void make_helper(void)
{
    makings++;
}

static void a_helper_is_made_for_what_waits(void **state)
{
    (void)state;
    hpa_policy = plain;
    atomic_store(&idle_maker, make_helper);
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *one = must_alloc(&heap, 256);
    assert_int_equal(makings, 0);
    struct run *other = must_alloc(&heap, 200);
    assert_int_equal(makings, 1);
    run_free(other, 200); /* exceeds a quarter of 256 */
    assert_int_equal(makings, 2);
    atomic_store(&idle_maker, NULL);
    run_free(one, 0);
    expect_empty(&heap);
}

static void the_shortest_time_is_of_what_is_done(void **state)
{
    (void)state;
    hpa_policy = plain;
    hpa_policy.hugify_delay_ms = 1000;
    hpa_policy.purge_interval_ms = 0;
    hpa_policy.purge_delay_ms = 700;
    assert_int_equal(hpa_shortest_ms(), 700);
    hpa_policy.purge_delay_ms = UINT64_MAX;
    assert_int_equal(hpa_shortest_ms(), 1000);
    hpa_policy.purge_interval_ms = 500;
    hpa_policy.dirty_mult = HPA_ANY_DIRTY;
    assert_int_equal(hpa_shortest_ms(), 1000);
    hpa_policy.hugify_delay_ms = 0;
    assert_int_equal(hpa_shortest_ms(), 1);
    hpa_policy.style = HPA_STYLE_NONE;
    assert_int_equal(hpa_shortest_ms(), 0);
}

enum { LIVE = 64, STEPS = 4000 };

/* One step of a random program. */
static void step(struct page_heap *heap, struct run *live[LIVE], uint64_t *random)
{
    struct run **slot = &live[unit_below(random, LIVE)];
    bool is_long = unit_below(random, 2) == 0;
    unsigned pages = 1 + unit_below(random, is_long ? RUN_PAGES_MAX : 8);
    unsigned kind = unit_below(random, 100);
    if (kind == 0) {
        page_heap_purge(heap, unit_below(random, 1000));
    } else if (kind < 20) {
        lock_acquire(&heap->lock);
        hpa_work(heap, os_time_coarse_ns() + unit_below(random, 2000) * (uint64_t)MS);
        lock_release(&heap->lock);
    } else if (*slot == NULL) {
        *slot =
            unit_below(random, 4) == 0 ? run_alloc_large(heap, pages, 3) : must_alloc(heap, pages);
        assert_non_null(*slot);
    } else if (!run_is_slab(*slot) && kind < 50) {
        pages = 1 + unit_below(random, (*slot)->page_count);
        if (pages < (*slot)->page_count) {
            run_shrink(*slot, pages, 3);
        }
        (void)!(pages < RUN_PAGES_MAX && run_grow(*slot, pages + 1, 3));
    } else {
        run_is_slab(*slot) ? run_free(*slot, unit_below(random, (*slot)->page_count + 1u))
                           : run_free_large(*slot);
        *slot = NULL;
    }
}

static void expect_true_flags(const struct page_heap *heap)
{
    for (const struct chunk *chunk = heap->first_chunk; chunk != NULL;
         chunk = chunk->next_of_heap) {
        assert_int_equal(wants_huge_pages(chunk->base), chunk->hpa_state == HPA_HUGE);
    }
}

/* What is dense waits or is huge, and the counters are those of the calls. */
static void expect_truth(const struct page_heap *heap)
{
    expect_valid(heap);
    for (const struct chunk *chunk = heap->first_chunk; chunk != NULL;
         chunk = chunk->next_of_heap) {
        unsigned used = (unsigned)chunk->valid_pages - chunk->free_pages;
        bool is_dense = chunk->valid_pages == CHUNK_PAGES && used >= hpa_policy.dense_pages;
        assert_false(is_dense && chunk->hpa_state == HPA_SMALL &&
                     hpa_policy.style != HPA_STYLE_NONE);
    }
    assert_int_equal(heap->hpa.hugifies, asked_huge);
    assert_int_equal(heap->hpa.dehugifies, asked_small);
    assert_true(heap->hpa.purges >= heap->hpa.purge_passes);
}

static void counters_are_true_after_random_steps(void **state)
{
    (void)state;
    uint64_t random = unit_seed(20);
    for (unsigned trace = 0; trace < 8; trace++) {
        hpa_policy = plain;
        hpa_policy.style = 1 + trace % 3;
        hpa_policy.hugify_delay_ms = trace / 3 * 1000;
        hpa_policy.purge_interval_ms = trace % 2 * 500;
        hpa_policy.purge_delay_ms = trace / 4 * 300;
        hpa_policy.dirty_mult = 1 << (12 + trace % 4);
        hpa_policy.purged_huge_max = (int64_t)(trace % 4) - 1;
        asked_huge = 0;
        asked_small = 0;
        struct page_heap heap;
        struct run *live[LIVE] = {NULL};
        page_heap_init(&heap, NULL, DECAY_NEVER);
        for (unsigned i = 0; i < STEPS; i++) {
            step(&heap, live, &random);
            expect_truth(&heap);
            if (i % 400 == 0) {
                expect_true_flags(&heap);
            }
        }
        for (unsigned i = 0; i < LIVE; i++) {
            if (live[i] != NULL) {
                run_free(live[i], 0);
            }
        }
        expect_empty(&heap);
        expect_truth(&heap);
        assert_int_equal(heap.hpa.hugifies, heap.hpa.dehugifies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(dense_chunks_become_huge_pages_after_their_delay, switch_off),
        cmocka_unit_test_teardown(who_is_dense_no_more_stays_small, switch_off),
        cmocka_unit_test_teardown(who_is_dense_again_with_dirty_pages_waits_again, switch_off),
        cmocka_unit_test_teardown(each_style_has_its_moment, switch_off),
        cmocka_unit_test_teardown(a_refused_collapse_is_counted, switch_off),
        cmocka_unit_test_teardown(memory_of_hooks_is_left_alone, switch_off),
        cmocka_unit_test_teardown(a_huge_page_is_made_without_the_lock, switch_off),
        cmocka_unit_test_teardown(a_chunk_that_becomes_huge_is_not_purged, switch_off),
        cmocka_unit_test_teardown(a_forked_child_forgets_who_made_huge_pages, switch_off),
        cmocka_unit_test_teardown(any_purge_breaks_up_huge_pages, switch_off),
        cmocka_unit_test_teardown(no_page_becomes_muzzy, switch_off),
        cmocka_unit_test_teardown(a_purge_goes_down_to_the_share, switch_off),
        cmocka_unit_test_teardown(the_share_may_have_no_bound, switch_off),
        cmocka_unit_test_teardown(chunks_below_the_threshold_and_times_too_soon_are_left_alone,
                                  switch_off),
        cmocka_unit_test_teardown(a_purge_breaks_up_so_many_huge_pages_only, switch_off),
        cmocka_unit_test_teardown(what_never_comes_does_not_wait, switch_off),
        cmocka_unit_test_teardown(huge_pages_that_must_stay_do_not_wait, switch_off),
        cmocka_unit_test_teardown(what_is_kept_whole_waits_for_the_interval, switch_off),
        cmocka_unit_test_teardown(a_refused_purge_is_none_and_does_not_wait, switch_off),
        cmocka_unit_test_teardown(a_helper_that_sleeps_is_called_for_dense_chunks, switch_off),
        cmocka_unit_test_teardown(a_helper_is_made_for_what_waits, switch_off),
        cmocka_unit_test_teardown(counters_are_true_after_random_steps, switch_off),
        cmocka_unit_test_teardown(the_shortest_time_is_of_what_is_done, switch_off),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
