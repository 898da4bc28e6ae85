/* sampler.h: what the profiler has for the floors above: when a thread's next sample is due, and
 * what is kept of it.
 *
 * A thread samples while its `is_on` is set, which it is under the threads lock. Blocks that caches
 * hold have a draw for each bin (cache.h); all others share a countdown of bytes. A sampled block
 * bears a mark, which leads to what is kept of it (record.h).
 *
 * Thread safety: a sampling is its thread's own. The rest may be called by any thread. No lock is
 * held by the callers, unless a function says so.
 */
#ifndef PROFILE_SAMPLER_H
#define PROFILE_SAMPLER_H

#include "profile/draw.h"
#include "profile/tally.h"

/* Of a thread. */
struct sampling {
    uint64_t random;                /* state of draw.h */
    uint64_t countdown_bytes;       /* before the next sample of a block past the bins */
    uint64_t due;                   /* bit i: where the draw of bin i ends, a sample is due */
    struct profiled_thread *thread; /* NULL: no sample yet, and no name */
    uint8_t lg_period;              /* of the draws */
    bool is_on;
    bool is_busy;     /* the thread takes a sample: what that allocates is not sampled */
    bool is_refused;  /* by thread.prof.active */
    uint8_t printing; /* the thread tells the list of recent samples, so many times */
};

/* Loads what samples need; the first call may allocate much, and take the loader's lock. */
void sampler_load(void);
/* The same without the loader: libgcc's unwinder stays out. False where that does not do. */
MUST_USE bool sampler_load_nothing(void);
/* What comes after that, once; control lock held. Idempotent. */
void sampler_start(void);
/* Whether blocks may have been sampled in this process: from now on sized deallocation may not
 * trust the size. */
bool sampler_has_started(void);

/* What finds the calling thread's sampling, or NULL: for the ends of blocks. Before the start. */
void sampler_set_finder(struct sampling *(*find_own)(void));

/* The mean distance of samples in bytes, as a power of two: that of the option, or of a reset. */
unsigned sampler_lg_period(void);
/* Forgets all samples, with another distance from now on. Control lock held. */
void sampler_reset(unsigned lg_period);

/* Whether new threads sample. */
bool sampler_wants_threads(void);
void sampler_want_threads(bool wants);

/* A thread begins to sample, or does so by another period: is_on, lg_period and the countdown; at
 * its end. */
void sampling_begin(struct sampling *sampling, unsigned lg_period);
void sampling_end(struct sampling *sampling);

/* The number of the next block of size_bytes that is sampled, up to `most`; beyond, UINT64_MAX, and
 * the draw is to be repeated after `most` blocks. */
uint64_t sampling_draw(struct sampling *sampling, uint64_t size_bytes, uint64_t most);

/* Whether a block past the bins is sampled; it is counted. The latter only says so beforehand. */
bool sampling_is_due(struct sampling *sampling, size_t usable_bytes);
static inline bool sampling_will_be_due(const struct sampling *sampling, size_t usable_bytes)
{
    return sampling->lg_period == 0 || sampling->countdown_bytes < usable_bytes;
}

/* Takes a sample of the call that runs, for a block that is about to be made. Result: its mark; 0:
 * there is no memory for it, or the thread is taking a sample. */
MUST_USE uint64_t sampler_take(struct sampling *sampling, size_t size_bytes, size_t usable_bytes);
/* The sampled block is there, of which hooks are told; or could not be had, or marked: the sample
 * is none. */
void sampler_made(struct sampling *sampling, const void *block, uint64_t mark, size_t usable_bytes);
void sampler_take_back(uint64_t mark, size_t usable_bytes);

/* The record of a thread, with its name; NULL when memory is refused. Needs sampler_start(). */
MUST_USE struct profiled_thread *sampling_thread(struct sampling *sampling);

/* Functions of the program; NULL for none. They run with no lock of ours held, and what they
 * allocate while a sample is taken is not sampled. */
enum sampler_hook {
    HOOK_BACKTRACE, /* takes the trace; never NULL */
    HOOK_SAMPLE,    /* is told of a sampled block, */
    HOOK_FREE,      /* ... and of its end: the block may serve again by then */
    SAMPLER_HOOKS,
};
uintptr_t sampler_hook(enum sampler_hook hook);
void sampler_set_hook(enum sampler_hook hook, uintptr_t function);

/* Samples by class of their usable size, with prof_stats: what was asked for, and how many. */
struct sampled_sums {
    uint64_t requested_bytes;
    uint64_t count;
};
enum sampled_kind { SAMPLED_LIVE, SAMPLED_EVER, SAMPLED_KINDS };
struct sampled_sums sampler_sums(enum sampled_kind kind, uint8_t class_index);

/* For fork, once it has started. */
void sampler_visit_locks(void (*visit)(struct lock *lock));
void sampler_forked(void);

#endif
