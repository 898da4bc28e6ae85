/* slab.c: regions of slabs. See slab.h. */
#include "heap/slab.h"

#include "base/bits.h"
#include "base/print.h"

#include <string.h>

/* Pages of a slab, and ceil(2^32 / size), which divides offsets within it exactly. Sizes are a
 * balance: a small slab empties sooner and pins less, a large one is taken less often
 * (docs/decisions/slab-sizes.md has the figures). */
struct slab_shape {
    uint32_t reciprocal;
    uint8_t page_count;
};

#define SHAPE(size, pages)                                           \
    {                                                                \
        (uint32_t)((((uint64_t)1 << 32) + (size)-1) / (size)), pages \
    }
static const struct slab_shape shapes[SMALL_CLASSES] = {
    SHAPE(8, 1),      SHAPE(16, 2),    SHAPE(32, 4),    SHAPE(48, 4),     SHAPE(64, 4),
    SHAPE(80, 4),     SHAPE(96, 4),    SHAPE(112, 4),   SHAPE(128, 4),    SHAPE(160, 4),
    SHAPE(192, 4),    SHAPE(224, 4),   SHAPE(256, 4),   SHAPE(320, 8),    SHAPE(384, 8),
    SHAPE(448, 8),    SHAPE(512, 8),   SHAPE(640, 8),   SHAPE(768, 8),    SHAPE(896, 8),
    SHAPE(1024, 8),   SHAPE(1280, 16), SHAPE(1536, 16), SHAPE(1792, 16),  SHAPE(2048, 16),
    SHAPE(2560, 16),  SHAPE(3072, 16), SHAPE(3584, 16), SHAPE(4096, 16),  SHAPE(5120, 20),
    SHAPE(6144, 24),  SHAPE(7168, 28), SHAPE(8192, 32), SHAPE(10240, 20), SHAPE(12288, 24),
    SHAPE(14336, 28),
};

unsigned slab_page_count(uint8_t class_index)
{
    ASSERT(class_index < SMALL_CLASSES);
    return shapes[class_index].page_count;
}

static size_t region_size(const struct run *slab)
{
    return bin_size[slab->class_index + 1];
}

unsigned slab_region_count(uint8_t class_index)
{
    size_t size = class_size(class_index);
    size_t bytes = (size_t)slab_page_count(class_index) * PAGE_BYTES;
    bool shifted = bin_inverse[class_index + 1] != 0 && PAGE_BYTES % size != 0;
    size_t count = (bytes - (shifted ? size - 1 : 0)) / size;
    return (unsigned)(count < RUN_REGIONS_MAX ? count : RUN_REGIONS_MAX);
}

/* Where region 0 starts, and how many follow before the end of the run. */
static void place_regions(struct run *slab)
{
    size_t size = region_size(slab);
    uintptr_t base = (uintptr_t)slab->first;
    uintptr_t end = base + (size_t)slab->page_count * PAGE_BYTES;
    uintptr_t first = base;
    if (bin_inverse[slab->class_index + 1] != 0) {
        first = (base + size - 1) / size * size;
    }
    size_t count = (end - first) / size;
    slab->first = (char *)first;
    slab->region_count = (uint16_t)(count < RUN_REGIONS_MAX ? count : RUN_REGIONS_MAX);
}

struct run *slab_new(struct page_heap *heap, uint8_t class_index)
{
    struct run_request request = {shapes[class_index].page_count, 1, true, LARGE_NONE};
    bool zeroed;
    struct run *slab = run_alloc(heap, request, &zeroed);
    if (slab == NULL) {
        return NULL;
    }
    char *base = slab->first;
    slab->class_index = class_index;
    place_regions(slab);
    memset(slab->free_bits, 0, sizeof slab->free_bits);
    slab->fresh = 0;
    slab->free_count = slab->region_count;
    map_set_codes(base, slab->page_count, class_code(class_index));
    ASSERT_SLOW(slab_is_valid(slab));
    return slab;
}

