/* purge.c: purging, and the bounds that ask for it. See purge.h.
 *
 * A purge visits chunks, those first that were not visited for longest, and in a chunk takes every
 * unused stretch that holds dirty pages: few calls for many pages.
 */
#include "pages/purge.h"

#include "os/os.h"
#include "pages/extent.h"
#include "pages/hpa.h"
#include "pages/idle.h"

enum {
    /* The clock is read once in so many freed runs: reading it costs about 40 instructions. */
    TICKS_PER_CLOCK = 32,
    TICKS_AFTER_REFUSAL = 1024,
    /* Ranges that one pass over a chunk purges before it takes the lock again. */
    PURGE_RANGES = OS_BATCH_MAX,
    /* A purge for the peak takes a little more than it must, so that the next run needs none: so
     * many pages, or this part of what may stay. */
    GROWTH_PURGE_PAGES = 64,
    GROWTH_PURGE_DIVISOR = 4,
    /* 4 MiB went for the peak: enough to judge by. docs/decisions/unused-memory.md */
    GROWTH_WINDOW_PAGES = 1024,
    WAIT_NS = 20000, /* between looks at what others do; a purge takes some microseconds */
};

/* The cap of a program that does not swing. */
static size_t least_cap_pages(const struct page_heap *heap)
{
    size_t least = page_policy.dirty_cap_bytes / PAGE_BYTES;
    size_t share = heap->active_pages / page_policy.dirty_cap_divisor;
    return larger(least, share);
}

static size_t dirty_cap_pages(const struct page_heap *heap)
{
    return larger(least_cap_pages(heap), heap->boost_pages);
}

/* What is purged of a chunk: the pages of one stage; lazily: dirty ones become muzzy. */
struct purge {
    unsigned stage_index;
    bool lazily;
};

enum purge_result { PURGE_REFUSED, PURGE_LAZY, PURGE_FOR_GOOD };

/* What a thread does without the lock: it purges pages of a chunk, which are marked used meanwhile,
 * or (count 0) gives an extent back. */
struct purge_pass {
    struct purge_pass *next;
    uintptr_t thread;
    struct chunk *chunk;
    unsigned count;
    struct page_range range[PURGE_RANGES];
};

static void begin_pass(struct page_heap *heap, struct purge_pass *pass)
{
    pass->thread = os_thread_self();
    pass->next = heap->passes;
    heap->passes = pass;
    lock_release(&heap->lock);
}

static void end_pass(struct page_heap *heap, const struct purge_pass *pass)
{
    lock_acquire(&heap->lock);
    struct purge_pass **link = &heap->passes;
    while (*link != pass) {
        link = &(*link)->next;
    }
    *link = pass->next;
}

static bool others_work(const struct page_heap *heap)
{
    const struct purge_pass *pass = heap->passes;
    while (pass != NULL && pass->thread == os_thread_self()) {
        pass = pass->next;
    }
    return pass != NULL || heap->hpa.making_chunks > 0;
}

bool purge_wait(struct page_heap *heap)
{
    uint32_t never = 0;
    bool waits = others_work(heap);
    while (others_work(heap)) {
        lock_release(&heap->lock);
        os_wait_for(&never, 0, WAIT_NS);
        lock_acquire(&heap->lock);
    }
    return waits;
}

/* The whole OS pages of the stretch at..end-1 whose first page to be purged is `first`. */
static struct page_range whole_os_pages(unsigned at, unsigned first, unsigned end)
{
    unsigned per_os_page = (unsigned)(os_page_bytes / PAGE_BYTES);
    unsigned start = (unsigned)bits_round_down(first, per_os_page);
    start = start < at ? (unsigned)bits_round_up(at, per_os_page) : start;
    unsigned last = (unsigned)bits_round_down(end, per_os_page);
    return (struct page_range){start, last > start ? last - start : 0};
}

/* The pages that a stretch may not hold: used ones, and for a purge of muzzy pages the dirty ones,
 * whose time has not come. */
static const uint64_t *obstacles(const struct chunk *chunk, unsigned stage_index,
                                 uint64_t used_or_dirty[CHUNK_WORDS])
{
    if (stage_index == STAGE_DIRTY) {
        return chunk->used;
    }
    for (unsigned i = 0; i < CHUNK_WORDS; i++) {
        used_or_dirty[i] = chunk->used[i] | chunk->dirty[i];
    }
    return used_or_dirty;
}

