/* test_background_threads.c: goal: with background_thread:true threads of the allocator give back
 * what falls unused, also while the program sleeps, and the program's threads leave that to them;
 * they come by need, and go at exit, on request and in a forked child, which makes its own.
 * Method: each scene runs in a process of its own with its configuration. The program defines
 * madvise() and counts who calls it; tasks are found by their names in /proc. What must come is
 * waited for, so only a hang fails the test.
 */
#include "api_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    BLOCKS = 16384,
    BLOCK_BYTES = 4096,
    HANG_SECONDS = 150,
    HELD_BYTES = 2 << 20,
    HELD_IN_CHILD_BYTES = 8 << 20,
    LIVE = 64,
};

/* ThreadSanitizer knows no threads in the children of a program with threads. AddressSanitizer of
 * gcc 12 does not hold the locks of its own allocator over fork: when another thread had one, the
 * child waits for it for ever, in pthread_create or at exit. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { FORKS = 0 };
#else
enum { FORKS = 9 };
#endif

static const char *own_path;
static const char thread_name[] = "jemalloc_bg_thd\n";

#define CHILD_EXPECT(condition)                                                \
    do {                                                                       \
        if (!(condition)) {                                                    \
            dprintf(2, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

static size_t resident_bytes(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    (void)close(file);
    CHILD_EXPECT(length > 0);
    text[length] = '\0';
    return strtoull(strchr(text, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* Reads /proc/self/task/<task>/<file> as text; false when the task is gone. */
static bool read_task(const char *task, const char *name, char *text, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/%s", task, name);
    int file = open(path, O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, text, size - 1);
    (void)close(file);
    text[length < 0 ? 0 : length] = '\0';
    return length > 0;
}

/* Whether a task is there, and no longer on its way out, where it has no signal mask. */
static bool read_blocked_signals(const char *task, uint64_t *mask)
{
    char text[4096];
    if (!read_task(task, "status", text, sizeof text)) {
        return false;
    }
    const char *state = strstr(text, "\nState:\t");
    const char *blocked = strstr(text, "\nSigBlk:\t");
    CHILD_EXPECT(state != NULL && blocked != NULL);
    *mask = strtoull(blocked + sizeof "\nSigBlk:\t" - 1, NULL, 16);
    return strchr("XZ", state[sizeof "\nState:\t" - 1]) == NULL;
}

/* All are, but those that libc needs for itself, and those that cannot be. A task may begin to end
 * between its state and its mask, but then the state says so from now on. */
static bool is_there_and_blocks_signals(const char *task)
{
    const uint64_t open_signals = (uint64_t)7 << 31 | 1u << (SIGKILL - 1) | 1u << (SIGSTOP - 1);
    uint64_t mask = 0;
    for (unsigned tries = 0; tries < 2; tries++) {
        if (!read_blocked_signals(task, &mask)) {
            return false;
        }
        if ((mask | open_signals) == UINT64_MAX) {
            return true;
        }
    }
    dprintf(2, "task %s blocks %llx\n", task, (unsigned long long)mask);
    _exit(1);
}

/* A thread that has been joined may be seen a moment longer: what is to be gone is waited for. */
static unsigned threads_there(void)
{
    unsigned found = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (const struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        char name[32];
        found += read_task(entry->d_name, "comm", name, sizeof name) &&
                 strcmp(name, thread_name) == 0 && is_there_and_blocks_signals(entry->d_name);
    }
    closedir(tasks);
    return found;
}

static void wait_for_threads(unsigned count)
{
    while (threads_there() != count) {
        usleep(2000);
    }
}

/* Calls of madvise() by the program's threads. */
static atomic_uint purges;
static atomic_uint purges_of_ours;
static atomic_uint huge_pages_by_ours;

int madvise(void *address, size_t size_bytes, int advice)
{
    char name[32] = "";
    int file = open("/proc/thread-self/comm", O_RDONLY | O_CLOEXEC);
    (void)!read(file, name, sizeof name - 1);
    (void)close(file);
    bool is_ours = strcmp(name, thread_name) == 0;
    atomic_fetch_add(is_ours ? &purges_of_ours : &purges, 1);
    atomic_fetch_add(&huge_pages_by_ours, is_ours && advice == MADV_HUGEPAGE);
    return (int)syscall(SYS_madvise, address, size_bytes, advice);
}

