/* test_ctl_names.c: goal: look-up by name and by MIB agree with the table itself, and the short cut
 * of the common call takes exactly the MIBs that the whole look-up takes.
 * Method: the numbers of words are counted anew from the paths; every row is asked for with right
 * and wrong indices, lengths and words, on both roads.
 */
#include "upper_floors.h"

#include "control/ctl_names.h"

#define NAME(path, type, read, write, argument) {path, CTL_##type},
static const struct {
    const char *path;
    enum ctl_type type;
} rows[] = {
#include "control/ctl_table.h"
};
#undef NAME

/* Where the element behind `elements` of them begins; or the end of the path. */
static const char *behind(const char *path, unsigned elements)
{
    for (; elements > 0 && *path != '\0'; elements--) {
        path += strcspn(path, ".");
        path += *path == '.';
    }
    return path;
}

static unsigned elements_of(const char *path)
{
    unsigned count = 1;
    for (; *path != '\0'; path++) {
        count += *path == '.';
    }
    return count;
}

/* The first row whose path begins with the same elements. */
static unsigned first_like(unsigned row, unsigned elements)
{
    size_t length = (size_t)(behind(rows[row].path, elements) - rows[row].path);
    length -= rows[row].path[length] != '\0'; /* without the dot */
    for (unsigned i = 0; i < row; i++) {
        char end = strncmp(rows[i].path, rows[row].path, length) == 0 ? rows[i].path[length] : 'x';
        if (end == '.' || end == '\0') {
            return i;
        }
    }
    return row;
}

/* A MIB of the row, index 0 for each <i>. */
static unsigned mib_of(unsigned row, size_t *mib)
{
    unsigned count = elements_of(rows[row].path);
    for (unsigned i = 0; i < count; i++) {
        bool is_index = *behind(rows[row].path, i) == '<';
        mib[i] = is_index ? 0 : first_like(row, i + 1);
    }
    return count;
}

static void words_have_the_number_of_their_first_row(void **state)
{
    (void)state;
    assert_int_equal(CTL_ROWS, COUNT_OF(rows));
    for (unsigned row = 0; row < CTL_ROWS; row++) {
        size_t mib[CTL_DEPTH_MAX];
        unsigned count = mib_of(row, mib);
        assert_string_equal(ctl_names_path(row), rows[row].path);
        assert_int_equal(ctl_words[row].count, count);
        for (unsigned i = 0; i < count; i++) {
            EXPECT(ctl_words[row].number[i] == mib[i], "%s, element %u", rows[row].path, i);
        }
    }
}

static void a_mib_leads_to_its_row_and_others_nowhere(void **state)
{
    (void)state;
    for (unsigned row = 0; row < CTL_ROWS; row++) {
        size_t mib[CTL_DEPTH_MAX + 1] = {0};
        unsigned count = mib_of(row, mib);
        if (strstr(rows[row].path, "<o>") != NULL) {
            continue;
        }
        EXPECT(ctl_names_row(mib, count) == row, "%s", rows[row].path);
        EXPECT(ctl_names_row(mib, count + 1) == CTL_ROWS, "%s", rows[row].path);
        EXPECT(ctl_names_row(mib, count - 1) == CTL_ROWS, "%s", rows[row].path);
        for (unsigned i = 0; i < count; i++) {
            size_t right = mib[i];
            static const size_t wrong[] = {CTL_ROWS, 0xff00, 0xffff, 0x10000, SIZE_MAX};
            for (unsigned j = 0; j < COUNT_OF(wrong); j++) {
                mib[i] = wrong[j];
                EXPECT(ctl_names_row(mib, count) == CTL_ROWS, "%s, element %u: %zu", rows[row].path,
                       i, wrong[j]);
            }
            mib[i] = right;
        }
    }
}

/* An answer by the short cut, if it takes the MIB; both must agree. */
static void compare_roads(const size_t *mib, unsigned count, size_t bytes, unsigned *taken)
{
    uint64_t by_short_cut = 0;
    uint64_t by_mib = 0;
    size_t length = bytes;
    struct ctl_buffers buffers = {&by_mib, &length, NULL, 0};
    int expected = ctl_by_mib(mib, count, &buffers);
    if (!ctl_names_is_number(mib, count, bytes)) {
        return;
    }
    int result = ctl_number(mib, mib[count - 1], &by_short_cut);
    const char *path = rows[mib[count - 1]].path;
    EXPECT(result == expected, "%s: %d, not %d", path, result, expected);
    EXPECT(by_short_cut == by_mib, "%s: %llu, not %llu", path, (unsigned long long)by_short_cut,
           (unsigned long long)by_mib);
    (*taken)++;
}

static void the_short_cut_answers_what_the_whole_road_does(void **state)
{
    (void)state;
    static const size_t indices[] = {0,    1,      2,      3,      35,     36,      63,
                                     64,   195,    196,    199,    4094,   4095,    4096,
                                     4097, 0xff00, 0xff01, 0xfffe, 0xffff, 0x10000, SIZE_MAX};
    unsigned taken = 0;
    for (unsigned row = 0; row < CTL_ROWS; row++) {
        size_t mib[CTL_DEPTH_MAX];
        unsigned count = mib_of(row, mib);
        if (rows[row].type == CTL_CALL) {
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            size_t right = mib[i];
            for (unsigned j = 0; j < COUNT_OF(indices); j++) {
                mib[i] = indices[j];
                compare_roads(mib, count, 8, &taken);
                compare_roads(mib, count, 4, &taken);
                compare_roads(mib, count, 1, &taken);
                EXPECT(!ctl_names_is_number(mib, count, 0), "%s: no bytes", rows[row].path);
            }
            mib[i] = right;
        }
    }
    /* Most rows are numbers. */
    EXPECT(taken > 2 * CTL_ROWS, "%u of %u rows", taken, (unsigned)CTL_ROWS);
}

static void options_have_numbers_of_their_own(void **state)
{
    (void)state;
    size_t mib[2];
    size_t length = 2;
    unsigned row = ctl_names_find("opt.narenas", mib, &length);
    assert_string_equal(rows[row].path, "opt.<o>");
    assert_true(mib[1] >= CTL_OPTIONS);
    assert_int_equal(ctl_names_row(mib, 2), row);
    assert_int_equal(ctl_names_row(mib + 1, 1), CTL_ROWS);
    assert_false(ctl_names_is_number(mib, 2, 4));
    mib[0]++;
    assert_int_equal(ctl_names_row(mib, 2), CTL_ROWS);
    assert_true(ctl_names_find("opt.malloc_conf.env_var", mib, &length) > row);
}

static int start_control(void **state)
{
    return start_allocator(state) == 0 && ctl_start() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_have_the_number_of_their_first_row),
        cmocka_unit_test(a_mib_leads_to_its_row_and_others_nowhere),
        cmocka_unit_test(the_short_cut_answers_what_the_whole_road_does),
        cmocka_unit_test(options_have_numbers_of_their_own),
    };
    return cmocka_run_group_tests(tests, start_control, NULL);
}
