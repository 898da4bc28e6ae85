/* cache.c: filling, flushing, growing and collecting a thread cache. See cache.h.
 *
 * A bin starts with few slots and doubles them when it runs empty or full, up to a share of bytes;
 * a thread that stays small stays in one page of slots.
 */
#include "cache/cache.h"

#include "base/bits.h"
#include "base/mistake.h"
#include "config/options.h"
#include "os/os.h"
#include "pages/idle.h"
#include "pages/meta.h"

#include <string.h>

enum {
    /* The bins of one class in all caches together may hold about so many bytes, and one bin so
     * many of them, between BIN_SLOTS_MIN and BIN_SLOTS_MAX blocks: a few threads get long
     * batches, a thousand stay lean. A bin that swings between empty and full may hold more. */
    CLASS_BYTES = 8 << 20,
    BIN_BYTES_MIN = 32 * 1024,
    BIN_BYTES_MAX = 256 * 1024,
    SWINGING_BYTES_MAX = 512 * 1024,
    SWINGS_MIN = 4, /* turns, from running empty to running full or back */
    BIN_SLOTS_MIN = 3,
    /* Blocks that move in one batch: enough to make the lock cheap, few enough to leave the rest.
     */
    FILL_MAX = 128,
    FLUSH_MAX = 128,
    BIN_SLOTS_MAX = 1023,
    START_SLOTS = 7,
    PIECE_LG_MIN = 3,
    /* A bin that was given a bound may have slots outside of the block, from here on. */
    OUTSIDE_LG_MIN = 9,
    /* Of the block of slots, kept for the first piece of each bin: without one a bin has no room
     * for a single block. */
    FIRST_PIECE_BYTES = (START_SLOTS + 1) * 8,
    RESERVE_BYTES = CACHE_BINS * FIRST_PIECE_BYTES,
    EVENTS_PER_COLLECTION = 256, /* unless tcache_gc_incr_bytes counts bytes */
    CONTENDED_MAX = 16,
};

static_assert(sizeof(struct cache_bin) == CODE_SCALE * 8,
              "a code times 8 is the distance of a bin");
static_assert(offsetof(struct cache_front, bin) == 0, "from the start of the front");
static_assert(offsetof(struct cache, front) == 0, "a cache is its own front");
static_assert((BOUND_MAX + 1) * sizeof(void *) <= 65536, "16 bits tell the slots of a bin apart");
static_assert(BOUND_MAX < 1 << (SLOT_PIECES - 1), "a piece for each bound");
static_assert((START_SLOTS + 1) == 1 << PIECE_LG_MIN, "the first piece of a bin is the smallest");
static_assert(FIRST_PIECE_BYTES == (START_SLOTS + 1) * sizeof(void *), "a pointer has 8 bytes");
static_assert(sizeof(struct cache) + RESERVE_BYTES < CACHE_BLOCK_BYTES / 2, "most is for growth");
static_assert(sizeof(struct cache) < 4096, "a fresh thread needs one page and its first slots");

/* A bin without slots. */
ALWAYS_INLINE void empty_bin(struct cache *cache, unsigned bin_index)
{
    struct cache_bin *bin = &cache->front.bin[bin_index];
    bin->head = &cache->nil;
    bin->bottom = &cache->nil;
    bin->full = (uint16_t)(uintptr_t)&cache->nil;
    bin->capacity = 0;
    cache->swings[bin_index] = 0;
}

/* All bins are without slots. */
ALWAYS_INLINE void forget_pieces(struct cache *cache)
{
    memset(cache->piece, 0, sizeof cache->piece);
    cache->slots_next = (char *)cache + bits_round_up(sizeof *cache, 64);
    cache->slots_end = (char *)cache + CACHE_BLOCK_BYTES;
    cache->ran_full = 0;
    cache->at_limit = 0;
}

static void use_bounds(struct cache *cache, const struct bounds *bounds)
{
    cache->bounds = bounds;
    cache->front.limit = bounds->size_max + 1;
}

