/* test_hpa_threads.c: goal: with hpa:true no block is harmed while chunks become huge pages and are
 * broken up again, beside purges, forks, and arenas that are reset and destroyed; and the counters
 * agree at the end.
 * Method: a process of its own with each configuration, all of whose delays are short. Threads
 * allocate and free blocks with contents of random sizes; meanwhile the first thread makes arenas,
 * purges, and forks children that go on with what they inherited.
 */
#include "option_task.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 3, LIVE = 128, ROUNDS = 60, FAILED = 200 };

/* It knows no threads in the children of a program with threads. */
#ifdef __SANITIZE_THREAD__
enum { FORKS = 0 };
#else
enum { FORKS = 1 };
#endif

struct worker {
    pthread_t thread;
    uint64_t random;
    int flags;
    struct {
        unsigned char *start;
        size_t size;
    } live[LIVE];
};

static atomic_bool stop;
static atomic_uint steps;

#define CHILD_EXPECT(condition)                                                \
    do {                                                                       \
        if (!(condition)) {                                                    \
            dprintf(2, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _exit(FAILED);                                                     \
        }                                                                      \
    } while (0)

static size_t below(uint64_t *random, size_t end)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*random >> 33) % end;
}

static unsigned char mark_of(const struct worker *worker, size_t slot)
{
    return (unsigned char)(slot * 7 + worker->live[slot].size);
}

static void drop(struct worker *worker, size_t slot)
{
    unsigned char *start = worker->live[slot].start;
    size_t size = worker->live[slot].size;
    if (start != NULL) {
        CHILD_EXPECT(start[0] == mark_of(worker, slot));
        CHILD_EXPECT(start[size / 2] == mark_of(worker, slot));
        CHILD_EXPECT(start[size - 1] == mark_of(worker, slot));
        dallocx(start, worker->flags);
    }
    worker->live[slot].start = NULL;
}

/* Mostly large blocks, which make chunks dense and sparse; and some small ones, with holes. */
static void work(struct worker *worker, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        size_t slot = below(&worker->random, LIVE);
        drop(worker, slot);
        size_t size = 1 + below(&worker->random, below(&worker->random, 3) == 0 ? 4000 : 400000);
        worker->live[slot].start = mallocx(size, worker->flags);
        CHILD_EXPECT(worker->live[slot].start != NULL);
        worker->live[slot].size = size;
        memset(worker->live[slot].start, mark_of(worker, slot), size);
    }
}

static void drop_all(struct worker *worker)
{
    for (size_t slot = 0; slot < LIVE; slot++) {
        drop(worker, slot);
    }
}

static void *work_until_stopped(void *opaque)
{
    struct worker *worker = opaque;
    while (!atomic_load(&stop)) {
        work(worker, 20);
        atomic_fetch_add(&steps, 1);
    }
    drop_all(worker);
    return NULL;
}

static bool act(unsigned arena, const char *action)
{
    char name[64];
    snprintf(name, sizeof name, "arena.%u.%s", arena, action);
    return mallctl(name, NULL, NULL, NULL, 0) == 0;
}

/* An arena that is emptied by reset, filled again, and destroyed as it is. */
static void use_an_arena(uint64_t seed)
{
    unsigned arena;
    size_t length = sizeof arena;
    CHILD_EXPECT(mallctl("arenas.create", &arena, &length, NULL, 0) == 0);
    struct worker worker = {.random = seed};
    worker.flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
    work(&worker, 200);
    CHILD_EXPECT(act(arena, "reset"));
    memset(worker.live, 0, sizeof worker.live);
    work(&worker, 200);
    CHILD_EXPECT(act(arena, "decay"));
    CHILD_EXPECT(act(arena, "destroy"));
}

static void fork_a_child(uint64_t seed)
{
    pid_t child = fork();
    CHILD_EXPECT(child >= 0);
    if (child == 0) {
        (void)alarm(HANG_SECONDS);
        struct worker worker = {.random = seed};
        work(&worker, 100);
        drop_all(&worker);
        CHILD_EXPECT(act(4096, "purge"));
        _exit(0);
    }
    int status = -1;
    CHILD_EXPECT(waitpid(child, &status, 0) == child);
    CHILD_EXPECT(status == 0);
}

static size_t shard(const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "stats.arenas.4096.hpa_shard.%s", name);
    size_t value = stat_value(full);
    CHILD_EXPECT(value != (size_t)-1);
    return value;
}

static int mix(void)
{
    static struct worker workers[THREADS];
    (void)alarm(HANG_SECONDS);
    dallocx(mallocx(1, 0), 0); /* started by one thread */
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].random = i;
        CHILD_EXPECT(pthread_create(&workers[i].thread, NULL, work_until_stopped, &workers[i]) ==
                     0);
    }
    for (unsigned round = 0; round < ROUNDS || atomic_load(&steps) < ROUNDS; round++) {
        if (round % 4 == 0) {
            use_an_arena(round);
        } else if (round % 4 == 1 && FORKS > 0) {
            fork_a_child(round);
        } else {
            CHILD_EXPECT(act(4096, round % 8 == 2 ? "purge" : "decay"));
        }
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        CHILD_EXPECT(pthread_join(workers[i].thread, NULL) == 0);
    }
    CHILD_EXPECT(shard("nhugifies") > 0);
    CHILD_EXPECT(shard("npurges") >= shard("npurge_passes"));
    bool off = false;
    CHILD_EXPECT(mallctl("background_thread", NULL, NULL, &off, sizeof off) == 0);
    size_t huge = shard("slabs.npageslabs_huge");
    CHILD_EXPECT(huge <= shard("npageslabs"));
    CHILD_EXPECT(shard("nhugifies") - shard("ndehugifies") == huge);
    return 0;
}

static const char common[] = "hpa:true,narenas:2,hpa_min_purge_interval_ms:0,";

static void blocks_outlive_huge_pages(void **state)
{
    (void)state;
    static const char *const more[] = {
        "hpa_hugify_delay_ms:0,hpa_dirty_mult:0.01",
        "hpa_hugify_delay_ms:0,hpa_hugify_sync:true,hpa_hugification_threshold_ratio:0.5",
        "hpa_hugify_delay_ms:1,hpa_hugify_sync:true,background_thread:true,hpa_dirty_mult:0",
        "hpa_hugify_style:eager,hpa_hugify_delay_ms:1,idle_purge:true,retain:false",
    };
    for (unsigned i = 0; i < sizeof more / sizeof more[0]; i++) {
        char conf[256];
        snprintf(conf, sizeof conf, "%s%s", common, more[i]);
        expect_exit(conf, "mix", 0);
    }
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc == 2) {
        return mix();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_outlive_huge_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
