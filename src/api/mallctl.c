/* mallctl.c: the exported control functions. What they read and do: control/.
 *
 * They may be the first call of a process, so each starts the allocator; when that is refused for
 * lack of memory they answer EAGAIN, as the contract asks.
 */
#include "api/malloc.h"
#include "api/process.h"
#include "control/ctl.h"
#include "control/ctl_names.h"
#include "control/report.h"

#include <errno.h>

/* The allocator and the table of names work. */
static NOINLINE bool start_slow(void)
{
    return process_start() && ctl_start();
}

static inline bool start(void)
{
    return LIKELY(ctl_is_ready()) || start_slow();
}

/* Reads, writes or acts by name. Results: 0 or an errno value, as the contract lists them; errno
 * itself is not the channel. Any thread. */
int API(mallctl)(const char *name, void *old, size_t *old_length, void *new, size_t new_length)
{
    struct ctl_buffers buffers = {old, old_length, new, new_length};
    return start() ? ctl_by_name(name, &buffers) : EAGAIN;
}

int API(mallctlnametomib)(const char *name, size_t *mib, size_t *mib_length)
{
    return start() ? ctl_name_to_mib(name, mib, mib_length) : EAGAIN;
}

/* All calls but the common one. The parameters are those of mallctlbymib(), in their registers. */
static NOINLINE int by_mib_slow(const size_t *mib, size_t mib_length, void *old, size_t *old_length,
                                void *new, size_t new_length)
{
    struct ctl_buffers buffers = {old, old_length, new, new_length};
    return start() ? ctl_by_mib(mib, mib_length, &buffers) : EAGAIN;
}

/* Programs ask for the same counters again and again: reading a number is straight. */
int API(mallctlbymib)(const size_t *mib, size_t mib_length, void *old, size_t *old_length,
                      void *new, size_t new_length)
{
    if (UNLIKELY(!ctl_is_ready() || new != NULL || new_length != 0 || old == NULL ||
                 old_length == NULL)) {
        return by_mib_slow(mib, mib_length, old, old_length, new, new_length);
    }
    if (UNLIKELY(!ctl_names_is_number(mib, mib_length, *old_length))) {
        return by_mib_slow(mib, mib_length, old, old_length, NULL, 0);
    }
    return ctl_number(mib, mib[mib_length - 1], old);
}

void API(malloc_stats_print)(void (*write)(void *, const char *), void *opaque, const char *letters)
{
    if (process_start()) {
        report_print(write, opaque, letters);
    }
}
