/* test_control_names.c: goal: the control interface finds names, refuses wrong ones and wrong sizes
 * in the right way, and what it says about classes, arenas and memory is true. Method: fixed points
 * of the contract; statistics against blocks of known size.
 */
#include "api_test.h"

#include <sys/types.h>

#define READ(name, type)                                                   \
    ({                                                                     \
        type value_;                                                       \
        memset(&value_, 0x5a, sizeof value_);                              \
        size_t length_ = sizeof value_;                                    \
        int result_ = mallctl(name, &value_, &length_, NULL, 0);           \
        EXPECT(result_ == 0, "%s: %d", name, result_);                     \
        EXPECT(length_ == sizeof value_, "%s: length %zu", name, length_); \
        value_;                                                            \
    })

/* Blocks that wait in a thread's cache may count as held or not; they come and go while a test
 * runs. */
enum { CACHED_BYTES = 256 << 10 };

static bool is_near(size_t value, size_t expected)
{
    return value + CACHED_BYTES >= expected && value <= expected + CACHED_BYTES;
}

static void refresh_statistics(void)
{
    uint64_t epoch = 1;
    assert_int_equal(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
}

static void version_has_the_form_of_the_contract(void **state)
{
    (void)state;
    const char *version = READ("version", const char *);
    assert_string_equal(version, JEMALLOC_VERSION);
    unsigned major = 0, minor = 0, bugfix = 0, revision = 0;
    char id[64];
    assert_int_equal(sscanf(version, "%u.%u.%u-%u-g%63s", &major, &minor, &bugfix, &revision, id),
                     5);
    assert_int_equal(major, JEMALLOC_VERSION_MAJOR);
    assert_int_equal(minor, JEMALLOC_VERSION_MINOR);
    assert_int_equal(bugfix, JEMALLOC_VERSION_BUGFIX);
    assert_int_equal(revision, JEMALLOC_VERSION_NREV);
    assert_string_equal(id, JEMALLOC_VERSION_GID);
    assert_int_equal(strlen(id), 40);
    assert_int_equal(strspn(id, "0123456789abcdef"), 40);
}

static void an_epoch_write_advances_the_epoch(void **state)
{
    (void)state;
    uint64_t before = READ("epoch", uint64_t);
    refresh_statistics();
    uint64_t after = READ("epoch", uint64_t);
    assert_true(after > before);

    uint64_t old = 0;
    uint64_t any = 1;
    size_t length = sizeof old;
    assert_int_equal(mallctl("epoch", &old, &length, &any, sizeof any), 0);
    assert_true(old > before);
}

static void classes_are_those_of_the_contract(void **state)
{
    (void)state;
    assert_int_equal(READ("arenas.quantum", size_t), 16);
    assert_int_equal(READ("arenas.page", size_t), 4096);
    assert_int_equal(READ("arenas.nbins", unsigned), ORACLE_SMALL_COUNT);
    assert_int_equal(READ("arenas.nlextents", unsigned), ORACLE_CLASS_COUNT - ORACLE_SMALL_COUNT);
    char name[64];
    for (unsigned i = 0; i < ORACLE_CLASS_COUNT; i++) {
        bool small = i < ORACLE_SMALL_COUNT;
        snprintf(name, sizeof name, small ? "arenas.bin.%u.size" : "arenas.lextent.%u.size",
                 small ? i : i - ORACLE_SMALL_COUNT);
        assert_int_equal(READ(name, size_t), oracle_class_size(i));
    }
}

static void arenas_and_options_are_readable(void **state)
{
    (void)state;
    unsigned count = READ("arenas.narenas", unsigned);
    assert_true(count >= 1);
    assert_true(READ("opt.narenas", unsigned) >= 1);
    assert_true(READ("opt.narenas", unsigned) <= count);
    assert_true(READ("thread.arena", unsigned) < count);
    if (getenv("MALLOC_CONF") == NULL) {
        assert_int_equal(READ("opt.dirty_decay_ms", ssize_t), 10000);
        assert_int_equal(READ("opt.muzzy_decay_ms", ssize_t), 0);
    }
}

static void allocated_counts_what_is_held(void **state)
{
    (void)state;
    enum { BLOCKS = 64 };
    const size_t each = (size_t)1 << 20;
    void *blocks[BLOCKS];
    refresh_statistics();
    size_t before = READ("stats.allocated", size_t);
    size_t usable = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(each);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, each);
        usable += malloc_usable_size(blocks[i]);
    }
    assert_int_equal(usable, BLOCKS * each);
    assert_int_equal(READ("stats.allocated", size_t), before);

    refresh_statistics();
    size_t held = READ("stats.allocated", size_t);
    EXPECT(is_near(held, before + usable), "allocated %zu, was %zu", held, before);
    size_t active = READ("stats.active", size_t);
    size_t resident = READ("stats.resident", size_t);
    size_t mapped = READ("stats.mapped", size_t);
    size_t metadata = READ("stats.metadata", size_t);
    (void)READ("stats.retained", size_t);
    EXPECT(active >= held && active % 4096 == 0, "active %zu, allocated %zu", active, held);
    EXPECT(resident >= active, "resident %zu, active %zu", resident, active);
    EXPECT(mapped >= active, "mapped %zu, active %zu", mapped, active);
    EXPECT(metadata > 0 && metadata < active, "metadata %zu, active %zu", metadata, active);

    for (unsigned i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    refresh_statistics();
    size_t after = READ("stats.allocated", size_t);
    EXPECT(is_near(after, before), "allocated %zu after the frees, %zu before", after, before);
}

