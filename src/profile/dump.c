/* dump.c: the text of a heap profile. See dump.h.
 *
 * All that is needed lies in static memory, under the dump's lock: profiles are wanted when memory
 * is short, and by threads with small stacks.
 */
#include "profile/dump.h"

#include "base/print.h"
#include "config/options.h"
#include "profile/draw.h"
#include "profile/dump_file.h"
#include "profile/dump_maps.h"
#include "profile/sampler.h"

#include <stdlib.h>
#include <string.h>

enum dump_result { DUMP_DONE, DUMP_NOT_OPENED, DUMP_NOT_WRITTEN };

static struct {
    struct lock lock;
    unsigned lg_period;         /* under the lock: of the readers' scale */
    struct tally_walk walk;     /* under the lock */
    char path[DUMP_PATH_BYTES]; /* under the lock */
    _Atomic(dump_hook) hook;    /* any thread; release and acquire, for what the program set up */
} dumps;

/* A mean size with so many bits of fraction, and as many blocks as one of it stands for. A period
 * with that shift has the same weights. */
struct mean {
    uint64_t size;
    uint64_t weight;
};

static unsigned shift_for(unsigned lg_period)
{
    return lg_period <= DRAW_LG_MAX - 16 ? 16 : DRAW_LG_MAX - lg_period;
}

static struct mean mean_of(unsigned __int128 bytes, uint64_t objects, unsigned lg_period)
{
    unsigned shift = shift_for(lg_period);
    unsigned __int128 wide = (bytes << shift) / objects;
    uint64_t size = wide == 0 ? 1 : wide >> 63 != 0 ? (uint64_t)1 << 63 : (uint64_t)wide;
    return (struct mean){size, draw_weight(lg_period + shift, size)};
}

static bool are_near(unsigned __int128 a, unsigned __int128 b, uint64_t allowed)
{
    return (a < b ? b - a : a - b) <= (a >> 13) + allowed;
}

/* Whether readers come to what the samples stand for from the samples themselves: they are of one
 * size, or of sizes that are all sampled alike. Weighted bytes were cut to whole ones for each. */
static bool are_alike(const struct tally_sums *sums, unsigned lg_period)
{
    struct mean mean = mean_of(sums->usable_bytes, sums->objects, lg_period);
    unsigned __int128 objects = (unsigned __int128)sums->objects * mean.weight;
    unsigned __int128 bytes = (unsigned __int128)sums->usable_bytes * mean.weight >> WEIGHT_BITS;
    return are_near(objects, sums->weighted_objects, 0) &&
           are_near(bytes, sums->weighted_bytes, sums->objects);
}

/* With W objects of s bytes in the mean, a line of o = W * (1 - exp(-s / period)) objects and o * s
 * bytes is scaled to W objects and W * s bytes. o is rounded, and the bytes follow it, so that the
 * mean stays: what rounding costs, it costs both alike. */
struct dump_counts dump_unbiased(const struct tally_sums *sums, unsigned lg_period)
{
    if (!options.prof_unbias || sums->weighted_objects == 0 || are_alike(sums, lg_period)) {
        return (struct dump_counts){sums->objects, sums->usable_bytes};
    }
    struct mean mean = mean_of((unsigned __int128)sums->weighted_bytes << WEIGHT_BITS,
                               sums->weighted_objects, lg_period);
    uint64_t objects = sums->weighted_objects / mean.weight;
    objects += sums->weighted_objects % mean.weight >= mean.weight - mean.weight / 2;
    objects = objects > 0 ? objects : 1;
    unsigned shift = shift_for(lg_period);
    unsigned __int128 bytes = (unsigned __int128)objects * mean.size + ((uint64_t)1 << shift >> 1);
    return (struct dump_counts){objects, (uint64_t)(bytes >> shift)};
}

/* "OBJECTS: BYTES [OBJECTS: BYTES]" */
static void print_counts(const struct tally_counts *counts)
{
    unsigned lg_period = dumps.lg_period;
    struct dump_counts live = dump_unbiased(&counts->live, lg_period);
    struct dump_counts all = dump_unbiased(&counts->all, lg_period);
    dump_file_print("%llu: %llu [%llu: %llu]", (unsigned long long)live.objects,
                    (unsigned long long)live.bytes, (unsigned long long)all.objects,
                    (unsigned long long)all.bytes);
}

static bool have_any(const struct tally_counts *counts)
{
    return counts->live.objects > 0 || counts->all.objects > 0;
}

static void print_head(const struct tally_walk *walk)
{
    struct profiled_thread *thread = NULL;
    char name[THREAD_NAME_BYTES];
    dump_file_print("heap_v2/%llu\n  t*: ", (unsigned long long)1 << dumps.lg_period);
    print_counts(&walk->counts);
    dump_file_print("\n");
    while ((thread = tally_walk_thread(walk, thread)) != NULL) {
        if (have_any(&thread->walk_counts)) {
            dump_file_print("  t%llu: ", (unsigned long long)thread->number);
            print_counts(&thread->walk_counts);
            tally_thread_name(thread, name);
            dump_file_print("%s%s\n", name[0] != '\0' ? " " : "", name);
        }
    }
}

