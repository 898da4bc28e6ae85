/* large.c: runs and mappings as blocks. See large.h.
 *
 * Which of the two a block is follows from its size and alignment when it is made, and is kept as
 * its class code in the address map.
 */
#include "heap/large.h"

#include "base/bits.h"
#include "config/options.h"
#include "heap/special.h"
#include "os/os.h"
#include "pages/extent.h"

#include <string.h>

size_t large_direct_max = (size_t)RUN_PAGES_MAX * PAGE_BYTES;

void large_start(void)
{
    large_note_oversize(options.oversize_threshold);
    if (!options.disable_large_size_classes) {
        usable_by_class = true;
        large_note_oversize(1);
    }
}

void large_note_oversize(size_t size_bytes)
{
    if (size_bytes - 1 < large_direct_max) {
        large_direct_max = size_bytes - 1;
    }
}

static bool fits_a_run(size_t size_bytes, size_t alignment)
{
    return size_bytes <= (size_t)RUN_PAGES_MAX * PAGE_BYTES && alignment <= CHUNK_BYTES;
}

unsigned large_run_code(size_t size_bytes)
{
    bool is_cached = size_bytes >= LARGE_SIZE_MIN && size_bytes <= CACHED_SIZE_MAX;
    return is_cached ? class_code(class_of(size_bytes)) : CODE_RUN;
}

/* Class for the counters, by pages: 0 for 16 KiB. Four a doubling. */
#define INDICES(from, step, first)                                                          \
    [(from) + 1 ...(from) + (step)] = (first),                                              \
                            [(from) + (step) + 1 ...(from) + 2 * (step)] = (first) + 1,     \
                            [(from) + 2 * (step) + 1 ...(from) + 3 * (step)] = (first) + 2, \
                            [(from) + 3 * (step) + 1 ...(from) + 4 * (step)] = (first) + 3
static const uint8_t large_index[RUN_PAGES_MAX + 1] = {
    INDICES(4, 1, 1),   INDICES(8, 2, 5),    INDICES(16, 4, 9),
    INDICES(32, 8, 13), INDICES(64, 16, 17), INDICES(128, 32, 21),
};
#undef INDICES

uint8_t large_index_of(size_t size_bytes)
{
    return large_index[size_bytes / PAGE_BYTES];
}

/* From some size on, dropping stale pages costs less than clearing them. Only mappings: one ends
 * with an OS page, and what follows the block on its last one is nobody's. */
static void clear(void *address, size_t size_bytes)
{
    if (size_bytes > (size_t)RUN_PAGES_MAX * PAGE_BYTES &&
        size_bytes >= options.calloc_madvise_threshold &&
        os_purge(address, bits_round_up(size_bytes, os_page_bytes))) {
        return;
    }
    memset(address, 0, size_bytes);
}

static NOINLINE struct run *run_after_growth(struct arena *arena, struct run_request request,
                                             bool *zeroed)
{
    unsigned pages = request.page_count + request.room + request.alignment - 1;
    struct run *run = NULL;
    while (run == NULL &&
           page_heap_grow(&arena->pages, pages < CHUNK_PAGES ? pages : CHUNK_PAGES)) {
        run = run_alloc(&arena->pages, request, zeroed);
    }
    return run;
}

static void *run_block(struct arena *arena, size_t size_bytes, size_t alignment, bool *zeroed)
{
    size_t in_pages = alignment <= PAGE_BYTES ? 1 : alignment / PAGE_BYTES;
    struct run_request request = {(unsigned)(size_bytes / PAGE_BYTES), (unsigned)in_pages, 0, false,
                                  large_index_of(size_bytes)};
    struct run *run = run_alloc(&arena->pages, request, zeroed);
    if (UNLIKELY(run == NULL) && (run = run_after_growth(arena, request, zeroed)) == NULL) {
        return NULL;
    }
    map_set_code(run->first, large_run_code(size_bytes));
    return run->first;
}

