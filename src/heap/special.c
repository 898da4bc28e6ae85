/* special.c: shifted and guarded blocks. See special.h.
 *
 * What the system refuses, a guard most of all where the process has too many mappings, makes the
 * block an ordinary one.
 */
#include "heap/special.h"

#include "base/bits.h"
#include "config/options.h"
#include "heap/sampled.h"
#include "os/os.h"

#include <string.h>

enum { LINE_LG = 6, LINES = PAGE_BYTES >> LINE_LG };

bool special_large;
size_t special_guard_small;

/* How often it was asked whether a block, or a slab, is to be guarded; any thread, relaxed. */
static _Atomic size_t large_turns;
static _Atomic size_t slab_turns;

void special_start(void)
{
    special_guard_small = options.san_guard_small;
    special_large = options.cache_oblivious || options.san_guard_large > 0;
    if (special_large) {
        large_direct_max = 0;
    }
}

/* The first turn is the first of each `every`. */
static bool is_turn(_Atomic size_t *turns, size_t every)
{
    return every > 0 && atomic_fetch_add_explicit(turns, 1, memory_order_relaxed) % every == 0;
}

/* One of the lines 1 .. 63 of a page, spread evenly. */
static size_t next_shift(void)
{
    static _Atomic uint32_t sequence; /* any thread, relaxed */
    const uint32_t golden = 0x9e3779b9;
    uint32_t value = atomic_fetch_add_explicit(&sequence, golden, memory_order_relaxed);
    uint32_t line = 1 + (uint32_t)(((uint64_t)value * (LINES - 1)) >> 32);
    return (size_t)line << LINE_LG;
}

static void *shifted_run(struct arena *arena, size_t size_bytes, bool *zeroed)
{
    unsigned page_count = (unsigned)(size_bytes / PAGE_BYTES) + 1;
    struct run_request request = {page_count, 1, 0, false, large_index_of(size_bytes)};
    struct run *run = run_alloc(&arena->pages, request, zeroed);
    if (run == NULL) {
        return NULL;
    }
    run->first += next_shift();
    page_heap_note_margin(&arena->pages, 1);
    map_set_code(run->first, CODE_SHIFTED);
    return run->first;
}

/* A mapping with so many bytes more than the block, which begins at offset_bytes. */
static struct huge *mapping_with_margin(struct arena *arena, size_t size_bytes, size_t margin_bytes,
                                        bool *zeroed)
{
    struct huge *huge = arena_huge_counters(arena) != NULL && size_bytes + margin_bytes > size_bytes
                            ? huge_alloc(arena, size_bytes + margin_bytes, UNIT_BYTES, zeroed)
                            : NULL;
    if (huge != NULL) {
        huge->margin_bytes = margin_bytes;
    }
    return huge;
}

static void *special_block(struct huge *huge, size_t offset_bytes)
{
    char *block = huge->base + offset_bytes;
    huge->offset_bytes = offset_bytes;
    huge_note_margin((ptrdiff_t)huge->margin_bytes);
    large_count_mapped(huge->arena, huge->size_bytes - huge->margin_bytes);
    map_set_code(huge->base, 0);
    map_set_code(block, CODE_SPECIAL);
    return block;
}

static void *shifted_mapping(struct arena *arena, size_t size_bytes, bool *zeroed)
{
    struct huge *huge = mapping_with_margin(arena, size_bytes, PAGE_BYTES, zeroed);
    return huge == NULL ? NULL : special_block(huge, next_shift());
}

/* Guards the first OS page and the last of the mapping's block and margin, or neither. */
static bool set_guards(struct huge *huge)
{
    char *last = huge->base + huge->size_bytes - os_page_bytes;
    if (!os_guard(huge->base, os_page_bytes)) {
        return false;
    }
    return os_guard(last, os_page_bytes) || !os_unguard(huge->base, os_page_bytes);
}

static bool drop_guards(struct huge *huge)
{
    char *last = huge->base + huge->size_bytes - os_page_bytes;
    return os_unguard(huge->base, os_page_bytes) && os_unguard(last, os_page_bytes);
}

static void *guarded_mapping(struct arena *arena, size_t size_bytes, bool *zeroed)
{
    size_t margin = 2 * os_page_bytes + (0 - size_bytes) % os_page_bytes;
    struct huge *huge = mapping_with_margin(arena, size_bytes, margin, zeroed);
    if (huge == NULL) {
        return NULL;
    }
    if (!set_guards(huge)) {
        huge_free(huge);
        return NULL;
    }
    return special_block(huge, os_page_bytes);
}

void *special_alloc(struct arena *arena, size_t size_bytes, size_t alignment, bool zero)
{
    ASSERT(size_bytes > CACHED_SIZE_MAX && size_bytes % PAGE_BYTES == 0);
    bool zeroed = false;
    void *block = NULL;
    if (arena->is_manual || page_heap_has_hooks(&arena->pages)) {
        return NULL;
    }
    if (alignment <= os_page_bytes && is_turn(&large_turns, options.san_guard_large)) {
        block = guarded_mapping(arena, size_bytes, &zeroed);
    } else if (options.cache_oblivious && alignment <= (size_t)1 << LINE_LG) {
        bool fits_a_run = size_bytes < (size_t)RUN_PAGES_MAX * PAGE_BYTES;
        block = fits_a_run ? shifted_run(arena, size_bytes, &zeroed)
                           : shifted_mapping(arena, size_bytes, &zeroed);
    }
    if (zero && block != NULL && !zeroed) {
        memset(block, 0, size_bytes);
    }
    return block;
}

