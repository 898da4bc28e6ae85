/* ctl_arenas.c: the control names that act on arenas and ask about blocks. See ctl_values.h.
 *
 * A block may be any 64 bits: what is no block of ours has no class code in the address map, and
 * nothing else is asked of it then.
 */
#include "base/text.h"
#include "cache/quarantine.h"
#include "cache/thread.h"
#include "config/options.h"
#include "control/ctl_values.h"
#include "heap/reset.h"
#include "os/os.h"
#include "pages/extent.h"

#include <errno.h>
#include <string.h>

enum { PLACE_OF_ARENA = 1, PLACE_OF_EXPERIMENTAL_ARENA = 2 };

static struct arena *arena_of_index(size_t index)
{
    return index < ARENAS_MAX ? arena_get((unsigned)index) : NULL;
}

static struct arena *arena_of_mib(const size_t *mib)
{
    return arena_of_index(mib[PLACE_OF_ARENA]);
}

/* Whether the index means all arenas: what those to come begin with. */
static bool means_arenas_to_come(const size_t *mib)
{
    return mib[PLACE_OF_ARENA] == CTL_ALL_ARENAS || mib[PLACE_OF_ARENA] == arena_visible_count();
}

static const struct option_row *dss_row(void)
{
    return option_find("dss", sizeof "dss" - 1);
}

/* The argument is the place of the arena's index. */
int read_arena_dss(const size_t *mib, size_t argument, struct ctl_value *value)
{
    struct arena *arena = arena_of_index(mib[argument]);
    unsigned use = arena != NULL
                       ? (unsigned)page_heap_use_of_break(&arena->pages)
                       : atomic_load_explicit(&chunk_policy.use_of_break, memory_order_relaxed);
    value->text = option_choice(dss_row(), use);
    return 0;
}

int write_arena_dss(const size_t *mib, const void *new_value)
{
    const char *text;
    memcpy(&text, new_value, sizeof text);
    struct arena *arena = arena_of_mib(mib);
    const char *name;
    for (unsigned use = 0; (name = option_choice(dss_row(), use)) != NULL; use++) {
        if (text == NULL || !text_is_same(text, name)) {
            continue;
        }
        if (arena != NULL) {
            page_heap_set_use_of_break(&arena->pages, use);
        } else if (means_arenas_to_come(mib)) {
            atomic_store_explicit(&chunk_policy.use_of_break, use, memory_order_relaxed);
        } else {
            return EFAULT;
        }
        return 0;
    }
    return EINVAL;
}

int read_arena_decay(const size_t *mib, size_t argument, struct ctl_value *value)
{
    struct arena *arena = arena_of_mib(mib);
    if (arena == NULL) {
        return EFAULT;
    }
    value->number = (uint64_t)page_heap_decay_ms(&arena->pages, (unsigned)argument);
    return 0;
}

/* The longest time: in nanoseconds it is still a number of 64 bits. */
static bool is_decay_time(int64_t decay_ms)
{
    return decay_ms >= DECAY_NEVER && decay_ms <= (int64_t)(UINT64_MAX / 1000000 / 1000 * 1000);
}

static int set_decay(const size_t *mib, const void *new_value, unsigned stage)
{
    int64_t decay_ms;
    memcpy(&decay_ms, new_value, sizeof decay_ms);
    struct arena *arena = arena_of_mib(mib);
    if (arena == NULL || !is_decay_time(decay_ms)) {
        return EFAULT;
    }
    page_heap_set_decay(&arena->pages, stage, decay_ms);
    return 0;
}

int write_dirty_decay(const size_t *mib, const void *new_value)
{
    return set_decay(mib, new_value, STAGE_DIRTY);
}

int write_muzzy_decay(const size_t *mib, const void *new_value)
{
    return set_decay(mib, new_value, STAGE_MUZZY);
}

int read_default_decay(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    value->number = (uint64_t)arena_default_decay_ms((unsigned)argument);
    return 0;
}

static int set_default_decay(const void *new_value, unsigned stage)
{
    int64_t decay_ms;
    memcpy(&decay_ms, new_value, sizeof decay_ms);
    if (!is_decay_time(decay_ms)) {
        return EFAULT;
    }
    arena_set_default_decay_ms(stage, decay_ms);
    return 0;
}

/* Kept mappings belong to no arena: they follow the default. */
int write_default_dirty_decay(const size_t *mib, const void *new_value)
{
    (void)mib;
    int result = set_default_decay(new_value, STAGE_DIRTY);
    if (result == 0) {
        huge_set_decay(arena_default_decay_ms(STAGE_DIRTY));
    }
    return result;
}

