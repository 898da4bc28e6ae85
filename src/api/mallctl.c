/* mallctl.c: the exported control functions. What they read and do: control/.
 *
 * They may be the first call of a process, so each starts the allocator; when that is refused for
 * lack of memory they answer EAGAIN, as the contract asks.
 */
#include "api/malloc.h"
#include "api/process.h"
#include "control/ctl.h"
#include "control/report.h"

#include <errno.h>

/* The allocator and the table of names work. */
static bool start(void)
{
    if (!process_start() || !ctl_start()) {
        return false;
    }
    ctl_block_source = API(mallocx);
    return true;
}

/* Reads, writes or acts by name. Results: 0 or an errno value, as the contract lists them; errno
 * itself is not the channel. Any thread. */
int API(mallctl)(const char *name, void *old, size_t *old_length, void *new, size_t new_length)
{
    size_t mib[CTL_DEPTH_MAX];
    size_t mib_length = CTL_DEPTH_MAX;
    if (!start()) {
        return EAGAIN;
    }
    int result = ctl_name_to_mib(name, mib, &mib_length);
    if (result != 0) {
        return result;
    }
    struct ctl_buffers buffers = {old, old_length, new, new_length};
    return ctl_by_mib(mib, mib_length, buffers);
}

int API(mallctlnametomib)(const char *name, size_t *mib, size_t *mib_length)
{
    return start() ? ctl_name_to_mib(name, mib, mib_length) : EAGAIN;
}

int API(mallctlbymib)(const size_t *mib, size_t mib_length, void *old, size_t *old_length,
                      void *new, size_t new_length)
{
    struct ctl_buffers buffers = {old, old_length, new, new_length};
    return start() ? ctl_by_mib(mib, mib_length, buffers) : EAGAIN;
}

void API(malloc_stats_print)(void (*write)(void *, const char *), void *opaque, const char *letters)
{
    if (process_start()) {
        report_print(write, opaque, letters);
    }
}
