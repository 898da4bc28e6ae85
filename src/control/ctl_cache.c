/* ctl_cache.c: control names of caches. See ctl_cache.h.
 *
 * A thread that must do without a cache, since its destructors have run, has no numbers to read or
 * change: EFAULT. One that was told to use none has them, and they hold when it uses it again.
 */
#include "control/ctl_cache.h"

#include "control/ctl_values.h"

#include "cache/explicit.h"
#include "cache/thread.h"

#include <errno.h>
#include <string.h>

/* The answer is an id that must not get lost, so a buffer for it comes first. */
int call_cache_create(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    unsigned id;
    if (buffers->new != NULL || buffers->new_length != 0) {
        return EPERM;
    }
    if (buffers->old == NULL || buffers->old_length == NULL || *buffers->old_length != sizeof id) {
        if (buffers->old_length != NULL) {
            *buffers->old_length = 0;
        }
        return EINVAL;
    }
    (void)thread_cache();
    if (!explicit_create(thread_arena(), &id)) {
        return EFAULT;
    }
    memcpy(buffers->old, &id, sizeof id);
    return 0;
}

int call_cache_flush(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    unsigned id;
    int error = ctl_take_in(&id, sizeof id, buffers);
    return error != 0 ? error : explicit_flush(id) ? 0 : EFAULT;
}

int call_cache_destroy(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    unsigned id;
    int error = ctl_take_in(&id, sizeof id, buffers);
    return error != 0 ? error : explicit_destroy(id) ? 0 : EFAULT;
}

/* A size is written, and the slots of its class are read. */
int call_read_slots(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    size_t size_bytes;
    if (buffers->new == NULL || buffers->new_length != sizeof size_bytes) {
        return EINVAL;
    }
    memcpy(&size_bytes, buffers->new, sizeof size_bytes);
    if (size_bytes > CACHED_SIZE_MAX) {
        return EINVAL;
    }
    const struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        return EFAULT;
    }
    size_t slots = cache_slots(cache, class_of(size_bytes));
    if (buffers->old == NULL || buffers->old_length == NULL) {
        return 0;
    }
    size_t copied = *buffers->old_length < sizeof slots ? *buffers->old_length : sizeof slots;
    memcpy(buffers->old, &slots, copied);
    if (*buffers->old_length != sizeof slots) {
        *buffers->old_length = copied;
        return EINVAL;
    }
    return 0;
}

int call_write_slots(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    const char *text;
    int error = ctl_take_in(&text, sizeof text, buffers);
    if (error != 0) {
        return error;
    }
    struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        return EFAULT;
    }
    struct bounds bounds = cache_bounds(cache);
    if (text == NULL || !bound_apply(&bounds, text)) {
        return EINVAL;
    }
    cache_set_bounds(cache, &bounds);
    return 0;
}
