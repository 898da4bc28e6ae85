/* arena.c: bins, the table of arenas, and which arena a thread uses. See arena.h.
 *
 * Automatic arenas are made when threads meet held locks, not one a CPU from the start: every arena
 * has its own half-full slabs, and most programs need one.
 *
 *     index   0 .. limit - 1   automatic, made from 0 on
 *             limit            for oversize blocks, unless the option is 0
 *             ...              manual ones
 *
 * The limit is asked for late, since counting CPUs reads files, which sandboxes may forbid. The
 * oversize arena may be there before: until its index is known it waits beside the table. The
 * memory of an arena is never given back: whoever still has a pointer to one that was destroyed
 * meets an arena.
 */
#include "heap/arena.h"

#include "base/bits.h"
#include "base/print.h"
#include "config/options.h"
#include "heap/holes.h"
#include "heap/shards.h"
#include "os/os.h"
#include "pages/huge.h"
#include "pages/idle.h"
#include "pages/meta.h"

#include <string.h>

enum {
    RATIO_BITS = 16,   /* narenas_ratio is in 1/65536 */
    FLUSH_BATCH = 128, /* blocks whose slabs are looked up, and prefetched, before the lock */
};

static struct {
    struct lock lock;
    _Atomic unsigned count; /* automatic ones; written under the lock (release) */
    _Atomic unsigned end;   /* of the used part of the table; likewise */
    _Atomic unsigned limit; /* written under the lock, once (release); 0: not yet */
    unsigned made;          /* under the lock: arenas that ever got memory */
    struct arena *gone;     /* under the lock: destroyed ones */
    bool fills_differ;      /* immutable: by options, see fill_differs() */
    /* Written under the lock (release), once, before it has an index. */
    _Atomic(struct arena *) oversize;
    _Atomic int64_t decay_ms[STAGES]; /* of arenas to come; relaxed, any thread */
} arenas;

_Atomic(struct arena *) arena_table[ARENAS_MAX];

int64_t arena_default_decay_ms(unsigned stage)
{
    return atomic_load_explicit(&arenas.decay_ms[stage], memory_order_relaxed);
}

void arena_set_default_decay_ms(unsigned stage, int64_t decay_ms)
{
    atomic_store_explicit(&arenas.decay_ms[stage], decay_ms, memory_order_relaxed);
}

/* What fresh arenas and those that serve again have in common. */
static void begin(struct arena *arena)
{
    arena->created_ns = os_time_coarse_ns();
    atomic_store_explicit(&arena->oversize_bytes, options.oversize_threshold, memory_order_relaxed);
    int64_t muzzy_ms = arena_default_decay_ms(STAGE_MUZZY);
    if (muzzy_ms != 0) {
        page_heap_set_decay(&arena->pages, STAGE_MUZZY, muzzy_ms);
    }
}

static struct arena *new_arena(void)
{
    struct arena *arena = meta_alloc(sizeof *arena, 64);
    if (arena == NULL) {
        return NULL;
    }
    page_heap_init(&arena->pages, arena, arena_default_decay_ms(STAGE_DIRTY));
    arena->pages.place = arenas.made++ % IDLE_PLACES;
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        lock_init(&arena->bin[i].lock, LOCK_BIN);
        holes_init(&arena->bin[i].holes);
    }
    if (UNLIKELY(shards_wanted)) {
        atomic_store_explicit(&arena->shards, shards_new(), memory_order_release);
    }
    begin(arena);
    return arena;
}

/* Lock held. */
static void put(struct arena *arena, unsigned index)
{
    arena->index = index;
    atomic_store_explicit(&arena_table[index], arena, memory_order_release);
    if (index >= atomic_load_explicit(&arenas.end, memory_order_relaxed)) {
        atomic_store_explicit(&arenas.end, index + 1, memory_order_release);
    }
}

/* Lock held. */
static struct arena *create_locked(void)
{
    unsigned index = atomic_load_explicit(&arenas.count, memory_order_relaxed);
    struct arena *arena = index < ARENAS_MAX ? new_arena() : NULL;
    if (arena != NULL) {
        put(arena, index);
        atomic_store_explicit(&arenas.count, index + 1, memory_order_release);
    }
    return arena;
}

