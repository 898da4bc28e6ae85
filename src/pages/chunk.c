/* chunk.c: bitmaps of pages, run descriptors, and the pool of spare chunks. See chunk.h.
 *
 * There is no coalescing and no tree: a freed run is cleared bits, and neighbours merge by being
 * adjacent zeros.
 */
#include "pages/chunk.h"

#include "base/bits.h"
#include "os/os.h"
#include "pages/extent.h"
#include "pages/mapped.h"
#include "pages/meta.h"

#include <string.h>

enum {
    /* Mappings grow with the pool, an eighth at a time, so that a large process makes few calls. */
    GROWTH_DIVISOR = 8,
    GROWTH_CHUNKS_MAX = 16,
};

struct chunk_policy chunk_policy = {.retain = true, .use_of_break = BREAK_SECONDARY};

static struct {
    struct lock lock;
    struct chunk *spare; /* under the lock: chunks without content */
    struct chunk *bare;  /* under the lock: descriptors without address space */
    char *raw;           /* under the lock: mapped address space that has no descriptors yet */
    size_t raw_chunks;   /* under the lock */
    char *raw_break;     /* under the lock: a chunk from the break, likewise; or NULL */
    size_t spare_bytes;  /* under the lock */
    size_t mapped_bytes; /* under the lock */
} pool;

static_assert(sizeof(struct run) == 128, "two cache lines a run");
static_assert(offsetof(struct chunk, run) % sizeof(struct run) != 0,
              "or gcc adds the offset to the index of a run, with three instructions more a free");
static_assert(CHUNK_PAGES <= UINT16_MAX, "page numbers and slots are 16 bits wide");

void chunk_pool_start(void)
{
    lock_init(&pool.lock, LOCK_POOL);
}

/* Empties a descriptor: the pages first..first+count-1 are unused and clean, others out of bounds.
 */
static void chunk_reset(struct chunk *chunk, unsigned first, unsigned count)
{
    bits_set_range(chunk->used, 0, CHUNK_PAGES);
    bits_clear_range(chunk->used, first, count);
    memset(chunk->dirty, 0, sizeof chunk->dirty);
    memset(chunk->muzzy, 0, sizeof chunk->muzzy);
    memset(chunk->purged, 0, sizeof chunk->purged);
    chunk->dirty_pages = 0;
    chunk->muzzy_pages = 0;
    chunk->purged_pages = 0;
    chunk->free_pages = (uint16_t)count;
    chunk->valid_pages = (uint16_t)count;
    chunk->longest_free = (uint16_t)count;
    chunk->first_free = (uint16_t)first;
}

/* Pool lock held. */
static struct chunk *new_descriptor(char *unit_base, unsigned first, unsigned count)
{
    struct chunk *chunk = pool.bare;
    if (chunk != NULL) {
        pool.bare = chunk->next;
    } else {
        chunk = meta_alloc(sizeof *chunk, _Alignof(struct chunk));
        meta_note_untouched(chunk != NULL ? sizeof chunk->run : 0);
    }
    if (chunk != NULL) {
        chunk->base = unit_base;
        chunk->extent = NULL;
        chunk_reset(chunk, first, count);
    }
    return chunk;
}

/* Pool lock held. */
static void count_mapped(ptrdiff_t bytes)
{
    pool.mapped_bytes += (size_t)bytes;
    mapped_change(bytes);
}

/* Maps address space for some whole chunks. Pool lock held. */
static bool map_raw(size_t growth_bytes)
{
    size_t count = pool.mapped_bytes / CHUNK_BYTES / GROWTH_DIVISOR;
    count = count > GROWTH_CHUNKS_MAX ? GROWTH_CHUNKS_MAX : count;
    count = count > growth_bytes / CHUNK_BYTES ? growth_bytes / CHUNK_BYTES : count;
    count = count < 1 || !chunk_policy.retain ? 1 : count;
    for (; count > 0; count /= 2) {
        char *base = os_map_aligned(count * CHUNK_BYTES, CHUNK_BYTES);
        if (base == NULL) {
            continue;
        }
        if (!map_cover(base, count * CHUNK_BYTES)) {
            (void)!os_unmap(base, count * CHUNK_BYTES);
            return false;
        }
        pool.raw = base;
        pool.raw_chunks = count;
        count_mapped((ptrdiff_t)(count * CHUNK_BYTES));
        return true;
    }
    return false;
}

