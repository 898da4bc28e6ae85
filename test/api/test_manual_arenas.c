/* test_manual_arenas.c: goal: arenas that programs make, empty and destroy do what the contract
 * says and refuse what it refuses; destroyed ones are still counted; oversize blocks have an arena
 * of their own; the number of active pages can be read by its address. Method: blocks of all kinds
 * against the statistics of their arena, which nothing else uses; a forked child; threads that make
 * and end arenas while others allocate; the program runs itself again under options.
 */
#include "control_check.h"

#include <pthread.h>
#include <sched.h>
#include <sys/types.h>
#include <sys/wait.h>

enum { KINDS = 4, EACH = 50, DESTROYED = MALLCTL_ARENAS_DESTROYED, ALL = MALLCTL_ARENAS_ALL };

static const size_t kind_sizes[KINDS] = {100, 20000, 200000, 3 << 20};

static uint64_t stat_of(unsigned arena, const char *what)
{
    char name[80];
    snprintf(name, sizeof name, "stats.arenas.%u.%s", arena, what);
    return read_sized(name, sizeof(uint64_t));
}

static int act(unsigned arena, const char *what)
{
    char name[80];
    snprintf(name, sizeof name, "arena.%u.%s", arena, what);
    return mallctl(name, NULL, NULL, NULL, 0);
}

static bool is_there(unsigned arena)
{
    char name[80];
    snprintf(name, sizeof name, "arena.%u.initialized", arena);
    return read_sized(name, sizeof(bool)) != 0;
}

static unsigned make(void)
{
    unsigned arena = 0;
    size_t length = sizeof arena;
    assert_int_equal(mallctl("arenas.create", &arena, &length, NULL, 0), 0);
    return arena;
}

static unsigned arena_count(void)
{
    return (unsigned)read_sized("arenas.narenas", sizeof(unsigned));
}

static unsigned arena_of(const void *block)
{
    unsigned arena = 0;
    size_t length = sizeof arena;
    assert_int_equal(mallctl("arenas.lookup", &arena, &length, &block, sizeof block), 0);
    return arena;
}

static void fill(unsigned arena)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        for (unsigned i = 0; i < EACH; i++) {
            int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
            char *block = mallocx(kind_sizes[kind], flags);
            assert_non_null(block);
            block[0] = 1;
            if (i == 0) {
                assert_int_equal(arena_of(block), arena);
            }
        }
    }
}

static void an_arena_is_made_reset_and_destroyed(void **state)
{
    (void)state;
    unsigned before = arena_count();
    unsigned arena = make();
    assert_int_equal(arena, before);
    assert_int_equal(arena_count(), before + 1);
    assert_true(is_there(arena));
    char name[32];
    char *buffer = name;
    size_t length = sizeof buffer;
    char path[40];
    snprintf(path, sizeof path, "arena.%u.name", arena);
    assert_int_equal(mallctl(path, &buffer, &length, NULL, 0), 0);
    char expected[32];
    snprintf(expected, sizeof expected, "manual_%u", arena);
    assert_string_equal(name, expected);
    for (unsigned round = 1; round <= 3; round++) {
        fill(arena);
        refresh();
        assert_int_equal(stat_of(arena, "small.allocated"), EACH * 112);
        assert_int_equal(stat_of(arena, "small.nmalloc"), round * EACH);
        assert_int_equal(stat_of(arena, "large.nmalloc"), round * EACH * (KINDS - 1));
        assert_true(stat_of(arena, "large.allocated") >= EACH * (3 << 20));
        assert_int_equal(act(arena, "reset"), 0);
        refresh();
        static const char *const none[] = {"small.allocated", "large.allocated", "pactive",
                                           "bins.7.curregs", "bins.7.curslabs"};
        for (unsigned i = 0; i < 5; i++) {
            EXPECT(stat_of(arena, none[i]) == 0, "%s: %lu", none[i],
                   (unsigned long)stat_of(arena, none[i]));
        }
        assert_int_equal(stat_of(arena, "small.ndalloc"), round * EACH);
        assert_int_equal(stat_of(arena, "large.ndalloc"), round * EACH * (KINDS - 1));
    }
    assert_int_equal(act(arena, "destroy"), 0);
    assert_false(is_there(arena));
    assert_int_equal(arena_count(), before + 1);
    assert_int_equal(act(arena, "destroy"), EFAULT);
    assert_int_equal(act(arena, "reset"), EFAULT);
    assert_int_equal(make(), arena);
    assert_int_equal(act(arena, "destroy"), 0);
}

