/* test_page_heap.c: goal: runs never overlap, keep what is written, and read as zero when promised
 * so.
 * Method: page heaps of the test's own. Random requests, growth, shrinking and purges with a tag in
 * each page of a live run, all counts and lists re-counted; OS pages of 16 and 64 KiB are
 * pretended; threads share one heap; memory is refused by a limit in a child process.
 */
#include "page_heap_check.h"

#include "api/process.h"
#include "base/bits.h"
#include "os/os.h"

#include <pthread.h>

enum { RUNS = 300, WORKERS = 4 };

static struct page_policy usual_policy;
static size_t usual_os_page_bytes;

static int start(void **state)
{
    (void)state;
    usual_policy = page_policy;
    bool started = process_start();
    usual_os_page_bytes = os_page_bytes;
    return started ? 0 : -1;
}

static int put_back(void **state)
{
    (void)state;
    page_policy = usual_policy;
    os_page_bytes = usual_os_page_bytes;
    return 0;
}

struct live_run {
    struct run *run; /* NULL: none */
    uint64_t tag;
};

/* One thread's live runs in a heap, and what went wrong. */
struct load {
    struct page_heap *heap;
    struct live_run runs[RUNS];
    uint64_t random;
    unsigned wrong;
    unsigned refused;
    unsigned grown;
    unsigned zeroed;
};

static void load_alloc(struct load *load, struct live_run *live)
{
    uint64_t *random = &load->random;
    unsigned page_count = 1 + unit_below(random, 1u << unit_below(random, 9));
    unsigned alignment = unit_below(random, 4) == 0 ? 1u << unit_below(random, 10) : 1;
    bool slab = unit_below(random, 2) == 0;
    uint8_t large_index = slab ? LARGE_NONE : (uint8_t)unit_below(random, LARGE_CLASSES);
    bool zeroed = false;
    bool any = !slab && alignment == 1 && unit_below(random, 2) == 0;
    struct run *run =
        any ? run_alloc_large(load->heap, page_count, large_index)
            : run_alloc(load->heap, request_of(page_count, alignment, large_index), &zeroed);
    if (run == NULL) {
        load->refused++;
        return;
    }
    load->wrong += run->page_count != page_count || run->page % alignment != 0;
    load->wrong += run->first != chunk_page_address(run->chunk, run->page);
    load->wrong += run->chunk->heap != load->heap;
    load->wrong += chunk_run(run->chunk, run->first) != run;
    load->wrong += slab && chunk_run(run->chunk, run->first + bytes_of(run) - 1) != run;
    if (zeroed) {
        load->zeroed++;
        load->wrong += !bytes_are(run->first, bytes_of(run), 0);
    }
    *live = (struct live_run){run, unit_random(random)};
    tag_pages(run, 0, live->tag);
}

static void load_free(struct load *load, struct live_run *live)
{
    load->wrong += !has_tags(live->run, live->tag);
    run_free(live->run, live->run->page_count);
    live->run = NULL;
}

static void load_resize(struct load *load, struct live_run *live)
{
    struct run *run = live->run;
    if (run->large_index == LARGE_NONE) {
        return;
    }
    unsigned former = run->page_count;
    unsigned page_count = 1 + unit_below(&load->random, RUN_PAGES_MAX);
    uint8_t large_index = (uint8_t)unit_below(&load->random, LARGE_CLASSES);
    if (page_count < former) {
        run_shrink(run, page_count, large_index);
        load->wrong += run->page_count != page_count;
    } else if (page_count > former) {
        bool grown = run_grow(run, page_count, large_index);
        load->grown += grown;
        load->wrong += run->page_count != (grown ? page_count : former);
        tag_pages(run, former, live->tag);
    }
    load->wrong += !has_tags(run, live->tag);
}

static void load_step(struct load *load)
{
    struct live_run *live = &load->runs[unit_below(&load->random, RUNS)];
    if (live->run == NULL) {
        load_alloc(load, live);
    } else if (unit_below(&load->random, 3) == 0) {
        load_resize(load, live);
    } else {
        load_free(load, live);
    }
}

static void load_end(struct load *load)
{
    for (unsigned i = 0; i < RUNS; i++) {
        if (load->runs[i].run != NULL) {
            load_free(load, &load->runs[i]);
        }
    }
}

