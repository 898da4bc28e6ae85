/* random_pointers.c: goal: no random address given to free, realloc or usable_size does anything
 * but end the process with one line.
 *
 * Method: addresses of four kinds: random 64-bit values, random values below 2^47, random bytes
 * of mappings that are not the allocator's (files, stack, vdso: by /proc/self/maps), and odd
 * addresses within a gigabyte of a live block, given to malloc_usable_size, which has to look at
 * once. Each is passed in a forked child. Repeatable but for where the system puts the mappings.
 *
 *   random_pointers [SEED [COUNT]]
 */
#include <jemalloc/jemalloc.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../model/random_stream.h"
#include "death_check.h"
#include "pointer_takers.h"

enum { MAPPINGS_MAX = 256, NEAR_BYTES = 1 << 30, FUNCTION_USABLE_SIZE = 3 };

struct mapping {
    uintptr_t start;
    uintptr_t end;
};

struct attempt {
    const struct pointer_taker *taker;
    uintptr_t address;
};

static struct mapping mappings[MAPPINGS_MAX];
static size_t mapping_count;

/* Named mappings: a file, [stack], [vdso]. Ours have no name. */
static void mappings_read(void)
{
    char line[1024];
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) {
        perror("/proc/self/maps");
        exit(EXIT_FAILURE);
    }
    while (fgets(line, sizeof line, maps) != NULL && mapping_count < MAPPINGS_MAX) {
        uintptr_t start;
        uintptr_t end;
        bool named = strchr(line, '/') != NULL || strchr(line, '[') != NULL;
        bool ours = strstr(line, "[anon") != NULL;
        if (named && !ours && sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2) {
            mappings[mapping_count++] = (struct mapping){start, end};
        }
    }
    fclose(maps);
}

static void pass(void *argument)
{
    const struct attempt *attempt = argument;
    attempt->taker->call((void *)attempt->address);
}

static struct attempt draw(struct random_stream *random, const char *live)
{
    struct attempt attempt = {&pointer_takers[random_below(random, POINTER_TAKER_COUNT)], 0};
    switch (random_below(random, 4)) {
    case 0:
        attempt.address = random_next(random);
        break;
    case 1:
        attempt.address = random_next(random) >> 17;
        break;
    case 2: {
        const struct mapping *mapping = &mappings[random_below(random, mapping_count)];
        attempt.address = mapping->start + random_below(random, mapping->end - mapping->start);
        break;
    }
    default:
        attempt.taker = &pointer_takers[FUNCTION_USABLE_SIZE];
        attempt.address = ((uintptr_t)live - NEAR_BYTES / 2 + random_below(random, NEAR_BYTES)) | 1;
        break;
    }
    return attempt;
}

/* Code and data look like pointers often enough that an even address is as likely as an odd one. */
static void attempt_align(struct random_stream *random, struct attempt *attempt)
{
    if (attempt->taker != &pointer_takers[FUNCTION_USABLE_SIZE] && random_chance(random, 50)) {
        attempt->address &= ~(uintptr_t)15;
    }
    if (attempt->address == 0) {
        attempt->address = 16; /* NULL is no mistake */
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? (uint64_t)strtoull(argv[1], NULL, 0) : (uint64_t)getpid();
    unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000;
    struct random_stream random = random_stream_of(seed, 0);
    char *live = malloc(1000);
    char name[128];
    printf("%s %" PRIu64 " %lu\n", argv[0], seed, count);
    mappings_read();
    for (unsigned long i = 0; i < count; i++) {
        struct attempt attempt = draw(&random, live);
        attempt_align(&random, &attempt);
        snprintf(name, sizeof name, "pointer %lu, %s of %#" PRIxPTR, i, attempt.taker->name,
                 attempt.address);
        death_expect_quick(name, pass, &attempt);
    }
    free(live);
    return death_report();
}
