/* mapped.h: the address space of chunks and of mappings of their own, together, and its peak.
 *
 * Kept ones count. Who wants to know of a new peak (prof_gdump) watches; the flag is looked at
 * where a thread holds no lock, and cleared by whoever acts on it.
 *
 * Thread safety: any thread, under any lock; none is taken here.
 */
#ifndef PAGES_MAPPED_H
#define PAGES_MAPPED_H

#include "base/check.h"

#include <stdatomic.h>

/* Relaxed: carries no data. */
extern HIDDEN _Atomic bool mapped_has_new_peak;

/* So many bytes were mapped, or, negative, unmapped. */
void mapped_change(ptrdiff_t bytes);
size_t mapped_bytes(void);

/* From now on what exceeds the present size is a new peak; or no peak is told. Result: whether it
 * was watched. */
bool mapped_watch_peak(bool on);
bool mapped_is_watched(void);

#endif
