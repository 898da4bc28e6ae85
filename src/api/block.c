/* block.c: the slow paths that all exported functions share. See block.h.
 *
 * Each path asks the thread's front first: no cache yet, a mode that must see the call, or the
 * plain case. Sizes and alignments become a usable size in one place, block_usable_size(), so that
 * nallocx() and the allocation functions cannot disagree.
 */
#include "api/block.h"

#include "api/guard.h"
#include "api/process.h"
#include "base/bits.h"
#include "base/mistake.h"
#include "base/print.h"
#include "cache/quarantine.h"
#include "control/outside.h"
#include "heap/sampled.h"
#include "heap/special.h"

#include <errno.h>
#include <string.h>

/* The cache of the calling thread, or NULL; false when the process cannot start for lack of memory.
 */
static bool own_cache(struct cache **cache)
{
    if (UNLIKELY(thread_front_now() == &front_none) && !process_start()) {
        return false;
    }
    *cache = thread_cache();
    return true;
}

static uint8_t class_of_code(unsigned code)
{
    return (uint8_t)(code / CODE_SCALE - 1);
}

/* The calling thread at an arena's bins. */
static struct bin_user own_user(void)
{
    const struct cache *owner = thread_front_now()->cache;
    return (struct bin_user){.number = owner != NULL ? owner->user.number : 0};
}

/* A block of a class that caches hold, from the arena itself. */
static void *class_block(struct arena *arena, uint8_t class_index)
{
    struct bin_user user = own_user();
    arena_count_requests(arena, class_index, user.number, 1);
    if (class_index >= SMALL_CLASSES) {
        return large_alloc(arena, class_size(class_index), PAGE_BYTES, false);
    }
    void *block;
    return arena_fill(arena, class_index, &block, 1, &user) == 1 ? block : NULL;
}

/* Counts bytes that go past the bins of the calling thread's cache. */
static void count_direct(size_t allocated_bytes, size_t freed_bytes)
{
    struct cache *owner = thread_front_now()->cache;
    if (UNLIKELY(owner == NULL)) {
        owner = thread_own_cache();
    }
    if (owner != NULL) {
        owner->direct_alloc_bytes += allocated_bytes;
        owner->direct_free_bytes += freed_bytes;
    }
}

static void *small_alloc(struct cache *cache, struct arena *arena, uint8_t class_index)
{
    if (cache != NULL) {
        return cache_alloc(cache, class_index);
    }
    void *block = class_block(arena, class_index);
    count_direct(block != NULL ? class_size(class_index) : 0, 0);
    return block;
}

/* From a cache that the program made. What it has not comes from the arena of the request. */
static NOINLINE void *explicit_alloc(struct cache *cache, struct arena *arena, uint8_t class_index)
{
    if (cache_arena(cache) != arena && *cache->front.bin[class_index + 1].head == NULL) {
        (void)cache_move(cache, arena);
    }
    void *block = cache_alloc(cache, class_index);
    count_direct(block != NULL ? class_size(class_index) : 0, 0);
    return block;
}

static void *large_block(const struct block_request *request, struct arena *arena, size_t usable)
{
    void *block = large_alloc(arena, usable, request->alignment, request->zero);
    count_direct(block != NULL ? usable : 0, 0);
    return block;
}

/* Where a block is to come from, and its usable size. */
struct block_home {
    struct cache *cache; /* that of the thread; NULL: the block goes past it */
    struct arena *arena;
    size_t usable_bytes;
    bool has_class; /* one that caches hold */
};

static uint8_t home_class(const struct block_home *home)
{
    return class_of_code(size_code[home->usable_bytes / 8]);
}

static void *ordinary_block(const struct block_request *request, const struct block_home *home)
{
    if (!home->has_class) {
        return large_block(request, home->arena, home->usable_bytes);
    }
    return UNLIKELY(request->cache != NULL)
               ? explicit_alloc(request->cache, home->arena, home_class(home))
               : small_alloc(home->cache, home->arena, home_class(home));
}

/* Whether the request is to be sampled: by the draw of its bin, if that is where it would be
 * served, or by the thread's countdown of bytes. */
static bool sample_is_due(struct cache *owner, const struct block_request *request,
                          const struct block_home *home)
{
    bool in_bin = home->has_class && home->cache != NULL && request->cache == NULL;
    return in_bin ? cache_sample_is_due(owner, home_class(home))
                  : sampling_is_due(&owner->sampling, home->usable_bytes);
}

