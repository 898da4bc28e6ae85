/* mapped.c: a sum and its peak, in atomics alone: who changes them may hold any lock, and whoever
 * is late for a peak that another one exceeded has nothing to tell. See mapped.h.
 */
#include "pages/mapped.h"

_Atomic bool mapped_has_new_peak;

/* All relaxed: numbers of their own. */
static _Atomic size_t mapped_now;
static _Atomic size_t peak_bytes; /* of when it is watched */
static _Atomic bool is_watched;

static COLD void note_peak(size_t now)
{
    size_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (now > peak) {
        if (atomic_compare_exchange_weak_explicit(&peak_bytes, &peak, now, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            atomic_store_explicit(&mapped_has_new_peak, true, memory_order_relaxed);
            return;
        }
    }
}

void mapped_change(ptrdiff_t bytes)
{
    size_t change = (size_t)bytes;
    size_t now = atomic_fetch_add_explicit(&mapped_now, change, memory_order_relaxed) + change;
    if (UNLIKELY(atomic_load_explicit(&is_watched, memory_order_relaxed))) {
        note_peak(now);
    }
}

size_t mapped_bytes(void)
{
    return atomic_load_explicit(&mapped_now, memory_order_relaxed);
}

bool mapped_watch_peak(bool on)
{
    if (on && !mapped_is_watched()) {
        atomic_store_explicit(&peak_bytes, mapped_bytes(), memory_order_relaxed);
    } else if (!on) {
        atomic_store_explicit(&mapped_has_new_peak, false, memory_order_relaxed);
    }
    return atomic_exchange_explicit(&is_watched, on, memory_order_relaxed);
}

bool mapped_is_watched(void)
{
    return atomic_load_explicit(&is_watched, memory_order_relaxed);
}
