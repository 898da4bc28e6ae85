/* bound.h: how many blocks the bins of a cache may hold, where somebody says so.
 *
 * By itself a cache sizes its bins by what they are used for (cache.c). jemalloc's options give
 * numbers instead; their defaults stand for "as the cache likes", and any other value is taken at
 * its word:
 *
 *     tcache_max                           classes above it are not cached
 *     tcache_nslots_small_min, _max and    small: regions of a slab times 2^mul, between min and
 *     lg_tcache_nslots_mul                 max, made even
 *     tcache_nslots_large                  the classes from 16 KiB on
 *     tcache_ncached_max                   wins over these, for ranges of sizes
 *
 * A thread may change its own by thread.tcache.max and thread.tcache.ncached_max.write.
 *
 * Invariant: slots[] <= BOUND_MAX or BOUND_NONE; size_max is the size of a cached class.
 */
#ifndef CACHE_BOUND_H
#define CACHE_BOUND_H

#include "heap/class.h"

enum {
    BOUND_NONE = UINT16_MAX, /* as the cache likes */
    BOUND_MAX = 8191,        /* 16 bits tell the slots of a bin apart (cache.h) */
    BOUND_TEXT_MAX = 1000,
};

struct bounds {
    uint32_t size_max; /* the largest size that is cached */
    uint16_t slots[CACHED_CLASSES];
};

/* Reads the options; before the first cache is made. */
void bound_start(void);

/* What the options ask of each new cache; NULL when they ask for nothing, neither of its bins nor
 * of the rhythm in which it gives blocks back. */
const struct bounds *bound_of_options(void);

/* Where nothing is asked for. */
struct bounds bound_default(void);

/* Blocks of a class that a bin may hold; 0: the class is not cached. */
static inline unsigned bound_slots(const struct bounds *bounds, uint8_t class_index)
{
    return class_size(class_index) > bounds->size_max ? 0 : bounds->slots[class_index];
}

/* Caches sizes up to that of the class of size_bytes, 32 KiB at most. */
void bound_limit_size(struct bounds *bounds, size_t size_bytes);

/* Applies "size-size:slots|...", the grammar of tcache_ncached_max: each range of sizes gets a
 * bound. False, nothing changed, when the text, which ends at a NUL or after BOUND_TEXT_MAX
 * characters, is not of that form. */
MUST_USE bool bound_apply(struct bounds *bounds, const char *text);

#endif
