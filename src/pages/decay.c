/* decay.c: the curve. See decay.h.
 *
 * smoothstep is Ken Perlin's fifth-degree form, 6x^5 - 15x^4 + 10x^3, which jemalloc's manual names
 * as the shape of its decay; fixed-point with SMOOTH_LG bits.
 */
#include "pages/decay.h"

#include <string.h>

enum { SMOOTH_LG = 20, NS_PER_MS = 1000000 };

void decay_init(struct decay *decay, int64_t decay_ms)
{
    ASSERT(decay_ms >= DECAY_NEVER);
    memset(decay, 0, sizeof *decay);
    decay->decay_ms = decay_ms;
}

/* smoothstep(step / DECAY_STEPS) in units of 2^-SMOOTH_LG; 0 <= step <= DECAY_STEPS. */
static uint64_t smooth(uint64_t step)
{
    const int64_t one = (int64_t)1 << SMOOTH_LG;
    int64_t x = (int64_t)(step << SMOOTH_LG) / DECAY_STEPS;
    int64_t square = (x * x) >> SMOOTH_LG;
    int64_t cube = (square * x) >> SMOOTH_LG;
    int64_t polynomial = 6 * square - 15 * x + 10 * one;
    return (uint64_t)((cube * polynomial) >> SMOOTH_LG);
}

/* The youngest entry may stay whole, the oldest hardly at all. */
static size_t sum_of_ring(const struct decay *decay)
{
    uint64_t sum = 0;
    for (unsigned age = 0; age < DECAY_STEPS; age++) {
        unsigned at = (decay->oldest + DECAY_STEPS - 1 - age) % DECAY_STEPS;
        sum += (uint64_t)decay->ring[at] * smooth(DECAY_STEPS - age);
    }
    return (size_t)(sum >> SMOOTH_LG);
}

static void push_epoch(struct decay *decay, size_t new_pages)
{
    decay->ring[decay->oldest] = (uint32_t)(new_pages < UINT32_MAX ? new_pages : UINT32_MAX);
    decay->oldest = (decay->oldest + 1) % DECAY_STEPS;
}

size_t decay_advance(struct decay *decay, uint64_t now_ns, size_t dirty_pages)
{
    if (decay->decay_ms <= 0) {
        return decay->decay_ms == 0 ? 0 : SIZE_MAX;
    }
    uint64_t interval_ns = (uint64_t)decay->decay_ms * NS_PER_MS / DECAY_STEPS;
    if (decay->epoch_start_ns == 0 || now_ns < decay->epoch_start_ns) {
        decay->epoch_start_ns = now_ns;
    }
    uint64_t epochs = (now_ns - decay->epoch_start_ns) / interval_ns;
    if (epochs == 0) {
        return decay->limit_pages > dirty_pages ? decay->limit_pages : SIZE_MAX;
    }
    decay->epoch_start_ns += epochs * interval_ns;
    size_t new_pages = dirty_pages > decay->known_pages ? dirty_pages - decay->known_pages : 0;
    /* What came since the last look counts as new now, not as of the time of that look. */
    for (uint64_t i = 1; i < epochs && i < DECAY_STEPS; i++) {
        push_epoch(decay, 0);
    }
    push_epoch(decay, new_pages);
    decay->known_pages = dirty_pages;
    decay->limit_pages = sum_of_ring(decay);
    return decay->limit_pages;
}

bool decay_is_over(const struct decay *decay, size_t dirty_pages)
{
    return dirty_pages == 0 || (decay->limit_pages == 0 && dirty_pages <= decay->known_pages);
}

void decay_purged(struct decay *decay, size_t dirty_pages)
{
    if (dirty_pages < decay->known_pages) {
        decay->known_pages = dirty_pages;
    }
}
