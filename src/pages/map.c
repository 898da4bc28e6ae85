/* map.c: making leaves of the address map. See map.h.
 *
 * A leaf serves 4 GiB and takes 1 MiB of address space, of which a page is touched for each 16 MiB
 * of heap.
 */
#include "pages/map.h"

#include "base/bits.h"
#include "pages/meta.h"

#include <string.h>

struct map_base map_base;

static struct {
    struct lock lock;
    size_t leaf_count; /* under the lock */
} map;

static_assert(offsetof(struct map_base, zero) == 0, "a distance of 0 leads to the zero bytes");
static_assert(sizeof map_base.zero == LEAF_PAGES, "which stand for a whole leaf");
static_assert(offsetof(struct map_leaf, class_code) == 0, "as the codes of a leaf stand first");

void map_start(void)
{
    lock_init(&map.lock, LOCK_MAP);
}

static bool make_leaf(uintptr_t index)
{
    struct map_leaf *leaf = meta_alloc(sizeof *leaf, 64);
    if (leaf == NULL) {
        return false;
    }
    meta_note_untouched(sizeof *leaf);
    map.leaf_count++;
    uintptr_t distance = (uintptr_t)leaf - (uintptr_t)&map_base;
    atomic_store_explicit(&map_base.root[index], distance, memory_order_release);
    return true;
}

bool map_cover(void *address, size_t size_bytes)
{
    ASSERT(size_bytes > 0);
    uintptr_t first = (uintptr_t)address >> LEAF_LG;
    uintptr_t last = ((uintptr_t)address + size_bytes - 1) >> LEAF_LG;
    if (last >= ROOT_COUNT || last < first) {
        return false;
    }
    bool covered = true;
    lock_acquire(&map.lock);
    for (uintptr_t index = first; index <= last && covered; index++) {
        if (atomic_load_explicit(&map_base.root[index], memory_order_relaxed) == 0) {
            covered = make_leaf(index);
        }
    }
    lock_release(&map.lock);
    return covered;
}

void map_set_codes(const void *address, size_t page_count, unsigned code)
{
    size_t first = (uint32_t)(uintptr_t)address >> PAGE_LG;
    ASSERT(first + page_count <= LEAF_PAGES);
    memset(map_leaf_of(address)->class_code + first, (int)code, page_count);
}

size_t map_bytes(void)
{
    lock_acquire(&map.lock);
    size_t bytes = map.leaf_count * sizeof(struct map_leaf);
    lock_release(&map.lock);
    return bytes;
}

struct lock *map_lock(void)
{
    return &map.lock;
}
