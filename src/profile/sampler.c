/* sampler.c: taking a sample, and what is kept of it. See sampler.h.
 *
 * Whatever a sample may need of libc and of the loader is there before the first one. A tally knows
 * its period, so a sample is taken back with the weight that it came with.
 */
#include "profile/sampler.h"

#include "config/options.h"
#include "heap/class.h"
#include "heap/sampled.h"
#include "os/modules.h"
#include "os/os.h"
#include "profile/backtrace.h"
#include "profile/dump.h"
#include "profile/dump_trigger.h"
#include "profile/recent.h"
#include "profile/record.h"
#include "profile/sample_log.h"

#include <string.h>

static struct {
    _Atomic bool started;       /* written under the control lock (release) */
    _Atomic bool loaded;        /* relaxed: backtrace_start() was called, and may be again */
    _Atomic bool turns_threads; /* relaxed: carries no data; new threads do not as options say */
    _Atomic uint8_t lg_period;  /* under the control lock; read relaxed, at any time */
    uintptr_t own_start;        /* immutable after the start: where the code of this library is */
    uintptr_t own_end;
    struct sampling *(*find_own)(void);    /* likewise */
    _Atomic uintptr_t hook[SAMPLER_HOOKS]; /* any thread; release and acquire */
    /* Any thread; relaxed: the sums of a class are of two moments while it is sampled. */
    _Atomic uint64_t requested_bytes[SAMPLED_KINDS][CLASS_COUNT];
    _Atomic uint64_t count[SAMPLED_KINDS][CLASS_COUNT]; /* likewise */
} sampler;

typedef void (*backtrace_hook)(void **frames, unsigned *count, unsigned most);
typedef void (*sample_hook)(const void *block, size_t size_bytes, void **frames, unsigned count,
                            size_t usable_bytes);
typedef void (*free_hook)(const void *block, size_t usable_bytes);

bool sampler_has_started(void)
{
    return atomic_load_explicit(&sampler.started, memory_order_acquire);
}

unsigned sampler_lg_period(void)
{
    return sampler_has_started() ? atomic_load_explicit(&sampler.lg_period, memory_order_relaxed)
                                 : (unsigned)options.lg_prof_sample;
}

bool sampler_wants_threads(void)
{
    return options.prof_thread_active_init !=
           atomic_load_explicit(&sampler.turns_threads, memory_order_relaxed);
}

void sampler_want_threads(bool wants)
{
    atomic_store_explicit(&sampler.turns_threads, wants != options.prof_thread_active_init,
                          memory_order_relaxed);
}

static void count(enum sampled_kind kind, uint64_t mark, size_t usable_bytes, bool comes)
{
    uint64_t bytes = record_requested_bytes(mark, usable_bytes);
    uint8_t class_index = class_of(usable_bytes);
    atomic_fetch_add_explicit(&sampler.requested_bytes[kind][class_index],
                              comes ? bytes : 0 - bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&sampler.count[kind][class_index], comes ? 1 : UINT64_MAX,
                              memory_order_relaxed);
}

struct sampled_sums sampler_sums(enum sampled_kind kind, uint8_t class_index)
{
    return (struct sampled_sums){
        atomic_load_explicit(&sampler.requested_bytes[kind][class_index], memory_order_relaxed),
        atomic_load_explicit(&sampler.count[kind][class_index], memory_order_relaxed),
    };
}

/* Threads that begin at once differ by their address, those that follow one another by the time. */
static uint64_t seed(const struct sampling *sampling)
{
    uint64_t state = os_time_ns() ^ (uint64_t)(uintptr_t)sampling << 20;
    return draw_bits(&state);
}

static void draw_countdown(struct sampling *sampling)
{
    sampling->countdown_bytes = draw_bytes(&sampling->random, sampling->lg_period);
}

void sampling_begin(struct sampling *sampling, unsigned lg_period)
{
    if (sampling->random == 0) {
        sampling->random = seed(sampling);
    }
    sampling->lg_period = (uint8_t)lg_period;
    sampling->is_on = true;
    draw_countdown(sampling);
}

void sampling_end(struct sampling *sampling)
{
    sampling->is_on = false;
    sampling->due = 0;
}

uint64_t sampling_draw(struct sampling *sampling, uint64_t size_bytes, uint64_t most)
{
    uint64_t blocks = draw_blocks(&sampling->random, sampling->lg_period, size_bytes);
    return blocks <= most ? blocks : UINT64_MAX;
}

bool sampling_is_due(struct sampling *sampling, size_t usable_bytes)
{
    if (!sampling_will_be_due(sampling, usable_bytes)) {
        sampling->countdown_bytes -= usable_bytes;
        return false;
    }
    draw_countdown(sampling);
    return true;
}

