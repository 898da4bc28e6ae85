/* meta.h: memory of the allocator's own, apart from the user's blocks.
 *
 * A bump allocator over mappings of META_BLOCK_BYTES: descriptors, arenas and thread caches live
 * for good or are kept on free lists by their owners, so nothing is ever returned here. Memory is
 * zeroed and untouched: what is not written costs address space only.
 *
 * Invariant: meta_bytes() never falls. All functions are safe in any thread after meta_start().
 */
#ifndef PAGES_META_H
#define PAGES_META_H

#include "os/lock.h"

#include <stddef.h>

enum {
    /* Small enough for a program under a tight address-space limit (ulimit -v of 8 MiB), large
     * enough that a process of 1 GiB makes under 200 such mappings. */
    META_BLOCK_BYTES = 512 * 1024,
    /* The first one holds what every process needs: a leaf of the address map, an arena, a chunk's
     * descriptor and a thread's cache. */
    META_FIRST_BYTES = 1536 * 1024,
};

/* Huge pages for this memory; written once before the first meta_alloc(). */
enum meta_thp { META_THP_DISABLED, META_THP_AUTO, META_THP_ALWAYS };
extern unsigned meta_thp; /* enum meta_thp: auto means once so much was handed out */
enum { META_THP_AUTO_BYTES = 4 << 20 };
/* Whether the program break may serve when mappings are refused; written likewise. */
extern bool meta_uses_break;

void meta_start(void);

/* Zeroed memory of size_bytes at a multiple of alignment, a power of two <= one OS page. NULL when
 * the system refuses memory. */
MUST_USE void *meta_alloc(size_t size_bytes, size_t alignment);

/* Bytes handed out so far. */
size_t meta_bytes(void);
/* The 2 MiB pages for which huge ones were asked. */
size_t meta_huge_pages(void);

/* Tells that bytes which were handed out are not touched yet (or, negative, are now): such bytes
 * cost address space, not memory. Any thread, no lock. */
void meta_note_untouched(ptrdiff_t bytes);
/* meta_bytes() less the bytes not touched. */
size_t meta_touched_bytes(void);

/* The lock, for fork. */
struct lock *meta_lock(void);

#endif
