/* test_control_actions.c: goal: the control names that take something in do what the contract says
 * of them, and refuse what it refuses: decay times, names, look-ups of blocks, batches.
 * Method: each name by good and bad values; effects are looked for in other names, in addresses and
 * in the blocks themselves.
 */
#include "control_check.h"

#include <sys/types.h>

static int write_value(const char *name, const void *value, size_t size)
{
    return mallctl(name, NULL, NULL, (void *)(uintptr_t)value, size);
}

static void a_decay_time_can_be_read_and_written(void **state)
{
    (void)state;
    static const char *const names[] = {"arena.0.dirty_decay_ms", "arena.0.muzzy_decay_ms",
                                        "arenas.dirty_decay_ms", "arenas.muzzy_decay_ms"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        ssize_t before = (ssize_t)read_sized(names[i], sizeof before);
        static const ssize_t good[] = {-1, 0, 1, 5000};
        static const ssize_t bad[] = {-2, -SSIZE_MAX, SSIZE_MAX};
        for (unsigned j = 0; j < 4; j++) {
            assert_int_equal(write_value(names[i], &good[j], sizeof good[j]), 0);
            assert_int_equal((ssize_t)read_sized(names[i], sizeof before), good[j]);
        }
        for (unsigned j = 0; j < 3; j++) {
            EXPECT(write_value(names[i], &bad[j], sizeof bad[j]) == EFAULT, "%s: %zd", names[i],
                   bad[j]);
            assert_int_equal((ssize_t)read_sized(names[i], sizeof before), 5000);
        }
        ssize_t old = 0;
        size_t length = sizeof old;
        assert_int_equal(mallctl(names[i], &old, &length, &before, sizeof before), 0);
        assert_int_equal(old, 5000);
        assert_int_equal((ssize_t)read_sized(names[i], sizeof before), before);
    }
    ssize_t value = 0;
    assert_int_equal(write_value("arena.4096.dirty_decay_ms", &value, sizeof value), EFAULT);
    assert_int_equal(write_value("arena.0.dirty_decay_ms", &value, 4), EINVAL);
}

/* Frees blocks of 64 KiB one by one; result: pages that stay dirty. */
static uint64_t dirty_pages_after_frees(void)
{
    enum { COUNT = 256, SIZE = 64 << 10 };
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
    refresh();
    return read_sized("stats.arenas.0.pdirty", sizeof(size_t));
}

static void a_decay_time_of_zero_leaves_nothing_dirty(void **state)
{
    (void)state;
    ssize_t before = (ssize_t)read_sized("arena.0.dirty_decay_ms", sizeof before);
    const ssize_t at_once = 0;
    const ssize_t never = -1;
    assert_int_equal(write_value("arena.0.dirty_decay_ms", &never, sizeof never), 0);
    assert_true(dirty_pages_after_frees() > 0);
    assert_int_equal(write_value("arena.0.dirty_decay_ms", &at_once, sizeof at_once), 0);
    refresh();
    assert_int_equal(read_sized("stats.arenas.0.pdirty", sizeof(size_t)), 0);
    assert_int_equal(read_sized("stats.arenas.0.dirty_decay_ms", sizeof(ssize_t)), 0);
    assert_int_equal(dirty_pages_after_frees(), 0);
    assert_int_equal(write_value("arena.0.dirty_decay_ms", &before, sizeof before), 0);
}

static void an_arena_has_a_name(void **state)
{
    (void)state;
    char text[32];
    char *buffer = text;
    size_t length = sizeof buffer;
    assert_int_equal(mallctl("arena.0.name", &buffer, &length, NULL, 0), 0);
    assert_string_equal(text, "auto_0");
    const char *name = "a name that is longer than the thirty-one characters of the buffer";
    assert_int_equal(write_value("arena.0.name", &name, sizeof name), 0);
    assert_int_equal(mallctl("arena.0.name", &buffer, &length, NULL, 0), 0);
    assert_int_equal(strlen(text), 31);
    assert_int_equal(strncmp(text, name, 31), 0);
    const char *none = NULL;
    assert_int_equal(write_value("arena.0.name", &none, sizeof none), EINVAL);
    assert_int_equal(mallctl("arena.4096.name", &buffer, &length, NULL, 0), EINVAL);
    name = "auto_0";
    assert_int_equal(write_value("arena.0.name", &name, sizeof name), 0);
}