struct cache *cache_init(void *block, struct arena *arena)
{
    struct cache *cache = block;
    for (unsigned i = 0; i < CACHE_BINS; i++) {
        struct cache_bin *bin = &cache->front.bin[i];
        empty_bin(cache, i);
        bin->inverse = bin_inverse[i];
        bin->left = CACHE_LEFT;
        cache->left_seen[i] = CACHE_LEFT;
        cache->requests_due[i] = CACHE_LEFT;
        cache->taken[i] = 0;
        cache->requests_told[i] = 0;
    }
    forget_pieces(cache);
    cache->nil = NULL;
    cache->used = 0;
    cache->front.limit = CACHED_SIZE_MAX + 1;
    /* A large alignment gives blocks of 16 KiB and more mappings of their own: those ask the map.
     */
    cache->front.sized_limit = SMALL_SIZE_MAX + 1;
    cache->front.cache = cache;
    cache->front.mode = 0;
    atomic_store_explicit(&cache->arena, arena, memory_order_release);
    cache->stays = false;
    cache->user = (struct bin_user){0};
    cache->in_hook = false;
    cache->in_event = false;
    cache->event_count = 0;
    cache->contended_count = 0;
    cache->moved_bytes = 0;
    cache->kept_bytes = 0;
    cache->direct_alloc_bytes = 0;
    cache->direct_free_bytes = 0;
    cache->sampling = (struct sampling){0};
    cache->bounds = NULL;
    const struct bounds *bounds = bound_of_options();
    if (UNLIKELY(bounds != NULL)) {
        use_bounds(cache, bounds);
    }
    return cache;
}

READS_OTHERS static unsigned bin_count(const struct cache_bin *bin)
{
    return (unsigned)(bin->bottom - bin->head);
}

READS_OTHERS static uint64_t bin_requests(const struct cache *cache, unsigned bin)
{
    return cache->requests_due[bin] - cache->front.bin[bin].left;
}

/* A thread's share of CLASS_BYTES, by the number of threads now. */
static size_t bin_bytes_limit(bool swings)
{
    size_t most = swings ? SWINGING_BYTES_MAX : BIN_BYTES_MAX;
    size_t threads = 1;
    const struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        threads += atomic_load_explicit(&arena->thread_count, memory_order_relaxed);
    }
    size_t share = CLASS_BYTES / threads;
    share = share < most ? share : most;
    return share > BIN_BYTES_MIN ? share : BIN_BYTES_MIN;
}

/* The bound that a bin was given, or BOUND_NONE. */
static unsigned given_bound(const struct cache *cache, unsigned bin_index)
{
    return LIKELY(cache->bounds == NULL) ? (unsigned)BOUND_NONE
                                         : bound_slots(cache->bounds, (uint8_t)(bin_index - 1));
}

/* Slots that a bin without a bound may have. */
static unsigned own_limit(const struct cache *cache, unsigned bin)
{
    bool swings = cache->swings[bin] >= SWINGS_MIN;
    unsigned by_bytes = (unsigned)(bin_bytes_limit(swings) / bin_size[bin]);
    unsigned limit = by_bytes < BIN_SLOTS_MIN ? BIN_SLOTS_MIN : by_bytes;
    return limit < BIN_SLOTS_MAX ? limit : BIN_SLOTS_MAX;
}

/* The piece for a number of slots, with the NULL at the bottom. */
static unsigned piece_lg(unsigned capacity)
{
    unsigned lg = bits_highest(capacity) + 1u;
    return lg > PIECE_LG_MIN ? lg : PIECE_LG_MIN;
}

static size_t outside_bytes(unsigned lg)
{
    return bits_round_up(sizeof(void *) << lg, os_page_bytes);
}

static bool is_outside(const struct cache *cache, void *const *piece)
{
    return (uintptr_t)piece - (uintptr_t)cache >= CACHE_BLOCK_BYTES;
}

/* Slots in a mapping, for a bin that was given so many that the block has no room for them. */
static NOINLINE void **map_piece(unsigned lg)
{
    void **piece = lg < OUTSIDE_LG_MIN ? NULL : os_map(NULL, outside_bytes(lg));
    if (piece != NULL) {
        meta_note_untouched(-(ptrdiff_t)outside_bytes(lg)); /* It counts as metadata. */
    }
    return piece;
}

