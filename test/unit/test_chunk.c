/* test_chunk.c: goal: a chunk's bitmaps, counts and bounds agree after any sequence of uses, its
 * runs are found from their pages, and the pool hands out clean chunks whole or, under a tight
 * limit, in part.
 * Method: chunks taken for a page heap of the test's own. Random uses and releases beside a naive
 * model of 512 pages, chunk_is_valid() after each; damage done by hand, which chunk_is_valid() must
 * see; a child process with a limit on its address space.
 */
#include "unit_check.h"

#include "refused_calls.h"

#include "api/process.h"
#include "base/bits.h"
#include "pages/meta.h"
#include "pages/page_heap.h"

#include <sys/mman.h>

static struct page_heap heap;

struct model {
    bool used[CHUNK_PAGES];
    bool dirty[CHUNK_PAGES];
};

static int start(void **state)
{
    (void)state;
    if (!process_start()) {
        return -1;
    }
    page_heap_init(&heap, NULL, DECAY_NEVER);
    return 0;
}

static bool first_use;

static struct chunk *must_take(void)
{
    struct chunk *chunk = chunk_take(&heap, 1, BREAK_DISABLED, SIZE_MAX, &first_use);
    assert_non_null(chunk);
    assert_true(chunk_is_valid(chunk));
    return chunk;
}

/* Makes a chunk as it came: nothing used, nothing dirty. */
static void give_back(struct chunk *chunk)
{
    memset(chunk->dirty, 0, sizeof chunk->dirty);
    chunk->dirty_pages = 0;
    memset(chunk->muzzy, 0, sizeof chunk->muzzy);
    chunk->muzzy_pages = 0;
    chunk_give_back(chunk);
}

static void a_fresh_chunk_is_free_clean_aligned_and_known(void **state)
{
    (void)state;
    struct chunk *chunk = must_take();
    assert_int_equal((uintptr_t)chunk->base % CHUNK_BYTES, 0);
    assert_int_equal(chunk->free_pages, CHUNK_PAGES);
    assert_int_equal(chunk->valid_pages, CHUNK_PAGES);
    assert_int_equal(chunk->longest_free, CHUNK_PAGES);
    assert_int_equal(chunk->first_free, 0);
    assert_int_equal(chunk->dirty_pages, 0);
    assert_ptr_equal(chunk->heap, &heap);
    assert_ptr_equal(map_owner(chunk->base), chunk);
    assert_ptr_equal(map_owner(chunk->base + CHUNK_BYTES - 1), chunk);
    assert_ptr_equal(chunk_page_address(chunk, 3), chunk->base + 3 * PAGE_BYTES);
    assert_true(bytes_are(chunk->base, CHUNK_BYTES, 0));
    give_back(chunk);
}

static void a_chunk_beyond_all_that_were_ever_taken_says_so(void **state)
{
    (void)state;
    struct chunk *chunks[200];
    unsigned count = 0;
    do {
        assert_true(count < 200);
        size_t spare_bytes = chunk_pool_statistics().spare_bytes;
        chunks[count++] = must_take();
        assert_true(first_use || spare_bytes > 0);
    } while (!first_use);
    while (count > 0) {
        give_back(chunks[--count]);
    }
    (void)must_take();
    assert_false(first_use);
}

static void a_chunk_given_back_is_spare_and_taken_first(void **state)
{
    (void)state;
    struct chunk *one = must_take();
    struct chunk *other = must_take();
    assert_ptr_not_equal(one, other);
    assert_ptr_not_equal(one->base, other->base);
    struct chunk_pool_statistics before = chunk_pool_statistics();
    give_back(one);
    assert_null(one->heap);
    struct chunk_pool_statistics after = chunk_pool_statistics();
    assert_int_equal(after.spare_bytes, before.spare_bytes + CHUNK_BYTES);
    assert_int_equal(after.mapped_bytes, before.mapped_bytes);
    assert_true(after.spare_bytes <= after.mapped_bytes);
    assert_ptr_equal(must_take(), one);
    assert_false(first_use);
    assert_int_equal(chunk_pool_statistics().spare_bytes, before.spare_bytes);
    give_back(other);
    give_back(one);
}

