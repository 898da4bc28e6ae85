/* sample_tasks.c: goal: recent samples and logs of known steps, for check_samples to read.
 * Method: a task allocates, frees, and asks for them. A line of standard output is a text of the
 * library's, or an object of numbers that it is compared with.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jemalloc/jemalloc.h>

/* One line tells what is wrong, and the program ends. */
#define EXPECT(condition, ...)                                  \
    do {                                                        \
        if (!(condition)) {                                     \
            dprintf(STDERR_FILENO, "not so: %s: ", #condition); \
            dprintf(STDERR_FILENO, __VA_ARGS__);                \
            _exit(3);                                           \
        }                                                       \
    } while (0)

enum { BLOCKS = 300, BIG = 3 << 20 };

typedef void (*sink)(void *opaque, const char *text);
struct packet {
    sink write;
    void *opaque;
};

static void *kept[BLOCKS];

/* Two places where blocks are made and freed, whose traces tell them apart. */
static __attribute__((noinline)) void *allocate_here(size_t size)
{
    void *block = malloc(size);
    __asm__ volatile("" ::"r"(block) : "memory");
    return block;
}

static __attribute__((noinline)) void free_here(void *block)
{
    free(block);
    __asm__ volatile("" ::: "memory");
}

static int call(const char *name, const void *value, size_t size)
{
    return mallctl(name, NULL, NULL, (void *)(uintptr_t)value, size); /* NOLINT */
}

static int start_log(const char *path)
{
    return path != NULL ? call("prof.log_start", &path, sizeof path)
                        : call("prof.log_start", NULL, 0);
}

static int stop_log(void)
{
    return call("prof.log_stop", NULL, 0);
}

static void name_thread(const char *name)
{
    int result = call("thread.prof.name", &name, sizeof name);
    EXPECT(result == 0, "thread.prof.name: %d", result);
}

static int64_t set_max(int64_t max)
{
    int64_t before = -99;
    size_t length = sizeof before;
    int result = mallctl("experimental.prof_recent.alloc_max", &before, &length, &max, sizeof max);
    return result == 0 ? before : -100 - result;
}

static uint64_t allocated(void)
{
    uint64_t bytes = 0;
    size_t length = sizeof bytes;
    EXPECT(mallctl("thread.allocated", &bytes, &length, NULL, 0) == 0, "thread.allocated");
    return bytes;
}

static void write_text(void *opaque, const char *text)
{
    (void)opaque;
    (void)!write(STDOUT_FILENO, text, strlen(text));
}

/* Sampled blocks of its own, while the list is told. */
static void write_and_allocate(void *opaque, const char *text)
{
    void *block = allocate_here(48);
    write_text(opaque, text);
    free_here(block);
    free_here(kept[BLOCKS - 1]);
    kept[BLOCKS - 1] = allocate_here(96);
}

static void tell_recent(sink write)
{
    struct packet packet = {write, NULL};
    uint64_t before = allocated();
    int result = call("experimental.prof_recent.alloc_dump", &packet, sizeof packet);
    EXPECT(result == 0, "alloc_dump: %d", result);
    EXPECT(write != write_text || allocated() == before, "telling allocated");
    write_text(NULL, "\n");
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* dprintf() would allocate. */
static __attribute__((format(printf, 1, 2))) void tell_line(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    write_text(NULL, line);
}

static void tell_moment(void)
{
    tell_line(
        "{\"monotonic\":%llu,\"since_1970\":%llu,\"allocate\":%llu,\"free\":%llu,\"pid\":%d}\n",
        (unsigned long long)clock_ns(CLOCK_MONOTONIC), (unsigned long long)clock_ns(CLOCK_REALTIME),
        (unsigned long long)(uintptr_t)allocate_here, (unsigned long long)(uintptr_t)free_here,
        getpid());
}

static void *free_elsewhere(void *block)
{
    name_thread("oth\\er");
    free_here(block);
    return NULL;
}

static void in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, body, argument) == 0, "no thread");
    (void)pthread_join(thread, NULL);
}