static void random_runs_never_overlap_and_all_counts_agree(void **state)
{
    (void)state;
    static const int64_t decays_ms[] = {DECAY_NEVER, 0, 10000, 0, 0, 1};
    static const int64_t muzzy_decays_ms[] = {0, 0, 0, DECAY_NEVER, 1, 1};
    uint64_t seed = unit_seed(9);
    for (unsigned i = 0; i < sizeof decays_ms / sizeof decays_ms[0]; i++) {
        static struct page_heap heap;
        static struct load load;
        page_heap_init(&heap, NULL, decays_ms[i]);
        page_heap_set_decay(&heap, STAGE_MUZZY, muzzy_decays_ms[i]);
        load = (struct load){.heap = &heap, .random = seed + i};
        for (unsigned step = 0; step < 5000; step++) {
            load_step(&load);
            if (step % 8 == 0) {
                expect_valid(&heap);
            }
            if (step % 500 == 499) {
                size_t keep = unit_below(&load.random, 2000);
                page_heap_purge(&heap, keep);
                assert_true(heap.stage[STAGE_DIRTY].page_count + heap.recent_pages <= keep);
            }
            if (decays_ms[i] == 0) {
                assert_int_equal(heap.stage[STAGE_DIRTY].page_count + heap.recent_pages, 0);
            }
        }
        assert_int_equal(load.wrong, 0);
        assert_int_equal(load.refused, 0);
        assert_true(load.grown > 0);
        assert_true(load.zeroed > 0);
        load_end(&load);
        expect_empty(&heap);
        assert_int_equal(load.wrong, 0);
    }
}

static void large_blocks_are_counted_by_class(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    bool zeroed;
    struct run *run = run_alloc(&heap, request_of(5, 1, 1), &zeroed);
    assert_non_null(run);
    assert_true(zeroed);
    assert_int_equal(heap.large[1].alloc_count, 1);
    assert_int_equal(heap.large_pages, 5);
    assert_true(run_grow(run, 40, 12));
    assert_int_equal(heap.large[1].free_count, 1);
    assert_int_equal(heap.large[12].alloc_count, 1);
    assert_int_equal(heap.large_pages, 40);
    run_shrink(run, 4, 0);
    assert_int_equal(heap.large[12].free_count, 1);
    assert_int_equal(heap.large[0].alloc_count, 1);
    assert_int_equal(heap.large_pages, 4);
    assert_int_equal(heap.active_pages, 4);
    struct run *slab = must_alloc(&heap, 16);
    assert_int_equal(heap.large_pages, 4);
    assert_int_equal(heap.active_pages, 20);
    run_free(slab, 16);
    run_free(run, 4);
    assert_int_equal(heap.large[0].free_count, 1);
    assert_int_equal(heap.large_pages, 0);
    expect_empty(&heap);
}

static void growth_stops_at_a_used_page_and_at_the_end_of_the_chunk(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    bool zeroed;
    struct run *run = run_alloc(&heap, request_of(10, 1, 0), &zeroed);
    assert_non_null(run);
    struct run *wall = must_alloc(&heap, 1);
    assert_int_equal(wall->page, run->page + 10);
    assert_false(run_grow(run, 11, 0));
    assert_int_equal(run->page_count, 10);
    struct run *rest = must_alloc(&heap, CHUNK_PAGES - 11 - 20);
    struct run *last = run_alloc(&heap, request_of(15, 1, 0), &zeroed);
    assert_ptr_equal(last->chunk, run->chunk);
    assert_int_equal(last->page, CHUNK_PAGES - 20);
    assert_false(run_grow(last, 21, 0));
    assert_true(run_grow(last, 20, 0));
    expect_valid(&heap);
    run_free(wall, 1);
    assert_true(run_grow(run, 11, 0));
    expect_valid(&heap);
    run_free(run, 11);
    run_free(rest, 1);
    run_free(last, 20);
    expect_empty(&heap);
}