/* Of every chunk of the process: the pool's spare ones are taken too. */
static void a_chunk_that_is_not_retained_is_unmapped(void **state)
{
    (void)state;
    struct chunk *chunk = must_take();
    char *base = chunk->base;
    struct chunk_pool_statistics before = chunk_pool_statistics();
    chunk_policy.retain = false;
    chunk_use(chunk, 0, 1);
    (void)chunk_unuse(chunk, 0, 1, 0);
    chunk_give_back(chunk);
    struct chunk_pool_statistics after = chunk_pool_statistics();
    assert_int_equal(after.spare_bytes, before.spare_bytes);
    assert_int_equal(after.mapped_bytes, before.mapped_bytes - CHUNK_BYTES);
    assert_null(map_owner(base));
    unsigned char present;
    assert_int_equal(mincore(base, PAGE_BYTES, &present), -1);
    /* Its descriptor serves the next chunk that is mapped. */
    struct chunk *others[200];
    unsigned count = 0;
    do {
        assert_true(count < 200);
        others[count++] = must_take();
    } while (!first_use);
    chunk_policy.retain = true;
    while (count > 0) {
        chunk = others[--count];
        assert_true(bytes_are(chunk->base, CHUNK_BYTES, 0));
        assert_false(chunk->page_size_told);
        give_back(chunk);
    }
}

static unsigned model_find(const struct model *model, unsigned page_count, unsigned alignment)
{
    for (unsigned page = 0; page + page_count <= CHUNK_PAGES; page += alignment) {
        unsigned free_here = 0;
        while (free_here < page_count && !model->used[page + free_here]) {
            free_here++;
        }
        if (free_here == page_count) {
            return page;
        }
    }
    return CHUNK_PAGES;
}

static unsigned model_longest(const struct model *model)
{
    unsigned longest = 0;
    unsigned here = 0;
    for (unsigned page = 0; page < CHUNK_PAGES; page++) {
        here = model->used[page] ? 0 : here + 1;
        longest = here > longest ? here : longest;
    }
    return longest;
}

/* Length of the unused stretch that holds the page. */
static unsigned model_stretch(const struct model *model, unsigned page)
{
    unsigned start_page = page;
    unsigned end = page;
    while (start_page > 0 && !model->used[start_page - 1]) {
        start_page--;
    }
    while (end < CHUNK_PAGES && !model->used[end]) {
        end++;
    }
    return end - start_page;
}

