/* slab.c: regions of slabs. See slab.h.
 *
 * Regions that are neighbours are put back and taken in stretches: programs mostly free in the
 * order in which they allocated, or in the reverse.
 */
#include "heap/slab.h"

#include "base/bits.h"
#include "base/mistake.h"
#include "config/options.h"
#include "heap/sampled.h"
#include "heap/special.h"
#include "os/os.h"

#include <string.h>

enum { SLAB_PAGES_MAX = 64 };

#define SHAPE(size, pages)                                           \
    {                                                                \
        (uint32_t)((((uint64_t)1 << 32) + (size)-1) / (size)), pages \
    }
struct slab_shape slab_shapes[SMALL_CLASSES] = {
    SHAPE(8, 1),      SHAPE(16, 2),    SHAPE(32, 4),    SHAPE(48, 4),     SHAPE(64, 4),
    SHAPE(80, 4),     SHAPE(96, 4),    SHAPE(112, 4),   SHAPE(128, 4),    SHAPE(160, 4),
    SHAPE(192, 4),    SHAPE(224, 4),   SHAPE(256, 4),   SHAPE(320, 4),    SHAPE(384, 4),
    SHAPE(448, 4),    SHAPE(512, 4),   SHAPE(640, 16),  SHAPE(768, 16),   SHAPE(896, 16),
    SHAPE(1024, 16),  SHAPE(1280, 16), SHAPE(1536, 16), SHAPE(1792, 16),  SHAPE(2048, 16),
    SHAPE(2560, 16),  SHAPE(3072, 16), SHAPE(3584, 16), SHAPE(4096, 16),  SHAPE(5120, 32),
    SHAPE(6144, 32),  SHAPE(7168, 32), SHAPE(8192, 64), SHAPE(10240, 32), SHAPE(12288, 32),
    SHAPE(14336, 32),
};

static_assert(sizeof options.slab_sizes == SMALL_CLASSES, "the option has a number for each class");

/* Pages that a slab of the class must have for one region, wherever the first multiple of its size
 * is, and those that its bitmap can tell. */
static unsigned within_bounds(size_t size, unsigned page_count)
{
    bool shifted = PAGE_BYTES % size != 0;
    size_t least = (size + (shifted ? size - 1 : 0) + PAGE_BYTES - 1) / PAGE_BYTES;
    size_t most = size * RUN_REGIONS_MAX / PAGE_BYTES;
    most = most < SLAB_PAGES_MAX ? most : SLAB_PAGES_MAX;
    size_t within = page_count < most ? page_count : most;
    return (unsigned)(within > least ? within : least);
}

void slab_start(void)
{
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        if (options.slab_sizes[i] != 0) {
            unsigned asked = options.slab_sizes[i] - 1u;
            slab_shapes[i].page_count = (uint8_t)within_bounds(class_size(i), asked);
        }
    }
}

static size_t region_size(const struct run *slab)
{
    return bin_size[slab->class_index + 1];
}

unsigned slab_region_count(uint8_t class_index)
{
    size_t size = class_size(class_index);
    size_t bytes = (size_t)slab_page_count(class_index) * PAGE_BYTES;
    bool shifted = PAGE_BYTES % size != 0;
    size_t count = (bytes - (shifted ? size - 1 : 0)) / size;
    return (unsigned)(count < RUN_REGIONS_MAX ? count : RUN_REGIONS_MAX);
}

/* Where region 0 starts, and how many follow before the end of the run. */
static void place_regions(struct run *slab)
{
    size_t size = region_size(slab);
    uintptr_t base = (uintptr_t)slab->first;
    uintptr_t end = base + (size_t)slab->page_count * PAGE_BYTES;
    uintptr_t first = (base + size - 1) / size * size;
    size_t count = (end - first) / size;
    slab->first = (char *)first;
    slab->region_count = (uint16_t)(count < RUN_REGIONS_MAX ? count : RUN_REGIONS_MAX);
}

