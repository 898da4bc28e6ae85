/* backtrace.h: the return addresses of the functions that led here, for heap profiles.
 *
 * A sample is taken inside malloc, in any thread at any moment. So a walk takes no lock, allocates
 * nothing and makes no system call; a signal may interrupt it anywhere, and the handler may walk.
 *
 * How a frame is left depends on the option prof_unwind:
 *
 *     auto   By the unwind tables of its module, read here (frame_table.h): they say for each
 *            return address whether the function keeps a frame pointer there, and what to do where
 *            it does not. Answers are cached by address. A frame that they do not describe ends it,
 *            and libgcc's unwinder is asked for the whole walk; what it does not know either is
 *            remembered as the last frame.
 *     fp     By frame pointers, from the first frame outside this library on. Functions without one
 *            are left out with their callers, or end the walk.
 *     dwarf  By libgcc's unwinder alone, as jemalloc does.
 *
 * Reads stay on the stack: going up from the stack pointer, never across the end of the thread's
 * stack, as far as that is known: a thread's descriptor (pthread_self) stands above its frames, the
 * name of the program's file above those of the first thread. Stacks of coroutines and of signal
 * handlers are read where tables lead. Frame pointers that no table vouches for are followed over
 * readable pages only (one system call, futex, for each page of stack).
 *
 * Locks. glibc 2.35 finds modules without one, for us and for libgcc. Before, and in musl, libgcc
 * calls dl_iterate_phdr, which takes the loader's lock: in musl for a moment at each module, never
 * over a call from outside, and musl's loader calls its own malloc, so a thread that has the lock
 * waits for nothing of ours. glibc before 2.35 calls malloc under that lock from dlopen; it may be
 * taken again by its owner. libgcc before 13 has a mutex for frames that a JIT compiler registered
 * (__register_frame), and allocates under it: with such programs choose fp. The caller holds no
 * lock of ours that malloc, dlopen or fork need.
 */
#ifndef PROFILE_BACKTRACE_H
#define PROFILE_BACKTRACE_H

#include "base/check.h"

/* Loads what the walks need, by the option; called once when profiling starts, and later without
 * harm. May allocate and take the loader's lock: the caller holds no lock of ours, and a sample of
 * the calls that this makes must not come back here. False, and one line, where libgcc cannot be
 * had: frames that the tables here do not know are then left by their frame pointers. */
bool backtrace_start(void);

/* The same at any moment, under any lock: neither allocates nor asks the loader for anything.
 * Frames that the tables here do not know are left by their frame pointers, unless libgcc is loaded
 * already, or linked into a static program, whose first walk by it allocates. False where the walks
 * would know no other module than ours. */
MUST_USE bool backtrace_start_unloaded(void);

/* Return addresses into frames, the caller's own first, at most `most`. Result: how many. */
unsigned backtrace_take(uintptr_t *frames, unsigned most);

/* In the child of a fork: forgets the walks of threads that are gone. */
void backtrace_forked(void);

#endif
