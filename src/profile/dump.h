/* dump.h: writes heap profiles, in jemalloc's heap_v2 form.
 *
 *     heap_v2/524288                            bytes between samples, on average
 *       t*: 28: 14680064 [0: 0]                 all: live objects: bytes [all there ever were]
 *       t0: 28: 14680064 [0: 0] main            each thread, and its name
 *     @ 0x7f2a1b0a2630 0x5579f8ed31e6 ...       a trace, innermost frame first
 *       t*: 28: 14680064 [0: 0]
 *       t0: 28: 14680064 [0: 0]
 *     ...                                       then, behind an empty line: dump_maps.h
 *
 * Readers scale the counts of a line by 1 / (1 - exp(-s / period)), where s is its mean size. So
 * the counts are such that this gives what the samples stand for: those of a trace with blocks of
 * one size as they were sampled, others corrected (prof_unbias:false: none).
 *
 * While a profile is written the program goes on; each trace is as it was when its turn came.
 * Nothing is allocated, and no lock is held but the dump's own. One is written at a time. The
 * caller holds no lock of ours, and is not inside a dump.
 */
#ifndef PROFILE_DUMP_H
#define PROFILE_DUMP_H

#include "os/lock.h"
#include "profile/dump_name.h"
#include "profile/tally.h"

/* Told of each file that was written. */
typedef void (*dump_hook)(const char *path);

/* What a profile found. */
struct dump_totals {
    struct tally_sums live;
    uint64_t trace_count; /* with live blocks */
};

/* Before the first dump. */
void dump_start(void);

/* Writes a profile under a path: false when that fails. Says nothing. */
MUST_USE bool dump_write_to(const char *path);
/* The next name of a kind, for who wants to know it: into path, of DUMP_PATH_BYTES. False when the
 * prefix is empty. */
MUST_USE bool dump_take_name(enum dump_kind kind, char *path);
/* The same under the next name of a kind; false, too, when the prefix is empty. */
MUST_USE bool dump_write_next(enum dump_kind kind);
/* The same for whoever cannot tell the program: a failure to write is one line, and with abort:true
 * the end of the program. totals may be NULL; with an empty prefix they stay as they are. */
bool dump_write_unasked(enum dump_kind kind, struct dump_totals *totals);

/* NULL: nobody is told. Result: the hook before. */
dump_hook dump_set_hook(dump_hook hook);
dump_hook dump_hook_now(void);

MUST_USE bool dump_set_prefix(const char *prefix);

/* What a line says of sums, for a period of 2^lg_period. For tests. */
struct dump_counts {
    uint64_t objects;
    uint64_t bytes;
};
struct dump_counts dump_unbiased(const struct tally_sums *sums, unsigned lg_period);

/* The lock, for who writes other files by dump_file.h. */
struct lock *dump_lock(void);

/* For fork. */
void dump_visit_lock(void (*visit)(struct lock *lock));

#endif
