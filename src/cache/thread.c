/* thread.c: making, finding and ending thread caches. See thread.h.
 *
 * A cache lives in a block of CACHE_BLOCK_BYTES of the allocator's own memory; blocks of threads
 * that are gone wait in a list for new threads, a few of them warm.
 */
#include "cache/thread.h"

#include "cache/helper.h"
#include "config/options.h"
#include "os/os.h"
#include "pages/meta.h"

#include <pthread.h>

enum {
    /* Blocks of exited threads kept as they are; those of further ones give their memory back. */
    WARM_BLOCKS_MAX = 16,
};

struct cache_front front_none;
static struct cache_front front_switch = {.mode = MODE_SWITCH};
static struct cache_front front_exited;
static struct cache_front front_exited_in_event;
static struct cache_front front_hooked;

__thread _Atomic(struct cache_front *) thread_front = &front_none;

/* A cache block that no thread uses; its first bytes link the list. */
struct spare_block {
    struct spare_block *next;
};

static struct {
    struct lock lock;
    struct cache *caches;     /* under the lock */
    struct spare_block *warm; /* under the lock: blocks that wait for a thread, WARM_BLOCKS_MAX */
    struct spare_block *cold; /* under the lock: ... and those beyond, without their memory */
    unsigned warm_count;      /* under the lock */
    _Atomic uint32_t modes;   /* written under the lock; read relaxed by each thread */
    pthread_key_t key;        /* immutable after thread_start() */
    bool has_key;             /* likewise */
} threads;

static void thread_exits(void *cache);

void thread_start(void)
{
    lock_init(&threads.lock, LOCK_THREADS);
    bound_start();
    threads.has_key = pthread_key_create(&threads.key, thread_exits) == 0;
}

static void set_front(struct cache_front *front)
{
    atomic_store_explicit(&thread_front, front, memory_order_relaxed);
}

static struct cache *new_cache(struct arena *arena)
{
    void *block = threads.warm != NULL ? threads.warm : threads.cold;
    if (threads.warm != NULL) {
        threads.warm = threads.warm->next;
        threads.warm_count--;
    } else if (threads.cold != NULL) {
        threads.cold = threads.cold->next;
    } else {
        /* Whole OS pages, since keep_block() purges them. */
        block = meta_alloc(CACHE_BLOCK_BYTES, os_page_bytes);
        meta_note_untouched(block == NULL ? 0 : CACHE_BLOCK_BYTES - 2 * 4096);
    }
    return block == NULL ? NULL : cache_init(block, arena);
}

/* Threads lock held. The pointer is NULL for a cache of no thread. */
static void link_cache(struct cache *cache, _Atomic(struct cache_front *) *pointer)
{
    cache->pointer = pointer;
    cache->previous = NULL;
    cache->next = threads.caches;
    if (threads.caches != NULL) {
        threads.caches->previous = cache;
    }
    threads.caches = cache;
}

static void unlink_cache(struct cache *cache)
{
    *(cache->previous != NULL ? &cache->previous->next : &threads.caches) = cache->next;
    if (cache->next != NULL) {
        cache->next->previous = cache->previous;
    }
}

/* Threads lock held. */
static void link_thread(struct cache *cache)
{
    link_cache(cache, &thread_front);
    cache->user.number = shards_join(cache_arena(cache), SHARDS_THREAD);
    (void)ALWAYS(arena_join(cache_arena(cache)));
    helper_user_comes();
}

static void unlink_thread(struct cache *cache)
{
    unlink_cache(cache);
    arena_leave(cache_arena(cache));
    helper_user_goes();
}

/* The all-slow front of a cache, with the modes. When there is no memory for one the thread stays
 * on the static one and asks again at its next call. */
static struct cache_front *shim_of(struct cache *cache, uint32_t modes)
{
    if (cache->shim == NULL) {
        cache->shim = meta_alloc(sizeof *cache->shim, 64);
    }
    if (cache->shim == NULL) {
        return &front_switch;
    }
    cache->shim->cache = cache;
    cache->shim->mode = modes;
    return cache->shim;
}

static void begin_exact(struct cache *cache)
{
    cache->exact.allocated = cache_allocated_bytes(cache);
    cache->exact.freed = cache_freed_bytes(cache);
    cache->exact.peak_base = 0;
    cache->exact.peak = (int64_t)(cache->exact.allocated - cache->exact.freed);
    cache->front.mode |= MODE_EXACT;
}

/* Whether the thread samples, which is a mode of its own as well. Sized deallocation asks the map
 * from the time on when there may be sampled blocks: no thread has such a block before it passed
 * here, or got it from one that did, under the lock under which all were sent here. */
