/* model_operations.c: one function for each way into the allocator. See model_operations.h.
 *
 * The rules of the contract that callers must keep are kept here: no size 0 to mallocx and rallocx,
 * sized frees with a size between requested and usable and with the alignment that was asked for,
 * free_aligned_sized for aligned blocks. Requests that no machine can serve are mixed in; they must
 * give NULL and leave the old block as it is.
 */
#include "model_operations.h"

#include <jemalloc/jemalloc.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    ALL_ARENAS = 4096,
    ZERO_NOTHING = -1,
    HOPELESS_PERCENT = 1,
};

static size_t maximum_size;
static int extra_arena_flags; /* 0 when arenas.create is not known */

void operations_start(size_t maximum_bytes)
{
    unsigned arena;
    size_t length = sizeof arena;
    maximum_size = maximum_bytes;
    if (mallctl("arenas.create", &arena, &length, NULL, 0) == 0) {
        extra_arena_flags = (int)MALLOCX_ARENA(arena);
    }
}

const struct operation *operation_draw(const struct operation_table *table,
                                       struct random_stream *random)
{
    size_t total = 0;
    for (size_t i = 0; i < table->count; i++) {
        total += table->operations[i].weight;
    }
    size_t place = random_below(random, total);
    size_t chosen = 0;
    while (place >= table->operations[chosen].weight) {
        place -= table->operations[chosen].weight;
        chosen++;
    }
    return &table->operations[chosen];
}

/* Powers of two from smallest to 64 KiB, now and then to 4 MiB. */
static size_t draw_alignment(struct random_stream *random, size_t smallest)
{
    unsigned top_lg = random_chance(random, 3) ? 22 : random_chance(random, 10) ? 16 : 12;
    unsigned smallest_lg = (unsigned)__builtin_ctzll(smallest);
    return smallest << random_below(random, top_lg - smallest_lg + 1);
}

static int draw_flags(struct random_stream *random, size_t *alignment, bool *zero)
{
    int flags = 0;
    *alignment = 1;
    *zero = random_chance(random, 25);
    if (random_chance(random, 30)) {
        *alignment = draw_alignment(random, 2);
        flags |= MALLOCX_ALIGN(*alignment);
    }
    flags |= *zero ? MALLOCX_ZERO : 0;
    flags |= random_chance(random, 15) ? MALLOCX_TCACHE_NONE : 0;
    flags |= random_chance(random, 10) ? extra_arena_flags : 0;
    return flags;
}

/* The alignment flags that a sized free of the block must carry. */
static int alignment_flags(const struct block *block)
{
    return block->alignment > 1 ? MALLOCX_ALIGN(block->alignment) : 0;
}

static void block_fresh(struct random_stream *random, struct block *block, size_t size_bytes)
{
    *block =
        (struct block){.requested_bytes = size_bytes, .alignment = 1, .id = random_unique(random)};
}

static void take(struct block *block, void *start, bool zero)
{
    block->start = start;
    if (start == NULL) {
        model_fail("a request that memory suffices for was refused", block);
    }
    block_enter(block);
    if (zero) {
        block_check_zero(block, 0, block->usable_bytes);
    }
    block_write(block);
}

static void allocate_malloc(struct random_stream *random, struct block *block)
{
    block_fresh(random, block, random_chance(random, 1) ? 0 : random_size(random, maximum_size));
    take(block, malloc(block->requested_bytes), false);
}

static void allocate_calloc(struct random_stream *random, struct block *block)
{
    size_t total = random_size(random, maximum_size);
    size_t count = 1 + random_below(random, 16);
    block_fresh(random, block, total / count * count);
    take(block, calloc(count, total / count), true);
}

static void allocate_posix_memalign(struct random_stream *random, struct block *block)
{
    void *start = NULL;
    block_fresh(random, block, random_chance(random, 2) ? 0 : random_size(random, maximum_size));
    block->alignment = draw_alignment(random, sizeof(void *));
    if (posix_memalign(&start, block->alignment, block->requested_bytes) != 0) {
        start = NULL;
    }
    take(block, start, false);
}

static void allocate_aligned_alloc(struct random_stream *random, struct block *block)
{
    block_fresh(random, block, random_size(random, maximum_size));
    block->alignment = draw_alignment(random, 1);
    take(block, aligned_alloc(block->alignment, block->requested_bytes), false);
}

