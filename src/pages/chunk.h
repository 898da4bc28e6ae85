/* chunk.h: 2 MiB of address space, cut into runs of pages; and the process's pool of spare chunks.
 *
 *     used    1: the page belongs to a run (or lies outside a partial chunk)
 *     dirty   1: the page may hold other bytes than zero, and memory is spent on it
 *
 *     muzzy   1: unused, and the system may take its memory at any moment: the content is undefined
 *
 *     used dirty muzzy
 *      0    0     0     clean: reads as zero, costs nothing
 *      0    1     0     unused dirty: purging makes it muzzy or clean
 *      0    0     1     muzzy: purging makes it clean
 *      1    any   0     in a run; `dirty` says what the page was when it came, or worse: what
 *                       was muzzy is dirty
 *
 * The descriptor of a chunk lies in the allocator's own memory, with the descriptors of its runs
 * behind it: what a program writes past a block cannot reach them. run_of leads from a page to its
 * run.
 *
 * Invariants: free_pages is the number of zeros in `used`; dirty_pages that of pages unused and
 * dirty, muzzy_pages that of ones in `muzzy`; a muzzy page is neither dirty nor purged; a chunk
 * with dirty or muzzy pages is no spare one; no stretch of unused pages is longer than longest_free
 * (an upper bound: allocation may leave it stale, a failed search makes it exact); no unused page
 * lies below first_free.
 *
 * Guarded by the lock of the page heap that owns the chunk, or of the pool while it is spare.
 */
#ifndef PAGES_CHUNK_H
#define PAGES_CHUNK_H

#include "pages/map.h"

enum {
    CHUNK_BYTES = UNIT_BYTES,
    CHUNK_PAGES = UNIT_PAGES,
    CHUNK_WORDS = CHUNK_PAGES / 64,
    /* The least piece of a chunk when 2 MiB are refused; a multiple of every OS page. */
    CHUNK_PIECE_BYTES = 64 * 1024,
    RUN_REGIONS_MAX = 512,
};

struct bin;
struct chunk;
struct extent;
struct page_heap;

/* A run: adjacent pages with one use, a slab of small regions or one large block. */
struct run {
    /* Slab: 1 = the region was freed. Under the bin's lock. */
    _Alignas(64) uint64_t free_bits[RUN_REGIONS_MAX / 64];
    /* Address of region 0, or of the block. Immutable while the run lives, like the next three. */
    char *first;
    struct chunk *chunk;
    uint16_t page;
    uint16_t page_count;   /* a large block may grow and shrink: under the page heap's lock */
    uint16_t region_count; /* slab */
    uint16_t free_count;   /* slab, under the bin's lock: regions not handed out, fresh included */
    uint16_t fresh;       /* slab, under the bin's lock: regions from this one on were never used */
    uint8_t class_index;  /* slab: immutable */
    uint8_t large_index;  /* large block: its class for the counters; page heap's lock */
    uint32_t slot;        /* its index in the chunk's run array */
    struct run *previous; /* slab, under the bin's lock */
    struct run *next;     /* likewise; a kept slab's: under the page heap's */
    uint64_t purged;      /* slab, under the bin's lock: pages without memory, see slab.h; sampled
                           * block: its mark */
    struct bin *bin;      /* slab: whose it is; immutable */
};

/* The stages that unused pages pass through on their way back to the system. */
enum { STAGE_DIRTY, STAGE_MUZZY, STAGES };

/* Place in the list of a stage: the chunks that have such pages. */
struct chunk_link {
    struct chunk *previous;
    struct chunk *next;
    bool linked;
};

/* hpa.h */
enum { HPA_SMALL, HPA_WAITING, HPA_MAKING, HPA_HUGE };

struct chunk {
    struct chunk *previous; /* list of equal longest_free, or of the pool */
    struct chunk *next;
    struct chunk_link stage[STAGES];
    struct chunk *previous_of_heap; /* all chunks of its heap */
    struct chunk *next_of_heap;
    struct extent *extent;  /* of a hook's memory: never spare; immutable */
    struct page_heap *heap; /* NULL while spare; readers without lock hold a block of it */
    char *base;
    _Alignas(64) uint64_t used[CHUNK_WORDS]; /* each of these bitmaps is one cache line */
    uint64_t dirty[CHUNK_WORDS];
    uint64_t muzzy[CHUNK_WORDS];
    uint64_t purged[CHUNK_WORDS]; /* clean because they were purged, and not used since */
    uint16_t free_pages;
    uint16_t dirty_pages;
    uint16_t muzzy_pages;
    uint16_t purged_pages;
    uint16_t valid_pages; /* 512 unless partial */
    uint16_t longest_free;
    uint16_t first_free;
    uint16_t run_slots_used; /* slots of run[] that were ever used */
    uint16_t run_slot_free;  /* first of the list of free slots, plus 1; linked by region_count */
    bool page_size_told;
    bool from_break;     /* immutable while it has address space */
    uint8_t hpa_state;   /* this and what follows: hpa.h, all zero without it */
    uint16_t hole_pages; /* of slabs, without memory (holes.h) */
    /* A place among the chunks that wait, and since when. */
    struct chunk *hpa_previous;
    struct chunk *hpa_next;
    uint64_t hugify_at_ns;
    uint64_t purgeable_since_ns;
    uint16_t run_of[CHUNK_PAGES]; /* slot plus 1 */
    struct run run[CHUNK_PAGES];
};

