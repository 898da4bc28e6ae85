/* page_stock.c: the lists of a page heap's chunks, and its counts. See page_stock.h.
 *
 * The same few statements run whenever pages change hands, so that no caller can forget a list.
 */
#include "pages/page_stock.h"

#include "pages/hpa.h"

static void list_remove(struct page_heap *heap, struct chunk *chunk, unsigned list)
{
    if (chunk->previous != NULL) {
        chunk->previous->next = chunk->next;
    } else {
        ASSERT(heap->list[list] == chunk);
        heap->list[list] = chunk->next;
        if (chunk->next == NULL) {
            heap->nonempty &= ~((uint64_t)1 << list);
        }
    }
    if (chunk->next != NULL) {
        chunk->next->previous = chunk->previous;
    }
}

static void list_push(struct page_heap *heap, struct chunk *chunk, unsigned list)
{
    chunk->previous = NULL;
    chunk->next = heap->list[list];
    if (chunk->next != NULL) {
        chunk->next->previous = chunk;
    }
    heap->list[list] = chunk;
    heap->nonempty |= (uint64_t)1 << list;
}

void page_stock_relist(struct page_heap *heap, struct chunk *chunk, unsigned longest_before)
{
    unsigned longest = chunk->longest_free;
    unsigned before = longest_before == 0 ? PAGE_HEAP_LISTS : page_stock_list(longest_before);
    unsigned after = longest == 0 ? PAGE_HEAP_LISTS : page_stock_list(longest);
    if (before == after) {
        return;
    }
    if (before != PAGE_HEAP_LISTS) {
        list_remove(heap, chunk, before);
    }
    if (after != PAGE_HEAP_LISTS) {
        list_push(heap, chunk, after);
    }
}

static void stage_append(struct page_heap *heap, unsigned stage_index, struct chunk *chunk)
{
    struct page_stage *stage = &heap->stage[stage_index];
    struct chunk_link *link = &chunk->stage[stage_index];
    ASSERT(!link->linked);
    link->previous = stage->last;
    link->next = NULL;
    *(stage->last != NULL ? &stage->last->stage[stage_index].next : &stage->first) = chunk;
    stage->last = chunk;
    link->linked = true;
}

static void stage_remove(struct page_heap *heap, unsigned stage_index, struct chunk *chunk)
{
    struct page_stage *stage = &heap->stage[stage_index];
    struct chunk_link *link = &chunk->stage[stage_index];
    ASSERT(link->linked);
    *(link->previous != NULL ? &link->previous->stage[stage_index].next : &stage->first) =
        link->next;
    *(link->next != NULL ? &link->next->stage[stage_index].previous : &stage->last) =
        link->previous;
    link->linked = false;
}

struct chunk *page_stock_visit(struct page_heap *heap, unsigned stage_index)
{
    struct chunk *chunk = heap->stage[stage_index].first;
    stage_remove(heap, stage_index, chunk);
    stage_append(heap, stage_index, chunk);
    return chunk;
}

void page_stock_add(struct page_heap *heap, struct chunk *chunk)
{
    heap->chunk_count++;
    heap->chunk_pages += chunk->valid_pages;
    chunk->previous_of_heap = NULL;
    chunk->next_of_heap = heap->first_chunk;
    if (heap->first_chunk != NULL) {
        heap->first_chunk->previous_of_heap = chunk;
    }
    heap->first_chunk = chunk;
    list_push(heap, chunk, page_stock_list(chunk->longest_free));
}

static void remove_chunk(struct page_heap *heap, struct chunk *chunk)
{
    list_remove(heap, chunk, page_stock_list(chunk->longest_free));
    heap->chunk_count--;
    heap->chunk_pages -= chunk->valid_pages;
    if (UNLIKELY(chunk->hpa_state != HPA_SMALL)) {
        hpa_forget(heap, chunk);
    }
    *(chunk->previous_of_heap != NULL ? &chunk->previous_of_heap->next_of_heap
                                      : &heap->first_chunk) = chunk->next_of_heap;
    if (chunk->next_of_heap != NULL) {
        chunk->next_of_heap->previous_of_heap = chunk->previous_of_heap;
    }
}

