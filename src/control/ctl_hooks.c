/* ctl_hooks.c: control names that take functions of the program. See cache/event_hooks.h and
 * base/mistake.h for what becomes of those.
 *
 * What is refused changes nothing: in particular a handle for which there is no room is not made.
 */
#include "control/ctl_values.h"

#include "base/mistake.h"
#include "cache/event_hooks.h"
#include "cache/thread.h"

#include <errno.h>
#include <string.h>

/* The answer is a handle that must not get lost, so a buffer for it comes first. */
int call_hook_install(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    struct call_hooks hooks;
    void *handle;
    if (buffers->old == NULL || buffers->old_length == NULL ||
        *buffers->old_length != sizeof handle || buffers->new == NULL ||
        buffers->new_length != sizeof hooks) {
        return EINVAL;
    }
    memcpy(&hooks, buffers->new, sizeof hooks);
    lock_acquire(control_lock());
    handle = event_hooks_install(&hooks);
    lock_release(control_lock());
    if (handle == NULL) {
        return EAGAIN;
    }
    memcpy(buffers->old, &handle, sizeof handle);
    return 0;
}

int call_hook_remove(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    void *handle;
    int error = ctl_take_in(&handle, sizeof handle, buffers);
    if (error != 0) {
        return error;
    }
    lock_acquire(control_lock());
    bool removed = event_hooks_remove(handle);
    lock_release(control_lock());
    return removed ? 0 : EINVAL;
}

int call_hook_bytes(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    struct byte_hook hook; /* as the program writes it */
    int error = ctl_take_in(&hook, sizeof hook, buffers);
    if (error != 0) {
        return error;
    }
    if (hook.function == 0 || hook.interval_bytes == 0) {
        return EINVAL;
    }
    lock_acquire(control_lock());
    bool installed = event_hooks_install_for_bytes(&hook);
    lock_release(control_lock());
    return installed ? 0 : EAGAIN;
}

/* Nothing written leaves everything as it is; NULL brings abort() back. */
int call_hook_mistakes(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    mistake_hook hook;
    if (buffers->new == NULL && buffers->new_length == 0 && buffers->old == NULL &&
        buffers->old_length == NULL) {
        return 0;
    }
    int error = ctl_take_in(&hook, sizeof hook, buffers);
    if (error == 0) {
        mistake_set_hook(hook, (struct mistake_guard){thread_enter_hook, thread_leave_hook});
    }
    return error;
}
