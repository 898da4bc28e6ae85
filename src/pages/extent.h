/* extent.h: memory that comes from the program's own functions: extent hooks.
 *
 * An arena whose hooks the program has set goes a slow road of its own: chunks, and blocks with
 * mappings of their own, are extents that its table gives and takes back; all other arenas never
 * look here. What lay in the arena before goes back the way it came.
 *
 *     the table's alloc ---> in use ---> dalloc; refused: decommit, purge_forced or purge_lazy
 *                             ^                                    |
 *                             +---- commit, split <---- retained <-+   merge with neighbours
 *                                                          |
 *                                                          +---> destroy, with the arena
 *
 * No lock of ours is held while a hook runs, and the caches of the thread are out of its reach: a
 * hook may allocate, from other arenas. It is then served by arena 0, past the caches.
 *
 * Each extent has a descriptor from the moment it is asked for: taking one back never fails.
 *
 * Thread safety: any thread. The caller holds no lock, and owns the extents that it passes.
 */
#ifndef PAGES_EXTENT_H
#define PAGES_EXTENT_H

#include "base/check.h"

struct page_heap;

/* The table as the program has it: extent_hooks_t. All results: false for done. */
struct extent_hooks {
    void *(*alloc)(struct extent_hooks *, void *, size_t, size_t, bool *, bool *, unsigned);
    bool (*dalloc)(struct extent_hooks *, void *, size_t, bool, unsigned);
    void (*destroy)(struct extent_hooks *, void *, size_t, bool, unsigned);
    bool (*commit)(struct extent_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*decommit)(struct extent_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*purge_lazy)(struct extent_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*purge_forced)(struct extent_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*split)(struct extent_hooks *, void *, size_t, size_t, size_t, bool, unsigned);
    bool (*merge)(struct extent_hooks *, void *, size_t, void *, size_t, bool, unsigned);
};

struct extent {
    char *base;
    size_t size_bytes;
    bool committed;
    bool zeroed;         /* when it came: it reads as zero */
    struct extent *next; /* retained ones and free descriptors: under the page heap's lock */
};

/* The table of arenas that have no other: the system's memory. */
struct extent_hooks *extent_default_hooks(void);

/* What is done around each hook, by a floor above: enter() keeps the thread's caches from it, and
 * its result goes to leave(). Set before the first arena gets hooks. */
void extent_set_guard(void *(*enter)(void), void (*leave)(void *state));

/* An extent at a multiple of alignment (a power of two); zero: it must read as zero. NULL when the
 * hooks refuse. */
MUST_USE struct extent *extent_take(struct page_heap *heap, size_t size_bytes, size_t alignment,
                                    bool zero);
/* Gives an extent back: to the program, or it is retained for the arena. */
void extent_give(struct page_heap *heap, struct extent *extent);

/* Cuts an extent: what follows the first keep_bytes becomes another. NULL when refused. */
MUST_USE struct extent *extent_split(struct page_heap *heap, struct extent *extent,
                                     size_t keep_bytes);
/* Makes an extent longer where it lies. False, nothing changed, when refused. */
MUST_USE bool extent_grow(struct page_heap *heap, struct extent *extent, size_t more_bytes);

/* Gives the memory of a part back: for good, it reads as zero then; or as far as the system wants
 * it. False when refused. */
MUST_USE bool extent_purge(struct page_heap *heap, const struct extent *extent, size_t offset,
                           size_t size_bytes);
MUST_USE bool extent_purge_lazily(struct page_heap *heap, const struct extent *extent,
                                  size_t offset, size_t size_bytes);

/* The arena ends: retained extents are destroyed. */
void extent_destroy_retained(struct page_heap *heap);

#endif