void page_stock_take_out(struct page_heap *heap, struct chunk *chunk)
{
    ASSERT(chunk->free_pages == chunk->valid_pages);
    for (unsigned i = 0; i < STAGES; i++) {
        unsigned pages = i == STAGE_DIRTY ? chunk->dirty_pages : chunk->muzzy_pages;
        heap->stage[i].page_count -= pages;
        heap->stage[i].purged_pages += pages;
        if (chunk->stage[i].linked) {
            stage_remove(heap, i, chunk);
        }
    }
    remove_chunk(heap, chunk);
}

void page_stock_put_back(struct page_heap *heap, struct chunk *chunk)
{
    for (unsigned i = 0; i < STAGES; i++) {
        unsigned pages = i == STAGE_DIRTY ? chunk->dirty_pages : chunk->muzzy_pages;
        heap->stage[i].page_count += pages;
        heap->stage[i].purged_pages -= pages;
        if (pages > 0) {
            stage_append(heap, i, chunk);
        }
    }
    page_stock_add(heap, chunk);
}

void page_stock_use(struct page_heap *heap, struct chunk *chunk, unsigned page, unsigned page_count)
{
    unsigned longest = chunk->longest_free;
    unsigned dirty = chunk->dirty_pages;
    chunk_use(chunk, page, page_count);
    page_stock_relist(heap, chunk, longest);
    if (dirty != chunk->dirty_pages) {
        heap->stage[STAGE_DIRTY].page_count -= dirty - chunk->dirty_pages;
        if (chunk->dirty_pages == 0 && chunk->stage[STAGE_DIRTY].linked) {
            stage_remove(heap, STAGE_DIRTY, chunk);
        }
    }
}

ALWAYS_INLINE void settle(struct page_heap *heap, struct chunk *chunk)
{
    if (chunk->free_pages == chunk->valid_pages && chunk->dirty_pages == 0 &&
        chunk->muzzy_pages == 0 && chunk->extent == NULL && chunk->hpa_state != HPA_MAKING) {
        remove_chunk(heap, chunk);
        chunk_give_back(chunk);
    }
}

void page_stock_unuse(struct page_heap *heap, struct chunk *chunk, unsigned page,
                      unsigned page_count, unsigned touched)
{
    unsigned longest = chunk->longest_free;
    unsigned dirty = chunk->dirty_pages;
    (void)chunk_unuse(chunk, page, page_count, touched);
    page_stock_relist(heap, chunk, longest);
    heap->stage[STAGE_DIRTY].page_count += chunk->dirty_pages - dirty;
    if (chunk->dirty_pages > 0 && !chunk->stage[STAGE_DIRTY].linked) {
        stage_append(heap, STAGE_DIRTY, chunk);
    }
    settle(heap, chunk);
}

void page_stock_settle(struct page_heap *heap, struct chunk *chunk)
{
    settle(heap, chunk);
}

/* The chunk had muzzy_before muzzy pages a moment ago. */
static void settle_muzzy(struct page_heap *heap, struct chunk *chunk, unsigned muzzy_before)
{
    heap->stage[STAGE_MUZZY].page_count += chunk->muzzy_pages;
    heap->stage[STAGE_MUZZY].page_count -= muzzy_before;
    if (chunk->muzzy_pages > 0 && muzzy_before == 0) {
        stage_append(heap, STAGE_MUZZY, chunk);
    } else if (chunk->muzzy_pages == 0 && muzzy_before > 0) {
        stage_remove(heap, STAGE_MUZZY, chunk);
    }
}

unsigned page_stock_reuse_muzzy(struct page_heap *heap, struct chunk *chunk,
                                struct page_range range, bool *zeroed)
{
    unsigned muzzy = chunk->muzzy_pages;
    unsigned reused = chunk_note_reused(chunk, range.page, range.page_count);
    *zeroed = *zeroed && chunk->muzzy_pages == muzzy;
    settle_muzzy(heap, chunk, muzzy);
    return reused;
}

