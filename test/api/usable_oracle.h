/* usable_oracle.h: what the public contract says about sizes, computed independently of the
 * library.
 *
 * 36 small sizes, then four sizes in each doubling up to ORACLE_LARGEST: 232 classes. A request
 * up to 16384 bytes gets the smallest class that holds it; a larger one gets whole pages of 4096
 * bytes, not the class. Alignment up to a page rounds a small request up to a multiple of the
 * alignment first; whatever needs more than the small sizes offer starts at 16384.
 *
 * Also here: the boundary set, the sizes at which arithmetic goes wrong.
 */
#ifndef TEST_API_USABLE_ORACLE_H
#define TEST_API_USABLE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ORACLE_SMALL_COUNT = 36,
    ORACLE_CLASS_COUNT = 232,
    ORACLE_PAGE = 4096,
    ORACLE_SMALL_MAX = 14336,
    ORACLE_LARGE_MIN = 16384,
    BOUNDARY_MAX = 1200,
};

#define ORACLE_LARGEST ((size_t)0x7000000000000000)

/* Up to the first an allocation must succeed, from the second on it must fail: no process has that
 * much address space. Between the two the kernel decides. */
#define ORACLE_MUST_SUCCEED ((size_t)64 << 20)
#define ORACLE_MUST_FAIL ((size_t)1 << 47)

static inline size_t oracle_small_size(unsigned index)
{
    static const uint16_t sizes[ORACLE_SMALL_COUNT] = {
        8,    16,   32,   48,   64,   80,   96,   112,  128,  160,   192,   224,
        256,  320,  384,  448,  512,  640,  768,  896,  1024, 1280,  1536,  1792,
        2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 14336,
    };
    return sizes[index];
}

static inline size_t oracle_class_size(unsigned index)
{
    if (index < ORACLE_SMALL_COUNT) {
        return oracle_small_size(index);
    }
    size_t base = (size_t)ORACLE_LARGE_MIN;
    unsigned steps = index - ORACLE_SMALL_COUNT;
    base <<= steps / 4;
    return base + steps % 4 * (base / 4);
}

/* Usable size of a request without alignment; 0: refused whatever memory there is. */
static inline size_t oracle_usable(size_t size)
{
    for (unsigned i = 0; size <= ORACLE_SMALL_MAX && i < ORACLE_SMALL_COUNT; i++) {
        if (oracle_small_size(i) >= size) {
            return oracle_small_size(i);
        }
    }
    if (size <= ORACLE_LARGE_MIN) {
        return ORACLE_LARGE_MIN;
    }
    if (size > ORACLE_LARGEST) {
        return 0;
    }
    return (size + ORACLE_PAGE - 1) / ORACLE_PAGE * ORACLE_PAGE;
}

/* The same with an alignment, a power of two. A size of 0 counts as 1. */
static inline size_t oracle_usable_aligned(size_t size, size_t alignment)
{
    if (size > ORACLE_LARGEST || alignment > ORACLE_LARGEST) {
        return 0;
    }
    size_t least = size == 0 ? 1 : size;
    if (alignment <= ORACLE_PAGE && least <= ORACLE_SMALL_MAX) {
        size_t rounded = (least + alignment - 1) / alignment * alignment;
        if (rounded <= ORACLE_SMALL_MAX) {
            return oracle_usable(rounded);
        }
    }
    size_t usable = oracle_usable(size);
    return usable < ORACLE_LARGE_MIN ? ORACLE_LARGE_MIN : usable;
}

/* What every block is aligned to without being asked: 16, and 8 for the size 8. */
static inline size_t oracle_natural_alignment(size_t usable)
{
    return usable < 16 ? 8 : 16;
}

static inline void boundary_add(size_t *sizes, unsigned *count, size_t size)
{
    for (unsigned i = 0; i < *count; i++) {
        if (sizes[i] == size) {
            return;
        }
    }
    sizes[(*count)++] = size;
}

static inline void boundary_add_around(size_t *sizes, unsigned *count, size_t size)
{
    boundary_add(sizes, count, size - 1);
    boundary_add(sizes, count, size);
    boundary_add(sizes, count, size + 1);
}

/* The short set: for pairs. 0 and 1, both sides of what is special, both ends of the number range.
 */
static inline unsigned boundary_short(size_t sizes[BOUNDARY_MAX])
{
    static const size_t centres[] = {
        1,
        8,
        16,
        128,
        160,
        1024,
        4096,
        8192,
        14336,
        16384,
        20480,
        32768,
        65536,
        (size_t)1 << 20,
        (size_t)2 << 20,
        (size_t)8 << 20,
        (size_t)1 << 31,
        (size_t)1 << 32,
        (size_t)1 << 47,
        (size_t)1 << 62,
        ORACLE_LARGEST,
        PTRDIFF_MAX,
        SIZE_MAX - 4096,
        SIZE_MAX - 1,
    };
    unsigned count = 0;
    for (unsigned i = 0; i < sizeof centres / sizeof centres[0]; i++) {
        boundary_add_around(sizes, &count, centres[i]);
    }
    return count;
}

/* The full set: every class and every power of two, each with its neighbours, and the short set. */
static inline unsigned boundary_full(size_t sizes[BOUNDARY_MAX])
{
    unsigned count = boundary_short(sizes);
    for (unsigned i = 0; i < ORACLE_CLASS_COUNT; i++) {
        boundary_add_around(sizes, &count, oracle_class_size(i));
    }
    for (unsigned lg = 0; lg < 64; lg++) {
        boundary_add_around(sizes, &count, (size_t)1 << lg);
    }
    return count;
}

/* Powers of two from 1 to 2^63. */
enum { ALIGNMENT_COUNT = 64 };

static inline size_t alignment_at(unsigned lg)
{
    return (size_t)1 << lg;
}

static inline bool is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static inline bool is_aligned(const void *block, size_t alignment)
{
    return ((uintptr_t)block & (alignment - 1)) == 0;
}

#endif
