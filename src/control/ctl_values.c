/* ctl_values.c: what each control name reads, writes or does. See ctl_values.h.
 *
 * Nothing here answers a constant for something that could differ: a name whose mechanism does not
 * exist is not in the table.
 */
#include "control/ctl_values.h"

#include "cache/thread.h"
#include "config/options.h"
#include "control/ctl.h"
#include "heap/shards.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

/* Where indices stand in MIBs: arena.<i>, arenas.bin.<i>, stats.arenas.<i>.bins.<i>. */
enum { PLACE_OF_ARENA = 1, PLACE_OF_CLASS = 2, PLACE_OF_STATS_ARENA = 2, PLACE_OF_STATS_CLASS = 4 };

static int number(struct ctl_value *value, uint64_t result)
{
    value->number = result;
    return 0;
}

/* A field of eight bytes at an offset. */
static uint64_t field_at(const void *structure, size_t offset)
{
    uint64_t result;
    memcpy(&result, (const char *)structure + offset, sizeof result);
    return result;
}

/* The index that means all arenas, or its older form, the number of arenas, which Redis uses. */
static bool means_all_arenas(size_t index)
{
    return index == CTL_ALL_ARENAS || (index < ARENAS_MAX && index == arena_visible_count());
}

static bool means_destroyed_arenas(size_t index)
{
    return index == CTL_DESTROYED && statistics_destroyed() != NULL;
}

/* stats.arenas.<i>: an arena that the last snapshot knows, all of them, or all that are no more. */
static const struct arena_statistics *part_of_index(size_t index)
{
    if (index == CTL_DESTROYED) {
        return statistics_destroyed();
    }
    struct arena *arena = index < ARENAS_MAX ? arena_get((unsigned)index) : NULL;
    return arena != NULL || means_all_arenas(index) ? statistics_part(arena) : NULL;
}

bool ctl_index_is_valid(enum ctl_index kind, size_t index)
{
    enum { PAGE_SLAB_SIZES = 64, STRETCH_SIZES = CLASS_COUNT - SMALL_CLASSES + 3 };
    switch (kind) {
    case INDEX_ARENA:
        return index == CTL_ALL_ARENAS || index == CTL_DESTROYED || index <= arena_visible_count();
    case INDEX_STATS_ARENA:
        return part_of_index(index) != NULL;
    case INDEX_BIN:
        return index < SMALL_CLASSES;
    case INDEX_LARGE:
        return index < CLASS_COUNT - SMALL_CLASSES;
    case INDEX_STRETCH:
        return index < STRETCH_SIZES;
    case INDEX_PAGE_SLAB:
        return index < PAGE_SLAB_SIZES;
    case INDEX_OPTION:
        return index >= CTL_OPTIONS && index - CTL_OPTIONS <= UINT32_MAX &&
               option_row((unsigned)(index - CTL_OPTIONS)) != NULL;
    }
    return false;
}

/* For what our design lacks: docs/control-names.md lists the names. */
int read_zero(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    return number(value, 0);
}

int read_built_in_options(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    value->text = option_source[0] != NULL ? option_source[0] : "";
    return 0;
}

int read_argument(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    return number(value, argument);
}

int read_version(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    value->text = argument == 0 ? ctl_version : ctl_dg_version;
    return 0;
}

int read_snapshot(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    return statistics_read_whole(argument, &value->number);
}

int write_epoch(const size_t *mib, const void *new_value)
{
    (void)mib;
    (void)new_value;
    return statistics_refresh() ? 0 : EAGAIN;
}

int read_thread_arena(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    (void)thread_cache();
    return number(value, thread_arena()->index);
}

int write_thread_arena(const size_t *mib, const void *new_value)
{
    (void)mib;
    unsigned index;
    memcpy(&index, new_value, sizeof index);
    if (options.percpu_arena != PERCPU_DISABLED && index < arena_limit()) {
        return EPERM;
    }
    struct arena *arena = arena_demand(index);
    return arena != NULL && thread_use_arena(arena) ? 0 : EFAULT;
}

int read_thread_bytes(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    const struct cache *cache = thread_front_now()->cache;
    if (UNLIKELY(cache == NULL)) {
        cache = thread_own_cache();
    }
    if (UNLIKELY(cache == NULL)) {
        return number(value, 0);
    }
    return number(value, argument == 0 ? cache_allocated_bytes(cache) : cache_freed_bytes(cache));
}

/* The address of a counter that is exact at any time. */
int read_thread_counter(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    struct exact_counters *exact = thread_count_exactly();
    if (exact == NULL) {
        return EFAULT;
    }
    return number(value, (uintptr_t)(argument == 0 ? &exact->allocated : &exact->freed));
}

