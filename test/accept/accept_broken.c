/* accept_broken.c: an allocator that is wrong on purpose.
 *
 * Goal: show that each acceptance test can fail: `accept.py --control KIND` runs the tests on it
 * and wants every one of them to fail.
 * Method: a bump allocator. KIND_SMALL hands out half of the bytes asked for, so that neighbours
 * overlap; KIND_MISSING exports nothing of the malloc family, as a library built wrongly does.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

void accept_broken_is_loaded(void);

void accept_broken_is_loaded(void)
{
}

#ifdef KIND_SMALL
void *malloc(size_t size_bytes);
void free(void *block);
void *calloc(size_t count, size_t size_bytes);
void *realloc(void *block, size_t size_bytes);
void *memalign(size_t alignment, size_t size_bytes);
void *aligned_alloc(size_t alignment, size_t size_bytes);
int posix_memalign(void **block, size_t alignment, size_t size_bytes);
size_t malloc_usable_size(void *block);

/* Address space only: the runs are bounded and touch little of it. */
static const size_t region_bytes = (size_t)1 << 36;
static _Atomic(uintptr_t) next_block;

static uintptr_t region_start(void)
{
    uintptr_t seen = atomic_load(&next_block);
    if (seen != 0) {
        return seen;
    }
    void *region = mmap(NULL, region_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) {
        return 0;
    }
    uintptr_t none = 0;
    (void)atomic_compare_exchange_strong(&next_block, &none, (uintptr_t)region + 64);
    return atomic_load(&next_block);
}

void *memalign(size_t alignment, size_t size_bytes)
{
    if (size_bytes > region_bytes / 4 || region_start() == 0) {
        errno = ENOMEM;
        return NULL;
    }
    size_t step = alignment < 16 ? 16 : alignment;
    size_t taken_bytes = (size_bytes / 2 + 2 * step) / step * step;
    uintptr_t block = atomic_fetch_add(&next_block, taken_bytes);
    uintptr_t aligned = (block + step - 1) / step * step;
    *(size_t *)(aligned - sizeof(size_t)) = size_bytes;
    return (void *)aligned;
}

void *malloc(size_t size_bytes)
{
    return memalign(16, size_bytes);
}

void free(void *block)
{
    (void)block;
}

void *calloc(size_t count, size_t size_bytes)
{
    size_t total_bytes = 0;
    if (__builtin_mul_overflow(count, size_bytes, &total_bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = malloc(total_bytes);
    return block == NULL ? NULL : memset(block, 0, total_bytes);
}

size_t malloc_usable_size(void *block)
{
    return block == NULL ? 0 : *(size_t *)((uintptr_t)block - sizeof(size_t));
}

void *realloc(void *block, size_t size_bytes)
{
    size_t old_bytes = malloc_usable_size(block);
    void *grown = malloc(size_bytes);
    if (grown != NULL && block != NULL) {
        memmove(grown, block, old_bytes < size_bytes ? old_bytes : size_bytes);
    }
    return grown;
}

void *aligned_alloc(size_t alignment, size_t size_bytes)
{
    return memalign(alignment, size_bytes);
}

int posix_memalign(void **block, size_t alignment, size_t size_bytes)
{
    *block = memalign(alignment, size_bytes);
    return *block == NULL ? ENOMEM : 0;
}
#endif