/* A slab of a fresh run. */
ALWAYS_INLINE struct run *make_slab(struct run *slab, uint8_t class_index, unsigned code)
{
    if (slab == NULL) {
        return NULL;
    }
    char *base = slab->first;
    slab->class_index = class_index;
    place_regions(slab);
    memset(slab->free_bits, 0, sizeof slab->free_bits);
    slab->fresh = 0;
    slab->purged = 0;
    slab->free_count = slab->region_count;
    map_set_codes(base, slab->page_count, code);
    ASSERT_SLOW(slab_is_valid(slab));
    return slab;
}

/* Where some slabs are guarded. */
static NOINLINE struct run *slab_new_slow(struct page_heap *heap, uint8_t class_index)
{
    unsigned page_count = slab_shapes[class_index].page_count;
    struct run *run = special_slab(heap, page_count);
    return make_slab(run != NULL ? run : run_alloc_slab(heap, page_count), class_index,
                     class_code(class_index));
}

struct run *slab_new(struct page_heap *heap, uint8_t class_index)
{
    if (UNLIKELY(special_guard_small > 0)) {
        return slab_new_slow(heap, class_index);
    }
    return make_slab(run_alloc_slab(heap, slab_shapes[class_index].page_count), class_index,
                     class_code(class_index));
}

void slab_make(struct run *run, uint8_t class_index, unsigned code)
{
    (void)make_slab(run, class_index, code);
}

/* Pages of an empty slab that may hold data. */
ALWAYS_INLINE unsigned touched_pages(const struct run *slab)
{
    char *base = chunk_page_address(slab->chunk, slab->page);
    char *used_end = slab->first + (size_t)slab->fresh * region_size(slab);
    unsigned touched = (unsigned)((size_t)(used_end - base + PAGE_BYTES - 1) / PAGE_BYTES);
    return slab->fresh == 0 ? 0 : touched < slab->page_count ? touched : slab->page_count;
}

static NOINLINE void delete_other(struct run *slab)
{
    map_set_codes(chunk_page_address(slab->chunk, slab->page), slab->page_count, 0);
    if (slab->large_index == LARGE_SAMPLED) {
        sampled_slab_free(slab);
    } else {
        special_slab_free(slab, touched_pages(slab));
    }
}

void slab_delete(struct run *slab)
{
    ASSERT(slab->free_count == slab->region_count);
    if (UNLIKELY(slab->large_index < LARGE_REUSED)) { /* guarded, or sampled */
        delete_other(slab);
        return;
    }
    map_set_codes(chunk_page_address(slab->chunk, slab->page), slab->page_count, 0);
    if (slab->fresh == slab->region_count) {
        run_free_slab(slab);
    } else {
        bool was_another = slab->large_index == LARGE_REUSED;
        run_free(slab, was_another ? slab->page_count : touched_pages(slab));
    }
}

/* Addresses of `count` neighbours, four a round. Result: the end of what was written. */
static void **write_stretch(void **out, char *first, size_t size, unsigned count)
{
    void **end = out + count;
    for (; end - out >= 4; out += 4) {
        out[0] = first;
        out[1] = first + size;
        out[2] = first + 2 * size;
        out[3] = first + 3 * size;
        first += 4 * size;
    }
    for (; out < end; out++) {
        *out = first;
        first += size;
    }
    return out;
}

/* Takes freed regions, lowest first. Ones that follow each other are neighbours: freed regions
 * mostly are, and cost four instructions each then. */
static unsigned take_freed(struct run *slab, void **regions, unsigned wanted)
{
    size_t size = region_size(slab);
    void **out = regions;
    void **end = regions + wanted;
    char *base = slab->first;
    for (uint64_t *word = slab->free_bits; out < end; word++, base += WORD_BITS * size) {
        uint64_t bits = *word;
        while (bits != 0 && out < end) {
            unsigned low = bits_lowest(bits);
            uint64_t above = ~(bits >> low);
            unsigned ones = above == 0 ? WORD_BITS : bits_lowest(above);
            ones = ones < (unsigned)(end - out) ? ones : (unsigned)(end - out);
            out = write_stretch(out, base + low * size, size, ones);
            bits &= ~bits_mask(low, ones);
        }
        *word = bits;
    }
    return (unsigned)(out - regions);
}