static struct run *run_of(const void *block)
{
    return chunk_run(map_owner(block), block);
}

bool special_starts(const void *block, unsigned code)
{
    if (code >= CODE_SAMPLED) {
        return sampled_starts(block, code);
    }
    if (code == CODE_SHIFTED) {
        return run_of(block)->first == block;
    }
    const struct huge *huge = map_owner(block);
    return huge->base + huge->offset_bytes == block;
}

size_t special_size(const void *block, unsigned code)
{
    if (code >= CODE_SAMPLED) {
        return sampled_size(block, code);
    }
    if (code == CODE_SHIFTED) {
        return ((size_t)run_of(block)->page_count - 1) * PAGE_BYTES;
    }
    const struct huge *huge = map_owner(block);
    return huge->size_bytes - huge->margin_bytes;
}

static void free_shifted_run(struct run *run)
{
    struct page_heap *heap = run->chunk->heap;
    map_set_code(run->first, 0);
    run->first = chunk_page_address(run->chunk, run->page);
    page_heap_note_margin(heap, -1);
    run_free_large(run);
}

void special_free(void *block, unsigned code)
{
    if (code >= CODE_SAMPLED) {
        sampled_free(block, code);
        return;
    }
    if (code == CODE_SHIFTED) {
        free_shifted_run(run_of(block));
        return;
    }
    struct huge *huge = map_owner(block);
    map_set_code(block, 0);
    large_uncount_mapped(huge->arena, huge->size_bytes - huge->margin_bytes);
    huge_note_margin(-(ptrdiff_t)huge->margin_bytes);
    if (huge->offset_bytes == os_page_bytes && !drop_guards(huge)) {
        huge_discard(huge);
        return;
    }
    huge->offset_bytes = 0;
    huge_free(huge);
}

static bool resize_shifted_run(struct run *run, size_t size_bytes)
{
    if (size_bytes >= (size_t)RUN_PAGES_MAX * PAGE_BYTES) {
        return false;
    }
    unsigned page_count = (unsigned)(size_bytes / PAGE_BYTES) + 1;
    if (page_count > run->page_count) {
        return run_grow(run, page_count, large_index_of(size_bytes));
    }
    if (page_count < run->page_count) {
        run_shrink(run, page_count, large_index_of(size_bytes));
    }
    return true;
}

static bool resize_mapping(struct huge *huge, size_t old_bytes, size_t size_bytes)
{
    bool guarded = huge->offset_bytes == os_page_bytes;
    if (guarded || size_bytes + huge->margin_bytes < size_bytes ||
        !huge_resize_in_place(huge, size_bytes + huge->margin_bytes)) {
        return false;
    }
    large_uncount_mapped(huge->arena, old_bytes);
    large_count_mapped(huge->arena, size_bytes);
    return true;
}

/* Blocks that threads could cache are at the start of a page. */
bool special_resize(void *block, unsigned code, size_t size_bytes, bool zero)
{
    size_t old_bytes = special_size(block, code);
    if (size_bytes <= CACHED_SIZE_MAX || code >= CODE_SAMPLED) {
        return false;
    }
    bool done = size_bytes == old_bytes ||
                (code == CODE_SHIFTED ? resize_shifted_run(run_of(block), size_bytes)
                                      : resize_mapping(map_owner(block), old_bytes, size_bytes));
    if (done && zero && size_bytes > old_bytes) {
        memset((char *)block + old_bytes, 0, size_bytes - old_bytes);
    }
    return done;
}

static unsigned guard_pages(void)
{
    return (unsigned)(os_page_bytes / PAGE_BYTES);
}

/* The run between the guards of a run, or around them again. */
static void move_ends(struct run *run, int inwards)
{
    int pages = inwards * (int)guard_pages();
    run->page = (uint16_t)(run->page + pages);
    run->page_count = (uint16_t)(run->page_count - 2 * pages);
    run->first = chunk_page_address(run->chunk, run->page);
}

static struct run *guard_run(struct run *run)
{
    char *last = run->first + (size_t)run->page_count * PAGE_BYTES - os_page_bytes;
    if (!os_guard(run->first, os_page_bytes)) {
        return NULL;
    }
    if (os_guard(last, os_page_bytes)) {
        move_ends(run, 1);
        run->large_index = LARGE_GUARDED;
        return run;
    }
    /* Else the page stays a guard, out of use for good with its run. */
    return os_unguard(run->first, os_page_bytes) ? NULL : run;
}

struct run *special_slab(struct page_heap *heap, unsigned page_count)
{
    unsigned guard = guard_pages();
    if (page_heap_has_hooks(heap) || !is_turn(&slab_turns, special_guard_small) ||
        page_count % guard != 0) {
        return NULL;
    }
    struct run_request request = {page_count + 2 * guard, guard, 0, true, LARGE_NONE};
    bool zeroed;
    struct run *run = run_alloc(heap, request, &zeroed);
    if (run == NULL) {
        return NULL;
    }
    struct run *guarded = guard_run(run);
    if (guarded == NULL) {
        run_free(run, 0);
    }
    return guarded != NULL && guarded->large_index == LARGE_GUARDED ? guarded : NULL;
}

void special_slab_free(struct run *run, unsigned touched)
{
    char *first = chunk_page_address(run->chunk, run->page);
    char *end = first + (size_t)run->page_count * PAGE_BYTES;
    if (!os_unguard(first - os_page_bytes, os_page_bytes) || !os_unguard(end, os_page_bytes)) {
        return; /* Out of use for good. */
    }
    run->large_index = LARGE_NONE;
    move_ends(run, -1);
    run_free(run, touched + guard_pages());
}