/* Collects stretches of unused pages from the first of the stage to the last, and marks them used:
 * the purge then needs no lock. Other pages between are purged once more, which is cheaper than a
 * second call. Result: the number of ranges. */
static unsigned claim_ranges(struct page_heap *heap, struct purge_pass *pass, unsigned stage_index,
                             unsigned *from)
{
    struct chunk *chunk = pass->chunk;
    uint64_t used_or_dirty[CHUNK_WORDS];
    const uint64_t *walls = obstacles(chunk, stage_index, used_or_dirty);
    const uint64_t *wanted = stage_index == STAGE_DIRTY ? chunk->dirty : chunk->muzzy;
    unsigned count = 0;
    unsigned at = bits_next_zero(walls, *from, CHUNK_PAGES);
    while (at < CHUNK_PAGES && count < PURGE_RANGES) {
        unsigned end = bits_next_one(walls, at, CHUNK_PAGES);
        unsigned first = bits_next_one(wanted, at, CHUNK_PAGES);
        if (first < end) {
            struct page_range range = whole_os_pages(at, first, end);
            if (range.page_count > 0) {
                page_stock_use(heap, chunk, range.page, range.page_count);
                pass->range[count++] = range;
            }
        }
        at = bits_next_zero(walls, end, CHUNK_PAGES);
    }
    *from = at;
    return count;
}

/* The same by the program's hooks. What they do not take for good they may take lazily. */
static NOINLINE enum purge_result purge_extent(const struct chunk *chunk, struct page_range range,
                                               bool lazily)
{
    const struct extent *extent = chunk->extent;
    size_t offset = (size_t)(chunk_page_address(chunk, range.page) - extent->base);
    size_t size_bytes = (size_t)range.page_count * PAGE_BYTES;
    if (!lazily && extent_purge(chunk->heap, extent, offset, size_bytes)) {
        return PURGE_FOR_GOOD;
    }
    return extent_purge_lazily(chunk->heap, extent, offset, size_bytes)      ? PURGE_LAZY
           : lazily && extent_purge(chunk->heap, extent, offset, size_bytes) ? PURGE_FOR_GOOD
                                                                             : PURGE_REFUSED;
}

static enum purge_result purge_range(const struct chunk *chunk, struct page_range range,
                                     bool lazily)
{
    if (UNLIKELY(chunk->extent != NULL)) {
        return purge_extent(chunk, range, lazily);
    }
    char *address = chunk_page_address(chunk, range.page);
    size_t size_bytes = (size_t)range.page_count * PAGE_BYTES;
    if (lazily && os_purge_lazily(address, size_bytes)) {
        return PURGE_LAZY;
    }
    return os_purge(address, size_bytes) ? PURGE_FOR_GOOD : PURGE_REFUSED;
}

/* As many ranges from `at` on as one system call may take. Result: how many that were; 0 where it
 * is not wanted or cannot be had. */
static unsigned purge_batch(const struct purge_pass *pass, unsigned at, bool lazily)
{
    struct os_range ranges[PURGE_RANGES];
    unsigned count = pass->count - at;
    count = count < page_policy.purge_batch ? count : page_policy.purge_batch;
    if (count < 2 || pass->chunk->extent != NULL) {
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        struct page_range range = pass->range[at + i];
        ranges[i] = (struct os_range){chunk_page_address(pass->chunk, range.page),
                                      (size_t)range.page_count * PAGE_BYTES};
    }
    return os_purge_batch(ranges, count, lazily);
}

/* Result: the number of system calls. */
static unsigned purge_ranges(const struct purge_pass *pass, bool lazily,
                             enum purge_result results[PURGE_RANGES])
{
    unsigned calls = 0;
    for (unsigned at = 0; at < pass->count; calls++) {
        unsigned end = at + purge_batch(pass, at, lazily);
        if (end == at) {
            results[at] = purge_range(pass->chunk, pass->range[at], lazily);
            at++;
        }
        for (; at < end; at++) {
            results[at] = lazily ? PURGE_LAZY : PURGE_FOR_GOOD;
        }
    }
    return calls;
}