/* Whether new chunks may come from the program break (sbrk), before or after mappings. Such chunks
 * are never unmapped. */
enum break_use { BREAK_DISABLED, BREAK_PRIMARY, BREAK_SECONDARY };

/* How the pool behaves, from the options; written before the first chunk is taken. */
struct chunk_policy {
    bool retain; /* unused chunks stay mapped, for reuse; else they are unmapped */
    _Atomic unsigned use_of_break; /* enum break_use, of heaps to come; relaxed, any thread */
};
extern struct chunk_policy chunk_policy;

void chunk_pool_start(void);

/* A chunk without runs, all clean, for heap, with at least page_count adjacent pages: spare, or
 * new, perhaps a partial one. NULL when memory is refused. Address space is mapped for at most
 * growth_bytes at once, but for one chunk at least. *first_use is set when the process has never
 * had so many chunks before. */
MUST_USE struct chunk *chunk_take(struct page_heap *heap, unsigned page_count,
                                  enum break_use use_of_break, size_t growth_bytes,
                                  bool *first_use);

/* Unmaps a chunk without runs that is in no list, whatever its pages hold; not one from the break.
 * False when the kernel refuses; the chunk is as it was. */
MUST_USE bool chunk_unmap(struct chunk *chunk);

/* A chunk for heap of an extent, which lies in one unit and reads as zero; and the end of such a
 * chunk without runs, before its extent is given back. NULL when memory for the descriptor is
 * refused, or a part of the unit is another's. */
MUST_USE struct chunk *chunk_adopt(struct page_heap *heap, struct extent *extent);
void chunk_disown(struct chunk *chunk);

/* Puts a chunk without runs, all clean, among the spare ones, or unmaps it. */
void chunk_give_back(struct chunk *chunk);

/* First page of a stretch of page_count unused pages whose page number is a multiple of alignment
 * (a power of two), or CHUNK_PAGES when there is none; then longest_free is exact. */
unsigned chunk_find(struct chunk *chunk, unsigned page_count, unsigned alignment);

/* Makes pages used, or unused again; they are unused, or used. `touched` of them, from the first
 * on, become dirty. Length of the unused stretch that results. */
void chunk_use(struct chunk *chunk, unsigned page, unsigned page_count);
unsigned chunk_unuse(struct chunk *chunk, unsigned page, unsigned page_count, unsigned touched);

/* Unused pages were purged: the dirty and muzzy ones are clean now, or lazily: the dirty ones are
 * muzzy now, of an extent all of them. Result: how many were dirty. */
unsigned chunk_note_purged(struct chunk *chunk, unsigned page, unsigned page_count);
unsigned chunk_note_muzzy(struct chunk *chunk, unsigned page, unsigned page_count);
/* Pages come into use; muzzy ones are dirty from now on. Result: how many of them had been purged,
 * lazily or not, since they were used last. */
unsigned chunk_note_reused(struct chunk *chunk, unsigned page, unsigned page_count);

/* A descriptor for a run of the pages, which are used; every_page: run_of leads from each page to
 * it, else from the first only. */
struct run *chunk_run_new(struct chunk *chunk, unsigned page, unsigned page_count, bool every_page);
void chunk_run_delete(struct run *run);

/* The run of an address inside a slab, or at the start of a large block. */
static inline struct run *chunk_run(struct chunk *chunk, const void *address)
{
    unsigned page = ((uint32_t)(uintptr_t)address >> PAGE_LG) % CHUNK_PAGES;
    ASSERT(chunk->run_of[page] != 0);
    return &chunk->run[chunk->run_of[page] - 1];
}

static inline char *chunk_page_address(const struct chunk *chunk, unsigned page)
{
    return chunk->base + (size_t)page * PAGE_BYTES;
}

/* Re-counts everything that the invariants name. */
bool chunk_is_valid(const struct chunk *chunk);

struct chunk_pool_statistics {
    size_t spare_bytes;  /* address space kept for reuse, without memory */
    size_t mapped_bytes; /* address space of all chunks, spare ones included */
};
struct chunk_pool_statistics chunk_pool_statistics(void);
struct lock *chunk_pool_lock(void);

#endif
