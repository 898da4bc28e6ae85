/* profiling.h: heap profiling begins, pauses, and begins anew: for the options, and for the control
 * names of ctl_prof.c.
 *
 * Profiling is open when the option prof asks for it, or since it was first turned on; the first
 * time loads the unwinder (backtrace.h) and makes the tables. It is active while MODE_SAMPLE is a
 * mode of the process. To turn it off leaves the samples of live blocks as they are.
 *
 * Loading calls dlopen, which allocates. The first call of a process may come before libc has
 * started; a mode then has each request ask again.
 *
 * Thread safety: all functions may be called by any thread, with no lock held.
 */
#ifndef CONTROL_PROFILING_H
#define CONTROL_PROFILING_H

#include "base/check.h"

bool profiling_is_open(void);
bool profiling_is_active(void);
void profiling_set_active(bool active);

/* Turns it on without loading anything, so that the caller may be anywhere in the program. False
 * when it must be loaded first: backtrace.h. */
MUST_USE bool profiling_activate_unloaded(void);

/* In MODE_START_PROFILE: begins, once libc has started. */
void profiling_start_when_possible(void);

/* The calling thread's sampling; NULL when it has none. */
struct sampling;
struct sampling *profiling_own_sampling(void);

/* A log of samples that is there at exit is written then. May allocate. */
void profiling_end_log_at_exit(void);

/* Whether profiling may have changed what it needs: makes the tables, without sampling. */
void profiling_prepare(void);

/* Forgets all samples; further ones are taken each 2^lg_period bytes. */
void profiling_reset(unsigned lg_period);

#endif
