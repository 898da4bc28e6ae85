/* extended.c: the family with flags: mallocx and its kin.
 *
 *     flags   31 ....... 20 | 19 ....... 8 | 7 | 6    | 5 .... 0
 *             arena + 1     | cache id + 2 | - | zero | log2 of the alignment
 *
 * A cache field of 1 means no cache. The id of a cache that does not exist gives one line and
 * abort(); an arena that does not exist stands for that of the thread. Sizes of 0 are undefined by
 * contract; here they count as 1.
 */
#include "api/block.h"
#include "api/guard.h"
#include "api/malloc.h"

#include "api/process.h"
#include "base/bits.h"
#include "base/mistake.h"
#include "cache/explicit.h"

#include <errno.h>
#include <string.h>

enum {
    FLAG_ALIGNMENT_MASK = 0x3f,
    FLAG_ZERO = 0x40,
    FLAG_CACHE_SHIFT = 8,
    FLAG_CACHE_MASK = 0xfff,
    FLAG_CACHE_NONE = 1,
    FLAG_CACHE_FIRST = 2, /* id 0 */
    FLAG_ARENA_SHIFT = 20,
};

static size_t alignment_of(int flags)
{
    return (size_t)1 << (flags & FLAG_ALIGNMENT_MASK);
}

static unsigned cache_field(int flags)
{
    return (unsigned)flags >> FLAG_CACHE_SHIFT & FLAG_CACHE_MASK;
}

/* The cache that the flags name; NULL when they name none. */
static struct cache *cache_of(const char *function, int flags)
{
    unsigned field = cache_field(flags);
    if (LIKELY(field < FLAG_CACHE_FIRST)) {
        return NULL;
    }
    struct cache *cache = explicit_get(field - FLAG_CACHE_FIRST);
    if (UNLIKELY(cache == NULL)) {
        /* Who goes on uses the thread's. */
        mistake("%s(): no cache %u: never made by tcache.create, or destroyed before", function,
                field - FLAG_CACHE_FIRST);
    }
    return cache;
}

/* The arena that the flags name; NULL when they name none, or one that does not exist. */
static struct arena *arena_of(int flags)
{
    unsigned field = (unsigned)flags >> FLAG_ARENA_SHIFT;
    struct arena *arena = field == 0 ? NULL : arena_get(field - 1);
    if (LIKELY(field == 0) || LIKELY(arena != NULL)) {
        return arena;
    }
    return process_start() ? arena_demand(field - 1) : NULL;
}

static struct block_request request_of(const char *function, size_t size, int flags)
{
    return (struct block_request){
        .size_bytes = size,
        .alignment = alignment_of(flags),
        .zero = (flags & FLAG_ZERO) != 0,
        .uncached = cache_field(flags) == FLAG_CACHE_NONE,
        .arena = arena_of(flags),
        .cache = cache_of(function, flags),
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
    struct block_request request = request_of("mallocx", size, flags);
    void *block = block_alloc(&request);
    if (block == NULL) {
        (void)refused("mallocx", &request);
    }
    tell_allocated(ALLOC_MALLOCX, block, size, (unsigned)flags);
    return block;
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
    if (UNLIKELY(code == 0)) {
        return NULL;
    }
    struct block_request request = request_of("rallocx", size, flags);
    struct block_resize old = {block, code, block_size(block, code)};
    struct hooked_call call;
    if (event_hooks_are_on()) {
        call = (struct hooked_call){ALLOC_RALLOCX, {(uintptr_t)block, size, (unsigned)flags}};
        request.call = &call;
    }
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

/* Result: the usable size afterwards. */
static size_t resize(struct block_resize old, size_t size, size_t extra, int flags)
{
    bool zero = guard_zeroes((flags & FLAG_ZERO) != 0);
    if (size > CLASS_SIZE_MAX || (uintptr_t)old.block % alignment_of(flags) != 0) {
        return old.old_bytes;
    }
    size_t most = extra < CLASS_SIZE_MAX - size ? size + extra : CLASS_SIZE_MAX;
    size_t least_usable = usable_size(size);
    struct new_size largest = {usable_size(most), most};
    if (old.old_bytes > largest.usable_bytes) {
        /* Shrink to the most that is asked for; a small block stays as it is. */
        return block_resize_in_place(old, largest, zero) ? largest.usable_bytes : old.old_bytes;
    }
    if (largest.usable_bytes > old.old_bytes && block_resize_in_place(old, largest, zero)) {
        return largest.usable_bytes;
    }
    if (least_usable > old.old_bytes && least_usable < largest.usable_bytes &&
        block_resize_in_place(old, (struct new_size){least_usable, size}, zero)) {
        return least_usable;
    }
    return old.old_bytes;
}

size_t API(xallocx)(void *block, size_t size, size_t extra, int flags)
{
    unsigned code = block_code("xallocx", block);
    if (UNLIKELY(code == 0)) {
        return 0;
    }
    struct block_resize old = {block, code, block_size(block, code)};
    size_t new_bytes = resize(old, size, extra, flags);
    if (event_hooks_are_on()) {
        struct hooked_call call = {RESIZE_XALLOCX,
                                   {(uintptr_t)block, size, extra, (unsigned)flags}};
        struct resized_block resized = {block, old.old_bytes, new_bytes};
        event_hooks_resized(&call, resized, new_bytes);
    }
    return new_bytes;
}

size_t API(sallocx)(const void *block, int flags)
{
    (void)flags;
    unsigned code = block_code("sallocx", block);
    return LIKELY(code != 0) ? block_size(block, code) : 0;
}

static NOINLINE void free_flagged(enum free_call type, void *block, size_t size, int flags)
{
    bool sized = type == FREE_SDALLOCX;
    const char *function = sized ? "sdallocx" : "dallocx";
    unsigned code = block_code(function, block);
    if (UNLIKELY(code == 0)) {
        return;
    }
    struct cache *cache = cache_of(function, flags);
    tell_freed((int)type, block, sized ? size : (unsigned)flags, sized ? (unsigned)flags : 0);
    if (cache != NULL) {
        block_free_into(cache, block, code);
    } else {
        block_free(block, code, cache_field(flags) == FLAG_CACHE_NONE);
    }
}

void API(dallocx)(void *block, int flags)
{
    if (UNLIKELY(cache_field(flags) != 0) || UNLIKELY(!fast_free(block))) {
        free_flagged(FREE_DALLOCX, block, 0, flags);
    }
}

/* The arguments are those of sdallocx, and kept, so that its tail call moves none. */
static NOINLINE void sdallocx_slow(void *block, size_t size, int flags)
{
    LAUNDER(size);
    if (cache_field(flags) != 0 || !fast_free(block)) {
        free_flagged(FREE_SDALLOCX, block, size, flags);
    }
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
