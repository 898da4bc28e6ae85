/* ctl_background.c: the control names of background threads. See ctl_values.h.
 *
 * They may be turned on and off by several threads at once; each call returns when that is done.
 */
#include "cache/helper.h"
#include "config/options.h"
#include "control/ctl_values.h"

#include <errno.h>
#include <string.h>

int read_background(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    value->number = helper_is_background();
    return 0;
}

int write_background(const size_t *mib, const void *new_value)
{
    (void)mib;
    unsigned char on; /* any byte can be read as one; a bool must be 0 or 1 */
    memcpy(&on, new_value, sizeof on);
    return helper_set_background(on != 0) ? 0 : EFAULT;
}

int read_background_limit(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    value->number = helper_limit();
    return 0;
}

int write_background_limit(const size_t *mib, const void *new_value)
{
    (void)mib;
    size_t limit;
    memcpy(&limit, new_value, sizeof limit);
    if (limit == 0 || limit > options.max_background_threads) {
        return EINVAL;
    }
    return helper_set_limit((unsigned)limit) ? 0 : EFAULT;
}