/* 2^lg slots, reused or fresh; NULL when the block is used up but for `reserve` bytes. */
static void **take_piece(struct cache *cache, unsigned lg, size_t reserve)
{
    void **piece = cache->piece[lg];
    if (piece != NULL) {
        cache->piece[lg] = *piece;
        return piece;
    }
    size_t bytes = sizeof(void *) << lg;
    if ((size_t)(cache->slots_end - cache->slots_next) < bytes + reserve) {
        return NULL;
    }
    piece = (void **)cache->slots_next;
    cache->slots_next += bytes;
    return piece;
}

static void drop_piece(struct cache *cache, void **piece, unsigned lg)
{
    if (UNLIKELY(is_outside(cache, piece))) {
        if (os_unmap(piece, outside_bytes(lg))) {
            meta_note_untouched((ptrdiff_t)outside_bytes(lg));
        }
        return;
    }
    *piece = cache->piece[lg];
    cache->piece[lg] = piece;
}

/* The first slot of the piece of a bin with slots. */
static void **piece_of(const struct cache_bin *bin)
{
    return bin->bottom + 1 - ((size_t)1 << piece_lg(bin->capacity));
}

/* Moves a bin to a piece of 2^lg slots. */
static bool move_slots(struct cache *cache, unsigned bin_index, unsigned lg)
{
    struct cache_bin *bin = &cache->front.bin[bin_index];
    void **piece = take_piece(cache, lg, bin->capacity == 0 ? 0 : RESERVE_BYTES);
    if (piece == NULL && given_bound(cache, bin_index) != BOUND_NONE) {
        piece = map_piece(lg);
    }
    if (piece == NULL) {
        return false;
    }
    unsigned count = bin_count(bin);
    void **bottom = piece + ((size_t)1 << lg) - 1;
    memcpy(bottom - count, bin->head, count * sizeof(void *));
    *bottom = NULL;
    if (bin->capacity != 0) {
        drop_piece(cache, piece_of(bin), piece_lg(bin->capacity));
    }
    bin->bottom = bottom;
    bin->head = bottom - count;
    return true;
}

/* Gives a bin more slots; those of a piece lie at its end, beside the NULL. */
static bool set_slots(struct cache *cache, unsigned bin_index, unsigned capacity)
{
    struct cache_bin *bin = &cache->front.bin[bin_index];
    unsigned lg = piece_lg(capacity);
    ASSERT(lg < SLOT_PIECES);
    ASSERT(bin_count(bin) <= capacity);
    bool fits = bin->capacity != 0 && piece_lg(bin->capacity) == lg;
    if (!fits && !move_slots(cache, bin_index, lg)) {
        return false;
    }
    bin->capacity = (uint16_t)capacity;
    bin->full = (uint16_t)(uintptr_t)(bin->bottom - capacity);
    return true;
}

/* A bin doubles its slots. One without a bound uses its pieces whole, so a limit between two of
 * them is the lower one. */
static NOINLINE bool grow_slow(struct cache *cache, unsigned bin_index)
{
    struct cache_bin *bin = &cache->front.bin[bin_index];
    unsigned bound = given_bound(cache, bin_index);
    unsigned limit = bound != BOUND_NONE ? bound : own_limit(cache, bin_index);
    if (bin->capacity == 0) {
        cache->used |= (uint64_t)1 << bin_index;
        unsigned start = limit < START_SLOTS ? limit : START_SLOTS;
        bool first = set_slots(cache, bin_index,
                               bound != BOUND_NONE ? start : (1u << bits_highest(start + 1)) - 1);
        CHECK(first);
        return first;
    }
    unsigned wanted = bin->capacity * 2u + 1;
    if (bound != BOUND_NONE && wanted > bound && bound > bin->capacity) {
        wanted = bound;
    }
    if (wanted <= limit && set_slots(cache, bin_index, wanted)) {
        return true;
    }
    cache->at_limit |= (uint64_t)1 << bin_index;
    return false;
}

