/* micro_realloc.c: goal: the cost of growing one block. Method: micro_realloc HOW FROM TO REPEAT
 * [STEP], single-threaded:
 *   step      grow by STEP bytes from FROM to TO
 *   double    grow by a factor of two from FROM to TO
 *   grow      grow by a factor of 1.125 from FROM to TO
 * All new pages are written; the block is freed at TO and the growth repeated. Nothing else is
 * allocated meanwhile, so that an allocator may extend in place where it can.
 */
#include "bench_common.h"

enum growth { GROW_STEP, GROW_DOUBLE, GROW_EIGHTH };

static size_t size_next(enum growth how, size_t size_bytes, size_t step_bytes)
{
    switch (how) {
    case GROW_STEP:
        return size_bytes + step_bytes;
    case GROW_DOUBLE:
        return size_bytes * 2;
    case GROW_EIGHTH:
        break;
    }
    return size_bytes + size_bytes / 8;
}

/* Returns the number of realloc calls. */
static uint64_t growth_run(enum growth how, size_t from_bytes, size_t to_bytes, size_t step_bytes)
{
    uint64_t calls = 0;
    size_t size_bytes = from_bytes;
    char *block = bench_malloc(size_bytes);
    bench_touch_pages(block, 0, size_bytes);
    while (size_bytes < to_bytes) {
        size_t larger_bytes = size_next(how, size_bytes, step_bytes);
        char *moved = realloc(block, larger_bytes);
        if (moved == NULL) {
            bench_die("realloc refused");
        }
        block = moved;
        bench_touch_pages(block, size_bytes, larger_bytes);
        size_bytes = larger_bytes;
        calls++;
    }
    free(block);
    return calls;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        bench_die("usage: micro_realloc step|double|grow FROM TO REPEAT [STEP]");
    }
    enum growth how = GROW_STEP;
    if (strcmp(argv[1], "double") == 0) {
        how = GROW_DOUBLE;
    } else if (strcmp(argv[1], "grow") == 0) {
        how = GROW_EIGHTH;
    }
    size_t from_bytes = (size_t)bench_argument(argc, argv, 2, 64);
    size_t to_bytes = (size_t)bench_argument(argc, argv, 3, 65536);
    uint64_t repeat_count = bench_argument(argc, argv, 4, 1);
    size_t step_bytes = (size_t)bench_argument(argc, argv, 5, 64);
    if (from_bytes < 8 || step_bytes == 0) {
        bench_die("FROM must be 8 or more and STEP 1 or more");
    }

    uint64_t calls = 0;
    struct bench_stopwatch watch = {0};
    bench_start(&watch);
    for (uint64_t i = 0; i < repeat_count; i++) {
        calls += growth_run(how, from_bytes, to_bytes, step_bytes);
    }
    bench_stop(&watch);

    bench_finish(&watch, calls);
    return 0;
}
