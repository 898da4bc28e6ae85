/* guard.c: junk and zero filling. See guard.h.
 *
 * The fast paths never come here: a thread in a mode has an all-slow front. What is filled is the
 * whole usable size, so that a program which writes past its request still meets the pattern.
 */
#include "api/guard.h"

#include "config/options.h"

#include <string.h>

void guard_allocated(void *block, size_t usable_bytes, bool zeroed)
{
    uint32_t mode = thread_mode();
    if (zeroed) {
        return;
    }
    if ((mode & MODE_JUNK_ALLOC) != 0) {
        memset(block, JUNK_ALLOC_BYTE, usable_bytes);
    } else if ((mode & MODE_ZERO) != 0) {
        memset(block, 0, usable_bytes);
    }
}

void guard_grown(void *block, size_t old_bytes, size_t usable_bytes, bool zeroed)
{
    if (usable_bytes > old_bytes) {
        guard_allocated((char *)block + old_bytes, usable_bytes - old_bytes, zeroed);
    }
}

void guard_freed(void *block, size_t usable_bytes)
{
    if ((thread_mode() & MODE_JUNK_FREE) != 0) {
        memset(block, JUNK_FREE_BYTE, usable_bytes);
    }
}

uint32_t guard_modes_of_options(void)
{
    uint32_t modes = 0;
    if (options.junk == JUNK_TRUE || options.junk == JUNK_ALLOC) {
        modes |= MODE_JUNK_ALLOC;
    }
    if (options.junk == JUNK_TRUE || options.junk == JUNK_FREE) {
        modes |= MODE_JUNK_FREE;
    }
    if (options.zero) {
        modes |= MODE_ZERO;
    }
    if (!options.tcache) {
        modes |= MODE_UNCACHED;
    }
    return modes;
}
