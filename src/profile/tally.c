/* tally.c: the tables of traces and of tallies. See tally.h.
 *
 * Both are arrays of chains. The lowest bits of a hash pick the chain, the lowest of those the
 * stripe. Records come from the allocator's own memory and go to lists of free ones.
 */
#include "profile/tally.h"

#include "pages/meta.h"
#include "profile/draw.h"

#include <string.h>

enum {
    STRIPES = 64,
    CHAINS = 16384, /* of each table */
    /* Traces are made for a multiple of so many frames, so that a freed one serves others. */
    DEPTH_STEP = 16,
    DEPTH_CLASSES = TRACE_DEPTH_MAX / DEPTH_STEP,
};

static struct {
    struct lock stripe[STRIPES];
    struct trace *traces[CHAINS];  /* under the lock of the chain's stripe */
    struct tally *tallies[CHAINS]; /* likewise */
    bool keeps_all;                /* immutable after tally_start() */
} table;

static struct {
    struct lock lock;
    uint64_t thread_count; /* ever; under the lock, as all that follows */
    struct profiled_thread *threads;
    struct tally *tallies;
    struct trace *traces[DEPTH_CLASSES];
} spare;

static struct lock *stripe_of(uint64_t hash)
{
    return &table.stripe[hash % STRIPES];
}

void tally_start(bool keeps_all)
{
    table.keeps_all = keeps_all;
    for (unsigned i = 0; i < STRIPES; i++) {
        lock_init(&table.stripe[i], LOCK_TALLY);
    }
    lock_init(&spare.lock, LOCK_TALLY_POOL);
}

/* One step of a hash: a product of 128 bits, folded, changes all bits.
 * As in Wang Yi, "wyhash" (2019), final version 4; its constants. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    unsigned __int128 product =
        (unsigned __int128)(hash ^ 0xa0761d6478bd642f) * (word ^ 0xe7037ed1a0b428db);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const uintptr_t *frames, unsigned depth)
{
    uint64_t hash = depth;
    for (unsigned i = 0; i < depth; i++) {
        hash = mix(hash, frames[i]);
    }
    return hash;
}

struct profiled_thread *tally_thread_begin(void)
{
    lock_acquire(&spare.lock);
    struct profiled_thread *thread = spare.threads;
    if (thread != NULL) {
        spare.threads = thread->next;
    } else {
        thread = meta_alloc(sizeof *thread, _Alignof(struct profiled_thread));
    }
    if (thread != NULL) {
        *thread = (struct profiled_thread){.number = spare.thread_count++, .uses = 1};
    }
    lock_release(&spare.lock);
    return thread;
}

void tally_thread_end(struct profiled_thread *thread)
{
    if (atomic_fetch_sub_explicit(&thread->uses, 1, memory_order_acq_rel) == 1) {
        lock_acquire(&spare.lock);
        thread->next = spare.threads;
        spare.threads = thread;
        lock_release(&spare.lock);
    }
}

void tally_thread_set_name(struct profiled_thread *thread, const char *name)
{
    size_t length = 0;
    lock_acquire(&spare.lock);
    for (; length < THREAD_NAME_BYTES - 1 && name[length] != '\0'; length++) {
        thread->name[length] = name[length];
    }
    memset(thread->name + length, 0, THREAD_NAME_BYTES - length);
    lock_release(&spare.lock);
}

void tally_thread_name(const struct profiled_thread *thread, char *name)
{
    lock_acquire(&spare.lock);
    memcpy(name, thread->name, THREAD_NAME_BYTES);
    lock_release(&spare.lock);
}

static unsigned depth_class(unsigned depth)
{
    return depth == 0 ? 0 : (depth - 1) / DEPTH_STEP;
}

static struct trace *new_trace(const uintptr_t *frames, unsigned depth, uint64_t hash)
{
    unsigned class = depth_class(depth);
    lock_acquire(&spare.lock);
    struct trace *trace = spare.traces[class];
    if (trace != NULL) {
        spare.traces[class] = trace->next;
    }
    lock_release(&spare.lock);
    if (trace == NULL) {
        size_t frames_bytes = (class + 1) * DEPTH_STEP * sizeof trace->frame[0];
        trace = meta_alloc(sizeof *trace + frames_bytes, _Alignof(struct trace));
    }
    if (trace != NULL) {
        trace->hash = hash;
        trace->depth = depth;
        trace->uses = 0;
        memcpy(trace->frame, frames, depth * sizeof trace->frame[0]);
    }
    return trace;
}

/* A loop of its own: memcmp would be one more name for the loader to look up at each start. */
static bool has_frames(const struct trace *trace, const uintptr_t *frames, unsigned depth)
{
    bool same = trace->depth == depth;
    for (unsigned i = 0; same && i < depth; i++) {
        same = trace->frame[i] == frames[i];
    }
    return same;
}

/* The trace of the frames, with one use more; or NULL. */
static struct trace *use_trace(const uintptr_t *frames, unsigned depth)
{
    uint64_t hash = hash_of(frames, depth);
    struct trace **chain = &table.traces[hash % CHAINS];
    lock_acquire(stripe_of(hash));
    struct trace *trace = *chain;
    while (trace != NULL && (trace->hash != hash || !has_frames(trace, frames, depth))) {
        trace = trace->next;
    }
    if (trace == NULL && (trace = new_trace(frames, depth, hash)) != NULL) {
        trace->next = *chain;
        *chain = trace;
    }
    if (trace != NULL) {
        trace->uses++;
    }
    lock_release(stripe_of(hash));
    return trace;
}

