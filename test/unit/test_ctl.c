/* test_ctl.c: goal: each name of the table leads to its MIB and back to its row, nothing else does,
 * and buffers of wrong lengths or directions are refused as the contract says.
 * Method: every row of the table, walked by name and by MIB, each of its beginnings, and each with
 * an element more or spoiled; then the errors one by one.
 */
#include "upper_floors.h"

#include "control/ctl.h"
#include "control/ctl_values.h"

#define NAME(path, type, read, write, argument) {path, CTL_##type, #read, #write},
static const struct {
    const char *path;
    enum ctl_type type;
    const char *reader; /* "NULL": it cannot be read */
    const char *writer;
} rows[] = {
#include "control/ctl_table.h"
};
#undef NAME

enum { NAME_BYTES = 100 };

/* The path with 0 for <i> and a known option for <o>. */
static void name_of(unsigned row, char *name)
{
    const char *path = rows[row].path;
    size_t used = 0;
    while (*path != '\0') {
        if (strncmp(path, "<i>", 3) == 0) {
            name[used++] = '0';
            path += 3;
        } else if (strncmp(path, "<o>", 3) == 0) {
            used += (size_t)sprintf(name + used, "%s", "narenas");
            path += 3;
        } else {
            name[used++] = *path++;
        }
    }
    name[used] = '\0';
}

static unsigned elements_of(const char *name)
{
    unsigned elements = 1;
    for (; *name != '\0'; name++) {
        elements += *name == '.';
    }
    return elements;
}

static int by_mib(const size_t *mib, size_t length, struct ctl_buffers buffers)
{
    return ctl_by_mib(mib, length, &buffers);
}

static int by_name(const char *name, struct ctl_buffers buffers)
{
    return ctl_by_name(name, &buffers);
}

static void every_name_has_a_mib_of_its_depth_and_can_be_read(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        char name[NAME_BYTES];
        size_t mib[CTL_DEPTH_MAX];
        size_t length = CTL_DEPTH_MAX;
        uint64_t value = 0;
        size_t value_bytes = sizeof value;
        name_of(i, name);
        EXPECT(ctl_name_to_mib(name, mib, &length) == 0, "%s", name);
        assert_int_equal(length, elements_of(name));
        if (rows[i].type == CTL_CALL) {
            continue; /* It checks its buffers itself: test_ctl_cache.c. */
        }
        bool has_reader = strcmp(rows[i].reader, "NULL") != 0;
        int result = by_mib(mib, length, (struct ctl_buffers){&value, &value_bytes, NULL, 0});
        bool is_source = strcmp(rows[i].reader, "read_option_source") == 0;
        if (rows[i].type == CTL_CALL || (is_source && result == ENOENT)) {
            continue; /* without what it wants to be written; or not set in this process */
        }
        int expected = !has_reader ? EPERM : value_bytes == sizeof value ? 0 : EINVAL;
        EXPECT(result == expected, "%s: %d, not %d", name, result, expected);
    }
}

static void no_two_names_share_a_mib(void **state)
{
    (void)state;
    static size_t mibs[COUNT_OF(rows)][CTL_DEPTH_MAX];
    size_t lengths[COUNT_OF(rows)];
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        char name[NAME_BYTES];
        name_of(i, name);
        lengths[i] = CTL_DEPTH_MAX;
        assert_int_equal(ctl_name_to_mib(name, mibs[i], &lengths[i]), 0);
        for (unsigned j = 0; j < i; j++) {
            bool same = lengths[i] == lengths[j] &&
                        memcmp(mibs[i], mibs[j], lengths[i] * sizeof(size_t)) == 0;
            EXPECT(!same, "%s and %s", rows[i].path, rows[j].path);
        }
    }
}

static void beginnings_of_names_have_mibs_that_lead_to_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(rows); i++) {
        char name[NAME_BYTES];
        name_of(i, name);
        for (char *dot = strrchr(name, '.'); dot != NULL; dot = strrchr(name, '.')) {
            size_t mib[CTL_DEPTH_MAX];
            size_t length = CTL_DEPTH_MAX;
            *dot = '\0';
            EXPECT(ctl_name_to_mib(name, mib, &length) == 0, "%s", name);
            assert_int_equal(length, elements_of(name));
            assert_int_equal(by_mib(mib, length, (struct ctl_buffers){0}), ENOENT);
        }
    }
}

static void a_mib_can_be_asked_in_part(void **state)
{
    (void)state;
    size_t mib[3] = {99, 99, 99};
    size_t length = 2;
    assert_int_equal(ctl_name_to_mib("arenas.bin.0.size", mib, &length), 0);
    assert_int_equal(length, 2);
    assert_int_equal(mib[2], 99);
}