int write_default_muzzy_decay(const size_t *mib, const void *new_value)
{
    (void)mib;
    return set_default_decay(new_value, STAGE_MUZZY);
}

/* jemalloc keeps a size class, rounded down. */
int read_arena_growth(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)argument;
    struct arena *arena = arena_of_mib(mib);
    if (!options.retain) {
        return ENOENT;
    }
    if (arena == NULL) {
        return EFAULT;
    }
    size_t bytes = page_heap_growth(&arena->pages);
    value->number = bytes < CLASS_SIZE_MAX ? bytes : CLASS_SIZE_MAX;
    return 0;
}

int write_arena_growth(const size_t *mib, const void *new_value)
{
    size_t bytes;
    memcpy(&bytes, new_value, sizeof bytes);
    struct arena *arena = arena_of_mib(mib);
    if (!options.retain) {
        return ENOENT;
    }
    if (arena == NULL || bytes < PAGE_BYTES || bytes > CLASS_SIZE_MAX) {
        return EFAULT;
    }
    uint8_t class_index = class_of(bytes);
    size_t above = class_size(class_index);
    page_heap_set_growth(&arena->pages,
                         above > bytes ? class_size((uint8_t)(class_index - 1)) : above);
    return 0;
}

int read_arena_oversize(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)argument;
    struct arena *arena = arena_of_mib(mib);
    if (arena == NULL) {
        return EFAULT;
    }
    value->number = atomic_load_explicit(&arena->oversize_bytes, memory_order_relaxed);
    return 0;
}

int write_arena_oversize(const size_t *mib, const void *new_value)
{
    size_t bytes;
    memcpy(&bytes, new_value, sizeof bytes);
    struct arena *arena = arena_of_mib(mib);
    if (arena == NULL) {
        return EFAULT;
    }
    large_note_oversize(bytes);
    atomic_store_explicit(&arena->oversize_bytes, bytes, memory_order_relaxed);
    return 0;
}

int read_active_address(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)argument;
    size_t index = mib[PLACE_OF_EXPERIMENTAL_ARENA];
    struct arena *arena = index < ARENAS_MAX ? arena_get((unsigned)index) : NULL;
    if (arena == NULL) {
        return index < ARENAS_MAX ? ENOENT : EFAULT;
    }
    value->number = (uintptr_t)large_active_pages(arena);
    return 0;
}

/* The manual arena of a MIB. Blocks of it that lie in the caller's cache come out: other caches the
 * program has flushed. */
static struct arena *manual_arena(const size_t *mib)
{
    struct arena *arena = arena_of_mib(mib);
    if (arena == NULL || !arena->is_manual) {
        return NULL;
    }
    struct cache *cache = thread_cache();
    if (cache != NULL) {
        cache_flush(cache);
    }
    return arena;
}

/* What a reset discards is no longer held back either. */
static void forget_held(const struct arena *arena)
{
    if (options.lg_san_uaf_align >= 0) {
        quarantine_forget(arena);
    }
}

int act_arena_reset(const size_t *mib, const void *new_value)
{
    (void)new_value;
    struct arena *arena = manual_arena(mib);
    if (arena == NULL) {
        return EFAULT;
    }
    forget_held(arena);
    arena_reset(arena);
    return 0;
}

/* A cache of the program's that was filled from an arena which ends tells it what it has counted,
 * and counts for arena 0 until another fills it. */
static void leave_arena(struct cache *cache, void *arena)
{
    bool is_threads = cache->pointer != NULL;
    if (!is_threads && cache_arena(cache) == arena) {
        (void)cache_move(cache, arena_get(0));
    }
}

int act_arena_destroy(const size_t *mib, const void *new_value)
{
    (void)new_value;
    struct arena *arena = manual_arena(mib);
    if (arena == NULL || !arena_end_begins(arena)) {
        return EFAULT;
    }
    forget_held(arena);
    arena_empty(arena);
    thread_for_each_cache(leave_arena, arena);
    statistics_end_arena(arena);
    return 0;
}

/* The answer is an index that must not get lost, so a buffer for it comes first. */
static bool has_room_for_index(const struct ctl_buffers *buffers)
{
    bool has_room = buffers->old != NULL && buffers->old_length != NULL &&
                    *buffers->old_length == sizeof(unsigned);
    if (!has_room && buffers->old_length != NULL) {
        *buffers->old_length = 0;
    }
    return has_room;
}

/* An arena with the default table alone has none: it goes the fast road. */
static void set_hooks(struct arena *arena, struct extent_hooks *hooks)
{
    struct extent_hooks *now = atomic_load_explicit(&arena->pages.hooks, memory_order_relaxed);
    if (hooks != extent_default_hooks() || now != NULL) {
        extent_set_guard(thread_enter_hook, thread_leave_hook);
        page_heap_set_hooks(&arena->pages, hooks, arena->index);
    }
}

