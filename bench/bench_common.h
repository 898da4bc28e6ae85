/* bench_common.h: what every benchmark program shares: a seeded generator, clocks, resident
 * memory, the report.
 *
 * A program prints `key value` lines, nothing else; the driver reads them. `cpu_ns` and `wall_ns`
 * cover the measured part alone (all threads of the process), so start-up and set-up are not
 * counted. `provider` names the library that serves malloc, which the driver checks. No program
 * knows an allocator: they call plain malloc, and the allocator is preloaded.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_PAGE = 4096, BENCH_SEED = 20250917 };

/* xorshift64*: four instructions, the same sequence everywhere. */
struct bench_random {
    uint64_t state;
};

static inline uint64_t bench_random_next(struct bench_random *random)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * 0x2545F4914F6CDD1DULL;
}

/* Uniform in [low, high], by multiplication: no division in a measured loop. */
static inline size_t bench_random_between(struct bench_random *random, size_t low, size_t high)
{
    uint64_t range = (uint64_t)(high - low) + 1;
    return low + (size_t)(((bench_random_next(random) >> 32) * range) >> 32);
}

/* Log-uniform in [low, low * 2^doublings): as many blocks in each doubling, as in most programs. */
static inline size_t bench_random_log(struct bench_random *random, size_t low, unsigned doublings)
{
    size_t base = low << bench_random_between(random, 0, doublings - 1);
    return bench_random_between(random, base, base * 2 - 1);
}

static inline uint64_t bench_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* Accumulates over start/stop pairs, so that idle time and sampling can be left out. */
struct bench_stopwatch {
    uint64_t cpu_ns;
    uint64_t wall_ns;
    uint64_t cpu_start_ns;
    uint64_t wall_start_ns;
};

static inline void bench_start(struct bench_stopwatch *watch)
{
    watch->wall_start_ns = bench_clock_ns(CLOCK_MONOTONIC);
    watch->cpu_start_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static inline void bench_stop(struct bench_stopwatch *watch)
{
    watch->cpu_ns += bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - watch->cpu_start_ns;
    watch->wall_ns += bench_clock_ns(CLOCK_MONOTONIC) - watch->wall_start_ns;
}

static inline void bench_idle_ms(unsigned idle_ms)
{
    struct timespec pause = {.tv_sec = idle_ms / 1000,
                             .tv_nsec = (long)(idle_ms % 1000) * 1000000L};
    nanosleep(&pause, NULL);
}

static inline void bench_die(const char *message)
{
    fprintf(stderr, "%s\n", message);
    exit(2);
}

/* One write into the block, as every user of a block makes; volatile keeps it. */
static inline void bench_touch(void *block)
{
    *(volatile char *)block = 1;
}

/* Writes once in each OS page, so that the whole block is resident. */
static inline void bench_touch_pages(void *block, size_t from_bytes, size_t size_bytes)
{
    for (size_t at = from_bytes; at < size_bytes; at += BENCH_PAGE) {
        ((volatile char *)block)[at] = 1;
    }
    if (size_bytes > 0) {
        ((volatile char *)block)[size_bytes - 1] = 1;
    }
}

static inline void *bench_malloc(size_t size_bytes)
{
    void *block = malloc(size_bytes);
    if (block == NULL) {
        bench_die("malloc refused");
    }
    bench_touch(block);
    return block;
}

/* A number after `key` in a small file of /proc, read without stdio: measuring must not allocate.
 * 0 when absent. */
static inline uint64_t bench_proc_value(const char *path, const char *key)
{
    char text[8192];
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return 0;
    }
    ssize_t length = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    const char *found = strstr(text, key);
    return found == NULL ? 0 : strtoull(found + strlen(key), NULL, 10);
}

/* Exact resident memory; VmRSS of /proc/self/status lags behind by per-CPU batches. */
static inline uint64_t bench_rss_kib(void)
{
    return bench_proc_value("/proc/self/smaps_rollup", "Rss:");
}

static inline uint64_t bench_argument(int argc, char **argv, int index, uint64_t fallback)
{
    return index < argc ? strtoull(argv[index], NULL, 0) : fallback;
}

static inline void bench_report(const char *key, uint64_t value)
{
    printf("%s %llu\n", key, (unsigned long long)value);
}

static inline void bench_report_ratio(const char *key, double value)
{
    printf("%s %.4f\n", key, value);
}

void bench_finish(const struct bench_stopwatch *watch, uint64_t operations);

#endif
