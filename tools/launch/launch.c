/* launch.c: runs a program with a library preloaded, and says on stderr what really happened.
 *
 *     launch LIBRARY PROGRAM [ARGUMENT...]
 *
 * The proof that the library serves the program is read from /proc/PID/maps of the running program.
 * A short program could end before anyone looks, so the program is traced from its exec up to the
 * system call after which the library is seen; then it is let go and runs untraced. Where tracing
 * is forbidden (some containers), the maps are polled instead.
 *
 * The exit status is the program's own, 128 + signal when a signal ended it, 126 or 127 when it
 * cannot be run, and 1 when it succeeded without the library. Only the first program image is
 * looked at: what the program starts itself inherits LD_PRELOAD.
 */
#include "program_file.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_CANNOT_RUN = 126,   /* the shell's code for a program that exists and cannot be run */
    EXIT_NOT_FOUND = 127,    /* the shell's code for a program that does not exist */
    EXIT_SIGNAL_BASE = 128,  /* the shell's code for death by signal n is 128 + n */
    TRACED_STOPS_MAX = 2000, /* the loader maps a preloaded library within 30 system calls */
    POLLS_MAX = 2000,        /* one a millisecond */
};

struct outcome {
    int wait_status;
    bool is_over;
    bool is_mapped;
    struct rusage usage;
};

static volatile sig_atomic_t child_pid;

static void forward_signal(int signal_number)
{
    if (child_pid > 0) {
        kill((pid_t)child_pid, signal_number);
    }
}

/* True when a file mapping of /proc/pid/maps is the library. Both paths are canonical. */
static bool library_is_mapped(pid_t pid, const char *library)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL) {
        return false;
    }
    char line[PATH_MAX + 128];
    bool is_found = false;
    while (!is_found && fgets(line, sizeof line, maps) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *file = strchr(line, '/');
        is_found = file != NULL && strcmp(file, library) == 0;
    }
    fclose(maps);
    return is_found;
}

static void preload(const char *library)
{
    const char *old = getenv("LD_PRELOAD");
    if (old == NULL || *old == '\0') {
        setenv("LD_PRELOAD", library, 1);
        return;
    }
    char *joined;
    if (asprintf(&joined, "%s:%s", library, old) < 0) {
        exit(EXIT_CANNOT_RUN);
    }
    setenv("LD_PRELOAD", joined, 1);
    free(joined);
}

/* Starts the program, traced when the kernel allows it. */
static pid_t start_program(const char *library, const char *file, char **arguments, bool is_traced)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    if (is_traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(EXIT_CANNOT_RUN);
    }
    preload(library);
    execv(file, arguments);
    fprintf(stderr, "launch: cannot run %s: %s\n", file, strerror(errno));
    _exit(EXIT_CANNOT_RUN);
}

static bool tracing_is_allowed(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* Waits for the next change of the program; fills the outcome when it is over. */
static void await_change(pid_t pid, int options, struct outcome *outcome)
{
    pid_t changed;
    do {
        changed = wait4(pid, &outcome->wait_status, options, &outcome->usage);
    } while (changed < 0 && errno == EINTR);
    outcome->is_over =
        changed == pid && (WIFEXITED(outcome->wait_status) || WIFSIGNALED(outcome->wait_status));
}

/* Steps from system call to system call until the library is mapped, then lets the program go. */
static void trace_until_mapped(pid_t pid, const char *library, struct outcome *outcome)
{
    for (int stop = 0; stop < TRACED_STOPS_MAX; stop++) {
        await_change(pid, 0, outcome);
        if (outcome->is_over) {
            return;
        }
        int signal_number = WSTOPSIG(outcome->wait_status);
        outcome->is_mapped = library_is_mapped(pid, library);
        if (signal_number == SIGTRAP) {
            signal_number = 0;
        }
        if (outcome->is_mapped) {
            ptrace(PTRACE_DETACH, pid, NULL, (void *)(long)signal_number);
            return;
        }
        ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal_number);
    }
    /* Still stopped or running without the library: the next stop ends the tracing. */
    await_change(pid, 0, outcome);
    if (!outcome->is_over) {
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
    }
}

static void poll_until_mapped(pid_t pid, const char *library, struct outcome *outcome)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    for (int poll = 0; poll < POLLS_MAX; poll++) {
        outcome->is_mapped = library_is_mapped(pid, library);
        if (outcome->is_mapped) {
            return;
        }
        await_change(pid, WNOHANG, outcome);
        if (outcome->is_over) {
            return;
        }
        nanosleep(&millisecond, NULL);
    }
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int exit_code_of(int wait_status)
{
    return WIFSIGNALED(wait_status) ? EXIT_SIGNAL_BASE + WTERMSIG(wait_status)
                                    : WEXITSTATUS(wait_status);
}

static int report(const struct outcome *outcome, pid_t pid, const char *library, double wall)
{
    int code = exit_code_of(outcome->wait_status);
    if (outcome->is_mapped) {
        fprintf(stderr, "malloc served by  %s (seen in /proc/%d/maps)\n", library, (int)pid);
    } else {
        fprintf(stderr, "malloc NOT served by %s: it was never mapped\n", library);
    }
    fprintf(stderr, "peak RSS          %.1f MiB (the largest process)\n",
            (double)outcome->usage.ru_maxrss / 1024);
    fprintf(stderr, "time              %.3f s wall, %.3f s user, %.3f s system\n", wall,
            seconds_of(outcome->usage.ru_utime), seconds_of(outcome->usage.ru_stime));
    return outcome->is_mapped || code != 0 ? code : 1;
}

static int run(const char *library, const char *file, char **arguments)
{
    bool is_traced = tracing_is_allowed();
    double start = now_seconds();
    pid_t pid = start_program(library, file, arguments, is_traced);
    if (pid < 0) {
        fprintf(stderr, "launch: cannot start a process: %s\n", strerror(errno));
        return EXIT_CANNOT_RUN;
    }

    /* The terminal signals both; the program decides, and this process stays to report. */
    child_pid = (sig_atomic_t)pid;
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGTERM, forward_signal);
    signal(SIGHUP, forward_signal);

    struct outcome outcome = {0};
    if (is_traced) {
        trace_until_mapped(pid, library, &outcome);
    } else {
        poll_until_mapped(pid, library, &outcome);
    }
    while (!outcome.is_over) {
        await_change(pid, 0, &outcome);
    }
    return report(&outcome, pid, library, now_seconds() - start);
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 3) {
        fprintf(stderr, "usage: launch LIBRARY PROGRAM [ARGUMENT...]\n");
        return EXIT_CANNOT_RUN;
    }
    char library[PATH_MAX];
    if (realpath(arguments[1], library) == NULL) {
        fprintf(stderr, "launch: cannot find the library %s\n", arguments[1]);
        return EXIT_CANNOT_RUN;
    }
    if (strpbrk(library, " :") != NULL) {
        fprintf(stderr, "launch: LD_PRELOAD cannot name %s: it holds a blank or a colon\n",
                library);
        return EXIT_CANNOT_RUN;
    }
    char file[PATH_MAX];
    if (!program_file_find(arguments[2], file)) {
        fprintf(stderr, "launch: there is no program %s\n", arguments[2]);
        return EXIT_NOT_FOUND;
    }
    const char *obstacle = program_file_obstacle(file);
    if (obstacle != NULL) {
        fprintf(stderr, "launch: %s %s\n", file, obstacle);
        return EXIT_CANNOT_RUN;
    }
    return run(library, file, arguments + 2);
}
