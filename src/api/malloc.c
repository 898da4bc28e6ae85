/* malloc.c: the standard family: malloc, free, calloc, realloc, and the aligned functions.
 *
 * The fast paths are fast_alloc() and fast_free() in block.h; here they meet their slow halves.
 * What each function does at its limits is jemalloc's contract; test/api holds it.
 *
 * All functions are safe in any thread. None is async-signal-safe.
 */
#include "api/block.h"

#include "base/bits.h"
#include "base/mistake.h"
#include "api/malloc.h"
#include "control/statistics.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

void *API(malloc)(size_t size)
{
    void *block = fast_alloc(size);
    return LIKELY(block != NULL) ? block : malloc_slow(size);
}

void API(free)(void *block)
{
    if (UNLIKELY(!fast_free(block))) {
        free_slow(block);
    }
}

static NOINLINE void *calloc_slow(size_t count, size_t size)
{
    struct block_request request = {.alignment = 1, .zero = true};
    bool overflows = __builtin_mul_overflow(count, size, &request.size_bytes);
    void *block = overflows ? NULL : block_alloc(&request);
    if (block == NULL) {
        (void)out_of_memory("calloc");
    }
    tell_allocated(ALLOC_CALLOC, block, count, size);
    return block;
}

/* Sizes up to this are cleared by a few stores; a call of memset costs more than they. */
enum { INLINE_CLEAR_MAX = 128 };

/* Clears a small block whole: its size is 8 or a multiple of 16. */
ALWAYS_INLINE void clear_small(void *block, size_t size_bytes)
{
    typedef uint64_t pair __attribute__((vector_size(16), may_alias));
    if (size_bytes <= 8) {
        *(uint64_t *)block = 0;
        return;
    }
    char *at = block;
    char *end = at + size_bytes;
    do {
        *(pair *)at = (pair){0, 0};
        at += sizeof(pair);
        LAUNDER(
            at); /* Else the compiler makes a call, or a slow string instruction, of the loop. */
    } while (at < end);
}

void *API(calloc)(size_t count, size_t size)
{
    size_t size_bytes;
    if (UNLIKELY(__builtin_mul_overflow(count, size, &size_bytes))) {
        return calloc_slow(count, size);
    }
    if (LIKELY(size_bytes <= INLINE_CLEAR_MAX)) {
        void *block = fast_alloc(size_bytes);
        if (LIKELY(block != NULL)) {
            clear_small(block, size_bytes);
            return block;
        }
    } else if (size_bytes <= SMALL_SIZE_MAX) {
        void *block = fast_alloc(size_bytes);
        if (LIKELY(block != NULL)) {
            return memset(block, 0, bin_size[size_code[(size_bytes + 7) / 8] / CODE_SCALE]);
        }
    }
    return calloc_slow(count, size);
}

/* A mistake after which the program goes on: its block, if it is one, stays. */
static void *invalid_block(void)
{
    errno = EINVAL;
    return NULL;
}

static void *realloc_verified(void *block, unsigned code, size_t size,
                              const struct hooked_call *call)
{
    struct block_request request = {.size_bytes = size, .alignment = 1, .call = call};
    struct block_resize old = {block, code, block_size(block, code)};
    void *result = block_realloc(old, &request);
    return result != NULL ? result : out_of_memory("realloc");
}

static NOINLINE void *realloc_told(void *block, unsigned code, size_t size)
{
    struct hooked_call call = {ALLOC_REALLOC, {(uintptr_t)block, size}};
    return realloc_verified(block, code, size, &call);
}

/* What realloc(block, 0) does is an option. */
static NOINLINE void *realloc_to_zero(void *block)
{
    atomic_fetch_add_explicit(&statistics_zero_reallocs, 1, memory_order_relaxed);
    unsigned code = block_code("realloc", block);
    if (UNLIKELY(code == 0)) {
        return invalid_block();
    }
    if (options.zero_realloc == ZERO_REALLOC_ABORT) {
        mistake("Called realloc(non-null-ptr, 0) with \"zero_realloc:abort\" set");
        return invalid_block();
    }
    if (options.zero_realloc == ZERO_REALLOC_FREE) {
        tell_freed(FREE_REALLOC, block, 0, 0);
        block_free(block, code, false);
        return NULL;
    }
    return event_hooks_are_on() ? realloc_told(block, code, 1)
                                : realloc_verified(block, code, 1, NULL);
}

static NOINLINE void *realloc_none_told(size_t size)
{
    struct block_request request = {.size_bytes = size, .alignment = 1};
    void *fresh = block_alloc(&request);
    if (fresh == NULL) {
        (void)out_of_memory("realloc");
    }
    tell_allocated(ALLOC_REALLOC, fresh, 0, size);
    return fresh;
}

