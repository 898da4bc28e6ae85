/* control_check.h: reading control names in tests: a name that is not there fails the test.
 *
 * Included after api_test.h, in programs of the product's own names.
 */
#ifndef TEST_CONTROL_CHECK_H
#define TEST_CONTROL_CHECK_H

#include "api_test.h"

/* A new snapshot of the statistics. */
static inline void refresh(void)
{
    uint64_t epoch = 1;
    assert_int_equal(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
}

/* The value of a name whose type has so many bytes, at most 8. */
static inline uint64_t read_sized(const char *name, size_t size_bytes)
{
    uint64_t value = 0;
    size_t length = size_bytes;
    int result = mallctl(name, &value, &length, NULL, 0);
    EXPECT(result == 0, "%s: %d", name, result);
    return value;
}

#endif