bool arenas_start(void)
{
    lock_init(&arenas.lock, LOCK_ARENAS);
    arenas.fills_differ = shards_wanted || options.percpu_arena != PERCPU_DISABLED;
    if (options.oversize_threshold < LARGE_SIZE_MIN) {
        /* As jemalloc: such small blocks are none of an oversize arena's. */
        options.oversize_threshold = 0;
    }
    arena_set_default_decay_ms(STAGE_DIRTY, options.dirty_decay_ms);
    arena_set_default_decay_ms(STAGE_MUZZY, options.muzzy_decay_ms);
    lock_acquire(&arenas.lock);
    struct arena *first = create_locked();
    lock_release(&arenas.lock);
    return first != NULL;
}

unsigned arena_count(void)
{
    return atomic_load_explicit(&arenas.count, memory_order_acquire);
}

static struct arena *oversize_arena(void)
{
    return atomic_load_explicit(&arenas.oversize, memory_order_acquire);
}

/* That of oversize blocks may get its index meanwhile: whether it was met is a part of *index. */
struct arena *arena_next(unsigned *index)
{
    const unsigned met = 1u << 31;
    unsigned end = atomic_load_explicit(&arenas.end, memory_order_acquire);
    while ((*index & ~met) < end) {
        struct arena *arena = arena_get((*index)++ & ~met);
        if (arena != NULL) {
            *index |= arena == oversize_arena() ? met : 0;
            return arena;
        }
    }
    bool first = (*index & met) == 0;
    *index = ARENAS_MAX | met;
    return first ? oversize_arena() : NULL;
}

/* The ratio times the CPUs, rounded to the nearest; one CPU needs one arena whatever the ratio. */
static unsigned automatic_limit(unsigned cpus)
{
    uint64_t goal = (uint64_t)cpus * options.narenas_ratio;
    uint64_t rounded = (goal + (1u << (RATIO_BITS - 1))) >> RATIO_BITS;
    rounded = rounded < ARENA_AUTO_MAX ? rounded : ARENA_AUTO_MAX;
    return cpus == 1 || rounded == 0 ? 1 : (unsigned)rounded;
}

/* One for each CPU's number, or for two: the halves of a core are numbered so, as far as jemalloc's
 * phycpu knows. */
static unsigned limit_of_cpus(void)
{
    unsigned cpus = os_cpu_end();
    return options.percpu_arena == PERCPU_CORE ? (cpus + 1) / 2 : cpus;
}

/* The CPUs are counted when the number is first wanted: most programs never ask. Lock held. */
static NOINLINE unsigned lay_down_limit(void)
{
    unsigned limit = options.percpu_arena != PERCPU_DISABLED ? limit_of_cpus()
                     : options.narenas != 0                  ? options.narenas
                                                             : automatic_limit(os_cpu_count());
    limit = limit < ARENA_AUTO_MAX ? limit : ARENA_AUTO_MAX;
    struct arena *oversize = atomic_load_explicit(&arenas.oversize, memory_order_relaxed);
    if (oversize != NULL) {
        put(oversize, limit);
    }
    atomic_store_explicit(&arenas.limit, limit, memory_order_release);
    return limit;
}

/* Lock held. */
static unsigned limit_locked(void)
{
    unsigned limit = atomic_load_explicit(&arenas.limit, memory_order_relaxed);
    return limit != 0 ? limit : lay_down_limit();
}

/* The least number that arenas.narenas shows, and the first index of manual arenas. Lock held. */
static unsigned manual_base_locked(void)
{
    return limit_locked() + (options.oversize_threshold != 0);
}

unsigned arena_visible_count(void)
{
    lock_acquire(&arenas.lock);
    unsigned base = manual_base_locked();
    unsigned end = atomic_load_explicit(&arenas.end, memory_order_relaxed);
    lock_release(&arenas.lock);
    return end > base ? end : base;
}

unsigned arena_limit(void)
{
    unsigned limit = atomic_load_explicit(&arenas.limit, memory_order_acquire);
    if (UNLIKELY(limit == 0)) {
        lock_acquire(&arenas.lock);
        limit = limit_locked();
        lock_release(&arenas.lock);
    }
    return limit;
}

struct arena *arena_create(void)
{
    lock_acquire(&arenas.lock);
    bool room = atomic_load_explicit(&arenas.count, memory_order_relaxed) < limit_locked();
    struct arena *arena = room ? create_locked() : NULL;
    lock_release(&arenas.lock);
    return arena;
}

