/* map.h: from an address to the class of the block that starts there, and to its chunk.
 *
 *     address bits   47 ........ 32 | 31 ........ 12 | 11 .. 0
 *                    root index     | page index     |
 *     root[65536]    distance from the base of the map to the leaf of 4 GiB; 0: no leaf
 *     leaf           uint8_t class_code[2^20], one a page of 4 KiB; then owner[2048], one a 2 MiB
 * unit
 *
 * A distance of 0 makes the base of the map itself the leaf, and there lie 2^20 zero bytes: a
 * look-up of any address below 2^48 needs no test for a missing leaf, and never faults. The base is
 * in .bss and only what is touched costs memory.
 *
 * A class code is 4 times an index of a bin in the thread cache (a bin has 32 bytes and the
 * processor scales an index by 8: the look-up needs no shift). 0: no block of ours starts in this
 * page. All pages of a slab carry its code; of a large block only the first page does, so that a
 * pointer into the middle of one is found out.
 *
 * The page here is 4 KiB on every system, whatever the OS page is: classes, sizes and the ABI are
 * the same everywhere.
 *
 * Readers take no lock: an entry is written before the first pointer into its page is published,
 * and cleared when no valid pointer is left. Leaves are never removed.
 */
#ifndef PAGES_MAP_H
#define PAGES_MAP_H

#include "base/check.h"
#include "os/lock.h"

#include <stdatomic.h>

enum {
    PAGE_LG = 12,
    PAGE_BYTES = 1 << PAGE_LG,
    UNIT_LG = 21,
    UNIT_BYTES = 1 << UNIT_LG,
    UNIT_PAGES = UNIT_BYTES / PAGE_BYTES,
    LEAF_LG = 32,
    LEAF_PAGES = 1 << (LEAF_LG - PAGE_LG),
    LEAF_UNITS = 1 << (LEAF_LG - UNIT_LG),
    ADDRESS_BITS = 48,
    ROOT_COUNT = 1 << (ADDRESS_BITS - LEAF_LG),
    CODE_SCALE = 4,
    /* Codes that are no class of the thread cache. 1..41 are classes 0..40. */
    CODE_RUN = 42 * CODE_SCALE,     /* a block of its own run, above 32 KiB */
    CODE_HUGE = 43 * CODE_SCALE,    /* a block with a mapping of its own, above 1 MiB */
    CODE_SHIFTED = 44 * CODE_SCALE, /* a block of its own run that starts within a page */
    CODE_SPECIAL = 45 * CODE_SCALE, /* a block within a mapping of its own: shifted or guarded */
    CODE_SAMPLED = 46 * CODE_SCALE, /* a region of a sampled slab, or a block of its own run */
    CODE_SAMPLED_HUGE = 47 * CODE_SCALE, /* a block with a mapping of its own */
    CODE_BINS = 48,                      /* bins that a code can name */
};

struct map_leaf {
    uint8_t class_code[LEAF_PAGES]; /* writer: owner of the page; readers: any thread, see above */
    _Atomic(void *) owner[LEAF_UNITS]; /* writer: owner of the unit (release); readers: acquire */
};

struct map_base {
    uint8_t zero[LEAF_PAGES];           /* never written */
    _Atomic uintptr_t root[ROOT_COUNT]; /* written once under the map lock (release) */
};

HIDDEN extern struct map_base map_base;

void map_start(void);

/* Makes leaves for the range. False when memory is refused or the range ends above 2^48. */
MUST_USE bool map_cover(void *address, size_t size_bytes);

/* The class code of the page that holds the address; 0 when nothing of ours starts there. Any
 * 64-bit value may be asked for. Never faults. */
static inline unsigned map_code(const void *address)
{
    uintptr_t value = (uintptr_t)address;
    uintptr_t high = value >> LEAF_LG;
    if (UNLIKELY(high >= ROOT_COUNT)) {
        return 0;
    }
    uintptr_t leaf = (uintptr_t)&map_base;
    leaf += atomic_load_explicit(&map_base.root[high], memory_order_relaxed);
    return *(const uint8_t *)(leaf + ((uint32_t)value >> PAGE_LG));
}

/* The same, of an address that map_cover() has covered, while other threads may change it. */
READS_OTHERS static inline unsigned map_code_beside(const void *address)
{
    uintptr_t value = (uintptr_t)address;
    uintptr_t leaf = (uintptr_t)&map_base;
    leaf += atomic_load_explicit(&map_base.root[value >> LEAF_LG], memory_order_relaxed);
    return *(const volatile uint8_t *)(leaf + ((uint32_t)value >> PAGE_LG));
}

/* The leaf of an address that map_cover() has covered. */
static inline struct map_leaf *map_leaf_of(const void *address)
{
    uintptr_t distance =
        atomic_load_explicit(&map_base.root[(uintptr_t)address >> LEAF_LG], memory_order_acquire);
    ASSERT(distance != 0);
    return (struct map_leaf *)((uintptr_t)&map_base + distance);
}

/* What owns the 2 MiB unit of an address whose class code is not 0. */
static inline void *map_owner(const void *address)
{
    struct map_leaf *leaf = map_leaf_of(address);
    uint32_t unit = (uint32_t)(uintptr_t)address >> UNIT_LG;
    return atomic_load_explicit(&leaf->owner[unit], memory_order_acquire);
}

static inline void map_set_owner(const void *address, void *owner)
{
    struct map_leaf *leaf = map_leaf_of(address);
    uint32_t unit = (uint32_t)(uintptr_t)address >> UNIT_LG;
    atomic_store_explicit(&leaf->owner[unit], owner, memory_order_release);
}

/* Makes `owner` the owner of a unit that has none. False when it has one. */
MUST_USE static inline bool map_claim_owner(const void *address, void *owner)
{
    struct map_leaf *leaf = map_leaf_of(address);
    uint32_t unit = (uint32_t)(uintptr_t)address >> UNIT_LG;
    void *none = NULL;
    return atomic_compare_exchange_strong_explicit(&leaf->owner[unit], &none, owner,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/* Makes the unit nobody's if it is still `owner`'s: a new owner may have come already. */
static inline void map_drop_owner(const void *address, void *owner)
{
    struct map_leaf *leaf = map_leaf_of(address);
    uint32_t unit = (uint32_t)(uintptr_t)address >> UNIT_LG;
    (void)atomic_compare_exchange_strong_explicit(&leaf->owner[unit], &owner, NULL,
                                                  memory_order_acq_rel, memory_order_relaxed);
}

/* Sets the class code of page_count pages from the address on; they lie in one leaf. */
void map_set_codes(const void *address, size_t page_count, unsigned code);

static inline void map_set_code(const void *address, unsigned code)
{
    map_leaf_of(address)->class_code[(uint32_t)(uintptr_t)address >> PAGE_LG] = (uint8_t)code;
}

/* Bytes of leaves made so far. */
size_t map_bytes(void);

struct lock *map_lock(void);

#endif