static void what_destroyed_arenas_counted_stays(void **state)
{
    (void)state;
    refresh();
    assert_true(is_there(DESTROYED));
    static const char *const counted[] = {"small.nmalloc", "small.ndalloc", "large.nmalloc",
                                          "large.ndalloc"};
    uint64_t sums[4];
    for (unsigned i = 0; i < 4; i++) {
        sums[i] = stat_of(DESTROYED, counted[i]);
    }
    uint64_t all = stat_of(ALL, "small.nmalloc");
    uint64_t slabs = stat_of(DESTROYED, "bins.7.nslabs");
    unsigned one = make();
    unsigned two = make();
    fill(one);
    fill(two);
    refresh();
    assert_true(stat_of(ALL, "small.nmalloc") >= all + 2 * EACH);
    assert_int_equal(act(one, "destroy"), 0);
    assert_int_equal(act(two, "destroy"), 0);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < 4; i++) {
            uint64_t more = 2 * EACH * (i < 2 ? 1 : KINDS - 1);
            assert_int_equal(stat_of(DESTROYED, counted[i]), sums[i] + more);
        }
        assert_true(stat_of(DESTROYED, "bins.7.nslabs") >= slabs + 2);
        assert_int_equal(stat_of(DESTROYED, "bins.7.curslabs"), 0);
        assert_int_equal(stat_of(DESTROYED, "pactive"), 0);
        assert_int_equal(stat_of(DESTROYED, "mapped"), 0);
        refresh();
    }
    assert_true(stat_of(ALL, "small.nmalloc") < all + EACH);
    /* An index that serves again begins at 0, and has no statistics before the next refresh. */
    unsigned again = make();
    assert_int_equal(again, two);
    size_t length = sizeof(uint64_t);
    uint64_t value;
    char name[80];
    snprintf(name, sizeof name, "stats.arenas.%u.small.nmalloc", again);
    assert_int_equal(mallctl(name, &value, &length, NULL, 0), ENOENT);
    refresh();
    assert_int_equal(stat_of(again, "small.nmalloc"), 0);
    assert_int_equal(act(again, "destroy"), 0);
}

static void only_arenas_of_the_program_can_be_emptied(void **state)
{
    (void)state;
    const unsigned automatic = (unsigned)read_sized("opt.narenas", sizeof(unsigned));
    const unsigned others[] = {0, automatic - 1, automatic, arena_count(), DESTROYED, ALL};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        EXPECT(act(others[i], "reset") == EFAULT, "arena %u was reset", others[i]);
        EXPECT(act(others[i], "destroy") == EFAULT, "arena %u was destroyed", others[i]);
    }
    unsigned value = 0;
    size_t length = sizeof value;
    unsigned arena = make();
    char name[80];
    snprintf(name, sizeof name, "arena.%u.reset", arena);
    assert_int_equal(mallctl(name, &value, &length, NULL, 0), EPERM);
    assert_int_equal(mallctl(name, NULL, NULL, &value, sizeof value), EPERM);
    /* A thread is bound to it: it can be reset, but not destroyed. */
    unsigned old = 0;
    assert_int_equal(mallctl("thread.arena", &old, &length, &arena, sizeof arena), 0);
    void *block = malloc(50000);
    assert_int_equal(arena_of(block), arena);
    free(block);
    assert_int_equal(act(arena, "destroy"), EFAULT);
    assert_int_equal(act(arena, "reset"), 0);
    assert_int_equal(mallctl("thread.arena", NULL, NULL, &old, sizeof old), 0);
    assert_int_equal(act(arena, "destroy"), 0);
    assert_int_equal(mallctl("thread.arena", NULL, NULL, &arena, sizeof arena), EFAULT);
}

