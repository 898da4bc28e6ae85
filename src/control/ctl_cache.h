/* ctl_cache.h: the control names of thread caches and of caches that programs make, as far as they
 * look at what is written before they know what is read. The others: ctl_values.h.
 *
 * Each gets the caller's buffers and checks them. Results: 0 or an errno value. Any thread.
 */
#ifndef CONTROL_CTL_CACHE_H
#define CONTROL_CTL_CACHE_H

#include "control/ctl.h"

int call_cache_create(const size_t *mib, const struct ctl_buffers *buffers);
int call_cache_flush(const size_t *mib, const struct ctl_buffers *buffers);
int call_cache_destroy(const size_t *mib, const struct ctl_buffers *buffers);
int call_read_slots(const size_t *mib, const struct ctl_buffers *buffers);
int call_write_slots(const size_t *mib, const struct ctl_buffers *buffers);

#endif