static void small_blocks_are_counted_too(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    refresh_statistics();
    size_t before = READ("stats.allocated", size_t);
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = mallocx(200, MALLOCX_TCACHE_NONE);
    }
    refresh_statistics();
    size_t held = READ("stats.allocated", size_t) - before;
    EXPECT(is_near(held, (size_t)COUNT * 224), "20000 blocks of 224 bytes count as %zu", held);
    for (unsigned i = 0; i < COUNT; i++) {
        dallocx(blocks[i], MALLOCX_TCACHE_NONE);
    }
    refresh_statistics();
    assert_true(is_near(READ("stats.allocated", size_t), before));
}

static void unknown_names_give_enoent(void **state)
{
    (void)state;
    const char *const names[] = {
        "",
        ".",
        "nope",
        "versionx",
        "versio",
        "version.",
        ".version",
        "version.x",
        "arenas",
        "arenas.",
        "arenas..page",
        "arenas.bin",
        "arenas.bin.0",
        "arenas.bin.0.",
        "arenas.bin.x.size",
        "arenas.bin.0.nope",
        "arenas.bin.36.size",
        "arenas.lextent.196.size",
        "arenas.bin.-1.size",
        "opt",
        "opt.nope",
        "stats",
        "stats.nope",
        "thread",
        "arenas.bin.99999999999999999999999.size",
        "Version",
        "version ",
    };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t value = 0;
        size_t length = sizeof value;
        int result = mallctl(names[i], &value, &length, NULL, 0);
        EXPECT(result == ENOENT, "\"%s\" (read): %d", names[i], result);
        result = mallctl(names[i], NULL, NULL, NULL, 0);
        EXPECT(result == ENOENT, "\"%s\" (probe): %d", names[i], result);
    }
}

static void a_probe_without_buffers_succeeds(void **state)
{
    (void)state;
    const char *const names[] = {"version",           "epoch",           "arenas.page",
                                 "arenas.bin.0.size", "stats.allocated", "opt.narenas"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(mallctl(names[i], NULL, NULL, NULL, 0), 0);
    }
}

static void writing_what_is_only_readable_gives_eperm(void **state)
{
    (void)state;
    const char *const names[] = {"version",           "arenas.page",  "arenas.narenas",
                                 "arenas.bin.3.size", "arenas.nbins", "stats.allocated",
                                 "opt.narenas"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint64_t value = 0;
        assert_int_equal(mallctl(names[i], NULL, NULL, &value, sizeof value), EPERM);
        assert_int_equal(mallctl(names[i], NULL, NULL, &value, 0), EPERM);
        assert_int_equal(mallctl(names[i], NULL, NULL, NULL, 8), EPERM);
    }
}

static void a_wrong_read_size_gives_einval_and_a_partial_copy(void **state)
{
    (void)state;
    const char *version = READ("version", const char *);
    for (size_t given = 0; given <= 24; given++) {
        unsigned char copy[32];
        memset(copy, 0xab, sizeof copy);
        size_t length = given;
        int result = mallctl("version", copy, &length, NULL, 0);
        size_t copied = given < sizeof version ? given : sizeof version;
        assert_int_equal(result, given == sizeof version ? 0 : EINVAL);
        assert_int_equal(length, copied);
        assert_memory_equal(copy, &version, copied);
        for (size_t i = copied; i < sizeof copy; i++) {
            assert_int_equal(copy[i], 0xab);
        }
    }
}

static void a_wrong_write_size_gives_einval(void **state)
{
    (void)state;
    uint64_t before = READ("epoch", uint64_t);
    unsigned char data[16] = {1};
    for (size_t length = 1; length <= 16; length++) {
        if (length != sizeof before) {
            assert_int_equal(mallctl("epoch", NULL, NULL, data, length), EINVAL);
        }
    }
    assert_int_equal(READ("epoch", uint64_t), before);
}

