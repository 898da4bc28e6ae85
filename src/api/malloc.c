/* malloc.c: the standard family: malloc, free, calloc, realloc, and the aligned functions.
 *
 * The fast paths are fast_alloc() and fast_free() in block.h; here they meet their slow halves.
 * What each function does at its limits is jemalloc's contract; test/api holds it.
 *
 * All functions are safe in any thread. None is async-signal-safe.
 */
#include "api/block.h"

#include "base/bits.h"
#include "base/print.h"
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

static NOINLINE void *calloc_slow(size_t size_bytes)
{
    struct block_request request = {.size_bytes = size_bytes, .alignment = 1, .zero = true};
    void *block = block_alloc(&request);
    return block != NULL ? block : out_of_memory("calloc");
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
        return out_of_memory("calloc");
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
    return calloc_slow(size_bytes);
}

/* What realloc(block, 0) does is an option. */
static NOINLINE void *realloc_to_zero(void *block)
{
    atomic_fetch_add_explicit(&statistics_zero_reallocs, 1, memory_order_relaxed);
    unsigned code = block_code("realloc", block);
    if (options.zero_realloc == ZERO_REALLOC_ABORT) {
        message_and_abort("Called realloc(non-null-ptr, 0) with \"zero_realloc:abort\" set");
    }
    if (options.zero_realloc == ZERO_REALLOC_FREE) {
        block_free(block, code, false);
        return NULL;
    }
    struct block_request request = {.size_bytes = 1, .alignment = 1};
    struct block_resize old = {block, code, block_size(block, code)};
    void *result = block_realloc(old, &request);
    return result != NULL ? result : out_of_memory("realloc");
}

static NOINLINE void *realloc_slow(void *block, size_t size)
{
    if (block == NULL) {
        void *fresh = fast_alloc(size);
        return fresh != NULL ? fresh : malloc_slow(size);
    }
    if (size == 0) {
        return realloc_to_zero(block);
    }
    unsigned code = block_code("realloc", block);
    struct block_request request = {.size_bytes = size, .alignment = 1};
    struct block_resize old = {block, code, block_size(block, code)};
    void *result = block_realloc(old, &request);
    return result != NULL ? result : out_of_memory("realloc");
}

void *API(realloc)(void *block, size_t size)
{
    void *result = fast_realloc(block, size);
    return LIKELY(result != NULL) ? result : realloc_slow(block, size);
}

static NOINLINE void *aligned_block(size_t alignment, size_t size)
{
    void *block = fast_alloc_aligned(size, alignment);
    if (LIKELY(block != NULL)) {
        return block;
    }
    struct block_request request = {.size_bytes = size, .alignment = alignment};
    return block_alloc(&request);
}

int API(posix_memalign)(void **result, size_t alignment, size_t size)
{
    if (alignment < sizeof(void *) || !bits_is_power_of_two(alignment)) {
        return EINVAL;
    }
    int saved_errno = errno;
    void *block = aligned_block(alignment, size);
    errno = saved_errno;
    if (block == NULL) {
        (void)out_of_memory("posix_memalign");
        errno = saved_errno;
        return ENOMEM;
    }
    *result = block;
    return 0;
}

void *API(aligned_alloc)(size_t alignment, size_t size)
{
    if (!bits_is_power_of_two(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    void *block = aligned_block(alignment, size);
    return block != NULL ? block : out_of_memory("aligned_alloc");
}

void *API(memalign)(size_t alignment, size_t size)
{
    if (!bits_is_power_of_two(alignment)) {
        return NULL;
    }
    void *block = aligned_block(alignment, size);
    return block != NULL ? block : out_of_memory("memalign");
}

void *API(valloc)(size_t size)
{
    void *block = aligned_block(os_page_bytes, size);
    return block != NULL ? block : out_of_memory("valloc");
}

void *API(pvalloc)(size_t size)
{
    if (size > CLASS_SIZE_MAX) {
        return out_of_memory("pvalloc");
    }
    void *block = aligned_block(os_page_bytes, bits_round_up(size, os_page_bytes));
    return block != NULL ? block : out_of_memory("pvalloc");
}

size_t API(malloc_usable_size)(const void *block)
{
    if (block == NULL) {
        return 0;
    }
    return block_size(block, block_code("malloc_usable_size", block));
}

void API(free_sized)(void *block, size_t size)
{
    if (block != NULL && UNLIKELY(!fast_free_sized(block, size))) {
        API(free)(block);
    }
}

void API(free_aligned_sized)(void *block, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    API(free)(block);
}