/* Before the first of these calls only the present is known. */
int read_thread_peak(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    const struct exact_counters *exact = thread_count_exactly();
    return exact == NULL ? EFAULT : number(value, exact->peak < 0 ? 0 : (uint64_t)exact->peak);
}

int act_reset_peak(const size_t *mib, const void *new_value)
{
    (void)mib;
    (void)new_value;
    struct exact_counters *exact = thread_count_exactly();
    if (exact == NULL) {
        return EFAULT;
    }
    exact->peak_base = (int64_t)(exact->allocated - exact->freed);
    exact->peak = 0;
    return 0;
}

int read_cache_enabled(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    return number(value, thread_cache() != NULL);
}

int write_cache_enabled(const size_t *mib, const void *new_value)
{
    (void)mib;
    unsigned char enabled; /* any byte can be read as one; a bool must be 0 or 1 */
    static_assert(sizeof enabled == sizeof(bool), "the value is a bool's byte");
    memcpy(&enabled, new_value, sizeof enabled);
    thread_enable_cache(enabled != 0);
    return 0;
}

int read_default_cache_limit(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    const struct bounds *bounds = bound_of_options();
    return number(value, bounds != NULL ? bounds->size_max : CACHED_SIZE_MAX);
}

int read_cached_classes(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)read_default_cache_limit(mib, argument, value);
    return number(value, class_of(value->number) + 1u);
}

int read_cache_limit(const size_t *mib, size_t argument, struct ctl_value *value)
{
    const struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        return read_default_cache_limit(mib, argument, value);
    }
    return number(value, cache_bounds(cache).size_max);
}

int write_cache_limit(const size_t *mib, const void *new_value)
{
    (void)mib;
    size_t size_bytes;
    memcpy(&size_bytes, new_value, sizeof size_bytes);
    struct cache *cache = thread_own_cache();
    if (cache == NULL) {
        return EFAULT;
    }
    struct bounds bounds = cache_bounds(cache);
    bound_limit_size(&bounds, size_bytes);
    cache_set_bounds(cache, &bounds);
    return 0;
}

int act_cache_flush(const size_t *mib, const void *new_value)
{
    (void)mib;
    (void)new_value;
    struct cache *cache = thread_cache();
    if (cache == NULL) {
        return EFAULT;
    }
    cache_flush(cache);
    return 0;
}

int read_option(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)argument;
    const struct option_row *row =
        mib[1] >= CTL_OPTIONS ? option_row((unsigned)(mib[1] - CTL_OPTIONS)) : NULL;
    if (row == NULL || (row->flags & OPTION_UNMIRRORED) != 0) {
        return ENOENT;
    }
    const char *field = (const char *)&options + row->offset;
    value->type = CTL_TEXT;
    switch ((enum option_kind)row->kind) {
    case OPTION_BOOLEAN:
        value->type = CTL_BOOLEAN;
        return number(value, *(const bool *)field);
    case OPTION_INTEGER:
    case OPTION_FRACTION:
        value->type = row->size_bytes == sizeof(uint32_t) ? CTL_U32 : CTL_U64;
        if (row->offset == offsetof(struct options, narenas)) {
            return number(value, arena_limit());
        }
        return number(value,
                      value->type == CTL_U32 ? *(const uint32_t *)field : field_at(field, 0));
    case OPTION_CHOICE:
        value->text = option_choice(row, *(const unsigned *)field);
        return 0;
    case OPTION_LETTERS:
        value->text = field;
        return 0;
    case OPTION_TEXT:
        value->text = option_text(row);
        return 0;
    case OPTION_CLASSES:
        break;
    }
    return ENOENT;
}

int read_option_source(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    value->text = option_source[argument];
    return value->text != NULL ? 0 : ENOENT;
}

int read_arena_initialized(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)argument;
    size_t index = mib[PLACE_OF_ARENA];
    bool is_arena = index < ARENAS_MAX && arena_get((unsigned)index) != NULL;
    return number(value, means_all_arenas(index) || means_destroyed_arenas(index) || is_arena);
}

/* Does something to one arena, or to all. An automatic arena that no thread needed yet has nothing.
 */
static int for_arenas(size_t index, void (*act)(struct arena *arena))
{
    if (means_all_arenas(index)) {
        struct arena *arena;
        for (unsigned i = 0; (arena = arena_next(&i)) != NULL;) {
            act(arena);
        }
        return 0;
    }
    struct arena *arena = index < ARENAS_MAX ? arena_get((unsigned)index) : NULL;
    if (arena != NULL) {
        act(arena);
    }
    return 0;
}

