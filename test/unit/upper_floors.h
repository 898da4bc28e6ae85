/* upper_floors.h: what the unit tests of heap/ and above share: a started allocator, an arena that
 * no thread uses, a repeatable stream of numbers, and a child that must die with one line.
 */
#ifndef UPPER_FLOORS_H
#define UPPER_FLOORS_H

#include "api/block.h"
#include "api/malloc.h"
#include "api/process.h"
#include "base/names.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Fails the test with a message unless the condition holds; cheap in loops of millions. */
#define EXPECT(condition, ...)                       \
    do {                                             \
        if (!(condition)) {                          \
            print_error("not so: %s\n", #condition); \
            fail_msg(__VA_ARGS__);                   \
        }                                            \
    } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Group setup: the allocator works, and the calling thread has its cache. */
static inline int start_allocator(void **state)
{
    (void)state;
    return process_start() && thread_cache() != NULL ? 0 : -1;
}

/* An arena that nothing else uses, so that its counters can be told exactly. */
static inline struct arena *fresh_arena(void)
{
    struct arena *arena = arena_create();
    assert_non_null(arena);
    assert_int_equal(arena->index, arena_count() - 1);
    return arena;
}

/* A repeatable stream (xorshift64*). The seed is TEST_SEED of the environment, and is printed. */
static inline uint64_t seed_of_test(const char *test)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 0x9e3779b97f4a7c15u;
    print_message("%s: repeat with TEST_SEED=0x%llx\n", test, (unsigned long long)seed);
    return seed != 0 ? seed : 1;
}

static inline uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 0x2545f4914f6cdd1du;
}

/* 0 .. limit - 1 */
static inline unsigned random_below(uint64_t *seed, unsigned limit)
{
    return (unsigned)((random_next(seed) >> 33) % limit);
}

static inline bool bytes_are(const void *memory, size_t size_bytes, unsigned char value)
{
    const volatile unsigned char *byte = memory;
    for (size_t i = 0; i < size_bytes; i++) {
        if (byte[i] != value) {
            return false;
        }
    }
    return true;
}

/* Reads a child's standard error to its end and waits for it. Result: its wait status. */
static inline int child_outcome(pid_t child, int error_pipe, char *text, size_t text_bytes)
{
    size_t used = 0;
    ssize_t got;
    while ((got = read(error_pipe, text + used, text_bytes - 1 - used)) > 0) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(error_pipe);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Runs body(argument) in a forked child, which an alarm ends when it hangs; it leaves with exit
 * code 0 when body returns. Result: the wait status; its standard error is in text. */
static inline int run_child(void (*body)(void *), void *argument, char *text, size_t text_bytes)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)alarm(20);
        (void)dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body(argument);
        _exit(0);
    }
    close(ends[1]);
    return child_outcome(child, ends[0], text, text_bytes);
}

/* Expects that body(argument) aborts with exactly one line, which names `part`. */
static inline void expect_abort(void (*body)(void *), void *argument, const char *part)
{
    char text[2048];
    int status = run_child(body, argument, text, sizeof text);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status 0x%x, text \"%s\"", status,
           text);
    EXPECT(strncmp(text, "<jemalloc>: ", 12) == 0, "text \"%s\"", text);
    EXPECT(strstr(text, part) != NULL, "no \"%s\" in \"%s\"", part, text);
    EXPECT(strchr(text, '\n') == text + strlen(text) - 1, "not one line: \"%s\"", text);
}

/* Expects that body(argument) ends with exit code 0: checks made in the child. */
static inline void expect_success(void (*body)(void *), void *argument)
{
    char text[2048];
    int status = run_child(body, argument, text, sizeof text);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x, text \"%s\"", status, text);
}

/* In a child: leaves with an exit code that names the line of the check. */
#define CHILD_EXPECT(condition)                                         \
    do {                                                                \
        if (!(condition)) {                                             \
            (void)!write(STDERR_FILENO, #condition, sizeof #condition); \
            _exit(1);                                                   \
        }                                                               \
    } while (0)

#endif
