/* hpa.c: when chunks become huge pages, and what is purged. See hpa.h.
 *
 * Nothing here has a thread of its own: what is due is done by the next run that is made or
 * freed, and by whoever asks for decay.
 */
#include "pages/hpa.h"

#include "os/os.h"
#include "pages/idle.h"
#include "pages/purge.h"

enum { FRACTION_BITS = 16 };
static const uint64_t NEVER_NS = UINT64_MAX;

struct hpa_policy hpa_policy;

/* The end of a delay, or never when no clock gets there. */
static uint64_t after(uint64_t now_ns, uint64_t delay_ms)
{
    uint64_t delay_ns;
    uint64_t end_ns;
    bool overflows = __builtin_mul_overflow(delay_ms, 1000000u, &delay_ns) ||
                     __builtin_add_overflow(now_ns, delay_ns, &end_ns);
    return overflows ? NEVER_NS : end_ns;
}

/* Pages in runs, but for those that a huge page would give memory to again. */
static unsigned used_pages(const struct chunk *chunk)
{
    return (unsigned)chunk->valid_pages - chunk->free_pages - chunk->hole_pages;
}

/* What came from the program's hooks is left as it came, and what is no whole huge page. */
static bool is_dense(const struct chunk *chunk)
{
    return chunk->valid_pages == CHUNK_PAGES && chunk->extent == NULL &&
           used_pages(chunk) >= hpa_policy.dense_pages;
}

static void wait_append(struct page_heap *heap, struct chunk *chunk)
{
    struct hpa *hpa = &heap->hpa;
    chunk->hpa_previous = hpa->last;
    chunk->hpa_next = NULL;
    *(hpa->last != NULL ? &hpa->last->hpa_next : &hpa->first) = chunk;
    hpa->last = chunk;
    chunk->hpa_state = HPA_WAITING;
}

static void wait_remove(struct page_heap *heap, struct chunk *chunk)
{
    struct hpa *hpa = &heap->hpa;
    *(chunk->hpa_previous != NULL ? &chunk->hpa_previous->hpa_next : &hpa->first) = chunk->hpa_next;
    *(chunk->hpa_next != NULL ? &chunk->hpa_next->hpa_previous : &hpa->last) = chunk->hpa_previous;
    chunk->hpa_state = HPA_SMALL;
}

static void note_huge(struct page_heap *heap, struct chunk *chunk)
{
    chunk->hpa_state = HPA_HUGE;
    heap->hpa.huge_chunks++;
    heap->hpa.hugifies++;
}

/* A refused copy leaves the wish: the system makes the huge page when it comes by. */
static void hugify(struct page_heap *heap, struct chunk *chunk)
{
    ASSERT(chunk->hpa_state == HPA_SMALL);
    chunk->hpa_state = HPA_MAKING;
    heap->hpa.making_chunks++;
    lock_release(&heap->lock);
    os_want_huge_pages(chunk->base, CHUNK_BYTES);
    bool made = !hpa_policy.collapses || os_collapse(chunk->base, CHUNK_BYTES);
    lock_acquire(&heap->lock);
    heap->hpa.making_chunks--;
    heap->hpa.hugify_failures += !made;
    note_huge(heap, chunk);
    page_stock_settle(heap, chunk);
}

void hpa_forget_makers(struct page_heap *heap)
{
    struct chunk *next;
    for (struct chunk *chunk = heap->first_chunk; chunk != NULL && heap->hpa.making_chunks > 0;
         chunk = next) {
        next = chunk->next_of_heap;
        if (chunk->hpa_state == HPA_MAKING) {
            chunk->hpa_state = HPA_SMALL;
            heap->hpa.making_chunks--;
            page_stock_settle(heap, chunk);
        }
    }
}

static void dehugify(struct page_heap *heap, struct chunk *chunk)
{
    os_refuse_huge_pages(chunk->base, CHUNK_BYTES);
    chunk->hpa_state = HPA_SMALL;
    heap->hpa.huge_chunks--;
    heap->hpa.dehugifies++;
}

void hpa_note_chunk(struct page_heap *heap, struct chunk *chunk)
{
    chunk->hpa_state = HPA_SMALL;
    chunk->purgeable_since_ns = 0;
    if (hpa_policy.style == HPA_STYLE_EAGER && chunk->valid_pages == CHUNK_PAGES) {
        /* A flag of the mapping, and nothing to copy: the lock may stay. */
        os_want_huge_pages(chunk->base, CHUNK_BYTES);
        note_huge(heap, chunk);
    }
}

