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

/* What is scaled once is exact. */
static void end_sampling(struct profile *profile)
{
    if (profile->period != 0) {
        profile->sampled_period = profile->period;
        profile->period = 0;
    }
}

/* sampled as scaled is to whole; 0 of nothing. */
static double share(double sampled, double whole, double scaled)
{
    return whole > 0 ? rounded(sampled / whole * scaled) : 0;
}

static struct profile_counts share_counts(const struct profile_counts *sampled,
                                          const struct profile_counts *whole,
                                          const struct profile_counts *scaled)
{
    return (struct profile_counts){
        .live_objects = share(sampled->live_objects, whole->live_objects, scaled->live_objects),
        .live_bytes = share(sampled->live_bytes, whole->live_bytes, scaled->live_bytes),
        .total_objects = share(sampled->total_objects, whole->total_objects, scaled->total_objects),
        .total_bytes = share(sampled->total_bytes, whole->total_bytes, scaled->total_bytes),
    };
}

void unsample_profile_by_stack(struct profile *profile)
{
    const uint64_t *stack = NULL;
    struct profile_counts whole = {0, 0, 0, 0};
    struct profile_counts scaled = whole;
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct profile_sample *sample = &profile->samples[i];
        if (sample->thread == PROFILE_ALL_THREADS) {
            stack = sample->stack;
            whole = sample->counts;
            scaled = unsample(whole, profile->kind, profile->period);
            sample->counts = scaled;
        } else if (sample->stack == stack) {
            sample->counts = share_counts(&sample->counts, &whole, &scaled);
        } else {
            sample->counts = unsample(sample->counts, profile->kind, profile->period);
        }
    }
    end_sampling(profile);
}

void unsample_profile(struct profile *profile)
{
    for (size_t i = 0; i < profile->sample_count; i++) {
        struct profile_counts *counts = &profile->samples[i].counts;
        *counts = unsample(*counts, profile->kind, profile->period);
    }
    end_sampling(profile);
}
