/* sampled.c: marked blocks. See sampled.h.
 *
 * Marks are handed up with no lock held: whoever gets them has locks of his own, which come before
 * those of bins and page heaps.
 */
#include "heap/sampled.h"

#include "base/bits.h"
#include "base/mistake.h"
#include "heap/holes.h"
#include "heap/shards.h"

void (*sampled_end)(const void *block, uint64_t mark, size_t usable_bytes);

static_assert(RUN_REGIONS_MAX * sizeof(uint64_t) <= PAGE_BYTES, "a slab's marks fit into a page");

static struct run *run_of(const void *block)
{
    return chunk_run(map_owner(block), block);
}

/* One a region, in the page behind the slab. */
static uint64_t *marks_of(const struct run *slab)
{
    return (uint64_t *)(void *)chunk_page_address(slab->chunk, slab->page + slab->page_count);
}

/* Visitors of the heap's runs read these two, under its lock. */
static void set_kind(struct page_heap *heap, struct run *run, int more_pages, uint8_t large_index)
{
    lock_acquire(&heap->lock);
    run->page_count = (uint16_t)(run->page_count + more_pages);
    run->large_index = large_index;
    lock_release(&heap->lock);
}

/* The run of the slab and its marks becomes that of the slab alone. */
static struct run *new_slab(struct page_heap *heap, uint8_t class_index)
{
    struct run_request request = {slab_page_count(class_index) + 1, 1, 0, true, LARGE_NONE};
    bool zeroed;
    struct run *run = run_alloc(heap, request, &zeroed);
    if (run != NULL) {
        set_kind(heap, run, -1, LARGE_SAMPLED);
        slab_make(run, class_index, CODE_SAMPLED);
    }
    return run;
}

/* The first slab with a free region, in the queue. Lock held. */
static struct run *slab_to_take_from(struct bin *bin, struct page_heap *heap, uint8_t class_index)
{
    struct run *slab = bin->first;
    if (slab != NULL) {
        return slab;
    }
    slab = bin->empty;
    if (slab != NULL) {
        bin->empty = NULL;
        bin_append(bin, slab);
    } else if ((slab = new_slab(heap, class_index)) != NULL) {
        bin_adopt(bin, slab);
    }
    return slab;
}

static void *take_region(struct bin *bin, struct run *slab, uint64_t mark)
{
    void *block;
    uint64_t purged = slab->purged;
    (void)slab_take(slab, &block, 1);
    if (UNLIKELY(purged != slab->purged)) {
        holes_note_reuse(bin, slab, bits_count(purged ^ slab->purged));
    }
    if (slab->free_count == 0) {
        bin_remove(bin, slab);
    }
    marks_of(slab)[slab_region_index(slab, block)] = mark;
    bin->counters.alloc_count++;
    bin->counters.fill_count++;
    return block;
}

void *sampled_alloc(struct arena *arena, uint8_t class_index, uint64_t mark)
{
    ASSERT(class_index < SMALL_CLASSES && mark != 0);
    struct bin *bin = shards_sampled_bin(arena, class_index);
    void *block = NULL;
    if (bin == NULL) {
        return NULL;
    }
    do {
        lock_acquire(&bin->lock);
        struct run *slab = slab_to_take_from(bin, &arena->pages, class_index);
        block = slab != NULL ? take_region(bin, slab, mark) : NULL;
        lock_release(&bin->lock);
    } while (block == NULL && page_heap_grow(&arena->pages, slab_page_count(class_index) + 1));
    return block;
}

bool sampled_mark(void *block, unsigned code, uint64_t mark)
{
    ASSERT(mark != 0);
    if (code == CODE_HUGE) {
        ((struct huge *)map_owner(block))->mark = mark;
        map_set_code(block, CODE_SAMPLED_HUGE);
        return true;
    }
    if (code > CODE_RUN) {
        return false;
    }
    run_of(block)->purged = mark;
    map_set_code(block, CODE_SAMPLED);
    return true;
}

