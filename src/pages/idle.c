/* idle.c: the word between freeing threads and the helper. See idle.h.
 *
 * The helper changes it before it sleeps, a caller before it wakes: whoever comes second sees it.
 */
#include "pages/idle.h"

#include "os/os.h"

#include <stdatomic.h>

enum { LOOKING, NAPPING, ASLEEP, CALLED, ROUSED };

/* Any thread writes and reads. acq_rel: what a caller did before its call is seen by the look that
 * follows. What is unused is guarded by locks, so the word carries no data. */
static _Atomic uint32_t word;

void idle_start(void)
{
    atomic_store_explicit(&word, LOOKING, memory_order_release);
}

/* Changes the word unless it is ROUSED. Result: what it was. */
static uint32_t change(uint32_t wanted)
{
    uint32_t before = atomic_load_explicit(&word, memory_order_acquire);
    while (before != ROUSED &&
           !atomic_compare_exchange_weak_explicit(&word, &before, wanted, memory_order_acq_rel,
                                                  memory_order_acquire)) {
    }
    return before;
}

void idle_look(void)
{
    (void)change(LOOKING);
}

/* A call that is lost here is none: the look after the nap sees everything. */
void idle_nap(uint64_t duration_ns)
{
    if (change(NAPPING) != ROUSED) {
        os_wait_for((uint32_t *)&word, NAPPING, duration_ns);
    }
}

void idle_sleep(void)
{
    uint32_t expected = LOOKING;
    if (!atomic_compare_exchange_strong_explicit(&word, &expected, ASLEEP, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        return;
    }
    while (atomic_load_explicit(&word, memory_order_acquire) == ASLEEP) {
        os_wait((uint32_t *)&word, ASLEEP);
    }
}

void idle_call(void)
{
    if (change(CALLED) == ASLEEP) {
        os_wake((uint32_t *)&word, 1);
    }
}

void idle_rouse(void)
{
    (void)atomic_exchange_explicit(&word, ROUSED, memory_order_acq_rel);
    os_wake((uint32_t *)&word, 1);
}