/* Cuts a mapping to the larger of its parts in the two units that it may touch. */
static size_t cut_to_one_unit(char **piece, size_t size)
{
    char *boundary = (char *)bits_round_down((uintptr_t)*piece, UNIT_BYTES) + UNIT_BYTES;
    size_t below = (size_t)(boundary - *piece);
    if (below >= size) {
        return size;
    }
    if (below >= size - below) {
        (void)!os_unmap(boundary, size - below);
        return below;
    }
    (void)!os_unmap(*piece, below);
    *piece = boundary;
    return size - below;
}

/* A descriptor waits for the next chunk. Pool lock held. */
static void keep_bare(struct chunk *chunk)
{
    chunk->page_size_told = false;
    chunk->next = pool.bare;
    pool.bare = chunk;
}

/* A descriptor for a part of a unit, if the unit is nobody's. Pool lock held. */
static struct chunk *own_part(char *piece, size_t bytes)
{
    char *unit_base = (char *)bits_round_down((uintptr_t)piece, UNIT_BYTES);
    if (!map_cover(piece, bytes) || map_owner(piece) != NULL) {
        return NULL;
    }
    unsigned first = (unsigned)((size_t)(piece - unit_base) / PAGE_BYTES);
    struct chunk *chunk = new_descriptor(unit_base, first, (unsigned)(bytes / PAGE_BYTES));
    if (chunk == NULL || map_claim_owner(unit_base, chunk)) {
        return chunk;
    }
    /* A mapping took the unit meanwhile. */
    keep_bare(chunk);
    return NULL;
}

/* A piece of a chunk, for when 2 MiB are refused: a tight limit on address space. Pool lock held.
 */
static struct chunk *map_partial(unsigned page_count)
{
    size_t least = bits_round_up((size_t)page_count * PAGE_BYTES, CHUNK_PIECE_BYTES);
    for (size_t size = CHUNK_BYTES / 2; size >= least; size /= 2) {
        char *piece = os_map(NULL, size);
        if (piece == NULL) {
            continue;
        }
        size_t bytes = cut_to_one_unit(&piece, size);
        struct chunk *chunk = bytes < least ? NULL : own_part(piece, bytes);
        if (chunk != NULL) {
            count_mapped((ptrdiff_t)bytes);
            return chunk;
        }
        if (!os_unmap(piece, bytes)) {
            return NULL;
        }
    }
    return NULL;
}

/* A whole chunk from the program break; or NULL. The break does not shrink: what came waits where
 * memory for its descriptor is refused. Pool lock held. */
static NOINLINE struct chunk *take_break(void)
{
    char *base =
        pool.raw_break != NULL ? pool.raw_break : os_break_aligned(CHUNK_BYTES, CHUNK_BYTES);
    pool.raw_break = base;
    if (base == NULL || !map_cover(base, CHUNK_BYTES)) {
        return NULL;
    }
    struct chunk *chunk = new_descriptor(base, 0, CHUNK_PAGES);
    if (chunk != NULL) {
        pool.raw_break = NULL;
        chunk->from_break = true;
        map_set_owner(base, chunk);
        count_mapped(CHUNK_BYTES);
    }
    return chunk;
}

/* A spare chunk with enough pages; few are partial. Pool lock held. */
static struct chunk *take_spare(unsigned page_count, bool break_allowed)
{
    for (struct chunk **link = &pool.spare; *link != NULL; link = &(*link)->next) {
        struct chunk *chunk = *link;
        if (chunk->valid_pages >= page_count && (break_allowed || !chunk->from_break)) {
            *link = chunk->next;
            pool.spare_bytes -= (size_t)chunk->valid_pages * PAGE_BYTES;
            return chunk;
        }
    }
    return NULL;
}