/* Counts the turns of a bin; the last one raises its limit. */
static void note_turn(struct cache *cache, unsigned bin_index, bool full)
{
    uint64_t bit = (uint64_t)1 << bin_index;
    bool was_full = (cache->ran_full & bit) != 0;
    if (was_full != full) {
        cache->ran_full ^= bit;
        if (cache->swings[bin_index] < SWINGS_MIN && ++cache->swings[bin_index] == SWINGS_MIN) {
            cache->at_limit &= ~bit;
        }
    }
}

/* More slots for a bin that ran empty or full. False at its limit. */
static bool grow(struct cache *cache, unsigned bin_index, bool full)
{
    note_turn(cache, bin_index, full);
    return ((cache->at_limit >> bin_index) & 1) == 0 && grow_slow(cache, bin_index);
}

bool cache_move(struct cache *cache, struct arena *arena)
{
    bool is_threads = cache->pointer != NULL;
    if (is_threads && !arena_join(arena)) {
        return false;
    }
    cache_merge_counters(cache);
    if (is_threads) {
        arena_leave(cache_arena(cache));
    }
    atomic_store_explicit(&cache->arena, arena, memory_order_release);
    cache->user.number = shards_join(arena, is_threads ? SHARDS_THREAD : SHARDS_OTHER);
    return true;
}

/* A thread whose batches often find locks held moves to another arena. */
static void note_contention(struct cache *cache, bool contended)
{
    if (!contended || cache->stays || ++cache->contended_count < CONTENDED_MAX) {
        return;
    }
    cache->contended_count = 0;
    struct arena *other = arena_choose(cache_arena(cache));
    if (other != NULL) {
        (void)cache_move(cache, other);
    }
}

static void free_runs(void *const *blocks, unsigned count, unsigned code)
{
    for (unsigned i = 0; i < count; i++) {
        if (UNLIKELY(map_code(blocks[i]) != code)) {
            mistake("free(): double free of %p: the block is already free", blocks[i]);
            continue;
        }
        large_free(blocks[i], code);
    }
}

/* Gives blocks of a bin's class back to where they came from. */
ALWAYS_INLINE void give_back(struct cache *cache, unsigned bin_index, void *const *blocks,
                             unsigned count)
{
    uint8_t class_index = (uint8_t)(bin_index - 1);
    cache->taken[bin_index] -= count;
    if (class_index < SMALL_CLASSES) {
        bool contended;
        arena_flush(class_index, blocks, count, &contended);
        note_contention(cache, contended);
    } else {
        free_runs(blocks, count, class_code(class_index));
    }
}

/* Gives the `count` oldest blocks of a bin back; the rest moves to the bottom. */
static void flush_oldest(struct cache *cache, unsigned bin_index, unsigned count)
{
    struct cache_bin *bin = &cache->front.bin[bin_index];
    void **oldest = bin->bottom - count;
    give_back(cache, bin_index, oldest, count);
    unsigned stay = bin_count(bin) - count;
    memmove(bin->bottom - stay, bin->head, stay * sizeof(void *));
    bin->head = bin->bottom - stay;
}

/* Fills an empty bin to about half its capacity. */
static bool fill(struct cache *cache, unsigned bin_index)
{
    struct cache_bin *bin = &cache->front.bin[bin_index];
    uint8_t class_index = (uint8_t)(bin_index - 1);
    ASSERT(bin_count(bin) == 0);
    (void)grow(cache, bin_index, false);
    ASSERT(bin->capacity > 0);
    unsigned filled = 0;
    if (class_index < SMALL_CLASSES) {
        unsigned half = (bin->capacity + 1u) / 2;
        unsigned wanted = half < FILL_MAX ? half : FILL_MAX;
        void **first = bin->bottom - wanted;
        filled = arena_fill(cache_arena(cache), class_index, first, wanted, &cache->user);
        note_contention(cache, cache->user.contended);
        if (filled < wanted) {
            memmove(bin->bottom - filled, first, filled * sizeof(void *));
        }
    } else {
        void *block = large_alloc_cached(cache_arena(cache), class_index);
        bin->bottom[-1] = block;
        filled = block != NULL;
    }
    bin->head = bin->bottom - filled;
    cache->taken[bin_index] += filled;
    return filled > 0;
}

