/* micro_start.c: goal: the cost of starting a program under an allocator. Method: micro_start
 * PROGRAM N: posix_spawn and wait, N times, one after the other. The figures are the children's:
 * user and system time by getrusage, so that this program's own calls do not count.
 */
#define _GNU_SOURCE 1
#include "bench_common.h"

#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

static uint64_t children_cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ULL +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ULL;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        bench_die("usage: micro_start PROGRAM N");
    }
    uint64_t count = bench_argument(argc, argv, 2, 1000);
    char *child_arguments[] = {argv[1], NULL};

    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    for (uint64_t i = 0; i < count; i++) {
        pid_t child;
        int status;
        if (posix_spawn(&child, argv[1], NULL, NULL, child_arguments, environ) != 0) {
            bench_die("posix_spawn failed");
        }
        if (waitpid(child, &status, 0) != child || status != 0) {
            bench_die("the child failed");
        }
    }
    bench_stop(&watch);
    watch.cpu_ns = children_cpu_ns();

    bench_finish(&watch, count);
    return 0;
}