static void a_request_goes_where_it_fits_best_and_then_lowest(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *first_chunk = must_alloc(&heap, CHUNK_PAGES - 100);
    struct run *second_chunk = must_alloc(&heap, CHUNK_PAGES - 10);
    assert_ptr_not_equal(first_chunk->chunk, second_chunk->chunk);
    struct run *small = must_alloc(&heap, 8);
    assert_ptr_equal(small->chunk, second_chunk->chunk);
    assert_int_equal(small->page, CHUNK_PAGES - 10);
    struct run *large = must_alloc(&heap, 50);
    assert_ptr_equal(large->chunk, first_chunk->chunk);
    assert_int_equal(large->page, CHUNK_PAGES - 100);
    assert_int_equal(heap.chunk_count, 2);
    run_free(small, 8);
    assert_int_equal(must_alloc(&heap, 2)->page, CHUNK_PAGES - 10);
    run_free(large, 50);
    run_free(chunk_run(second_chunk->chunk, small->first), 2);
    run_free(first_chunk, 0);
    run_free(second_chunk, 0);
    expect_empty(&heap);
}

static void what_was_not_touched_stays_clean(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *keeper = must_alloc(&heap, 1);
    struct run *run = must_alloc(&heap, 100);
    memset(run->first, 1, 30 * PAGE_BYTES);
    unsigned page = run->page;
    run_free(run, 30);
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 30);
    bool zeroed = false;
    run = run_alloc(&heap, request_of(31, 1, LARGE_NONE), &zeroed);
    assert_int_equal(run->page, page);
    assert_false(zeroed);
    struct run *behind = run_alloc(&heap, request_of(60, 1, LARGE_NONE), &zeroed);
    assert_int_equal(behind->page, page + 31);
    assert_true(zeroed);
    assert_true(bytes_are(behind->first, bytes_of(behind), 0));
    run_free(behind, 0);
    run_free(run, 31);
    run_free(keeper, 1);
    expect_empty(&heap);
}

static void freed_large_blocks_serve_the_next_request_of_their_size(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *keeper = must_alloc(&heap, 1);
    struct run *run = run_alloc_large(&heap, 20, 3);
    char *first = run->first;
    tag_pages(run, 0, 5);
    for (unsigned round = 0; round < 50; round++) {
        run_free_large(run);
        expect_valid(&heap);
        run = run_alloc_large(&heap, 20, 3);
        expect_valid(&heap);
        assert_ptr_equal(run->first, first);
        assert_true(has_tags(run, 5));
        assert_int_equal(run->page_count, 20);
    }
    run_free_large(run);
    /* More of them than are kept. */
    struct run *runs[3 * RECENT_RUNS];
    for (unsigned i = 0; i < 3 * RECENT_RUNS; i++) {
        runs[i] = run_alloc_large(&heap, 100 + i, 9);
        assert_non_null(runs[i]);
    }
    for (unsigned i = 0; i < 3 * RECENT_RUNS; i++) {
        run_free_large(runs[i]);
        expect_valid(&heap);
        assert_true(heap.recent_count <= RECENT_RUNS);
    }
    assert_int_equal(heap.active_pages, 1);
    run_free(keeper, 0);
    expect_empty(&heap);
}

/* The hole that is too short for the room stays, and what is there for the growth stays unused. */
static void a_run_with_room_grows_into_it(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *hole = must_alloc(&heap, 30);
    struct run *keeper = must_alloc(&heap, 1);
    run_free(hole, 0);
    size_t peak = heap.peak_active_pages;
    bool zeroed;
    struct run_request request = {20, 1, 20, false, 3};
    struct run *run = run_alloc(&heap, request, &zeroed);
    assert_non_null(run);
    assert_int_equal(run->page_count, 20);
    assert_true(run->page > keeper->page);
    assert_int_equal(heap.active_pages, 21);
    assert_int_equal(heap.peak_active_pages, peak);
    tag_pages(run, 0, 9);
    assert_true(run_grow(run, 40, 4));
    tag_pages(run, 20, 9);
    assert_true(has_tags(run, 9));
    assert_int_equal(heap.peak_active_pages, 41);
    expect_valid(&heap);
    run_free_large(run);
    run_free(keeper, 0);
    expect_empty(&heap);
}