static void note_result(struct page_heap *heap, struct chunk *chunk, struct page_range range,
                        enum purge_result result)
{
    if (result == PURGE_LAZY) {
        page_stock_note_muzzy(heap, chunk, range);
    } else if (result == PURGE_FOR_GOOD) {
        page_stock_note_purged(heap, chunk, range);
    }
}

/* A chunk of an extent with no page in use leaves whole, whatever its pages are. The lock is let go
 * meanwhile. */
static NOINLINE bool return_chunk(struct page_heap *heap, struct chunk *chunk)
{
    if (chunk->free_pages != chunk->valid_pages) {
        return false;
    }
    struct extent *extent = chunk->extent;
    struct purge_pass pass = {.chunk = chunk, .count = 0};
    page_stock_take_out(heap, chunk);
    begin_pass(heap, &pass);
    chunk_disown(chunk);
    extent_give(heap, extent);
    end_pass(heap, &pass);
    return true;
}

/* Returns all such chunks: clean ones are in the list of no stage. */
static NOINLINE void return_unused_chunks(struct page_heap *heap)
{
    struct chunk *chunk = heap->first_chunk;
    while (chunk != NULL) {
        bool gone = chunk->extent != NULL && return_chunk(heap, chunk);
        chunk = gone ? heap->first_chunk : chunk->next_of_heap;
    }
}

/* Claimed pages are unused again. True when the chunk has none in use: it may have left this heap,
 * so look at it no more. */
static bool drop_claims(struct page_heap *heap, const struct purge_pass *pass,
                        const enum purge_result results[PURGE_RANGES])
{
    struct chunk *chunk = pass->chunk;
    bool gone = false;
    for (unsigned i = 0; i < pass->count; i++) {
        struct page_range range = pass->range[i];
        ASSERT(!gone);
        note_result(heap, chunk, range, results[i]);
        gone = chunk->free_pages + range.page_count == chunk->valid_pages;
        page_stock_unuse(heap, chunk, range.page, range.page_count, 0);
    }
    return gone;
}

/* The lock is let go meanwhile; claimed pages keep the chunk in this heap. */
static void purge_chunk(struct page_heap *heap, struct chunk *chunk, struct purge purge)
{
    if (UNLIKELY(chunk->extent != NULL) && return_chunk(heap, chunk)) {
        return;
    }
    if (UNLIKELY(chunk->hpa_state == HPA_HUGE)) {
        hpa_note_purge(heap, chunk);
    }
    struct purge_pass pass = {.chunk = chunk};
    unsigned from = 0;
    while (from < CHUNK_PAGES) {
        pass.count = claim_ranges(heap, &pass, purge.stage_index, &from);
        if (pass.count == 0) {
            return;
        }
        begin_pass(heap, &pass);
        enum purge_result results[PURGE_RANGES];
        unsigned calls = purge_ranges(&pass, purge.lazily, results);
        end_pass(heap, &pass);
        heap->stage[purge.stage_index].purge_call_count += calls;
        if (drop_claims(heap, &pass, results)) {
            return;
        }
    }
}

void purge_forget_others(struct page_heap *heap)
{
    static const enum purge_result unknown[PURGE_RANGES];
    _Static_assert(PURGE_REFUSED == 0, "What was not purged stays what it is");
    struct purge_pass **link = &heap->passes;
    while (*link != NULL) {
        struct purge_pass *pass = *link;
        if (pass->thread == os_thread_self()) {
            link = &pass->next;
        } else {
            *link = pass->next;
            (void)drop_claims(heap, pass, unknown);
        }
    }
}

void purge_one(struct page_heap *heap, struct chunk *chunk)
{
    purge_chunk(heap, chunk, (struct purge){STAGE_DIRTY, false});
}

void purge_note_refusal(struct page_heap *heap)
{
    heap->ticks = TICKS_AFTER_REFUSAL;
    heap->purge_refused = true;
    heap->purge_from_pages = SIZE_MAX;
}

