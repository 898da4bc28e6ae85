/* event_hooks.h: functions of the program that are told of its calls, or of bytes in a thread.
 *
 *     experimental.hooks.install        each call that allocates, frees or resizes, with what it
 *                                       was given
 *     experimental.hooks.thread_event   each time that a thread's bytes pass a multiple of an
 *                                       interval
 *
 * While there are any, a mode has all threads go the slow ways, which ask event_hooks_are_on(); so
 * those who use none pay nothing. Hooks run with no lock of ours held and may do what they like:
 * what a hook calls is not told, in its own thread. errno is the program's again after them.
 *
 * A thread finds a hook that is just put in or taken out, or does not: one that was taken out may
 * still run once in a thread that had begun.
 */
#ifndef CACHE_EVENT_HOOKS_H
#define CACHE_EVENT_HOOKS_H

#include "base/check.h"

#include <stdatomic.h>

enum { EVENT_HOOKS_MAX = 4 };

/* The numbers that hooks get for each function: interface. A block that moves is told as a fresh
 * one, then as a freed one; one that stays, as a resized one. The C++ operators have the numbers of
 * malloc, aligned_alloc, free and sdallocx; so have free_sized and free_aligned_sized the last. */
enum alloc_call {
    ALLOC_MALLOC,
    ALLOC_POSIX_MEMALIGN,
    ALLOC_ALIGNED_ALLOC,
    ALLOC_CALLOC,
    ALLOC_MEMALIGN,
    ALLOC_VALLOC, /* and pvalloc */
    ALLOC_MALLOCX,
    ALLOC_REALLOC,
    ALLOC_RALLOCX,
};
enum free_call { FREE_FREE, FREE_DALLOCX, FREE_SDALLOCX, FREE_REALLOC, FREE_RALLOCX };
enum resize_call { RESIZE_REALLOC, RESIZE_RALLOCX, RESIZE_XALLOCX };

enum { CALL_ARGUMENTS = 4 };

/* A call of the program: its number, of one of the three kinds, and its arguments as they came;
 * those that it does not have are 0. */
struct hooked_call {
    int type;
    uintptr_t arguments[CALL_ARGUMENTS];
};

/* Both read by slow paths only; relaxed, since they carry no data. */
extern HIDDEN _Atomic bool event_hooks_on;

static inline bool event_hooks_are_on(void)
{
    return UNLIKELY(atomic_load_explicit(&event_hooks_on, memory_order_relaxed));
}

/* A call that allocates has ended; raw is what it returns. */
void event_hooks_allocated(const struct hooked_call *call, void *result, uintptr_t raw);
/* A call is about to free a block. */
void event_hooks_freed(const struct hooked_call *call, void *block);
/* A call left a block where it is; raw is what it returns. */
struct resized_block {
    void *block;
    size_t old_bytes;
    size_t new_bytes;
};
void event_hooks_resized(const struct hooked_call *call, struct resized_block resized,
                         uintptr_t raw);
/* A call of realloc() or rallocx() has a fresh block, and is about to free the old one. Their
 * numbers of the two other kinds follow from the first. */
void event_hooks_moved(const struct hooked_call *call, void *old, void *fresh);
struct hooked_call event_hooks_as_resize(const struct hooked_call *call);

/* The calling thread, which is in MODE_BYTE_HOOKS, has just counted these bytes. */
void event_hooks_bytes(size_t allocated_bytes, size_t freed_bytes);

/* Puts a hook in and takes it out; control lock held. The words of hooks_t: three functions, any of
 * which may be NULL, and what they get first. NULL: all places are taken. False: no such handle. */
struct call_hooks {
    uintptr_t on_alloc;
    uintptr_t on_free;
    uintptr_t on_resize;
    uintptr_t opaque;
};
MUST_USE void *event_hooks_install(const struct call_hooks *hooks);
MUST_USE bool event_hooks_remove(const void *handle);

/* The same for bytes, for good. The interval is not 0. */
struct byte_hook {
    uintptr_t function;
    uint64_t interval_bytes;
    unsigned char only_allocations; /* a bool, as the program wrote it */
};
MUST_USE bool event_hooks_install_for_bytes(const struct byte_hook *hook);

#endif
