/* address_shadow.c: a two-level bitmap over 48-bit addresses. See address_shadow.h.
 *
 * The root has one pointer for each 4 MiB and is reserved at once (512 MiB of address space, of
 * which only the touched pages exist). A leaf is 64 KiB of bits, made at the first claim and kept
 * for ever.
 */
#include "address_shadow.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

enum {
    GRANULE_LG = 3,
    LEAF_LG = 22,
    ADDRESS_BITS = 48,
    WORD_BITS = 64,
    LEAF_WORDS = 1 << (LEAF_LG - GRANULE_LG - 6),
};

struct leaf {
    _Atomic uint64_t word[LEAF_WORDS];
};

static struct leaf *_Atomic *root;

static void *map_zeroed(size_t size_bytes)
{
    void *start = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

bool shadow_start(void)
{
    root = map_zeroed(sizeof *root << (ADDRESS_BITS - LEAF_LG));
    return root != NULL;
}

static struct leaf *leaf_made(struct leaf *_Atomic *place)
{
    struct leaf *fresh = map_zeroed(sizeof *fresh);
    struct leaf *found = NULL;
    if (fresh == NULL) {
        return NULL;
    }
    if (atomic_compare_exchange_strong(place, &found, fresh)) {
        return fresh;
    }
    munmap(fresh, sizeof *fresh);
    return found;
}

static struct leaf *leaf_of(uintptr_t address)
{
    if (address >> ADDRESS_BITS != 0) {
        return NULL;
    }
    struct leaf *_Atomic *place = &root[address >> LEAF_LG];
    struct leaf *leaf = atomic_load_explicit(place, memory_order_acquire);
    return leaf != NULL ? leaf : leaf_made(place);
}

/* Bits [from, to) of a word, 0 <= from < to <= 64. */
static uint64_t bits_between(size_t from, size_t to)
{
    uint64_t below_to = to == WORD_BITS ? UINT64_MAX : (UINT64_C(1) << to) - 1;
    return below_to & ~((UINT64_C(1) << from) - 1);
}

static bool word_change(_Atomic uint64_t *word, uint64_t bits, bool claim)
{
    if (claim) {
        return (atomic_fetch_or_explicit(word, bits, memory_order_relaxed) & bits) == 0;
    }
    return (atomic_fetch_and_explicit(word, ~bits, memory_order_relaxed) & bits) == bits;
}

static bool range_change(const void *start, size_t size_bytes, bool claim)
{
    uintptr_t granule = (uintptr_t)start >> GRANULE_LG;
    uintptr_t end = ((uintptr_t)start + size_bytes) >> GRANULE_LG;
    if (((uintptr_t)start | size_bytes) % (1 << GRANULE_LG) != 0) {
        return false;
    }

    bool clean = true;
    while (granule < end) {
        struct leaf *leaf = leaf_of(granule << GRANULE_LG);
        if (leaf == NULL) {
            return false;
        }
        size_t from = granule % WORD_BITS;
        size_t to = from + (end - granule) < WORD_BITS ? from + (end - granule) : WORD_BITS;
        clean &= word_change(&leaf->word[granule / WORD_BITS % LEAF_WORDS], bits_between(from, to),
                             claim);
        granule += to - from;
    }
    return clean;
}

bool shadow_claim(const void *start, size_t size_bytes)
{
    return range_change(start, size_bytes, true);
}

bool shadow_release(const void *start, size_t size_bytes)
{
    return range_change(start, size_bytes, false);
}
