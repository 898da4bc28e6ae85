/* ctl_prof_dump.c: the control names of heap profiles that are written. See profile/dump.h.
 *
 * Where there is nothing to write, since the process was started without prof:true and never
 * sampled, they answer ENOENT, as in jemalloc.
 */
#include "control/ctl_values.h"
#include "control/profiling.h"
#include "profile/dump.h"
#include "profile/dump_trigger.h"

#include <errno.h>
#include <string.h>

/* A path; NULL, or nothing, stands for the next name. */
int call_prof_dump(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    const char *path = NULL;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    if (buffers->old != NULL || buffers->old_length != NULL) {
        return EPERM;
    }
    if (buffers->new != NULL) {
        if (buffers->new_length != sizeof path) {
            return EINVAL;
        }
        memcpy(&path, buffers->new, sizeof path);
    }
    profiling_prepare();
    return (path != NULL ? dump_write_to(path) : dump_write_next(DUMP_MANUAL)) ? 0 : EFAULT;
}

int call_prof_prefix(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    const char *prefix;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    int error = ctl_take_in(&prefix, sizeof prefix, buffers);
    if (error != 0) {
        return error;
    }
    profiling_prepare();
    return prefix == NULL ? EINVAL : dump_set_prefix(prefix) ? 0 : EFAULT;
}

int read_prof_interval(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    value->number = profiling_is_open() ? dump_interval_bytes() : 0;
    return 0;
}

int read_prof_gdump(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    value->number = mapped_is_watched();
    return 0;
}

int write_prof_gdump(const size_t *mib, const void *new_value)
{
    (void)mib;
    unsigned char on; /* any byte can be read as one; a bool must be 0 or 1 */
    memcpy(&on, new_value, sizeof on);
    if (!profiling_is_open()) {
        return ENOENT;
    }
    profiling_prepare();
    (void)mapped_watch_peak(on != 0);
    return 0;
}

/* Reads the function before, and writes one, which is kept while nothing is written, too; NULL
 * takes it away. */
int call_prof_hook_dump(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    dump_hook hook = dump_hook_now();
    if (buffers->old == NULL && buffers->new == NULL) {
        return EINVAL;
    }
    if (buffers->new != NULL && !profiling_is_open()) {
        return ENOENT;
    }
    int error = ctl_copy_out(&hook, sizeof hook, buffers);
    if (buffers->new == NULL || error != 0) {
        return error;
    }
    if (buffers->new_length != sizeof hook) {
        return EINVAL;
    }
    memcpy(&hook, buffers->new, sizeof hook);
    (void)dump_set_hook(hook);
    return 0;
}