void page_stock_note_purged(struct page_heap *heap, struct chunk *chunk, struct page_range range)
{
    unsigned muzzy = chunk->muzzy_pages;
    heap->stage[STAGE_DIRTY].purged_pages += chunk_note_purged(chunk, range.page, range.page_count);
    heap->stage[STAGE_MUZZY].purged_pages += muzzy - chunk->muzzy_pages;
    settle_muzzy(heap, chunk, muzzy);
}

void page_stock_note_muzzy(struct page_heap *heap, struct chunk *chunk, struct page_range range)
{
    unsigned muzzy = chunk->muzzy_pages;
    heap->stage[STAGE_DIRTY].purged_pages += chunk_note_muzzy(chunk, range.page, range.page_count);
    settle_muzzy(heap, chunk, muzzy);
}

void page_stock_drop_large(struct page_heap *heap, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct run *run = heap->recent[i];
        heap->recent_pages -= run->page_count;
        page_stock_release(heap, run, run->page_count);
    }
    heap->recent_count -= count;
    for (unsigned i = 0; i < heap->recent_count; i++) {
        heap->recent[i] = heap->recent[i + count];
    }
}

void page_stock_drop_recent(struct page_heap *heap)
{
    page_stock_drop_large(heap, heap->recent_count);
    for (unsigned i = 0; i < RECENT_SLAB_LISTS; i++) {
        struct run *next;
        for (struct run *run = heap->recent_slab[i]; run != NULL; run = next) {
            next = run->next;
            page_stock_release(heap, run, run->page_count);
        }
        heap->recent_slab[i] = NULL;
    }
    heap->recent_pages -= heap->recent_slab_pages;
    heap->recent_slab_pages = 0;
    ASSERT(heap->recent_pages == 0);
}

/* A chunk with pages of the stage that is missing in the list shows in the sum, unless it is full.
 */
static bool stage_is_valid(const struct page_heap *heap, unsigned stage_index)
{
    size_t pages = 0;
    const struct page_stage *stage = &heap->stage[stage_index];
    for (const struct chunk *chunk = stage->first; chunk != NULL;
         chunk = chunk->stage[stage_index].next) {
        unsigned here = stage_index == STAGE_DIRTY ? chunk->dirty_pages : chunk->muzzy_pages;
        if (here == 0 || !chunk->stage[stage_index].linked) {
            return false;
        }
        pages += here;
    }
    return pages == stage->page_count;
}

/* The runs that are kept whole, counted again. */
static bool recent_is_valid(const struct page_heap *heap)
{
    size_t large_pages = 0;
    size_t slab_pages = 0;
    for (unsigned i = 0; i < heap->recent_count; i++) {
        large_pages += heap->recent[i]->page_count;
    }
    for (unsigned i = 0; i < RECENT_SLAB_LISTS; i++) {
        for (const struct run *run = heap->recent_slab[i]; run != NULL; run = run->next) {
            if (run->page_count != 1u << (i + RECENT_SLAB_PAGES_MIN_LG)) {
                return false;
            }
            slab_pages += run->page_count;
        }
    }
    return heap->recent_slab_pages == slab_pages && heap->recent_pages == slab_pages + large_pages;
}

bool page_stock_is_valid(const struct page_heap *heap)
{
    if (!recent_is_valid(heap)) {
        return false;
    }
    for (unsigned list = 0; list < PAGE_HEAP_LISTS; list++) {
        bool marked = (heap->nonempty >> list) & 1;
        if (marked != (heap->list[list] != NULL)) {
            return false;
        }
        for (const struct chunk *chunk = heap->list[list]; chunk != NULL; chunk = chunk->next) {
            if (page_stock_list(chunk->longest_free) != list || !chunk_is_valid(chunk)) {
                return false;
            }
        }
    }
    return stage_is_valid(heap, STAGE_DIRTY) && stage_is_valid(heap, STAGE_MUZZY) &&
           hpa_is_valid(heap);
}
