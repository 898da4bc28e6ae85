/* test_explicit_caches.c: goal: what programs can see of caches: those that they make and name by
 * MALLOCX_TCACHE, and what options and control names do to those of threads.
 * Method: blocks that a cache holds come back by it and by nothing else; regions in use, as
 * statistics count them, tell what caches hold; the program runs itself again under options.
 */
#include "api_test.h"

#include <pthread.h>
#include <sys/types.h>
#include <sys/wait.h>

static size_t regions_in_use(size_t size)
{
    uint64_t epoch = 1;
    size_t class_size = 0;
    size_t regions = 0;
    size_t length = sizeof class_size;
    char name[80];
    unsigned bin = 0;
    do {
        snprintf(name, sizeof name, "arenas.bin.%u.size", bin++);
        assert_int_equal(mallctl(name, &class_size, &length, NULL, 0), 0);
    } while (class_size < size);
    assert_int_equal(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
    snprintf(name, sizeof name, "stats.arenas.0.bins.%u.curregs", bin - 1);
    assert_int_equal(mallctl(name, &regions, &length, NULL, 0), 0);
    return regions;
}

static unsigned new_cache(void)
{
    unsigned id = 4242;
    size_t length = sizeof id;
    assert_int_equal(mallctl("tcache.create", &id, &length, NULL, 0), 0);
    return id;
}

static int act(const char *name, unsigned id)
{
    return mallctl(name, NULL, NULL, &id, sizeof id);
}

static void a_cache_keeps_its_blocks_to_itself(void **state)
{
    (void)state;
    unsigned one = new_cache();
    unsigned other = new_cache();
    assert_true(one != other);
    void *block = mallocx(700, MALLOCX_TCACHE(one));
    assert_non_null(block);
    dallocx(block, MALLOCX_TCACHE(one));
    void *second = mallocx(700, MALLOCX_TCACHE(other));
    void *third = malloc(700);
    assert_true(second != block && third != block);
    assert_ptr_equal(mallocx(700, MALLOCX_TCACHE(one)), block);
    dallocx(block, MALLOCX_TCACHE(other));
    assert_ptr_equal(mallocx(700, MALLOCX_TCACHE(other)), block);
    dallocx(block, MALLOCX_TCACHE_NONE);
    dallocx(second, 0);
    sdallocx(third, 700, MALLOCX_TCACHE(one));
    assert_int_equal(act("tcache.destroy", one), 0);
    assert_int_equal(act("tcache.destroy", other), 0);
    assert_int_equal(act("tcache.destroy", other), EFAULT);
}

static void flushing_and_ending_give_its_blocks_back(void **state)
{
    (void)state;
    enum { BLOCKS = 200, SIZE = 1500 };
    static void *blocks[BLOCKS];
    const char *const acts[] = {"tcache.flush", "tcache.destroy"};
    unsigned id = new_cache();
    size_t before = regions_in_use(SIZE);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = mallocx(SIZE, MALLOCX_TCACHE(id) | MALLOCX_ARENA(0));
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            dallocx(blocks[i], MALLOCX_TCACHE(id));
        }
        assert_true(regions_in_use(SIZE) > before);
        assert_int_equal(act(acts[round], id), 0);
        assert_int_equal(regions_in_use(SIZE), before);
    }
}

/* Blocks of 160 bytes that arenas were asked for. */
static uint64_t requests_of(unsigned arena)
{
    uint64_t epoch = 1;
    uint64_t requests = 0;
    size_t length = sizeof requests;
    char name[80];
    assert_int_equal(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
    snprintf(name, sizeof name, "stats.arenas.%u.bins.9.nrequests", arena);
    int result = mallctl(name, &requests, &length, NULL, 0);
    return result == ENOENT && arena == MALLCTL_ARENAS_DESTROYED ? 0 : result == 0 ? requests : 999;
}

static unsigned new_arena(void)
{
    unsigned arena;
    size_t length = sizeof arena;
    assert_int_equal(mallctl("arenas.create", &arena, &length, NULL, 0), 0);
    return arena;
}

static void destroy(unsigned arena)
{
    char name[40];
    snprintf(name, sizeof name, "arena.%u.destroy", arena);
    assert_int_equal(mallctl(name, NULL, NULL, NULL, 0), 0);
}

static void use(unsigned cache, unsigned arena, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int flags = MALLOCX_TCACHE(cache) | MALLOCX_ARENA(arena);
        dallocx(mallocx(160, flags), MALLOCX_TCACHE(cache));
    }
    assert_int_equal(act("tcache.flush", cache), 0);
}

/* What a cache counted for an arena is counted there when that ends, once. */
static void requests_of_a_destroyed_arena_stay_there(void **state)
{
    (void)state;
    unsigned cache = new_cache();
    unsigned arena = new_arena();
    uint64_t destroyed = requests_of(MALLCTL_ARENAS_DESTROYED);
    use(cache, arena, 70);
    assert_int_equal(requests_of(arena), 70);
    destroy(arena);
    assert_int_equal(requests_of(MALLCTL_ARENAS_DESTROYED), destroyed + 70);
    assert_int_equal(new_arena(), arena);
    assert_int_equal(requests_of(arena), 0);
    use(cache, arena, 30);
    assert_int_equal(requests_of(arena), 30);
    assert_int_equal(requests_of(MALLCTL_ARENAS_DESTROYED), destroyed + 70);
    assert_int_equal(act("tcache.destroy", cache), 0);
    assert_int_equal(requests_of(arena), 30);
    destroy(arena);
    assert_int_equal(requests_of(MALLCTL_ARENAS_DESTROYED), destroyed + 100);
}