static void allocate_memalign(struct random_stream *random, struct block *block)
{
    block_fresh(random, block, random_size(random, maximum_size));
    block->alignment = draw_alignment(random, 1);
    take(block, memalign(block->alignment, block->requested_bytes), false);
}

static void allocate_mallocx(struct random_stream *random, struct block *block)
{
    bool zero;
    block_fresh(random, block, random_size(random, maximum_size));
    int flags = draw_flags(random, &block->alignment, &zero);
    take(block, mallocx(block->requested_bytes, flags), zero);
    if (block->usable_bytes != nallocx(block->requested_bytes, flags)) {
        model_fail("nallocx promised another usable size", block);
    }
}

static void allocate_realloc(struct random_stream *random, struct block *block)
{
    block_fresh(random, block, random_size(random, maximum_size));
    take(block, realloc(NULL, block->requested_bytes), false);
}

static void free_free(struct random_stream *random, struct block *block)
{
    (void)random;
    block_leave(block);
    errno = EDOM;
    free(block->start);
    if (errno != EDOM) {
        model_fail("free changed errno", block);
    }
    block->start = NULL;
}

static void free_realloc_zero(struct random_stream *random, struct block *block)
{
    (void)random;
    block_leave(block);
    if (realloc(block->start, 0) != NULL) {
        model_fail("realloc(p, 0) did not give NULL", block);
    }
    block->start = NULL;
}

static void free_dallocx(struct random_stream *random, struct block *block)
{
    block_leave(block);
    dallocx(block->start, random_chance(random, 30) ? MALLOCX_TCACHE_NONE : 0);
    block->start = NULL;
}

/* Any size from the requested one to the usable one names the same class. */
static size_t draw_true_size(struct random_stream *random, const struct block *block)
{
    size_t slack = block->usable_bytes - block->requested_bytes;
    return block->requested_bytes + random_below(random, slack + 1);
}

static void free_sdallocx(struct random_stream *random, struct block *block)
{
    size_t size_bytes = draw_true_size(random, block);
    int flags = alignment_flags(block) | (random_chance(random, 30) ? MALLOCX_TCACHE_NONE : 0);
    block_leave(block);
    sdallocx(block->start, size_bytes != 0 ? size_bytes : 1, flags);
    block->start = NULL;
}

static void free_free_sized(struct random_stream *random, struct block *block)
{
    size_t size_bytes = draw_true_size(random, block);
    block_leave(block);
    if (block->alignment > 1) {
        free_aligned_sized(block->start, block->alignment, size_bytes);
    } else {
        free_sized(block->start, size_bytes);
    }
    block->start = NULL;
}

/* Enters the resized block, compares what it had to keep, and writes it under a new id. */
static void resized(struct block *now, const struct block *before, uint64_t id, bool zero)
{
    size_t kept = now->requested_bytes;
    block_enter(now);
    block_check_prefix(now, before, kept);
    if (zero && before->usable_bytes < now->usable_bytes) {
        block_check_zero(now, before->usable_bytes, now->usable_bytes);
    }
    now->id = id;
    block_write(now);
}

/* Sizes above PTRDIFF_MAX are refused before anything is looked at. The compiler knows that too,
 * and warns where it can see the value, so it is taken through a volatile. */
static size_t draw_hopeless_size(struct random_stream *random)
{
    volatile size_t size_bytes = (size_t)PTRDIFF_MAX + 1;
    return size_bytes + random_below(random, (size_t)PTRDIFF_MAX);
}

static void resize_realloc(struct random_stream *random, struct block *block)
{
    struct block before = *block;
    block_leave(block);
    if (random_chance(random, HOPELESS_PERCENT)) {
        if (realloc(block->start, draw_hopeless_size(random)) != NULL) {
            model_fail("realloc gave a block of more than PTRDIFF_MAX bytes", block);
        }
        block_return(block);
        return;
    }
    block->requested_bytes = random_size(random, maximum_size);
    block->alignment = 1;
    block->start = realloc(before.start, block->requested_bytes);
    if (block->start == NULL) {
        model_fail("a resize that memory suffices for was refused", block);
    }
    resized(block, &before, random_unique(random), false);
}