/* Gives back half of what idle bins hold. */
static void collect_idle_bins(struct cache *cache)
{
    for (unsigned i = 1; i < CACHE_BINS; i++) {
        struct cache_bin *bin = &cache->front.bin[i];
        unsigned count = bin_count(bin);
        if (count > 0 && bin->left == cache->left_seen[i]) {
            flush_oldest(cache, i, (count + 1) / 2);
        }
        cache->left_seen[i] = bin->left;
    }
}

/* Once in a number of slow events: looks for idle bins, and has the arena look at the clock, or a
 * helper where there is one, since a program may go on for long without freeing a run. */
static void collect(struct cache *cache)
{
    uint64_t now_ns = os_time_coarse_ns();
    cache->event_count = 0;
    if (idle_relieves()) {
        idle_call(cache_arena(cache)->pages.place);
    } else {
        arena_decay(cache_arena(cache), now_ns);
        huge_decay(now_ns);
    }
    cache->kept_bytes += cache->moved_bytes;
    cache->moved_bytes = 0;
    if (LIKELY(cache->bounds == NULL) || cache->kept_bytes >= options.tcache_gc_delay_bytes) {
        cache->kept_bytes = 0;
        collect_idle_bins(cache);
    }
}

static void note_event(struct cache *cache)
{
    if (++cache->event_count >= EVENTS_PER_COLLECTION) {
        collect(cache);
    }
}

/* The same where options may ask for a rhythm by bytes: about those that the event moves. */
static NOINLINE void note_bounded_event(struct cache *cache, unsigned bin_index)
{
    cache->used |= (uint64_t)1 << bin_index;
    if (options.tcache_gc_incr_bytes == option_defaults.tcache_gc_incr_bytes) {
        note_event(cache);
    }
    unsigned moved = cache->front.bin[bin_index].capacity / 2u + 1;
    cache->moved_bytes += (uint64_t)moved * bin_size[bin_index];
    if (options.tcache_gc_incr_bytes != option_defaults.tcache_gc_incr_bytes &&
        cache->moved_bytes >= options.tcache_gc_incr_bytes) {
        collect(cache);
    }
}

/* An empty or full bin. True when it may hold nothing, by its bound: blocks of its class come and
 * go one by one. */
static bool is_barred(struct cache *cache, unsigned bin_index)
{
    if (LIKELY(cache->bounds == NULL)) {
        note_event(cache);
        return false;
    }
    note_bounded_event(cache, bin_index);
    return given_bound(cache, bin_index) == 0;
}

static void set_left(struct cache *cache, unsigned bin_index, uint32_t left)
{
    struct cache_bin *bin = &cache->front.bin[bin_index];
    cache->requests_due[bin_index] += left - (uint64_t)bin->left;
    bin->left = left;
}

/* To the bin's next sample, or the next draw. */
static NOINLINE void draw_left(struct cache *cache, unsigned bin_index)
{
    uint64_t blocks = sampling_draw(&cache->sampling, bin_size[bin_index], CACHE_LEFT);
    bool due = blocks <= CACHE_LEFT;
    uint64_t bit = (uint64_t)1 << bin_index;
    cache->sampling.due = due ? cache->sampling.due | bit : cache->sampling.due & ~bit;
    set_left(cache, bin_index, due ? (uint32_t)blocks : (uint32_t)CACHE_LEFT);
}

static void reset_left(struct cache *cache, unsigned bin_index)
{
    if (UNLIKELY(cache->sampling.is_on)) {
        draw_left(cache, bin_index);
    } else {
        set_left(cache, bin_index, CACHE_LEFT);
    }
}

void cache_sample(struct cache *cache, unsigned lg_period)
{
    if (!cache->sampling.is_on || cache->sampling.lg_period != lg_period) {
        sampling_begin(&cache->sampling, lg_period);
        for (unsigned i = 1; i < CACHE_BINS; i++) {
            draw_left(cache, i);
        }
    }
}

void cache_sample_no_more(struct cache *cache)
{
    if (UNLIKELY(cache->sampling.is_on)) {
        sampling_end(&cache->sampling);
    }
}

static void count_request(struct cache *cache, unsigned bin_index)
{
    struct cache_bin *bin = &cache->front.bin[bin_index];
    if (bin->left == 0 || --bin->left == 0) {
        reset_left(cache, bin_index);
    }
}

