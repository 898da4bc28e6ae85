/* test_jeprof_progress.c: goal: someone who waits sees how far the work is, and nobody else does.
 * Method: a clock of the test's, and what was written to a file.
 */
#include "progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t clock_ms;
static char *written;
static size_t written_size;

static uint64_t tell_ms(void)
{
    return clock_ms;
}

static void note_at(struct progress *progress, uint64_t ms, size_t done)
{
    clock_ms = ms;
    progress_note(progress, "counting", done, 9);
}

static void test_lines(void **state)
{
    struct progress progress;
    (void)state;
    FILE *out = open_memstream(&written, &written_size);
    assert_non_null(out);
    clock_ms = 5000;
    progress_start(&progress, out, tell_ms);
    note_at(&progress, 5999, 1); /* the first second is quiet */
    note_at(&progress, 6000, 2);
    note_at(&progress, 6249, 3); /* too soon */
    note_at(&progress, 6250, 4);
    progress_end(&progress);
    progress_end(&progress); /* is gone already */
    progress_clear();
    note_at(&progress, 9000, 5);
    progress_clear(); /* something else is told */
    progress_clear();
    fclose(out);
    assert_string_equal(written, "\r\033[Kjeprof: counting: 2 of 9"
                                 "\r\033[Kjeprof: counting: 4 of 9"
                                 "\r\033[K"
                                 "\r\033[Kjeprof: counting: 5 of 9"
                                 "\r\033[K");
    free(written);
}

static void test_short_work_shows_nothing(void **state)
{
    struct progress progress;
    (void)state;
    FILE *out = open_memstream(&written, &written_size);
    assert_non_null(out);
    clock_ms = 0;
    progress_start(&progress, out, tell_ms);
    note_at(&progress, 999, 8);
    progress_end(&progress);
    fclose(out);
    assert_string_equal(written, "");
    free(written);
}

static void test_no_terminal_shows_nothing(void **state)
{
    struct progress progress;
    (void)state;
    progress_start(&progress, NULL, tell_ms);
    note_at(&progress, 1 << 20, 8);
    progress_end(&progress);
    assert_false(progress.is_shown);
}

static void test_the_systems_clock(void **state)
{
    struct progress progress;
    (void)state;
    progress_start(&progress, NULL, NULL);
    uint64_t before = progress.now_ms();
    assert_true(progress.now_ms() >= before);
    assert_true(progress.next_ms <= before + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_short_work_shows_nothing),
        cmocka_unit_test(test_no_terminal_shows_nothing),
        cmocka_unit_test(test_the_systems_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