static struct chunk *take_locked(unsigned page_count, enum break_use use_of_break,
                                 size_t growth_bytes, bool *first_use)
{
    struct chunk *chunk = take_spare(page_count, use_of_break != BREAK_DISABLED);
    *first_use = chunk == NULL;
    if (chunk == NULL && use_of_break == BREAK_PRIMARY) {
        chunk = take_break();
    }
    if (chunk != NULL) {
        return chunk;
    }
    if (pool.raw_chunks == 0 && !map_raw(growth_bytes)) {
        chunk = map_partial(page_count);
        return chunk == NULL && use_of_break == BREAK_SECONDARY ? take_break() : chunk;
    }
    chunk = new_descriptor(pool.raw, 0, CHUNK_PAGES);
    if (chunk != NULL) {
        /* A whole unit that was mapped for chunks: an owner found there is one that is leaving. */
        map_set_owner(pool.raw, chunk);
        pool.raw += CHUNK_BYTES;
        pool.raw_chunks--;
    }
    return chunk;
}

struct chunk *chunk_take(struct page_heap *heap, unsigned page_count, enum break_use use_of_break,
                         size_t growth_bytes, bool *first_use)
{
    lock_acquire(&pool.lock);
    struct chunk *chunk = take_locked(page_count, use_of_break, growth_bytes, first_use);
    lock_release(&pool.lock);
    if (chunk != NULL) {
        ASSERT_SLOW(chunk_is_valid(chunk));
        chunk->heap = heap;
        chunk->previous = NULL;
        chunk->next = NULL;
    }
    return chunk;
}

struct chunk *chunk_adopt(struct page_heap *heap, struct extent *extent)
{
    lock_acquire(&pool.lock);
    struct chunk *chunk = own_part(extent->base, extent->size_bytes);
    lock_release(&pool.lock);
    if (chunk != NULL) {
        chunk->extent = extent;
        chunk->heap = heap;
        chunk->previous = NULL;
        chunk->next = NULL;
    }
    return chunk;
}

void chunk_disown(struct chunk *chunk)
{
    ASSERT(chunk->free_pages == chunk->valid_pages);
    chunk->heap = NULL;
    map_drop_owner(chunk->base, chunk);
    lock_acquire(&pool.lock);
    keep_bare(chunk);
    lock_release(&pool.lock);
}

NOINLINE bool chunk_unmap(struct chunk *chunk)
{
    ASSERT(chunk->free_pages == chunk->valid_pages && chunk->extent == NULL);
    char *first = chunk_page_address(chunk, bits_next_zero(chunk->used, 0, CHUNK_PAGES));
    size_t bytes = (size_t)chunk->valid_pages * PAGE_BYTES;
    map_drop_owner(first, chunk);
    if (!os_unmap(first, bytes)) {
        /* A whole unit is still mapped, so it is nobody else's. The rest of a partial chunk's unit
         * may have become another's meanwhile: then the chunk is lost. */
        return !map_claim_owner(first, chunk);
    }
    lock_acquire(&pool.lock);
    count_mapped(-(ptrdiff_t)bytes);
    keep_bare(chunk);
    lock_release(&pool.lock);
    return true;
}

void chunk_give_back(struct chunk *chunk)
{
    ASSERT(chunk->free_pages == chunk->valid_pages && chunk->dirty_pages == 0);
    ASSERT(chunk->muzzy_pages == 0);
    ASSERT(!chunk->stage[STAGE_DIRTY].linked);
    ASSERT(!chunk->stage[STAGE_MUZZY].linked);
    ASSERT_SLOW(chunk_is_valid(chunk));
    chunk->heap = NULL;
    chunk->previous = NULL;
    if (UNLIKELY(!chunk_policy.retain) && !chunk->from_break && chunk_unmap(chunk)) {
        return;
    }
    lock_acquire(&pool.lock);
    chunk->next = pool.spare;
    pool.spare = chunk;
    pool.spare_bytes += (size_t)chunk->valid_pages * PAGE_BYTES;
    lock_release(&pool.lock);
}