/* The pages of the slab under the bytes from..end-1 of it, as bits. */
static uint64_t page_bits(size_t from, size_t end)
{
    unsigned first = (unsigned)(from / PAGE_BYTES);
    return bits_mask(first, (unsigned)((end - 1) / PAGE_BYTES) - first + 1);
}

/* Regions are handed out: the pages that they lie on get memory. */
static NOINLINE void note_used(struct run *slab, void *const *regions, unsigned count)
{
    const char *base = chunk_page_address(slab->chunk, slab->page);
    size_t size = region_size(slab);
    for (unsigned i = 0; i < count; i++) {
        size_t from = (size_t)((const char *)regions[i] - base);
        slab->purged &= ~page_bits(from, from + size);
    }
}

unsigned slab_take(struct run *slab, void **regions, unsigned wanted)
{
    ASSERT_SLOW(slab_is_valid(slab));
    unsigned fresh_left = slab->region_count - (unsigned)slab->fresh;
    unsigned freed = slab->free_count - fresh_left;
    unsigned taken = freed < wanted ? freed : wanted;
    unsigned more = wanted - taken < fresh_left ? wanted - taken : fresh_left;
    if (taken > 0) {
        taken = take_freed(slab, regions, taken);
    }
    if (more > 0) {
        size_t size = region_size(slab);
        (void)write_stretch(regions + taken, slab->first + slab->fresh * size, size, more);
        slab->fresh = (uint16_t)(slab->fresh + more);
    }
    slab->free_count = (uint16_t)(slab->free_count - taken - more);
    if (UNLIKELY(slab->purged != 0)) {
        note_used(slab, regions, taken + more);
    }
    return taken + more;
}

static unsigned region_at(const struct run *slab, size_t offset)
{
    return (unsigned)((offset * slab_shapes[slab->class_index].reciprocal) >> 32);
}

/* Pages that lie whole in freed regions, as bits. */
static uint64_t free_pages(const struct run *slab)
{
    size_t gap = (size_t)(slab->first - chunk_page_address(slab->chunk, slab->page));
    uint64_t pages = 0;
    for (unsigned page = (unsigned)((gap + PAGE_BYTES - 1) / PAGE_BYTES); page < slab->page_count;
         page++) {
        size_t from = (size_t)page * PAGE_BYTES - gap;
        unsigned first = region_at(slab, from);
        unsigned last = region_at(slab, from + PAGE_BYTES - 1);
        if (last >= slab->fresh) {
            break;
        }
        bool is_free = bits_next_zero(slab->free_bits, first, RUN_REGIONS_MAX) > last;
        pages |= (uint64_t)is_free << page;
    }
    return pages;
}

/* Gives back the whole OS pages of count pages. */
static unsigned purge_pages(struct run *slab, unsigned first, unsigned count)
{
    uintptr_t base = (uintptr_t)chunk_page_address(slab->chunk, slab->page);
    uintptr_t from = bits_round_up(base + (size_t)first * PAGE_BYTES, os_page_bytes);
    uintptr_t to = bits_round_down(base + (size_t)(first + count) * PAGE_BYTES, os_page_bytes);
    if (from >= to) {
        return 0;
    }
    uint64_t pages = page_bits(from - base, to - base) & ~slab->purged;
    if (pages == 0 || !os_purge((void *)from, to - from)) {
        return 0;
    }
    slab->purged |= pages;
    return bits_count(pages);
}

unsigned slab_purge_holes(struct run *slab)
{
    unsigned purged = 0;
    uint64_t pages = free_pages(slab);
    while (pages != 0) {
        unsigned first = bits_lowest(pages);
        uint64_t above = ~(pages >> first);
        unsigned count = above == 0 ? WORD_BITS : bits_lowest(above);
        purged += purge_pages(slab, first, count);
        pages &= ~bits_mask(first, count);
    }
    ASSERT_SLOW(slab_is_valid(slab));
    return purged;
}

/* No region that is out, and none that was never used, lies on a purged page. */
static bool holes_are_free(const struct run *slab)
{
    const char *base = chunk_page_address(slab->chunk, slab->page);
    size_t size = region_size(slab);
    for (unsigned i = 0; i < slab->region_count; i++) {
        size_t from = (size_t)(slab->first - base) + i * size;
        if ((page_bits(from, from + size) & slab->purged) != 0 && !bits_get(slab->free_bits, i)) {
            return false;
        }
    }
    return true;
}

