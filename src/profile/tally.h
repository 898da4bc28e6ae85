/* tally.h: what samples add up to, by backtrace and thread.
 *
 *     trace (the frames) <--- tally ---> profiled_thread
 *                               ^
 *                               | a mark
 *                         sampled block
 *
 * A tally sums the samples that one thread took at one trace: those whose blocks live, and, where
 * it is asked for, all. It lives as long as one of its blocks does (or for good, when it keeps all
 * sums); a trace as long as a tally has it; a thread's record as long as the thread or a tally.
 * After a reset no visit finds the tallies from before, which wait for the last of their blocks.
 *
 * Blocks may be freed by any thread: sums change under the lock of a stripe of the table. A trace
 * and all its tallies are in one stripe, which the trace's hash picks. No two of these locks are
 * ever held at once, but at fork.
 *
 * A walk reads everything while the others go on: it holds a lock only to copy the next few
 * numbers, and keeps its place by uses of its own.
 *
 * Thread safety: all functions may be called by any thread; none allocates from the program's heap.
 */
#ifndef PROFILE_TALLY_H
#define PROFILE_TALLY_H

#include "base/check.h"
#include "os/lock.h"

#include <stddef.h>

enum {
    TRACE_DEPTH_MAX = 256, /* frames; more are cut */
    THREAD_NAME_BYTES = 16,
};

/* A sampled block. */
struct sample_size {
    size_t usable_bytes;
    size_t requested_bytes;
    uint64_t weight;   /* blocks that it stands for, draw_weight() */
    uint8_t lg_period; /* of the draw: samples of one period have tallies of their own */
};

struct tally_sums {
    uint64_t objects;
    uint64_t usable_bytes;
    uint64_t requested_bytes;
    uint64_t weighted_objects; /* with WEIGHT_BITS of fraction (draw.h) */
    uint64_t weighted_bytes;   /* usable ones */
};

/* What one thread, one trace or all sampled. */
struct tally_counts {
    struct tally_sums live;
    struct tally_sums all; /* 0 unless all sums are kept */
};

/* Made with a thread's first sample. */
struct profiled_thread {
    uint64_t number;              /* immutable: in the order of first samples, from 0 on */
    _Atomic uint32_t uses;        /* tallies, the thread itself, a walk; acquire and release */
    char name[THREAD_NAME_BYTES]; /* "" for none; under the pool's lock */
    struct profiled_thread *next; /* of the free ones: under the pool's lock */
    uint64_t walk;                /* number of the last walk that met it: its own, like the rest */
    struct profiled_thread *walk_next;
    struct tally_counts walk_counts;
    uint64_t log_number; /* of the log that has it, or an earlier one; the log's, like the rest */
    struct profiled_thread *log_next;
    uint32_t log_index;
};

struct trace {
    struct trace *next;    /* in its bucket, or of the free ones: under that lock, like the next */
    struct tally *tallies; /* of it */
    uint64_t hash;         /* immutable, like what follows but uses */
    uint32_t depth;
    uint32_t uses;       /* tallies, a walk, and whoever holds it */
    uint64_t log_number; /* as of a thread, like the next two */
    struct trace *log_next;
    uint32_t log_index;
    uintptr_t frame[]; /* return addresses, innermost first */
};

struct tally {
    struct tally *next;             /* in its bucket, or of the free ones */
    struct tally *next_of_trace;    /* under the stripe's lock, like what follows */
    struct tally **link_of_trace;   /* what points at it in that list */
    struct trace *trace;            /* immutable */
    struct profiled_thread *thread; /* likewise */
    uint32_t chain;                 /* likewise: its bucket, and its stripe */
    uint8_t lg_period;              /* likewise */
    bool is_left;                   /* by a reset: it is in no list any more */
    bool is_walked;                 /* a walk stands on it: it stays */
    struct tally_sums live;
    struct tally_sums all; /* 0 unless all sums are kept */
};

enum { TALLY_ALIGNMENT = 128 }; /* of the address of a tally: marks use the bits for more */
static_assert(sizeof(struct tally) == TALLY_ALIGNMENT, "two cache lines");

/* Before the first sample: whether all sums are kept. */
void tally_start(bool keeps_all);

/* A record for the calling thread; NULL when memory is refused. The thread gives it up when it
 * ends. */
MUST_USE struct profiled_thread *tally_thread_begin(void);
void tally_thread_end(struct profiled_thread *thread);
/* Gives it a name, cut where it is too long; copies the name it has, THREAD_NAME_BYTES with the
 * NUL. A visitor may ask for the latter. */
void tally_thread_set_name(struct profiled_thread *thread, const char *name);
void tally_thread_name(const struct profiled_thread *thread, char *name);

/* Adds a sample of the thread at a trace of `depth` frames. Result: the tally, for tally_remove();
 * NULL when memory is refused: nothing was added. */
MUST_USE struct tally *tally_add(struct profiled_thread *thread, const uintptr_t *frames,
                                 unsigned depth, const struct sample_size *size);
/* Its block is freed. The size is what was added. */
void tally_remove(struct tally *tally, const struct sample_size *size);

/* The trace of the frames, kept until it is released, with tallies or without; NULL when memory is
 * refused. A trace that a tally or a holder has may be held once more. */
MUST_USE struct trace *tally_trace_hold(const uintptr_t *frames, unsigned depth);
void tally_trace_hold_more(struct trace *trace);
void tally_trace_release(struct trace *trace);
/* The same for a thread's record, which some tally or holder has; tally_thread_end() ends it. */
void tally_thread_hold(struct profiled_thread *thread);

/* Forgets all sums: from now on only what is added later counts. */
void tally_reset(void);

/* Visits each tally, under the lock of its stripe: no sum of it changes meanwhile. */
void tally_visit(void (*visit)(const struct tally *tally, void *opaque), void *opaque);

/* A walk through all sums: the whole and the threads, as they are when it begins; then each trace,
 * and the tallies of each, as they are when it gets there. One walk at a time. */
struct tally_walk {
    struct tally_counts counts; /* of the whole */
    uint64_t trace_count;       /* traces with live blocks */
    struct profiled_thread *threads;
    struct trace *trace; /* where it stands */
    struct tally *tally; /* the next one of the trace */
    unsigned chain;      /* the next one */
};
void tally_walk_begin(struct tally_walk *walk);
/* The next thread, and its counts in walk_counts: `thread` is the one before, or NULL. NULL behind
 * the last. */
struct profiled_thread *tally_walk_thread(const struct tally_walk *walk,
                                          const struct profiled_thread *thread);
/* The next trace, whose frames stay until the one after it, and its counts; NULL behind the last:
 * the walk is over. */
const struct trace *tally_walk_trace(struct tally_walk *walk, struct tally_counts *counts);
/* The next tally of that trace: its counts and the number of its thread. False behind the last. */
bool tally_walk_tally(struct tally_walk *walk, struct tally_counts *counts, uint64_t *number);
void tally_walk_end(struct tally_walk *walk);

/* For fork, and the statistics of locks: visits all locks in their order. */
void tally_visit_locks(void (*visit)(struct lock *lock));

#endif
