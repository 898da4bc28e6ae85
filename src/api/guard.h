/* guard.h: what the modes of a thread do with each block: fill it, count it exactly.
 *
 * Called from the slow paths only, when thread_mode() is not 0. Safe in any thread.
 */
#ifndef API_GUARD_H
#define API_GUARD_H

#include "cache/thread.h"

/* The bytes that junk filling writes into fresh and into freed blocks: interface, as tests and
 * people who read dumps know them. */
enum { JUNK_ALLOC_BYTE = 0xa5, JUNK_FREE_BYTE = 0x5a };

/* Whether fresh bytes must read as zero: the caller asks for it, or the thread's mode does. */
static inline bool guard_zeroes(bool asked)
{
    return asked || (thread_mode() & MODE_ZERO) != 0;
}

/* A block is about to be given out; zeroed: it must read as zero and does. */
void guard_allocated(void *block, size_t usable_bytes, bool zeroed);

/* A block was resized, in place or as a mapping that moved, from old_bytes; zeroed: what it gained
 * must read as zero and does. */
void guard_resized(void *block, size_t old_bytes, size_t usable_bytes, bool zeroed);

/* A block is about to be taken back. False: it must not be. */
MUST_USE bool guard_freed(void *block, size_t usable_bytes);

/* The modes that the options ask for. */
uint32_t guard_modes_of_options(void);

#endif
