/* test_arena_meetings.c: goal: arenas that a program resets and destroys get on with what happens
 * to them meanwhile: purges, allocation behind guards, blocks that are held back, helpers, hooks
 * whose descriptors serve again, forks.
 * Method: the program runs itself again with the options of each meeting; a hang is ended by an
 * alarm, and the library's own checks abort.
 */
#include "option_task.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { ROUNDS = 4000, RESETS = 6000, OUTSIDE_CACHES = MALLOCX_TCACHE_NONE };

static unsigned arena;
static atomic_bool stop;

static unsigned new_arena(const void *hooks)
{
    unsigned index = UINT32_MAX;
    size_t length = sizeof index;
    bool done = mallctl("arenas.create", &index, &length, hooks != NULL ? &hooks : NULL,
                        hooks != NULL ? sizeof hooks : 0) == 0;
    if (!done) {
        exit(2);
    }
    return index;
}

static bool act(unsigned index, const char *what)
{
    char name[64];
    (void)snprintf(name, sizeof name, "arena.%u.%s", index, what);
    return mallctl(name, NULL, NULL, NULL, 0) == 0;
}

static void *purge_on(void *unused)
{
    while (!atomic_load(&stop)) {
        (void)act(arena, "purge");
    }
    return unused;
}

static void *allocate_on(void *unused)
{
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        (void)mallocx((size_t)16 << (i % 6), MALLOCX_ARENA(arena) | OUTSIDE_CACHES);
    }
    return unused;
}

/* Purging took a slab out of its bin, and a reset found it in the map: a matter of luck, so this
 * scene alone proves little. */
static int reset_beside(void *(*other)(void *))
{
    pthread_t thread;
    arena = new_arena(NULL);
    if (pthread_create(&thread, NULL, other, NULL) != 0) {
        return 2;
    }
    for (unsigned round = 0; round < RESETS; round++) {
        void *blocks[200];
        for (unsigned i = 0; i < 200; i++) {
            blocks[i] = mallocx(4096, MALLOCX_ARENA(arena) | OUTSIDE_CACHES);
        }
        for (unsigned i = 0; other == purge_on && i < 150; i++) {
            dallocx(blocks[i], OUTSIDE_CACHES);
        }
        if (!act(arena, "reset")) {
            return 3;
        }
    }
    atomic_store(&stop, true);
    return pthread_join(thread, NULL);
}

static int reset_beside_purge(void)
{
    return reset_beside(purge_on);
}

static void *reset_on(void *unused)
{
    while (!atomic_load(&stop)) {
        for (unsigned i = 0; i < 8; i++) {
            (void)mallocx(4 << 20, MALLOCX_ARENA(arena) | OUTSIDE_CACHES);
        }
        (void)act(arena, "reset");
    }
    return unused;
}

static int reset_beside_reset(void)
{
    return reset_beside(reset_on);
}

static int reset_beside_allocation(void)
{
    return reset_beside(allocate_on);
}

/* Blocks that the program freed are held back when their arena goes; others then take the queue. */
static int discard_what_is_held(const char *how)
{
    void *blocks[100];
    static void *later[600];
    arena = new_arena(NULL);
    for (unsigned i = 0; i < 100; i++) {
        blocks[i] = mallocx(4096, MALLOCX_ARENA(arena) | OUTSIDE_CACHES);
    }
    for (unsigned i = 0; i < 100; i++) {
        free(blocks[i]);
    }
    if (!act(arena, how)) {
        return 2;
    }
    for (unsigned i = 0; i < 100 && strcmp(how, "reset") == 0; i++) {
        memset(mallocx(4096, MALLOCX_ARENA(arena) | OUTSIDE_CACHES), 'n', 4096);
    }
    for (unsigned i = 0; i < 600; i++) {
        later[i] = malloc(4096);
    }
    for (unsigned i = 0; i < 600; i++) {
        free(later[i]);
    }
    return mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}

static int reset_what_is_held(void)
{
    return discard_what_is_held("reset");
}

static int destroy_what_is_held(void)
{
    return discard_what_is_held("destroy");
}

