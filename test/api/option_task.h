/* option_task.h: a test program that runs itself again with options in the environment and the name
 * of a task: the child does the task, and the parent looks at its status and at what it printed.
 */
#ifndef TEST_OPTION_TASK_H
#define TEST_OPTION_TASK_H

#include "api_test.h"

#include <signal.h>
#include <sys/wait.h>

enum { HEARD_BYTES = 64 * 1024 };

static char heard[HEARD_BYTES];

struct task {
    const char *name;
    const char *conf; /* the options that it wants, where it always wants the same */
    int (*run)(void);
};

enum { HANG_SECONDS = 160 };

/* The child does the task that its command line names, and ends with its result. Where a sanitizer
 * stands before the library's functions the test ends, too; else the parent comes back. */
static inline void begin_tasks(int argc, char **argv, const struct task *tasks, size_t count)
{
    for (size_t i = 0; argc == 2 && i < count; i++) {
        if (strcmp(argv[1], tasks[i].name) == 0) {
            (void)alarm(HANG_SECONDS);
            exit(tasks[i].run());
        }
    }
    if (LIBRARY_IS_PREFIXED) {
        exit(0);
    }
}

/* Runs the task under the options; its stderr is in heard[]. Result: the status of waitpid(). */
static inline int run_task(const char *conf, const char *task)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setenv("MALLOC_CONF", conf, 1);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)execl("/proc/self/exe", "option_task", task, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    size_t used = 0;
    char rest[4096];
    ssize_t count;
    while ((count = read(ends[0], rest, sizeof rest)) > 0) {
        size_t room = sizeof heard - 1 - used;
        size_t kept = (size_t)count < room ? (size_t)count : room;
        memcpy(heard + used, rest, kept);
        used += kept;
    }
    heard[used] = '\0';
    (void)close(ends[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static inline void expect_exit(const char *conf, const char *task, int status)
{
    int is = run_task(conf, task);
    EXPECT(WIFEXITED(is) && WEXITSTATUS(is) == status, "%s, %s: status 0x%x\n%s", conf, task, is,
           heard);
}

static inline void expect_abort(const char *conf, const char *task, const char *line)
{
    int is = run_task(conf, task);
    EXPECT(WIFSIGNALED(is) && WTERMSIG(is) == SIGABRT, "%s, %s: status 0x%x\n%s", conf, task, is,
           heard);
    EXPECT(strstr(heard, line) != NULL, "%s, %s: no line %s in %s", conf, task, line, heard);
}

static inline size_t stat_value(const char *name)
{
    uint64_t epoch = 1;
    size_t value = 0;
    size_t length = sizeof value;
    (void)mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    return mallctl(name, &value, &length, NULL, 0) == 0 ? value : (size_t)-1;
}

#endif
