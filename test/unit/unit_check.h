/* unit_check.h: what the tests of the lower floors share: cmocka, checks with a message, a
 * repeatable random number, and a child process whose death is looked at.
 *
 * All of it is inline: each unit test is one file.
 */
#ifndef TEST_UNIT_UNIT_CHECK_H
#define TEST_UNIT_UNIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Fails the test with a message unless the condition holds. */
#define EXPECT(condition, ...)                       \
    do {                                             \
        if (!(condition)) {                          \
            print_error("not so: %s\n", #condition); \
            print_error(__VA_ARGS__);                \
            print_error("\n");                       \
            fail();                                  \
        }                                            \
    } while (0)

/* The same in a child process, whose status tells: no cmocka there. */
#define CHILD_EXPECT(condition)                                                    \
    do {                                                                           \
        if (!(condition)) {                                                        \
            dprintf(STDERR_FILENO, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            _exit(99);                                                             \
        }                                                                          \
    } while (0)

/* The seed of a test, printed so that a failure can be repeated. */
static inline uint64_t unit_seed(uint64_t usual)
{
    const char *chosen = getenv("DG_SEED");
    uint64_t seed = chosen != NULL ? strtoull(chosen, NULL, 0) : usual;
    print_message("seed %llu (to repeat: DG_SEED=%llu)\n", (unsigned long long)seed,
                  (unsigned long long)seed);
    return seed;
}

/* splitmix64: every seed is good, and each state gives another number. */
static inline uint64_t unit_random(uint64_t *state)
{
    uint64_t value = *state += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static inline unsigned unit_below(uint64_t *state, unsigned limit)
{
    return (unsigned)(unit_random(state) % limit);
}

/* How a child process ended, and what it wrote to standard error. */
struct child_end {
    int status;
    char text[2048];
};

/* Runs body in a child, which ends with status 0 when body returns. */
static inline struct child_end run_in_child(void (*body)(void))
{
    struct child_end end = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while (used < sizeof end.text - 1 &&
           (got = read(ends[0], end.text + used, sizeof end.text - 1 - used)) > 0) {
        used += (size_t)got;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, &end.status, 0), child);
    return end;
}

static inline void expect_good_end(struct child_end end)
{
    EXPECT(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0, "status 0x%x, text: %s",
           (unsigned)end.status, end.text);
}

static inline void expect_abort_with(struct child_end end, const char *text)
{
    EXPECT(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT, "status 0x%x, text: %s",
           (unsigned)end.status, end.text);
    EXPECT(strstr(end.text, text) != NULL, "wanted: %s\ngot: %s", text, end.text);
}

/* Bytes of address space of this process. */
static inline size_t address_space_bytes(void)
{
    char text[128] = "";
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, text, sizeof text - 1) <= 0) {
        abort();
    }
    close(file);
    return strtoull(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* No more than more_bytes of address space beyond what there is; in a child only. */
static inline void limit_address_space(size_t more_bytes)
{
    struct rlimit limit = {address_space_bytes() + more_bytes, RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        abort();
    }
}

/* Whether all bytes are value. */
static inline bool bytes_are(const void *address, size_t size_bytes, unsigned char value)
{
    const unsigned char *bytes = address;
    return size_bytes == 0 || (bytes[0] == value && memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

#endif
