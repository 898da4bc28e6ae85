/* outside.h: serves a program outside of the process that turns heap profiling on or off, or wants
 * a profile. How it asks: outside_block.h.
 *
 * No thread, signal or socket is there for it. The slow paths of allocation look at one word: a
 * thread that allocates comes there at the latest after 2^16 blocks of a size class, a process that
 * does not allocate answers when it does again. Whoever may not write to the process's memory
 * cannot ask.
 *
 * A request may come anywhere in the program, so nothing is loaded for it: the loader's lock may be
 * held by a thread that waits for what the program holds here (backtrace.h).
 */
#ifndef CONTROL_OUTSIDE_H
#define CONTROL_OUTSIDE_H

#include "base/check.h"
#include "control/outside_block.h"

extern HIDDEN struct outside_block outside_block;

static inline bool outside_asks(void)
{
    return UNLIKELY(atomic_load_explicit(&outside_block.request, memory_order_relaxed) != 0);
}

/* Does what is asked, unless another thread does, or this one must do without its cache. No lock of
 * ours held; may call the program's hook of profiles. errno stays as it is. */
COLD NOINLINE void outside_serve(void);

/* What the program outside may read at any time. */
static inline void outside_tell_start(void)
{
    atomic_store_explicit(&outside_block.is_started, 1, memory_order_relaxed);
}

#endif
