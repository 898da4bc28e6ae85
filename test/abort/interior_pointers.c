/* interior_pointers.c: goal: a pointer into a block, or just past it, ends the process with one
 * line.
 *
 * Method: blocks of every small class and of many large and huge sizes; offsets at every multiple
 * of 8 in classes up to 1 KiB, odd offsets, page boundaries, the last byte, and the end of blocks
 * beyond the cache. What frees into the thread's cache without looking at the slab may see it at
 * the flush; all other calls see it themselves. Each pointer runs in a child of its own.
 */
#include <jemalloc/jemalloc.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "death_check.h"
#include "pointer_takers.h"

enum {
    SMALL_MAX = 14336,
    EVERY_OFFSET_MAX = 1024,
    CACHED_MAX = 32768,
    PAGE = 4096,
    NEIGHBOURS = 6,
};

struct attempt {
    const struct pointer_taker *taker;
    size_t size_bytes;
    size_t offset;
};

static void pass_interior(void *argument)
{
    const struct attempt *attempt = argument;
    char *volatile block = malloc(attempt->size_bytes);
    if (block == NULL) {
        return;
    }
    attempt->taker->call(block + attempt->offset);
}

static void try_offset(const struct pointer_taker *taker, size_t size_bytes, size_t offset)
{
    char name[128];
    struct attempt attempt = {taker, size_bytes, offset};
    bool cached = taker->frees && size_bytes <= CACHED_MAX && offset < PAGE;
    bool small = taker->frees && size_bytes <= SMALL_MAX;
    snprintf(name, sizeof name, "%s of a %zu-byte block + %zu", taker->name, size_bytes, offset);
    death_expect(name, cached || small ? BY_FLUSH : AT_ONCE, pass_interior, &attempt);
}

/* Every 8 bytes for free, a few places for the other functions. */
static void try_small(size_t size_bytes)
{
    const size_t odd[] = {1, 3, 7, size_bytes / 2 + 1, size_bytes - 1};
    const size_t even[] = {8, 16, size_bytes / 2 & ~(size_t)7, size_bytes - 8};
    size_t step = size_bytes <= EVERY_OFFSET_MAX ? 8 : size_bytes / 32 & ~(size_t)7;
    for (size_t offset = step; offset < size_bytes; offset += step) {
        try_offset(&pointer_takers[0], size_bytes, offset);
    }
    for (size_t t = 0; t < POINTER_TAKER_COUNT; t++) {
        for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
            try_offset(&pointer_takers[t], size_bytes, odd[i]);
        }
        for (size_t i = 0; i < sizeof even / sizeof even[0]; i++) {
            if (even[i] > 0 && even[i] < size_bytes) {
                try_offset(&pointer_takers[t], size_bytes, even[i]);
            }
        }
    }
}

static void try_large(size_t size_bytes)
{
    const size_t offsets[] = {1,
                              8,
                              16,
                              64,
                              PAGE - 1,
                              PAGE,
                              PAGE + 8,
                              2 * PAGE,
                              3 * PAGE,
                              size_bytes / 2 & ~(size_t)(PAGE - 1),
                              size_bytes / 2 + 24,
                              size_bytes - PAGE,
                              size_bytes - 8,
                              size_bytes - 1};
    for (size_t t = 0; t < POINTER_TAKER_COUNT; t++) {
        for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
            try_offset(&pointer_takers[t], size_bytes, offsets[i]);
        }
    }
}

/* The end of a block whose neighbour above was freed; just its end when no two are neighbours. */
static void pass_end(void *argument)
{
    const struct attempt *attempt = argument;
    char *volatile block[NEIGHBOURS];
    char *end = NULL;
    for (size_t i = 0; i < NEIGHBOURS; i++) {
        block[i] = malloc(attempt->size_bytes);
    }
    for (size_t i = 0; i < NEIGHBOURS * NEIGHBOURS && end == NULL; i++) {
        if (block[i / NEIGHBOURS] + attempt->size_bytes == block[i % NEIGHBOURS]) {
            end = block[i % NEIGHBOURS];
            free(end);
        }
    }
    attempt->taker->call(end != NULL ? end : block[NEIGHBOURS - 1] + attempt->size_bytes);
}

static void try_end(size_t size_bytes)
{
    char name[128];
    for (size_t t = 0; t < POINTER_TAKER_COUNT; t++) {
        struct attempt attempt = {&pointer_takers[t], size_bytes, 0};
        snprintf(name, sizeof name, "%s of the end of a %zu-byte block", attempt.taker->name,
                 size_bytes);
        death_expect(name, AT_ONCE, pass_end, &attempt);
    }
}

int main(void)
{
    static const size_t large[] = {16384, 20480, 32768, 40960, 65536, 100 * PAGE, 1 << 20};
    static const size_t huge[] = {(1 << 20) + PAGE, 2 << 20, (2 << 20) + PAGE, 5 << 20, 64 << 20};
    for (size_t size_bytes = 8; size_bytes <= SMALL_MAX; size_bytes = nallocx(size_bytes + 1, 0)) {
        try_small(size_bytes);
    }
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        try_large(large[i]);
        if (large[i] > CACHED_MAX) {
            try_end(large[i]);
        }
    }
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        try_large(huge[i]);
        try_end(huge[i]);
    }
    return death_report();
}
