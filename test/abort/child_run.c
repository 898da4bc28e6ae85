/* child_run.c: fork, a pipe for standard error, and a deadline. See child_run.h.
 *
 * The parent polls the pipe rather than waiting in waitpid, so that one loop serves the deadline
 * and the output; end of file on the pipe means that the child, and all that inherited it, are
 * gone.
 */
#include "child_run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int *shared_mark;

static void give_up(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void mark_make(void)
{
    if (shared_mark == NULL) {
        void *start = mmap(NULL, sizeof *shared_mark, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED) {
            give_up("mmap");
        }
        shared_mark = start;
    }
    *shared_mark = 0;
}

void child_mark(int mark)
{
    *shared_mark = mark;
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void child_prepare(int error_pipe)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM, SIGTRAP};
    const struct rlimit no_core = {0, 0};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        signal(signals[i], SIG_DFL);
    }
    setrlimit(RLIMIT_CORE, &no_core);
    setpgid(0, 0);
    dup2(error_pipe, STDERR_FILENO);
}

static void text_append(struct child_result *result, const char *bytes, size_t count)
{
    size_t room = CHILD_TEXT_BYTES - 1 - result->text_bytes;
    size_t taken = count < room ? count : room;
    memcpy(result->text + result->text_bytes, bytes, taken);
    result->text_bytes += taken;
    result->text[result->text_bytes] = '\0';
}

/* True at the end of the output, false at the deadline. */
static bool output_read(int error_pipe, long long deadline_ms, struct child_result *result)
{
    char bytes[512];
    for (;;) {
        struct pollfd waiting = {.fd = error_pipe, .events = POLLIN};
        long long left_ms = deadline_ms - now_ms();
        if (left_ms <= 0 || poll(&waiting, 1, (int)left_ms) == 0) {
            return false;
        }
        ssize_t count = read(error_pipe, bytes, sizeof bytes);
        if (count == 0 || (count < 0 && errno != EINTR)) {
            return true;
        }
        if (count > 0) {
            text_append(result, bytes, (size_t)count);
        }
    }
}

/* An emulator adds a line of its own when a signal ends its program. */
static void emulator_line_cut(struct child_result *result)
{
    char *line = strstr(result->text, "qemu: uncaught target signal");
    if (line != NULL) {
        *line = '\0';
        result->text_bytes = (size_t)(line - result->text);
    }
}

static void child_finish(pid_t child, struct child_result *result)
{
    int status;
    if (result->hung) {
        kill(-child, SIGKILL); /* its own children hang with it */
        kill(child, SIGKILL);
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            give_up("waitpid");
        }
    }
    result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    result->mark = *shared_mark;
}

void child_run(void (*body)(void *argument), void *argument, unsigned limit_seconds,
               struct child_result *result)
{
    int ends[2];
    *result = (struct child_result){0};
    mark_make();
    fflush(NULL);
    if (pipe(ends) != 0) {
        give_up("pipe");
    }
    pid_t child = fork();
    if (child < 0) {
        give_up("fork");
    }
    if (child == 0) {
        close(ends[0]);
        child_prepare(ends[1]);
        close(ends[1]);
        body(argument);
        _exit(0);
    }

    close(ends[1]);
    result->hung = !output_read(ends[0], now_ms() + 1000LL * limit_seconds, result);
    close(ends[0]);
    emulator_line_cut(result);
    child_finish(child, result);
}

struct program {
    char *const *arguments;
    char *const *environment;
};

static void program_run(void *argument)
{
    const struct program *program = argument;
    if (program->environment != NULL) {
        execve(program->arguments[0], program->arguments, program->environment);
    } else {
        execv(program->arguments[0], program->arguments);
    }
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", program->arguments[0], strerror(errno));
    _exit(126);
}

void child_execute(char *const arguments[], char *const environment[], unsigned limit_seconds,
                   struct child_result *result)
{
    struct program program = {arguments, environment};
    child_run(program_run, &program, limit_seconds, result);
}

void child_describe(const struct child_result *result, char *text, size_t text_bytes)
{
    int line_bytes = (int)strcspn(result->text, "\n");
    if (result->hung) {
        snprintf(text, text_bytes, "hung, mark %d: %.*s", result->mark, line_bytes, result->text);
    } else if (result->signal != 0) {
        snprintf(text, text_bytes, "signal %d, mark %d: %.*s", result->signal, result->mark,
                 line_bytes, result->text);
    } else {
        snprintf(text, text_bytes, "exit code %d, mark %d: %.*s", result->exit_code, result->mark,
                 line_bytes, result->text);
    }
}