static NOINLINE struct arena *create_oversize(void)
{
    lock_acquire(&arenas.lock);
    struct arena *arena = atomic_load_explicit(&arenas.oversize, memory_order_relaxed);
    if (arena == NULL) {
        arena = new_arena();
        unsigned limit = atomic_load_explicit(&arenas.limit, memory_order_relaxed);
        atomic_store_explicit(&arenas.oversize, arena, memory_order_release);
        if (arena != NULL && limit != 0) {
            put(arena, limit);
        }
    }
    lock_release(&arenas.lock);
    return arena;
}

NOINLINE struct arena *arena_for_oversize(struct arena *arena)
{
    if (arena->is_manual || options.oversize_threshold == 0) {
        return arena;
    }
    struct arena *oversize = oversize_arena();
    oversize = oversize != NULL ? oversize : create_oversize();
    return oversize != NULL ? oversize : arena;
}

/* Lock held. */
static struct arena *new_manual(void)
{
    struct arena *arena = new_arena();
    if (arena != NULL) {
        arena->is_manual = true;
        atomic_store_explicit(&arena->watches_mappings, true, memory_order_relaxed);
    }
    return arena;
}

/* Makes an arena that was destroyed serve again. Whoever meets its locks meanwhile waits. Lock of
 * the table held. */
static void begin_again(struct arena *arena)
{
    shards_begin_again(arena);
    page_heap_begin_again(&arena->pages, arena_default_decay_ms(STAGE_DIRTY));
    struct huge_counters *huge = atomic_load_explicit(&arena->huge, memory_order_relaxed);
    if (huge != NULL) {
        memset(huge, 0, sizeof *huge);
    }
    memset(arena->large_requests, 0, sizeof arena->large_requests);
    memset(arena->name, 0, sizeof arena->name);
    arena->ends = false;
    atomic_store_explicit(&arena->shows_active, false, memory_order_relaxed);
    begin(arena);
}

/* The arena that was destroyed last, with its index. One whose pages the system did not take back
 * stays out of use, with them. Lock held. */
static struct arena *take_gone(void)
{
    struct arena *gone = arenas.gone;
    if (gone == NULL) {
        return NULL;
    }
    struct arena *arena = gone;
    if (page_heap_has_no_chunk(&gone->pages)) {
        begin_again(gone);
    } else {
        arena = new_manual();
    }
    if (arena != NULL) {
        arenas.gone = gone->next_gone;
        put(arena, gone->index);
    }
    return arena;
}

struct arena *arena_create_manual(void)
{
    lock_acquire(&arenas.lock);
    struct arena *arena = take_gone();
    unsigned base = manual_base_locked();
    unsigned index = atomic_load_explicit(&arenas.end, memory_order_relaxed);
    index = index > base ? index : base;
    if (arena == NULL && arenas.gone == NULL && index < ARENAS_MAX) {
        arena = new_manual();
        if (arena != NULL) {
            put(arena, index);
        }
    }
    lock_release(&arenas.lock);
    return arena;
}

bool arena_end_begins(struct arena *arena)
{
    lock_acquire(&arenas.lock);
    bool begins = arena->is_manual && !arena->ends &&
                  atomic_load_explicit(&arena->thread_count, memory_order_acquire) == 0;
    arena->ends |= begins;
    lock_release(&arenas.lock);
    return begins;
}

void arena_end(struct arena *arena)
{
    ASSERT(arena->ends);
    lock_acquire(&arenas.lock);
    atomic_store_explicit(&arena_table[arena->index], NULL, memory_order_release);
    arena->next_gone = arenas.gone;
    arenas.gone = arena;
    lock_release(&arenas.lock);
}

NOINLINE static bool join_manual(struct arena *arena)
{
    lock_acquire(&arenas.lock);
    bool joins = !arena->ends;
    if (joins) {
        atomic_fetch_add_explicit(&arena->thread_count, 1, memory_order_relaxed);
    }
    lock_release(&arenas.lock);
    return joins;
}

bool arena_join(struct arena *arena)
{
    if (UNLIKELY(arena->is_manual)) {
        return join_manual(arena);
    }
    atomic_fetch_add_explicit(&arena->thread_count, 1, memory_order_relaxed);
    return true;
}

/* What the thread wrote is done for who ends the arena when it sees none left. */
void arena_leave(struct arena *arena)
{
    atomic_fetch_sub_explicit(&arena->thread_count, 1, memory_order_release);
}

struct arena *arena_demand(unsigned index)
{
    struct arena *arena = arena_get(index);
    if (LIKELY(arena != NULL) || index >= arena_limit()) {
        return arena;
    }
    while (arena_get(index) == NULL && arena_create() != NULL) {
    }
    return arena_get(index);
}