/* A run of any pages, often one freed a moment ago, as a block of the class code. */
ALWAYS_INLINE void *recent_block(struct arena *arena, size_t size_bytes, unsigned code)
{
    struct run *run = run_alloc_large(&arena->pages, (unsigned)(size_bytes / PAGE_BYTES),
                                      large_index_of(size_bytes));
    if (run == NULL) {
        return NULL;
    }
    map_set_code(run->first, code);
    return run->first;
}

void *large_alloc_run(struct arena *arena, size_t size_bytes)
{
    ASSERT(size_bytes > CACHED_SIZE_MAX && size_bytes <= (size_t)RUN_PAGES_MAX * PAGE_BYTES);
    return recent_block(arena, size_bytes, CODE_RUN);
}

void *large_alloc_cached(struct arena *arena, uint8_t class_index)
{
    ASSERT(class_index >= SMALL_CLASSES && class_index < CACHED_CLASSES);
    size_t size_bytes = class_size(class_index);
    return recent_block(arena_for_size(arena, size_bytes), size_bytes, class_code(class_index));
}

/* Where a mapped block of a size is counted. */
static unsigned counted_class(size_t size_bytes)
{
    uint8_t class_index = class_of(size_bytes);
    return class_index <= SMALL_CLASSES ? 0 : class_index - SMALL_CLASSES;
}

/* The pages of mappings become part of the arena's active pages. Counts are not under one lock with
 * this: whoever comes last tells the truth. */
static NOINLINE void show_mapped_pages(struct arena *arena)
{
    const struct huge_counters *counters = atomic_load_explicit(&arena->huge, memory_order_acquire);
    size_t bytes =
        counters == NULL ? 0 : atomic_load_explicit(&counters->live_bytes, memory_order_relaxed);
    page_heap_count_mapped(&arena->pages, bytes / PAGE_BYTES);
}

static void watch_mapped_pages(struct arena *arena)
{
    if (UNLIKELY(atomic_load_explicit(&arena->watches_mappings, memory_order_relaxed)) &&
        atomic_load_explicit(&arena->shows_active, memory_order_relaxed)) {
        show_mapped_pages(arena);
    }
}

const size_t *large_active_pages(struct arena *arena)
{
    atomic_store_explicit(&arena->shows_active, true, memory_order_relaxed);
    atomic_store_explicit(&arena->watches_mappings, true, memory_order_relaxed);
    show_mapped_pages(arena);
    return &arena->pages.active_pages;
}

static void count_huge_alloc(struct huge_counters *counters, size_t size_bytes)
{
    atomic_fetch_add_explicit(&counters->alloc_count[counted_class(size_bytes)], 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->live_bytes, size_bytes, memory_order_relaxed);
}

static void count_huge_free(struct arena *arena, size_t size_bytes)
{
    struct huge_counters *counters = atomic_load_explicit(&arena->huge, memory_order_acquire);
    ASSERT(counters != NULL);
    atomic_fetch_add_explicit(&counters->free_count[counted_class(size_bytes)], 1,
                              memory_order_relaxed);
    atomic_fetch_sub_explicit(&counters->live_bytes, size_bytes, memory_order_relaxed);
}

void large_count_mapped(struct arena *arena, size_t size_bytes)
{
    count_huge_alloc(atomic_load_explicit(&arena->huge, memory_order_acquire), size_bytes);
}

void large_uncount_mapped(struct arena *arena, size_t size_bytes)
{
    count_huge_free(arena, size_bytes);
}

/* Growing step by step mostly stays in a class. Sizes are two pages at least. */
static bool is_same_class(size_t a, size_t b)
{
    unsigned shift = bits_highest(a - 1) - 2;
    return (a - 1) >> shift == (b - 1) >> shift;
}

/* A mapped block has another size now: when its class is another one too, one of the old is gone
 * and one of the new has come. */
