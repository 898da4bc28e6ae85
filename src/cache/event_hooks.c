/* event_hooks.c: the places of hooks, and running them. See event_hooks.h.
 *
 * Threads read the places without a lock, so that a hook may take any. A place is versioned: the
 * number is odd while the place changes, and whoever saw two numbers for one place leaves it out.
 */
#include "cache/event_hooks.h"

#include "cache/thread.h"

#include <errno.h>
#include <string.h>

enum { PLACE_WORDS = 4 };

/* All is written under the control lock and read by any thread. */
struct place {
    /* relaxed when it gets odd, which the words publish; release when it gets even */
    _Atomic uint32_t version;
    /* release, after the odd number, and acquire, before the number is read again: who reads a new
     * one sees that number too */
    _Atomic bool taken;
    /* likewise */
    _Atomic uintptr_t word[PLACE_WORDS];
};

static struct place call_places[EVENT_HOOKS_MAX];
static struct place byte_places[EVENT_HOOKS_MAX];

_Atomic bool event_hooks_on;

static_assert(sizeof(struct call_hooks) == PLACE_WORDS * sizeof(uintptr_t), "its words fit");
static_assert(sizeof(struct byte_hook) <= PLACE_WORDS * sizeof(uintptr_t), "and so do these");

/* The words of a place; false when nothing is there, or it is just changing. */
static bool read_place(const struct place *place, uintptr_t words[PLACE_WORDS])
{
    uint32_t version = atomic_load_explicit(&place->version, memory_order_acquire);
    bool taken = atomic_load_explicit(&place->taken, memory_order_acquire);
    for (unsigned i = 0; i < PLACE_WORDS; i++) {
        words[i] = atomic_load_explicit(&place->word[i], memory_order_acquire);
    }
    return taken && version % 2 == 0 &&
           atomic_load_explicit(&place->version, memory_order_relaxed) == version;
}

/* Words of NULL: nothing is there any more. */
static void write_place(struct place *place, const uintptr_t *words)
{
    uint32_t version = atomic_load_explicit(&place->version, memory_order_relaxed);
    atomic_store_explicit(&place->version, version + 1, memory_order_relaxed);
    for (unsigned i = 0; i < PLACE_WORDS; i++) {
        atomic_store_explicit(&place->word[i], words != NULL ? words[i] : 0, memory_order_release);
    }
    atomic_store_explicit(&place->taken, words != NULL, memory_order_release);
    atomic_store_explicit(&place->version, version + 2, memory_order_release);
}

static struct place *free_place(struct place *places)
{
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        if (!atomic_load_explicit(&places[i].taken, memory_order_relaxed)) {
            return &places[i];
        }
    }
    return NULL;
}

void *event_hooks_install(const struct call_hooks *hooks)
{
    uintptr_t words[PLACE_WORDS];
    struct place *place = free_place(call_places);
    if (place == NULL) {
        return NULL;
    }
    memcpy(words, hooks, sizeof words);
    write_place(place, words);
    atomic_store_explicit(&event_hooks_on, true, memory_order_relaxed);
    thread_set_modes(thread_modes() | MODE_CALL_HOOKS);
    return place;
}

static bool any_taken(void)
{
    bool any = false;
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        any |= atomic_load_explicit(&call_places[i].taken, memory_order_relaxed);
    }
    return any;
}

bool event_hooks_remove(const void *handle)
{
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        if (handle != &call_places[i]) {
            continue;
        }
        write_place(&call_places[i], NULL);
        if (!any_taken()) {
            atomic_store_explicit(&event_hooks_on, false, memory_order_relaxed);
            thread_set_modes(thread_modes() & ~(uint32_t)MODE_CALL_HOOKS);
        }
        return true;
    }
    return false;
}

bool event_hooks_install_for_bytes(const struct byte_hook *hook)
{
    uintptr_t words[PLACE_WORDS] = {0};
    struct place *place = free_place(byte_places);
    ASSERT(hook->interval_bytes > 0);
    if (place == NULL) {
        return false;
    }
    memcpy(words, hook, sizeof *hook);
    write_place(place, words);
    thread_set_modes(thread_modes() | MODE_BYTE_HOOKS);
    return true;
}

/* A hook may change its copy of the arguments, and sees no other's. */
enum event { EVENT_ALLOC, EVENT_FREE, EVENT_RESIZE };
struct call_event {
    enum event event;
    struct hooked_call call;
    void *block;
    uintptr_t raw;
    size_t old_bytes;
    size_t new_bytes;
};

