/* ctl_values.h: the readers and writers behind the control names of ctl_table.h.
 *
 * A reader gets the MIB, so the indices in it, and the row's argument; results are 0 or an errno
 * value. Any thread may call them; each takes the locks that it needs.
 */
#ifndef CONTROL_CTL_VALUES_H
#define CONTROL_CTL_VALUES_H

#include "control/statistics.h"
#include "heap/class.h"

enum ctl_type {
    CTL_NOTHING,
    CTL_BOOLEAN,
    CTL_UNSIGNED,
    CTL_U32,
    CTL_U64,
    CTL_SIZE,
    CTL_TEXT,
    CTL_OPTION, /* the reader replaces it by the option's own type */
    CTL_CALL,
};

/* What a CALL calls. */
enum ctl_call {
    CTL_CALL_CACHE_CREATE,
    CTL_CALL_CACHE_FLUSH,
    CTL_CALL_CACHE_DESTROY,
    CTL_CALL_READ_SLOTS,
    CTL_CALL_WRITE_SLOTS,
};

struct ctl_value {
    enum ctl_type type;
    uint64_t number;
    const char *text;
};

typedef int (*ctl_reader)(const size_t *mib, size_t argument, struct ctl_value *value);
typedef int (*ctl_writer)(const size_t *mib, const void *new_value);

int read_argument(const size_t *mib, size_t argument, struct ctl_value *value);
int read_version(const size_t *mib, size_t argument, struct ctl_value *value);
int read_snapshot(const size_t *mib, size_t argument, struct ctl_value *value);
int read_thread_arena(const size_t *mib, size_t argument, struct ctl_value *value);
int read_thread_bytes(const size_t *mib, size_t argument, struct ctl_value *value);
int read_cache_enabled(const size_t *mib, size_t argument, struct ctl_value *value);
int read_cache_limit(const size_t *mib, size_t argument, struct ctl_value *value);
int read_default_cache_limit(const size_t *mib, size_t argument, struct ctl_value *value);
int read_cached_classes(const size_t *mib, size_t argument, struct ctl_value *value);
int read_option(const size_t *mib, size_t argument, struct ctl_value *value);
int read_option_source(const size_t *mib, size_t argument, struct ctl_value *value);
int read_arena_initialized(const size_t *mib, size_t argument, struct ctl_value *value);
int read_arena_count(const size_t *mib, size_t argument, struct ctl_value *value);
int read_class_size(const size_t *mib, size_t argument, struct ctl_value *value);
int read_class_regions(const size_t *mib, size_t argument, struct ctl_value *value);
int read_class_slab_size(const size_t *mib, size_t argument, struct ctl_value *value);
int read_zero_reallocs(const size_t *mib, size_t argument, struct ctl_value *value);
int read_arena_threads(const size_t *mib, size_t argument, struct ctl_value *value);
int read_pages(const size_t *mib, size_t argument, struct ctl_value *value);
int read_bin(const size_t *mib, size_t argument, struct ctl_value *value);
int read_bin_requests(const size_t *mib, size_t argument, struct ctl_value *value);
int read_bin_regions(const size_t *mib, size_t argument, struct ctl_value *value);

int write_epoch(const size_t *mib, const void *new_value);
int write_thread_arena(const size_t *mib, const void *new_value);
int write_cache_enabled(const size_t *mib, const void *new_value);
int write_cache_limit(const size_t *mib, const void *new_value);
int act_cache_flush(const size_t *mib, const void *new_value);
int act_arena_decay(const size_t *mib, const void *new_value);
int act_arena_purge(const size_t *mib, const void *new_value);

#endif