/* Readers look up each address less 1, so that it is the call's and not what follows it; but not
 * the first, which they take for the place where the trace was taken. Ours is a call, too. */
static void print_trace(const struct trace *trace, const struct tally_counts *counts)
{
    dump_file_print("@");
    for (unsigned i = 0; i < trace->depth; i++) {
        dump_file_print(" 0x%llx", (unsigned long long)trace->frame[i] - (i == 0));
    }
    dump_file_print("\n  t*: ");
    print_counts(counts);
    dump_file_print("\n");
}

static void print_traces(struct tally_walk *walk)
{
    const struct trace *trace;
    struct tally_counts counts;
    uint64_t number;
    while ((trace = tally_walk_trace(walk, &counts)) != NULL) {
        if (!have_any(&counts)) {
            continue;
        }
        print_trace(trace, &counts);
        while (tally_walk_tally(walk, &counts, &number)) {
            if (have_any(&counts)) {
                dump_file_print("  t%llu: ", (unsigned long long)number);
                print_counts(&counts);
                dump_file_print("\n");
            }
        }
    }
}

/* The lock is held. */
static enum dump_result write_file(const char *path)
{
    if (!dump_file_open(path)) {
        return DUMP_NOT_OPENED;
    }
    print_head(&dumps.walk);
    print_traces(&dumps.walk);
    dump_maps_write();
    return dump_file_close() ? DUMP_DONE : DUMP_NOT_WRITTEN;
}

static enum dump_result write_walk(const char *path, struct dump_totals *totals)
{
    dumps.lg_period = sampler_lg_period();
    tally_walk_begin(&dumps.walk);
    if (totals != NULL) {
        *totals = (struct dump_totals){dumps.walk.counts.live, dumps.walk.trace_count};
    }
    enum dump_result result = write_file(path);
    tally_walk_end(&dumps.walk);
    return result;
}

/* Lets the lock go, with a path of its own: the program may write the next profile from its hook,
 * or where its messages go. */
static NOINLINE void release_and_tell(const char *path, enum dump_result result)
{
    char own_path[DUMP_PATH_BYTES];
    memcpy(own_path, path, strlen(path) + 1);
    lock_release(&dumps.lock);
    dump_hook hook = dump_hook_now();
    if (result == DUMP_DONE) {
        if (hook != NULL) {
            hook(own_path);
        }
        return;
    }
    if (result == DUMP_NOT_OPENED) {
        message("failed to open \"%s\"", own_path);
    } else {
        message("failed to write during heap profile flush");
    }
    if (options.abort) {
        abort();
    }
}

/* To the path, or, when that is NULL, to the next one of the kind. */
static bool write_one(const char *path, enum dump_kind kind, struct dump_totals *totals,
                      bool tells_failure)
{
    lock_acquire(&dumps.lock);
    if (path == NULL && dump_name_is_off()) {
        lock_release(&dumps.lock);
        return false;
    }
    if (path == NULL) {
        dump_name_next(kind, dumps.path);
        path = dumps.path;
    }
    enum dump_result result = write_walk(path, totals);
    if (result == DUMP_DONE ? dump_hook_now() != NULL : tells_failure) {
        release_and_tell(path, result);
    } else {
        lock_release(&dumps.lock);
    }
    return result == DUMP_DONE;
}

void dump_start(void)
{
    lock_init(&dumps.lock, LOCK_DUMP);
}

bool dump_write_to(const char *path)
{
    return write_one(path, DUMP_MANUAL, NULL, false);
}

bool dump_take_name(enum dump_kind kind, char *path)
{
    lock_acquire(&dumps.lock);
    bool has_names = !dump_name_is_off();
    if (has_names) {
        dump_name_next(kind, path);
    }
    lock_release(&dumps.lock);
    return has_names;
}

bool dump_write_next(enum dump_kind kind)
{
    return write_one(NULL, kind, NULL, false);
}

bool dump_write_unasked(enum dump_kind kind, struct dump_totals *totals)
{
    return write_one(NULL, kind, totals, true);
}

dump_hook dump_set_hook(dump_hook hook)
{
    return atomic_exchange_explicit(&dumps.hook, hook, memory_order_acq_rel);
}

dump_hook dump_hook_now(void)
{
    return atomic_load_explicit(&dumps.hook, memory_order_acquire);
}

bool dump_set_prefix(const char *prefix)
{
    lock_acquire(&dumps.lock);
    bool is_set = dump_name_set_prefix(prefix);
    lock_release(&dumps.lock);
    return is_set;
}

struct lock *dump_lock(void)
{
    return &dumps.lock;
}

void dump_visit_lock(void (*visit)(struct lock *lock))
{
    if (sampler_has_started()) {
        visit(&dumps.lock);
    }
}