static void an_index_in_a_mib_is_the_index(void **state)
{
    (void)state;
    size_t mib[4];
    size_t length = 4;
    assert_int_equal(ctl_name_to_mib("arenas.bin.17.size", mib, &length), 0);
    assert_int_equal(mib[2], 17);
    for (mib[2] = 0; mib[2] < SMALL_CLASSES; mib[2]++) {
        size_t size = 0;
        size_t size_bytes = sizeof size;
        assert_int_equal(by_mib(mib, 4, (struct ctl_buffers){&size, &size_bytes, NULL, 0}), 0);
        assert_int_equal(size, class_size((uint8_t)mib[2]));
    }
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        ".",
                                        "version.",
                                        ".version",
                                        "versio",
                                        "versions",
                                        "Version",
                                        "version.0",
                                        "arena",
                                        "arena..purge",
                                        "arena.x.purge",
                                        "arena.-1.purge",
                                        "arena.0x1.purge",
                                        "arena.0.purge.more",
                                        "arenas.bin.99999999999999999999.size",
                                        "opt.no_such_option",
                                        "opt.",
                                        "stats.arenas.0.bins.0.mutex",
                                        "arenas.bin.36",
                                        "arenas.bin.36.size",
                                        "arenas.lextent.196.size",
                                        "stats.arenas.0.extents.199.ndirty",
                                        "stats.arenas.4097.pactive",
                                        "arena.9999.purge",
                                        "a.b.c.d.e.f.g.h.i"};
    for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
        uint64_t value;
        size_t value_bytes = sizeof value;
        struct ctl_buffers buffers = {&value, &value_bytes, NULL, 0};
        EXPECT(by_name(wrong[i], buffers) == ENOENT, "\"%s\"", wrong[i]);
    }
}

static void mibs_that_no_name_has_are_refused(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("mibs_that_no_name_has_are_refused");
    uint64_t value;
    size_t value_bytes = sizeof value;
    size_t mib[CTL_DEPTH_MAX + 1] = {0};
    assert_int_equal(by_mib(mib, 0, (struct ctl_buffers){0}), ENOENT);
    assert_int_equal(by_mib(mib, CTL_DEPTH_MAX + 1, (struct ctl_buffers){0}), ENOENT);
    mib[0] = SIZE_MAX;
    assert_int_equal(by_mib(mib, 1, (struct ctl_buffers){0}), ENOENT);
    /* Any numbers: an answer or an error, nothing worse. NULL for what is written. */
    for (unsigned i = 0; i < 20000; i++) {
        size_t length = 1 + random_below(&seed, CTL_DEPTH_MAX);
        for (unsigned element = 0; element < CTL_DEPTH_MAX; element++) {
            bool is_small = random_below(&seed, 8) != 0;
            mib[element] = is_small ? random_below(&seed, 60) : (size_t)random_next(&seed);
        }
        value_bytes = sizeof value;
        int result = by_mib(mib, length, (struct ctl_buffers){&value, &value_bytes, NULL, 0});
        EXPECT(result == 0 || result == ENOENT || result == EINVAL || result == EPERM, "%d",
               result);
    }
}

static void a_short_buffer_gets_the_bytes_that_fit(void **state)
{
    (void)state;
    uint64_t whole = 0;
    size_t length = sizeof whole;
    struct ctl_buffers buffers = {&whole, &length, NULL, 0};
    assert_int_equal(by_name("arenas.page", buffers), 0);
    assert_int_equal(whole, PAGE_BYTES);

    unsigned char part[8] = {7, 7, 7, 7, 7, 7, 7, 7};
    length = 2;
    buffers.old = part;
    assert_int_equal(by_name("arenas.page", buffers), EINVAL);
    assert_int_equal(length, 2);
    assert_memory_equal(part, &whole, 2);
    assert_int_equal(part[2], 7);

    unsigned char more[16];
    memset(more, 7, sizeof more);
    length = sizeof more;
    buffers.old = more;
    assert_int_equal(by_name("arenas.page", buffers), EINVAL);
    assert_int_equal(length, 8);
    assert_memory_equal(more, &whole, 8);
    assert_int_equal(more[8], 7);
}

static void directions_and_lengths_are_checked(void **state)
{
    (void)state;
    uint64_t value = 1;
    size_t length = sizeof value;
    assert_int_equal(by_name("version", (struct ctl_buffers){NULL, NULL, &value, 8}), EPERM);
    assert_int_equal(by_name("arena.0.purge", (struct ctl_buffers){&value, &length, NULL, 0}),
                     EPERM);
    assert_int_equal(by_name("arena.0.purge", (struct ctl_buffers){NULL, NULL, &value, 8}), EPERM);
    assert_int_equal(by_name("arena.0.purge", (struct ctl_buffers){0}), 0);
    assert_int_equal(by_name("epoch", (struct ctl_buffers){NULL, NULL, &value, 4}), EINVAL);
    assert_int_equal(by_name("thread.tcache.enabled", (struct ctl_buffers){NULL, NULL, &value, 2}),
                     EINVAL);
    assert_int_equal(by_name("epoch", (struct ctl_buffers){0}), 0);
}

static void writing_the_epoch_answers_the_number_after_it(void **state)
{
    (void)state;
    uint64_t before = 0;
    uint64_t after = 0;
    size_t length = 8;
    assert_int_equal(by_name("epoch", (struct ctl_buffers){&before, &length, NULL, 0}), 0);
    assert_int_equal(by_name("epoch", (struct ctl_buffers){&after, &length, &before, 8}), 0);
    assert_int_equal(after, before + 1);
}

static int start_control(void **state)
{
    return start_allocator(state) == 0 && ctl_start() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_has_a_mib_of_its_depth_and_can_be_read),
        cmocka_unit_test(no_two_names_share_a_mib),
        cmocka_unit_test(beginnings_of_names_have_mibs_that_lead_to_nothing),
        cmocka_unit_test(a_mib_can_be_asked_in_part),
        cmocka_unit_test(an_index_in_a_mib_is_the_index),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(mibs_that_no_name_has_are_refused),
        cmocka_unit_test(a_short_buffer_gets_the_bytes_that_fit),
        cmocka_unit_test(directions_and_lengths_are_checked),
        cmocka_unit_test(writing_the_epoch_answers_the_number_after_it),
    };
    return cmocka_run_group_tests(tests, start_control, NULL);
}
