/* class.h: size classes, the sizes in which blocks are handed out.
 *
 * A class is an index 0..CLASS_COUNT-1 ordered by size. Sizes follow jemalloc's scheme, so that
 * nallocx() and malloc_usable_size() agree with it: 8, then multiples of 16 up to 128, then four
 * equal steps in each doubling. The steps bound internal waste to 20 % (a request one byte above a
 * power of two), about 10 % on average.
 *
 *     index   0   1  2  3  4  5  6   7    8   |  9  10  11  12 | 13 ...
 *     size    8  16 32 48 64 80 96 112  128   | 160 192 224 256 | 320 ...
 *               <---- step 16 (QUANTUM) --->  |  step 32        | step 64
 *
 *     0 .. 35     small: regions of slabs, up to 14336 bytes
 *     36 .. 40    16, 20, 24, 28 and 32 KiB: runs of pages, cached by threads too
 *     41 ..       counted by class, but sized to the page
 *
 * A thread cache's bin i serves class i - 1, and the class code in the address map and in
 * size_code[] is 4 i (map.h says why).
 *
 * Invariants: class_size() is strictly increasing; class_of(class_size(c)) == c for every class c;
 * every size from 16 up is a multiple of 16. All functions are constant time, and safe in any
 * thread at any moment.
 */
#ifndef HEAP_CLASS_H
#define HEAP_CLASS_H

#include "pages/map.h"

#include <stddef.h>
#include <stdint.h>

enum {
    QUANTUM = 16, /* alignment of blocks of 16 bytes and more, as the ABIs ask of malloc */
    STEPS_PER_DOUBLING =
        4, /* 4 bounds waste to 20 %; 8 would halve it and double half-empty slabs */
    CLASS_COUNT = 232,
    CLASS_NONE = 0xff, /* no class: the request is larger than CLASS_SIZE_MAX */
    SMALL_CLASSES = 36,
    SMALL_SIZE_MAX = 14336,
    CACHED_CLASSES = 41,
    CACHED_SIZE_MAX = 32768,
    LARGE_SIZE_MIN = 16384,
};

/* Largest size that has a class, 7 * 2^60 bytes, the limit that jemalloc's contract names. */
#define CLASS_SIZE_MAX ((size_t)0x7000000000000000)

/* The class of a request of size_bytes: the smallest class that holds it. 0 counts as 1. CLASS_NONE
 * above CLASS_SIZE_MAX. */
uint8_t class_of(size_t size_bytes);

/* The size in bytes of blocks of a class. class_index < CLASS_COUNT. */
size_t class_size(uint8_t class_index);

/* What a block for a request may hold: the class size up to 16 KiB, then whole pages of 4 KiB, or
 * the class size there too. 0 when the request is larger than CLASS_SIZE_MAX. */
size_t usable_size(size_t size_bytes);
/* Whether usable sizes above 16 KiB are those of classes. Written before the first block. */
extern bool usable_by_class;

/* The same for a request with an alignment, a power of two. 0 when there is no such block. */
size_t usable_size_aligned(size_t size_bytes, size_t alignment);

/* Class code of a request of (index - 1) * 8 + 1 .. index * 8 bytes, up to 32 KiB. */
HIDDEN extern const uint8_t size_code[CACHED_SIZE_MAX / 8 + 1];

/* Of a bin: the size of its blocks. Bin 0 and the codes that are no class: 0. */
HIDDEN extern const uint32_t bin_size[CODE_BINS];

/* Of a bin: I = ceil(2^64 / d). An address p starts a block only if p * I mod 2^64 < I, which holds
 * for the multiples of d among the addresses below 2^48 and for no others (D. Lemire, O. Kaser, N.
 * Kurz, "Faster Remainder by Direct Computation", 2019; for d = m 2^k with m < 8 the bound on the
 * dividend is p m < I, and I is above 2^50 here). Slabs place their regions at multiples of the
 * class size d, so the test is exact; runs start at pages, and d is 4096. Where I is 0 no address
 * passes. */
HIDDEN extern const uint64_t bin_inverse[CODE_BINS];

static inline unsigned class_code(uint8_t class_index)
{
    return (class_index + 1u) * CODE_SCALE;
}

#endif