static void dss_is_read_and_written(void **state)
{
    (void)state;
    static const char *const precedences[] = {"primary", "disabled", "secondary"};
    static const char *const names[] = {"arena.0.dss", "arena.4096.dss"};
    const char *text = NULL;
    size_t length = sizeof text;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(mallctl(names[i], &text, &length, NULL, 0), 0);
        assert_string_equal(text, "secondary");
        for (unsigned p = 0; p < 3; p++) {
            assert_int_equal(write_value(names[i], &precedences[p], sizeof text), 0);
            assert_int_equal(mallctl(names[i], &text, &length, NULL, 0), 0);
            assert_string_equal(text, precedences[p]);
            if (i == 0) {
                assert_int_equal(mallctl("stats.arenas.0.dss", &text, &length, NULL, 0), 0);
                assert_string_equal(text, precedences[p]);
            }
        }
        text = "disable";
        assert_int_equal(write_value(names[i], &text, sizeof text), EINVAL);
        text = NULL;
        assert_int_equal(write_value(names[i], &text, sizeof text), EINVAL);
    }
}

static int look_up(const void *pointer, unsigned *arena)
{
    size_t length = sizeof *arena;
    return mallctl("arenas.lookup", arena, &length, &pointer, sizeof pointer);
}

static void a_look_up_tells_the_arena_of_a_block(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 14336, 20000, 100000, 3000000};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned arena = 99;
        void *block = malloc(sizes[i]);
        EXPECT(look_up(block, &arena) == 0, "a block of %zu bytes", sizes[i]);
        assert_int_equal(arena, read_sized("thread.arena", sizeof arena));
        free(block);
    }
    unsigned arena = 99;
    assert_int_equal(look_up(NULL, &arena), EINVAL);
    assert_int_equal(look_up(&arena, &arena), EINVAL);
    assert_int_equal(look_up((void *)(uintptr_t)0xdeadbeefcafe0000u, &arena), EINVAL);
    assert_int_equal(arena, 99);
    size_t length = sizeof arena;
    assert_int_equal(mallctl("arenas.lookup", &arena, &length, NULL, 0), EINVAL);
}

struct fill {
    size_t free_regions;
    size_t regions;
    size_t slab_bytes;
};

static void a_query_tells_how_full_a_slab_is(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    void *blocks[COUNT];
    struct fill fills[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = mallocx(3000, MALLOCX_TCACHE_NONE);
    }
    size_t length = sizeof fills;
    assert_int_equal(
        mallctl("experimental.utilization.batch_query", fills, &length, blocks, sizeof blocks), 0);
    size_t regions_of_blocks = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(fills[i].free_regions < fills[i].regions);
        assert_true(fills[i].slab_bytes >= fills[i].regions * 3072);
        regions_of_blocks += fills[i].regions - fills[i].free_regions;
    }
    /* A slab in the middle is full; each block that goes shows. */
    struct fill before = fills[COUNT / 2];
    assert_int_equal(before.free_regions, 0);
    dallocx(blocks[COUNT / 2 + 1], MALLOCX_TCACHE_NONE);
    struct fill after;
    length = sizeof after;
    assert_int_equal(mallctl("experimental.utilization.batch_query", &after, &length,
                             &blocks[COUNT / 2], sizeof blocks[0]),
                     0);
    assert_int_equal(after.free_regions, 1);
    struct {
        const void *serving;
        struct fill slab;
        size_t bin_free;
        size_t bin_regions;
    } whole;
    length = sizeof whole;
    assert_int_equal(mallctl("experimental.utilization.query", &whole, &length, &blocks[COUNT / 2],
                             sizeof blocks[0]),
                     0);
    assert_memory_equal(&whole.slab, &after, sizeof after);
    assert_true(whole.bin_regions - whole.bin_free >= COUNT - 1);
    assert_true(regions_of_blocks > COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        if (i != COUNT / 2 + 1) {
            dallocx(blocks[i], MALLOCX_TCACHE_NONE);
        }
    }
}

static void a_query_of_large_blocks_and_of_none(void **state)
{
    (void)state;
    void *pointers[] = {malloc(100000), malloc(3000000), &pointers};
    struct fill fills[3];
    size_t length = sizeof fills;
    assert_int_equal(
        mallctl("experimental.utilization.batch_query", fills, &length, pointers, sizeof pointers),
        0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fills[i].free_regions, 0);
        assert_int_equal(fills[i].regions, 1);
        assert_int_equal(fills[i].slab_bytes, malloc_usable_size(pointers[i]));
        free(pointers[i]);
    }
    assert_int_equal(fills[2].regions, 0);
    assert_int_equal(fills[2].slab_bytes, 0);
    length = sizeof fills - 1;
    assert_int_equal(
        mallctl("experimental.utilization.batch_query", fills, &length, pointers, sizeof pointers),
        EINVAL);
    length = 8;
    assert_int_equal(
        mallctl("experimental.utilization.query", fills, &length, pointers, sizeof pointers[0]),
        EINVAL);
}