/* One automatic arena has one helper; the program's arenas are its work too. */
static int leave_dirty_arenas(void)
{
    enum { ARENAS = 5, BLOCKS = 64, BLOCK_BYTES = 512 * 1024 };
    static void *blocks[BLOCKS];
    for (unsigned a = 0; a < ARENAS; a++) {
        unsigned index = new_arena(NULL);
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = mallocx(BLOCK_BYTES, MALLOCX_ARENA(index) | OUTSIDE_CACHES);
            memset(blocks[i], 1, BLOCK_BYTES);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            dallocx(blocks[i], OUTSIDE_CACHES);
        }
    }
    free(malloc(100));
    while (stat_value("stats.arenas.4096.pdirty") > 1000) {
        usleep(50000);
    }
    return 0;
}

static void *map_extent(extent_hooks_t *hooks, void *address, size_t size, size_t alignment,
                        bool *zero, bool *commit, unsigned index)
{
    (void)hooks;
    (void)index;
    if (address != NULL) {
        return NULL;
    }
    char *base =
        mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *first = base + (0 - (uintptr_t)base) % alignment;
    if (first > base) {
        (void)munmap(base, (size_t)(first - base));
    }
    (void)munmap(first + size, alignment - (size_t)(first - base));
    *zero = true;
    *commit = true;
    return first;
}

static bool unmap_extent(extent_hooks_t *hooks, void *address, size_t size, bool committed,
                         unsigned index)
{
    (void)hooks;
    (void)committed;
    (void)index;
    return munmap(address, size) != 0;
}

static int make_arenas_again_and_again(void)
{
    static extent_hooks_t hooks = {.alloc = map_extent, .dalloc = unmap_extent};
    size_t before = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned index = new_arena(&hooks);
        bool done = mallocx(100000, MALLOCX_ARENA(index) | OUTSIDE_CACHES) != NULL &&
                    mallocx(4 << 20, MALLOCX_ARENA(index) | OUTSIDE_CACHES) != NULL &&
                    act(index, "destroy");
        if (!done) {
            return 2;
        }
        before = round == 10 ? stat_value("stats.metadata") : before;
    }
    return stat_value("stats.metadata") > before + 16384 ? 3 : 0;
}

/* Hooks whose purge waits in one thread until it is told to go on. */

static atomic_uint purges_begun;
static _Thread_local bool is_slow;
static atomic_bool may_go_on;
static atomic_bool is_destroyed;
static atomic_uint hooks_after_the_end;
static atomic_uint unmapped_extents;

static bool purge_when_told(extent_hooks_t *hooks, void *address, size_t size, size_t offset,
                            size_t length, unsigned index)
{
    (void)hooks;
    (void)size;
    (void)index;
    atomic_fetch_add(&purges_begun, 1);
    while (is_slow && !atomic_load(&may_go_on)) {
        usleep(1000);
    }
    hooks_after_the_end += atomic_load(&is_destroyed);
    return madvise((char *)address + offset, length, MADV_DONTNEED) != 0;
}

static bool count_unmapped(extent_hooks_t *hooks, void *address, size_t size, bool committed,
                           unsigned index)
{
    unmapped_extents++;
    hooks_after_the_end += atomic_load(&is_destroyed);
    return unmap_extent(hooks, address, size, committed, index);
}

static extent_hooks_t slow_hooks = {
    .alloc = map_extent, .dalloc = count_unmapped, .purge_forced = purge_when_told};

static void *purge_once(void *unused)
{
    is_slow = true;
    (void)act(arena, "purge");
    return unused;
}

/* A thread has begun to purge an arena of two blocks, one of which is still in use, and stays in
 * the hook. */
static void *begin_slow_purge(pthread_t *purger)
{
    arena = new_arena(&slow_hooks);
    void *kept = mallocx(100000, MALLOCX_ARENA(arena) | OUTSIDE_CACHES);
    void *freed = mallocx(500000, MALLOCX_ARENA(arena) | OUTSIDE_CACHES);
    memset(freed, 1, 500000);
    dallocx(freed, OUTSIDE_CACHES);
    if (pthread_create(purger, NULL, purge_once, NULL) != 0) {
        exit(2);
    }
    while (atomic_load(&purges_begun) == 0) {
        usleep(1000);
    }
    return kept;
}

