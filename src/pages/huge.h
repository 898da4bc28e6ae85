/* huge.h: blocks above 1 MiB: each a mapping of its own, at a multiple of 2 MiB.
 *
 *     base                      base + size_bytes        base + map_bytes
 *      | what the user may write | never written or stale |
 *
 * The start of a mapping owns its 2 MiB unit of the address map, and its first page carries the
 * code of huge blocks. A block that grows asks for an eighth more than it needs, as address space:
 * it costs no memory before it is written, and saves the next calls. Growth moves page tables
 * (mremap), not bytes.
 *
 * Freed mappings are kept for reuse, a few and within a bound of bytes; the oldest leave first,
 * when the time of dirty pages is over. They have no muzzy stage: what leaves is unmapped, since
 * address space and page tables are to go too, and muzzy_decay_ms does not count here.
 *
 * Invariants: 0 < size_bytes <= map_bytes; the one a multiple of 4 KiB, the other of the OS page;
 * cached_bytes is the sum of the kept mappings. One lock guards everything here but the fields of a
 * live block, which belong to whoever may free it.
 */
#ifndef PAGES_HUGE_H
#define PAGES_HUGE_H

#include "pages/map.h"

struct extent;

struct huge {
    char *base;
    size_t size_bytes;
    size_t map_bytes;
    size_t touched_bytes;  /* beyond this and size_bytes the mapping reads as zero */
    void *arena;           /* opaque here; NULL while kept for reuse */
    size_t offset_bytes;   /* of a block that does not begin at base: where it does; else 0 */
    size_t margin_bytes;   /* then what size_bytes has beyond the block */
    struct extent *extent; /* of a hook's memory: never kept for reuse */
    uint64_t freed_at_ns;
    uint64_t mark;         /* of a sampled block */
    struct huge *previous; /* kept mappings, oldest first; or free descriptors */
    struct huge *next;
};

struct huge_policy {
    size_t cache_bytes;  /* freed mappings that may be kept */
    int64_t cache_ms;    /* and for how long; -1: any time, 0: not at all */
    unsigned huge_pages; /* thp.h: what new mappings ask of the system */
    size_t thp_bytes;    /* from this size on they ask for huge pages where that says nothing */
};
extern struct huge_policy huge_policy;

void huge_start(void);

/* A block of size_bytes (> 0, a multiple of 4 KiB) at a multiple of alignment, a power of
 * two. *zeroed tells whether it reads as zero. NULL when memory is refused. */
MUST_USE struct huge *huge_alloc(void *arena, size_t size_bytes, size_t alignment, bool *zeroed);

/* The same for a block that will probably grow, of any content: a larger kept mapping may serve it.
 */
MUST_USE struct huge *huge_alloc_growing(void *arena, size_t size_bytes);

/* Frees a block: keeps its mapping or unmaps it. */
void huge_free(struct huge *huge);
/* The same where the mapping can serve no other: it is unmapped. When the system refuses, its
 * address space is lost, and its memory goes. */
void huge_discard(struct huge *huge);

/* A block of size_bytes at the start of an extent that begins a unit; and its end, before the
 * extent is given back. NULL when memory for the descriptor is refused, or the unit is another's.
 */
MUST_USE struct huge *huge_adopt(void *arena, struct extent *extent, size_t size_bytes);
void huge_disown(struct huge *huge);
/* The extent of a block has another size now; the block gets size_bytes of it. */
void huge_note_extent(struct huge *huge, size_t size_bytes);

/* Bytes from size_bytes on may be stale up to touched_bytes: whoever grows a block and promised
 * zeroes clears the bytes between the old size and touched_bytes. */

/* Resizes in place. False, and nothing changed, when that cannot be. */
MUST_USE bool huge_resize_in_place(struct huge *huge, size_t size_bytes);

/* Grows a block, moving its pages when they must move. False, nothing changed, when refused. */
MUST_USE bool huge_grow(struct huge *huge, size_t size_bytes, size_t alignment);

/* Counts bytes of live mappings that their blocks do not use, more or fewer. */
void huge_note_margin(ptrdiff_t bytes);

/* The time in the policy, from now on. */
void huge_set_decay(int64_t cache_ms);

/* Unmaps kept mappings: those older than the policy allows at this time, or all. */
void huge_decay(uint64_t now_ns);
void huge_purge(void);
/* The first for the helper. False when no kept mapping holds memory: then the next one calls it
 * (idle.h). */
MUST_USE bool huge_look(uint64_t now_ns);
void huge_forget_helper(void);
/* Unmaps the oldest kept mappings until they held at least so many bytes: for a page heap that
 * grows. */
void huge_yield(size_t bytes);

struct huge_statistics {
    size_t live_bytes;
    size_t margin_bytes; /* of them beside blocks: shifts and guards */
    size_t live_count;
    size_t cached_bytes;  /* kept mappings */
    size_t touched_bytes; /* of them, what may hold memory */
    size_t mapped_bytes;
    uint64_t alloc_count;
    uint64_t free_count;
    uint64_t moved_count;
};
struct huge_statistics huge_statistics(void);
/* Visits the size of each kept mapping. */
void huge_visit_kept(void (*visit)(void *opaque, size_t bytes), void *opaque);
struct lock *huge_lock(void);

#endif