/* A small block in a sampled slab; counted as an ordinary one of its class. */
static void *sampled_small(const struct block_request *request, const struct block_home *home,
                           uint64_t mark)
{
    uint8_t class_index = home_class(home);
    void *block = sampled_alloc(home->arena, class_index, mark);
    if (block == NULL) {
        return NULL;
    }
    if (home->cache != NULL && request->cache == NULL) {
        cache_note_sampled(home->cache, class_index);
    } else {
        arena_count_requests(home->arena, class_index, own_user().number, 1);
        count_direct(home->usable_bytes, 0);
    }
    return block;
}

/* A block in a thread that samples, if it is to be sampled; or NULL. */
static NOINLINE void *sampled_block(const struct block_request *request,
                                    const struct block_home *home)
{
    struct cache *owner = thread_own_cache();
    if (owner == NULL || !sample_is_due(owner, request, home)) {
        return NULL;
    }
    uint64_t mark = sampler_take(&owner->sampling, request->size_bytes, home->usable_bytes);
    if (mark == 0) {
        return NULL;
    }
    void *block;
    bool marked;
    if (home->has_class && home_class(home) < SMALL_CLASSES) {
        block = sampled_small(request, home, mark);
        marked = block != NULL;
    } else {
        block = ordinary_block(request, home);
        marked = block != NULL && sampled_mark(block, map_code(block), mark);
    }
    if (marked) {
        sampler_made(&owner->sampling, block, mark, home->usable_bytes);
    } else {
        sampler_take_back(mark, home->usable_bytes);
    }
    return block;
}

static struct block_home home_of(const struct block_request *request, struct cache *cache,
                                 size_t usable)
{
    struct arena *arena = request->arena != NULL ? request->arena : thread_arena();
    if (usable >= LARGE_SIZE_MIN && request->arena == NULL) {
        arena = arena_for_size(arena, usable);
    }
    return (struct block_home){
        .cache = request->uncached || request->arena != NULL ? NULL : cache,
        .arena = arena,
        .usable_bytes = usable,
        .has_class = usable <= CACHED_SIZE_MAX && request->alignment <= PAGE_BYTES,
    };
}

void *block_alloc(const struct block_request *request)
{
    size_t usable = block_usable_size(request->size_bytes, request->alignment);
    struct cache *cache;
    if (usable == 0 || !own_cache(&cache)) {
        return NULL;
    }
    struct block_home home = home_of(request, cache, usable);
    void *block = NULL;
    if (UNLIKELY((thread_mode() & MODE_SAMPLE) != 0)) {
        block = sampled_block(request, &home);
    }
    if (LIKELY(block == NULL)) {
        block = ordinary_block(request, &home);
    }
    if (block == NULL) {
        return NULL;
    }
    if (home.has_class && request->zero) {
        memset(block, 0, usable);
    }
    if (UNLIKELY(thread_mode() > MODE_SAMPLE)) {
        guard_allocated(block, usable, request->zero);
    }
    if (outside_asks()) {
        outside_serve();
    }
    return block;
}

size_t block_usable_size(size_t size_bytes, size_t alignment)
{
    return alignment <= 1 ? usable_size(size_bytes) : usable_size_aligned(size_bytes, alignment);
}

/* True when a block of the code starts at the address, which lies in a page with that code. */
static bool starts_block(const void *block, unsigned code)
{
    if (code == CODE_HUGE) {
        return ((struct huge *)map_owner(block))->base == block;
    }
    if (code == CODE_RUN) {
        return (uintptr_t)block % PAGE_BYTES == 0;
    }
    uint64_t inverse = bin_inverse[code / CODE_SCALE];
    return (uintptr_t)block * inverse < inverse;
}

/* No ordinary block starts there: a special one, whose codes no address passes, or a mistake. */
static NOINLINE unsigned special_code(const char *function, const void *block, unsigned code)
{
    if (code <= CODE_HUGE || !special_starts(block, code)) {
        mistake("%s(): invalid pointer %p: not the start of a block of this allocator, or freed "
                "before",
                function, block);
        return 0;
    }
    return code;
}

unsigned block_code(const char *function, const void *block)
{
    unsigned code = map_code(block);
    if (UNLIKELY(code == 0) || UNLIKELY(!starts_block(block, code))) {
        return special_code(function, block, code);
    }
    return code;
}

size_t block_size(const void *block, unsigned code)
{
    return code < CODE_RUN ? bin_size[code / CODE_SCALE] : large_size(block, code);
}

static void free_uncached(void *block, unsigned code)
{
    uint8_t class_index = class_of_code(code);
    if (class_index < SMALL_CLASSES) {
        bool contended;
        arena_flush(class_index, &block, 1, &contended);
    } else {
        large_free(block, code);
    }
}

