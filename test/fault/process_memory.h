/* process_memory.h: what the kernel says of this process's memory.
 *
 * Read with open and read into the stack: measuring must not allocate. Resident size comes from
 * smaps_rollup, which walks the page tables; the cheaper statm may be off by hundreds of pages.
 */
#ifndef PROCESS_MEMORY_H
#define PROCESS_MEMORY_H

#include <stddef.h>

size_t resident_bytes(void);

/* How often the text stands in /proc/self/maps. */
size_t mappings_with(const char *text);

#endif