static unsigned threads_of(const struct arena *arena)
{
    return atomic_load_explicit(&arena->thread_count, memory_order_relaxed);
}

struct arena *arena_least_used(const struct arena *except)
{
    struct arena *best = NULL;
    unsigned count = arena_count();
    for (unsigned i = 0; i < count; i++) {
        struct arena *arena = arena_get(i);
        if (arena != except && (best == NULL || threads_of(arena) < threads_of(best))) {
            best = arena;
        }
    }
    return best;
}

/* The arena of the CPU that the thread runs on. Those of lower numbers are made first. */
static struct arena *arena_of_cpu(void)
{
    struct arena *arena = arena_demand(os_cpu_now() % arena_limit());
    return arena != NULL ? arena : arena_get(0);
}

struct arena *arena_for_thread(void)
{
    return options.percpu_arena != PERCPU_DISABLED ? arena_of_cpu() : arena_least_used(NULL);
}

struct arena *arena_choose(const struct arena *contended)
{
    if (options.percpu_arena != PERCPU_DISABLED) {
        struct arena *here = arena_of_cpu();
        return here != contended ? here : NULL;
    }
    struct arena *best = arena_least_used(contended);
    bool idle = best != NULL && threads_of(best) == 0;
    struct arena *fresh = idle ? NULL : arena_create();
    return fresh != NULL ? fresh : best;
}

/* The kept empty slab or a new one, in the queue; or NULL when memory is refused. Lock held. */
static struct run *bin_add_slab(struct bin *bin, struct page_heap *pages, uint8_t class_index)
{
    struct run *slab = bin->empty;
    if (slab != NULL) {
        bin->empty = NULL;
        bin->counters.reslab_count++;
        bin_append(bin, slab);
    } else if ((slab = slab_new(pages, class_index)) != NULL) {
        bin_adopt(bin, slab);
    }
    return slab;
}

static bool take_lock(struct lock *lock)
{
    bool at_once = lock_try(lock);
    if (!at_once) {
        lock_acquire_slow(lock);
    }
    return !at_once;
}

/* The bin of a user where options make a difference. */
static NOINLINE struct bin *fill_differs(struct arena *arena, uint8_t class_index,
                                         struct bin_user *user)
{
    /* Threads come and look for their CPU's arena as those do that wait. */
    user->contended = options.percpu_arena != PERCPU_DISABLED;
    return shards_pick(arena, class_index, user->number);
}

unsigned arena_fill(struct arena *arena, uint8_t class_index, void **blocks, unsigned wanted,
                    struct bin_user *user)
{
    ASSERT(wanted > 0);
    struct bin *bin = &arena->bin[class_index];
    unsigned filled = 0;
    user->contended = false;
    if (UNLIKELY(arenas.fills_differ)) {
        bin = fill_differs(arena, class_index, user);
    }
again:
    if (UNLIKELY(!lock_try(&bin->lock))) {
        lock_acquire_slow(&bin->lock);
        user->contended = true;
    }
    while (filled < wanted) {
        struct run *slab = bin->first;
        if (slab != NULL) {
            bin->counters.reslab_count++;
        } else if (filled > 0) {
            /* A fresh slab is made for the first block only: a part of the batch will do. */
            break;
        } else if ((slab = bin_add_slab(bin, &arena->pages, class_index)) == NULL) {
            break;
        }
        uint64_t purged = slab->purged;
        filled += slab_take(slab, blocks + filled, wanted - filled);
        if (UNLIKELY(purged != slab->purged)) {
            holes_note_reuse(bin, slab, bits_count(purged ^ slab->purged));
        }
        if (slab->free_count == 0) {
            bin_remove(bin, slab);
        }
    }
    bin->counters.alloc_count += filled;
    bin->counters.fill_count++;
    lock_release(&bin->lock);
    if (UNLIKELY(filled == 0) && page_heap_grow(&arena->pages, slab_page_count(class_index))) {
        goto again;
    }
    return filled;
}

/* Blocks of one batch that are neighbours in one slab: those of a program that frees in the order
 * in which it allocated, or in the reverse. */
struct stretch {
    struct run *slab;
    const char *first; /* the lowest */
    unsigned count;
};

/* Takes back the stretches of a bin, that of the first, whose lock is held and let go; others stay,
 * moved to the front. Result: how many stay. */