static void *let_go_on(void *unused)
{
    usleep(100000);
    atomic_store(&may_go_on, true);
    return unused;
}

/* Once a program has destroyed an arena it may forget what its hooks need. */
static int destroy_beside_slow_purge(void)
{
    pthread_t purger;
    pthread_t later;
    (void)begin_slow_purge(&purger);
    if (pthread_create(&later, NULL, let_go_on, NULL) != 0 || !act(arena, "destroy")) {
        return 2;
    }
    atomic_store(&is_destroyed, true);
    (void)pthread_join(later, NULL);
    (void)pthread_join(purger, NULL);
    return hooks_after_the_end == 0 ? 0 : 3;
}

/* The child has no thread that will end the purge, and can free all the same. */
static int fork_beside_slow_purge(void)
{
    pthread_t purger;
    void *kept = begin_slow_purge(&purger);
    pid_t child = fork();
    atomic_store(&may_go_on, true);
    if (child == 0) {
        (void)alarm(HANG_SECONDS);
        dallocx(kept, OUTSIDE_CACHES);
        bool purged = act(arena, "purge");
        _exit(purged && unmapped_extents == 1 && act(arena, "destroy") ? 0 : 3);
    }
    int status = -1;
    (void)waitpid(child, &status, 0);
    (void)pthread_join(purger, NULL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

static atomic_int error_on_helper = -1;

static bool purge_and_end_helpers(extent_hooks_t *hooks, void *address, size_t size, size_t offset,
                                  size_t length, unsigned index)
{
    char name[32] = "";
    (void)pthread_getname_np(pthread_self(), name, sizeof name);
    if (strcmp(name, "jemalloc_bg_thd") == 0) {
        bool on = false;
        error_on_helper = mallctl("background_thread", NULL, NULL, &on, sizeof on);
    }
    return purge_when_told(hooks, address, size, offset, length, index);
}

/* A helper cannot wait for its own end: the hook is told so. */
static int end_helpers_on_a_helper(void)
{
    static extent_hooks_t hooks = {.alloc = map_extent, .purge_forced = purge_and_end_helpers};
    bool on = true;
    arena = new_arena(&hooks);
    void *block = mallocx(500000, MALLOCX_ARENA(arena) | OUTSIDE_CACHES);
    memset(block, 1, 500000);
    if (mallctl("background_thread", NULL, NULL, &on, sizeof on) != 0) {
        return 2;
    }
    dallocx(block, OUTSIDE_CACHES);
    while (error_on_helper == -1) {
        usleep(20000);
    }
    on = false;
    bool ended = mallctl("background_thread", NULL, NULL, &on, sizeof on) == 0;
    return error_on_helper == EFAULT && ended ? 0 : 3;
}

static const struct task tasks[] = {
    {"reset_beside_purge", "narenas:1", reset_beside_purge},
    {"reset_beside_reset", "narenas:1", reset_beside_reset},
    {"destroy_beside_slow_purge", "narenas:1", destroy_beside_slow_purge},
    {"fork_beside_slow_purge", "narenas:1", fork_beside_slow_purge},
    {"end_helpers_on_a_helper", "narenas:1,dirty_decay_ms:200", end_helpers_on_a_helper},
    {"reset_beside_allocation", "san_guard_small:1", reset_beside_allocation},
    {"reset_what_is_held", "lg_san_uaf_align:12", reset_what_is_held},
    {"destroy_what_is_held", "lg_san_uaf_align:12", destroy_what_is_held},
    {"leave_dirty_arenas", "narenas:1,background_thread:true,dirty_decay_ms:400",
     leave_dirty_arenas},
    {"make_arenas_again_and_again", "narenas:1", make_arenas_again_and_again},
};

static void every_meeting_ends_well(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        expect_exit(tasks[i].conf, tasks[i].name, 0);
    }
}

int main(int argc, char **argv)
{
    begin_tasks(argc, argv, tasks, sizeof tasks / sizeof tasks[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_meeting_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
