/* special.h: large blocks that do not begin where their pages do, by options.
 *
 *     cache_oblivious     | < a page | the block                    | the rest of that page |
 *     san_guard_large     | guard    | the block            | guard |
 *
 * A shifted block begins at one of the 63 cache lines within its first page that are no page's
 * start; so blocks of one size do not all compete for the same lines of a cache. It is a run
 * (CODE_SHIFTED) or a mapping (CODE_SPECIAL) with a page more than it needs. A guarded block is a
 * mapping between two OS pages that cannot be touched. Blocks up to 32 KiB, which threads cache,
 * are neither, nor are blocks of arenas that the program made or gave hooks: a reset frees those
 * by what the page heap knows of them.
 *
 * With san_guard_small one in so many slabs lies between guard pages; such a slab's run has them
 * while it is made and freed, and is the run of the pages between them meanwhile.
 *
 * Invariants: a run whose `first` is no page's start is a shifted block; a mapping's `offset_bytes`
 * is not 0 if and only if its block is special; nothing here runs unless an option asks for it.
 *
 * Thread safety: as large.h.
 */
#ifndef HEAP_SPECIAL_H
#define HEAP_SPECIAL_H

#include "heap/arena.h"

/* Whether large_alloc() asks here. Immutable after special_start(), which asks the options. */
HIDDEN extern bool special_large;
/* One in so many slabs is guarded; 0: none. Immutable likewise. */
HIDDEN extern size_t special_guard_small;
void special_start(void);

/* A block above 32 KiB as large_alloc() promises it, if it is to be a special one; or NULL. */
MUST_USE void *special_alloc(struct arena *arena, size_t size_bytes, size_t alignment, bool zero);

/* Whether a block starts at the address, whose page has the code, CODE_SHIFTED or above. */
bool special_starts(const void *block, unsigned code);

/* As large.h says, for blocks of these codes; those of sampled.h, which do not resize, are handed
 * on there. */
size_t special_size(const void *block, unsigned code);
void special_free(void *block, unsigned code);
MUST_USE bool special_resize(void *block, unsigned code, size_t size_bytes, bool zero);

/* The run of a guarded slab of page_count pages, when it is this one's turn; or NULL. Its
 * large_index is LARGE_GUARDED. */
MUST_USE struct run *special_slab(struct page_heap *heap, unsigned page_count);
/* Ends a guarded slab's run, of whose pages the first `touched` may hold data. */
void special_slab_free(struct run *run, unsigned touched);

#endif