static char *blocks[BLOCKS];

static void fill(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i] == NULL) {
            blocks[i] = malloc(BLOCK_BYTES);
            memset(blocks[i], 1, BLOCK_BYTES);
        }
    }
}

static void free_from(unsigned first)
{
    for (unsigned i = first; i < BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

/* Waits for what was freed to leave, but for what caches and half-empty slabs may hold. A forked
 * child's count of pages is rough, since it maps files anew. */
static void free_and_wait(size_t held_bytes)
{
    size_t peak = resident_bytes();
    free_from(LIVE);
    const size_t freed = (size_t)(BLOCKS - LIVE) * BLOCK_BYTES;
    while (resident_bytes() + freed > peak + held_bytes) {
        usleep(10000);
    }
}

/* Twice, so that the allocator takes it for a program that swings, and keeps more. */
static void fall_idle(size_t held_bytes)
{
    fill();
    free_from(LIVE);
    fill();
    wait_for_threads(1); /* It is made by now, and names itself. */
    free_and_wait(held_bytes);
}

static void read_value(const char *name, void *value, size_t length)
{
    size_t actual = length;
    CHILD_EXPECT(mallctl(name, value, &actual, NULL, 0) == 0);
    CHILD_EXPECT(actual == length);
}

static size_t thread_count(void)
{
    size_t count;
    uint64_t epoch = 1;
    CHILD_EXPECT(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0);
    read_value("stats.background_thread.num_threads", &count, sizeof count);
    return count;
}

static bool is_on(void)
{
    bool on;
    read_value("background_thread", &on, sizeof on);
    return on;
}

static void turn(bool on)
{
    CHILD_EXPECT(mallctl("background_thread", NULL, NULL, &on, sizeof on) == 0);
    CHILD_EXPECT(is_on() == on);
}

static void scene_idle(void)
{
    CHILD_EXPECT(is_on());
    CHILD_EXPECT(threads_there() == 0); /* Nothing needs it yet. */
    CHILD_EXPECT(thread_count() == 0);
    fall_idle(HELD_BYTES);
    CHILD_EXPECT(thread_count() == 1);
    uint64_t runs;
    uint64_t interval;
    read_value("stats.background_thread.num_runs", &runs, sizeof runs);
    read_value("stats.background_thread.run_interval", &interval, sizeof interval);
    CHILD_EXPECT(runs > 0);
    CHILD_EXPECT(interval > 0);
}

/* While it works, frees of the program purge nothing by time or by the cap; without it they do. */
static void scene_relief(void)
{
    for (unsigned round = 0; round < 2; round++) {
        fill();
        atomic_store(&purges, 0);
        atomic_store(&purges_of_ours, 0);
        free_from(LIVE);
        for (unsigned i = 0; i < 100; i++) {
            free(malloc(64 * 1024));
            usleep(2000);
        }
        if (is_on()) {
            CHILD_EXPECT(atomic_load(&purges) == 0);
            while (atomic_load(&purges_of_ours) == 0) {
                usleep(2000);
            }
            turn(false);
        } else {
            CHILD_EXPECT(atomic_load(&purges) > 0);
            CHILD_EXPECT(atomic_load(&purges_of_ours) == 0);
        }
    }
}

static void scene_request(void)
{
    CHILD_EXPECT(!is_on());
    fill();
    free_from(LIVE);
    CHILD_EXPECT(threads_there() == 0);
    for (unsigned i = 0; i < 20; i++) {
        turn(true);
        turn(true);
        wait_for_threads(1); /* It names itself. */
        CHILD_EXPECT(thread_count() == 1);
        turn(false);
        turn(false);
        CHILD_EXPECT(thread_count() == 0);
        wait_for_threads(0);
    }
    turn(true);
    fall_idle(HELD_BYTES);
}

static void *use_arena(void *opaque)
{
    unsigned arena = (unsigned)(uintptr_t)opaque;
    CHILD_EXPECT(mallctl("thread.arena", NULL, NULL, &arena, sizeof arena) == 0);
    free(malloc(100000));
    void *kept = malloc(3000000);
    memset(kept, 1, 3000000);
    free(kept);
    return NULL;
}

static void use_arenas(unsigned count)
{
    for (uintptr_t i = 0; i < count; i++) {
        pthread_t thread;
        CHILD_EXPECT(pthread_create(&thread, NULL, use_arena, (void *)i) == 0);
        CHILD_EXPECT(pthread_join(thread, NULL) == 0);
    }
}

/* One for each arena, as far as the limit goes. */
static void scene_many(void)
{
    turn(true);
    wait_for_threads(1);
    use_arenas(6);
    wait_for_threads(3);
    while (thread_count() != 3) {
        usleep(2000); /* The last may run before the one that makes it says that it is there. */
    }
    size_t limit;
    read_value("max_background_threads", &limit, sizeof limit);
    CHILD_EXPECT(limit == 3);
    for (size_t bad = 0; bad <= 4; bad += 4) {
        CHILD_EXPECT(mallctl("max_background_threads", NULL, NULL, &bad, sizeof bad) == EINVAL);
    }
    limit = 2;
    CHILD_EXPECT(mallctl("max_background_threads", NULL, NULL, &limit, sizeof limit) == 0);
    use_arenas(6);
    wait_for_threads(2);
    read_value("max_background_threads", &limit, sizeof limit);
    CHILD_EXPECT(limit == 2);
    fill();
    free_and_wait(HELD_BYTES);
    turn(false);
    wait_for_threads(0);
}

static void wait_for_child(pid_t child)
{
    int status = -1;
    CHILD_EXPECT(waitpid(child, &status, 0) == child);
    CHILD_EXPECT(status == 0);
}

static void scene_fork(void)
{
    fall_idle(HELD_BYTES);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        CHILD_EXPECT(child >= 0);
        if (child == 0) {
            (void)alarm(HANG_SECONDS);
            CHILD_EXPECT(is_on());
            free(malloc(5000));
            CHILD_EXPECT(threads_there() == 0); /* It reads and writes what it has. */
            CHILD_EXPECT(thread_count() == 0);
            if (i % 3 == 0) {
                fall_idle(HELD_IN_CHILD_BYTES);
                CHILD_EXPECT(threads_there() == 1);
            } else if (i % 3 == 1) {
                turn(false);
                turn(true);
                wait_for_threads(1);
            }
            exit(0);
        }
        fill();
        free_from((unsigned)i);
        wait_for_child(child);
    }
    fall_idle(HELD_BYTES);
    turn(false);
    wait_for_threads(0);
}

static void *keep_allocating(void *opaque)
{
    const atomic_bool *stop = opaque;
    for (unsigned i = 0; !atomic_load(stop); i++) {
        void *block = malloc(100 + i % 300000);
        memset(block, 1, 100);
        free(block);
    }
    return NULL;
}

/* Toggled by two threads beside one that works and one that forks. */
static void *toggle(void *unused)
{
    for (unsigned i = 0; i < 100; i++) {
        bool on = i % 2 == 0;
        CHILD_EXPECT(mallctl("background_thread", NULL, NULL, &on, sizeof on) == 0);
        size_t limit = 1 + i % 3;
        CHILD_EXPECT(mallctl("max_background_threads", NULL, NULL, &limit, sizeof limit) == 0);
    }
    return unused;
}

static void scene_toggle(void)
{
    pthread_t threads[3];
    atomic_bool stop = false;
    CHILD_EXPECT(pthread_create(&threads[0], NULL, keep_allocating, &stop) == 0);
    CHILD_EXPECT(pthread_create(&threads[1], NULL, toggle, NULL) == 0);
    CHILD_EXPECT(pthread_create(&threads[2], NULL, toggle, NULL) == 0);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        CHILD_EXPECT(child >= 0);
        if (child == 0) {
            (void)alarm(HANG_SECONDS);
            turn(i % 2 == 0);
            free(malloc(100));
            exit(0);
        }
        wait_for_child(child);
    }
    CHILD_EXPECT(pthread_join(threads[1], NULL) == 0);
    CHILD_EXPECT(pthread_join(threads[2], NULL) == 0);
    atomic_store(&stop, true);
    CHILD_EXPECT(pthread_join(threads[0], NULL) == 0);
    turn(false);
    wait_for_threads(0);
}