static uint32_t apply_sampling(struct cache *cache, uint32_t modes)
{
    bool samples = (modes & MODE_SAMPLE) != 0 && !cache->sampling.is_refused;
    if (LIKELY(!samples)) {
        cache_sample_no_more(cache);
        cache->front.mode &= ~(uint32_t)MODE_SAMPLE;
        modes &= ~(uint32_t)MODE_SAMPLE;
    } else {
        cache_sample(cache, sampler_lg_period());
        cache->front.mode |= MODE_SAMPLE;
    }
    if (UNLIKELY(sampler_has_started())) {
        cache->front.sized_limit = 0;
    }
    return modes;
}

/* Points the calling thread at its cache in the modes of the process. Threads lock held. */
static void apply_modes(struct cache *cache)
{
    uint32_t modes = atomic_load_explicit(&threads.modes, memory_order_relaxed);
    modes = apply_sampling(cache, modes);
    if (UNLIKELY((modes & MODE_BYTE_HOOKS) != 0) && (cache->front.mode & MODE_EXACT) == 0) {
        begin_exact(cache);
    }
    modes |= cache->front.mode & (MODE_UNCACHED | MODE_EXACT);
    modes |= helper_is_wanted() ? MODE_HELPER : 0;
    set_front(modes <= MODE_SAMPLE ? &cache->front : shim_of(cache, modes));
}

static NOINLINE struct cache *attach(void)
{
    struct arena *arena = arena_for_thread();
    lock_acquire(&threads.lock);
    struct cache *cache = threads.has_key ? new_cache(arena) : NULL;
    if (cache != NULL) {
        link_thread(cache);
        cache->front.mode = options.tcache ? 0 : MODE_UNCACHED;
        cache->sampling.is_refused = !sampler_wants_threads();
        apply_modes(cache);
    }
    lock_release(&threads.lock);
    /* May allocate, which works: the pointer is set. Without the key's value nothing would end the
     * cache with the thread. */
    if (cache != NULL && pthread_setspecific(threads.key, cache) != 0) {
        thread_exits(cache);
        return NULL;
    }
    return cache;
}

/* The cache of the calling thread in the list, or NULL. Threads lock held. */
static struct cache *find_own(void)
{
    struct cache *cache = threads.caches;
    while (cache != NULL && cache->pointer != &thread_front) {
        cache = cache->next;
    }
    return cache;
}

void *thread_enter_hook(void)
{
    const struct cache_front *front = thread_front_now();
    if (front->cache == NULL && front != &front_switch) {
        return NULL; /* No cache, or a hook within a hook. */
    }
    lock_acquire(&threads.lock);
    struct cache *cache = find_own();
    if (cache != NULL) {
        cache->in_hook = true;
        set_front(&front_hooked);
    }
    lock_release(&threads.lock);
    return cache;
}

void thread_leave_hook(void *opaque)
{
    struct cache *cache = opaque;
    lock_acquire(&threads.lock);
    cache->in_hook = false;
    apply_modes(cache);
    lock_release(&threads.lock);
}

/* Another thread changed the modes once more meanwhile, or there is no memory for a shim. */
static NOINLINE struct cache *listed_cache(void)
{
    lock_acquire(&threads.lock);
    struct cache *cache = find_own();
    lock_release(&threads.lock);
    return cache;
}

struct cache *thread_own_cache(void)
{
    (void)thread_cache();
    struct cache_front *front = thread_front_now();
    return LIKELY(front != &front_switch) ? front->cache : listed_cache();
}

bool thread_enter_event(void)
{
    struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        bool has_ended = thread_front_now() == &front_exited;
        if (has_ended) {
            set_front(&front_exited_in_event);
        }
        return has_ended;
    }
    bool enters = !cache->in_event;
    cache->in_event = true;
    return enters;
}

void thread_leave_event(void)
{
    struct cache *cache = thread_own_cache();
    if (cache != NULL) {
        cache->in_event = false;
    } else if (ALWAYS(thread_front_now() == &front_exited_in_event)) {
        set_front(&front_exited);
    }
}

static NOINLINE struct cache *reattach(void)
{
    lock_acquire(&threads.lock);
    struct cache *cache = find_own();
    if (ALWAYS(cache != NULL)) {
        apply_modes(cache);
    }
    lock_release(&threads.lock);
    return cache;
}

struct cache *thread_cache(void)
{
    struct cache_front *front = thread_front_now();
    if (UNLIKELY(front->cache == NULL)) {
        if (front == &front_none) {
            (void)attach();
        } else if (front == &front_switch) {
            (void)reattach();
        }
        front = thread_front_now();
    }
    return front->mode & MODE_UNCACHED ? NULL : front->cache;
}

struct arena *thread_arena(void)
{
    struct cache *cache = thread_front_now()->cache;
    return cache != NULL ? cache_arena(cache) : arena_get(0);
}