struct profiled_thread *sampling_thread(struct sampling *sampling)
{
    if (sampling->thread == NULL) {
        sampling->thread = tally_thread_begin();
    }
    if (UNLIKELY(options.prof_sys_thread_name) && sampling->thread != NULL) {
        char name[OS_THREAD_NAME_BYTES];
        os_thread_name(name);
        tally_thread_set_name(sampling->thread, name);
    }
    return sampling->thread;
}

static struct sample_size size_of(size_t requested, size_t usable_bytes, unsigned lg_period)
{
    return (struct sample_size){
        .usable_bytes = usable_bytes,
        .requested_bytes = requested,
        .weight = draw_weight(lg_period, usable_bytes),
        .lg_period = (uint8_t)lg_period,
    };
}

/* Our own frames are of no use to the program: its first is where it called us. Where this code is
 * linked into the program they cannot be told from its own. */
static unsigned own_frames(const uintptr_t *frames, unsigned depth)
{
    unsigned count = 0;
    while (count < depth &&
           frames[count] - sampler.own_start < sampler.own_end - sampler.own_start) {
        count++;
    }
    return count < depth ? count : 0;
}

/* What takes the traces, unless the program has a function that does. */
static void take_trace(void **frames, unsigned *count, unsigned most)
{
    uintptr_t *addresses = (uintptr_t *)frames;
    unsigned depth = backtrace_take(addresses, most);
    unsigned own = own_frames(addresses, depth);
    *count = depth - own;
    memmove(addresses, addresses + own, *count * sizeof *addresses);
}

uintptr_t sampler_hook(enum sampler_hook hook)
{
    uintptr_t function = atomic_load_explicit(&sampler.hook[hook], memory_order_acquire);
    return function == 0 && hook == HOOK_BACKTRACE ? (uintptr_t)take_trace : function;
}

void sampler_set_hook(enum sampler_hook hook, uintptr_t function)
{
    atomic_store_explicit(&sampler.hook[hook], function, memory_order_release);
}

/* The calling thread's frames. Result: how many. */
static unsigned trace_here(uintptr_t *frames)
{
    unsigned most = options.prof_bt_max < TRACE_DEPTH_MAX ? options.prof_bt_max : TRACE_DEPTH_MAX;
    unsigned depth = 0;
    backtrace_hook trace;
    *(uintptr_t *)&trace = sampler_hook(HOOK_BACKTRACE);
    trace((void **)frames, &depth, most);
    return depth < most ? depth : most;
}

static uint64_t take(struct sampling *sampling, size_t size_bytes, size_t usable_bytes)
{
    uintptr_t frames[TRACE_DEPTH_MAX];
    struct profiled_thread *thread = sampling_thread(sampling);
    if (thread == NULL) {
        return 0;
    }
    unsigned depth = trace_here(frames);
    struct record *record = record_new();
    size_t kept = record != NULL ? size_bytes : record_kept_bytes(size_bytes, usable_bytes);
    struct sample_size size = size_of(kept, usable_bytes, sampling->lg_period);
    struct tally *tally = tally_add(thread, frames, depth, &size);
    if (tally == NULL) {
        record_free(record);
        return 0;
    }
    return record_mark(record, tally, kept, usable_bytes);
}

uint64_t sampler_take(struct sampling *sampling, size_t size_bytes, size_t usable_bytes)
{
    if (sampling->is_busy) {
        return 0;
    }
    sampling->is_busy = true;
    uint64_t mark = take(sampling, size_bytes, usable_bytes);
    sampling->is_busy = false;
    return mark;
}

/* No lock is held here, so a profile that is due is written. */
static void count_towards_dump(struct sampling *sampling, uint64_t mark, size_t usable_bytes)
{
    if (dump_counts()) {
        dump_count(draw_weight(record_tally(mark)->lg_period, usable_bytes), usable_bytes);
    }
    if (dump_is_due()) {
        sampling->is_busy = true;
        dump_serve();
        sampling->is_busy = false;
    }
}

void sampler_made(struct sampling *sampling, const void *block, uint64_t mark, size_t usable_bytes)
{
    sample_hook tell;
    *(uintptr_t *)&tell = sampler_hook(HOOK_SAMPLE);
    if (options.prof_stats) {
        count(SAMPLED_LIVE, mark, usable_bytes, true);
        count(SAMPLED_EVER, mark, usable_bytes, true);
    }
    if (record_of(mark) != NULL) {
        recent_add(record_of(mark), usable_bytes);
    }
    if (UNLIKELY(tell != NULL)) {
        struct trace *trace = record_tally(mark)->trace;
        size_t size_bytes = record_requested_bytes(mark, usable_bytes);
        sampling->is_busy = true;
        tell(block, size_bytes, (void **)trace->frame, trace->depth, usable_bytes);
        sampling->is_busy = false;
    }
    count_towards_dump(sampling, mark, usable_bytes);
}