/* Each chunk is visited at most once: pages that the system refuses to purge stay what they are. */
static void purge_stage(struct page_heap *heap, struct purge purge, size_t keep_pages)
{
    struct page_stage *stage = &heap->stage[purge.stage_index];
    bool purging = false;
    size_t visits = heap->chunk_count;
    uint64_t purged_before = stage->purged_pages;
    while (stage->page_count > keep_pages && stage->first != NULL && visits-- > 0) {
        purge_chunk(heap, page_stock_visit(heap, purge.stage_index), purge);
        purging = true;
    }
    if (purging && stage->purged_pages == purged_before) {
        purge_note_refusal(heap);
    }
    if (purging) {
        stage->purge_count++;
        decay_purged(&stage->decay, stage->page_count);
    }
}

static void purge_dirty(struct page_heap *heap, size_t keep_pages, bool lazily)
{
    if (page_stock_unused(heap) > keep_pages) {
        page_stock_drop_recent(heap);
        purge_stage(heap, (struct purge){STAGE_DIRTY, lazily}, keep_pages);
    }
}

void purge_to(struct page_heap *heap, size_t keep_pages)
{
    purge_dirty(heap, keep_pages, heap->stage[STAGE_MUZZY].decay.decay_ms != 0);
}

void purge_muzzy(struct page_heap *heap, size_t keep_pages)
{
    purge_stage(heap, (struct purge){STAGE_MUZZY, false}, keep_pages);
}

void purge_for_good(struct page_heap *heap, size_t keep_pages)
{
    purge_dirty(heap, keep_pages, false);
    purge_muzzy(heap, 0);
    if (page_heap_has_hooks(heap)) {
        return_unused_chunks(heap);
    }
}

void purge_by_time(struct page_heap *heap, uint64_t now_ns)
{
    if (UNLIKELY(hpa_policy.on)) {
        hpa_work(heap, now_ns);
        return;
    }
    struct page_stage *dirty = &heap->stage[STAGE_DIRTY];
    struct page_stage *muzzy = &heap->stage[STAGE_MUZZY];
    purge_to(heap, decay_advance(&dirty->decay, now_ns, page_stock_unused(heap)));
    if (muzzy->decay.decay_ms > 0) {
        /* Even without muzzy pages: the curve learns that they are gone. */
        purge_muzzy(heap, decay_advance(&muzzy->decay, now_ns, muzzy->page_count));
    }
}

static bool is_over(const struct page_stage *stage, size_t page_count)
{
    return stage->decay.decay_ms <= 0 || decay_is_over(&stage->decay, page_count);
}

/* Purges down to the cap, unless the last such purge proves to have been wrong: within the decay
 * time at least half of what it took was wanted back. Then the cap doubles instead: a program that
 * swings keeps its memory, one that shrinks and rests does not. */
static void purge_to_cap(struct page_heap *heap)
{
    uint64_t now_ns = os_time_coarse_ns();
    uint64_t decay_ns = (uint64_t)heap->stage[STAGE_DIRTY].decay.decay_ms * 1000000u;
    bool recent = heap->cap_purged_pages > 0 && now_ns - heap->cap_purged_at_ns < decay_ns;
    size_t cap = dirty_cap_pages(heap);
    if (!recent) {
        heap->boost_pages = 0;
    } else if (heap->regret_pages > heap->cap_purged_pages / 2) {
        heap->boost_pages = 2 * cap;
        heap->cap_purged_at_ns = now_ns;
        cap *= 2;
    }
    if (page_stock_unused(heap) > cap) {
        /* Below the cap by a quarter, so that the next purge is not due at once. */
        size_t keep = cap - cap / 4;
        heap->cap_purged_pages = page_stock_unused(heap) - keep;
        heap->cap_purged_at_ns = now_ns;
        heap->regret_pages = 0;
        purge_to(heap, keep);
    }
}

/* Ends a window of purges for the peak: when most of what they took was wanted back, twice as many
 * pages may stay from now on. One that was left open for long says nothing. */
static void judge_growth(struct growth *growth, int64_t decay_ms)
{
    uint64_t now_ns = os_time_coarse_ns();
    bool old = now_ns - growth->since_ns > (uint64_t)decay_ms * 1000000u;
    bool full = growth->purged_pages >= GROWTH_WINDOW_PAGES;
    if (full && !old) {
        bool regretted = growth->reused_pages > growth->purged_pages / 2;
        growth->slack_pages =
            regretted ? growth->slack_pages * 2 : larger(growth->slack_pages / 2, SLACK_PAGES);
    }
    if (full || old) {
        growth->purged_pages = 0;
        growth->reused_pages = 0;
        growth->since_ns = now_ns;
    }
}