static void freed_large_slabs_serve_the_next_of_their_size(void **state)
{
    (void)state;
    enum { PAGES = 64, COUNT = RECENT_SLAB_PAGES_MAX / PAGES, MORE = COUNT + 3 };
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *slabs[MORE];
    for (unsigned i = 0; i < MORE; i++) {
        slabs[i] = run_alloc_slab(&heap, PAGES);
        assert_non_null(slabs[i]);
    }
    for (unsigned i = 0; i < MORE; i++) {
        slabs[i]->first += 16; /* where the first region of a slab may lie */
        run_free_slab(slabs[i]);
        expect_valid(&heap);
    }
    assert_int_equal(heap.recent_slab_pages, RECENT_SLAB_PAGES_MAX);
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 3 * PAGES);
    /* The newest first; another size finds none. */
    struct run *half = run_alloc_slab(&heap, PAGES / 2);
    assert_int_equal(half->page_count, PAGES / 2);
    for (unsigned i = COUNT; i-- > 0;) {
        struct run *slab = run_alloc_slab(&heap, PAGES);
        assert_ptr_equal(slab, slabs[i]);
        assert_ptr_equal(slab->first, chunk_page_address(slab->chunk, slab->page));
        assert_ptr_equal(chunk_run(slab->chunk, slab->first + (PAGES - 1) * PAGE_BYTES), slab);
        expect_valid(&heap);
    }
    assert_int_equal(heap.recent_pages, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        run_free_slab(slabs[i]);
    }
    run_free_slab(half);
    expect_empty(&heap);
}

static void small_slabs_are_not_kept_whole(void **state)
{
    (void)state;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *slab = run_alloc_slab(&heap, 16);
    run_free_slab(slab);
    assert_int_equal(heap.recent_pages, 0);
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 16);
    expect_empty(&heap);
}

/* A whole chunk is wanted: the slabs that are kept stand in the way. */
static void kept_slabs_make_way_for_a_run_that_finds_no_place(void **state)
{
    (void)state;
    enum { PAGES = 64, COUNT = CHUNK_PAGES / PAGES };
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    struct run *slabs[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        slabs[i] = run_alloc_slab(&heap, PAGES);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        run_free_slab(slabs[i]);
    }
    assert_int_equal(heap.chunk_count, 1);
    struct run *run = must_alloc(&heap, CHUNK_PAGES);
    assert_int_equal(heap.chunk_count, 1);
    assert_int_equal(heap.recent_pages, 0);
    run_free(run, CHUNK_PAGES);
    expect_empty(&heap);
}

static void larger_os_pages_are_purged_whole_only(void **state)
{
    (void)state;
    uint64_t seed = unit_seed(10);
    for (size_t page_bytes = (size_t)16 << 10; page_bytes <= (size_t)64 << 10; page_bytes *= 4) {
        os_page_bytes = page_bytes;
        static struct page_heap heap;
        static struct load load;
        page_heap_init(&heap, NULL, DECAY_NEVER);
        load = (struct load){.heap = &heap, .random = seed};
        for (unsigned step = 0; step < 2000; step++) {
            load_step(&load);
            if (step % 100 == 99) {
                size_t calls = heap.stage[STAGE_DIRTY].purge_call_count;
                page_heap_purge(&heap, 0);
                expect_valid(&heap);
                assert_true(heap.stage[STAGE_DIRTY].purge_call_count >= calls);
            }
        }
        assert_int_equal(load.wrong, 0);
        load_end(&load);
        expect_empty(&heap);
    }
}

/* Whether the kernel lists a flag ("hg": huge pages wanted, "nh": refused) for the address. */
static bool mapping_has_flag(const void *address, const char *flag)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    char line[512];
    bool here = false;
    bool has = false;
    while (fgets(line, sizeof line, smaps) != NULL) {
        unsigned long from;
        unsigned long to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            here = from <= (uintptr_t)address && (uintptr_t)address < to;
        } else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            has = strstr(line, flag) != NULL;
        }
    }
    fclose(smaps);
    return has;
}

static void chunks_tell_the_system_what_the_policy_says_of_huge_pages(void **state)
{
    (void)state;
    const struct page_policy kept_policy = page_policy;
    struct page_heap heap;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    for (unsigned policy = HUGE_PAGES_ALWAYS; policy <= HUGE_PAGES_NEVER; policy++) {
        page_policy.huge_pages = policy;
        struct run *run = must_alloc(&heap, CHUNK_PAGES);
        run->chunk->page_size_told = false;
        run_free(run, 0);
        run = must_alloc(&heap, CHUNK_PAGES);
        assert_true(run->chunk->page_size_told);
        const char *flag = policy == HUGE_PAGES_ALWAYS ? " hg" : " nh";
        assert_true(mapping_has_flag(run->first, flag));
        run_free(run, 0);
    }
    page_policy = kept_policy;
    expect_empty(&heap);
}

