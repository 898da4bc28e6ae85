/* gaps.c: a look at each slab. See gaps.h.
 *
 * What a slab is may be written while its heap is looked at: its class is taken from the map, which
 * says it last, and all else follows from that.
 */
#include "heap/gaps.h"

#include "base/bits.h"
#include "os/os.h"

/* Clean ones of the whole OS pages in from..to-1, which lie in the chunk. */
static size_t clean_pages(const struct chunk *chunk, uintptr_t from, uintptr_t to)
{
    from = bits_round_up(from, os_page_bytes);
    to = bits_round_down(to, os_page_bytes);
    if (from >= to) {
        return 0;
    }
    unsigned page = (unsigned)((from - (uintptr_t)chunk->base) / PAGE_BYTES);
    unsigned count = (unsigned)((to - from) / PAGE_BYTES);
    return count - bits_count_range(chunk->dirty, page, count);
}

static void count_gaps(struct run *run, void *opaque)
{
    size_t *pages = opaque;
    if (!run_is_slab(run) || run->large_index == LARGE_REUSED) {
        return;
    }
    char *base = chunk_page_address(run->chunk, run->page);
    size_t size = bin_size[map_code_beside(base) / CODE_SCALE];
    if (size <= PAGE_BYTES) {
        return;
    }
    uintptr_t start = (uintptr_t)base;
    uintptr_t end = start + (size_t)run->page_count * PAGE_BYTES;
    uintptr_t regions = (start + size - 1) / size * size;
    *pages += clean_pages(run->chunk, start, regions);
    *pages += clean_pages(run->chunk, regions + (end - regions) / size * size, end);
}

size_t gaps_count(struct page_heap *heap)
{
    size_t pages = 0;
    page_heap_visit_runs_held(heap, count_gaps, &pages);
    return pages;
}