unsigned slab_region_index(const struct run *slab, const void *region)
{
    uintptr_t offset = (uintptr_t)region - (uintptr_t)slab->first;
    if (offset >= (size_t)slab->page_count * PAGE_BYTES) {
        return RUN_REGIONS_MAX;
    }
    unsigned index = (unsigned)((offset * slab_shapes[slab->class_index].reciprocal) >> 32);
    bool starts = index < slab->region_count && index * region_size(slab) == offset;
    return starts ? index : RUN_REGIONS_MAX;
}

COLD NOINLINE void slab_note_fault(struct slab_faults *faults, struct slab_fault fault)
{
    if (faults->count < SLAB_FAULTS_MAX) {
        faults->fault[faults->count++] = fault;
    }
}

COLD NOINLINE unsigned slab_put_faultless(struct run *slab, const char *region, unsigned count,
                                          struct slab_faults *faults)
{
    unsigned put = 0;
    for (unsigned i = 0; i < count; i++) {
        const char *each = region + i * region_size(slab);
        if (slab_put(slab, each, 1) == NULL) {
            put++;
        } else {
            bool is_start = slab_region_index(slab, each) != RUN_REGIONS_MAX;
            slab_note_fault(faults, (struct slab_fault){each, is_start});
        }
    }
    return put;
}

COLD NOINLINE void slab_report(const struct slab_faults *faults)
{
    for (unsigned i = 0; i < faults->count; i++) {
        const void *region = faults->fault[i].region;
        if (faults->fault[i].is_start) {
            mistake("free(): double free of %p: the block is already free", region);
        } else {
            mistake("free(): invalid pointer %p: not the start of a block", region);
        }
    }
}

/* bits_set_zeros() came to a region that was free: those in the words below become used again. */
static COLD NOINLINE const void *put_fails(struct run *slab, unsigned index, unsigned wrong)
{
    unsigned set_end = wrong - wrong % WORD_BITS;
    if (set_end > index) {
        bits_clear_range(slab->free_bits, index, set_end - index);
    }
    return slab->first + wrong * region_size(slab);
}

const void *slab_put(struct run *slab, const void *region, unsigned count)
{
    ASSERT(count > 0);
    uint64_t reciprocal = slab_shapes[slab->class_index].reciprocal;
    uint64_t product = ((uintptr_t)region - (uintptr_t)slab->first) * reciprocal;
    uint64_t index = product >> 32;
    /* The low half of the product is below the reciprocal exactly when the offset is a multiple of
     * the size; before region 0 the offset wraps, and the number is beyond all. */
    if (UNLIKELY((uint32_t)product >= reciprocal) || UNLIKELY(index >= slab->fresh)) {
        return region;
    }
    if (count == 1) {
        if (UNLIKELY(bits_test_and_set(&slab->free_bits[index / WORD_BITS], index % WORD_BITS))) {
            return region;
        }
    } else {
        unsigned end = (unsigned)index + count;
        if (UNLIKELY(end > slab->fresh)) {
            return slab->first + slab->fresh * region_size(slab);
        }
        unsigned wrong = bits_set_zeros(slab->free_bits, (unsigned)index, count);
        if (UNLIKELY(wrong < end)) {
            return put_fails(slab, (unsigned)index, wrong);
        }
    }
    slab->free_count = (uint16_t)(slab->free_count + count);
    ASSERT_SLOW(slab_is_valid(slab));
    return NULL;
}

bool slab_is_valid(const struct run *slab)
{
    unsigned ones = bits_count_range(slab->free_bits, 0, RUN_REGIONS_MAX);
    unsigned beyond =
        bits_count_range(slab->free_bits, slab->fresh, RUN_REGIONS_MAX - (unsigned)slab->fresh);
    return slab->fresh <= slab->region_count && beyond == 0 && holes_are_free(slab) &&
           slab->free_count == ones + (slab->region_count - (unsigned)slab->fresh);
}