/* With prof_recent_alloc_max:4. */
static int recent(void)
{
    tell_moment();
    name_thread("mai\"n");
    in_thread(free_elsewhere, NULL); /* What a first thread allocates is behind it. */
    void *first = allocate_here(10);
    void *blocks[4] = {allocate_here(100), allocate_here(5000), allocate_here(20000),
                       allocate_here(BIG)};
    free_here(first);
    free_here(blocks[1]);
    tell_recent(write_text);
    in_thread(free_elsewhere, blocks[2]);
    free_here(blocks[0]);
    free_here(blocks[3]);
    (void)set_max(4);
    tell_recent(write_text);
    tell_moment();
    return 0;
}

/* With lg_prof_sample:0 alone. */
static int recent_limits(void)
{
    void *before = allocate_here(10);
    EXPECT(set_max(3) == 0, "not 0 before");
    free_here(before);
    tell_recent(write_text);
    for (unsigned i = 0; i < 5; i++) {
        kept[i] = allocate_here(1000 + i);
    }
    EXPECT(set_max(2) == 3, "not 3 before");
    tell_recent(write_text);
    EXPECT(set_max(-1) == 2, "not 2 before");
    for (unsigned i = 5; i < 205; i++) {
        kept[i] = allocate_here(1000 + i);
    }
    tell_recent(write_text);
    EXPECT(set_max(-2) == -100 - EINVAL, "-2 is taken");
    EXPECT(set_max(0) == -1, "not -1 before");
    tell_recent(write_text);
    EXPECT(set_max(2) == 0, "not 0 before");
    tell_recent(write_text);
    for (unsigned i = 0; i < 205; i++) {
        free_here(kept[i]); /* They have lost their entries. */
    }
    tell_recent(write_text);
    return 0;
}

static int recent_busy(void)
{
    EXPECT(set_max(200) == 0, "not 0 before");
    for (unsigned i = 0; i < BLOCKS; i++) {
        kept[i] = allocate_here(100);
    }
    tell_recent(write_and_allocate);
    EXPECT(set_max(3) == 200, "not 200 before");
    tell_recent(write_text);
    return 0;
}

/* Its text goes where messages go. */
static int recent_message(void)
{
    tell_recent(NULL);
    return 0;
}

static int refusals(void)
{
    struct packet packet = {write_text, NULL};
    int64_t value = 1;
    size_t length = sizeof value;
    static const char dump[] = "experimental.prof_recent.alloc_dump";
    EXPECT(call(dump, &packet, 8) == EINVAL, "short packet");
    EXPECT(call(dump, NULL, 0) == EINVAL, "no packet");
    EXPECT(mallctl(dump, &value, &length, &packet, sizeof packet) == EPERM, "dump is read");
    EXPECT(call("experimental.prof_recent.alloc_max", &value, 4) == EINVAL, "short number");
    EXPECT(call("prof.log_start", &value, 4) == EINVAL, "short path");
    EXPECT(mallctl("prof.log_start", &value, &length, NULL, 0) == EPERM, "start is read");
    EXPECT(mallctl("prof.log_stop", &value, &length, NULL, 0) == EPERM, "stop is read");
    EXPECT(call("prof.log_stop", &value, sizeof value) == EPERM, "stop is written");
    EXPECT(stop_log() == EFAULT, "no log is there");
    EXPECT(start_log("/nowhere/a.json") == 0, "a path");
    EXPECT(start_log("b.json") == EFAULT, "a second log");
    EXPECT(stop_log() == EFAULT, "a folder that is not there");
    EXPECT(stop_log() == EFAULT, "it is gone");
    EXPECT(start_log("/dev/full") == 0, "a path again");
    EXPECT(stop_log() == EFAULT, "a full disk");
    static char longest[5000];
    memset(longest, 'a', sizeof longest - 1);
    EXPECT(start_log(longest) == EFAULT, "a name that is too long");
    return 0;
}