void cache_note_sampled(struct cache *cache, uint8_t class_index)
{
    unsigned bin_index = class_index + 1u;
    cache->used |= (uint64_t)1 << bin_index;
    cache->taken[bin_index]++;
    count_request(cache, bin_index);
    note_event(cache);
}

/* Blocks of a barred bin are counted as if it had been filled and flushed. */
static NOINLINE void *alloc_past(struct cache *cache, unsigned bin_index)
{
    uint8_t class_index = (uint8_t)(bin_index - 1);
    void *block = NULL;
    if (class_index < SMALL_CLASSES) {
        (void)arena_fill(cache_arena(cache), class_index, &block, 1, &cache->user);
        note_contention(cache, cache->user.contended);
    } else {
        block = large_alloc_cached(cache_arena(cache), class_index);
    }
    if (block != NULL) {
        cache->taken[bin_index]++;
        count_request(cache, bin_index);
    }
    return block;
}

void *cache_alloc(struct cache *cache, uint8_t class_index)
{
    ASSERT_SLOW(cache_is_valid(cache));
    unsigned bin_index = class_index + 1u;
    struct cache_bin *bin = &cache->front.bin[bin_index];
    if (*bin->head == NULL) {
        if (is_barred(cache, bin_index)) {
            return alloc_past(cache, bin_index);
        }
        if (!fill(cache, bin_index)) {
            return NULL;
        }
    }
    void *block = *bin->head++;
    count_request(cache, bin_index);
    return block;
}

/* How many blocks leave a full bin: half, or what the options say. */
static unsigned flush_count(const struct cache *cache, unsigned bin_index)
{
    unsigned capacity = cache->front.bin[bin_index].capacity;
    unsigned half = (capacity + 1) / 2;
    if (LIKELY(cache->bounds == NULL)) {
        return half < FLUSH_MAX ? half : FLUSH_MAX;
    }
    unsigned lg = bin_index > SMALL_CLASSES ? options.lg_tcache_flush_large_div
                                            : options.lg_tcache_flush_small_div;
    return lg == 1 ? half : capacity - (capacity >> lg);
}

void cache_free(struct cache *cache, uint8_t class_index, void *block)
{
    ASSERT_SLOW(cache_is_valid(cache));
    unsigned bin_index = class_index + 1u;
    struct cache_bin *bin = &cache->front.bin[bin_index];
    if (UNLIKELY(*bin->head == block)) {
        mistake("free(): double free of %p: the block was freed last", block);
        return;
    }
    if (bin_count(bin) == bin->capacity) {
        if (is_barred(cache, bin_index)) {
            give_back(cache, bin_index, &block, 1);
            return;
        }
        if (bin_count(bin) == bin->capacity && !grow(cache, bin_index, true)) {
            ASSERT(bin->capacity > 0);
            flush_oldest(cache, bin_index, flush_count(cache, bin_index));
        }
    }
    *--bin->head = block;
}

bool cache_holds(const struct cache *cache, uint8_t class_index, const void *block, unsigned most)
{
    const struct cache_bin *bin = &cache->front.bin[class_index + 1u];
    for (unsigned i = 0; i < most && bin->head[i] != NULL; i++) {
        if (bin->head[i] == block) {
            return true;
        }
    }
    return false;
}

void cache_flush(struct cache *cache)
{
    for (unsigned i = 1; i < CACHE_BINS; i++) {
        unsigned count = bin_count(&cache->front.bin[i]);
        if (count > 0) {
            flush_oldest(cache, i, count);
        }
    }
}

static void drop_outside_pieces(struct cache *cache)
{
    for (unsigned i = 1; i < CACHE_BINS && cache->bounds != NULL; i++) {
        struct cache_bin *bin = &cache->front.bin[i];
        if (bin->capacity > 0 && is_outside(cache, piece_of(bin))) {
            drop_piece(cache, piece_of(bin), piece_lg(bin->capacity));
        }
    }
}

struct bounds cache_bounds(const struct cache *cache)
{
    return cache->bounds != NULL ? *cache->bounds : bound_default();
}

