/* unsample.c: scales sampled counts. See unsample.h.
 *
 * In doubles, as the script does: the last digits must be the same.
 */
#include "unsample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The script that profiles were read with before passes counts on as texts of 15 digits. Whole
 * numbers are cut from them later, so a count a hair below 3000 must become 3000 here too. */
static double rounded(double count)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.15g", count);
    return strtod(digits, NULL);
}

static double scale_of(double mean_bytes, enum profile_kind kind, uint64_t period)
{
    double ratio = mean_bytes / (double)period;
    if (kind == PROFILE_HEAP_V2) {
        return 1 / (1 - exp(-ratio));
    }
    return ratio < 1 ? 1 / ratio : 1;
}

static void scale_pair(double *objects, double *bytes, enum profile_kind kind, uint64_t period)
{
    if (*objects <= 0 || *bytes <= 0) {
        return;
    }
    double scale = scale_of(*bytes / *objects, kind, period);
    if (!isfinite(scale)) {
        return; /* objects too small against the period to be told from none */
    }
    *objects = rounded(*objects * scale);
    *bytes = rounded(*bytes * scale);
}

struct profile_counts unsample(struct profile_counts sampled, enum profile_kind kind,
                               uint64_t period)
{
    struct profile_counts counts = sampled;
    if (period == 0 || (kind != PROFILE_HEAP_V2 && kind != PROFILE_HEAP_PERIOD)) {
        return counts;
    }
    scale_pair(&counts.live_objects, &counts.live_bytes, kind, period);
    scale_pair(&counts.total_objects, &counts.total_bytes, kind, period);
    return counts;
}

void unsample_profile(struct profile *profile)
{
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct profile_counts *counts = &profile->samples[i].counts;
        *counts = unsample(*counts, profile->kind, profile->period);
    }
    profile->period = 0;
}