static void *work(void *argument)
{
    struct load *load = argument;
    for (unsigned step = 0; step < 3000; step++) {
        load_step(load);
        if (step % 300 == 299) {
            page_heap_purge(load->heap, 100);
        }
    }
    load_end(load);
    return NULL;
}

static void threads_share_a_heap_while_it_purges(void **state)
{
    (void)state;
    static const int64_t decays_ms[] = {0, 10000, 0};
    static const int64_t muzzy_decays_ms[] = {0, 0, 1};
    static struct load loads[WORKERS];
    static struct page_heap heap;
    uint64_t seed = unit_seed(11);
    for (unsigned round = 0; round < 3; round++) {
        page_heap_init(&heap, NULL, decays_ms[round]);
        page_heap_set_decay(&heap, STAGE_MUZZY, muzzy_decays_ms[round]);
        pthread_t threads[WORKERS];
        for (unsigned i = 0; i < WORKERS; i++) {
            loads[i] = (struct load){.heap = &heap, .random = seed + i};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &loads[i]), 0);
        }
        for (unsigned i = 0; i < WORKERS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(loads[i].wrong, 0);
            assert_int_equal(loads[i].refused, 0);
        }
        expect_empty(&heap);
    }
}

#define CHILD_EXPECT_VALID(heap)                                                            \
    CHILD_EXPECT(page_heap_is_valid(heap) &&                                                \
                 (heap)->active_pages + (heap)->recent_pages + free_pages_in_lists(heap) == \
                     (heap)->chunk_pages)

static void run_out_of_memory(void)
{
    static struct page_heap heap;
    static struct load load;
    page_heap_init(&heap, NULL, DECAY_NEVER);
    load = (struct load){.heap = &heap, .random = 12};
    /* Spare chunks of the pool need no address space: use them up first. */
    while (chunk_pool_statistics().spare_bytes > 0) {
        bool first_use;
        CHILD_EXPECT(chunk_take(&heap, 1, BREAK_DISABLED, SIZE_MAX, &first_use) != NULL);
    }
    limit_address_space((size_t)9 << 20);
    for (unsigned step = 0; step < 6000; step++) {
        load_step(&load);
        if (step % 16 == 0) {
            CHILD_EXPECT_VALID(&heap);
        }
    }
    CHILD_EXPECT(load.refused > 0);
    CHILD_EXPECT(load.wrong == 0);
    limit_address_space((size_t)256 << 20);
    unsigned refused = load.refused;
    for (unsigned step = 0; step < 1000; step++) {
        load_step(&load);
    }
    CHILD_EXPECT(load.refused == refused);
    load_end(&load);
    CHILD_EXPECT(load.wrong == 0);
    page_heap_purge(&heap, 0);
    CHILD_EXPECT_VALID(&heap);
    CHILD_EXPECT(heap.active_pages == 0);
    CHILD_EXPECT(heap.chunk_count == 0);
}

static void refused_memory_leaves_the_heap_whole_and_success_returns(void **state)
{
    (void)state;
    expect_good_end(run_in_child(run_out_of_memory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_blocks_are_counted_by_class),
        cmocka_unit_test(growth_stops_at_a_used_page_and_at_the_end_of_the_chunk),
        cmocka_unit_test(a_request_goes_where_it_fits_best_and_then_lowest),
        cmocka_unit_test(what_was_not_touched_stays_clean),
        cmocka_unit_test(freed_large_blocks_serve_the_next_request_of_their_size),
        cmocka_unit_test(a_run_with_room_grows_into_it),
        cmocka_unit_test(freed_large_slabs_serve_the_next_of_their_size),
        cmocka_unit_test(small_slabs_are_not_kept_whole),
        cmocka_unit_test(kept_slabs_make_way_for_a_run_that_finds_no_place),
        cmocka_unit_test_teardown(larger_os_pages_are_purged_whole_only, put_back),
        cmocka_unit_test_teardown(chunks_tell_the_system_what_the_policy_says_of_huge_pages,
                                  put_back),
        cmocka_unit_test(random_runs_never_overlap_and_all_counts_agree),
        cmocka_unit_test(refused_memory_leaves_the_heap_whole_and_success_returns),
        cmocka_unit_test(threads_share_a_heap_while_it_purges),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
