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

void tally_thread_hold(struct profiled_thread *thread)
{
    atomic_fetch_add_explicit(&thread->uses, 1, memory_order_relaxed);
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
        trace->log_number = 0;
        trace->tallies = NULL;
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

/* The functions that follow are called under the lock of the trace's stripe. */

static struct trace *find_trace(const uintptr_t *frames, unsigned depth, uint64_t hash)
{
    struct trace *trace = table.traces[hash % CHAINS];
    while (trace != NULL && (trace->hash != hash || !has_frames(trace, frames, depth))) {
        trace = trace->next;
    }
    return trace;
}

/* The trace of the frames, with one use more; or NULL. */
static struct trace *use_trace(const uintptr_t *frames, unsigned depth, uint64_t hash)
{
    struct trace *trace = find_trace(frames, depth, hash);
    if (trace == NULL && (trace = new_trace(frames, depth, hash)) != NULL) {
        trace->next = table.traces[hash % CHAINS];
        table.traces[hash % CHAINS] = trace;
    }
    if (trace != NULL) {
        trace->uses++;
    }
    return trace;
}

static void unuse_trace(struct trace *trace)
{
    ASSERT(trace->uses > 0);
    if (--trace->uses > 0) {
        return;
    }
    struct trace **link = &table.traces[trace->hash % CHAINS];
    while (*link != trace) {
        link = &(*link)->next;
    }
    *link = trace->next;
    lock_acquire(&spare.lock);
    trace->next = spare.traces[depth_class(trace->depth)];
    spare.traces[depth_class(trace->depth)] = trace;
    lock_release(&spare.lock);
}

static void unlink_tally(struct tally *tally)
{
    struct tally **link = &table.tallies[tally->chain];
    while (*link != tally) {
        link = &(*link)->next;
    }
    *link = tally->next;
    *tally->link_of_trace = tally->next_of_trace;
    if (tally->next_of_trace != NULL) {
        tally->next_of_trace->link_of_trace = tally->link_of_trace;
    }
}

/* Ends a tally that has nothing more to tell, unless a walk stands on it. */
static void drop_if_idle(struct tally *tally)
{
    bool is_kept = table.keeps_all && !tally->is_left;
    if (tally->live.objects > 0 || is_kept || tally->is_walked) {
        return;
    }
    if (!tally->is_left) {
        unlink_tally(tally);
    }
    unuse_trace(tally->trace);
    tally_thread_end(tally->thread);
    lock_acquire(&spare.lock);
    tally->next = spare.tallies;
    spare.tallies = tally;
    lock_release(&spare.lock);
}

static struct tally *new_tally(struct profiled_thread *thread, struct trace *trace, unsigned chain)
{
    lock_acquire(&spare.lock);
    struct tally *tally = spare.tallies;
    if (tally != NULL) {
        spare.tallies = tally->next;
    }
    lock_release(&spare.lock);
    tally = tally != NULL ? tally : meta_alloc(sizeof *tally, TALLY_ALIGNMENT);
    if (tally == NULL) {
        return NULL;
    }
    *tally = (struct tally){.trace = trace, .thread = thread, .chain = chain};
    tally_thread_hold(thread);
    tally->next = table.tallies[chain];
    table.tallies[chain] = tally;
    tally->next_of_trace = trace->tallies;
    tally->link_of_trace = &trace->tallies;
    if (trace->tallies != NULL) {
        trace->tallies->link_of_trace = &tally->next_of_trace;
    }
    trace->tallies = tally;
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

/* In the trace's stripe. */
static unsigned chain_of(const struct trace *trace, const struct profiled_thread *thread)
{
    uint64_t chain = mix(trace->hash, thread->number) % CHAINS;
    return (unsigned)(chain - chain % STRIPES + trace->hash % STRIPES);
}

/* The thread's tally at the trace, which gets one use of it more if the tally is new; or NULL. */
static struct tally *find_or_make(struct profiled_thread *thread, struct trace *trace,
                                  uint8_t lg_period)
{
    unsigned chain = chain_of(trace, thread);
    struct tally *tally = table.tallies[chain];
    while (tally != NULL &&
           (tally->trace != trace || tally->thread != thread || tally->lg_period != lg_period)) {
        tally = tally->next;
    }
    if (tally == NULL && (tally = new_tally(thread, trace, chain)) != NULL) {
        tally->lg_period = lg_period;
        trace->uses++;
    }
    return tally;
}

struct tally *tally_add(struct profiled_thread *thread, const uintptr_t *frames, unsigned depth,
                        const struct sample_size *size)
{
    depth = depth < TRACE_DEPTH_MAX ? depth : TRACE_DEPTH_MAX;
    uint64_t hash = hash_of(frames, depth);
    struct tally *tally = NULL;
    lock_acquire(stripe_of(hash));
    struct trace *trace = use_trace(frames, depth, hash);
    if (trace != NULL) {
        tally = find_or_make(thread, trace, size->lg_period);
        unuse_trace(trace); /* A tally has a use of its own. */
    }
    if (tally != NULL) {
        add(&tally->live, size);
        if (table.keeps_all) {
            add(&tally->all, size);
        }
    }
    lock_release(stripe_of(hash));
    return tally;
}

struct trace *tally_trace_hold(const uintptr_t *frames, unsigned depth)
{
    depth = depth < TRACE_DEPTH_MAX ? depth : TRACE_DEPTH_MAX;
    uint64_t hash = hash_of(frames, depth);
    lock_acquire(stripe_of(hash));
    struct trace *trace = use_trace(frames, depth, hash);
    lock_release(stripe_of(hash));
    return trace;
}

void tally_trace_hold_more(struct trace *trace)
{
    lock_acquire(stripe_of(trace->hash));
    ASSERT(trace->uses > 0);
    trace->uses++;
    lock_release(stripe_of(trace->hash));
}

void tally_trace_release(struct trace *trace)
{
    struct lock *lock = stripe_of(trace->hash);
    lock_acquire(lock);
    unuse_trace(trace);
    lock_release(lock);
}

void tally_remove(struct tally *tally, const struct sample_size *size)
{
    struct lock *lock = stripe_of(tally->chain);
    lock_acquire(lock);
    take_away(&tally->live, size);
    drop_if_idle(tally);
    lock_release(lock);
}

/* What has live blocks goes with the last of them. */
static void leave(struct tally *tally)
{
    unlink_tally(tally);
    tally->next_of_trace = NULL; /* A walk that stands on it ends here. */
    tally->is_left = true;
    drop_if_idle(tally);
}

void tally_reset(void)
{
    for (unsigned chain = 0; chain < CHAINS; chain++) {
        lock_acquire(stripe_of(chain));
        while (table.tallies[chain] != NULL) {
            leave(table.tallies[chain]);
        }
        lock_release(stripe_of(chain));
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

static void add_sums(struct tally_sums *sums, const struct tally_sums *more)
{
    sums->objects += more->objects;
    sums->usable_bytes += more->usable_bytes;
    sums->requested_bytes += more->requested_bytes;
    sums->weighted_objects += more->weighted_objects;
    sums->weighted_bytes += more->weighted_bytes;
}

static void add_counts(struct tally_counts *counts, const struct tally *tally)
{
    add_sums(&counts->live, &tally->live);
    add_sums(&counts->all, &tally->all);
}

/* The number of the walk that is under way; the walks' own, as `walk` of threads is. */
static uint64_t walk_number;

static void count_in_walk(const struct tally *tally, void *opaque)
{
    struct tally_walk *walk = opaque;
    struct profiled_thread *thread = tally->thread;
    if (thread->walk != walk_number) {
        atomic_fetch_add_explicit(&thread->uses, 1, memory_order_relaxed);
        thread->walk = walk_number;
        thread->walk_counts = (struct tally_counts){.live = {.objects = 0}};
        thread->walk_next = walk->threads;
        walk->threads = thread;
    }
    add_counts(&thread->walk_counts, tally);
    add_counts(&walk->counts, tally);
}

static bool has_live_blocks(const struct trace *trace)
{
    const struct tally *tally = trace->tallies;
    while (tally != NULL && tally->live.objects == 0) {
        tally = tally->next_of_trace;
    }
    return tally != NULL;
}

static uint64_t count_traces(unsigned stripe)
{
    uint64_t count = 0;
    lock_acquire(&table.stripe[stripe]);
    for (unsigned chain = stripe; chain < CHAINS; chain += STRIPES) {
        for (struct trace *trace = table.traces[chain]; trace != NULL; trace = trace->next) {
            count += has_live_blocks(trace);
        }
    }
    lock_release(&table.stripe[stripe]);
    return count;
}

void tally_walk_begin(struct tally_walk *walk)
{
    *walk = (struct tally_walk){.chain = 0};
    walk_number++;
    tally_visit(count_in_walk, walk);
    for (unsigned stripe = 0; stripe < STRIPES; stripe++) {
        walk->trace_count += count_traces(stripe);
    }
}

struct profiled_thread *tally_walk_thread(const struct tally_walk *walk,
                                          const struct profiled_thread *thread)
{
    return thread == NULL ? walk->threads : thread->walk_next;
}

/* The walk goes on to another tally of its trace, or to NULL. Stripe's lock held. */
static void step_to(struct tally_walk *walk, struct tally *tally)
{
    struct tally *before = walk->tally;
    walk->tally = tally;
    if (tally != NULL) {
        tally->is_walked = true;
    }
    if (before != NULL) {
        before->is_walked = false;
        drop_if_idle(before);
    }
}

/* Leaves the trace that the walk stands on. Result: the one behind it in its chain. */
static struct trace *leave_trace(struct tally_walk *walk)
{
    struct trace *trace = walk->trace;
    struct lock *lock = stripe_of(trace->hash);
    lock_acquire(lock);
    struct trace *next = trace->next;
    if (next != NULL) {
        next->uses++;
    }
    step_to(walk, NULL);
    unuse_trace(trace);
    lock_release(lock);
    return next;
}

/* The first trace of the next chain that has one, or NULL. */
static struct trace *enter_chain(struct tally_walk *walk)
{
    struct trace *trace = NULL;
    while (trace == NULL && walk->chain < CHAINS) {
        unsigned chain = walk->chain++;
        lock_acquire(&table.stripe[chain % STRIPES]);
        trace = table.traces[chain];
        if (trace != NULL) {
            trace->uses++;
        }
        lock_release(&table.stripe[chain % STRIPES]);
    }
    return trace;
}

const struct trace *tally_walk_trace(struct tally_walk *walk, struct tally_counts *counts)
{
    struct trace *next = walk->trace != NULL ? leave_trace(walk) : NULL;
    walk->trace = next != NULL ? next : enter_chain(walk);
    *counts = (struct tally_counts){.live = {.objects = 0}};
    if (walk->trace != NULL) {
        struct lock *lock = stripe_of(walk->trace->hash);
        lock_acquire(lock);
        for (struct tally *tally = walk->trace->tallies; tally != NULL;
             tally = tally->next_of_trace) {
            add_counts(counts, tally);
        }
        step_to(walk, walk->trace->tallies);
        lock_release(lock);
    }
    return walk->trace;
}

bool tally_walk_tally(struct tally_walk *walk, struct tally_counts *counts, uint64_t *number)
{
    const struct tally *tally = walk->tally;
    if (tally == NULL) {
        return false;
    }
    struct lock *lock = stripe_of(tally->chain);
    lock_acquire(lock);
    *counts = (struct tally_counts){tally->live, tally->all};
    *number = tally->thread->number;
    step_to(walk, tally->next_of_trace);
    lock_release(lock);
    return true;
}

void tally_walk_end(struct tally_walk *walk)
{
    while (walk->trace != NULL) {
        walk->trace = leave_trace(walk);
    }
    while (walk->threads != NULL) {
        struct profiled_thread *thread = walk->threads;
        walk->threads = thread->walk_next;
        tally_thread_end(thread);
    }
}

void tally_visit_locks(void (*visit)(struct lock *lock))
{
    for (unsigned i = 0; i < STRIPES; i++) {
        visit(&table.stripe[i]);
    }
    visit(&spare.lock);
}