static void count_huge_resize(const struct huge *huge, size_t old_bytes)
{
    if (is_same_class(huge->size_bytes, old_bytes)) {
        struct arena *arena = huge->arena;
        struct huge_counters *counters = atomic_load_explicit(&arena->huge, memory_order_acquire);
        atomic_fetch_add_explicit(&counters->live_bytes, huge->size_bytes - old_bytes,
                                  memory_order_relaxed);
    } else {
        count_huge_free(huge->arena, old_bytes);
        count_huge_alloc(arena_huge_counters(huge->arena), huge->size_bytes);
    }
    watch_mapped_pages(huge->arena);
}

/* The list of a manual arena's mappings, for its reset. One whose `previous` is itself is not in
 * it: a reset has taken it out. Lock of the page heap held. */
static void list_huge(struct arena *arena, struct huge *huge)
{
    huge->previous = NULL;
    huge->next = arena->first_huge;
    if (huge->next != NULL) {
        huge->next->previous = huge;
    }
    arena->first_huge = huge;
}

static void unlist_huge(struct arena *arena, struct huge *huge)
{
    if (huge->previous == huge) {
        return;
    }
    *(huge->previous != NULL ? &huge->previous->next : &arena->first_huge) = huge->next;
    if (huge->next != NULL) {
        huge->next->previous = huge->previous;
    }
    huge->previous = huge;
}

static NOINLINE void note_mapping(struct arena *arena, struct huge *huge, bool comes)
{
    if (arena->is_manual) {
        lock_acquire(&arena->pages.lock);
        (comes ? list_huge : unlist_huge)(arena, huge);
        lock_release(&arena->pages.lock);
    }
    watch_mapped_pages(arena);
}

/* A mapping as a block of its arena, whose counters these are. */
static void *huge_block(struct huge *huge, struct huge_counters *counters)
{
    if (huge == NULL) {
        return NULL;
    }
    struct arena *arena = huge->arena;
    count_huge_alloc(counters, huge->size_bytes);
    if (UNLIKELY(atomic_load_explicit(&arena->watches_mappings, memory_order_relaxed))) {
        note_mapping(arena, huge, true);
    }
    return huge->base;
}

void large_free_mappings(struct arena *arena)
{
    for (;;) {
        lock_acquire(&arena->pages.lock);
        struct huge *huge = arena->first_huge;
        if (huge != NULL) {
            unlist_huge(arena, huge);
        }
        lock_release(&arena->pages.lock);
        if (huge == NULL) {
            return;
        }
        large_free(huge->base, map_code(huge->base));
    }
}

/* A mapping by the arena's hooks. */
static NOINLINE struct huge *hooked_mapping(struct arena *arena, size_t size_bytes,
                                            size_t alignment, bool *zeroed)
{
    if (size_bytes > (size_t)1 << ADDRESS_BITS || alignment > (size_t)1 << ADDRESS_BITS) {
        return NULL;
    }
    struct extent *extent = extent_take(&arena->pages, bits_round_up(size_bytes, os_page_bytes),
                                        alignment > UNIT_BYTES ? alignment : UNIT_BYTES, false);
    if (extent == NULL) {
        return NULL;
    }
    *zeroed = extent->zeroed;
    struct huge *huge = huge_adopt(arena, extent, size_bytes);
    if (huge == NULL) {
        extent_give(&arena->pages, extent);
    }
    return huge;
}