static unsigned flush_bin(struct bin *bin, uint8_t class_index, struct stretch *stretches,
                          unsigned count, struct slab_faults *faults)
{
    const struct run *first = stretches[0].slab;
    struct run *emptied = NULL;
    unsigned left = 0;
    for (unsigned i = 0; i < count; i++) {
        struct run *slab = stretches[i].slab;
        if (slab->bin != bin) {
            stretches[left++] = stretches[i];
            continue;
        }
        unsigned before = slab->free_count;
        unsigned put = stretches[i].count;
        if (UNLIKELY(slab_put(slab, stretches[i].first, put) != NULL)) {
            put = slab_put_faultless(slab, stretches[i].first, put, faults);
            if (put == 0) { /* The slab may have been settled in this batch already. */
                continue;
            }
        }
        bin->counters.free_count += put;
        struct run *dead = bin_settle(bin, slab, before);
        if (dead != NULL) {
            dead->next = emptied;
            emptied = dead;
        }
    }
    bin->counters.flush_count++;
    bool sweeps = holes_idle_bytes(bin, class_index) > bin->holes.sweep_from_bytes;
    struct arena *arena = UNLIKELY(sweeps) ? arena_of_run(first) : NULL;
    lock_release(&bin->lock);
    while (emptied != NULL) {
        struct run *slab = emptied;
        emptied = slab->next;
        slab_delete(slab);
    }
    if (UNLIKELY(arena != NULL)) {
        holes_sweep(arena, bin, class_index, HOLES_SPARE);
    }
    return left;
}

/* The slab of a block. NULL: it is gone, and the block was freed twice. */
static struct run *slab_of(uint8_t class_index, const void *block, struct slab_faults *faults)
{
    if (UNLIKELY(map_code(block) != class_code(class_index))) {
        slab_note_fault(faults, (struct slab_fault){block, true});
        return NULL;
    }
    return chunk_run(map_owner(block), block);
}

/* Finds the slabs of blocks and has them fetched: the work under the lock then waits for less
 * memory. Result: the number of stretches. */
static unsigned find_stretches(uint8_t class_index, void *const *blocks, unsigned count,
                               struct stretch stretches[FLUSH_BATCH], struct slab_faults *faults)
{
    size_t class_bytes = bin_size[class_index + 1];
    size_t bytes = (size_t)slab_page_count(class_index) * PAGE_BYTES;
    struct run *slab = NULL;
    uintptr_t start = UINTPTR_MAX; /* of the slab: no block lies there */
    unsigned found = 0;
    for (void *const *end = blocks + count; blocks < end;) {
        const char *first = *blocks;
        if ((uintptr_t)first - start >= bytes) {
            slab = slab_of(class_index, first, faults);
            if (UNLIKELY(slab == NULL)) {
                start = UINTPTR_MAX;
                blocks++;
                continue;
            }
            __builtin_prefetch(slab, 1);
            start = (uintptr_t)chunk_page_address(slab->chunk, slab->page);
        }
        void *const *next = slab_neighbours_end(blocks, end, (ptrdiff_t)class_bytes);
        if ((uintptr_t)next[-1] - start >= bytes) {
            /* Another slab begins on the way. */
            uintptr_t distance = (uintptr_t)first - start;
            bool rising = (const char *)next[-1] > first;
            next = blocks +
                   (rising ? (bytes - distance - 1) / class_bytes : distance / class_bytes) + 1;
        }
        const char *last = next[-1];
        unsigned length = (unsigned)(next - blocks);
        stretches[found++] = (struct stretch){slab, last < first ? last : first, length};
        blocks = next;
    }
    return found;
}

void arena_flush(uint8_t class_index, void *const *blocks, unsigned count, bool *contended)
{
    struct slab_faults faults;
    faults.count = 0;
    *contended = false;
    while (count > 0) {
        unsigned batch = count < FLUSH_BATCH ? count : FLUSH_BATCH;
        struct stretch stretches[FLUSH_BATCH];
        unsigned left = find_stretches(class_index, blocks, batch, stretches, &faults);
        while (left > 0) {
            struct bin *bin = stretches[0].slab->bin;
            *contended |= take_lock(&bin->lock);
            left = flush_bin(bin, class_index, stretches, left, &faults);
        }
        blocks += batch;
        count -= batch;
    }
    if (UNLIKELY(faults.count > 0)) {
        slab_report(&faults);
    }
}