/* What modes do with a block that the program frees. The block to be freed now may be another one,
 * that was held back before. False when there is none. */
static NOINLINE bool freed_in_a_mode(void **block, unsigned *code)
{
    size_t bytes = block_size(*block, *code);
    if (!guard_freed(*block, bytes)) {
        return false;
    }
    bool held =
        (thread_mode() & MODE_QUARANTINE) != 0 && *code < CODE_RUN && quarantine_wants(*block);
    if (held) {
        *block = quarantine_exchange(*block, bytes);
        if (*block == NULL) {
            return false;
        }
        *code = map_code(*block);
    }
    return true;
}

void block_free(void *block, unsigned code, bool uncached)
{
    struct cache *cache;
    if (!own_cache(&cache)) {
        return;
    }
    if (UNLIKELY(thread_mode() > MODE_SAMPLE) && !freed_in_a_mode(&block, &code)) {
        return;
    }
    if (cache != NULL && !uncached && code < CODE_RUN) {
        cache_free(cache, class_of_code(code), block);
    } else {
        count_direct(0, block_size(block, code));
        free_uncached(block, code);
    }
}

void block_free_into(struct cache *cache, void *block, unsigned code)
{
    struct cache *own;
    if (code >= CODE_RUN || !own_cache(&own)) {
        block_free(block, code, false);
        return;
    }
    if (UNLIKELY(thread_mode() > MODE_SAMPLE) && !freed_in_a_mode(&block, &code)) {
        return;
    }
    count_direct(0, block_size(block, code));
    cache_free(cache, class_of_code(code), block);
}

static bool is_sampled(unsigned code)
{
    return code == CODE_SAMPLED || code == CODE_SAMPLED_HUGE;
}

/* A block is resized, and so perhaps another sample. */
static void sample_resized(void *block, struct new_size size)
{
    struct cache *owner = thread_own_cache();
    if (owner == NULL || !sampling_is_due(&owner->sampling, size.usable_bytes)) {
        return;
    }
    uint64_t mark = sampler_take(&owner->sampling, size.size_bytes, size.usable_bytes);
    if (mark == 0) {
        return;
    }
    if (sampled_mark(block, map_code(block), mark)) {
        sampler_made(&owner->sampling, block, mark, size.usable_bytes);
    } else {
        sampler_take_back(mark, size.usable_bytes);
    }
}

static NOINLINE void resized_in_a_mode(void *block, size_t old_bytes, struct new_size size,
                                       bool zero)
{
    uint32_t mode = thread_mode();
    if ((mode & MODE_SAMPLE) != 0) {
        sample_resized(block, size);
    }
    if (mode > MODE_SAMPLE) {
        guard_resized(block, old_bytes, size.usable_bytes, zero);
    }
}

/* What comes after a block was resized, in place or as a mapping that moved. */
static void settle_resized(void *block, size_t old_bytes, struct new_size size, bool zero)
{
    if (UNLIKELY(thread_mode() != 0)) {
        resized_in_a_mode(block, old_bytes, size, zero);
    }
    count_direct(size.usable_bytes, old_bytes);
}

static bool resize_in_place(struct block_resize old, struct new_size size, bool zero)
{
    if (old.old_bytes < LARGE_SIZE_MIN || size.usable_bytes < LARGE_SIZE_MIN ||
        !large_resize(old.block, old.code, size.usable_bytes, zero)) {
        return false;
    }
    settle_resized(old.block, old.old_bytes, size, zero);
    return true;
}

/* A sampled block is an ordinary one while it is resized. A small one stays as it is. */
bool block_resize_in_place(struct block_resize old, struct new_size size, bool zero)
{
    if (LIKELY(!is_sampled(old.code))) {
        return resize_in_place(old, size, zero);
    }
    uint64_t mark;
    if (!sampled_unmark(old.block, &old.code, &mark)) {
        return false;
    }
    bool resized = resize_in_place(old, size, zero);
    if (resized) {
        sampled_end(old.block, mark, old.old_bytes);
    } else {
        (void)ALWAYS(sampled_mark(old.block, old.code, mark));
    }
    return resized;
}

static void *grow_huge(struct block_resize old, const struct block_request *request, size_t usable)
{
    if (old.code != CODE_HUGE || usable < old.old_bytes || request->arena != NULL ||
        request->call != NULL) {
        return NULL; /* Hooks see the old block before it is gone. */
    }
    bool zero = guard_zeroes(request->zero);
    void *block = large_move(old.block, old.code, usable, request->alignment, zero);
    if (block != NULL) {
        struct new_size size = {usable, request->size_bytes};
        settle_resized(block, old.old_bytes, size, zero);
    }
    return block;
}