static void making_one_needs_room_for_its_index(void **state)
{
    (void)state;
    static const char *const names[] = {"arenas.create", "experimental.arenas_create_ext"};
    const unsigned before = arena_count();
    for (unsigned i = 0; i < 2; i++) {
        uint64_t index = 0;
        size_t length = 0;
        assert_int_equal(mallctl(names[i], NULL, NULL, NULL, 0), EINVAL);
        assert_int_equal(mallctl(names[i], NULL, &length, NULL, 0), EINVAL);
        for (length = 0; length <= 8; length++) {
            size_t given = length;
            if (length != sizeof(unsigned)) {
                assert_int_equal(mallctl(names[i], &index, &given, NULL, 0), EINVAL);
                assert_int_equal(given, 0);
            }
        }
        length = sizeof(unsigned);
        assert_int_equal(mallctl(names[i], &index, &length, &index, 3), EINVAL);
        assert_int_equal(arena_count(), before);
    }
    struct {
        extent_hooks_t *hooks;
        bool own_memory_by_hooks;
    } config = {NULL, false};
    unsigned arena = 0;
    size_t length = sizeof arena;
    assert_int_equal(mallctl(names[1], &arena, &length, &config, sizeof config), 0);
    fill(arena);
    assert_int_equal(act(arena, "destroy"), 0);
    extent_hooks_t *none = NULL;
    assert_int_equal(mallctl(names[0], &arena, &length, &none, sizeof none), 0);
    assert_int_equal(act(arena, "destroy"), 0);
}