void arena_count_requests(struct arena *arena, uint8_t class_index, unsigned user_number,
                          uint64_t requests)
{
    if (class_index >= SMALL_CLASSES) {
        atomic_fetch_add_explicit(&arena->large_requests[class_index - SMALL_CLASSES], requests,
                                  memory_order_relaxed);
        return;
    }
    struct bin *bin = shards_pick(arena, class_index, user_number);
    lock_acquire(&bin->lock);
    bin->counters.request_count += requests;
    lock_release(&bin->lock);
}

struct huge_counters *arena_huge_counters(struct arena *arena)
{
    struct huge_counters *counters = atomic_load_explicit(&arena->huge, memory_order_acquire);
    if (counters != NULL) {
        return counters;
    }
    lock_acquire(&arenas.lock);
    counters = atomic_load_explicit(&arena->huge, memory_order_relaxed);
    if (counters == NULL) {
        counters = meta_alloc(sizeof *counters, 64);
        atomic_store_explicit(&arena->huge, counters, memory_order_release);
    }
    lock_release(&arenas.lock);
    return counters;
}

void arena_name(struct arena *arena, char *buffer)
{
    lock_acquire(&arenas.lock);
    bool is_named = arena->name[0] != '\0';
    memcpy(buffer, arena->name, ARENA_NAME_BYTES);
    lock_release(&arenas.lock);
    if (!is_named) {
        (void)print_to_buffer(buffer, ARENA_NAME_BYTES, "%s_%u",
                              arena->is_manual ? "manual" : "auto", arena->index);
    }
}

void arena_set_name(struct arena *arena, const char *name)
{
    char copy[ARENA_NAME_BYTES];
    (void)print_to_buffer(copy, sizeof copy, "%s", name);
    lock_acquire(&arenas.lock);
    memcpy(arena->name, copy, sizeof copy);
    lock_release(&arenas.lock);
}

void arena_purge(struct arena *arena)
{
    shards_purge(arena);
    page_heap_purge(&arena->pages, 0);
}

void arena_decay(struct arena *arena, uint64_t now_ns)
{
    (void)holes_look(arena, now_ns);
    page_heap_decay(&arena->pages, now_ns);
}

bool arena_look(struct arena *arena, uint64_t now_ns)
{
    bool holes_wait = holes_look(arena, now_ns);
    return page_heap_look(&arena->pages, now_ns) || holes_wait;
}

void arenas_forget_helper(void)
{
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        page_heap_forget_helper(&arena->pages);
    }
    huge_forget_helper();
}

void arenas_only_self_left(void)
{
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        page_heap_forget_others(&arena->pages);
    }
    for (arena = arenas.gone; arena != NULL; arena = arena->next_gone) {
        page_heap_forget_others(&arena->pages);
    }
}

void arenas_visit_locks(void (*visit)(struct lock *lock))
{
    struct arena *arena;
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        shards_visit_locks(arena, visit);
    }
    for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
        visit(&arena->pages.lock);
    }
}

/* A thread may still be at work in an arena that was destroyed meanwhile. Table's lock held. */
static void visit_gone_bins(void (*visit)(struct lock *lock))
{
    for (struct arena *arena = arenas.gone; arena != NULL; arena = arena->next_gone) {
        shards_visit_locks(arena, visit);
    }
}

static void visit_gone_pages(void (*visit)(struct lock *lock))
{
    for (struct arena *arena = arenas.gone; arena != NULL; arena = arena->next_gone) {
        visit(&arena->pages.lock);
    }
}

void arenas_hold_locks(void)
{
    lock_hold_for_fork(&arenas.lock);
    visit_gone_bins(lock_hold_for_fork);
    arenas_visit_locks(lock_hold_for_fork);
    visit_gone_pages(lock_hold_for_fork);
}

/* The lock of the table goes last: no arena may come while the others are let go. */
void arenas_release_locks(void)
{
    visit_gone_pages(lock_release_after_fork);
    arenas_visit_locks(lock_release_after_fork);
    visit_gone_bins(lock_release_after_fork);
    lock_release_after_fork(&arenas.lock);
}

struct lock *arena_table_lock(void)
{
    return &arenas.lock;
}

bool bin_is_valid(const struct bin *bin)
{
    const struct run *previous = NULL;
    for (const struct run *slab = bin->first; slab != NULL; slab = slab->next) {
        if (!slab_is_valid(slab) || slab->free_count == 0 ||
            slab->free_count == slab->region_count || slab->previous != previous ||
            slab->bin != bin) {
            return false;
        }
        previous = slab;
    }
    return bin->last == previous && (bin->empty == NULL || slab_is_valid(bin->empty));
}