void *large_alloc_growing(struct arena *arena, size_t size_bytes)
{
    if (UNLIKELY(special_large)) {
        return NULL;
    }
    arena = arena_for_size(arena, size_bytes);
    if (size_bytes >= GROWING_BYTES) {
        if (page_heap_has_hooks(&arena->pages)) {
            return NULL; /* Room to grow would be theirs. */
        }
        struct huge_counters *counters = arena_huge_counters(arena);
        return counters == NULL ? NULL
                                : huge_block(huge_alloc_growing(arena, size_bytes), counters);
    }
    unsigned page_count = (unsigned)(size_bytes / PAGE_BYTES);
    unsigned left = RUN_PAGES_MAX - page_count;
    unsigned room = page_count < left ? page_count : left;
    struct run_request request = {page_count, 1, room, false, large_index[page_count]};
    bool zeroed;
    struct run *run = room == 0 ? NULL : run_alloc(&arena->pages, request, &zeroed);
    if (run == NULL) {
        return large_alloc_run(arena, size_bytes);
    }
    map_set_code(run->first, CODE_RUN);
    return run->first;
}

void *large_alloc(struct arena *arena, size_t size_bytes, size_t alignment, bool zero)
{
    ASSERT(size_bytes % PAGE_BYTES == 0);
    bool zeroed = false;
    bool hooked = false;
    void *block = NULL;
    if (UNLIKELY(special_large) && size_bytes > CACHED_SIZE_MAX) {
        block = special_alloc(arena, size_bytes, alignment, zero);
        if (block != NULL) {
            return block;
        }
    }
    if (fits_a_run(size_bytes, alignment)) {
        block = run_block(arena, size_bytes, alignment, &zeroed);
    } else {
        struct huge_counters *counters = arena_huge_counters(arena);
        if (counters != NULL) {
            hooked = page_heap_has_hooks(&arena->pages);
            block = huge_block(hooked ? hooked_mapping(arena, size_bytes, alignment, &zeroed)
                                      : huge_alloc(arena, size_bytes, alignment, &zeroed),
                               counters);
        }
    }
    if (zero && block != NULL && !zeroed) {
        if (hooked) {
            memset(block, 0, size_bytes);
        } else {
            clear(block, size_bytes);
        }
    }
    return block;
}

static struct run *run_of(const void *block)
{
    return chunk_run(map_owner(block), block);
}

void large_free(void *block, unsigned code)
{
    if (code == CODE_HUGE) {
        struct huge *huge = map_owner(block);
        struct arena *arena = huge->arena;
        count_huge_free(arena, huge->size_bytes);
        if (UNLIKELY(atomic_load_explicit(&arena->watches_mappings, memory_order_relaxed))) {
            note_mapping(arena, huge, false);
        }
        if (UNLIKELY(huge->extent != NULL)) {
            struct extent *extent = huge->extent;
            huge_disown(huge);
            extent_give(&arena->pages, extent);
            return;
        }
        huge_free(huge);
        return;
    }
    if (UNLIKELY(code > CODE_HUGE)) {
        special_free(block, code);
        return;
    }
    uint64_t freed_bytes = 0;
    large_free_run(block, &freed_bytes);
}

void large_free_run(void *block, uint64_t *freed_bytes)
{
    struct map_leaf *leaf = map_leaf_of(block);
    uint32_t low = (uint32_t)(uintptr_t)block;
    struct chunk *chunk = atomic_load_explicit(&leaf->owner[low >> UNIT_LG], memory_order_acquire);
    struct run *run = chunk_run(chunk, block);
    *freed_bytes += (size_t)run->page_count * PAGE_BYTES;
    leaf->class_code[low >> PAGE_LG] = 0;
    run_free_large(run);
}

size_t large_size(const void *block, unsigned code)
{
    if (code == CODE_HUGE) {
        return ((struct huge *)map_owner(block))->size_bytes;
    }
    if (UNLIKELY(code > CODE_HUGE)) {
        return special_size(block, code);
    }
    return (size_t)run_of(block)->page_count * PAGE_BYTES;
}