static void resize_rallocx(struct random_stream *random, struct block *block)
{
    struct block before = *block;
    bool zero;
    block_leave(block);
    int flags = draw_flags(random, &block->alignment, &zero);
    if (random_chance(random, HOPELESS_PERCENT)) {
        if (rallocx(block->start, draw_hopeless_size(random), flags) != NULL) {
            model_fail("rallocx gave a block of more than PTRDIFF_MAX bytes", block);
        }
        block->alignment = before.alignment;
        block_return(block);
        return;
    }
    block->requested_bytes = random_size(random, maximum_size);
    block->start = rallocx(before.start, block->requested_bytes, flags);
    if (block->start == NULL) {
        model_fail("a resize that memory suffices for was refused", block);
    }
    resized(block, &before, random_unique(random), zero);
    /* A sized free with the same size and flags finds the class by them, so they must agree. */
    if (block->usable_bytes != nallocx(block->requested_bytes, flags)) {
        model_fail("nallocx promised another usable size", block);
    }
}

static void resize_xallocx(struct random_stream *random, struct block *block)
{
    struct block before = *block;
    size_t size_bytes = random_chance(random, 50)
                            ? random_size(random, maximum_size)
                            : block->usable_bytes + random_below(random, 16384);
    size_t extra_bytes = random_chance(random, 50) ? 0 : random_log_size(random, maximum_size);
    bool zero = random_chance(random, 30);
    if (size_bytes == 0) {
        size_bytes = 1;
    }
    block_leave(block);
    size_t result = xallocx(block->start, size_bytes, extra_bytes,
                            alignment_flags(block) | (zero ? MALLOCX_ZERO : 0));
    if (result == before.usable_bytes) {
        block_return(block);
        return;
    }

    /* The block changed in place, so its new size satisfies the request, and is exact. */
    block->requested_bytes = result;
    resized(block, &before, random_unique(random), zero);
    if (result != block->usable_bytes || result < size_bytes) {
        model_fail("xallocx answered a size that the block does not have", block);
    }
}

static void quiet_flush(struct random_stream *random, struct block *block)
{
    (void)random;
    (void)block;
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}

static void quiet_purge(struct random_stream *random, struct block *block)
{
    size_t mib[3];
    size_t length = 3;
    (void)random;
    (void)block;
    if (mallctlnametomib("arena.0.purge", mib, &length) == 0) {
        mib[1] = ALL_ARENAS;
        (void)mallctlbymib(mib, length, NULL, NULL, NULL, 0);
    }
}

static void quiet_hopeless(struct random_stream *random, struct block *block)
{
    size_t size_bytes = draw_hopeless_size(random);
    void *volatile got[] = {malloc(size_bytes), calloc(4, size_bytes / 2),
                            aligned_alloc(64, size_bytes), mallocx(size_bytes, MALLOCX_ZERO)};
    for (size_t i = 0; i < sizeof got / sizeof got[0]; i++) {
        if (got[i] != NULL) {
            model_fail("a block of more than PTRDIFF_MAX bytes was given", block);
        }
    }
    free(NULL);
    if (malloc_usable_size(NULL) != 0) {
        model_fail("malloc_usable_size(NULL) is not 0", block);
    }
}

static const struct operation allocate_rows[] = {
    {"malloc", 40, allocate_malloc},
    {"calloc", 15, allocate_calloc},
    {"mallocx", 20, allocate_mallocx},
    {"realloc(NULL)", 5, allocate_realloc},
    {"posix_memalign", 8, allocate_posix_memalign},
    {"aligned_alloc", 8, allocate_aligned_alloc},
    {"memalign", 4, allocate_memalign},
};

static const struct operation resize_rows[] = {
    {"realloc", 50, resize_realloc},
    {"rallocx", 30, resize_rallocx},
    {"xallocx", 20, resize_xallocx},
};

static const struct operation free_rows[] = {
    {"free", 50, free_free},
    {"realloc(p, 0)", 5, free_realloc_zero},
    {"dallocx", 15, free_dallocx},
    {"sdallocx", 15, free_sdallocx},
    {"free_sized", 15, free_free_sized},
};

static const struct operation quiet_rows[] = {
    {"thread.tcache.flush", 60, quiet_flush},
    {"arena.<i>.purge", 10, quiet_purge},
    {"requests beyond PTRDIFF_MAX", 30, quiet_hopeless},
};

#define TABLE_OF(rows)                     \
    {                                      \
        rows, sizeof rows / sizeof rows[0] \
    }

const struct operation_table allocate_operations = TABLE_OF(allocate_rows);
const struct operation_table resize_operations = TABLE_OF(resize_rows);
const struct operation_table free_operations = TABLE_OF(free_rows);
const struct operation_table quiet_operations = TABLE_OF(quiet_rows);
