/* purge.h: when unused pages of a page heap go back to the system, and which.
 *
 * Unused dirty pages are kept for reuse within three bounds: the decay curve (decay.h), looked at
 * when runs are freed; a cap in bytes, so that a program that falls idle gives memory back without
 * calling the allocator again; and the peak of the active pages plus a little, so that a program's
 * peak is that of what it uses. Each purge that proves wrong, since its pages are wanted back soon,
 * raises the bound that asked for it.
 *
 * What the bounds no longer allow goes to the system for good and is clean then; or, when the heap
 * has the second stage (muzzy_decay_ms is not 0), lazily: the system takes the memory when it needs
 * some. Such pages are muzzy. They follow a curve of their own, at whose end they go for good; no
 * cap or peak bounds them, since no other program is short of memory for their sake. Placing runs
 * does not look at the stage: a muzzy page is wanted before those of a new chunk, that is all.
 *
 * While helpers relieve the program's threads (idle.h) these only make room at a new peak, which
 * cannot wait; what time and the cap ask for is left to a helper.
 *
 * Thread safety: the heap's lock is held in every function. While pages are purged the lock is let
 * go; the pages are marked used meanwhile.
 */
#ifndef PAGES_PURGE_H
#define PAGES_PURGE_H

#include "pages/page_stock.h"

enum {
    /* What unused pages may add to the peak of the active ones: so many, or this part of it. */
    SLACK_PAGES = 32,
    SLACK_DIVISOR = 32,
};

/* Purges until at most keep_pages dirty pages are left, oldest first: lazily when the heap has
 * muzzy pages at all. */
void purge_to(struct page_heap *heap, size_t keep_pages);
/* The same for good, whatever stages the heap has, and all muzzy pages. */
void purge_for_good(struct page_heap *heap, size_t keep_pages);
/* Purges for good until at most keep_pages muzzy pages are left. */
void purge_muzzy(struct page_heap *heap, size_t keep_pages);

/* Purges for good the dirty pages of a chunk. */
void purge_one(struct page_heap *heap, struct chunk *chunk);

/* A purge took nothing: the system refuses. Not every freed run may pay for trying again. */
void purge_note_refusal(struct page_heap *heap);

/* Purges what the curves of both stages no longer allow at this time. */
void purge_by_time(struct page_heap *heap, uint64_t now_ns);
/* The same for the helper: false when both curves are at their end. Then the heap calls it (idle.h)
 * when pages fall unused again. */
bool purge_look(struct page_heap *heap, uint64_t now_ns);

/* Waits until no other thread is at work on the heap without its lock: its pages are marked used
 * until then, or its extent is on the way to the hooks. True when there was one. */
MUST_USE bool purge_wait(struct page_heap *heap);
/* In a forked child: passes of threads that are not there end without a result. */
void purge_forget_others(struct page_heap *heap);

/* Purges what the bounds no longer allow: the clock, the cap or the peak asks for it. */
void purge_slow(struct page_heap *heap);

/* Called when pages fell unused. Most calls only compare. */
static inline void purge_when_due(struct page_heap *heap)
{
    if (heap->ticks > 0) {
        heap->ticks--;
    }
    if (UNLIKELY(heap->ticks == 0) || UNLIKELY(page_stock_unused(heap) > heap->purge_from_pages)) {
        purge_slow(heap);
    }
}

/* What unused pages may hold: with the active ones hardly more than these alone held at their peak,
 * so that keeping them costs next to nothing there. */
static inline size_t purge_room_below_peak(const struct page_heap *heap)
{
    size_t slack = larger(heap->growth.slack_pages, heap->peak_active_pages / SLACK_DIVISOR);
    size_t bound = heap->peak_active_pages + slack;
    return bound > heap->active_pages ? bound - heap->active_pages : 0;
}

/* Unused pages make room below the peak, or for a new one. */
void purge_for_growth(struct page_heap *heap);

/* Purged pages came into use again. */
static inline void purge_note_reuse(struct page_heap *heap, unsigned reused_pages)
{
    heap->regret_pages += reused_pages;
    heap->growth.reused_pages += reused_pages;
}

/* Clean pages came into use, some of which were purged before. */
static inline void purge_note_growth(struct page_heap *heap, unsigned reused_pages)
{
    purge_note_reuse(heap, reused_pages);
    heap->peak_active_pages = larger(heap->peak_active_pages, heap->active_pages);
    if (UNLIKELY(page_stock_unused(heap) > purge_room_below_peak(heap)) &&
        heap->stage[STAGE_DIRTY].decay.decay_ms > 0 && !heap->purge_refused) {
        purge_for_growth(heap);
    }
}

#endif
