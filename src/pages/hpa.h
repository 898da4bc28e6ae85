/* hpa.h: the page heap's policy with the option hpa: chunks are packed as before, dense ones become
 * huge pages after a while, and unused pages are bounded by a share of those in use.
 *
 *     HPA_SMALL -- dense --> HPA_WAITING -- delay is over --> HPA_MAKING -- done --> HPA_HUGE
 *         ^                      |                                                     |
 *         +- no longer dense ----+--------------- purged, or leaves the heap ----------+
 *
 * It takes the place of the bounds of purge.h: no decay curve, no cap, no peak. A purge takes what
 * exceeds the share, at most once in an interval, of chunks with at least so many unused dirty
 * pages for so long. docs/huge-pages.md maps each option of jemalloc's to this.
 *
 * Invariants: a chunk is in the list of those that wait if and only if it is HPA_WAITING; the list
 * is in the order of their times; huge_chunks and making_chunks count the heap's chunks in these
 * states; huge_chunks = hugifies - dehugifies; without the option all are HPA_SMALL and nothing
 * here is called.
 *
 * Thread safety: the heap's lock is held in every function. It is let go while pages are purged,
 * and while a huge page is made, which copies 2 MiB: HPA_MAKING keeps the chunk in the heap
 * meanwhile, even an empty one.
 */
#ifndef PAGES_HPA_H
#define PAGES_HPA_H

#include "pages/page_heap.h"

/* In the order of the option hpa_hugify_style. */
enum hpa_style { HPA_STYLE_AUTO, HPA_STYLE_NONE, HPA_STYLE_EAGER, HPA_STYLE_LAZY };

/* From the options; written once before the first heap is made. */
struct hpa_policy {
    bool on;
    bool collapses;             /* huge pages are made at once, by copying */
    unsigned style;             /* enum hpa_style; AUTO is LAZY */
    unsigned dense_pages;       /* pages in use from which on a chunk is dense */
    unsigned purge_pages;       /* unused dirty pages from which on a chunk is purged */
    uint32_t dirty_mult;        /* unused pages allowed for each in use, in 1/65536 */
    uint64_t hugify_delay_ms;   /* that a chunk must wait */
    uint64_t purge_interval_ms; /* between two purges */
    uint64_t purge_delay_ms;    /* that a chunk must have had so many unused pages */
    int64_t purged_huge_max;    /* huge pages that one purge may break up; -1: any number */
};
extern struct hpa_policy hpa_policy;
/* A dirty_mult without bound. */
static const uint32_t HPA_ANY_DIRTY = UINT32_MAX;

/* A chunk came to the heap; pages of it came into use; its dirty pages will be purged, by whomever;
 * it leaves. */
void hpa_note_chunk(struct page_heap *heap, struct chunk *chunk);
void hpa_note_use(struct page_heap *heap, struct chunk *chunk);
void hpa_note_purge(struct page_heap *heap, struct chunk *chunk);
void hpa_forget(struct page_heap *heap, struct chunk *chunk);

/* In a forked child: the threads that were making huge pages are not there. */
void hpa_forget_makers(struct page_heap *heap);

/* Does what is due at this time: huge pages, then a purge. */
void hpa_work(struct page_heap *heap, uint64_t now_ns);
/* After hpa_work() at this time: whether something will become due without further calls. */
bool hpa_waits(const struct page_heap *heap, uint64_t now_ns);
/* The shortest of the policy's times, for whoever looks again and again: 1 when all are 0, 0 when
 * nothing is ever due. No lock is needed. */
uint64_t hpa_shortest_ms(void);

/* Re-counts what the invariants name. */
bool hpa_is_valid(const struct page_heap *heap);

#endif
