/* explicit.c: the table of caches without threads. See explicit.h.
 *
 * An entry changes by one atomic operation, so no lock guards the table, and none is there for
 * fork.
 */
#include "cache/explicit.h"

#include "cache/thread.h"

#include <stdatomic.h>

/* Any thread; release publishes the cache, acquire by whoever uses it. */
static _Atomic(struct cache *) table[EXPLICIT_MAX];

bool explicit_create(struct arena *arena, unsigned *id)
{
    struct cache *cache = thread_new_other_cache(arena);
    if (cache == NULL) {
        return false;
    }
    for (unsigned i = 0; i < EXPLICIT_MAX; i++) {
        struct cache *none = NULL;
        if (atomic_load_explicit(&table[i], memory_order_relaxed) == NULL &&
            atomic_compare_exchange_strong_explicit(&table[i], &none, cache, memory_order_release,
                                                    memory_order_relaxed)) {
            *id = i;
            return true;
        }
    }
    thread_delete_other_cache(cache);
    return false;
}

struct cache *explicit_get(unsigned id)
{
    return id < EXPLICIT_MAX ? atomic_load_explicit(&table[id], memory_order_acquire) : NULL;
}

bool explicit_flush(unsigned id)
{
    struct cache *cache = explicit_get(id);
    if (cache != NULL) {
        cache_flush(cache);
    }
    return cache != NULL;
}

bool explicit_destroy(unsigned id)
{
    struct cache *cache =
        id < EXPLICIT_MAX ? atomic_exchange_explicit(&table[id], NULL, memory_order_acq_rel) : NULL;
    if (cache != NULL) {
        thread_delete_other_cache(cache);
    }
    return cache != NULL;
}