static void a_batch_of_blocks_is_made_in_one_call(void **state)
{
    (void)state;
    void *blocks[300];
    struct {
        void **blocks;
        size_t count;
        size_t size;
        int flags;
    } wish = {blocks, 300, 200, MALLOCX_ZERO};
    size_t done = 0;
    size_t length = sizeof done;
    assert_int_equal(mallctl("experimental.batch_alloc", &done, &length, &wish, sizeof wish), 0);
    assert_int_equal(done, 300);
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(malloc_usable_size(blocks[i]), 224);
        assert_int_equal(*(char *)blocks[i], 0);
        free(blocks[i]);
    }
    wish.size = SIZE_MAX / 2 + 1;
    assert_int_equal(mallctl("experimental.batch_alloc", &done, &length, &wish, sizeof wish), 0);
    assert_int_equal(done, 0);
    assert_int_equal(mallctl("experimental.batch_alloc", NULL, NULL, &wish, sizeof wish), EINVAL);
    assert_int_equal(mallctl("experimental.batch_alloc", &done, &length, &wish, 8), EINVAL);
    assert_int_equal(length, 0);
}

static void an_idle_thread_gives_its_cache_back(void **state)
{
    (void)state;
    free(malloc(1000));
    refresh();
    assert_true(read_sized("stats.arenas.0.tcache_bytes", sizeof(size_t)) > 0);
    assert_int_equal(mallctl("thread.idle", NULL, NULL, NULL, 0), 0);
    refresh();
    assert_int_equal(read_sized("stats.arenas.0.tcache_bytes", sizeof(size_t)), 0);
}

static void locks_count_until_they_are_reset(void **state)
{
    (void)state;
    refresh();
    assert_true(read_sized("stats.mutexes.ctl.num_ops", 8) > 0);
    assert_true(read_sized("stats.arenas.0.mutexes.extents_dirty.num_ops", 8) > 2);
    assert_int_equal(mallctl("stats.mutexes.reset", NULL, NULL, NULL, 0), 0);
    refresh();
    assert_int_equal(read_sized("stats.arenas.0.mutexes.extents_dirty.num_ops", 8), 1);
    assert_int_equal(read_sized("stats.arenas.0.bins.3.mutex.num_ops", 8), 1);
}

static void active_pages_can_be_told_without_a_snapshot(void **state)
{
    (void)state;
    refresh();
    size_t before = read_sized("stats.active", sizeof before);
    void *block = malloc((size_t)4 << 20);
    assert_int_equal(read_sized("stats.active", sizeof before), before);
    assert_int_equal(read_sized("approximate_stats.active", sizeof before),
                     before + ((size_t)4 << 20));
    free(block);
}

static void all_arenas_have_two_indices(void **state)
{
    (void)state;
    char name[64];
    refresh();
    snprintf(name, sizeof name, "stats.arenas.%u.pactive",
             (unsigned)read_sized("arenas.narenas", sizeof(unsigned)));
    assert_int_equal(read_sized(name, sizeof(size_t)) * 4096,
                     read_sized("stats.active", sizeof(size_t)));
    assert_int_equal(read_sized("stats.arenas.4096.pactive", sizeof(size_t)) * 4096,
                     read_sized("stats.active", sizeof(size_t)));
    assert_int_equal(mallctl("stats.arenas.4097.pactive", NULL, NULL, NULL, 0), ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decay_time_can_be_read_and_written),
        cmocka_unit_test(a_decay_time_of_zero_leaves_nothing_dirty),
        cmocka_unit_test(an_arena_has_a_name),
        cmocka_unit_test(dss_is_read_and_written),
        cmocka_unit_test(a_look_up_tells_the_arena_of_a_block),
        cmocka_unit_test(a_query_tells_how_full_a_slab_is),
        cmocka_unit_test(a_query_of_large_blocks_and_of_none),
        cmocka_unit_test(a_batch_of_blocks_is_made_in_one_call),
        cmocka_unit_test(an_idle_thread_gives_its_cache_back),
        cmocka_unit_test(locks_count_until_they_are_reset),
        cmocka_unit_test(active_pages_can_be_told_without_a_snapshot),
        cmocka_unit_test(all_arenas_have_two_indices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
