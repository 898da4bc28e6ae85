/* profile_sum.h: adds profiles up, and subtracts them.
 *
 * Counts are added as they are, so profiles of different periods are unsampled first. Sources that
 * agree on their code, some of it at least, are of one process and become one; the others stay
 * apart, and equal addresses in them mean different things.
 */
#ifndef JEPROF_PROFILE_SUM_H
#define JEPROF_PROFILE_SUM_H

#include "profile.h"

/* Adds factor times the counts of a part to a sum, which begins as zeros and shares nothing with
 * the part afterwards. */
void profile_add(struct profile *sum, const struct profile *part, double factor);

/* The samples of equal stack, thread, dump and source become one, in an order that does not depend
 * on that of the files; threads are named once. */
void profile_merge(struct profile *profile);

#endif
