/* quarantine.h: freed blocks that are held back for a while, to see whether somebody writes to
 * them: the option lg_san_uaf_align.
 *
 * Of the blocks that threads cache, those at multiples of 2^lg_san_uaf_align are filled with a
 * pattern when they are freed and stand in one queue of the process; when the queue is full, the
 * oldest is looked at and goes back in earnest. One that was written to meanwhile ends the process
 * by one line. Larger blocks and all others are freed at once.
 *
 * Invariant: a block in the queue is the program's no more and the allocator's not yet: no thread
 * cache and no arena knows that it is free.
 *
 * Safe in any thread. Reached from slow paths only, in a mode.
 */
#ifndef CACHE_QUARANTINE_H
#define CACHE_QUARANTINE_H

#include "heap/arena.h"

#include <stddef.h>

/* Whether the option wants blocks at this address held back. */
bool quarantine_wants(const void *block);

/* Takes in a block of a cached class. Result: the block that is to be freed in its place, whose
 * content was as it must be; or NULL. Aborts when one was written to, or the block is held already.
 */
MUST_USE void *quarantine_exchange(void *block, size_t usable_bytes);

/* Lets go, unfreed, the blocks of an arena that is about to be emptied. */
void quarantine_forget(const struct arena *arena);

/* Usable bytes of the blocks that are held. */
size_t quarantine_bytes(void);

/* The lock, for fork. */
struct lock *quarantine_lock(void);

#endif