bool sampled_unmark(void *block, unsigned *code, uint64_t *mark)
{
    if (*code == CODE_SAMPLED_HUGE) {
        *mark = ((struct huge *)map_owner(block))->mark;
        *code = CODE_HUGE;
    } else {
        struct run *run = run_of(block);
        if (run_is_slab(run)) {
            return false;
        }
        *mark = run->purged;
        *code = large_run_code((size_t)run->page_count * PAGE_BYTES);
    }
    map_set_code(block, *code);
    return true;
}

bool sampled_starts(const void *block, unsigned code)
{
    if (code == CODE_SAMPLED_HUGE) {
        return ((const struct huge *)map_owner(block))->base == block;
    }
    const struct run *run = run_of(block);
    return run_is_slab(run) ? slab_region_index(run, block) != RUN_REGIONS_MAX
                            : run->first == block;
}

size_t sampled_size(const void *block, unsigned code)
{
    if (code == CODE_SAMPLED_HUGE) {
        return ((const struct huge *)map_owner(block))->size_bytes;
    }
    const struct run *run = run_of(block);
    return run_is_slab(run) ? class_size(run->class_index) : (size_t)run->page_count * PAGE_BYTES;
}

/* Puts the region back. Result: its mark; 0, after a message, when it is not out. */
static uint64_t put_region(struct run *slab, const void *block)
{
    struct bin *bin = slab->bin;
    lock_acquire(&bin->lock);
    unsigned before = slab->free_count;
    bool is_out = slab_put(slab, block, 1) == NULL;
    uint64_t mark = is_out ? marks_of(slab)[slab_region_index(slab, block)] : 0;
    struct run *dead = NULL;
    if (LIKELY(is_out)) {
        bin->counters.free_count++;
        bin->counters.flush_count++;
        dead = bin_settle(bin, slab, before);
    }
    lock_release(&bin->lock);
    if (dead != NULL) {
        slab_delete(dead);
    }
    if (UNLIKELY(!is_out)) {
        mistake("free(): double free of %p: the block is already free", block);
    }
    return mark;
}

void sampled_free(void *block, unsigned code)
{
    size_t usable = sampled_size(block, code);
    uint64_t mark = 0;
    if (sampled_unmark(block, &code, &mark)) {
        sampled_end(block, mark, usable);
        large_free(block, code);
    } else if ((mark = put_region(run_of(block), block)) != 0) {
        sampled_end(block, mark, usable);
    }
}

/* All regions are free, unless the whole arena ends. */
void sampled_slab_free(struct run *slab)
{
    for (unsigned i = 0; i < slab->fresh; i++) {
        if (!bits_get(slab->free_bits, i)) {
            size_t size = class_size(slab->class_index);
            sampled_end((char *)slab->first + i * size, marks_of(slab)[i], size);
        }
    }
    set_kind(slab->chunk->heap, slab, 1, LARGE_NONE);
    run_free(slab, slab->page_count);
}

/* Under the lock of the page heap no mark can be handed up. */
enum { FORGET_BATCH = 64 };
struct forgotten {
    unsigned count;
    struct run *run[FORGET_BATCH];
};

static void visit_run(struct run *run, void *opaque)
{
    struct forgotten *forgotten = opaque;
    if (forgotten->count < FORGET_BATCH && !run_is_slab(run) &&
        map_code_beside(run->first) == CODE_SAMPLED) {
        forgotten->run[forgotten->count++] = run;
    }
}

void sampled_forget_runs(struct arena *arena)
{
    struct forgotten forgotten;
    do {
        forgotten.count = 0;
        page_heap_visit_runs(&arena->pages, visit_run, &forgotten);
        for (unsigned i = 0; i < forgotten.count; i++) {
            struct run *run = forgotten.run[i];
            unsigned code = CODE_SAMPLED;
            uint64_t mark;
            (void)!sampled_unmark(run->first, &code, &mark);
            sampled_end(run->first, mark, (size_t)run->page_count * PAGE_BYTES);
        }
    } while (forgotten.count == FORGET_BATCH);
}