unsigned chunk_find(struct chunk *chunk, unsigned page_count, unsigned alignment)
{
    unsigned longest = 0;
    unsigned at = bits_next_zero(chunk->used, chunk->first_free, CHUNK_PAGES);
    chunk->first_free = (uint16_t)(at < CHUNK_PAGES ? at : CHUNK_PAGES - 1);
    while (at < CHUNK_PAGES) {
        unsigned end = bits_next_one(chunk->used, at, CHUNK_PAGES);
        unsigned aligned = (unsigned)bits_round_up(at, alignment);
        if (aligned + page_count <= end) {
            return aligned;
        }
        longest = end - at > longest ? end - at : longest;
        at = bits_next_zero(chunk->used, end, CHUNK_PAGES);
    }
    chunk->longest_free = (uint16_t)longest;
    return CHUNK_PAGES;
}

void chunk_use(struct chunk *chunk, unsigned page, unsigned page_count)
{
    ASSERT(page + page_count <= CHUNK_PAGES);
    ASSERT(bits_count_range(chunk->used, page, page_count) == 0);
    bits_set_range(chunk->used, page, page_count);
    if (chunk->dirty_pages > 0) {
        unsigned dirty = bits_count_range(chunk->dirty, page, page_count);
        chunk->dirty_pages = (uint16_t)(chunk->dirty_pages - dirty);
    }
    chunk->free_pages = (uint16_t)(chunk->free_pages - page_count);
    if (page == chunk->first_free && page + page_count < CHUNK_PAGES) {
        chunk->first_free = (uint16_t)(page + page_count);
    }
    if (chunk->longest_free > chunk->free_pages) {
        chunk->longest_free = chunk->free_pages;
    }
}

unsigned chunk_unuse(struct chunk *chunk, unsigned page, unsigned page_count, unsigned touched)
{
    ASSERT(touched <= page_count);
    ASSERT(bits_count_range(chunk->used, page, page_count) == page_count);
    bits_clear_range(chunk->used, page, page_count);
    bits_set_range(chunk->dirty, page, touched);
    unsigned dirty = touched;
    if (touched < page_count) {
        dirty += bits_count_range(chunk->dirty, page + touched, page_count - touched);
    }
    chunk->dirty_pages = (uint16_t)(chunk->dirty_pages + dirty);
    chunk->free_pages = (uint16_t)(chunk->free_pages + page_count);
    if (page < chunk->first_free) {
        chunk->first_free = (uint16_t)page;
    }
    unsigned start = bits_zeros_before(chunk->used, page);
    unsigned end = bits_next_one(chunk->used, page + page_count, CHUNK_PAGES);
    if (end - start > chunk->longest_free) {
        chunk->longest_free = (uint16_t)(end - start);
    }
    return end - start;
}

unsigned chunk_note_purged(struct chunk *chunk, unsigned page, unsigned page_count)
{
    unsigned dirty = bits_move_range(chunk->purged, chunk->dirty, page, page_count);
    unsigned muzzy = 0;
    if (chunk->muzzy_pages > 0) {
        muzzy = bits_move_range(chunk->purged, chunk->muzzy, page, page_count);
        chunk->muzzy_pages = (uint16_t)(chunk->muzzy_pages - muzzy);
    }
    chunk->purged_pages = (uint16_t)(chunk->purged_pages + dirty + muzzy);
    return dirty;
}

/* A hook may leave anything in the pages that it was given: clean ones between the dirty do not
 * read as zero any longer. */
static NOINLINE void forget_zeros(struct chunk *chunk, unsigned page, unsigned page_count)
{
    unsigned purged = bits_count_range(chunk->purged, page, page_count);
    unsigned muzzy = bits_count_range(chunk->muzzy, page, page_count);
    bits_clear_range(chunk->purged, page, page_count);
    bits_set_range(chunk->muzzy, page, page_count);
    chunk->purged_pages = (uint16_t)(chunk->purged_pages - purged);
    chunk->muzzy_pages = (uint16_t)(chunk->muzzy_pages + page_count - muzzy);
}

unsigned chunk_note_muzzy(struct chunk *chunk, unsigned page, unsigned page_count)
{
    unsigned dirty = bits_move_range(chunk->muzzy, chunk->dirty, page, page_count);
    chunk->muzzy_pages = (uint16_t)(chunk->muzzy_pages + dirty);
    if (UNLIKELY(chunk->extent != NULL)) {
        forget_zeros(chunk, page, page_count);
    }
    return dirty;
}

