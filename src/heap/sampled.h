/* sampled.h: blocks with a mark, by which the heap profiler finds what it knows of them.
 *
 *                                             code                mark
 *     up to 14 KiB  region of a sampled slab  CODE_SAMPLED        in a page behind the slab
 *     above         run                       CODE_SAMPLED        in the run's descriptor
 *     above 1 MiB   mapping                   CODE_SAMPLED_HUGE   in the mapping's descriptor
 *
 * The address map has codes of their own for them, which no bin of a thread cache has: the fast
 * paths pass them on without a test, and cost the same with and without them. A sampled slab is one
 * of its class in all but that code and the page more; it stands in a bin of its own (shards.h), so
 * all that looks at bins sees it.
 *
 * A block ends by sampled_free(), or with its arena; either way its mark is handed up once.
 *
 * Invariant: a mark is not 0. Thread safety: as large.h.
 */
#ifndef HEAP_SAMPLED_H
#define HEAP_SAMPLED_H

#include "heap/large.h"

/* Gets each block that ends, its mark and its usable size; called with no lock held. Written once,
 * before the first block is marked. */
extern void (*sampled_end)(const void *block, uint64_t mark, size_t usable_bytes);

/* A block of a small class in a sampled slab of the arena. NULL when memory is refused. */
MUST_USE void *sampled_alloc(struct arena *arena, uint8_t class_index, uint64_t mark);

/* Marks a block of a run or of a mapping, which ends as a sampled one then; false when it is a
 * special one (special.h). */
MUST_USE bool sampled_mark(void *block, unsigned code, uint64_t mark);
/* Takes the mark of such a block away: it is an ordinary one again, whose code is the result. False
 * for a region of a sampled slab, which keeps it. */
MUST_USE bool sampled_unmark(void *block, unsigned *code, uint64_t *mark);

/* As large.h says, for blocks of the two codes. */
bool sampled_starts(const void *block, unsigned code);
size_t sampled_size(const void *block, unsigned code);
void sampled_free(void *block, unsigned code);

/* Gives back the run of a sampled slab that leaves its bin, alone or with its arena. */
void sampled_slab_free(struct run *slab);
/* Takes the marks of a manual arena's runs away, before it frees them. */
void sampled_forget_runs(struct arena *arena);

#endif
