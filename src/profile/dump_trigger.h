/* dump_trigger.h: what has heap profiles written without a call for each.
 *
 *     lg_prof_interval   each time that so many bytes were allocated
 *     prof_gdump         each time that more memory is mapped than ever before
 *     prof_final         at exit; prof_leak then prints what is not freed
 *
 * What makes one due may happen deep inside of malloc, under locks: it is noted, and served where a
 * thread holds none. While one is served, and the program's hook runs, what comes due waits for the
 * next such place; several of a kind that wait are one.
 */
#ifndef PROFILE_DUMP_TRIGGER_H
#define PROFILE_DUMP_TRIGGER_H

#include "config/options.h"
#include "pages/mapped.h"

/* Any thread, relaxed: carries no data. */
extern HIDDEN _Atomic bool dump_interval_is_over;

static inline bool dump_is_due(void)
{
    return UNLIKELY(atomic_load_explicit(&dump_interval_is_over, memory_order_relaxed) ||
                    atomic_load_explicit(&mapped_has_new_peak, memory_order_relaxed));
}

/* Writes what is due. No lock held; may call the program's hook. */
COLD NOINLINE void dump_serve(void);

/* Bytes between two profiles, 0: none. */
uint64_t dump_interval_bytes(void);
static inline bool dump_counts(void)
{
    return UNLIKELY(options.lg_prof_interval >= 0);
}
/* A block was sampled, and counts with those that it stands for: weight of them (draw.h). */
void dump_count(uint64_t weight, size_t usable_bytes);

/* In the child of a fork: nobody else serves. */
void dump_forked(void);

/* At exit, with prof_final: the last profile, and what prof_leak says of it. */
void dump_at_exit(void);

#endif
