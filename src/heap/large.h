/* large.h: blocks above 14 KiB: runs of pages up to 1 MiB, mappings of their own above.
 *
 * Sizes here are usable sizes: multiples of 4 KiB, at least 16 KiB unless a large alignment made a
 * small request large.
 *
 * Thread safety: all functions may be called by any thread, but a block is resized or freed by one
 * thread at a time, as the program promises.
 */
#ifndef HEAP_LARGE_H
#define HEAP_LARGE_H

#include "heap/arena.h"
#include "pages/huge.h"

/* A block of size_bytes at a multiple of alignment (a power of two). zero: it must read as zero.
 * NULL when memory is refused. */
MUST_USE void *large_alloc(struct arena *arena, size_t size_bytes, size_t alignment, bool zero);

/* Frees a block with the class code `code`, which is that of a run or of a mapping. */
void large_free(void *block, unsigned code);

/* Requests whose whole pages have up to this many bytes may take the short way: 1 MiB; or none, 0,
 * when usable sizes are those of classes; or less, when smaller ones may be the oversize arena's.
 * It only falls, by large_start(), which asks the options, or when a program writes such a size of
 * an arena. Read as it is: no order is needed, and a thread that sees the last value goes the last
 * way. */
HIDDEN extern size_t large_direct_max;
void large_start(void);
/* From now on blocks of this size, 0: of none, take the long way, which may lead to the oversize
 * arena. */
void large_note_oversize(size_t size_bytes);

/* The short way for blocks above 32 KiB that a run serves: a block of size_bytes, at most 1 MiB,
 * and back; the latter adds the usable size that the block had. */
MUST_USE void *large_alloc_run(struct arena *arena, size_t size_bytes);
void large_free_run(void *block, uint64_t *freed_bytes);

/* A block of a class of 16 to 32 KiB, for a cache of the arena's threads. NULL when memory is
 * refused. */
MUST_USE void *large_alloc_cached(struct arena *arena, uint8_t class_index);

/* A block that grows beyond this gets a mapping of its own: later growth moves page tables, not
 * bytes. Below, it gets room behind it. */
enum { GROWING_BYTES = 192 * 1024 };

/* A block of size_bytes, above 32 KiB, that will probably grow, for a thread of the arena. NULL
 * when memory is refused, or blocks may be special. */
MUST_USE void *large_alloc_growing(struct arena *arena, size_t size_bytes);

/* The class code of a run's block of size_bytes. */
unsigned large_run_code(size_t size_bytes);

/* The class by which a run's block is counted, of a multiple of 4 KiB up to 1 MiB. */
uint8_t large_index_of(size_t size_bytes);
/* Counts a mapped block of an arena that has counters, and one that goes. */
void large_count_mapped(struct arena *arena, size_t size_bytes);
void large_uncount_mapped(struct arena *arena, size_t size_bytes);

/* Usable size of a block whose code is CODE_RUN or above. */
size_t large_size(const void *block, unsigned code);

/* Resizes a block to size_bytes, a large size, where it lies. False, nothing changed, when that
 * cannot be. zero: bytes that it gains read as zero. */
MUST_USE bool large_resize(void *block, unsigned code, size_t size_bytes, bool zero);

/* Grows a block that has a mapping of its own by moving its pages. Its new address, or NULL,
 * nothing changed, when the block is another kind or memory is refused. */
MUST_USE void *large_move(void *block, unsigned code, size_t size_bytes, size_t alignment,
                          bool zero);

/* The number of active pages of an arena, mappings included, at an address where it stays right. */
const size_t *large_active_pages(struct arena *arena);

/* Frees the blocks of a manual arena that have mappings of their own. */
void large_free_mappings(struct arena *arena);

/* The arena of a block. */
struct arena *large_arena(const void *block, unsigned code);

#endif
