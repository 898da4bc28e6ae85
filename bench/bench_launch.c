/* bench_launch.c: runs a command and reports, for it and each process that it starts, what the
 * kernel counted and which libraries it mapped.
 *
 * Method: ptrace, with events for exec, fork and exit alone, so a process runs at full speed
 * between them and nothing is added to its address space. At its exit, while its memory is still
 * there, /proc/PID/status gives the peak (VmHWM, of this program image alone, which getrusage's
 * maximum is not) and /proc/PID/maps the libraries. Threads are not traced. CPU time is of the
 * whole tree, by wait4.
 *   bench_launch REPORT COMMAND [ARGUMENT ...]   BENCH_PRELOAD: LD_PRELOAD of the command alone
 * writes lines to REPORT: `process PID PEAK_KIB EXE LIBRARY,...` (tabs between) for each, then
 * `cpu_ns`, `wall_ns`, `status`. Only libraries with "alloc" in their path are named. This program
 * is small, so that a child's figures do not begin with a large parent's.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIBRARIES_BYTES = 1024, FAILED_TO_START = 127 };

/* EXITKILL: when this program is stopped, nothing that it started is left behind. */
static const long trace_options = PTRACE_O_TRACEEXIT | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                                  PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* Adds the path at the end of a line of maps once, when it names an allocator. */
static void library_add(char *libraries, const char *line)
{
    const char *path = strchr(line, '/');
    if (path == NULL || strstr(path, "alloc") == NULL || strstr(path, ".so") == NULL ||
        strstr(libraries, path) != NULL) {
        return;
    }
    size_t used = strlen(libraries);
    if (used + strlen(path) + 2 < LIBRARIES_BYTES) {
        snprintf(libraries + used, LIBRARIES_BYTES - used, "%s%s", used == 0 ? "" : ",", path);
    }
}

static void libraries_read(pid_t pid, char *libraries)
{
    char path[64];
    char line[4096];
    libraries[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL) {
        return;
    }
    while (fgets(line, sizeof line, maps) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        library_add(libraries, line);
    }
    fclose(maps);
}

static unsigned long long peak_read_kib(pid_t pid)
{
    char path[64];
    char line[256];
    unsigned long long peak_kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *status = fopen(path, "re");
    if (status == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmHWM: %llu", &peak_kib) == 1) {
            break;
        }
    }
    fclose(status);
    return peak_kib;
}

static void process_report(FILE *report, pid_t pid)
{
    char link[64];
    char exe[1024];
    char libraries[LIBRARIES_BYTES];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(link, exe, sizeof exe - 1);
    exe[length > 0 ? length : 0] = '\0';
    libraries_read(pid, libraries);
    fprintf(report, "process\t%d\t%llu\t%s\t%s\n", (int)pid, peak_read_kib(pid),
            exe[0] == '\0' ? "?" : exe, libraries[0] == '\0' ? "-" : libraries);
}

/* The signal to deliver with the resume: none for a stop that ptrace made. */
static int event_handle(FILE *report, pid_t pid, int status)
{
    int event = status >> 16;
    int signal_number = WSTOPSIG(status);
    if (event == PTRACE_EVENT_EXIT) {
        process_report(report, pid);
    }
    return event != 0 || signal_number == SIGTRAP ? 0 : signal_number;
}

/* Follows all processes until the first has ended; returns its wait status. */
static int tree_follow(FILE *report, pid_t root)
{
    int root_status = 0;
    bool root_ended = false;
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR) {
            continue;
        }
        if (pid < 0) {
            return root_ended ? root_status : 2 << 8;
        }
        if (WIFSTOPPED(status)) {
            int signal_number = event_handle(report, pid, status);
            bool group_stop = status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP;
            (void)ptrace(group_stop ? PTRACE_LISTEN : PTRACE_CONT, pid, NULL,
                         (void *)(intptr_t)signal_number);
        } else if (pid == root) {
            root_ended = true;
            root_status = status;
        }
    }
}

static uint64_t time_ns(struct timeval value)
{
    return (uint64_t)value.tv_sec * 1000000000ULL + (uint64_t)value.tv_usec * 1000ULL;
}

/* The child waits on the pipe until it is traced, so that no event is missed. */
static pid_t child_start(char **command)
{
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) != 0) {
        die("pipe2");
    }
    pid_t child = fork();
    if (child < 0) {
        die("fork");
    }
    if (child == 0) {
        char go;
        const char *preload = getenv("BENCH_PRELOAD");
        if (preload != NULL && preload[0] != '\0') {
            setenv("LD_PRELOAD", preload, 1);
        }
        unsetenv("BENCH_PRELOAD");
        if (read(gate[0], &go, 1) == 1) {
            execvp(command[0], command);
        }
        perror(command[0]);
        _exit(FAILED_TO_START);
    }
    if (ptrace(PTRACE_SEIZE, child, NULL, (void *)trace_options) != 0) {
        die("ptrace");
    }
    if (write(gate[1], "g", 1) != 1) {
        die("write");
    }
    close(gate[0]);
    close(gate[1]);
    return child;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_launch REPORT COMMAND [ARGUMENT ...]\n");
        return 2;
    }
    FILE *report = fopen(argv[1], "we");
    if (report == NULL) {
        die(argv[1]);
    }
    struct timespec start;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int status = tree_follow(report, child_start(argv + 2));
    clock_gettime(CLOCK_MONOTONIC, &end);

    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    int64_t wall_ns =
        (int64_t)(end.tv_sec - start.tv_sec) * 1000000000LL + (end.tv_nsec - start.tv_nsec);
    fprintf(report, "cpu_ns\t%llu\n",
            (unsigned long long)(time_ns(usage.ru_utime) + time_ns(usage.ru_stime)));
    fprintf(report, "wall_ns\t%lld\n", (long long)wall_ns);
    fprintf(report, "status\t%d\n",
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (fclose(report) != 0) {
        die(argv[1]);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
