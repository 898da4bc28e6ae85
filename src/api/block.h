/* block.h: what the exported functions share: a block from size, alignment and flags, and back.
 *
 * The fast paths stand in malloc.c, extended.c and cxx.c; everything here is what they fall through
 * to, and complete in itself. A pointer is verified before anything is done with it: one that does
 * not start a block of ours is a mistake (base/mistake.h), whatever its 64 bits are: the call does
 * nothing then.
 *
 * Thread safety: all functions may be called by any thread. None but those that say so touch errno.
 */
#ifndef API_BLOCK_H
#define API_BLOCK_H

#include "base/bits.h"
#include "base/names.h"
#include "cache/event_hooks.h"
#include "cache/thread.h"
#include "config/options.h"

struct block_request {
    size_t size_bytes;
    size_t alignment; /* a power of two; 1 for none */
    bool zero;
    bool uncached;
    struct arena *arena;            /* NULL: that of the thread */
    struct cache *cache;            /* one that the program made; NULL: that of the thread */
    const struct hooked_call *call; /* of block_realloc(): what hooks are told; NULL: nothing */
};

/* A block. NULL when the size has no class or memory is refused. */
MUST_USE void *block_alloc(const struct block_request *request);

/* What block_alloc() would make usable: 0 when there is no such block. */
size_t block_usable_size(size_t size_bytes, size_t alignment);

/* The class code of a block. When the pointer is not one: a mistake, of which the line names the
 * function; 0 when the program wants to go on. */
unsigned block_code(const char *function, const void *block);

/* Its usable size in bytes. */
size_t block_size(const void *block, unsigned code);

/* Takes a block back; its code is verified. errno stays as it is. */
void block_free(void *block, unsigned code, bool uncached);
/* The same, into a cache that the program made. */
void block_free_into(struct cache *cache, void *block, unsigned code);

/* Moves a block, growing or shrinking it, to a size of a usable_size(). NULL, nothing changed, when
 * memory is refused. */
struct block_resize {
    void *block;
    unsigned code;
    size_t old_bytes; /* usable */
};
MUST_USE void *block_realloc(struct block_resize old, const struct block_request *request);

/* Resizes a block in place to a large usable size. False, nothing changed, when that cannot be. */
struct new_size {
    size_t usable_bytes;
    size_t size_bytes; /* that was asked for */
};
MUST_USE bool block_resize_in_place(struct block_resize old, struct new_size size, bool zero);

/* Sets errno to ENOMEM; under xmalloc prints a line that names the function and aborts. Result:
 * NULL. */
void *out_of_memory(const char *function);

/* The bin of a class code in a front. */
ALWAYS_INLINE struct cache_bin *bin_at(struct cache_front *front, size_t code)
{
    struct cache_bin *bin = (struct cache_bin *)((char *)front + code * 8);
    LAUNDER(bin);
    return bin;
}

/* The fast path of allocation: a cached block for a request of size_bytes, or NULL for the slow
 * path. 19 instructions and 3 branches in malloc; docs/fast-path.md. */
ALWAYS_INLINE void *fast_alloc(size_t size_bytes)
{
    struct cache_front *front = thread_front_now();
    if (LIKELY(size_bytes < front->limit)) {
        struct cache_bin *bin = bin_at(front, size_code[(size_bytes + 7) >> 3]);
        void **head = bin->head;
        void *block = *head;
        if (LIKELY(block != NULL) && LIKELY(--bin->left != 0)) {
            bin->head = head + 1;
            return block;
        }
    }
    return NULL;
}

/* The fast path of free(): false for the slow path. The pointer may be any 64 bits: it is cached
 * only when a cached block of ours starts there and it is not the one that was freed last. */
