/* malloc.h: the prototypes of the exported functions under their names in this build. What they do:
 * include/jemalloc/jemalloc.h and malloc.c.
 */
#ifndef API_MALLOC_H
#define API_MALLOC_H

#include "base/names.h"

#include <stdbool.h>
#include <stddef.h>

EXPORT void *API(malloc)(size_t size);
EXPORT void *API(calloc)(size_t count, size_t size);
EXPORT void *API(realloc)(void *block, size_t size);
EXPORT void API(free)(void *block);
EXPORT void API(free_sized)(void *block, size_t size);
EXPORT void API(free_aligned_sized)(void *block, size_t alignment, size_t size);
EXPORT int API(posix_memalign)(void **result, size_t alignment, size_t size);
EXPORT void *API(aligned_alloc)(size_t alignment, size_t size);
EXPORT void *API(memalign)(size_t alignment, size_t size);
EXPORT void *API(valloc)(size_t size);
EXPORT void *API(pvalloc)(size_t size);
EXPORT size_t API(malloc_usable_size)(const void *block);

EXPORT void *API(mallocx)(size_t size, int flags);
EXPORT void *API(rallocx)(void *block, size_t size, int flags);
EXPORT size_t API(xallocx)(void *block, size_t size, size_t extra, int flags);
EXPORT size_t API(sallocx)(const void *block, int flags);
EXPORT void API(dallocx)(void *block, int flags);
EXPORT void API(sdallocx)(void *block, size_t size, int flags);
EXPORT size_t API(nallocx)(size_t size, int flags);

EXPORT int API(mallctl)(const char *name, void *old, size_t *old_length, void *new,
                        size_t new_length);
EXPORT int API(mallctlnametomib)(const char *name, size_t *mib, size_t *mib_length);
EXPORT int API(mallctlbymib)(const size_t *mib, size_t mib_length, void *old, size_t *old_length,
                             void *new, size_t new_length);
/* Under this very name in all builds: Redis declares it so itself. */
EXPORT int je_get_defrag_hint(void *block);
EXPORT void API(malloc_stats_print)(void (*write)(void *, const char *), void *opaque,
                                    const char *letters);

#endif