/* A place with room to grow: a mapping of its own, or a run with unused pages behind it. */
static void *home_to_grow_in(size_t size_bytes, size_t usable)
{
    struct cache *owner = thread_front_now()->cache;
    if (owner == NULL || thread_mode() > MODE_SAMPLE) {
        return NULL;
    }
    void *block = large_alloc_growing(cache_arena(owner), usable);
    if (block == NULL) {
        return NULL;
    }
    count_direct(usable, 0);
    if (UNLIKELY(thread_mode() == MODE_SAMPLE)) {
        sample_resized(block, (struct new_size){usable, size_bytes});
    }
    return block;
}

/* The new home of a block that moves. */
static void *new_home(struct block_resize old, const struct block_request *request, size_t usable)
{
    bool growing = old.old_bytes >= LARGE_SIZE_MIN && usable > old.old_bytes;
    bool anywhere = request->alignment <= PAGE_BYTES && request->arena == NULL;
    if (growing && anywhere && usable > CACHED_SIZE_MAX) {
        void *block = home_to_grow_in(request->size_bytes, usable);
        if (block != NULL) {
            return block;
        }
    }
    struct block_request home = *request;
    home.zero = false;
    return block_alloc(&home);
}

static NOINLINE void *tell_resized(const struct hooked_call *call, struct block_resize old)
{
    struct resized_block resized = {old.block, old.old_bytes,
                                    block_size(old.block, map_code(old.block))};
    struct hooked_call resize = event_hooks_as_resize(call);
    event_hooks_resized(&resize, resized, (uintptr_t)old.block);
    return old.block;
}

ALWAYS_INLINE void *realloc_ordinary(struct block_resize old, const struct block_request *request,
                                     size_t usable)
{
    struct new_size size = {usable, request->size_bytes};
    bool zero = guard_zeroes(request->zero);
    bool aligned = (uintptr_t)old.block % request->alignment == 0;
    bool outgrows_runs = old.code != CODE_HUGE && usable > old.old_bytes && usable >= GROWING_BYTES;
    bool stays = request->arena == NULL && aligned && !outgrows_runs;
    if (stays && (usable == old.old_bytes || resize_in_place(old, size, zero))) {
        return UNLIKELY(request->call != NULL) ? tell_resized(request->call, old) : old.block;
    }
    void *moved = grow_huge(old, request, usable);
    if (moved != NULL) {
        return moved;
    }
    void *block = new_home(old, request, usable);
    if (block == NULL) {
        return NULL;
    }
    if (UNLIKELY(request->call != NULL)) {
        event_hooks_moved(request->call, old.block, block);
    }
    size_t kept = usable < old.old_bytes ? usable : old.old_bytes;
    memcpy(block, old.block, kept);
    if (request->zero && usable > kept) {
        memset((char *)block + kept, 0, usable - kept);
    }
    if (UNLIKELY(request->cache != NULL)) {
        block_free_into(request->cache, old.block, old.code);
    } else {
        block_free(old.block, old.code, request->uncached);
    }
    return block;
}

/* The same, while it is an ordinary one. A block whose usable size stays is the same sample. */
static NOINLINE void *realloc_sampled(struct block_resize old, const struct block_request *request,
                                      size_t usable)
{
    uint64_t mark;
    bool is_large = sampled_unmark(old.block, &old.code, &mark);
    void *block = realloc_ordinary(old, request, usable);
    if (!is_large) {
        return block;
    }
    if (block == NULL || (block == old.block && usable == old.old_bytes)) {
        (void)ALWAYS(sampled_mark(old.block, old.code, mark));
    } else {
        sampled_end(old.block, mark, old.old_bytes);
    }
    return block;
}

void *block_realloc(struct block_resize old, const struct block_request *request)
{
    size_t usable = block_usable_size(request->size_bytes, request->alignment);
    if (usable == 0) {
        return NULL;
    }
    return LIKELY(!is_sampled(old.code)) ? realloc_ordinary(old, request, usable)
                                         : realloc_sampled(old, request, usable);
}

void *realloc_cached(void *block, unsigned code, size_t size_bytes)
{
    size_t old_bytes = bin_size[code / CODE_SCALE];
    if (UNLIKELY(old_bytes > SMALL_SIZE_MAX) && size_bytes > SMALL_SIZE_MAX) {
        /* A run may grow or shrink where it lies. */
        return NULL;
    }
    void *fresh = fast_alloc(size_bytes);
    if (UNLIKELY(fresh == NULL)) {
        return NULL;
    }
    memcpy(fresh, block, old_bytes < size_bytes ? old_bytes : size_bytes);
    if (UNLIKELY(!fast_free(block))) {
        free_slow(block);
    }
    return fresh;
}

