/* bound.c: from options and texts to bounds. See bound.h.
 *
 * Read once at start, and where a thread asks; nothing here is near a fast path.
 */
#include "cache/bound.h"

#include "config/option_value.h"
#include "heap/slab.h"

#include <string.h>

static_assert(sizeof options.tcache_ncached_max / sizeof options.tcache_ncached_max[0] ==
                  CACHED_CLASSES,
              "the option has a number for each class that caches hold");

static struct {
    bool asked; /* immutable after bound_start(), as what follows */
    struct bounds bounds;
} by_options;

struct bounds bound_default(void)
{
    struct bounds bounds = {.size_max = CACHED_SIZE_MAX};
    memset(bounds.slots, 0xff, sizeof bounds.slots);
    return bounds;
}

static unsigned clip(unsigned value, unsigned least, unsigned most)
{
    return value < least ? least : value > most ? most : value;
}

/* Bounds of slots are even, and 2 at least, as jemalloc's are. */
static unsigned small_slots(uint8_t class_index)
{
    unsigned most = clip(options.tcache_nslots_small_max & ~1u, 2, BOUND_MAX);
    unsigned least = clip((options.tcache_nslots_small_min + 1) & ~1u, 2, most);
    unsigned regions = slab_region_count(class_index);
    int64_t lg = options.lg_tcache_nslots_mul;
    unsigned scaled = lg < 0 ? regions >> -lg : regions << lg;
    return clip((scaled + 1) & ~1u, least, most);
}

static bool small_slots_asked(void)
{
    return options.tcache_nslots_small_min != option_defaults.tcache_nslots_small_min ||
           options.tcache_nslots_small_max != option_defaults.tcache_nslots_small_max ||
           options.lg_tcache_nslots_mul != option_defaults.lg_tcache_nslots_mul;
}

/* Looked at in words: this is part of the start of each program. */
static bool ranges_asked(void)
{
    uint64_t words[(sizeof options.tcache_ncached_max + 7) / 8] = {0};
    memcpy(words, options.tcache_ncached_max, sizeof options.tcache_ncached_max);
    uint64_t any = 0;
    for (unsigned i = 0; i < sizeof words / 8; i++) {
        any |= words[i];
    }
    return any != 0;
}

static bool rhythm_asked(void)
{
    return options.tcache_gc_incr_bytes != option_defaults.tcache_gc_incr_bytes ||
           options.tcache_gc_delay_bytes != 0 || options.lg_tcache_flush_small_div != 1 ||
           options.lg_tcache_flush_large_div != 1;
}

static unsigned slots_of_options(uint8_t class_index)
{
    unsigned set = options.tcache_ncached_max[class_index];
    if (set != 0) {
        return set - 1;
    }
    if (class_index >= SMALL_CLASSES) {
        unsigned slots = options.tcache_nslots_large;
        return slots == option_defaults.tcache_nslots_large ? BOUND_NONE : slots;
    }
    return small_slots_asked() ? small_slots(class_index) : BOUND_NONE;
}

void bound_start(void)
{
    by_options.asked = small_slots_asked() ||
                       options.tcache_nslots_large != option_defaults.tcache_nslots_large ||
                       options.tcache_max != CACHED_SIZE_MAX || rhythm_asked() || ranges_asked();
    if (!by_options.asked) {
        return;
    }
    bound_limit_size(&by_options.bounds, options.tcache_max);
    for (uint8_t i = 0; i < CACHED_CLASSES; i++) {
        by_options.bounds.slots[i] = (uint16_t)slots_of_options(i);
    }
}

const struct bounds *bound_of_options(void)
{
    return by_options.asked ? &by_options.bounds : NULL;
}

void bound_limit_size(struct bounds *bounds, size_t size_bytes)
{
    size_t most = size_bytes < CACHED_SIZE_MAX ? size_bytes : CACHED_SIZE_MAX;
    bounds->size_max = (uint32_t)class_size(class_of(most));
}

static const char ranges_key[] = "tcache_ncached_max";

bool bound_apply(struct bounds *bounds, const char *text)
{
    size_t length = 0;
    while (length < BOUND_TEXT_MAX && text[length] != '\0') {
        length++;
    }
    const struct option_row *row = option_find(ranges_key, sizeof ranges_key - 1);
    struct options asked;
    memset(asked.tcache_ncached_max, 0, sizeof asked.tcache_ncached_max);
    if (NEVER(row == NULL) ||
        option_set(row, &asked, (struct span){text, length}) != OPTION_ACCEPTED) {
        return false;
    }
    for (unsigned i = 0; i < CACHED_CLASSES; i++) {
        unsigned set = asked.tcache_ncached_max[i];
        bounds->slots[i] = set != 0 ? (uint16_t)(set - 1) : bounds->slots[i];
    }
    return true;
}
