/* helper.h: the helper: the one thread of ours, which gives idle memory back.
 *
 * Frees purge as they go, by a clock that only they read. A program with several threads that
 * falls idle would keep what the last of them left; the helper looks at it LOOKS_PER_DECAY times
 * in a decay time while something is unused, and sleeps without end otherwise (idle.h). It holds
 * no cache, allocates nothing, and runs no code of the program: its signals are blocked.
 *
 *     NONE -- second user -> STARTING -> RUNNING -- last user exits -> ENDING -> NONE
 *                              ^           | ^                          ^
 *                        second user       v | a user came              |
 *                              +--------- LEAVING -- last user exits ---+
 *
 * A user is a thread that has a cache. The helper begins with the second: a process of one thread
 * stays so. When one is left it gives back what is unused and leaves, so the process has one thread
 * again a decay time later; the next user, the last, or exit() joins it. The last user joins it
 * before it exits, in whatever state it is: libc ends a process with its last thread, and that must
 * be one of the program's.
 *
 * Who may start it: making a thread allocates and takes libc's locks, so it is not done wherever
 * memory is asked for. It is done when a thread that is not the first gets its cache, by its first
 * call of the allocator: no lock of ours is held then, and libc, wherever it is, has not begun to
 * change what a new thread is made of: dlopen and pthread_create allocate before that. A refusal
 * is silent; the next RESTING_USERS users do not try again.
 *
 * Fork: the child has no helper and starts one when it has a second user. Inside fork none starts.
 * All functions are safe in any thread.
 */
#ifndef CACHE_HELPER_H
#define CACHE_HELPER_H

#include "base/check.h"

/* A thread has a cache from now on, or no longer. They only count. */
void helper_user_comes(void);
void helper_user_goes(void);

/* After the former, with no lock held: starts the helper if it is wanted and not there. */
void helper_start_when_wanted(void);
/* After the latter, with no lock held: ends it with the last user, and waits until it is gone. */
void helper_end_when_unwanted(void);

/* In a forked child, whose only thread is a user or not. */
void helper_forget(bool is_user);

#endif
