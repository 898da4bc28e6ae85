/* address_shadow.h: which bytes of the address space belong to a live block.
 *
 * One bit for each 8 bytes, the smallest size class, so overlap of two blocks is found exactly, not
 * by luck. Claims and releases are relaxed atomic operations: no lock of ours orders the threads,
 * which would hide missing ordering inside the allocator from the thread sanitizer and from weakly
 * ordered processors. The shadow takes its memory from mmap, never from the allocator under test.
 */
#ifndef ADDRESS_SHADOW_H
#define ADDRESS_SHADOW_H

#include <stdbool.h>
#include <stddef.h>

/* Reserves address space; call once before the first claim. False when the system refuses. */
bool shadow_start(void);

/* Marks [start, start + size_bytes), both multiples of 8; false when a byte of it was claimed. */
bool shadow_claim(const void *start, size_t size_bytes);

/* Unmarks the same range; false when a byte of it was not claimed. */
bool shadow_release(const void *start, size_t size_bytes);

#endif
