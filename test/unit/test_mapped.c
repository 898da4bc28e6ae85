/* test_mapped.c: goal: the sum is that of chunks and huge mappings; a new peak is told while it is
 * watched, and only then.
 * Method: changes by hand; then large blocks, beside the statistics of both.
 */
#include "unit_check.h"

#include "api/malloc.h"
#include "api/process.h"
#include "base/names.h"
#include "pages/chunk.h"
#include "pages/huge.h"
#include "pages/mapped.h"

static bool take_peak(void)
{
    return atomic_exchange(&mapped_has_new_peak, false);
}

static void new_peaks_are_told(void **state)
{
    (void)state;
    mapped_change(1000);
    assert_false(take_peak());
    assert_false(mapped_watch_peak(true));
    assert_true(mapped_is_watched());
    mapped_change(-10);
    assert_false(take_peak());
    mapped_change(10);
    assert_false(take_peak());
    mapped_change(1);
    assert_true(take_peak());
    mapped_change(1);
    assert_true(mapped_watch_peak(true));
    assert_true(take_peak());
    mapped_change(1);
    assert_true(mapped_watch_peak(false));
    assert_false(take_peak());
    mapped_change(1);
    assert_false(take_peak());
    /* What was mapped meanwhile is no new peak. */
    assert_false(mapped_watch_peak(true));
    mapped_change(-1);
    mapped_change(1);
    assert_false(take_peak());
    mapped_change(-1004);
    (void)mapped_watch_peak(false);
}

static void expect_sum(void)
{
    assert_int_equal(mapped_bytes(),
                     chunk_pool_statistics().mapped_bytes + huge_statistics().mapped_bytes);
}

static void the_sum_is_that_of_all_mappings(void **state)
{
    (void)state;
    enum { BLOCKS = 64 };
    static char *blocks[BLOCKS];
    (void)mapped_watch_peak(true);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = API(malloc)((size_t)300000 << i % 6);
        assert_non_null(blocks[i]);
        expect_sum();
    }
    assert_true(take_peak());
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = API(realloc)(blocks[i], (size_t)100000 << (i + 2) % 8);
        assert_non_null(blocks[i]);
        expect_sum();
    }
    assert_true(take_peak());
    for (unsigned i = 0; i < BLOCKS; i++) {
        API(free)(blocks[i]);
        expect_sum();
    }
    assert_false(take_peak());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_peaks_are_told),
        cmocka_unit_test(the_sum_is_that_of_all_mappings),
    };
    if (!process_start()) {
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
