/* extent.c: calls of extent hooks, and the extents that they left with the arena. See extent.h.
 *
 * Retained extents stand in one list an arena, which is walked: there are few, and each hook costs
 * more.
 */
#include "pages/extent.h"

#include "os/os.h"
#include "pages/meta.h"
#include "pages/page_heap.h"

#include <string.h>

/* The default table. Its functions work on any memory that one of them gave. */

static void *system_alloc(struct extent_hooks *hooks, void *address, size_t size, size_t alignment,
                          bool *zero, bool *commit, unsigned arena_index)
{
    (void)hooks;
    (void)arena_index;
    alignment = alignment > os_page_bytes ? alignment : os_page_bytes;
    char *base = address != NULL ? os_map(address, size) : os_map_aligned(size, alignment);
    if (address != NULL && base != NULL && base != address) {
        (void)!os_unmap(base, size);
        return NULL;
    }
    *zero = true;
    *commit = true;
    return base;
}

static bool system_dalloc(struct extent_hooks *hooks, void *address, size_t size, bool committed,
                          unsigned arena_index)
{
    (void)hooks;
    (void)committed;
    (void)arena_index;
    return !os_unmap(address, size);
}

static void system_destroy(struct extent_hooks *hooks, void *address, size_t size, bool committed,
                           unsigned arena_index)
{
    (void)system_dalloc(hooks, address, size, committed, arena_index);
}

/* Memory of the system is always committed. */
static bool system_commit(struct extent_hooks *hooks, void *address, size_t size, size_t offset,
                          size_t length, unsigned arena_index)
{
    (void)hooks;
    (void)address;
    (void)size;
    (void)offset;
    (void)length;
    (void)arena_index;
    return false;
}

static bool system_decommit(struct extent_hooks *hooks, void *address, size_t size, size_t offset,
                            size_t length, unsigned arena_index)
{
    (void)system_commit(hooks, address, size, offset, length, arena_index);
    return true;
}

static bool system_purge_lazily(struct extent_hooks *hooks, void *address, size_t size,
                                size_t offset, size_t length, unsigned arena_index)
{
    (void)system_commit(hooks, address, size, offset, length, arena_index);
    return !os_purge_lazily((char *)address + offset, length);
}

static bool system_purge(struct extent_hooks *hooks, void *address, size_t size, size_t offset,
                         size_t length, unsigned arena_index)
{
    (void)system_commit(hooks, address, size, offset, length, arena_index);
    return !os_purge((char *)address + offset, length);
}

static bool system_split(struct extent_hooks *hooks, void *address, size_t size, size_t size_a,
                         size_t size_b, bool committed, unsigned arena_index)
{
    (void)committed;
    return system_commit(hooks, address, size, size_a, size_b, arena_index);
}

static bool system_merge(struct extent_hooks *hooks, void *a, size_t size_a, void *b, size_t size_b,
                         bool committed, unsigned arena_index)
{
    (void)b;
    (void)committed;
    return system_commit(hooks, a, size_a, 0, size_b, arena_index);
}

static const struct extent_hooks system_hooks = {
    system_alloc,        system_dalloc, system_destroy, system_commit, system_decommit,
    system_purge_lazily, system_purge,  system_split,   system_merge,
};

struct extent_hooks *extent_default_hooks(void)
{
    return (struct extent_hooks *)(uintptr_t)&system_hooks;
}

static struct {
    void *(*_Atomic enter)(void); /* written once, release; acquire */
    void (*leave)(void *state);   /* written before */
} guard;

void extent_set_guard(void *(*enter)(void), void (*leave)(void *state))
{
    guard.leave = leave;
    atomic_store_explicit(&guard.enter, enter, memory_order_release);
}

/* A hook is about to run. */
struct call {
    struct extent_hooks *hooks;
    unsigned arena_index;
    void *state;
};

static struct call begin_call(struct page_heap *heap)
{
    void *(*enter)(void) = atomic_load_explicit(&guard.enter, memory_order_acquire);
    return (struct call){atomic_load_explicit(&heap->hooks, memory_order_acquire),
                         heap->hooks_index, enter != NULL ? enter() : NULL};
}

static void end_call(const struct call *call)
{
    if (call->state != NULL) {
        guard.leave(call->state);
    }
}

static struct extent *take_descriptor(struct page_heap *heap)
{
    lock_acquire(&heap->lock);
    struct extent *extent = heap->free_extents;
    if (extent != NULL) {
        heap->free_extents = extent->next;
    }
    lock_release(&heap->lock);
    return extent != NULL ? extent : meta_alloc(sizeof *extent, _Alignof(struct extent));
}

static void drop_descriptor(struct page_heap *heap, struct extent *extent)
{
    lock_acquire(&heap->lock);
    extent->next = heap->free_extents;
    heap->free_extents = extent;
    lock_release(&heap->lock);
}

static void retain(struct page_heap *heap, struct extent *extent)
{
    lock_acquire(&heap->lock);
    extent->next = heap->retained;
    heap->retained = extent;
    heap->retained_bytes += extent->size_bytes;
    lock_release(&heap->lock);
}