unsigned cache_slots(const struct cache *cache, uint8_t class_index)
{
    unsigned bound = given_bound(cache, class_index + 1u);
    return bound != BOUND_NONE ? bound : own_limit(cache, class_index + 1u);
}

void cache_set_bounds(struct cache *cache, const struct bounds *bounds)
{
    cache_flush(cache);
    drop_outside_pieces(cache);
    for (unsigned i = 0; i < CACHE_BINS; i++) {
        empty_bin(cache, i);
    }
    forget_pieces(cache);
    cache->own_bounds = *bounds;
    use_bounds(cache, &cache->own_bounds);
}

void cache_end(struct cache *cache)
{
    ASSERT(cache_cached_bytes(cache) == 0);
    drop_outside_pieces(cache);
}

/* Whoever tells an arena of another thread's cache may have read its numbers while they changed. */
READS_OTHERS uint64_t cache_untold_requests(const struct cache *cache, uint8_t class_index)
{
    uint64_t requests = bin_requests(cache, class_index + 1u);
    uint64_t told = cache->requests_told[class_index + 1u];
    return requests > told ? requests - told : 0;
}

READS_OTHERS uint64_t cache_untold(const struct cache *cache, uint64_t untold[CACHED_CLASSES])
{
    uint64_t classes = 0;
    for (uint64_t bins = cache->used; bins != 0; bins &= bins - 1) {
        unsigned class_index = bits_lowest(bins) - 1;
        untold[class_index] = cache_untold_requests(cache, (uint8_t)class_index);
        classes |= (uint64_t)(untold[class_index] != 0) << class_index;
    }
    return classes;
}

void cache_merge_counters(struct cache *cache)
{
    uint64_t untold[CACHED_CLASSES];
    for (uint64_t classes = cache_untold(cache, untold); classes != 0; classes &= classes - 1) {
        unsigned i = bits_lowest(classes);
        arena_count_requests(cache_arena(cache), (uint8_t)i, cache->user.number, untold[i]);
        cache->requests_told[i + 1u] += untold[i];
    }
}

uint64_t cache_allocated_bytes(const struct cache *cache)
{
    uint64_t bytes = cache->direct_alloc_bytes;
    for (uint64_t bins = cache->used; bins != 0; bins &= bins - 1) {
        unsigned i = bits_lowest(bins);
        bytes += bin_requests(cache, i) * bin_size[i];
    }
    return bytes;
}

uint64_t cache_freed_bytes(const struct cache *cache)
{
    uint64_t bytes = cache->direct_free_bytes;
    for (uint64_t bins = cache->used; bins != 0; bins &= bins - 1) {
        unsigned i = bits_lowest(bins);
        int64_t frees =
            (int64_t)bin_requests(cache, i) + bin_count(&cache->front.bin[i]) - cache->taken[i];
        bytes += (uint64_t)frees * bin_size[i];
    }
    return bytes;
}

READS_OTHERS size_t cache_cached_bytes(const struct cache *cache)
{
    size_t bytes = 0;
    for (uint64_t bins = cache->used; bins != 0; bins &= bins - 1) {
        /* The owner may be moving its slots: what is read may be of two moments. */
        unsigned i = bits_lowest(bins);
        const struct cache_bin *bin = &cache->front.bin[i];
        unsigned count = bin_count(bin);
        bytes += (size_t)(count < bin->capacity ? count : bin->capacity) * bin_size[i];
    }
    return bytes;
}

bool cache_is_valid(const struct cache *cache)
{
    for (unsigned i = 0; i < CACHE_BINS; i++) {
        const struct cache_bin *bin = &cache->front.bin[i];
        uint16_t lowest = (uint16_t)(uintptr_t)(bin->bottom - bin->capacity);
        bool is_used = ((cache->used >> i) & 1) != 0;
        if (!is_used &&
            (bin->capacity != 0 || bin_requests(cache, i) != 0 || cache->taken[i] != 0)) {
            return false;
        }
        if (*bin->bottom != NULL || bin_count(bin) > bin->capacity || lowest != bin->full) {
            return false;
        }
    }
    return cache->front.cache == cache;
}