void sampler_take_back(uint64_t mark, size_t usable_bytes)
{
    struct tally *tally = record_tally(mark);
    struct sample_size size =
        size_of(record_requested_bytes(mark, usable_bytes), usable_bytes, tally->lg_period);
    tally_remove(tally, &size);
    record_free(record_of(mark));
}

static struct sampling *own_sampling(void)
{
    return sampler.find_own != NULL ? sampler.find_own() : NULL;
}

/* Whether the end of a sample's block is told to somebody. */
static bool is_told(const struct record *record)
{
    return sample_log_wants() || (record != NULL && recent_has(record));
}

/* The calling thread's trace, held. One that is taking a trace just now has none. */
static struct trace *hold_trace_here(struct sampling *own)
{
    uintptr_t frames[TRACE_DEPTH_MAX];
    unsigned depth = 0;
    if (own == NULL) {
        depth = trace_here(frames);
    } else if (!own->is_busy) {
        own->is_busy = true;
        depth = trace_here(frames);
        own->is_busy = false;
    }
    return tally_trace_hold(frames, depth);
}

static NOINLINE void tell_end(uint64_t mark, size_t usable_bytes)
{
    struct record *record = record_of(mark);
    struct sampling *own = own_sampling();
    struct sample_end end = {
        .tally = record_tally(mark),
        .alloc_time_ns = record != NULL ? record->alloc_time_ns : 0,
        .free_time_ns = os_time_ns(),
        .thread = own != NULL ? sampling_thread(own) : NULL,
        .trace = hold_trace_here(own),
        .usable_bytes = usable_bytes,
    };
    if (sample_log_wants()) {
        sample_log_add(&end);
    }
    if (record != NULL) {
        recent_end(record, &end);
    }
    if (end.trace != NULL) {
        tally_trace_release(end.trace);
    }
}

/* Whether its sample's blocks were counted is an option for the whole process. */
static void end_sample(const void *block, uint64_t mark, size_t usable_bytes)
{
    free_hook tell;
    *(uintptr_t *)&tell = sampler_hook(HOOK_FREE);
    if (UNLIKELY(tell != NULL)) {
        tell(block, usable_bytes);
    }
    if (options.prof_stats) {
        count(SAMPLED_LIVE, mark, usable_bytes, false);
    }
    if (UNLIKELY(is_told(record_of(mark)))) {
        tell_end(mark, usable_bytes);
    }
    sampler_take_back(mark, usable_bytes);
}

void sampler_load(void)
{
    /* The tables may be there without it: what starts them need not sample. */
    if (!atomic_load_explicit(&sampler.loaded, memory_order_relaxed)) {
        (void)backtrace_start();
        atomic_store_explicit(&sampler.loaded, true, memory_order_relaxed);
    }
}

bool sampler_load_nothing(void)
{
    return backtrace_start_unloaded();
}

void sampler_set_finder(struct sampling *(*find_own)(void))
{
    sampler.find_own = find_own;
}

void sampler_start(void)
{
    if (sampler_has_started()) {
        return;
    }
    struct os_module own;
    if (os_module_own(&own) && !os_module_is_program(&own)) {
        sampler.own_start = own.start;
        sampler.own_end = own.end;
    }
    tally_start(options.prof_accum);
    record_start();
    recent_start();
    sample_log_start();
    dump_start();
    sampled_end = end_sample;
    atomic_store_explicit(&sampler.lg_period, (uint8_t)options.lg_prof_sample,
                          memory_order_relaxed);
    atomic_store_explicit(&sampler.started, true, memory_order_release);
}

void sampler_reset(unsigned lg_period)
{
    ASSERT(lg_period <= DRAW_LG_MAX);
    atomic_store_explicit(&sampler.lg_period, (uint8_t)lg_period, memory_order_relaxed);
    tally_reset();
}

void sampler_visit_locks(void (*visit)(struct lock *lock))
{
    if (sampler_has_started()) {
        recent_visit_lock(visit);
        sample_log_visit_lock(visit);
        tally_visit_locks(visit);
        visit(record_lock());
    }
}

void sampler_forked(void)
{
    if (sampler_has_started()) {
        backtrace_forked();
        dump_forked();
        const struct sampling *own = own_sampling();
        recent_forked(own != NULL ? own->printing : 0);
    }
}