static void hugify_due(struct page_heap *heap, uint64_t now_ns)
{
    struct chunk *chunk;
    while ((chunk = heap->hpa.first) != NULL && chunk->hugify_at_ns <= now_ns) {
        wait_remove(heap, chunk);
        if (is_dense(chunk)) {
            hugify(heap, chunk);
        }
    }
}

/* Nothing falls unused when a chunk becomes dense, so no free would do it. */
static void call_helper(struct page_heap *heap)
{
    if (heap->calls_helper) {
        heap->calls_helper = false;
        idle_call(heap->place);
    }
    idle_want();
}

/* A dense chunk waits from now on, unless it does or need not. */
static void wait_when_dense(struct page_heap *heap, struct chunk *chunk, uint64_t now_ns)
{
    uint64_t at_ns = after(now_ns, hpa_policy.hugify_delay_ms);
    if (chunk->hpa_state == HPA_SMALL && at_ns != NEVER_NS && is_dense(chunk)) {
        chunk->hugify_at_ns = at_ns;
        wait_append(heap, chunk);
    }
}

void hpa_note_use(struct page_heap *heap, struct chunk *chunk)
{
    if (chunk->hpa_state != HPA_SMALL || hpa_policy.style == HPA_STYLE_NONE || !is_dense(chunk)) {
        return;
    }
    uint64_t now_ns = os_time_coarse_ns();
    wait_when_dense(heap, chunk, now_ns);
    hugify_due(heap, now_ns);
    if (heap->hpa.first != NULL) {
        call_helper(heap);
    }
}

void hpa_note_purge(struct page_heap *heap, struct chunk *chunk)
{
    if (chunk->hpa_state == HPA_HUGE) {
        dehugify(heap, chunk);
        if (is_dense(chunk)) {
            wait_when_dense(heap, chunk, os_time_coarse_ns());
            call_helper(heap);
        }
    }
}

void hpa_forget(struct page_heap *heap, struct chunk *chunk)
{
    ASSERT(chunk->hpa_state != HPA_MAKING);
    if (chunk->hpa_state == HPA_WAITING) {
        wait_remove(heap, chunk);
    } else if (chunk->hpa_state == HPA_HUGE) {
        dehugify(heap, chunk);
    }
}

static size_t allowed_pages(const struct page_heap *heap)
{
    return (size_t)(((__uint128_t)heap->active_pages * hpa_policy.dirty_mult) >> FRACTION_BITS);
}

static bool exceeds_share(const struct page_heap *heap)
{
    return hpa_policy.dirty_mult != HPA_ANY_DIRTY && page_stock_unused(heap) > allowed_pages(heap);
}

/* Whether the chunk may be purged now. What is seen with enough unused pages for the first time
 * begins its delay. */
static bool is_purgeable(struct chunk *chunk, uint64_t now_ns)
{
    if (chunk->dirty_pages < hpa_policy.purge_pages) {
        chunk->purgeable_since_ns = 0;
        return false;
    }
    if (chunk->purgeable_since_ns == 0) {
        chunk->purgeable_since_ns = now_ns;
    }
    return after(chunk->purgeable_since_ns, hpa_policy.purge_delay_ms) <= now_ns;
}

/* Takes the chunk's dirty pages. Once it is let go it may be gone. */
static void purge_exceeding_chunk(struct page_heap *heap, struct chunk *chunk)
{
    uint64_t purged_before = heap->stage[STAGE_DIRTY].purged_pages;
    chunk->purgeable_since_ns = 0;
    purge_one(heap, chunk);
    heap->hpa.purges += heap->stage[STAGE_DIRTY].purged_pages != purged_before;
}

/* The time of the next purge is set first: other threads come while the lock is let go. */
static void purge_exceeding(struct page_heap *heap, uint64_t now_ns)
{
    struct page_stage *stage = &heap->stage[STAGE_DIRTY];
    int64_t huge_left = hpa_policy.purged_huge_max;
    uint64_t purged_before = stage->purged_pages;
    bool purging = false;
    page_stock_drop_recent(heap);
    for (size_t visits = heap->chunk_count;
         visits > 0 && exceeds_share(heap) && stage->first != NULL; visits--) {
        struct chunk *chunk = page_stock_visit(heap, STAGE_DIRTY);
        bool is_huge = chunk->hpa_state == HPA_HUGE;
        if (chunk->hpa_state == HPA_MAKING || !is_purgeable(chunk, now_ns) ||
            (is_huge && huge_left == 0)) {
            continue;
        }
        huge_left -= is_huge && huge_left > 0;
        purging = true;
        heap->hpa.purge_again_ns = after(now_ns, hpa_policy.purge_interval_ms);
        purge_exceeding_chunk(heap, chunk);
    }
    if (stage->purged_pages != purged_before) {
        heap->hpa.purge_passes++;
        stage->purge_count++;
    } else if (purging) {
        purge_note_refusal(heap);
    }
}

