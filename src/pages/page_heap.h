/* page_heap.h: the pages of one arena: runs of 1 to 512 pages in chunks.
 *
 * Chunks stand in lists by their longest free stretch, four lists a doubling; a request takes the
 * chunk whose longest stretch is the smallest that fits, and in it the lowest place: full chunks
 * fill up and sparse ones empty. The search is a bit scan over the lists and one over 512 bits.
 *
 * What falls unused is kept for reuse within the bounds of purge.h. An empty clean chunk goes to
 * the process's pool. The counts and lists are kept by page_stock.h.
 *
 * Invariants: active_pages - mapped_pages + recent_pages + dirty + muzzy + clean pages = pages of
 * the heap's chunks; a run in recent_slab[i] has 2^(i + RECENT_SLAB_PAGES_MIN_LG) pages; a chunk is
 * in the list of a stage iff it has pages of that stage, but a dirty one may be missing while it is
 * being purged; nonempty has bit b set iff list[b] is not empty.
 *
 * Thread safety: each function takes the heap's lock, except where said. While pages are purged the
 * lock is let go; the pages are marked used meanwhile.
 */
#ifndef PAGES_PAGE_HEAP_H
#define PAGES_PAGE_HEAP_H

#include "pages/chunk.h"
#include "pages/decay.h"
#include "pages/thp.h"

enum {
    PAGE_HEAP_LISTS = 33,
    RUN_PAGES_MAX = 256,  /* 1 MiB: larger blocks have mappings of their own */
    LARGE_CLASSES = 25,   /* classes of 16 KiB .. 1 MiB, that runs serve */
    LARGE_NONE = 0xff,    /* a slab */
    LARGE_REUSED = 0xfe,  /* a slab where another one was, whose data is in no bit of the chunk */
    LARGE_GUARDED = 0xfd, /* a slab between guard pages */
    LARGE_SAMPLED = 0xfc, /* a slab with a page of marks behind it (sampled.h) */
    /* Freed large blocks that stay whole for the next request of their size: a program that
     * allocates and frees one buffer over and over meets no bitmap. These numbers:
     * docs/decisions/recent-runs-and-stretches.md. */
    RECENT_RUNS = 8,
    RECENT_LARGE_PAGES_MAX = 768,
    /* Freed slabs of 32 and of 64 pages that stay whole for the next one of their size: making one
     * costs as much as 15 of its few blocks. */
    RECENT_SLAB_PAGES_MIN_LG = 5,
    RECENT_SLAB_LISTS = 2,
    RECENT_SLAB_PAGES_MAX = 2048,
};

struct run_counter {
    uint64_t alloc_count;
    uint64_t free_count;
};

/* What is purged for the sake of the peak, and how much of it is wanted back: judged each time that
 * so many pages went within the decay time. */
struct growth {
    /* What unused pages may add to the peak: doubles when a judgement is against the purges, and
     * halves again when it is for them. */
    size_t slack_pages;
    size_t purged_pages; /* since the last judgement */
    size_t reused_pages; /* likewise: pages that had been purged and came into use */
    uint64_t since_ns;   /* the first of these purges */
};

/* The unused pages of one stage, and how they leave it. */
struct page_stage {
    struct chunk *first; /* chunks with such pages, the longest without a visit first */
    struct chunk *last;
    size_t page_count;
    uint64_t purge_count;      /* sweeps */
    uint64_t purge_call_count; /* madvise calls */
    uint64_t purged_pages;     /* that left the stage by purging */
    struct decay decay;
};

/* hpa.h; all zero without it. */
struct hpa {
    struct chunk *first; /* those that wait to become huge pages, by their times */
    struct chunk *last;
    size_t huge_chunks;
    size_t making_chunks;
    uint64_t purge_again_ns; /* not before */
    uint64_t purge_passes;
    uint64_t purges; /* chunks purged */
    uint64_t hugifies;
    uint64_t hugify_failures;
    uint64_t dehugifies;
};

struct purge_pass; /* purge.c */