/* Handlers run in the reverse order: this one after the allocator's, which its first call set. */
__attribute__((destructor)) static void check_at_exit(void)
{
    const char *wanted = getenv("CHECK_AT_EXIT");
    if (wanted != NULL) {
        wait_for_threads(0);
    }
}

static void scene_exit(void)
{
    (void)setenv("CHECK_AT_EXIT", "1", 1);
    fall_idle(HELD_BYTES);
    exit(0);
}

/* A thread that never asked for memory ends and lets libc free cached stacks, under libc's lock. */
static void *do_nothing(void *barrier)
{
    pthread_barrier_wait(barrier);
    return NULL;
}

static void scene_stacks(void)
{
    enum { ROUNDS = 3, THREADS = 24 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_attr_t attributes;
        static pthread_barrier_t barriers[ROUNDS]; /* left alone: a last waiter may still look */
        pthread_barrier_t *barrier = &barriers[round];
        pthread_barrier_init(barrier, NULL, THREADS + 1);
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        for (unsigned i = 0; i < THREADS; i++) {
            pthread_t thread;
            CHILD_EXPECT(pthread_create(&thread, &attributes, do_nothing, barrier) == 0);
        }
        pthread_barrier_wait(barrier);
        usleep(20000);
        fill();
        free_from(0);
    }
}

