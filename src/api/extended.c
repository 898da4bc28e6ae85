/* extended.c: the family with flags: mallocx and its kin.
 *
 *     flags   31 ....... 20 | 19 ....... 8 | 7 | 6    | 5 .... 0
 *             arena + 1     | cache id + 2 | - | zero | log2 of the alignment
 *
 * A cache field of 1 means no cache. Sizes of 0 are undefined by contract; here they count as 1.
 */
#include "api/block.h"
#include "api/guard.h"
#include "api/malloc.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

enum {
    FLAG_ALIGNMENT_MASK = 0x3f,
    FLAG_ZERO = 0x40,
    FLAG_CACHE_SHIFT = 8,
    FLAG_CACHE_MASK = 0xfff,
    FLAG_CACHE_NONE = 1,
    FLAG_ARENA_SHIFT = 20,
};

static size_t alignment_of(int flags)
{
    return (size_t)1 << (flags & FLAG_ALIGNMENT_MASK);
}

static bool is_uncached(int flags)
{
    return ((unsigned)flags >> FLAG_CACHE_SHIFT & FLAG_CACHE_MASK) == FLAG_CACHE_NONE;
}

/* The arena that the flags name; NULL when they name none, or one that does not exist. */
static struct arena *arena_of(int flags)
{
    unsigned field = (unsigned)flags >> FLAG_ARENA_SHIFT;
    return field == 0 ? NULL : arena_get(field - 1);
}

static struct block_request request_of(size_t size, int flags)
{
    return (struct block_request){
        .size_bytes = size,
        .alignment = alignment_of(flags),
        .zero = (flags & FLAG_ZERO) != 0,
        .uncached = is_uncached(flags),
        .arena = arena_of(flags),
    };
}

/* NULL; errno says ENOMEM when the size is possible at all. */
static void *refused(const char *function, const struct block_request *request)
{
    if (block_usable_size(request->size_bytes, request->alignment) == 0) {
        return NULL;
    }
    return out_of_memory(function);
}

static NOINLINE void *mallocx_slow(size_t size, int flags)
{
    /* Without flags the fast path was tried, and has counted the request if its event was due. */
    bool only_alignment = flags != 0 && (flags & ~FLAG_ALIGNMENT_MASK) == 0;
    void *cached = only_alignment ? fast_alloc_aligned(size, alignment_of(flags)) : NULL;
    if (cached != NULL) {
        return cached;
    }
    struct block_request request = request_of(size, flags);
    void *block = block_alloc(&request);
    return block != NULL ? block : refused("mallocx", &request);
}

void *API(mallocx)(size_t size, int flags)
{
    if (LIKELY(flags == 0)) {
        void *block = fast_alloc(size);
        if (LIKELY(block != NULL)) {
            return block;
        }
    }
    return mallocx_slow(size, flags);
}

static NOINLINE void *rallocx_slow(void *block, size_t size, int flags)
{
    unsigned code = block_code("rallocx", block);
    struct block_request request = request_of(size, flags);
    struct block_resize old = {block, code, block_size(block, code)};
    void *result = block_realloc(old, &request);
    return result != NULL ? result : refused("rallocx", &request);
}

void *API(rallocx)(void *block, size_t size, int flags)
{
    size_t alignment = alignment_of(flags);
    size_t rounded = bits_round_up(size, alignment);
    bool only_alignment = (flags & ~FLAG_ALIGNMENT_MASK) == 0 && alignment <= PAGE_BYTES;
    if (LIKELY(only_alignment) && LIKELY((uintptr_t)block % alignment == 0) &&
        LIKELY(rounded != 0)) {
        void *result = fast_realloc(block, rounded);
        if (LIKELY(result != NULL)) {
            return result;
        }
    }
    return rallocx_slow(block, size, flags);
}

size_t API(xallocx)(void *block, size_t size, size_t extra, int flags)
{
    unsigned code = block_code("xallocx", block);
    struct block_resize old = {block, code, block_size(block, code)};
    bool zero = guard_zeroes((flags & FLAG_ZERO) != 0);
    if (size > CLASS_SIZE_MAX || (uintptr_t)block % alignment_of(flags) != 0) {
        return old.old_bytes;
    }
    size_t most = extra < CLASS_SIZE_MAX - size ? size + extra : CLASS_SIZE_MAX;
    size_t least_usable = usable_size(size);
    size_t most_usable = usable_size(most);
    if (old.old_bytes > most_usable) {
        /* Shrink to the most that is asked for; a small block stays as it is. */
        return block_resize_in_place(old, most_usable, zero) ? most_usable : old.old_bytes;
    }
    if (most_usable > old.old_bytes && block_resize_in_place(old, most_usable, zero)) {
        return most_usable;
    }
    if (least_usable > old.old_bytes && least_usable < most_usable &&
        block_resize_in_place(old, least_usable, zero)) {
        return least_usable;
    }
    return old.old_bytes;
}

size_t API(sallocx)(const void *block, int flags)
{
    (void)flags;
    return block_size(block, block_code("sallocx", block));
}

void API(dallocx)(void *block, int flags)
{
    if (UNLIKELY(is_uncached(flags)) || UNLIKELY(!fast_free(block))) {
        block_free(block, block_code("dallocx", block), is_uncached(flags));
    }
}

/* The arguments are those of sdallocx, and kept, so that its tail call moves none. */
static NOINLINE void sdallocx_slow(void *block, size_t size, int flags)
{
    LAUNDER(size);
    if (!is_uncached(flags) && fast_free(block)) {
        return;
    }
    block_free(block, block_code("sdallocx", block), is_uncached(flags));
}

void API(sdallocx)(void *block, size_t size, int flags)
{
    if (UNLIKELY(flags != 0) || UNLIKELY(!fast_free_sized(block, size))) {
        sdallocx_slow(block, size, flags);
    }
}

size_t API(nallocx)(size_t size, int flags)
{
    return block_usable_size(size, alignment_of(flags));
}