struct page_heap {
    struct lock lock;
    void *arena;    /* immutable: the arena above, opaque here */
    unsigned place; /* immutable: where it calls helpers (idle.h) */
    /* NULL: the system's memory. Release; any thread, acquire. */
    _Atomic(struct extent_hooks *) hooks;
    unsigned hooks_index; /* what hooks are told of the arena; written before hooks */
    uint64_t nonempty;    /* under the lock, like all that follows */
    struct chunk *list[PAGE_HEAP_LISTS];
    struct chunk *first_chunk; /* all chunks, by next_of_heap */
    size_t chunk_count;
    size_t chunk_pages; /* pages of all chunks of this heap */
    size_t active_pages;
    size_t mapped_pages;      /* of them in mappings of their own, see page_heap_count_mapped() */
    size_t growth_bytes;      /* address space that may be mapped at once for this heap */
    size_t peak_active_pages; /* the most that active_pages was after a run had been cut */
    struct growth growth;
    size_t large_pages;              /* of them in large blocks, margins included */
    size_t margin_pages;             /* of them beside large blocks, for their shift */
    struct run *recent[RECENT_RUNS]; /* large, oldest first; their pages are used, and dirty */
    unsigned recent_count;
    struct run *recent_slab[RECENT_SLAB_LISTS]; /* the same for slabs, newest first, by `next` */
    size_t recent_pages;                        /* of both kinds */
    size_t recent_slab_pages;
    uint32_t ticks;     /* runs that may be freed before the clock is read */
    bool purge_refused; /* by the system: no bound asks for a purge before the ticks are over */
    bool calls_helper;  /* clean at the helper's last look: the next unused page calls it */
    bool asks_helper;   /* above the cap, which the helper will see to */
    size_t boost_pages; /* the cap, raised while what is purged is wanted back soon */
    size_t cap_purged_pages; /* what the cap's last purge took */
    size_t regret_pages;     /* purged pages that were wanted since */
    uint64_t cap_purged_at_ns;
    size_t purge_from_pages; /* more unused pages than this are looked at */
    enum break_use use_of_break;
    struct run_counter large[LARGE_CLASSES];
    struct page_stage stage[STAGES];
    struct hpa hpa;
    struct purge_pass *passes; /* at work without the lock, each on its thread's stack */
    struct extent *retained;   /* that hooks left here, see extent.h */
    struct extent *free_extents;
    size_t retained_bytes;
};

/* Whether the heap's memory comes from the program's hooks. Any thread. */
static inline bool page_heap_has_hooks(const struct page_heap *heap)
{
    return UNLIKELY(atomic_load_explicit(&heap->hooks, memory_order_relaxed) != NULL);
}

struct run_request {
    unsigned page_count; /* 1 .. RUN_PAGES_MAX */
    unsigned alignment;  /* in pages, a power of two, <= CHUNK_PAGES */
    unsigned room;       /* unused pages that follow the run when it is made, for its growth */
    bool every_page;     /* a slab: run_of and the class code stand in each page */
    uint8_t large_index; /* class of a large block for the counters, 0: 16 KiB; or LARGE_NONE */
};

/* How the page heaps behave, from the options; written once before the first heap is made. */
struct page_policy {
    size_t dirty_cap_bytes;     /* unused dirty bytes that may always stay */
    unsigned dirty_cap_divisor; /* ... or this part of the active bytes, when that is more */
    unsigned huge_pages;        /* thp.h: what chunks ask of the system */
    unsigned purge_batch;       /* stretches that one system call may purge; 0: one each */
};
extern struct page_policy page_policy;

/* decay_ms: of the dirty pages. No page becomes muzzy until the other function says so. */
void page_heap_init(struct page_heap *heap, void *arena, int64_t decay_ms);
/* The same for a heap that was used before and has no chunk left; its lock is free, and stays what
 * it is. */
void page_heap_begin_again(struct page_heap *heap, int64_t decay_ms);
/* Whether it has no chunk; it gets none while nobody makes runs. */
bool page_heap_has_no_chunk(struct page_heap *heap);
/* From now on unused pages stay in a stage for so long, -1: for ever; 0: not at all. */
void page_heap_set_decay(struct page_heap *heap, unsigned stage, int64_t decay_ms);
int64_t page_heap_decay_ms(struct page_heap *heap, unsigned stage);
/* Memory comes from such a table from now on, and goes back to it; arena_index is told to it. What
 * the heap has already goes back the way it came. */
void page_heap_set_hooks(struct page_heap *heap, struct extent_hooks *hooks, unsigned arena_index);
/* Asks the hooks for a chunk with so many adjacent pages, or more. False when they refuse, or the
 * heap has none: the runs of such a heap are made in the chunks that it has, and who finds no place
 * asks for more, holding no lock. */
MUST_USE bool page_heap_grow(struct page_heap *heap, unsigned page_count);