static void unuse_trace(struct trace *trace)
{
    uint64_t hash = trace->hash;
    lock_acquire(stripe_of(hash));
    bool last = --trace->uses == 0;
    if (last) {
        struct trace **link = &table.traces[hash % CHAINS];
        while (*link != trace) {
            link = &(*link)->next;
        }
        *link = trace->next;
    }
    lock_release(stripe_of(hash));
    if (last) {
        lock_acquire(&spare.lock);
        trace->next = spare.traces[depth_class(trace->depth)];
        spare.traces[depth_class(trace->depth)] = trace;
        lock_release(&spare.lock);
    }
}

/* It is in no chain any more, or not yet. */
static void drop(struct tally *tally)
{
    unuse_trace(tally->trace);
    tally_thread_end(tally->thread);
    lock_acquire(&spare.lock);
    tally->next = spare.tallies;
    spare.tallies = tally;
    lock_release(&spare.lock);
}

static struct tally *new_tally(struct profiled_thread *thread, struct trace *trace, uint64_t hash,
                               uint8_t lg_period)
{
    lock_acquire(&spare.lock);
    struct tally *tally = spare.tallies;
    if (tally != NULL) {
        spare.tallies = tally->next;
    }
    lock_release(&spare.lock);
    tally = tally != NULL ? tally : meta_alloc(sizeof *tally, TALLY_ALIGNMENT);
    if (tally != NULL) {
        *tally =
            (struct tally){.trace = trace, .thread = thread, .hash = hash, .lg_period = lg_period};
        atomic_fetch_add_explicit(&thread->uses, 1, memory_order_relaxed);
    }
    return tally;
}

static uint64_t weighted_bytes(const struct sample_size *size)
{
    return (uint64_t)(((unsigned __int128)size->weight * size->usable_bytes) >> WEIGHT_BITS);
}

static void add(struct tally_sums *sums, const struct sample_size *size)
{
    sums->objects++;
    sums->usable_bytes += size->usable_bytes;
    sums->requested_bytes += size->requested_bytes;
    sums->weighted_objects += size->weight;
    sums->weighted_bytes += weighted_bytes(size);
}

static void take_away(struct tally_sums *sums, const struct sample_size *size)
{
    ASSERT(sums->objects > 0);
    sums->objects--;
    sums->usable_bytes -= size->usable_bytes;
    sums->requested_bytes -= size->requested_bytes;
    sums->weighted_objects -= size->weight;
    sums->weighted_bytes -= weighted_bytes(size);
}

struct tally *tally_add(struct profiled_thread *thread, const uintptr_t *frames, unsigned depth,
                        const struct sample_size *size)
{
    depth = depth < TRACE_DEPTH_MAX ? depth : TRACE_DEPTH_MAX;
    struct trace *trace = use_trace(frames, depth);
    if (trace == NULL) {
        return NULL;
    }
    uint64_t hash = mix(trace->hash, thread->number);
    struct tally **chain = &table.tallies[hash % CHAINS];
    lock_acquire(stripe_of(hash));
    struct tally *tally = *chain;
    while (tally != NULL && (tally->trace != trace || tally->thread != thread ||
                             tally->lg_period != size->lg_period)) {
        tally = tally->next;
    }
    bool known = tally != NULL;
    if (!known && (tally = new_tally(thread, trace, hash, size->lg_period)) != NULL) {
        tally->next = *chain;
        *chain = tally;
    }
    if (tally != NULL) {
        add(&tally->live, size);
        if (table.keeps_all) {
            add(&tally->all, size);
        }
    }
    lock_release(stripe_of(hash));
    if (known || tally == NULL) {
        unuse_trace(trace); /* A tally has one use of it. */
    }
    return tally;
}

void tally_remove(struct tally *tally, const struct sample_size *size)
{
    uint64_t hash = tally->hash;
    lock_acquire(stripe_of(hash));
    take_away(&tally->live, size);
    bool last = tally->live.objects == 0 && (tally->is_left || !table.keeps_all);
    if (last && !tally->is_left) {
        struct tally **link = &table.tallies[hash % CHAINS];
        while (*link != tally) {
            link = &(*link)->next;
        }
        *link = tally->next;
    }
    lock_release(stripe_of(hash));
    if (last) {
        drop(tally);
    }
}

/* Takes the tallies of a stripe out of the table. Result: those that no block has, linked; others
 * go with the last of theirs. */
static struct tally *leave_stripe(unsigned stripe)
{
    struct tally *over = NULL;
    lock_acquire(&table.stripe[stripe]);
    for (unsigned chain = stripe; chain < CHAINS; chain += STRIPES) {
        struct tally *next;
        for (struct tally *tally = table.tallies[chain]; tally != NULL; tally = next) {
            next = tally->next;
            tally->is_left = true;
            if (tally->live.objects == 0) {
                tally->next = over;
                over = tally;
            }
        }
        table.tallies[chain] = NULL;
    }
    lock_release(&table.stripe[stripe]);
    return over;
}

void tally_reset(void)
{
    for (unsigned stripe = 0; stripe < STRIPES; stripe++) {
        struct tally *next;
        for (struct tally *tally = leave_stripe(stripe); tally != NULL; tally = next) {
            next = tally->next;
            drop(tally);
        }
    }
}

void tally_visit(void (*visit)(const struct tally *tally, void *opaque), void *opaque)
{
    for (unsigned stripe = 0; stripe < STRIPES; stripe++) {
        lock_acquire(&table.stripe[stripe]);
        for (unsigned chain = stripe; chain < CHAINS; chain += STRIPES) {
            for (struct tally *tally = table.tallies[chain]; tally != NULL; tally = tally->next) {
                visit(tally, opaque);
            }
        }
        lock_release(&table.stripe[stripe]);
    }
}

void tally_visit_locks(void (*visit)(struct lock *lock))
{
    for (unsigned i = 0; i < STRIPES; i++) {
        visit(&table.stripe[i]);
    }
    visit(&spare.lock);
}
