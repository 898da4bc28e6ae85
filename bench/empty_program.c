/* empty_program.c: goal: what an allocator costs a program that hardly uses it. Method: one malloc
 * and one free, then exit; with the word `rss` also prints resident memory, with `none` allocates
 * nothing. micro_start and startup_count run it.
 */
#include "bench_common.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "none") == 0) {
        return 0;
    }
    free(bench_malloc(16));
    if (argc > 1 && strcmp(argv[1], "rss") == 0) {
        bench_report("rss_kib", bench_rss_kib());
        struct bench_stopwatch watch = {0};
        bench_finish(&watch, 1);
    }
    return 0;
}