/* Looks that the threads have made. */
static uint64_t look_count(void)
{
    uint64_t runs;
    (void)thread_count();
    read_value("stats.background_thread.num_runs", &runs, sizeof runs);
    return runs;
}

/* Chunks that become dense while it sleeps, since all others are huge pages: it looks no more. Then
 * the program calls nothing. */
static void scene_huge_pages(void)
{
    fill();
    wait_for_threads(1);
    for (uint64_t looks = 0; look_count() != looks || atomic_load(&huge_pages_by_ours) == 0;) {
        looks = look_count();
        usleep(400000);
    }
    unsigned before = atomic_load(&huge_pages_by_ours);
    void *more[100];
    for (unsigned i = 0; i < sizeof more / sizeof more[0]; i++) {
        more[i] = malloc(64 * 1024);
        CHILD_EXPECT(more[i] != NULL);
    }
    while (atomic_load(&huge_pages_by_ours) == before) {
        usleep(2000);
    }
    for (unsigned i = 0; i < sizeof more / sizeof more[0]; i++) {
        free(more[i]);
    }
}

static const struct scene {
    const char *name;
    void (*play)(void);
    const char *configuration;
} scenes[] = {
    {"idle", scene_idle, "background_thread:true,dirty_decay_ms:300"},
    {"relief", scene_relief, "background_thread:true,dirty_decay_ms:300"},
    {"request", scene_request, "dirty_decay_ms:100"},
    {"many", scene_many, "max_background_threads:3,dirty_decay_ms:100,narenas:8"},
    {"fork", scene_fork, "background_thread:true,dirty_decay_ms:50"},
    {"toggle", scene_toggle, "dirty_decay_ms:50,narenas:4"},
    {"exit", scene_exit, "background_thread:true,dirty_decay_ms:50"},
    {"stacks", scene_stacks, "background_thread:true,dirty_decay_ms:50"},
    {"stacks", scene_stacks, "idle_purge:true,dirty_decay_ms:50"},
    {"huge_pages", scene_huge_pages,
     "background_thread:true,narenas:1,hpa:true,hpa_hugify_delay_ms:300,dirty_decay_ms:-1"},
};

static void play(const char *name)
{
    for (unsigned i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        if (strcmp(scenes[i].name, name) == 0) {
            scenes[i].play();
            exit(0);
        }
    }
    _exit(98);
}

static void every_scene_ends_well(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
        int status = -1;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)setenv("MALLOC_CONF", scenes[i].configuration, 1);
            (void)execl(own_path, own_path, scenes[i].name, (char *)NULL);
            _exit(99);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        EXPECT(status == 0, "scene %s: status 0x%x", scenes[i].name, (unsigned)status);
    }
}

int main(int argument_count, char **arguments)
{
    own_path = arguments[0];
    if (argument_count > 1) {
        (void)alarm(HANG_SECONDS);
        play(arguments[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scene_ends_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
