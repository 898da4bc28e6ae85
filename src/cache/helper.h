/* helper.h: the helpers: the threads of ours, which give idle memory back.
 *
 * Frees purge as they go, by a clock that only they read. A program that falls idle would keep what
 * the last of them left; a helper looks at it LOOKS_PER_DECAY times in a decay time while something
 * is unused, and sleeps without end otherwise (idle.h). It has no cache, its signals are blocked,
 * and the only code of the program that it runs is extent hooks. There are two ways to have
 * helpers:
 *
 * background_thread, an option and a control name, as in jemalloc: helpers relieve the program's
 * threads of purging by time. The first is made when the program turns it on, or, with the option,
 * once the program has grown beyond a chunk or leaves more than the cap unused: short programs have
 * none. It makes the others, one for each further arena, up to max_background_threads. They stay
 * until the program turns them off, or ends.
 *
 * idle_purge, an option of ours: frees go on purging, and one helper does the rest in a process
 * of several users; a user is a thread that has a cache. It begins with the second: a process of
 * one thread stays so. When one is left it gives back what is unused and leaves, so the process has
 * one thread again a decay time later; the next user, the last, or exit() joins it.
 *
 *     NONE -- wanted -> STARTING -> RUNNING -- last user exits, off, exit() -> ENDING -> NONE
 *                          ^          | ^                                     ^
 *              second user |          v | a user came                         |
 *                          +------- LEAVING (idle_purge) ---------------------+
 *
 * The last user ends them before it exits: libc ends a process with its last thread, and that must
 * be one of the program's. exit() waits for them a moment, lest one is still at work when the
 * program's own memory goes, and thread checkers find it.
 *
 * Who may make one: making a thread allocates and takes libc's locks, so it is not done wherever
 * memory is asked for, and never where memory is freed: libc frees thread-local memory under the
 * lock of its stacks. It is done by a thread that asks for memory, once libc has started, outside
 * of fork, with no lock of ours held: libc, wherever it is, has not begun to change what a new
 * thread is made of; dlopen and pthread_create allocate before that. A refusal is silent; the next
 * RESTING_TIMES times that one is wanted nobody tries.
 *
 * Fork: the child has none, and begins anew when it needs some. One that only reads and writes what
 * it inherited does not. All functions are safe in any thread.
 */
#ifndef CACHE_HELPER_H
#define CACHE_HELPER_H

#include "pages/idle.h"

enum { HELPERS_MAX = IDLE_PLACES };

/* Some option is set; before the first user. */
void helper_begin(void);
/* An exit handler, where an option may bring helpers. */
void helper_end_at_exit(void);

/* A thread has a cache from now on, or no longer. They only count. */
void helper_user_comes(void);
void helper_user_goes(void);

/* Whether a thread that asks for memory should call the next; and, with no lock held: makes helper
 * 0 if that is so. */
bool helper_is_wanted(void);
void helper_start_when_wanted(void);
/* After a user went, with no lock held: ends them with the last, and waits until they are gone. */
void helper_end_when_unwanted(void);

/* background_thread: whether it is on; turns it on or off, with no lock held. False when no thread
 * could be made: it is off then; or a hook on a helper asks, which cannot wait for its own end. */
bool helper_is_background(void);
MUST_USE bool helper_set_background(bool on);
/* max_background_threads: 1 .. HELPERS_MAX. The next is false when helpers could not be made
 * again, or a helper asks. */
unsigned helper_limit(void);
MUST_USE bool helper_set_limit(unsigned limit);

/* Helpers that are there, looks that helpers made, and the mean time from a look to the next. */
struct helper_statistics {
    uint64_t count;
    uint64_t look_count;
    uint64_t interval_ns;
};
struct helper_statistics helper_statistics(void);

/* Around a fork, by the forking thread: none is made. */
void helper_fork_begins(void);
void helper_fork_ends(void);
/* In a forked child, whose only thread is a user or not. */
void helper_forget(bool is_user);

#endif
