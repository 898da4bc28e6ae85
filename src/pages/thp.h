/* thp.h: what a mapping asks of the system about transparent huge pages.
 *
 * Asked once, when the mapping is made: the kernel keeps it with the mapping, also when that grows
 * or moves. Where the system says "always" or "never" for all, one of the two asks for nothing new.
 */
#ifndef PAGES_THP_H
#define PAGES_THP_H

#include "os/os.h"

/* In the order of the option thp. */
enum thp_policy { HUGE_PAGES_SYSTEM, HUGE_PAGES_ALWAYS, HUGE_PAGES_NEVER };

/* Tells the system once a mapping; by default nothing. */
static inline void thp_tell(unsigned policy, void *address, size_t size_bytes)
{
    if (policy == HUGE_PAGES_NEVER) {
        os_refuse_huge_pages(address, size_bytes);
    } else if (policy == HUGE_PAGES_ALWAYS) {
        os_want_huge_pages(address, size_bytes);
    }
}

#endif