/* The bins' slots are cold memory in a block that waits for a thread. */
static void keep_block(struct cache *cache)
{
    struct cache_front *shim = cache->shim;
    bool warm = threads.warm_count < WARM_BLOCKS_MAX;
    if (warm) {
        threads.warm_count++;
    } else {
        (void)!os_purge(cache, CACHE_BLOCK_BYTES);
    }
    cache->shim = shim;
    struct spare_block *block = (struct spare_block *)cache;
    struct spare_block **list = warm ? &threads.warm : &threads.cold;
    block->next = *list;
    *list = block;
}

static_assert(offsetof(struct cache, shim) >= sizeof(struct spare_block),
              "the link spares the shim");

static void empty_cache(struct cache *cache)
{
    cache_merge_counters(cache);
    cache_flush(cache);
    cache_end(cache);
}

/* Destructor of the thread's key. Destructors of other libraries may still allocate after it. */
static void thread_exits(void *opaque)
{
    struct cache *cache = opaque;
    empty_cache(cache);
    if (cache->sampling.thread != NULL) {
        tally_thread_end(cache->sampling.thread);
        cache->sampling.thread = NULL;
    }
    lock_acquire(&threads.lock);
    set_front(&front_exited);
    unlink_thread(cache);
    keep_block(cache);
    lock_release(&threads.lock);
    helper_end_when_unwanted();
}

struct cache *thread_new_other_cache(struct arena *arena)
{
    lock_acquire(&threads.lock);
    struct cache *cache = new_cache(arena);
    if (cache != NULL) {
        link_cache(cache, NULL);
        cache->user.number = shards_join(arena, SHARDS_OTHER);
        cache->stays = true;
    }
    lock_release(&threads.lock);
    return cache;
}

void thread_delete_other_cache(struct cache *cache)
{
    ASSERT(cache->pointer == NULL);
    empty_cache(cache);
    lock_acquire(&threads.lock);
    unlink_cache(cache);
    keep_block(cache);
    lock_release(&threads.lock);
}

/* Threads lock held. */
static void switch_all(void)
{
    for (struct cache *cache = threads.caches; cache != NULL; cache = cache->next) {
        if (cache->pointer != NULL && !cache->in_hook) {
            atomic_store_explicit(cache->pointer, &front_switch, memory_order_relaxed);
        }
    }
}

void thread_set_modes(uint32_t modes)
{
    lock_acquire(&threads.lock);
    atomic_store_explicit(&threads.modes, modes, memory_order_relaxed);
    switch_all();
    lock_release(&threads.lock);
}

uint32_t thread_modes(void)
{
    return atomic_load_explicit(&threads.modes, memory_order_relaxed);
}

void thread_look_at_modes(void)
{
    if (thread_front_now()->cache != NULL) {
        set_front(&front_switch);
    }
}

void thread_make_helper(void)
{
    helper_start_when_wanted();
    thread_look_at_modes();
}

void thread_stay_uncached(void)
{
    ASSERT(thread_front_now() == &front_none);
    set_front(&front_exited);
}

void thread_enable_cache(bool enabled)
{
    struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        return;
    }
    if (!enabled) {
        cache_flush(cache);
    }
    lock_acquire(&threads.lock);
    uint32_t other = cache->front.mode & MODE_EXACT;
    cache->front.mode = enabled ? other : other | MODE_UNCACHED;
    apply_modes(cache);
    lock_release(&threads.lock);
}

bool thread_refuse_samples(bool refuses)
{
    struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        return false;
    }
    lock_acquire(&threads.lock);
    cache->sampling.is_refused = refuses;
    apply_modes(cache);
    lock_release(&threads.lock);
    return true;
}

struct exact_counters *thread_count_exactly(void)
{
    struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        return NULL;
    }
    if ((cache->front.mode & MODE_EXACT) == 0) {
        lock_acquire(&threads.lock);
        begin_exact(cache);
        apply_modes(cache);
        lock_release(&threads.lock);
    }
    /* Without memory for a shim nothing would be counted until there is some. */
    return cache->shim != NULL ? &cache->exact : NULL;
}

void thread_for_each_cache(void (*visit)(struct cache *cache, void *opaque), void *opaque)
{
    lock_acquire(&threads.lock);
    for (struct cache *cache = threads.caches; cache != NULL; cache = cache->next) {
        visit(cache, opaque);
    }
    lock_release(&threads.lock);
}

bool thread_use_arena(struct arena *arena)
{
    struct cache *cache = thread_own_cache();
    if (cache == NULL || !cache_move(cache, arena)) {
        return false;
    }
    cache->stays = true;
    return true;
}

struct lock *threads_lock(void)
{
    return &threads.lock;
}

void thread_only_self_left(void)
{
    struct cache *next;
    bool is_user = false;
    for (struct cache *cache = threads.caches; cache != NULL; cache = next) {
        next = cache->next;
        if (cache->pointer == &thread_front) {
            is_user = true;
        } else if (cache->pointer != NULL) {
            unlink_thread(cache);
        }
    }
    helper_forget(is_user);
}