static int without_profiling(void)
{
    struct packet packet = {write_text, NULL};
    EXPECT(start_log(NULL) == ENOENT, "log_start");
    EXPECT(stop_log() == ENOENT, "log_stop");
    EXPECT(set_max(1) == -100 - ENOENT, "alloc_max");
    EXPECT(call("experimental.prof_recent.alloc_dump", &packet, sizeof packet) == ENOENT, "dump");
    return 0;
}

static int empty_prefix(void)
{
    EXPECT(start_log(NULL) == EFAULT, "there is no name");
    EXPECT(start_log("named.json") == 0, "a name of its own");
    EXPECT(stop_log() == 0, "written");
    return 0;
}

static void *make_and_leave(void *unused)
{
    (void)unused;
    return allocate_here(777);
}

/* With prof_log:true: 200 blocks of 1000 bytes end, 50 do not, one goes from thread to thread. */
static int whole_log(void)
{
    void *block;
    pthread_t thread;
    tell_moment();
    name_thread("mai\"n");
    for (unsigned i = 0; i < 250; i++) {
        kept[i] = allocate_here(1000);
    }
    for (unsigned i = 0; i < 200; i++) {
        free_here(kept[i]);
    }
    EXPECT(pthread_create(&thread, NULL, make_and_leave, NULL) == 0, "no thread");
    (void)pthread_join(thread, &block);
    free_here(block);
    block = allocate_here(BIG);
    in_thread(free_elsewhere, block);
    tell_moment();
    return 0;
}

/* Two logs; what ends before, between and behind them is in none. */
static int named_logs(void)
{
    free_here(allocate_here(100));
    void *old = allocate_here(200);
    EXPECT(start_log("first.json") == 0, "not begun");
    free_here(old);
    void *across = allocate_here(300);
    free_here(allocate_here(400));
    uint64_t before = allocated();
    EXPECT(stop_log() == 0, "not written");
    EXPECT(allocated() == before, "writing allocated");
    free_here(allocate_here(500));
    EXPECT(start_log("second.json") == 0, "not begun again");
    free_here(across);
    void *moved = allocate_here(50000);
    moved = realloc(moved, 50001); /* The same block, and the same sample. */
    moved = realloc(moved, 500000);
    free_here(moved);
    EXPECT(stop_log() == 0, "not written again");
    free_here(allocate_here(600));
    return 0;
}

static int unfinished_log(void)
{
    EXPECT(start_log(NULL) == 0, "not begun");
    free_here(allocate_here(100));
    return 0;
}

/* A child ends first, and writes only what is its own. */
static int forked_log(const char *path)
{
    EXPECT(start_log(path) == 0, "not begun");
    free_here(allocate_here(100));
    pid_t child = fork();
    if (child == 0) {
        free_here(allocate_here(200));
        exit(0);
    }
    int status = -1;
    EXPECT(waitpid(child, &status, 0) == child && status == 0, "child: 0x%x", (unsigned)status);
    tell_line("{\"parent\":%d,\"child\":%d}\n", getpid(), child);
    return 0;
}

static int forked_unnamed(void)
{
    return forked_log(NULL);
}

static int forked_named(void)
{
    return forked_log("mine.json");
}

static int failing_log(void)
{
    EXPECT(start_log("/nowhere/a.json") == 0, "not begun");
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } tasks[] = {
        {"recent", recent},
        {"recent_limits", recent_limits},
        {"recent_busy", recent_busy},
        {"recent_message", recent_message},
        {"refusals", refusals},
        {"without_profiling", without_profiling},
        {"empty_prefix", empty_prefix},
        {"whole_log", whole_log},
        {"named_logs", named_logs},
        {"unfinished_log", unfinished_log},
        {"forked_unnamed", forked_unnamed},
        {"forked_named", forked_named},
        {"failing_log", failing_log},
    };
    for (size_t i = 0; argc == 2 && i < sizeof tasks / sizeof *tasks; i++) {
        if (strcmp(argv[1], tasks[i].name) == 0) {
            return tasks[i].run();
        }
    }
    return 2;
}
