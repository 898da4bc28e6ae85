/* gaps.h: pages at the ends of slabs that no region lies on.
 *
 * Regions start at multiples of their size, so a slab of a class above one page may have pages
 * before the first region and behind the last. Nobody touches them: unless they held data before
 * the slab was made, they have no memory, and statistics must not tell them as such.
 *
 * They are counted when somebody asks, so that slabs cost nothing more.
 */
#ifndef HEAP_GAPS_H
#define HEAP_GAPS_H

#include "heap/class.h"
#include "pages/page_heap.h"

/* Whether slabs of the class may have such pages. */
static inline bool gaps_may_be(uint8_t class_index)
{
    return bin_size[class_index + 1] > PAGE_BYTES;
}

/* Pages without memory at the ends of the heap's slabs. Of a slab in the place of one that was kept
 * whole it is not known where that one had data: it is taken to have none. Lock held. */
size_t gaps_count(struct page_heap *heap);

#endif