/* Takes one out of the retained ones. Lock held. */
static struct extent *unlink_retained(struct page_heap *heap, struct extent **link)
{
    struct extent *extent = *link;
    if (extent != NULL) {
        *link = extent->next;
        heap->retained_bytes -= extent->size_bytes;
    }
    return extent;
}

/* The smallest retained extent for the request, out of the list; or NULL. */
static struct extent *find_retained(struct page_heap *heap, size_t size_bytes, size_t alignment)
{
    static struct extent *none;
    lock_acquire(&heap->lock);
    struct extent **best = &none;
    for (struct extent **link = &heap->retained; *link != NULL; link = &(*link)->next) {
        bool fits = (*link)->size_bytes >= size_bytes && (uintptr_t)(*link)->base % alignment == 0;
        if (fits && (*best == NULL || (*link)->size_bytes < (*best)->size_bytes)) {
            best = link;
        }
    }
    struct extent *extent = unlink_retained(heap, best);
    lock_release(&heap->lock);
    return extent;
}

/* A retained extent that begins at the address, out of the list; or NULL. */
static struct extent *find_retained_at(struct page_heap *heap, const char *base)
{
    lock_acquire(&heap->lock);
    struct extent **link = &heap->retained;
    while (*link != NULL && (*link)->base != base) {
        link = &(*link)->next;
    }
    struct extent *extent = unlink_retained(heap, link);
    lock_release(&heap->lock);
    return extent;
}

/* A retained extent beside this one, out of the list; or NULL. */
static struct extent *find_neighbour(struct page_heap *heap, const struct extent *extent)
{
    lock_acquire(&heap->lock);
    struct extent **link = &heap->retained;
    while (*link != NULL && ((*link)->committed != extent->committed ||
                             ((*link)->base + (*link)->size_bytes != extent->base &&
                              extent->base + extent->size_bytes != (*link)->base))) {
        link = &(*link)->next;
    }
    struct extent *neighbour = unlink_retained(heap, link);
    lock_release(&heap->lock);
    return neighbour;
}

static bool commit(struct page_heap *heap, struct extent *extent)
{
    if (!extent->committed) {
        struct call call = begin_call(heap);
        extent->committed = call.hooks->commit != NULL &&
                            !call.hooks->commit(call.hooks, extent->base, extent->size_bytes, 0,
                                                extent->size_bytes, call.arena_index);
        end_call(&call);
    }
    return extent->committed;
}

/* True when the program has taken it back. */
static bool dalloc(struct page_heap *heap, const struct extent *extent)
{
    struct call call = begin_call(heap);
    bool done = call.hooks->dalloc != NULL &&
                !call.hooks->dalloc(call.hooks, extent->base, extent->size_bytes, extent->committed,
                                    call.arena_index);
    end_call(&call);
    return done;
}

static bool merge(struct page_heap *heap, struct extent *low, const struct extent *high)
{
    struct call call = begin_call(heap);
    bool done = call.hooks->merge != NULL &&
                !call.hooks->merge(call.hooks, low->base, low->size_bytes, high->base,
                                   high->size_bytes, low->committed, call.arena_index);
    end_call(&call);
    if (done) {
        low->size_bytes += high->size_bytes;
        low->zeroed = low->zeroed && high->zeroed;
    }
    return done;
}

static bool is_usable(const struct extent *extent, size_t alignment, const void *address)
{
    uintptr_t base = (uintptr_t)extent->base;
    const uintptr_t end = (uintptr_t)1 << ADDRESS_BITS;
    return base % alignment == 0 && base < end && extent->size_bytes <= end - base &&
           (address == NULL || extent->base == address);
}

struct extent_wish {
    void *address; /* NULL: anywhere */
    size_t size_bytes;
    size_t alignment;
    bool zero;
};

/* What a hook gives that cannot be used goes back to it at once. */
static bool obtain(struct page_heap *heap, struct extent *extent, const struct extent_wish *wish)
{
    *extent = (struct extent){.size_bytes = wish->size_bytes, true, wish->zero, NULL};
    struct call call = begin_call(heap);
    extent->base = call.hooks->alloc(call.hooks, wish->address, wish->size_bytes, wish->alignment,
                                     &extent->zeroed, &extent->committed, call.arena_index);
    end_call(&call);
    if (extent->base == NULL) {
        return false;
    }
    if (is_usable(extent, wish->alignment, wish->address) && commit(heap, extent)) {
        return true;
    }
    (void)!dalloc(heap, extent);
    return false;
}

struct extent *extent_split(struct page_heap *heap, struct extent *extent, size_t keep_bytes)
{
    ASSERT(keep_bytes > 0 && keep_bytes < extent->size_bytes);
    struct extent *tail = take_descriptor(heap);
    if (tail == NULL) {
        return NULL;
    }
    size_t rest = extent->size_bytes - keep_bytes;
    struct call call = begin_call(heap);
    bool done = call.hooks->split != NULL &&
                !call.hooks->split(call.hooks, extent->base, extent->size_bytes, keep_bytes, rest,
                                   extent->committed, call.arena_index);
    end_call(&call);
    if (!done) {
        drop_descriptor(heap, tail);
        return NULL;
    }
    *tail =
        (struct extent){extent->base + keep_bytes, rest, extent->committed, extent->zeroed, NULL};
    extent->size_bytes = keep_bytes;
    return tail;
}