void *out_of_memory(const char *function)
{
    if (options.xmalloc) {
        message_and_abort("Error in %s(): out of memory", function);
    }
    errno = ENOMEM;
    return NULL;
}

static NOINLINE void *malloc_any(size_t size_bytes)
{
    struct block_request request = {.size_bytes = size_bytes, .alignment = 1};
    void *block = block_alloc(&request);
    if (block == NULL) {
        (void)out_of_memory("malloc");
    }
    tell_allocated(ALLOC_MALLOC, block, size_bytes, 0);
    return block;
}

/* A block beyond the caches for a thread in no mode: the short way of the long way. */
static void *malloc_large(struct cache *cache, size_t size_bytes)
{
    size_t usable = bits_round_up(size_bytes, PAGE_BYTES);
    if (UNLIKELY(usable > large_direct_max) || UNLIKELY(usable < size_bytes)) {
        return malloc_any(size_bytes);
    }
    void *block = large_alloc_run(cache_arena(cache), usable);
    if (UNLIKELY(block == NULL)) {
        return out_of_memory("malloc");
    }
    cache->direct_alloc_bytes += usable;
    return block;
}

/* Most requests of a thread that samples go the ways of one that does not. */
static NOINLINE void *malloc_in_a_mode(struct cache *cache, uint32_t mode, size_t size_bytes)
{
    if (mode != MODE_SAMPLE) {
        return malloc_any(size_bytes);
    }
    if (size_bytes > CACHED_SIZE_MAX) {
        size_t usable = bits_round_up(size_bytes, PAGE_BYTES);
        if (usable - 1 >= large_direct_max || sampling_will_be_due(&cache->sampling, usable)) {
            return malloc_any(size_bytes);
        }
        (void)sampling_is_due(&cache->sampling, usable);
        return malloc_large(cache, size_bytes);
    }
    uint8_t class_index = class_of_code(size_code[(size_bytes + 7) >> 3]);
    if (cache_sample_is_due(cache, class_index)) {
        return malloc_any(size_bytes);
    }
    void *block = cache_alloc(cache, class_index);
    return LIKELY(block != NULL) ? block : out_of_memory("malloc");
}

void *malloc_slow(size_t size_bytes)
{
    struct cache_front *front = thread_front_now();
    struct cache *cache = front->cache;
    if (UNLIKELY(cache == NULL) || outside_asks()) {
        return malloc_any(size_bytes);
    }
    if (UNLIKELY(front->mode != 0)) {
        return malloc_in_a_mode(cache, front->mode, size_bytes);
    }
    if (size_bytes > CACHED_SIZE_MAX) {
        return malloc_large(cache, size_bytes);
    }
    unsigned code = size_code[(size_bytes + 7) >> 3];
    void *block = cache_alloc(cache, class_of_code(code));
    return LIKELY(block != NULL) ? block : out_of_memory("malloc");
}

/* NULL, a full bin, a mistake, a mode: all but the common cases. */
static NOINLINE void free_any(void *block)
{
    if (block == NULL) {
        return;
    }
    struct cache_front *front = thread_front_now();
    unsigned code = block_code("free", block);
    if (code - 1 < CODE_RUN - 1 && front->mode <= MODE_SAMPLE && front->cache != NULL) {
        /* As block_free() would, without asking again: a full bin comes here once a batch. */
        cache_free(front->cache, class_of_code(code), block);
    } else if (LIKELY(code != 0)) {
        tell_freed(FREE_FREE, block, 0, 0);
        block_free(block, code, false);
    }
}

void free_slow(void *block)
{
    struct cache_front *front = thread_front_now();
    if (map_code(block) == CODE_RUN && (uintptr_t)block % PAGE_BYTES == 0 &&
        front->mode <= MODE_SAMPLE && front->cache != NULL) {
        large_free_run(block, &front->cache->direct_free_bytes);
    } else {
        free_any(block);
    }
}

/* Most come here because the bin is full, which fast_free() finds again. */
void free_sized_slow(void *block, size_t size_bytes, size_t alignment)
{
    if (LIKELY(!event_hooks_are_on()) || block == NULL) {
        if (!fast_free(block)) {
            free_slow(block);
        }
        return;
    }
    unsigned code = block_code("free", block);
    if (UNLIKELY(code == 0)) {
        return;
    }
    tell_freed(FREE_SDALLOCX, block, size_bytes, alignment > 1 ? bits_lowest(alignment) : 0);
    block_free(block, code, false);
}