void hpa_work(struct page_heap *heap, uint64_t now_ns)
{
    hugify_due(heap, now_ns);
    if (exceeds_share(heap)) {
        idle_want();
        if (now_ns >= heap->hpa.purge_again_ns && !heap->purge_refused) {
            purge_exceeding(heap, now_ns);
        }
    }
}

/* Whether a purge will take pages of the chunk, without further calls. */
static bool will_be_purged(const struct chunk *chunk)
{
    return chunk->dirty_pages >= hpa_policy.purge_pages &&
           (chunk->hpa_state != HPA_HUGE || hpa_policy.purged_huge_max != 0) &&
           after(chunk->purgeable_since_ns, hpa_policy.purge_delay_ms) != NEVER_NS;
}

/* Runs that are kept whole count as well, whatever their chunks: the next purge ends them. */
static bool waits_for_purge(const struct page_heap *heap, uint64_t now_ns)
{
    uint64_t again_ns = heap->hpa.purge_again_ns;
    if (!exceeds_share(heap) || again_ns == NEVER_NS || heap->purge_refused) {
        return false;
    }
    bool waits = now_ns < again_ns || heap->recent_pages > 0;
    for (const struct chunk *chunk = heap->stage[STAGE_DIRTY].first; chunk != NULL && !waits;
         chunk = chunk->stage[STAGE_DIRTY].next) {
        waits = will_be_purged(chunk);
    }
    return waits;
}

bool hpa_waits(const struct page_heap *heap, uint64_t now_ns)
{
    return heap->hpa.first != NULL || waits_for_purge(heap, now_ns);
}

uint64_t hpa_shortest_ms(void)
{
    bool hugifies = hpa_policy.style != HPA_STYLE_NONE;
    bool purges = hpa_policy.dirty_mult != HPA_ANY_DIRTY;
    const uint64_t times_ms[] = {
        hugifies ? hpa_policy.hugify_delay_ms : NEVER_NS,
        purges ? hpa_policy.purge_interval_ms : NEVER_NS,
        purges ? hpa_policy.purge_delay_ms : NEVER_NS,
    };
    uint64_t shortest_ms = NEVER_NS;
    bool any = false;
    for (unsigned i = 0; i < sizeof times_ms / sizeof times_ms[0]; i++) {
        bool comes = after(0, times_ms[i]) != NEVER_NS;
        any |= comes;
        if (comes && times_ms[i] > 0 && times_ms[i] < shortest_ms) {
            shortest_ms = times_ms[i];
        }
    }
    return !any ? 0 : shortest_ms == NEVER_NS ? 1 : shortest_ms;
}

static bool wait_list_is_valid(const struct page_heap *heap, size_t waiting)
{
    const struct chunk *previous = NULL;
    for (const struct chunk *chunk = heap->hpa.first; chunk != NULL; chunk = chunk->hpa_next) {
        if (chunk->hpa_state != HPA_WAITING || chunk->hpa_previous != previous || waiting == 0 ||
            (previous != NULL && previous->hugify_at_ns > chunk->hugify_at_ns)) {
            return false;
        }
        waiting--;
        previous = chunk;
    }
    return waiting == 0 && heap->hpa.last == previous;
}

bool hpa_is_valid(const struct page_heap *heap)
{
    size_t count[HPA_HUGE + 1] = {0};
    for (const struct chunk *chunk = heap->first_chunk; chunk != NULL;
         chunk = chunk->next_of_heap) {
        count[chunk->hpa_state]++;
        if (chunk->hole_pages + chunk->free_pages > chunk->valid_pages) {
            return false;
        }
    }
    const struct hpa *hpa = &heap->hpa;
    return count[HPA_HUGE] == hpa->huge_chunks && count[HPA_MAKING] == hpa->making_chunks &&
           hpa->hugifies - hpa->dehugifies == hpa->huge_chunks &&
           wait_list_is_valid(heap, count[HPA_WAITING]);
}
