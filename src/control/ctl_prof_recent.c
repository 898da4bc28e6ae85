/* ctl_prof_recent.c: the control names of single samples: the log, and the recent ones. See
 * profile/sample_log.h and profile/recent.h.
 *
 * They answer ENOENT where nothing is sampled, as those of ctl_prof.c do.
 */
#include "base/print.h"
#include "control/ctl_values.h"
#include "control/profiling.h"
#include "profile/recent.h"
#include "profile/sample_log.h"

#include <errno.h>
#include <string.h>

static bool is_read(const struct ctl_buffers *buffers)
{
    return buffers->old != NULL || buffers->old_length != NULL;
}

/* A file; NULL, or nothing, stands for the next name. */
int call_prof_log_start(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    const char *path = NULL;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    if (is_read(buffers)) {
        return EPERM;
    }
    if (buffers->new != NULL) {
        if (buffers->new_length != sizeof path) {
            return EINVAL;
        }
        memcpy(&path, buffers->new, sizeof path);
    }
    profiling_prepare();
    if (!sample_log_begin(path)) {
        return EFAULT;
    }
    profiling_end_log_at_exit();
    return 0;
}

int call_prof_log_stop(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    if (is_read(buffers) || buffers->new != NULL || buffers->new_length != 0) {
        return EPERM;
    }
    profiling_prepare();
    return sample_log_end(ctl_version) ? 0 : EFAULT;
}

int call_recent_max(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    int64_t max = 0;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    if (buffers->new != NULL && buffers->new_length != sizeof max) {
        return EINVAL;
    }
    profiling_prepare();
    int64_t before = recent_max();
    if (buffers->new != NULL) {
        memcpy(&max, buffers->new, sizeof max);
        if (max < -1) {
            return EINVAL;
        }
        before = recent_set_max(max);
    }
    return ctl_copy_out(&before, sizeof before, buffers);
}

/* What jemalloc calls a write_cb_packet_t; without a function the text goes where messages go. */
struct text_target {
    print_sink sink;
    void *opaque;
};

int call_recent_dump(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    struct text_target target;
    if (!profiling_is_open()) {
        return ENOENT;
    }
    int error = ctl_take_in(&target, sizeof target, buffers);
    if (error != 0) {
        return error;
    }
    if (target.sink == NULL) {
        target = (struct text_target){message_sink, message_opaque};
    }
    profiling_prepare();
    recent_print(profiling_own_sampling(), target.sink, target.opaque);
    return 0;
}