static void a_mib_is_found_once_and_used_often(void **state)
{
    (void)state;
    size_t mib[8] = {0};
    size_t depth = 8;
    assert_int_equal(mallctlnametomib("arenas.bin.0.size", mib, &depth), 0);
    assert_int_equal(depth, 4);
    for (unsigned i = 0; i < ORACLE_SMALL_COUNT; i++) {
        size_t size = 0;
        size_t length = sizeof size;
        mib[2] = i;
        assert_int_equal(mallctlbymib(mib, depth, &size, &length, NULL, 0), 0);
        assert_int_equal(size, oracle_class_size(i));
    }
    mib[2] = ORACLE_SMALL_COUNT;
    assert_int_equal(mallctlbymib(mib, depth, NULL, NULL, NULL, 0), ENOENT);
    mib[2] = SIZE_MAX;
    assert_int_equal(mallctlbymib(mib, depth, NULL, NULL, NULL, 0), ENOENT);
}

static void mibs_may_be_partial_or_cut(void **state)
{
    (void)state;
    size_t mib[8];
    size_t depth = 8;
    assert_int_equal(mallctlnametomib("arenas.bin", mib, &depth), 0);
    assert_int_equal(depth, 2);
    assert_int_equal(mallctlbymib(mib, depth, NULL, NULL, NULL, 0), ENOENT);
    assert_int_equal(mallctlbymib(mib, 0, NULL, NULL, NULL, 0), ENOENT);

    size_t whole[8];
    depth = 8;
    assert_int_equal(mallctlnametomib("arenas.bin.5.size", whole, &depth), 0);
    memset(mib, 0xab, sizeof mib);
    depth = 2;
    assert_int_equal(mallctlnametomib("arenas.bin.5.size", mib, &depth), 0);
    assert_int_equal(depth, 2);
    assert_memory_equal(mib, whole, 2 * sizeof mib[0]);
    size_t untouched;
    memset(&untouched, 0xab, sizeof untouched);
    assert_int_equal(mib[2], untouched);

    depth = 8;
    assert_int_equal(mallctlnametomib("arenas.nope", mib, &depth), ENOENT);
    whole[0] = 100000;
    assert_int_equal(mallctlbymib(whole, 4, NULL, NULL, NULL, 0), ENOENT);
}

static void mallctl_leaves_errno_alone(void **state)
{
    (void)state;
    errno = 88;
    (void)mallctl("nope", NULL, NULL, NULL, 0);
    (void)READ("version", const char *);
    (void)mallctl("version", NULL, NULL, &errno, 4);
    assert_int_equal(errno, 88);
}

/* Purging all arenas in one of the three ways gives unused memory back: freed blocks of 4 KiB, so
 * that the memory is in slabs and pages of arenas. */
static void expect_purge(const char *name)
{
    enum { COUNT = 4096, SIZE = 4096 };
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = malloc(SIZE);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, SIZE);
    }
    refresh_statistics();
    size_t full = READ("stats.resident", size_t);
    for (unsigned i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
    assert_int_equal(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
    assert_int_equal(mallctl(name, NULL, NULL, NULL, 0), 0);
    refresh_statistics();
    size_t purged = READ("stats.resident", size_t);
    EXPECT(purged + COUNT * (size_t)SIZE * 9 / 10 <= full, "%s: %zu of %zu left", name, purged,
           full);
    EXPECT(READ("stats.arenas.0.pdirty", size_t) == 0, "%s leaves dirty pages", name);
}

/* Redis purges "arena.<narenas>" after FLUSHALL: the older form of index 4096. */
static void each_form_of_purge_gives_memory_back(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "arena.%u.purge", READ("arenas.narenas", unsigned));
    expect_purge("arena.0.purge");
    expect_purge("arena.4096.purge");
    expect_purge(name);
    assert_int_equal(mallctl("arena.4095.purge", NULL, NULL, NULL, 0), ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_has_the_form_of_the_contract),
        cmocka_unit_test(an_epoch_write_advances_the_epoch),
        cmocka_unit_test(classes_are_those_of_the_contract),
        cmocka_unit_test(arenas_and_options_are_readable),
        cmocka_unit_test(allocated_counts_what_is_held),
        cmocka_unit_test(small_blocks_are_counted_too),
        cmocka_unit_test(unknown_names_give_enoent),
        cmocka_unit_test(a_probe_without_buffers_succeeds),
        cmocka_unit_test(writing_what_is_only_readable_gives_eperm),
        cmocka_unit_test(a_wrong_read_size_gives_einval_and_a_partial_copy),
        cmocka_unit_test(a_wrong_write_size_gives_einval),
        cmocka_unit_test(a_mib_is_found_once_and_used_often),
        cmocka_unit_test(mibs_may_be_partial_or_cut),
        cmocka_unit_test(mallctl_leaves_errno_alone),
        cmocka_unit_test(each_form_of_purge_gives_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