static bool resize_run(void *block, size_t size_bytes, bool zero)
{
    struct run *run = run_of(block);
    size_t old_bytes = (size_t)run->page_count * PAGE_BYTES;
    if (!fits_a_run(size_bytes, PAGE_BYTES)) {
        return false;
    }
    unsigned page_count = (unsigned)(size_bytes / PAGE_BYTES);
    if (size_bytes > old_bytes) {
        if (!run_grow(run, page_count, large_index_of(size_bytes))) {
            return false;
        }
        if (zero) {
            memset((char *)block + old_bytes, 0, size_bytes - old_bytes);
        }
    } else if (size_bytes < old_bytes) {
        run_shrink(run, page_count, large_index_of(size_bytes));
    }
    map_set_code(block, large_run_code(size_bytes));
    return true;
}

/* Clears what a grown mapping holds of its former lives. */
static void clear_stale(const struct huge *huge, size_t old_bytes)
{
    size_t stale_end =
        huge->touched_bytes < huge->size_bytes ? huge->touched_bytes : huge->size_bytes;
    if (stale_end > old_bytes) {
        memset(huge->base + old_bytes, 0, stale_end - old_bytes);
    }
}

/* The same for a mapping of hooks, whose tail goes back, or which is made longer. */
static NOINLINE bool resize_hooked(struct huge *huge, size_t size_bytes)
{
    struct page_heap *heap = &((struct arena *)huge->arena)->pages;
    struct extent *extent = huge->extent;
    size_t map_bytes = bits_round_up(size_bytes, os_page_bytes);
    struct extent *tail = NULL;
    if (size_bytes > (size_t)1 << ADDRESS_BITS) {
        return false;
    }
    if (map_bytes < extent->size_bytes) {
        tail = extent_split(heap, extent, map_bytes);
        if (tail == NULL) {
            return false;
        }
    } else if (map_bytes > extent->size_bytes &&
               !extent_grow(heap, extent, map_bytes - extent->size_bytes)) {
        return false;
    }
    huge_note_extent(huge, size_bytes);
    if (tail != NULL) {
        extent_give(heap, tail);
    }
    return true;
}

static bool resize_huge(struct huge *huge, size_t size_bytes, bool zero)
{
    size_t old_bytes = huge->size_bytes;
    if (UNLIKELY(huge->extent != NULL) ? !resize_hooked(huge, size_bytes)
                                       : !huge_resize_in_place(huge, size_bytes)) {
        return false;
    }
    count_huge_resize(huge, old_bytes);
    if (zero && size_bytes > old_bytes) {
        clear_stale(huge, old_bytes);
    }
    return true;
}

static NOINLINE bool resize_other(void *block, unsigned code, size_t size_bytes, bool zero)
{
    return UNLIKELY(code > CODE_HUGE) ? special_resize(block, code, size_bytes, zero)
                                      : resize_run(block, size_bytes, zero);
}

bool large_resize(void *block, unsigned code, size_t size_bytes, bool zero)
{
    ASSERT(size_bytes >= LARGE_SIZE_MIN && size_bytes % PAGE_BYTES == 0);
    if (code != CODE_HUGE) {
        return resize_other(block, code, size_bytes, zero);
    }
    return resize_huge(map_owner(block), size_bytes, zero);
}

void *large_move(void *block, unsigned code, size_t size_bytes, size_t alignment, bool zero)
{
    if (code != CODE_HUGE) {
        return NULL;
    }
    struct huge *huge = map_owner(block);
    size_t old_bytes = huge->size_bytes;
    if (UNLIKELY(huge->extent != NULL)) {
        return NULL; /* It was tried where it lies, and nobody can move it. */
    }
    if (size_bytes < old_bytes || !huge_grow(huge, size_bytes, alignment)) {
        return NULL;
    }
    count_huge_resize(huge, old_bytes);
    if (zero) {
        clear_stale(huge, old_bytes);
    }
    return huge->base;
}

struct arena *large_arena(const void *block, unsigned code)
{
    if (code == CODE_HUGE || code == CODE_SPECIAL || code == CODE_SAMPLED_HUGE) {
        return ((struct huge *)map_owner(block))->arena;
    }
    return arena_of_run(run_of(block));
}