/* Regions that the thread's cache keeps of many that are freed. */
static size_t kept_of_many(size_t size)
{
    enum { BLOCKS = 5000 };
    static void *blocks[BLOCKS];
    size_t before = regions_in_use(size);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(size);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    return regions_in_use(size) - before;
}

static int write_text(const char *name, const char *text)
{
    return mallctl(name, NULL, NULL, &text, sizeof text);
}

static int write_size(const char *name, size_t size)
{
    return mallctl(name, NULL, NULL, &size, sizeof size);
}

static void *bound_own_cache(void *unused)
{
    unsigned first = 0;
    assert_int_equal(mallctl("thread.arena", NULL, NULL, &first, sizeof first), 0);
    assert_true(kept_of_many(64) > 20);
    assert_int_equal(write_text("thread.tcache.ncached_max.write", "64-64:9"), 0);
    assert_int_equal(kept_of_many(64) <= 9, true);
    assert_int_equal(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
    assert_int_equal(kept_of_many(64) > 0, true);
    assert_int_equal(write_size("thread.tcache.max", 500), 0);
    assert_int_equal(kept_of_many(700), 0);
    assert_true(kept_of_many(320) > 0);
    return unused;
}

static void a_thread_bounds_its_own_cache(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, bound_own_cache, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    size_t max = 0;
    size_t length = sizeof max;
    assert_int_equal(mallctl("thread.tcache.max", &max, &length, NULL, 0), 0);
    assert_int_equal(max, 32768);
}

static bool enabled_now(void)
{
    bool enabled = false;
    size_t length = sizeof enabled;
    assert_int_equal(mallctl("thread.tcache.enabled", &enabled, &length, NULL, 0), 0);
    return enabled;
}

static int play_disabled(void)
{
    bool on = true;
    bool was_on = enabled_now();
    size_t kept_without = kept_of_many(64);
    int flushed = mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    int turned = mallctl("thread.tcache.enabled", NULL, NULL, &on, sizeof on);
    bool is_on = enabled_now();
    size_t kept_with = kept_of_many(64);
    size_t max = 0;
    size_t length = sizeof max;
    int read = mallctl("thread.tcache.max", &max, &length, NULL, 0);
    return was_on || kept_without > 0 || flushed != EFAULT || turned != 0 || !is_on ||
           kept_with == 0 || read != 0 || max != 32768;
}

static int play_max(void)
{
    size_t max = 0;
    unsigned bins = 0;
    size_t length = sizeof max;
    int failed = mallctl("arenas.tcache_max", &max, &length, NULL, 0);
    length = sizeof bins;
    failed |= mallctl("arenas.nhbins", &bins, &length, NULL, 0);
    return failed || max != 1280 || bins != 22 || kept_of_many(1280) == 0 ||
           kept_of_many(1281) != 0;
}

static int play_slots(void)
{
    size_t small = kept_of_many(64);
    size_t none = kept_of_many(2000);
    return small == 0 || small > 6 || none != 0;
}

static const struct play {
    const char *options;
    int (*body)(void);
} plays[] = {
    {"tcache:false", play_disabled},
    {"tcache_max:1025", play_max},
    {"tcache_nslots_small_max:6,tcache_nslots_small_min:2,tcache_ncached_max:1792-2048:0",
     play_slots},
    {"tcache_ncached_max:8-320:6|2048-2048:0", play_slots},
};

static void options_reach_the_caches(void **state)
{
    (void)state;
    if (LIBRARY_IS_PREFIXED) {
        skip();
    }
    for (unsigned i = 0; i < sizeof plays / sizeof plays[0]; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            setenv("MALLOC_CONF", plays[i].options, 1);
            char number[2] = {(char)('0' + i), '\0'};
            execl("/proc/self/exe", "test_explicit_caches", number, (char *)NULL);
            _exit(127);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        EXPECT(status == 0, "%s: 0x%x", plays[i].options, (unsigned)status);
    }
}

static void a_thread_takes_any_automatic_arena(void **state)
{
    (void)state;
    unsigned count = 0;
    unsigned home = 0;
    size_t length = sizeof count;
    assert_int_equal(mallctl("opt.narenas", &count, &length, NULL, 0), 0);
    assert_int_equal(mallctl("thread.arena", &home, &length, NULL, 0), 0);
    unsigned last = count - 1;
    unsigned now = 4242;
    bool off = false;
    bool on = true;
    assert_int_equal(mallctl("thread.arena", NULL, NULL, &last, sizeof last), 0);
    assert_int_equal(mallctl("thread.arena", &now, &length, &home, sizeof home), 0);
    assert_int_equal(now, last);
    assert_int_equal(mallctl("thread.tcache.enabled", NULL, NULL, &off, sizeof off), 0);
    assert_int_equal(mallctl("thread.arena", NULL, NULL, &last, sizeof last), 0);
    assert_int_equal(mallctl("thread.arena", &now, &length, &home, sizeof home), 0);
    assert_int_equal(now, last);
    assert_int_equal(mallctl("thread.tcache.enabled", NULL, NULL, &on, sizeof on), 0);
    unsigned none = 4095;
    assert_int_equal(mallctl("thread.arena", NULL, NULL, &none, sizeof none), EFAULT);
}

int main(int argument_count, char **arguments)
{
    if (argument_count > 1) {
        return plays[arguments[1][0] - '0'].body();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cache_keeps_its_blocks_to_itself),
        cmocka_unit_test(flushing_and_ending_give_its_blocks_back),
        cmocka_unit_test(requests_of_a_destroyed_arena_stay_there),
        cmocka_unit_test(a_thread_bounds_its_own_cache),
        cmocka_unit_test(a_thread_takes_any_automatic_arena),
        cmocka_unit_test(options_reach_the_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