static void decay_now(struct arena *arena)
{
    arena_decay(arena, os_time_coarse_ns());
}

int act_arena_decay(const size_t *mib, const void *new_value)
{
    (void)new_value;
    int error = for_arenas(mib[PLACE_OF_ARENA], decay_now);
    if (error == 0) {
        huge_decay(os_time_coarse_ns());
    }
    return error;
}

int act_arena_purge(const size_t *mib, const void *new_value)
{
    (void)new_value;
    int error = for_arenas(mib[PLACE_OF_ARENA], arena_purge);
    if (error == 0) {
        /* Kept mappings are no arena's: they go with any. */
        huge_purge();
    }
    return error;
}

int read_arena_count(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    return number(value, arena_visible_count());
}

int read_class_size(const size_t *mib, size_t argument, struct ctl_value *value)
{
    return number(value, class_size((uint8_t)(mib[PLACE_OF_CLASS] + argument)));
}

/* Regions of a slab, or else bins of the class. */
int read_class_regions(const size_t *mib, size_t shards, struct ctl_value *value)
{
    uint8_t class_index = (uint8_t)mib[PLACE_OF_CLASS];
    return number(value, shards ? shards_count(class_index) : slab_region_count(class_index));
}

int read_class_slab_size(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)argument;
    return number(value, (size_t)slab_page_count((uint8_t)mib[PLACE_OF_CLASS]) * PAGE_BYTES);
}

int read_zero_reallocs(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    return number(value, atomic_load_explicit(&statistics_zero_reallocs, memory_order_relaxed));
}

static NOINLINE int part_number_slow(size_t index, size_t offset, struct ctl_value *value)
{
    const struct arena_statistics *part = part_of_index(index);
    return part == NULL ? ENOENT : statistics_read(part, offset, &value->number);
}

/* A number of the part of the snapshot that a MIB speaks of. Its usual forms are found without a
 * call. */
static inline int part_number(const size_t *mib, size_t offset, struct ctl_value *value)
{
    size_t index = mib[PLACE_OF_STATS_ARENA];
    struct arena *arena = index < ARENAS_MAX ? arena_get((unsigned)index) : NULL;
    const struct arena_statistics *part =
        arena != NULL || index == CTL_ALL_ARENAS ? statistics_part(arena) : NULL;
    return LIKELY(part != NULL) ? statistics_read(part, offset, &value->number)
                                : part_number_slow(index, offset, value);
}

int read_part(const size_t *mib, size_t argument, struct ctl_value *value)
{
    return part_number(mib, argument, value);
}

int read_bin(const size_t *mib, size_t argument, struct ctl_value *value)
{
    size_t index = mib[PLACE_OF_STATS_CLASS];
    return part_number(mib, argument + index * sizeof(struct bin_statistics), value);
}

int read_bin_lock(const size_t *mib, size_t argument, struct ctl_value *value)
{
    size_t index = mib[PLACE_OF_STATS_CLASS];
    return part_number(mib, argument + index * sizeof(struct lock_counters), value);
}

/* No block has the last classes: they are beyond the address space. */
int read_large(const size_t *mib, size_t argument, struct ctl_value *value)
{
    size_t index = mib[PLACE_OF_STATS_CLASS];
    return index >= LARGE_CLASSES_COUNTED
               ? number(value, 0)
               : part_number(mib, argument + index * sizeof(struct large_statistics), value);
}

int read_stretch(const size_t *mib, size_t argument, struct ctl_value *value)
{
    size_t index = mib[PLACE_OF_STATS_CLASS];
    return index >= STRETCH_CLASSES
               ? number(value, 0)
               : part_number(mib, argument + index * sizeof(struct stretch_statistics), value);
}

int read_page_slabs(const size_t *mib, size_t argument, struct ctl_value *value)
{
    enum { PLACE_OF_PAGE_SLAB = 5 };
    size_t index = mib[PLACE_OF_PAGE_SLAB];
    return index >= PAGE_HEAP_LISTS
               ? number(value, 0)
               : part_number(mib, argument + index * sizeof(struct hpa_slabs), value);
}

int read_active_now(const size_t *mib, size_t argument, struct ctl_value *value)
{
    (void)mib;
    (void)argument;
    return number(value, statistics_active_now());
}

int act_reset_locks(const size_t *mib, const void *new_value)
{
    (void)mib;
    (void)new_value;
    statistics_reset_locks();
    sampler_visit_locks(lock_reset_counters);
    return 0;
}
