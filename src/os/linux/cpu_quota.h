/* cpu_quota.h: how many CPUs' time the control groups of this process allow.
 *
 * A container that may use one CPU's time on a host of 64 sees all 64 CPUs; only the quota tells.
 */
#ifndef OS_LINUX_CPU_QUOTA_H
#define OS_LINUX_CPU_QUOTA_H

#include "base/check.h"

/* The quota in CPUs, rounded up, at least 1; UINT_MAX when there is none. The least of all groups
 * from that of the process up to the root, in both hierarchies. `root` goes before the names of all
 * files: "" for the system's, a folder for tests. Reads files; errno stays as it is. */
unsigned cpu_quota(const char *root);

#endif