/* Makes a retained extent one of size_bytes that can be used. False, and it is retained again, when
 * the hooks refuse. */
static bool prepare(struct page_heap *heap, struct extent *extent, size_t size_bytes)
{
    if (extent->size_bytes > size_bytes) {
        struct extent *tail = extent_split(heap, extent, size_bytes);
        if (tail == NULL) {
            retain(heap, extent);
            return false;
        }
        retain(heap, tail);
    }
    if (!commit(heap, extent)) {
        retain(heap, extent);
        return false;
    }
    return true;
}

struct extent *extent_take(struct page_heap *heap, size_t size_bytes, size_t alignment, bool zero)
{
    struct extent *extent = find_retained(heap, size_bytes, alignment);
    if (extent == NULL || !prepare(heap, extent, size_bytes)) {
        struct extent_wish wish = {NULL, size_bytes, alignment, zero};
        extent = take_descriptor(heap);
        if (extent != NULL && !obtain(heap, extent, &wish)) {
            drop_descriptor(heap, extent);
            extent = NULL;
        }
    }
    if (extent != NULL && zero && !extent->zeroed) {
        memset(extent->base, 0, size_bytes);
        extent->zeroed = true;
    }
    return extent;
}

bool extent_purge(struct page_heap *heap, const struct extent *extent, size_t offset,
                  size_t size_bytes)
{
    struct call call = begin_call(heap);
    bool done = call.hooks->purge_forced != NULL &&
                !call.hooks->purge_forced(call.hooks, extent->base, extent->size_bytes, offset,
                                          size_bytes, call.arena_index);
    end_call(&call);
    return done;
}

bool extent_purge_lazily(struct page_heap *heap, const struct extent *extent, size_t offset,
                         size_t size_bytes)
{
    struct call call = begin_call(heap);
    bool done = call.hooks->purge_lazy != NULL &&
                !call.hooks->purge_lazy(call.hooks, extent->base, extent->size_bytes, offset,
                                        size_bytes, call.arena_index);
    end_call(&call);
    return done;
}

/* Gives the memory of a whole extent back as far as the hooks allow. */
static void drop_memory(struct page_heap *heap, struct extent *extent)
{
    struct call call = begin_call(heap);
    bool gone = extent->committed && call.hooks->decommit != NULL &&
                !call.hooks->decommit(call.hooks, extent->base, extent->size_bytes, 0,
                                      extent->size_bytes, call.arena_index);
    end_call(&call);
    extent->zeroed = gone || extent_purge(heap, extent, 0, extent->size_bytes);
    extent->committed = extent->committed && !gone;
    if (!extent->zeroed) {
        (void)!extent_purge_lazily(heap, extent, 0, extent->size_bytes);
    }
}

/* Each turn has one retained extent less. */
void extent_give(struct page_heap *heap, struct extent *extent)
{
    if (dalloc(heap, extent)) {
        drop_descriptor(heap, extent);
        return;
    }
    drop_memory(heap, extent);
    struct extent *neighbour;
    while ((neighbour = find_neighbour(heap, extent)) != NULL) {
        bool is_lower = neighbour->base < extent->base;
        struct extent *low = is_lower ? neighbour : extent;
        struct extent *high = is_lower ? extent : neighbour;
        if (!merge(heap, low, high)) {
            retain(heap, neighbour);
            break;
        }
        drop_descriptor(heap, high);
        extent = low;
    }
    retain(heap, extent);
}

bool extent_grow(struct page_heap *heap, struct extent *extent, size_t more_bytes)
{
    char *end = extent->base + extent->size_bytes;
    struct extent *more = find_retained_at(heap, end);
    if (more != NULL && more->size_bytes < more_bytes) {
        retain(heap, more);
        return false;
    }
    if (more != NULL) {
        if (!prepare(heap, more, more_bytes)) {
            return false;
        }
    } else {
        struct extent_wish wish = {end, more_bytes, os_page_bytes, false};
        more = take_descriptor(heap);
        if (more == NULL || !obtain(heap, more, &wish)) {
            if (more != NULL) {
                drop_descriptor(heap, more);
            }
            return false;
        }
    }
    if (!merge(heap, extent, more)) {
        extent_give(heap, more);
        return false;
    }
    drop_descriptor(heap, more);
    return true;
}

void extent_destroy_retained(struct page_heap *heap)
{
    for (;;) {
        lock_acquire(&heap->lock);
        struct extent *extent = unlink_retained(heap, &heap->retained);
        lock_release(&heap->lock);
        if (extent == NULL) {
            return;
        }
        struct call call = begin_call(heap);
        if (call.hooks->destroy != NULL) {
            call.hooks->destroy(call.hooks, extent->base, extent->size_bytes, extent->committed,
                                call.arena_index);
        }
        end_call(&call);
        drop_descriptor(heap, extent);
    }
}
