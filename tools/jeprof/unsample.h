/* unsample.h: from what was sampled to what probably was.
 *
 * An object of s bytes is sampled with the chance 1 - exp(-s / period), so each sampled one stands
 * for 1 / (1 - exp(-s / period)) of its size, where s is the mean of the stack's objects. The older
 * heap/period text holds one object every period bytes instead: the objects of a stack whose mean
 * is below the period stand for period / s each. Objects and bytes are scaled alike, live and total
 * ones each by their own mean.
 */
#ifndef JEPROF_UNSAMPLE_H
#define JEPROF_UNSAMPLE_H

#include "profile.h"

/* The counts that stand for the sampled ones. Counts without objects or without bytes stay. */
struct profile_counts unsample(struct profile_counts sampled, enum profile_kind kind,
                               uint64_t period);

/* Every sample of the profile as its kind and period demand; it is exact from then on. */
void unsample_profile(struct profile *profile);

/* The same, but the threads of a stack share what its line of all threads comes to, so that they
 * add up to it. */
void unsample_profile_by_stack(struct profile *profile);

#endif
