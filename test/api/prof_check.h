/* prof_check.h: what the tests of heap profiling share: counts of samples by class, and switches.
 *
 * Included after api_test.h, in programs of the product's own names, with prof_stats.
 */
#ifndef TEST_PROF_CHECK_H
#define TEST_PROF_CHECK_H

#include "api_test.h"

/* Samples of a class: what was asked for, and how many. */
struct samples {
    uint64_t requested_bytes;
    uint64_t count;
};

static inline unsigned class_of_size(size_t size_bytes)
{
    unsigned class_index = 0;
    while (oracle_class_size(class_index) < size_bytes) {
        class_index++;
    }
    return class_index;
}

/* kind: "live" or "accum". */
static inline struct samples samples_of_class(unsigned class_index, const char *kind)
{
    struct samples samples;
    size_t length = sizeof samples;
    char name[64];
    bool small = class_index < ORACLE_SMALL_COUNT;
    snprintf(name, sizeof name, "prof.stats.%s.%u.%s", small ? "bins" : "lextents",
             small ? class_index : class_index - ORACLE_SMALL_COUNT, kind);
    int result = mallctl(name, &samples, &length, NULL, 0);
    EXPECT(result == 0, "%s: %d", name, result);
    return samples;
}

static inline struct samples samples_of(size_t usable_bytes, const char *kind)
{
    return samples_of_class(class_of_size(usable_bytes), kind);
}

/* All samples ever. */
static inline uint64_t samples_ever(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ORACLE_SMALL_COUNT + 60; i++) {
        count += samples_of_class(i, "accum").count;
    }
    return count;
}

static inline bool read_switch(const char *name)
{
    bool on = false;
    size_t length = sizeof on;
    int result = mallctl(name, &on, &length, NULL, 0);
    EXPECT(result == 0, "%s: %d", name, result);
    return on;
}

static inline void set_switch(const char *name, bool on)
{
    int result = mallctl(name, NULL, NULL, &on, sizeof on);
    EXPECT(result == 0, "%s: %d", name, result);
}

static inline void reset_samples(size_t lg_period)
{
    assert_int_equal(mallctl("prof.reset", NULL, NULL, &lg_period, sizeof lg_period), 0);
}

#endif
