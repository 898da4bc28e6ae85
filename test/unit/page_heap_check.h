/* page_heap_check.h: page heaps of a test's own: runs with a tag in each page, and what must hold
 * while nobody else uses the heap.
 */
#ifndef TEST_UNIT_PAGE_HEAP_CHECK_H
#define TEST_UNIT_PAGE_HEAP_CHECK_H

#include "unit_check.h"

#include "pages/page_heap.h"

/* Pages of the chunks that have unused ones, that is, which stand in a list. */
static inline size_t free_pages_in_lists(const struct page_heap *heap)
{
    size_t pages = 0;
    for (unsigned list = 0; list < PAGE_HEAP_LISTS; list++) {
        for (const struct chunk *chunk = heap->list[list]; chunk != NULL; chunk = chunk->next) {
            pages += chunk->free_pages;
        }
    }
    return pages;
}

/* Everything that must hold while nobody else uses the heap. */
static inline void expect_valid(const struct page_heap *heap)
{
    assert_true(page_heap_is_valid(heap));
    size_t free_pages = free_pages_in_lists(heap);
    assert_int_equal(heap->active_pages + heap->recent_pages + free_pages, heap->chunk_pages);
    assert_true(heap->stage[STAGE_DIRTY].page_count + heap->stage[STAGE_MUZZY].page_count <=
                free_pages);
    assert_true(heap->large_pages <= heap->active_pages);
}

static inline void expect_empty(struct page_heap *heap)
{
    page_heap_purge(heap, 0);
    expect_valid(heap);
    assert_int_equal(heap->active_pages, 0);
    assert_int_equal(heap->large_pages, 0);
    assert_int_equal(heap->stage[STAGE_DIRTY].page_count, 0);
    assert_int_equal(heap->stage[STAGE_MUZZY].page_count, 0);
    assert_null(heap->stage[STAGE_MUZZY].first);
    assert_int_equal(heap->recent_pages, 0);
    assert_int_equal(heap->chunk_count, 0);
    assert_int_equal(heap->chunk_pages, 0);
    assert_int_equal(heap->nonempty, 0);
}

static inline struct run_request request_of(unsigned page_count, unsigned alignment,
                                            uint8_t large_index)
{
    return (struct run_request){page_count, alignment, 0, large_index == LARGE_NONE, large_index};
}

static inline struct run *must_alloc(struct page_heap *heap, unsigned page_count)
{
    bool zeroed;
    struct run *run = run_alloc(heap, request_of(page_count, 1, LARGE_NONE), &zeroed);
    assert_non_null(run);
    assert_int_equal(run->page_count, page_count);
    return run;
}

static inline size_t bytes_of(const struct run *run)
{
    return (size_t)run->page_count * PAGE_BYTES;
}

/* Writes a tag at both ends of each page from page `first` on. */
static inline void tag_pages(const struct run *run, unsigned first, uint64_t tag)
{
    for (unsigned page = first; page < run->page_count; page++) {
        uint64_t *words = (uint64_t *)(run->first + (size_t)page * PAGE_BYTES);
        words[0] = tag + page;
        words[PAGE_BYTES / sizeof *words - 1] = ~(tag + page);
    }
}

static inline bool has_tags(const struct run *run, uint64_t tag)
{
    for (unsigned page = 0; page < run->page_count; page++) {
        const uint64_t *words = (const uint64_t *)(run->first + (size_t)page * PAGE_BYTES);
        if (words[0] != tag + page || words[PAGE_BYTES / sizeof *words - 1] != ~(tag + page)) {
            return false;
        }
    }
    return true;
}

#endif