void slab_delete(struct run *slab)
{
    ASSERT(slab->free_count == slab->region_count);
    char *base = chunk_page_address(slab->chunk, slab->page);
    char *used_end = slab->first + (size_t)slab->fresh * region_size(slab);
    unsigned touched = (unsigned)((size_t)(used_end - base + PAGE_BYTES - 1) / PAGE_BYTES);
    touched = slab->fresh == 0 ? 0 : touched < slab->page_count ? touched : slab->page_count;
    map_set_codes(base, slab->page_count, 0);
    run_free(slab, touched);
}

/* Takes freed regions, lowest first. */
static unsigned take_freed(struct run *slab, void **regions, unsigned wanted)
{
    size_t size = region_size(slab);
    unsigned taken = 0;
    unsigned words = (slab->fresh + WORD_BITS - 1u) / WORD_BITS;
    for (unsigned word = 0; word < words && taken < wanted; word++) {
        uint64_t bits = slab->free_bits[word];
        char *base = slab->first + (size_t)word * WORD_BITS * size;
        while (bits != 0 && taken < wanted) {
            regions[taken++] = base + bits_lowest(bits) * size;
            bits &= bits - 1;
        }
        slab->free_bits[word] = bits;
    }
    return taken;
}

unsigned slab_take(struct run *slab, void **regions, unsigned wanted)
{
    ASSERT_SLOW(slab_is_valid(slab));
    unsigned freed = slab->free_count - (slab->region_count - (unsigned)slab->fresh);
    unsigned taken = freed == 0 ? 0 : take_freed(slab, regions, wanted);
    size_t size = region_size(slab);
    char *next = slab->first + slab->fresh * size;
    unsigned fresh_left = slab->region_count - (unsigned)slab->fresh;
    unsigned more = wanted - taken < fresh_left ? wanted - taken : fresh_left;
    for (unsigned i = 0; i < more; i++) {
        regions[taken + i] = next;
        next += size;
    }
    slab->fresh = (uint16_t)(slab->fresh + more);
    taken += more;
    slab->free_count = (uint16_t)(slab->free_count - taken);
    return taken;
}

/* Number of the region that starts at the pointer, or RUN_REGIONS_MAX when none does. */
static unsigned region_index(const struct run *slab, const void *region)
{
    uintptr_t offset = (uintptr_t)region - (uintptr_t)slab->first;
    if (offset >= (size_t)slab->page_count * PAGE_BYTES) {
        return RUN_REGIONS_MAX;
    }
    unsigned index = (unsigned)((offset * shapes[slab->class_index].reciprocal) >> 32);
    bool starts = index < slab->region_count && index * region_size(slab) == offset;
    return starts ? index : RUN_REGIONS_MAX;
}

bool slab_has_region(const struct run *slab, const void *region)
{
    return region_index(slab, region) != RUN_REGIONS_MAX;
}

static COLD NOINLINE void bad_region(const struct run *slab, const void *region)
{
    if (region_index(slab, region) == RUN_REGIONS_MAX) {
        message_and_abort("free(): invalid pointer %p: not the start of a block", region);
    }
    message_and_abort("free(): double free of %p: the block is already free", region);
}

void slab_put(struct run *slab, const void *region)
{
    unsigned index = region_index(slab, region);
    uint64_t bit = (uint64_t)1 << (index % WORD_BITS);
    if (UNLIKELY(index >= slab->fresh) ||
        UNLIKELY((slab->free_bits[index / WORD_BITS] & bit) != 0)) {
        bad_region(slab, region);
    }
    slab->free_bits[index / WORD_BITS] |= bit;
    slab->free_count++;
}

bool slab_is_valid(const struct run *slab)
{
    unsigned ones = bits_count_range(slab->free_bits, 0, RUN_REGIONS_MAX);
    unsigned beyond =
        bits_count_range(slab->free_bits, slab->fresh, RUN_REGIONS_MAX - (unsigned)slab->fresh);
    return slab->fresh <= slab->region_count && beyond == 0 &&
           slab->free_count == ones + (slab->region_count - (unsigned)slab->fresh);
}