static void expect_model(const struct chunk *chunk, const struct model *model)
{
    unsigned unused = 0;
    unsigned dirty = 0;
    unsigned wrong = 0;
    for (unsigned page = 0; page < CHUNK_PAGES; page++) {
        wrong += bits_get(chunk->used, page) != model->used[page];
        wrong += bits_get(chunk->dirty, page) != model->dirty[page];
        unused += !model->used[page];
        dirty += !model->used[page] && model->dirty[page];
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(chunk->free_pages, unused);
    assert_int_equal(chunk->dirty_pages, dirty);
    assert_true(chunk->longest_free >= model_longest(model));
    assert_true(chunk_is_valid(chunk));
}

static void use_at_random(struct chunk *chunk, struct model *model, uint64_t *random)
{
    unsigned count = 1 + unit_below(random, 1u << unit_below(random, 9));
    unsigned alignment = 1u << (unit_below(random, 3) == 0 ? unit_below(random, 10) : 0);
    unsigned expected = model_find(model, count, alignment);
    unsigned page = chunk_find(chunk, count, alignment);
    EXPECT(page == expected, "%u pages aligned to %u: %u, not %u", count, alignment, page,
           expected);
    if (page == CHUNK_PAGES) {
        assert_int_equal(chunk->longest_free, model_longest(model));
        return;
    }
    chunk_use(chunk, page, count);
    memset(model->used + page, true, count);
}

static void unuse_at_random(struct chunk *chunk, struct model *model, uint64_t *random)
{
    unsigned page = unit_below(random, CHUNK_PAGES);
    unsigned most = 1 + unit_below(random, 64);
    unsigned count = 0;
    while (count < most && page + count < CHUNK_PAGES && model->used[page + count]) {
        count++;
    }
    if (count == 0) {
        return;
    }
    unsigned touched = unit_below(random, count + 1);
    unsigned stretch = chunk_unuse(chunk, page, count, touched);
    memset(model->used + page, false, count);
    memset(model->dirty + page, true, touched);
    assert_int_equal(stretch, model_stretch(model, page));
}

static void random_uses_agree_with_a_model_of_the_pages(void **state)
{
    (void)state;
    uint64_t random = unit_seed(8);
    struct chunk *chunk = must_take();
    struct model model = {0};
    for (unsigned i = 0; i < 12000; i++) {
        /* Phases in which the chunk fills up, and phases in which it empties. */
        if (unit_below(&random, 10) < (i / 1000 % 2 == 0 ? 3u : 7u)) {
            use_at_random(chunk, &model, &random);
        } else {
            unuse_at_random(chunk, &model, &random);
        }
        expect_model(chunk, &model);
    }
    for (unsigned page = 0; page < CHUNK_PAGES; page++) {
        if (model.used[page]) {
            (void)chunk_unuse(chunk, page, 1, 0);
        }
    }
    assert_int_equal(chunk->longest_free, CHUNK_PAGES);
    give_back(chunk);
}

static void every_single_run_can_be_used_and_released(void **state)
{
    (void)state;
    struct chunk *chunk = must_take();
    for (unsigned page = 0; page < CHUNK_PAGES; page += 7) {
        for (unsigned count = 1; page + count <= CHUNK_PAGES; count += 13) {
            chunk_use(chunk, page, count);
            assert_true(chunk_is_valid(chunk));
            assert_int_equal(chunk->free_pages, CHUNK_PAGES - count);
            assert_int_equal(chunk_unuse(chunk, page, count, 0), CHUNK_PAGES);
            assert_true(chunk_is_valid(chunk));
        }
    }
    chunk_use(chunk, 0, CHUNK_PAGES);
    assert_true(chunk_is_valid(chunk));
    assert_int_equal(chunk_find(chunk, 1, 1), CHUNK_PAGES);
    assert_int_equal(chunk->longest_free, 0);
    assert_int_equal(chunk_unuse(chunk, CHUNK_PAGES - 1, 1, 0), 1);
    assert_int_equal(chunk_find(chunk, 1, 1), CHUNK_PAGES - 1);
    assert_int_equal(chunk_unuse(chunk, 0, CHUNK_PAGES - 1, 0), CHUNK_PAGES);
    give_back(chunk);
}

static void a_chunk_knows_which_purged_pages_are_wanted_back(void **state)
{
    (void)state;
    struct chunk *chunk = must_take();
    assert_int_equal(chunk_note_reused(chunk, 0, CHUNK_PAGES), 0);
    chunk_use(chunk, 0, 100);
    (void)chunk_unuse(chunk, 0, 100, 60);
    assert_int_equal(chunk->dirty_pages, 60);
    /* As a purge does: the pages are used meanwhile. */
    chunk_use(chunk, 0, 300);
    assert_int_equal(chunk_note_purged(chunk, 0, 300), 60);
    (void)chunk_unuse(chunk, 0, 300, 0);
    assert_int_equal(chunk->dirty_pages, 0);
    assert_int_equal(chunk->purged_pages, 60);
    assert_true(chunk_is_valid(chunk));
    assert_int_equal(chunk_note_reused(chunk, 50, 30), 10);
    assert_int_equal(chunk_note_reused(chunk, 50, 30), 0);
    assert_int_equal(chunk_note_reused(chunk, 60, CHUNK_PAGES - 60), 0);
    /* They are remembered for whoever takes the chunk next. */
    give_back(chunk);
    assert_ptr_equal(must_take(), chunk);
    assert_int_equal(chunk_note_reused(chunk, 0, CHUNK_PAGES), 50);
    assert_int_equal(chunk->purged_pages, 0);
    give_back(chunk);
}

static void lazily_purged_pages_are_muzzy_then_clean_or_dirty_once_used(void **state)
{
    (void)state;
    struct chunk *chunk = must_take();
    (void)chunk_note_reused(chunk, 0, CHUNK_PAGES);
    chunk_use(chunk, 0, 100);
    (void)chunk_unuse(chunk, 0, 100, 60);
    chunk_use(chunk, 0, 50);
    assert_int_equal(chunk_note_muzzy(chunk, 0, 50), 50);
    (void)chunk_unuse(chunk, 0, 50, 0);
    assert_true(chunk_is_valid(chunk));
    assert_int_equal(chunk->dirty_pages, 10);
    assert_int_equal(chunk->muzzy_pages, 50);
    /* A purge for good takes both kinds. */
    chunk_use(chunk, 40, 40);
    assert_int_equal(chunk_note_purged(chunk, 40, 40), 10);
    (void)chunk_unuse(chunk, 40, 40, 0);
    assert_true(chunk_is_valid(chunk));
    assert_int_equal(chunk->dirty_pages, 0);
    assert_int_equal(chunk->muzzy_pages, 40);
    assert_int_equal(chunk->purged_pages, 20);
    /* Coming into use they are dirty, and still are when nobody touched them. */
    chunk_use(chunk, 30, 15);
    assert_int_equal(chunk_note_reused(chunk, 30, 15), 15);
    assert_int_equal(chunk->muzzy_pages, 30);
    assert_int_equal(chunk->purged_pages, 15);
    assert_int_equal(bits_count_range(chunk->dirty, 0, CHUNK_PAGES), 10);
    (void)chunk_unuse(chunk, 30, 15, 0);
    assert_int_equal(chunk->dirty_pages, 10);
    assert_true(chunk_is_valid(chunk));
    give_back(chunk);
}

static void a_run_is_found_from_all_its_pages_or_from_the_first(void **state)
{
    (void)state;
    struct chunk *chunk = must_take();
    chunk_use(chunk, 0, 30);
    struct run *slab = chunk_run_new(chunk, 5, 10, true);
    struct run *block = chunk_run_new(chunk, 15, 8, false);
    assert_ptr_not_equal(slab, block);
    for (unsigned page = 5; page < 15; page++) {
        assert_ptr_equal(chunk_run(chunk, chunk_page_address(chunk, page) + page), slab);
    }
    assert_ptr_equal(chunk_run(chunk, block->first), block);
    assert_ptr_equal(block->first, chunk_page_address(chunk, 15));
    assert_ptr_equal(block->chunk, chunk);
    assert_int_equal(block->page, 15);
    assert_int_equal(block->page_count, 8);
    assert_int_equal((uintptr_t)block % _Alignof(struct run), 0);
    chunk_run_delete(slab);
    chunk_run_delete(block);
    (void)chunk_unuse(chunk, 0, 30, 0);
    give_back(chunk);
}

static void descriptors_of_runs_are_distinct_and_reused(void **state)
{
    (void)state;
    struct chunk *chunk = must_take();
    static struct run *runs[CHUNK_PAGES];
    static bool slots[CHUNK_PAGES];
    chunk_use(chunk, 0, CHUNK_PAGES);
    for (unsigned round = 0; round < 3; round++) {
        memset(slots, 0, sizeof slots);
        for (unsigned page = 0; page < CHUNK_PAGES; page++) {
            runs[page] = chunk_run_new(chunk, page, 1, true);
            assert_true(runs[page]->slot < CHUNK_PAGES);
            assert_false(slots[runs[page]->slot]);
            slots[runs[page]->slot] = true;
        }
        for (unsigned page = 0; page < CHUNK_PAGES; page++) {
            assert_ptr_equal(chunk_run(chunk, chunk_page_address(chunk, page)), runs[page]);
            assert_int_equal(runs[page]->page, page);
        }
        for (unsigned i = 0; i < CHUNK_PAGES; i++) {
            chunk_run_delete(runs[(i * 37 + round) % CHUNK_PAGES]);
        }
    }
    assert_int_equal(chunk->run_slots_used, CHUNK_PAGES);
    (void)chunk_unuse(chunk, 0, CHUNK_PAGES, 0);
    give_back(chunk);
}

/* A chunk with a gap, as each kind of damage finds it. */
static void each_damage_is_seen(void **state)
{
    (void)state;
    struct chunk *chunk = must_take();
    chunk_use(chunk, 0, 200);
    (void)chunk_unuse(chunk, 50, 20, 10);
    assert_true(chunk_is_valid(chunk));
    struct chunk whole;
    memcpy(&whole, chunk, offsetof(struct chunk, run_of));
    for (unsigned damage = 0; damage < 12; damage++) {
        switch (damage) {
        case 0:
            bits_set_range(chunk->used, 300, 1);
            break;
        case 1:
            bits_clear_range(chunk->used, 10, 1);
            break;
        case 2:
            bits_set_range(chunk->dirty, 65, 1);
            break;
        case 3:
            chunk->free_pages++;
            break;
        case 4:
            chunk->dirty_pages--;
            break;
        case 5:
            chunk->longest_free = 311;
            break;
        case 6:
            chunk->first_free = 51;
            break;
        case 7:
            bits_set_range(chunk->muzzy, 65, 1);
            break;
        case 8:
            chunk->muzzy_pages++;
            break;
        case 9:
            bits_set_range(chunk->muzzy, 55, 1);
            chunk->muzzy_pages++;
            break;
        case 10:
            bits_set_range(chunk->muzzy, 65, 1);
            bits_set_range(chunk->purged, 65, 1);
            chunk->muzzy_pages++;
            chunk->purged_pages++;
            break;
        default:
            map_set_owner(chunk->base, &heap);
            break;
        }
        EXPECT(!chunk_is_valid(chunk), "damage %u was not seen", damage);
        memcpy(chunk, &whole, offsetof(struct chunk, run_of));
        map_set_owner(chunk->base, chunk);
        assert_true(chunk_is_valid(chunk));
    }
    (void)chunk_unuse(chunk, 0, 50, 0);
    (void)chunk_unuse(chunk, 70, 130, 0);
    give_back(chunk);
}

static void use_pages_twice(void)
{
    struct chunk *chunk = chunk_take(&heap, 1, BREAK_DISABLED, SIZE_MAX, &first_use);
    CHILD_EXPECT(chunk != NULL);
    chunk_use(chunk, 8, 8);
    chunk_use(chunk, 15, 1);
}

static void unuse_unused_pages(void)
{
    struct chunk *chunk = chunk_take(&heap, 1, BREAK_DISABLED, SIZE_MAX, &first_use);
    CHILD_EXPECT(chunk != NULL);
    chunk_use(chunk, 8, 8);
    (void)chunk_unuse(chunk, 8, 9, 0);
}

static void give_back_used_chunk(void)
{
    struct chunk *chunk = chunk_take(&heap, 1, BREAK_DISABLED, SIZE_MAX, &first_use);
    CHILD_EXPECT(chunk != NULL);
    chunk_use(chunk, 8, 8);
    chunk_give_back(chunk);
}

static void mistakes_of_callers_abort_in_debug_builds(void **state)
{
    (void)state;
    if (!config_debug) {
        skip();
    }
    expect_abort_with(run_in_child(use_pages_twice), "failed check");
    expect_abort_with(run_in_child(unuse_unused_pages), "failed check");
    expect_abort_with(run_in_child(give_back_used_chunk), "failed check");
}

/* Takes chunks until there is no memory for their descriptors, and asks on: the break, which does
 * not shrink, stays. */
static void take_from_the_break_without_mappings(void)
{
    meta_uses_break = false;
    refuse_calls(SYS_mmap, SYS_mmap, ENOMEM);
    char *before = sbrk(0);
    unsigned count = 0;
    while (chunk_take(&heap, 1, BREAK_SECONDARY, SIZE_MAX, &first_use) != NULL) {
        count++;
    }
    char *full = sbrk(0);
    CHILD_EXPECT(count > 0 && full > before);
    for (unsigned i = 0; i < 10; i++) {
        CHILD_EXPECT(chunk_take(&heap, 1, BREAK_SECONDARY, SIZE_MAX, &first_use) == NULL);
    }
    CHILD_EXPECT((char *)sbrk(0) == full);
}

static void the_break_does_not_grow_for_nothing(void **state)
{
    (void)state;
    struct child_end end = run_in_child(take_from_the_break_without_mappings);
    skip_unless_refused(end.status);
    expect_good_end(end);
}

/* Takes chunks until they are refused, with less than 2 MiB of address space left for the last. */
static void take_under_a_limit(void)
{
    limit_address_space((size_t)7 << 20);
    struct chunk *chunk;
    unsigned partial = 0;
    for (unsigned i = 0;
         (chunk = chunk_take(&heap, 1, BREAK_DISABLED, SIZE_MAX, &first_use)) != NULL; i++) {
        CHILD_EXPECT(i < 100000);
        CHILD_EXPECT(chunk_is_valid(chunk));
        CHILD_EXPECT(map_owner(chunk->base) == chunk);
        CHILD_EXPECT((uintptr_t)chunk->base % CHUNK_BYTES == 0);
        CHILD_EXPECT(chunk->free_pages == chunk->valid_pages);
        unsigned page = chunk_find(chunk, chunk->valid_pages, 1);
        CHILD_EXPECT(page + chunk->valid_pages <= CHUNK_PAGES);
        char *first = chunk_page_address(chunk, page);
        size_t size = (size_t)chunk->valid_pages * PAGE_BYTES;
        CHILD_EXPECT(bytes_are(first, size, 0));
        memset(first, (int)i, size);
        chunk_use(chunk, page, chunk->valid_pages);
        CHILD_EXPECT(chunk_find(chunk, 1, 1) == CHUNK_PAGES);
        CHILD_EXPECT(chunk->free_pages == 0);
        partial += chunk->valid_pages < CHUNK_PAGES;
    }
    CHILD_EXPECT(partial > 0);
    CHILD_EXPECT(chunk_take(&heap, 1, BREAK_DISABLED, SIZE_MAX, &first_use) == NULL);
    limit_address_space((size_t)64 << 20);
    chunk = chunk_take(&heap, 1, BREAK_DISABLED, SIZE_MAX, &first_use);
    CHILD_EXPECT(chunk != NULL);
    CHILD_EXPECT(chunk->valid_pages == CHUNK_PAGES);
}

static void a_tight_limit_gives_partial_chunks_then_none_then_whole_ones(void **state)
{
    (void)state;
    expect_good_end(run_in_child(take_under_a_limit));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_chunk_is_free_clean_aligned_and_known),
        cmocka_unit_test(a_chunk_beyond_all_that_were_ever_taken_says_so),
        cmocka_unit_test(a_chunk_given_back_is_spare_and_taken_first),
        cmocka_unit_test(a_chunk_that_is_not_retained_is_unmapped),
        cmocka_unit_test(every_single_run_can_be_used_and_released),
        cmocka_unit_test(random_uses_agree_with_a_model_of_the_pages),
        cmocka_unit_test(a_chunk_knows_which_purged_pages_are_wanted_back),
        cmocka_unit_test(lazily_purged_pages_are_muzzy_then_clean_or_dirty_once_used),
        cmocka_unit_test(a_run_is_found_from_all_its_pages_or_from_the_first),
        cmocka_unit_test(descriptors_of_runs_are_distinct_and_reused),
        cmocka_unit_test(each_damage_is_seen),
        cmocka_unit_test(mistakes_of_callers_abort_in_debug_builds),
        cmocka_unit_test(the_break_does_not_grow_for_nothing),
        cmocka_unit_test(a_tight_limit_gives_partial_chunks_then_none_then_whole_ones),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