unsigned chunk_note_reused(struct chunk *chunk, unsigned page, unsigned page_count)
{
    unsigned muzzy = 0;
    if (chunk->muzzy_pages > 0) {
        muzzy = bits_move_range(chunk->dirty, chunk->muzzy, page, page_count);
        chunk->muzzy_pages = (uint16_t)(chunk->muzzy_pages - muzzy);
    }
    if (chunk->purged_pages == 0) {
        return muzzy;
    }
    unsigned reused = bits_count_range(chunk->purged, page, page_count);
    bits_clear_range(chunk->purged, page, page_count);
    chunk->purged_pages = (uint16_t)(chunk->purged_pages - reused);
    return reused + muzzy;
}

/* Four entries a store: a slab has up to 64. */
static void fill_run_of(uint16_t *run_of, unsigned count, uint16_t value)
{
    uint64_t four = value * UINT64_C(0x0001000100010001);
    for (; count >= 4; count -= 4) {
        memcpy(run_of, &four, sizeof four);
        run_of += 4;
    }
    for (; count > 0; count--) {
        *run_of++ = value;
    }
}

struct run *chunk_run_new(struct chunk *chunk, unsigned page, unsigned page_count, bool every_page)
{
    unsigned slot;
    if (chunk->run_slot_free != 0) {
        slot = chunk->run_slot_free - 1u;
        chunk->run_slot_free = chunk->run[slot].region_count;
    } else {
        slot = chunk->run_slots_used++;
        meta_note_untouched(-(ptrdiff_t)sizeof(struct run));
    }
    ASSERT(slot < CHUNK_PAGES);
    struct run *run = &chunk->run[slot];
    run->slot = slot;
    run->chunk = chunk;
    run->first = chunk_page_address(chunk, page);
    run->page = (uint16_t)page;
    run->page_count = (uint16_t)page_count;
    run->region_count = 0;
    fill_run_of(&chunk->run_of[page], every_page ? page_count : 1, (uint16_t)(slot + 1));
    return run;
}

void chunk_run_delete(struct run *run)
{
    struct chunk *chunk = run->chunk;
    run->region_count = chunk->run_slot_free;
    chunk->run_slot_free = (uint16_t)(run->slot + 1);
}

bool chunk_is_valid(const struct chunk *chunk)
{
    unsigned unused = 0;
    unsigned dirty = 0;
    unsigned muzzy = 0;
    unsigned purged = 0;
    uint64_t in_two_states = 0;
    for (unsigned i = 0; i < CHUNK_WORDS; i++) {
        unused += bits_count(~chunk->used[i]);
        purged += bits_count(chunk->purged[i]);
        muzzy += bits_count(chunk->muzzy[i]);
        in_two_states |= chunk->muzzy[i] & (chunk->dirty[i] | chunk->purged[i]);
        dirty += bits_count(chunk->dirty[i] & ~chunk->used[i]);
    }
    unsigned lowest = bits_next_zero(chunk->used, 0, CHUNK_PAGES);
    for (unsigned at = lowest; at < CHUNK_PAGES;) {
        unsigned end = bits_next_one(chunk->used, at, CHUNK_PAGES);
        if (end - at > chunk->longest_free) {
            return false;
        }
        at = bits_next_zero(chunk->used, end, CHUNK_PAGES);
    }
    return unused == chunk->free_pages && dirty == chunk->dirty_pages &&
           muzzy == chunk->muzzy_pages && purged == chunk->purged_pages && in_two_states == 0 &&
           (lowest == CHUNK_PAGES || lowest >= chunk->first_free) &&
           map_owner(chunk->base) == chunk;
}

struct chunk_pool_statistics chunk_pool_statistics(void)
{
    lock_acquire(&pool.lock);
    struct chunk_pool_statistics result = {pool.spare_bytes + pool.raw_chunks * CHUNK_BYTES,
                                           pool.mapped_bytes};
    lock_release(&pool.lock);
    return result;
}

struct lock *chunk_pool_lock(void)
{
    return &pool.lock;
}
