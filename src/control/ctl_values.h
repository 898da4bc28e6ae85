/* ctl_values.h: the readers and writers behind the control names of ctl_table.h.
 *
 * A reader gets the MIB, whose indices are within their bounds, and the row's argument; results are
 * 0 or an errno value. Any thread may call them; each takes the locks that it needs.
 *
 * The lists name them all: the table refers to them by number, since a pointer would have to be
 * relocated at the start of every program.
 */
#ifndef CONTROL_CTL_VALUES_H
#define CONTROL_CTL_VALUES_H

#include "control/ctl.h"
#include "control/statistics.h"
#include "heap/class.h"

enum ctl_type {
    CTL_NOTHING,
    CTL_BOOLEAN,
    CTL_UNSIGNED,
    CTL_U32,
    CTL_U64,
    CTL_SIZE,
    CTL_SSIZE,
    CTL_TEXT,
    CTL_OPTION, /* the reader replaces it by the option's own type */
    CTL_CALL,
};

struct ctl_value {
    enum ctl_type type;
    uint64_t number;
    const char *text;
};

/* What an index stands for: the kinds that ctl_index_is_valid() knows. */
enum ctl_index {
    INDEX_ARENA,       /* arena.<i> */
    INDEX_STATS_ARENA, /* stats.arenas.<i> */
    INDEX_BIN,
    INDEX_LARGE,
    INDEX_STRETCH,
    INDEX_PAGE_SLAB, /* hpa_shard.nonfull_slabs.<i> */
    INDEX_OPTION,
};

bool ctl_index_is_valid(enum ctl_index kind, size_t index);

/* clang-format off */
#define CTL_READERS(X) \
    X(read_argument) X(read_zero) X(read_version) X(read_snapshot) X(read_built_in_options) \
    X(read_thread_arena) X(read_thread_bytes) X(read_cache_enabled) X(read_option) \
    X(read_option_source) \
    X(read_arena_initialized) X(read_arena_dss) X(read_arena_decay) X(read_arena_count) \
    X(read_default_decay) X(read_class_size) X(read_class_regions) X(read_class_slab_size) \
    X(read_zero_reallocs) X(read_part) X(read_bin) X(read_bin_lock) \
    X(read_large) X(read_stretch) X(read_page_slabs) X(read_active_now) X(read_cache_limit) \
    X(read_default_cache_limit) X(read_cached_classes) X(read_background) \
    X(read_background_limit) X(read_thread_counter) X(read_thread_peak) \
    X(read_arena_growth) X(read_arena_oversize) X(read_active_address) \
    X(read_prof_active) X(read_prof_lock) X(read_prof_thread_init) X(read_prof_lg_sample) \
    X(read_thread_prof_active) X(read_prof_gdump) X(read_prof_interval)
#define CTL_WRITERS(X) \
    X(write_epoch) X(write_thread_arena) X(write_cache_enabled) X(act_cache_flush) \
    X(act_thread_idle) X(act_arena_decay) X(act_arena_purge) X(write_arena_dss) \
    X(write_dirty_decay) X(write_muzzy_decay) X(write_default_dirty_decay) \
    X(write_default_muzzy_decay) X(act_reset_locks) X(write_cache_limit) X(write_background) \
    X(write_background_limit) X(act_reset_peak) X(act_arena_reset) \
    X(act_arena_destroy) X(write_arena_growth) X(write_arena_oversize) \
    X(write_prof_active) X(write_prof_thread_init) X(write_thread_prof_active) X(write_prof_gdump)
#define CTL_CALLS(X) \
    X(call_arena_name) X(call_arena_lookup) X(call_query) X(call_batch_query) \
    X(call_batch_alloc) X(call_cache_create) X(call_cache_flush) X(call_cache_destroy) \
    X(call_read_slots) X(call_write_slots) X(call_arena_create) X(call_arena_create_extended) \
    X(call_arena_hooks) X(call_hook_install) X(call_hook_remove) X(call_hook_bytes) \
    X(call_hook_mistakes) X(call_prof_reset) X(call_thread_prof_name) \
    X(call_prof_hook_backtrace) X(call_prof_hook_sample) X(call_prof_hook_free) \
    X(call_prof_bin_live) X(call_prof_bin_ever) X(call_prof_large_live) X(call_prof_large_ever) \
    X(call_prof_dump) X(call_prof_prefix) X(call_prof_hook_dump) \
    X(call_prof_log_start) X(call_prof_log_stop) X(call_recent_max) X(call_recent_dump)
/* clang-format on */

#define X(name) int name(const size_t *mib, size_t argument, struct ctl_value *value);
CTL_READERS(X)
#undef X
#define X(name) int name(const size_t *mib, const void *new_value);
CTL_WRITERS(X)
#undef X
#define X(name) int name(const size_t *mib, const struct ctl_buffers *buffers);
CTL_CALLS(X)
#undef X

/* Copies what was read to the caller's buffer, as much as fits: 0, or EINVAL when its length is
 * another. */
int ctl_copy_out(const void *value, size_t size_bytes, const struct ctl_buffers *buffers);

/* Of names that are written only: copies the caller's value of that size, which must be there. */
int ctl_take_in(void *value, size_t size_bytes, const struct ctl_buffers *buffers);

#endif
