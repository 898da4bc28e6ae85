/* class.c: size classes by arithmetic on the position of the highest bit, and as tables. See
 * class.h.
 *
 * The arithmetic serves all 232 classes off the fast path; the tables serve the 41 classes that
 * threads cache, in one load.
 */
#include "heap/class.h"

#include "base/bits.h"

enum {
    TINY_SIZE = 8,    /* class 0, the only one below QUANTUM */
    LINEAR_MAX = 128, /* up to here the step is QUANTUM; above, a quarter of the doubling */
    LINEAR_COUNT = 1 + LINEAR_MAX / QUANTUM,
    LINEAR_MAX_LG = 7,
    STEPS_LG = 2,
};

static_assert(1 << LINEAR_MAX_LG == LINEAR_MAX, "the linear part ends at a power of two");
static_assert(1 << STEPS_LG == STEPS_PER_DOUBLING, "steps are counted by shifting");
static_assert(LINEAR_MAX / STEPS_PER_DOUBLING >= QUANTUM,
              "every step is a multiple of the quantum");

/* CLASS(index, size, previous size, what block addresses are multiples of: SIZE or PAGE) */
#define CACHED_CLASS_TABLE        \
    CLASS(0, 8, 0, SIZE)          \
    CLASS(1, 16, 8, SIZE)         \
    CLASS(2, 32, 16, SIZE)        \
    CLASS(3, 48, 32, SIZE)        \
    CLASS(4, 64, 48, SIZE)        \
    CLASS(5, 80, 64, SIZE)        \
    CLASS(6, 96, 80, SIZE)        \
    CLASS(7, 112, 96, SIZE)       \
    CLASS(8, 128, 112, SIZE)      \
    CLASS(9, 160, 128, SIZE)      \
    CLASS(10, 192, 160, SIZE)     \
    CLASS(11, 224, 192, SIZE)     \
    CLASS(12, 256, 224, SIZE)     \
    CLASS(13, 320, 256, SIZE)     \
    CLASS(14, 384, 320, SIZE)     \
    CLASS(15, 448, 384, SIZE)     \
    CLASS(16, 512, 448, SIZE)     \
    CLASS(17, 640, 512, SIZE)     \
    CLASS(18, 768, 640, SIZE)     \
    CLASS(19, 896, 768, SIZE)     \
    CLASS(20, 1024, 896, SIZE)    \
    CLASS(21, 1280, 1024, SIZE)   \
    CLASS(22, 1536, 1280, SIZE)   \
    CLASS(23, 1792, 1536, SIZE)   \
    CLASS(24, 2048, 1792, SIZE)   \
    CLASS(25, 2560, 2048, SIZE)   \
    CLASS(26, 3072, 2560, SIZE)   \
    CLASS(27, 3584, 3072, SIZE)   \
    CLASS(28, 4096, 3584, SIZE)   \
    CLASS(29, 5120, 4096, SIZE)   \
    CLASS(30, 6144, 5120, SIZE)   \
    CLASS(31, 7168, 6144, SIZE)   \
    CLASS(32, 8192, 7168, SIZE)   \
    CLASS(33, 10240, 8192, SIZE)  \
    CLASS(34, 12288, 10240, SIZE) \
    CLASS(35, 14336, 12288, SIZE) \
    CLASS(36, 16384, 14336, PAGE) \
    CLASS(37, 20480, 16384, PAGE) \
    CLASS(38, 24576, 20480, PAGE) \
    CLASS(39, 28672, 24576, PAGE) \
    CLASS(40, 32768, 28672, PAGE)

#define CLASS(index, size, previous, test) \
    [(previous) / 8 + ((index) != 0)...(size) / 8] = ((index) + 1) * CODE_SCALE,
const uint8_t size_code[CACHED_SIZE_MAX / 8 + 1] = {CACHED_CLASS_TABLE};
#undef CLASS

#define CLASS(index, size, previous, test) [(index) + 1] = (size),
const uint32_t bin_size[CODE_BINS] = {CACHED_CLASS_TABLE};
#undef CLASS

#define SIZE(size) (UINT64_MAX / (size) + 1)
#define PAGE(size) (UINT64_MAX / PAGE_BYTES + 1)
#define CLASS(index, size, previous, test) [(index) + 1] = test(size),
const uint64_t bin_inverse[CODE_BINS] = {CACHED_CLASS_TABLE};
#undef CLASS

uint8_t class_of(size_t size_bytes)
{
    if (size_bytes > CLASS_SIZE_MAX) {
        return CLASS_NONE;
    }
    if (size_bytes <= TINY_SIZE) {
        return 0;
    }
    if (size_bytes <= LINEAR_MAX) {
        return (uint8_t)((size_bytes + QUANTUM - 1) / QUANTUM);
    }
    /* The doubling (2^lg, 2^(lg+1)] that holds the size; minus one puts a power of two at the end
     * of its doubling, not the start of the next. */
    unsigned lg = bits_highest(size_bytes - 1);
    size_t step_lg = lg - STEPS_LG;
    size_t step_index = (size_bytes - 1 - ((size_t)1 << lg)) >> step_lg;
    ASSERT(step_index < STEPS_PER_DOUBLING);
    return (uint8_t)(LINEAR_COUNT + (lg - LINEAR_MAX_LG) * STEPS_PER_DOUBLING + step_index);
}

size_t class_size(uint8_t class_index)
{
    ASSERT(class_index < CLASS_COUNT);
    if (class_index == 0) {
        return TINY_SIZE;
    }
    if (class_index < LINEAR_COUNT) {
        return (size_t)class_index * QUANTUM;
    }
    unsigned above = class_index - LINEAR_COUNT;
    unsigned lg = LINEAR_MAX_LG + above / STEPS_PER_DOUBLING;
    size_t steps = above % STEPS_PER_DOUBLING + 1;
    return ((size_t)1 << lg) + (steps << (lg - STEPS_LG));
}

bool usable_by_class;

size_t usable_size(size_t size_bytes)
{
    if (size_bytes <= LARGE_SIZE_MIN) {
        return bin_size[size_code[(size_bytes + 7) / 8] / CODE_SCALE];
    }
    if (size_bytes > CLASS_SIZE_MAX) {
        return 0;
    }
    return usable_by_class ? class_size(class_of(size_bytes))
                           : bits_round_up(size_bytes, PAGE_BYTES);
}

size_t usable_size_aligned(size_t size_bytes, size_t alignment)
{
    ASSERT(bits_is_power_of_two(alignment));
    if (size_bytes <= SMALL_SIZE_MAX && alignment <= PAGE_BYTES) {
        /* Slabs start at pages, and a class that holds a multiple of the alignment is one itself.
         */
        size_t rounded = bits_round_up(size_bytes == 0 ? 1 : size_bytes, alignment);
        if (rounded <= SMALL_SIZE_MAX) {
            return usable_size(rounded);
        }
    }
    if (alignment > CLASS_SIZE_MAX) {
        return 0;
    }
    return usable_size(size_bytes < LARGE_SIZE_MIN ? LARGE_SIZE_MIN : size_bytes);
}