/* Blocks of the arena lie in the caller's cache: they come out before their arena ends. */
static void the_callers_cache_forgets_the_arena(void **state)
{
    (void)state;
    unsigned arena = make();
    void *block = mallocx(700, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
    free(block);
    assert_int_equal(act(arena, "destroy"), 0);
    for (unsigned i = 0; i < 100; i++) {
        char *other = malloc(700);
        memset(other, 1, 700);
        assert_true(arena_of(other) != arena);
    }
}

static void the_active_pages_are_right_at_their_address(void **state)
{
    (void)state;
    unsigned arena = make();
    char name[80];
    snprintf(name, sizeof name, "experimental.arenas.%u.pactivep", arena);
    fill(arena);
    const size_t *pages = NULL;
    size_t length = sizeof pages;
    assert_int_equal(mallctl(name, (void *)&pages, &length, NULL, 0), 0);
    void *block = NULL;
    for (unsigned i = 0; i < 60; i++) {
        refresh();
        EXPECT(*pages == stat_of(arena, "pactive"), "step %u: %zu pages, not %lu", i, *pages,
               (unsigned long)stat_of(arena, "pactive"));
        size_t before = *pages;
        if (i % 3 == 0) {
            block = mallocx((size_t)100000 << (i % 8), MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
            assert_true(*pages > before);
        } else if (i % 3 == 1) {
            size_t wish = sallocx(block, 0) / 2 + 4095;
            (void)xallocx(block, wish - wish % 4096, 0, 0);
            assert_true(*pages < before);
        } else {
            dallocx(block, MALLOCX_TCACHE_NONE);
            assert_true(*pages < before);
        }
    }
    assert_int_equal(act(arena, "reset"), 0);
    assert_int_equal(*pages, 0);
    assert_int_equal(act(arena, "destroy"), 0);
    assert_int_equal(mallctl(name, (void *)&pages, &length, NULL, 0), ENOENT);
    assert_int_equal(mallctl("experimental.arenas.4096.pactivep", (void *)&pages, &length, NULL, 0),
                     EFAULT);
}

/* The most that address space without memory grew by while an arena took 96 MiB. */
static size_t largest_step(unsigned arena)
{
    enum { TAKEN = 96 };
    size_t largest = 0;
    size_t before = 0;
    for (unsigned i = 0; i < TAKEN; i++) {
        assert_non_null(mallocx(1 << 20, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE));
        refresh();
        size_t retained = read_sized("stats.retained", sizeof retained);
        if (i > 0 && retained > before && retained - before > largest) {
            largest = retained - before;
        }
        before = retained;
    }
    return largest;
}

static void address_space_grows_by_steps_up_to_the_limit(void **state)
{
    (void)state;
    unsigned roomy = make();
    unsigned tight = make();
    char name[80];
    snprintf(name, sizeof name, "arena.%u.retain_grow_limit", tight);
    assert_true(read_sized(name, sizeof(size_t)) == (size_t)0x7000000000000000);
    static const struct {
        size_t written;
        int result;
        size_t read;
    } limits[] = {{100, EFAULT, (size_t)0x7000000000000000},
                  {SIZE_MAX, EFAULT, (size_t)0x7000000000000000},
                  {5000, 0, 4096},
                  {3 << 20, 0, 3 << 20},
                  {2 << 20, 0, 2 << 20}};
    for (unsigned i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        size_t limit = limits[i].written;
        assert_int_equal(mallctl(name, NULL, NULL, &limit, sizeof limit), limits[i].result);
        assert_int_equal(read_sized(name, sizeof limit), limits[i].read);
    }
    (void)largest_step(roomy);
    assert_true(largest_step(roomy) >= 6 << 20);
    (void)largest_step(tight); /* uses up what the steps before have left */
    assert_true(largest_step(tight) <= 2 << 20);
    assert_int_equal(act(roomy, "destroy"), 0);
    assert_int_equal(act(tight, "destroy"), 0);
}

static void a_forked_child_has_its_own(void **state)
{
    (void)state;
    unsigned arena = make();
    fill(arena);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool emptied = act(arena, "reset") == 0;
        void *block = mallocx(5000, MALLOCX_ARENA(arena));
        memset(block, 1, 5000);
        dallocx(block, MALLOCX_TCACHE_NONE);
        _exit(emptied && act(arena, "destroy") == 0 && make() == arena ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    refresh();
    assert_int_equal(stat_of(arena, "bins.7.curregs"), EACH);
    assert_int_equal(act(arena, "destroy"), 0);
}

static _Atomic bool stop;

/* Makes an arena, fills it and ends it, over and over. */
static void *make_and_end(void *rounds)
{
    for (unsigned i = 0; i < *(unsigned *)rounds; i++) {
        unsigned arena = make();
        for (unsigned j = 0; j < 200; j++) {
            size_t size = (size_t)(j * 37 % 200 + 1) << (j % 12);
            char *block = mallocx(size, MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE);
            block[0] = block[size - 1] = (char)j;
        }
        if (i % 2 == 0) {
            assert_int_equal(act(arena, "reset"), 0);
        }
        assert_int_equal(act(arena, "destroy"), 0);
    }
    return NULL;
}

/* Whoever looks at all arenas meets those that come and go. */
static void *look_at_all(void *unused)
{
    while (!stop) {
        refresh();
        (void)mallctl("arena.4096.decay", NULL, NULL, NULL, 0);
        free(malloc(3000));
    }
    return unused;
}

static void threads_make_and_end_arenas_at_once(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    pthread_t looker;
    unsigned rounds = LIBRARY_IS_PREFIXED ? 20 : 60;
    unsigned before = arena_count();
    assert_int_equal(pthread_create(&looker, NULL, look_at_all, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_end, &rounds), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            unsigned arena = make();
            (void)mallocx(100, MALLOCX_ARENA(arena));
            _exit(act(arena, "destroy"));
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    stop = true;
    assert_int_equal(pthread_join(looker, NULL), 0);
    assert_true(arena_count() <= before + THREADS);
}

static _Atomic unsigned meeting_place;
static _Atomic unsigned joined;

enum { JOINS = 10 };

/* Ends one arena over and over, as soon as no thread uses it. */
static void *end_and_make(void *rounds)
{
    for (unsigned i = 0; i < *(unsigned *)rounds || joined < JOINS; i++) {
        while (act(meeting_place, "destroy") != 0) {
            sched_yield();
        }
        meeting_place = make();
        sched_yield();
    }
    stop = true;
    return NULL;
}

static void a_thread_joins_no_arena_that_ends(void **state)
{
    (void)state;
    enum { SIZE = 3000 };
    pthread_t ender;
    unsigned rounds = LIBRARY_IS_PREFIXED ? 500 : 4000;
    unsigned home = 0;
    stop = false;
    meeting_place = make();
    assert_int_equal(pthread_create(&ender, NULL, end_and_make, &rounds), 0);
    while (!stop) {
        unsigned place = meeting_place;
        int error = mallctl("thread.arena", NULL, NULL, &place, sizeof place);
        if (error == 0) {
            EXPECT(is_there(place), "arena %u is used and is not there", place);
            void *block = malloc(SIZE);
            assert_int_equal(arena_of(block), place);
            dallocx(block, MALLOCX_TCACHE_NONE);
            assert_int_equal(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
            assert_int_equal(mallctl("thread.arena", NULL, NULL, &home, sizeof home), 0);
        } else {
            assert_int_equal(error, EFAULT);
        }
        joined += error == 0;
    }
    assert_int_equal(pthread_join(ender, NULL), 0);
    assert_int_equal(act(meeting_place, "destroy"), 0);
}

/* Tasks of the program under options. */

static unsigned automatic_count(void)
{
    return (unsigned)read_sized("opt.narenas", sizeof(unsigned));
}

static void expect_oversize_from(size_t from)
{
    unsigned oversize = automatic_count();
    static const size_t sizes[] = {16384,   20000,   32768,   60000,    100000,
                                   1 << 20, 2 << 20, 8 << 20, 100 << 20};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *blocks[] = {malloc(sizes[i]), calloc(1, sizes[i]),
                          mallocx(sizes[i], MALLOCX_ALIGN(64)), realloc(malloc(10), sizes[i])};
        for (unsigned j = 0; j < 4; j++) {
            unsigned expected = from != 0 && sizes[i] >= from ? oversize : 0;
            EXPECT(arena_of(blocks[j]) == expected, "%zu bytes by way %u are in arena %u", sizes[i],
                   j, arena_of(blocks[j]));
            free(blocks[j]);
        }
        void *asked = mallocx(sizes[i], MALLOCX_ARENA(0));
        assert_int_equal(arena_of(asked), 0);
        free(asked);
    }
    assert_int_equal(arena_count(), oversize + (from != 0));
    assert_int_equal(read_sized("opt.oversize_threshold", sizeof from), from);
}

static void oversize_blocks_have_an_arena_of_their_own(void **state)
{
    (void)state;
    static const char *const confs[] = {
        "narenas:3",
        "narenas:3,oversize_threshold:0",
        "narenas:3,oversize_threshold:1000",
        "narenas:3,oversize_threshold:60000",
        "narenas:3,tcache:false,oversize_threshold:16384",
        "narenas:3,oversize_threshold:20000",
        "narenas:3,oversize_threshold:60000,disable_large_size_classes:false"};
    static const char *const from[] = {"8388608", "0", "0", "60000", "16384", "20000", "60000"};
    for (unsigned i = 0; i < sizeof confs / sizeof confs[0]; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)setenv("MALLOC_CONF", confs[i], 1);
            (void)execl("/proc/self/exe", "test_manual_arenas", from[i], (char *)NULL);
            _exit(127);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        EXPECT(status == 0, "%s: status 0x%x", confs[i], status);
    }
}

static void an_arena_may_have_its_own_oversize_threshold(void **state)
{
    (void)state;
    assert_int_equal(read_sized("arena.0.oversize_threshold", sizeof(size_t)), 8 << 20);
    size_t bytes = 70000;
    assert_int_equal(mallctl("arena.0.oversize_threshold", NULL, NULL, &bytes, sizeof bytes), 0);
    void *below = malloc(60000);
    void *above = malloc(70000);
    assert_int_equal(arena_of(below), 0);
    assert_int_equal(arena_of(above), automatic_count());
    refresh();
    assert_true(stat_of(automatic_count(), "large.allocated") >= 70000);
    bytes = 8 << 20;
    size_t old = 0;
    size_t length = sizeof old;
    assert_int_equal(mallctl("arena.0.oversize_threshold", &old, &length, &bytes, sizeof bytes), 0);
    assert_int_equal(old, 70000);
    free(above);
    free(below);
    assert_int_equal(mallctl("arena.4096.oversize_threshold", &old, &length, NULL, 0), EFAULT);
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 1) {
        expect_oversize_from(strtoul(arguments[1], NULL, 10));
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_is_made_reset_and_destroyed),
        cmocka_unit_test(what_destroyed_arenas_counted_stays),
        cmocka_unit_test(only_arenas_of_the_program_can_be_emptied),
        cmocka_unit_test(making_one_needs_room_for_its_index),
        cmocka_unit_test(the_callers_cache_forgets_the_arena),
        cmocka_unit_test(the_active_pages_are_right_at_their_address),
        cmocka_unit_test(address_space_grows_by_steps_up_to_the_limit),
        cmocka_unit_test(a_forked_child_has_its_own),
        cmocka_unit_test(oversize_blocks_have_an_arena_of_their_own),
        cmocka_unit_test(an_arena_may_have_its_own_oversize_threshold),
        cmocka_unit_test(threads_make_and_end_arenas_at_once),
        cmocka_unit_test(a_thread_joins_no_arena_that_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
