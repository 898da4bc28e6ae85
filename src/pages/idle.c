/* idle.c: the words between the program's threads and the helpers. See idle.h.
 *
 * A helper changes its word before it sleeps, a caller before it wakes: whoever comes second sees
 * it.
 */
#include "pages/idle.h"

#include "os/os.h"

enum { NOBODY, LOOKING, NAPPING, ASLEEP, CALLED, URGED, ROUSED };

/* Any thread writes and reads. acq_rel: what a caller did before its call is seen by the look that
 * follows. What is unused is guarded by locks, so the words carry no data. */
static _Atomic uint32_t words[IDLE_PLACES];

/* Written while no helper is there; relaxed: who reads an old value calls a helper that is not the
 * place's. */
static struct {
    _Atomic unsigned more; /* helpers beyond the first; any thread reads, relaxed */
    _Atomic bool relieve;  /* likewise */
} share;

_Atomic bool idle_relief;
void (*_Atomic idle_maker)(void);

void idle_start(unsigned helper)
{
    atomic_store_explicit(&words[helper], LOOKING, memory_order_release);
    if (helper == 0) {
        bool relieve = atomic_load_explicit(&share.relieve, memory_order_relaxed);
        atomic_store_explicit(&idle_relief, relieve, memory_order_relaxed);
    }
}

void idle_stop(unsigned helper)
{
    atomic_store_explicit(&words[helper], NOBODY, memory_order_release);
    if (helper == 0) {
        atomic_store_explicit(&idle_relief, false, memory_order_relaxed);
    }
}

static bool is_there(unsigned helper)
{
    return atomic_load_explicit(&words[helper], memory_order_acquire) != NOBODY;
}

void idle_share(unsigned helpers, bool relieve)
{
    ASSERT(helpers >= 1);
    ASSERT(helpers <= IDLE_PLACES);
    atomic_store_explicit(&share.more, helpers - 1, memory_order_relaxed);
    atomic_store_explicit(&share.relieve, relieve, memory_order_relaxed);
}

unsigned idle_helper(unsigned place)
{
    unsigned helper = place % (1 + atomic_load_explicit(&share.more, memory_order_relaxed));
    return is_there(helper) ? helper : 0;
}

/* Changes the word unless it is ROUSED or nobody's; a call leaves an urgent one as it is. Result:
 * what it was. */
static uint32_t change(unsigned helper, uint32_t wanted)
{
    _Atomic uint32_t *word = &words[helper];
    uint32_t before = atomic_load_explicit(word, memory_order_acquire);
    while (before != ROUSED && before != NOBODY && !(before == URGED && wanted == CALLED) &&
           !atomic_compare_exchange_weak_explicit(word, &before, wanted, memory_order_acq_rel,
                                                  memory_order_acquire)) {
    }
    return before;
}

static void wake(unsigned helper)
{
    os_wake((uint32_t *)&words[helper], 1);
}

void idle_look(unsigned helper)
{
    (void)change(helper, LOOKING);
}

/* A call that is lost here is none: the look after the nap sees everything. An urgent one that came
 * since the look began is served by a nap of no time. */
void idle_nap(unsigned helper, uint64_t duration_ns)
{
    uint32_t before = change(helper, NAPPING);
    if (before == LOOKING || before == CALLED) {
        os_wait_for((uint32_t *)&words[helper], NAPPING, duration_ns);
    }
}

void idle_sleep(unsigned helper)
{
    _Atomic uint32_t *word = &words[helper];
    uint32_t expected = LOOKING;
    if (!atomic_compare_exchange_strong_explicit(word, &expected, ASLEEP, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        return; /* called since the look began */
    }
    while (atomic_load_explicit(word, memory_order_acquire) == ASLEEP) {
        os_wait((uint32_t *)word, ASLEEP);
    }
}

void idle_call(unsigned place)
{
    unsigned helper = idle_helper(place);
    if (change(helper, CALLED) == ASLEEP) {
        wake(helper);
    }
}

/* A nap may go on while the word says CALLED. */
void idle_urge(unsigned place)
{
    unsigned helper = idle_helper(place);
    uint32_t before = change(helper, URGED);
    if (before == NAPPING || before == ASLEEP || before == CALLED) {
        wake(helper);
    }
}

void idle_rouse(unsigned helper)
{
    (void)atomic_exchange_explicit(&words[helper], ROUSED, memory_order_acq_rel);
    wake(helper);
}

void idle_want(void)
{
    void (*maker)(void) = atomic_load_explicit(&idle_maker, memory_order_relaxed);
    if (UNLIKELY(maker != NULL) && !is_there(0)) {
        maker();
    }
}