ALWAYS_INLINE bool fast_free(void *block)
{
    struct cache_front *front = thread_front_now();
    uintptr_t address = (uintptr_t)block;
    uintptr_t high = address >> LEAF_LG;
    if (UNLIKELY(high >= ROOT_COUNT)) {
        return false;
    }
    uintptr_t leaf = (uintptr_t)&map_base;
    LAUNDER(leaf);
    leaf += ((const uintptr_t *)(leaf + offsetof(struct map_base, root)))[high];
    LAUNDER(leaf); /* Else the sum is associated another way, at one instruction more. */
    const uint8_t *code = (const uint8_t *)(leaf + ((uint32_t)address >> PAGE_LG));
    struct cache_bin *bin = bin_at(front, *code);
    uint64_t product = address * bin->inverse;
    LAUNDER(bin); /* The inverse is read again: one instruction less than keeping it. */
    if (UNLIKELY(product >= bin->inverse)) {
        return false;
    }
    void **head = bin->head;
    if (UNLIKELY((uint16_t)(uintptr_t)head == bin->full) || UNLIKELY(*head == block)) {
        return false;
    }
    head[-1] = block;
    bin->head = head - 1;
    return true;
}

/* The fast path of sized deallocation: trusts the size and asks no map. */
ALWAYS_INLINE bool fast_free_sized(void *block, size_t size_bytes)
{
    struct cache_front *front = thread_front_now();
    if (UNLIKELY(size_bytes >= front->sized_limit)) {
        return false;
    }
    struct cache_bin *bin = bin_at(front, size_code[(size_bytes + 7) >> 3]);
    void **head = bin->head;
    if (UNLIKELY((uint16_t)(uintptr_t)head == bin->full)) {
        return false;
    }
    head[-1] = block;
    bin->head = head - 1;
    return true;
}

/* The same for an alignment, a power of two: a class for a multiple of it is a multiple of it too,
 * and so are its blocks' addresses, up to a page. */
ALWAYS_INLINE void *fast_alloc_aligned(size_t size_bytes, size_t alignment)
{
    size_t rounded = bits_round_up(size_bytes, alignment);
    /* 0 stands for a size of 0, or one that overflows. */
    return alignment <= PAGE_BYTES && rounded != 0 ? fast_alloc(rounded) : NULL;
}

/* A cached block that moves to another cached class; NULL, nothing changed, for the slow path. */
void *realloc_cached(void *block, unsigned code, size_t size_bytes);

/* A block of its own run whose pages stay the same number, in a thread whose front lets fast paths
 * pass. A size of 0 has none. */
ALWAYS_INLINE bool keeps_its_pages(const void *block, unsigned code, size_t size_bytes)
{
    return code == CODE_RUN && (uintptr_t)block % PAGE_BYTES == 0 &&
           bits_round_up(size_bytes, PAGE_BYTES) == large_size(block, CODE_RUN) &&
           LIKELY(thread_front_now()->limit != 0);
}

/* The fast path of realloc(), for any pointer and size; NULL, nothing changed, for the slow path.
 */
ALWAYS_INLINE void *fast_realloc(void *block, size_t size_bytes)
{
    unsigned code = map_code(block);
    if (LIKELY(size_bytes - 1 < CACHED_SIZE_MAX)) {
        /* In the front, as bin_at() finds it, but in one load. */
        const char *front = (const char *)thread_front_now();
        uint64_t inverse =
            *(const uint64_t *)(front + code * 8 + offsetof(struct cache_bin, inverse));
        bool starts = (uintptr_t)block * inverse < inverse;
        bool same = size_code[(size_bytes + 7) >> 3] == code;
        return UNLIKELY(!starts) ? NULL : same ? block : realloc_cached(block, code, size_bytes);
    }
    return keeps_its_pages(block, code, size_bytes) ? block : NULL;
}

/* The slow halves of malloc() and free(); free_slow() takes NULL and verifies all else. */
void *malloc_slow(size_t size_bytes);
void free_slow(void *block);
/* That of functions that name a size and an alignment (1 for none) too, which hooks are told. */
void free_sized_slow(void *block, size_t size_bytes, size_t alignment);

/* Hooks are told of what a call allocated, perhaps NULL: slow paths ask whether there are any. */
static inline void tell_allocated(int type, void *block, uintptr_t first, uintptr_t second)
{
    if (event_hooks_are_on()) {
        struct hooked_call call = {type, {first, second}};
        event_hooks_allocated(&call, block, (uintptr_t)block);
    }
}

/* ... and of a block that a call is about to free, behind which come two more arguments. */
static inline void tell_freed(int type, void *block, uintptr_t second, uintptr_t third)
{
    if (event_hooks_are_on()) {
        struct hooked_call call = {type, {(uintptr_t)block, second, third}};
        event_hooks_freed(&call, block);
    }
}

#endif
