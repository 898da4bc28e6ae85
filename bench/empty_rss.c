/* empty_rss.c: goal: the memory that an allocator costs a program that hardly uses it. Method: one
 * malloc and one free, then resident memory is read from /proc without stdio and printed.
 */
#include "bench_common.h"

int main(void)
{
    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    free(bench_malloc(16));
    bench_stop(&watch);
    uint64_t rss_kib = bench_rss_kib();

    bench_report("rss_kib", rss_kib);
    bench_finish(&watch, 1);
    return 0;
}