static void run_one(const struct call_hooks *hooks, struct call_event event)
{
    void *opaque = (void *)hooks->opaque;
    if (event.event == EVENT_ALLOC && hooks->on_alloc != 0) {
        void (*tell)(void *, int, void *, uintptr_t, uintptr_t *);
        memcpy(&tell, &hooks->on_alloc, sizeof tell);
        tell(opaque, event.call.type, event.block, event.raw, event.call.arguments);
    } else if (event.event == EVENT_FREE && hooks->on_free != 0) {
        void (*tell)(void *, int, void *, uintptr_t *);
        memcpy(&tell, &hooks->on_free, sizeof tell);
        tell(opaque, event.call.type, event.block, event.call.arguments);
    } else if (event.event == EVENT_RESIZE && hooks->on_resize != 0) {
        void (*tell)(void *, int, void *, size_t, size_t, uintptr_t, uintptr_t *);
        memcpy(&tell, &hooks->on_resize, sizeof tell);
        tell(opaque, event.call.type, event.block, event.old_bytes, event.new_bytes, event.raw,
             event.call.arguments);
    }
}

static NOINLINE void run_all(const struct call_event *event)
{
    int saved_errno = errno;
    if (!thread_enter_event()) {
        return;
    }
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        uintptr_t words[PLACE_WORDS];
        struct call_hooks hooks;
        if (read_place(&call_places[i], words)) {
            memcpy(&hooks, words, sizeof hooks);
            run_one(&hooks, *event);
        }
    }
    thread_leave_event();
    errno = saved_errno;
}

void event_hooks_allocated(const struct hooked_call *call, void *result, uintptr_t raw)
{
    run_all(&(struct call_event){.event = EVENT_ALLOC, .call = *call, .block = result, .raw = raw});
}

void event_hooks_freed(const struct hooked_call *call, void *block)
{
    run_all(&(struct call_event){.event = EVENT_FREE, .call = *call, .block = block});
}

void event_hooks_resized(const struct hooked_call *call, struct resized_block resized,
                         uintptr_t raw)
{
    run_all(&(struct call_event){.event = EVENT_RESIZE,
                                 .call = *call,
                                 .block = resized.block,
                                 .raw = raw,
                                 .old_bytes = resized.old_bytes,
                                 .new_bytes = resized.new_bytes});
}

static_assert((int)ALLOC_RALLOCX - (int)ALLOC_REALLOC == (int)FREE_RALLOCX - (int)FREE_REALLOC,
              "the two stand side by side in each kind");
static_assert((int)ALLOC_RALLOCX - (int)ALLOC_REALLOC == (int)RESIZE_RALLOCX - (int)RESIZE_REALLOC,
              "the two stand side by side in each kind");

void event_hooks_moved(const struct hooked_call *call, void *old, void *fresh)
{
    struct hooked_call freed = *call;
    freed.type += (int)FREE_REALLOC - (int)ALLOC_REALLOC;
    event_hooks_allocated(call, fresh, (uintptr_t)fresh);
    event_hooks_freed(&freed, old);
}

struct hooked_call event_hooks_as_resize(const struct hooked_call *call)
{
    struct hooked_call resize = *call;
    resize.type += (int)RESIZE_REALLOC - (int)ALLOC_REALLOC;
    return resize;
}

/* A step that began before the thread was counted exactly may not be in the sum. */
static bool passes(uint64_t now_bytes, uint64_t step_bytes, uint64_t interval_bytes)
{
    uint64_t before_bytes = step_bytes < now_bytes ? now_bytes - step_bytes : 0;
    return before_bytes / interval_bytes != now_bytes / interval_bytes;
}

static void tell_bytes(const struct byte_hook *hook, bool is_alloc)
{
    const struct cache *cache = thread_own_cache();
    void (*tell)(bool, uint64_t, uint64_t);
    memcpy(&tell, &hook->function, sizeof tell);
    tell(is_alloc, cache->exact.allocated, cache->exact.freed);
}

/* Several hooks, or one for both directions, may be due: what they are told is as it is then. */
void event_hooks_bytes(size_t allocated_bytes, size_t freed_bytes)
{
    int saved_errno = errno;
    const struct cache *cache = thread_own_cache();
    if (cache == NULL || !thread_enter_event()) {
        return;
    }
    const struct exact_counters now = cache->exact;
    for (unsigned i = 0; i < EVENT_HOOKS_MAX; i++) {
        uintptr_t words[PLACE_WORDS];
        struct byte_hook hook;
        if (!read_place(&byte_places[i], words)) {
            continue;
        }
        memcpy(&hook, words, sizeof hook);
        if (passes(now.allocated, allocated_bytes, hook.interval_bytes)) {
            tell_bytes(&hook, true);
        }
        if (hook.only_allocations == 0 && passes(now.freed, freed_bytes, hook.interval_bytes)) {
            tell_bytes(&hook, false);
        }
    }
    thread_leave_event();
    errno = saved_errno;
}
