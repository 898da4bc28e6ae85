/* sample_log.h: a log of the sampled blocks that end, each with both ends of its life.
 *
 *     {"info":{"duration":...,"version":...,"lg_sample_rate":19,...},
 *      "threads":[{"thr_uid":0,"thr_name":"main"},...],
 *      "stack_traces":[["0x7f2a1b0a2630",...],...],
 *      "allocations":[{"alloc_thread":0,"free_thread":1,"alloc_trace":0,"free_trace":1,
 *                      "alloc_timestamp":...,"free_timestamp":...,"usize":4096},...]}
 *
 * It is kept in memory from its begin to its end, 40 bytes for each block, and then written; its
 * threads and traces are kept as long. Threads and traces are numbers of places in their arrays.
 *
 * Thread safety: all functions may be called by any thread, with no lock held.
 */
#ifndef PROFILE_SAMPLE_LOG_H
#define PROFILE_SAMPLE_LOG_H

#include "profile/record.h"

/* Before the first sample. */
void sample_log_start(void);

/* Any thread, relaxed: carries no data. */
extern HIDDEN _Atomic bool sample_log_is_on;
static inline bool sample_log_wants(void)
{
    return atomic_load_explicit(&sample_log_is_on, memory_order_relaxed);
}

/* Begins one that goes to a file of that name, or, for NULL, of the next name (dump_name.h). False:
 * one is there already, the name is too long, or there are no names. */
MUST_USE bool sample_log_begin(const char *path);
/* Ends and writes it. False: there is none, or it could not be written; it is gone either way. */
MUST_USE bool sample_log_end(const char *version);
/* At exit: the same, and a failure is one line. In the child of a fork a log with a name is its
 * parent's, and not written. */
void sample_log_end_at_exit(const char *version);

/* A sampled block ended. */
void sample_log_add(const struct sample_end *end);

/* For fork. */
void sample_log_visit_lock(void (*visit)(struct lock *lock));

#endif
