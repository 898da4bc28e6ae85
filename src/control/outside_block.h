/* outside_block.h: where a program outside of the process, which may trace it, asks something of
 * the heap profiler. Shared with that program: tools/jemalloc/.
 *
 * Nothing of the process waits for a request, and nothing is exported. An ELF note of the module
 * that this library is part of, the owner "dg-jemalloc", tells where the block lies:
 *
 *     version | block - here | path - here | bytes of the path        4 times 32 bits
 *
 * each distance from its own place in memory. Who asks writes the path and `process` first, then
 * `request`; slow paths of allocation see it, one thread sets `request` to 0 and `taken` to it,
 * does what is asked, and sets `answered`. Who no longer wants it writes `withdrawn`, and looks at
 * `taken` after that: the thread that takes a request does these two the other way around, so one
 * of them sees the other, and a request is either withdrawn or done.
 *
 * A request is its action and, from bit 8 on, a number that was not used before. Only one may be
 * under way: the program holds a lock on the process's `mem` in /proc meanwhile.
 */
#ifndef CONTROL_OUTSIDE_BLOCK_H
#define CONTROL_OUTSIDE_BLOCK_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
    OUTSIDE_VERSION = 1, /* of all that is in this file */
    OUTSIDE_NOTE_TYPE = 1,
    OUTSIDE_PATH_BYTES = 4096,
    OUTSIDE_ACTION_BITS = 8,
};

enum outside_action {
    OUTSIDE_NONE,
    OUTSIDE_ON,
    OUTSIDE_OFF,
    OUTSIDE_DUMP, /* to the path; to the next name, which is written there, where it is empty */
};

struct outside_note {
    uint32_t version;
    int32_t to_block;
    int32_t to_path;
    uint32_t path_bytes;
};

/* The first three are written by who asks and by whoever takes the request; the rest is the
 * process's own, under the control lock or by the one thread that serves. */
struct outside_block {
    _Atomic uint64_t request;     /* 0: none. Release and acquire: publishes process and path */
    _Atomic uint64_t withdrawn;   /* as `request`; in one order with `taken` (seq_cst) */
    _Atomic uint32_t process;     /* its number as itself sees it: a forked child has another */
    uint32_t error;               /* of the answer: an errno value, 0: done */
    _Atomic uint64_t taken;       /* the last request that was */
    _Atomic uint64_t answered;    /* the same, when it is done (release: error and path) */
    _Atomic uint32_t is_started;  /* the allocator serves this process. Relaxed, as what follows */
    _Atomic uint32_t has_sampled; /* profiling was turned on, or a profile was written */
    _Atomic uint32_t is_active;   /* relaxed, under the control lock, as the next */
    _Atomic uint32_t lg_period;   /* valid with has_sampled; relaxed, likewise */
};

static_assert(sizeof(struct outside_block) == 56, "the program outside knows the layout");
static_assert(sizeof(struct outside_note) == 16, "as the note is written");

#endif