static struct extent_hooks *hooks_of(struct arena *arena)
{
    struct extent_hooks *hooks =
        arena == NULL ? NULL : atomic_load_explicit(&arena->pages.hooks, memory_order_acquire);
    return hooks != NULL ? hooks : extent_default_hooks();
}

/* An automatic arena that does not exist yet has the default table, and is made to get another. */
int call_arena_hooks(const size_t *mib, const struct ctl_buffers *buffers)
{
    size_t index = mib[PLACE_OF_ARENA];
    struct arena *arena = arena_of_mib(mib);
    struct extent_hooks *fresh = NULL;
    if (arena == NULL && index >= arena_limit()) {
        return EFAULT;
    }
    if (buffers->new != NULL) {
        if (buffers->new_length != sizeof fresh) {
            return EINVAL;
        }
        memcpy(&fresh, buffers->new, sizeof fresh);
        arena = arena != NULL ? arena : arena_demand((unsigned)index);
        if (fresh == NULL || arena == NULL) {
            return EFAULT;
        }
    }
    struct extent_hooks *old = hooks_of(arena);
    int error = ctl_copy_out(&old, sizeof old, buffers);
    if (error == 0 && fresh != NULL) {
        set_hooks(arena, fresh);
    }
    return error;
}

static int create_arena(const struct ctl_buffers *buffers, struct extent_hooks *hooks)
{
    struct arena *arena = arena_create_manual();
    if (arena == NULL) {
        return EAGAIN;
    }
    if (hooks != NULL) {
        set_hooks(arena, hooks);
    }
    unsigned index = arena->index;
    memcpy(buffers->old, &index, sizeof index);
    return 0;
}

int call_arena_create(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    struct extent_hooks *hooks = NULL;
    if (!has_room_for_index(buffers)) {
        return EINVAL;
    }
    if (buffers->new != NULL) {
        if (buffers->new_length != sizeof hooks) {
            return EINVAL;
        }
        memcpy(&hooks, buffers->new, sizeof hooks);
    }
    return create_arena(buffers, hooks);
}

/* The allocator's own memory comes from the system whatever the second member asks. */
int call_arena_create_extended(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    struct {
        struct extent_hooks *hooks;
        bool own_memory_by_hooks;
    } wish = {NULL, true};
    if (!has_room_for_index(buffers)) {
        return EINVAL;
    }
    if (buffers->new != NULL) {
        if (buffers->new_length != sizeof wish) {
            return EINVAL;
        }
        memcpy(&wish.hooks, buffers->new, sizeof wish.hooks);
    }
    return create_arena(buffers, wish.hooks);
}

/* Both directions pass the address of a char *, the reading one to a buffer of ARENA_NAME_BYTES. */
int call_arena_name(const size_t *mib, const struct ctl_buffers *buffers)
{
    struct arena *arena = arena_of_mib(mib);
    const char *name = NULL;
    if (arena == NULL) {
        return EINVAL;
    }
    if (buffers->old != NULL && buffers->old_length != NULL) {
        char *buffer;
        if (*buffers->old_length != sizeof buffer) {
            return EINVAL;
        }
        memcpy(&buffer, buffers->old, sizeof buffer);
        if (buffer == NULL) {
            return EINVAL;
        }
        arena_name(arena, buffer);
    }
    if (buffers->new != NULL) {
        if (buffers->new_length != sizeof name) {
            return EINVAL;
        }
        memcpy(&name, buffers->new, sizeof name);
        if (name == NULL) {
            return EINVAL;
        }
        arena_set_name(arena, name);
    }
    return 0;
}

/* The pointer that a program asks about. */
static bool given_pointer(const struct ctl_buffers *buffers, const void **pointer)
{
    if (buffers->new == NULL || buffers->new_length != sizeof *pointer) {
        return false;
    }
    memcpy(pointer, buffers->new, sizeof *pointer);
    return true;
}

int call_arena_lookup(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    const void *pointer;
    if (!given_pointer(buffers, &pointer) || map_code(pointer) == 0) {
        return EINVAL;
    }
    unsigned code = map_code(pointer);
    (void)arena_limit(); /* From here on each arena has an index. */
    unsigned index = large_arena(pointer, code)->index;
    return ctl_copy_out(&index, sizeof index, buffers);
}

/* How full the slab of a block is. */
struct utilization {
    size_t free_regions;
    size_t regions;
    size_t slab_bytes;
};

