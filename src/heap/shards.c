/* shards.c: further bins of a class. See shards.h.
 *
 * They are made under the lock of the arenas' table, which fork takes before it looks for locks. So
 * no bin comes whose lock is not among those that it holds.
 */
#include "heap/shards.h"

#include "base/bits.h"
#include "config/options.h"
#include "heap/holes.h"
#include "pages/meta.h"

/* Two of them share no cache line: else their threads would wait for each other all the same. */
struct shard {
    _Alignas(64) struct bin bin;
};

struct shards {
    _Atomic unsigned joined[SHARDS_JOINERS]; /* relaxed, any thread: caches that ever came */
    /* All but the first bin of a class; NULL: not made. Written under the lock of the table,
     * release; any thread reads, acquire: it publishes bins that are ready. */
    _Atomic(struct shard *) further[SMALL_CLASSES];
    /* Likewise: the bin of sampled blocks. */
    _Atomic(struct shard *) sampled[SMALL_CLASSES];
};

bool shards_wanted;

static_assert(sizeof options.bin_shards == SMALL_CLASSES, "the option has a number for each class");

void shards_start(void)
{
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        shards_wanted |= shards_count(i) > 1;
    }
}

unsigned shards_count(uint8_t class_index)
{
    ASSERT(class_index < SMALL_CLASSES);
    unsigned set = options.bin_shards[class_index];
    return set == 0 ? 1 : set - 1;
}

struct shards *shards_new(void)
{
    return meta_alloc(sizeof(struct shards), 64);
}

uint16_t shards_join_slow(struct shards *shards, enum shards_joiner joiner)
{
    return (uint16_t)atomic_fetch_add_explicit(&shards->joined[joiner], 1, memory_order_relaxed);
}

/* The lock of the table is held. */
static struct shard *make_shards(unsigned count)
{
    struct shard *shard = meta_alloc(count * sizeof *shard, _Alignof(struct shard));
    for (unsigned i = 0; shard != NULL && i < count; i++) {
        lock_init(&shard[i].bin.lock, LOCK_BIN);
        holes_init(&shard[i].bin.holes);
    }
    return shard;
}

static NOINLINE struct shard *further_slow(struct shards *shards, uint8_t class_index)
{
    if (lock_is_own_fork()) {
        return NULL; /* The locks of further bins would not be held as the others are. */
    }
    lock_acquire(arena_table_lock());
    struct shard *shard = atomic_load_explicit(&shards->further[class_index], memory_order_relaxed);
    if (shard == NULL) {
        shard = make_shards(shards_count(class_index) - 1);
        atomic_store_explicit(&shards->further[class_index], shard, memory_order_release);
    }
    lock_release(arena_table_lock());
    return shard;
}

static struct shard *further_of(struct shards *shards, uint8_t class_index)
{
    return atomic_load_explicit(&shards->further[class_index], memory_order_acquire);
}

static struct shard *sampled_of(struct shards *shards, uint8_t class_index)
{
    return atomic_load_explicit(&shards->sampled[class_index], memory_order_acquire);
}

struct bin *shards_pick(struct arena *arena, uint8_t class_index, unsigned number)
{
    unsigned index = number % shards_count(class_index);
    struct shards *shards = arena_shards(arena);
    if (index == 0 || shards == NULL) {
        return &arena->bin[class_index];
    }
    struct shard *shard = further_of(shards, class_index);
    shard = LIKELY(shard != NULL) ? shard : further_slow(shards, class_index);
    return shard != NULL ? &shard[index - 1].bin : &arena->bin[class_index];
}

struct bin *shards_further(struct shards *shards, uint8_t class_index, unsigned index)
{
    struct shard *shard = further_of(shards, class_index);
    unsigned made = shard != NULL ? shards_count(class_index) - 1 : 0;
    if (index <= made) {
        return &shard[index - 1].bin;
    }
    struct shard *sampled = sampled_of(shards, class_index);
    return index == made + 1 && sampled != NULL ? &sampled->bin : NULL;
}

static NOINLINE struct shard *sampled_slow(struct arena *arena, uint8_t class_index)
{
    if (lock_is_own_fork()) {
        return NULL;
    }
    struct shard *sampled = NULL;
    lock_acquire(arena_table_lock());
    struct shards *shards = arena_shards(arena);
    if (shards == NULL) {
        shards = shards_new();
        atomic_store_explicit(&arena->shards, shards, memory_order_release);
    }
    if (shards != NULL && (sampled = sampled_of(shards, class_index)) == NULL) {
        sampled = make_shards(1);
        atomic_store_explicit(&shards->sampled[class_index], sampled, memory_order_release);
    }
    lock_release(arena_table_lock());
    return sampled;
}

struct bin *shards_sampled_bin(struct arena *arena, uint8_t class_index)
{
    struct shards *shards = arena_shards(arena);
    struct shard *sampled = shards != NULL ? sampled_of(shards, class_index) : NULL;
    sampled = LIKELY(sampled != NULL) ? sampled : sampled_slow(arena, class_index);
    return sampled != NULL ? &sampled->bin : NULL;
}

uint64_t shards_taken(struct arena *arena, uint8_t class_index)
{
    uint64_t taken = 0;
    struct bin *bin;
    for (unsigned index = 1; (bin = shards_bin(arena, class_index, index)) != NULL; index++) {
        taken += lock_acquire_count(&bin->lock);
    }
    return taken;
}

void shards_visit_locks(struct arena *arena, void (*visit)(struct lock *lock))
{
    struct bin *bin;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        for (unsigned index = 0; (bin = shards_bin(arena, i, index)) != NULL; index++) {
            visit(&bin->lock);
        }
    }
}

/* Gives the kept empty slab back to the page heap. */
static void drop_empty_slab(struct bin *bin)
{
    lock_acquire(&bin->lock);
    struct run *empty = bin->empty;
    bin->empty = NULL;
    bin->counters.current_slabs -= empty != NULL;
    bin->counters.slab_regions -= empty != NULL ? empty->region_count : 0;
    bin->holes.purged_pages -= empty != NULL ? bits_count(empty->purged) : 0;
    lock_release(&bin->lock);
    if (empty != NULL) {
        holes_note_end(empty);
        slab_delete(empty);
    }
}

void shards_purge(struct arena *arena)
{
    struct bin *bin;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        for (unsigned index = 0; (bin = shards_bin(arena, i, index)) != NULL; index++) {
            drop_empty_slab(bin);
            holes_sweep(arena, bin, i, HOLES_ALL);
        }
    }
}

static void begin_again(struct bin *bin)
{
    lock_acquire(&bin->lock);
    bin->counters = (struct bin_counters){0};
    bin->holes = (struct holes){0};
    holes_init(&bin->holes);
    lock_release(&bin->lock);
    lock_reset_counters(&bin->lock);
}

void shards_begin_again(struct arena *arena)
{
    struct bin *bin;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        for (unsigned index = 0; (bin = shards_bin(arena, i, index)) != NULL; index++) {
            begin_again(bin);
        }
    }
}