NOINLINE void purge_for_growth(struct page_heap *heap)
{
    struct growth *growth = &heap->growth;
    judge_growth(growth, heap->stage[STAGE_DIRTY].decay.decay_ms);
    size_t room = purge_room_below_peak(heap);
    if (page_stock_unused(heap) > room) {
        size_t more = room / GROWTH_PURGE_DIVISOR;
        more = more < GROWTH_PURGE_PAGES ? more : GROWTH_PURGE_PAGES;
        uint64_t purged_before = heap->stage[STAGE_DIRTY].purged_pages;
        purge_to(heap, room - more);
        growth->purged_pages += heap->stage[STAGE_DIRTY].purged_pages - purged_before;
    }
}

/* What asks for the next look comes first: a purge that the system refuses puts it off. */
ALWAYS_INLINE void purge_to_bounds(struct page_heap *heap)
{
    size_t cap = dirty_cap_pages(heap);
    size_t room = purge_room_below_peak(heap);
    heap->purge_from_pages = cap < room ? cap : room;
    if (page_stock_unused(heap) > room) {
        purge_for_growth(heap);
    }
    if (page_stock_unused(heap) > cap && !heap->purge_refused) {
        purge_to_cap(heap);
    }
}

/* A heap that is clean lets the next freed run come to purge_slow(), where the call is made: frees
 * need no test of their own for it. Pages that fall unused are dirty first, so one call will do. */
bool purge_look(struct page_heap *heap, uint64_t now_ns)
{
    purge_by_time(heap, now_ns);
    if (heap->asks_helper) {
        heap->asks_helper = false;
        purge_to_bounds(heap);
    }
    bool waiting = hpa_policy.on ? hpa_waits(heap, now_ns)
                                 : !is_over(&heap->stage[STAGE_DIRTY], page_stock_unused(heap)) ||
                                       !is_over(&heap->stage[STAGE_MUZZY],
                                                heap->stage[STAGE_MUZZY].page_count);
    if (!waiting) {
        heap->calls_helper = true;
        heap->purge_from_pages = 0;
    }
    return waiting;
}

/* A helper does what time and the cap ask for: it is told once that the cap is passed. False when
 * there is none: one is made once it is worth its while. */
static NOINLINE bool leave_to_helper(struct page_heap *heap)
{
    if (!idle_relieves()) {
        if (page_stock_unused(heap) > least_cap_pages(heap)) {
            idle_want();
        }
        return false;
    }
    size_t cap = dirty_cap_pages(heap);
    heap->ticks = TICKS_AFTER_REFUSAL;
    heap->purge_from_pages = cap;
    if (page_stock_unused(heap) > cap) {
        heap->asks_helper = true;
        heap->purge_from_pages = SIZE_MAX;
        idle_urge(heap->place);
    }
    return true;
}

NOINLINE void purge_slow(struct page_heap *heap)
{
    int64_t decay_ms = heap->stage[STAGE_DIRTY].decay.decay_ms;
    if (heap->calls_helper) {
        heap->calls_helper = false;
        idle_call(heap->place);
    }
    if (heap->purge_refused && heap->ticks > 0) {
        return;
    }
    heap->purge_refused = false;
    if (UNLIKELY(idle_has_maker()) && decay_ms > 0 && !hpa_policy.on && leave_to_helper(heap)) {
        return;
    }
    if (UNLIKELY(hpa_policy.on)) {
        heap->purge_from_pages = SIZE_MAX;
    } else if (decay_ms == 0) {
        heap->purge_from_pages = 0;
        purge_to(heap, 0);
    } else {
        heap->purge_from_pages = SIZE_MAX;
        if (decay_ms > 0) {
            purge_to_bounds(heap);
        }
    }
    if (heap->ticks == 0) {
        heap->ticks = TICKS_PER_CLOCK;
        purge_by_time(heap, os_time_coarse_ns());
    }
}