/* The same of all slabs of a bin. */
struct bin_utilization {
    size_t free_regions;
    size_t regions;
    const void *serving; /* the slab that serves now */
};

static bool is_in_slab(const void *pointer, unsigned code)
{
    if (code == CODE_SAMPLED) {
        return run_is_slab(chunk_run(map_owner(pointer), pointer));
    }
    return code < CODE_RUN && code / CODE_SCALE - 1 < SMALL_CLASSES;
}

/* A pointer that is none of ours counts as a slab of nothing. */
static struct utilization utilization_of(const void *pointer, struct bin_utilization *bin_sum)
{
    struct utilization result = {0, 0, 0};
    unsigned code = map_code(pointer);
    *bin_sum = (struct bin_utilization){0, 0, NULL};
    if (code == 0) {
        return result;
    }
    if (!is_in_slab(pointer, code)) {
        size_t bytes = code < CODE_RUN ? bin_size[code / CODE_SCALE] : large_size(pointer, code);
        return (struct utilization){0, 1, bytes};
    }
    const struct run *slab = chunk_run(map_owner(pointer), pointer);
    struct bin *bin = slab->bin;
    lock_acquire(&bin->lock);
    result = (struct utilization){slab->free_count, slab->region_count,
                                  (size_t)slab->page_count * PAGE_BYTES};
    bin_sum->regions = bin->counters.slab_regions;
    bin_sum->free_regions =
        bin_sum->regions - (bin->counters.alloc_count - bin->counters.free_count);
    const struct run *serving = bin->first;
    bin_sum->serving = serving == NULL ? NULL : chunk_page_address(serving->chunk, serving->page);
    lock_release(&bin->lock);
    return result;
}

/* {void *slabcur; size_t nfree, nregs, size, bin_nfree, bin_nregs} of one pointer. */
int call_query(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    const void *pointer;
    struct {
        const void *serving;
        struct utilization slab;
        size_t bin_free_regions;
        size_t bin_regions;
    } answer;
    if (buffers->old == NULL || buffers->old_length == NULL ||
        *buffers->old_length < sizeof answer || !given_pointer(buffers, &pointer)) {
        return EINVAL;
    }
    struct bin_utilization bin;
    answer.slab = utilization_of(pointer, &bin);
    answer.serving = bin.serving;
    answer.bin_free_regions = bin.free_regions;
    answer.bin_regions = bin.regions;
    memcpy(buffers->old, &answer, sizeof answer);
    return 0;
}

/* {size_t nfree, nregs, size} of each of many pointers. */
int call_batch_query(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    size_t count = buffers->new_length / sizeof(void *);
    if (buffers->old == NULL || buffers->old_length == NULL || buffers->new == NULL || count == 0 ||
        buffers->new_length != count * sizeof(void *) ||
        *buffers->old_length != count * sizeof(struct utilization)) {
        return EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        const void *pointer;
        struct bin_utilization bin;
        memcpy(&pointer, (const char *)buffers->new + i * sizeof pointer, sizeof pointer);
        struct utilization answer = utilization_of(pointer, &bin);
        memcpy((char *)buffers->old + i * sizeof answer, &answer, sizeof answer);
    }
    return 0;
}

void *(*ctl_block_source)(size_t size_bytes, int flags);

/* Many blocks of one size: written is {void **blocks; size_t count; size_t size; int flags}, read
 * is how many there were before memory was refused. */
int call_batch_alloc(const size_t *mib, const struct ctl_buffers *buffers)
{
    (void)mib;
    struct {
        void **blocks;
        size_t count;
        size_t size_bytes;
        int flags;
    } wish;
    size_t done = 0;
    if (buffers->old == NULL || buffers->old_length == NULL) {
        return EINVAL;
    }
    if (*buffers->old_length != sizeof done || buffers->new == NULL ||
        buffers->new_length != sizeof wish) {
        *buffers->old_length = 0;
        return EINVAL;
    }
    memcpy(&wish, buffers->new, sizeof wish);
    for (; done < wish.count; done++) {
        wish.blocks[done] = ctl_block_source(wish.size_bytes, wish.flags);
        if (wish.blocks[done] == NULL) {
            break;
        }
    }
    memcpy(buffers->old, &done, sizeof done);
    return 0;
}

/* A thread that will not run for long. In a program with many arenas its own is purged too. */
int act_thread_idle(const size_t *mib, const void *new_value)
{
    (void)mib;
    (void)new_value;
    struct cache *cache = thread_cache();
    if (cache != NULL) {
        cache_flush(cache);
    }
    if (arena_limit() > 2 * os_cpu_count()) {
        arena_purge(thread_arena());
    }
    return 0;
}