/* Address space is mapped for at most so many bytes at once, but for one chunk at least. */
void page_heap_set_growth(struct page_heap *heap, size_t growth_bytes);
size_t page_heap_growth(struct page_heap *heap);

/* So many pages of mappings, which are no runs, are the arena's too: from now on they are part of
 * active_pages. For a program that reads that number by its address. */
void page_heap_count_mapped(struct page_heap *heap, size_t page_count);
/* Whether chunks that it takes from now on may come from the program break. */
void page_heap_set_use_of_break(struct page_heap *heap, enum break_use use_of_break);
enum break_use page_heap_use_of_break(struct page_heap *heap);

/* A run of pages. *zeroed tells whether all of it reads as zero. NULL when memory is refused. */
MUST_USE struct run *run_alloc(struct page_heap *heap, struct run_request request, bool *zeroed);

/* The same for a large block of page_count pages at any page: often a run freed a moment ago.
 * Whether it reads as zero is not told. */
MUST_USE struct run *run_alloc_large(struct page_heap *heap, unsigned page_count,
                                     uint8_t large_index);

/* The same for a slab of a power of two of pages, up to 64. */
MUST_USE struct run *run_alloc_slab(struct page_heap *heap, unsigned page_count);

/* Frees a run; its class codes are 0 again. Of its pages the first `touched` may hold data. May
 * purge. */
void run_free(struct run *run, unsigned touched);
/* The same for a slab from run_alloc_slab() all of whose pages may hold data: a large one is kept
 * whole for the next of its size. */
void run_free_slab(struct run *run);
/* The same for a large block, which is kept whole for a moment. */
void run_free_large(struct run *run);

/* Resizes a large block's run in place, to another class for the counters. run_grow: false when the
 * pages behind it are in use. */
MUST_USE bool run_grow(struct run *run, unsigned page_count, uint8_t large_index);
void run_shrink(struct run *run, unsigned page_count, uint8_t large_index);

/* Counts pages of large runs that their blocks do not use, more or fewer. */
void page_heap_note_margin(struct page_heap *heap, int pages);

/* Purges for good until at most keep_pages dirty pages, oldest first, and no muzzy ones are left.
 */
void page_heap_purge(struct page_heap *heap, size_t keep_pages);
/* Purges all of a heap in which nothing is in use, or unmaps it, and waits until no other thread is
 * at work on it: no hook is called for it any more. */
void page_heap_empty(struct page_heap *heap);
/* In a forked child: what threads that are not there were doing to the heap is over. */
void page_heap_forget_others(struct page_heap *heap);
/* Purges what the decay curves no longer allow at this time. */
void page_heap_decay(struct page_heap *heap, uint64_t now_ns);
/* The same for the helper. False when nothing is left to wait for: then the heap calls the helper
 * (idle.h) when pages fall unused again. */
MUST_USE bool page_heap_look(struct page_heap *heap, uint64_t now_ns);
/* Helpers are gone: what was left to them is looked at when the next page falls unused. */
void page_heap_forget_helper(struct page_heap *heap);

/* With hpa: whether a chunk is a huge page, or becomes one; pages of its slabs have lost their
 * memory, or are slabs no more; such pages came into use. The caller has a run of the chunk. */
bool page_heap_is_huge(struct chunk *chunk);
void page_heap_note_holes(struct chunk *chunk, int pages);
void page_heap_fill_holes(struct chunk *chunk, unsigned pages);

static inline bool run_is_slab(const struct run *run)
{
    return run->large_index >= LARGE_CLASSES;
}

/* Visits each run of a block or a slab, which the visitor leaves as it is; the second, with the
 * lock held. */
typedef void (*run_visitor)(struct run *run, void *opaque);
void page_heap_visit_runs(struct page_heap *heap, run_visitor visit, void *opaque);
void page_heap_visit_runs_held(struct page_heap *heap, run_visitor visit, void *opaque);
/* Frees each run of a large block: their class codes are 0 then. May purge. */
void page_heap_free_large_runs(struct page_heap *heap);

/* Unused stretches of one kind and of one size: kinds are STAGE_DIRTY, STAGE_MUZZY and clean. */
enum { STRETCH_CLEAN = STAGES, STRETCH_KINDS };
typedef void (*stretch_visitor)(void *opaque, unsigned kind, unsigned page_count);
/* Visits each unused stretch, and each run that is kept whole, as a dirty one. Lock held. */
void page_heap_visit_unused(const struct page_heap *heap, stretch_visitor visit, void *opaque);

bool page_heap_is_valid(const struct page_heap *heap);

#endif