static NOINLINE void *realloc_slow(void *block, size_t size)
{
    if (block == NULL) {
        void *fresh = fast_alloc(size);
        return fresh != NULL           ? fresh
               : !event_hooks_are_on() ? malloc_slow(size)
                                       : realloc_none_told(size);
    }
    if (size == 0) {
        return realloc_to_zero(block);
    }
    unsigned code = block_code("realloc", block);
    if (UNLIKELY(code == 0)) {
        return invalid_block();
    }
    return event_hooks_are_on() ? realloc_told(block, code, size)
                                : realloc_verified(block, code, size, NULL);
}

void *API(realloc)(void *block, size_t size)
{
    void *result = fast_realloc(block, size);
    return LIKELY(result != NULL) ? result : realloc_slow(block, size);
}

/* Hooks are told the arguments in their order: valloc() and pvalloc() have no alignment. */
static void *tell_aligned(enum alloc_call type, void *block, size_t alignment, size_t size)
{
    bool has_alignment = type != ALLOC_VALLOC;
    tell_allocated((int)type, block, has_alignment ? alignment : size, has_alignment ? size : 0);
    return block;
}

static NOINLINE void *aligned_slow(const char *function, enum alloc_call type, size_t alignment,
                                   size_t size)
{
    struct block_request request = {.size_bytes = size, .alignment = alignment};
    void *block = block_alloc(&request);
    if (block == NULL) {
        (void)out_of_memory(function);
    }
    return tell_aligned(type, block, alignment, size);
}

/* Its result is the error, and where the block's address goes is an argument. */
static NOINLINE int posix_memalign_slow(void **result, size_t alignment, size_t size)
{
    int error = EINVAL;
    void *block = NULL;
    int saved_errno = errno;
    if (alignment >= sizeof(void *) && bits_is_power_of_two(alignment)) {
        struct block_request request = {.size_bytes = size, .alignment = alignment};
        block = block_alloc(&request);
        error = block != NULL ? 0 : ENOMEM;
    }
    if (error == ENOMEM) {
        (void)out_of_memory("posix_memalign");
    }
    errno = saved_errno;
    if (error == 0) {
        *result = block;
    }
    if (event_hooks_are_on()) {
        struct hooked_call call = {ALLOC_POSIX_MEMALIGN, {(uintptr_t)result, alignment, size}};
        event_hooks_allocated(&call, block, (uintptr_t)error);
    }
    return error;
}

int API(posix_memalign)(void **result, size_t alignment, size_t size)
{
    if (LIKELY(alignment >= sizeof(void *)) && LIKELY(bits_is_power_of_two(alignment))) {
        void *block = fast_alloc_aligned(size, alignment);
        if (LIKELY(block != NULL)) {
            *result = block;
            return 0;
        }
    }
    return posix_memalign_slow(result, alignment, size);
}

void *API(aligned_alloc)(size_t alignment, size_t size)
{
    if (UNLIKELY(!bits_is_power_of_two(alignment))) {
        errno = EINVAL;
        return tell_aligned(ALLOC_ALIGNED_ALLOC, NULL, alignment, size);
    }
    void *block = fast_alloc_aligned(size, alignment);
    return LIKELY(block != NULL)
               ? block
               : aligned_slow("aligned_alloc", ALLOC_ALIGNED_ALLOC, alignment, size);
}

void *API(memalign)(size_t alignment, size_t size)
{
    if (UNLIKELY(!bits_is_power_of_two(alignment))) {
        return tell_aligned(ALLOC_MEMALIGN, NULL, alignment, size);
    }
    void *block = fast_alloc_aligned(size, alignment);
    return LIKELY(block != NULL) ? block
                                 : aligned_slow("memalign", ALLOC_MEMALIGN, alignment, size);
}

void *API(valloc)(size_t size)
{
    void *block = fast_alloc_aligned(size, os_page_bytes);
    return LIKELY(block != NULL) ? block
                                 : aligned_slow("valloc", ALLOC_VALLOC, os_page_bytes, size);
}

void *API(pvalloc)(size_t size)
{
    if (size > CLASS_SIZE_MAX) {
        return tell_aligned(ALLOC_VALLOC, out_of_memory("pvalloc"), os_page_bytes, size);
    }
    size_t pages_bytes = bits_round_up(size, os_page_bytes);
    void *block = fast_alloc_aligned(pages_bytes, os_page_bytes);
    return LIKELY(block != NULL)
               ? block
               : aligned_slow("pvalloc", ALLOC_VALLOC, os_page_bytes, pages_bytes);
}

size_t API(malloc_usable_size)(const void *block)
{
    if (block == NULL) {
        return 0;
    }
    unsigned code = block_code("malloc_usable_size", block);
    return LIKELY(code != 0) ? block_size(block, code) : 0;
}

void API(free_sized)(void *block, size_t size)
{
    if (block != NULL && UNLIKELY(!fast_free_sized(block, size))) {
        free_sized_slow(block, size, 1);
    }
}

void API(free_aligned_sized)(void *block, size_t alignment, size_t size)
{
    if (UNLIKELY(!fast_free(block))) {
        free_sized_slow(block, size, alignment);
    }
}
