/* ctl.c: the table of control names, and moving values. Look-up is in ctl_names.c, the values
 * themselves are in ctl_values.c. See ctl.h.
 *
 * The table holds no pointers: those would be relocated at the start of every program, and few
 * programs ask.
 */
#include "control/ctl.h"

#include "control/ctl_cache.h"
#include "control/ctl_names.h"

#include <errno.h>
#include <string.h>

const char ctl_version[] = "5.3.1-0-g81034ce1f1373e37dc865038e1bc8eeecf559ce8";
const char ctl_dg_version[] = "dg-jemalloc 0.1.0";

#define X(name) CTL_##name,
enum { CTL_NULL, CTL_READERS(X) CTL_WRITERS(X) CTL_CALLS(X) };
#undef X

struct ctl_row {
    uint8_t type;
    uint8_t read;
    uint8_t write;
    uint32_t argument;
};

/* clang-format off */
#define NAME(path, type, read, write, argument) \
    {CTL_##type, CTL_##read, CTL_##write, (uint32_t)(argument)},
static const struct ctl_row rows[CTL_ROWS] = {
#include "control/ctl_table.h"
};
#undef NAME
/* clang-format on */

/* An option's type is its reader's answer; the others without a size have no value. */
static const uint8_t type_bytes[] = {
    [CTL_NOTHING] = 0,
    [CTL_BOOLEAN] = sizeof(bool),
    [CTL_UNSIGNED] = sizeof(uint32_t),
    [CTL_U32] = sizeof(uint32_t),
    [CTL_U64] = sizeof(uint64_t),
    [CTL_SIZE] = sizeof(uint64_t),
    [CTL_SSIZE] = sizeof(uint64_t),
    [CTL_TEXT] = sizeof(char *),
    [CTL_OPTION] = 0,
    [CTL_CALL] = 0,
};

_Atomic bool ctl_ready;

/* Under the control lock. */
static bool names_are_known;

/* Readers that find the arena of a MIB in the snapshot, or say ENOENT. */
static bool finds_part(const struct ctl_row *row)
{
    return row->read == CTL_read_part || row->read == CTL_read_bin ||
           row->read == CTL_read_bin_lock || row->read == CTL_read_large ||
           row->read == CTL_read_stretch;
}

/* The bytes of a row's number, for the common call. */
static uint8_t number_bytes(const struct ctl_row *row, const struct ctl_words *words)
{
    bool is_number = row->type >= CTL_UNSIGNED && row->type <= CTL_SSIZE && row->read != CTL_NULL;
    bool looks = finds_part(row);
    for (unsigned i = 0; i < words->count; i++) {
        is_number &= words->limit[i] != UINT16_MAX || looks;
    }
    return is_number ? type_bytes[row->type] : 0;
}

bool ctl_start(void)
{
    if (LIKELY(ctl_is_ready())) {
        return true;
    }
    bool complete = statistics_refresh();
    lock_acquire(control_lock());
    if (!names_are_known) {
        ctl_names_start();
        for (unsigned i = 0; i < CTL_ROWS; i++) {
            ctl_words[i].number_bytes = number_bytes(&rows[i], &ctl_words[i]);
            ctl_words[i].number_count = ctl_words[i].number_bytes > 0 ? ctl_words[i].count : 0;
        }
        names_are_known = true;
    }
    lock_release(control_lock());
    atomic_store_explicit(&ctl_ready, complete, memory_order_release);
    return complete;
}

int ctl_name_to_mib(const char *name, size_t *mib, size_t *mib_length)
{
    return ctl_names_find(name, mib, mib_length) == CTL_ROWS ? ENOENT : 0;
}

int ctl_copy_out(const void *value, size_t size_bytes, const struct ctl_buffers *buffers)
{
    if (buffers->old == NULL || buffers->old_length == NULL) {
        return 0;
    }
    size_t copied = size_bytes < *buffers->old_length ? size_bytes : *buffers->old_length;
    memcpy(buffers->old, value, copied);
    if (*buffers->old_length != size_bytes) {
        *buffers->old_length = copied;
        return EINVAL;
    }
    return 0;
}

int ctl_take_in(void *value, size_t size_bytes, const struct ctl_buffers *buffers)
{
    if (buffers->old != NULL || buffers->old_length != NULL) {
        return EPERM;
    }
    if (buffers->new == NULL || buffers->new_length != size_bytes) {
        return EINVAL;
    }
    memcpy(value, buffers->new, size_bytes);
    return 0;
}

static int copy_value(const struct ctl_value *value, const struct ctl_buffers *buffers)
{
    bool flag = value->number != 0;
    uint32_t narrow = (uint32_t)value->number;
    const void *source = value->type == CTL_TEXT                    ? (const void *)&value->text
                         : value->type == CTL_BOOLEAN               ? (const void *)&flag
                         : type_bytes[value->type] == sizeof narrow ? (const void *)&narrow
                                                                    : (const void *)&value->number;
    return ctl_copy_out(source, type_bytes[value->type], buffers);
}

static inline int read_row(const size_t *mib, const struct ctl_row *row, struct ctl_value *value)
{
    switch (row->read) {
#define X(name)      \
    case CTL_##name: \
        return name(mib, row->argument, value);
        CTL_READERS(X)
#undef X
    }
    return EPERM;
}

static int write_row(const struct ctl_row *row, const size_t *mib, const void *new_value)
{
    switch (row->write) {
#define X(name)      \
    case CTL_##name: \
        return name(mib, new_value);
        CTL_WRITERS(X)
#undef X
    }
    return EPERM;
}

static int call_row(const struct ctl_row *row, const size_t *mib, const struct ctl_buffers *buffers)
{
    switch (row->read) {
#define X(name)      \
    case CTL_##name: \
        return name(mib, buffers);
        CTL_CALLS(X)
#undef X
    }
    return EPERM;
}

/* Numbers and texts: read, written, or both. */
static int move_value(const struct ctl_row *row, const size_t *mib,
                      const struct ctl_buffers *buffers)
{
    bool writes = buffers->new != NULL;
    if (writes ? buffers->new_length != type_bytes[row->type] : row->read == CTL_NULL) {
        return EINVAL;
    }
    int result = 0;
    struct ctl_value value = {.type = row->type};
    /* epoch: what is read is the number after the refresh. */
    bool write_first = row->type == CTL_U64;
    if (writes && write_first) {
        result = write_row(row, mib, buffers->new);
    }
    if (result == 0 && row->read != CTL_NULL) {
        result = read_row(mib, row, &value);
    }
    if (result == 0 && row->read != CTL_NULL) {
        result = copy_value(&value, buffers);
    }
    if (result == 0 && writes && !write_first) {
        result = write_row(row, mib, buffers->new);
    }
    return result;
}

static int use_row(const struct ctl_row *row, const size_t *mib, const struct ctl_buffers *buffers)
{
    if (row->type == CTL_CALL) {
        return call_row(row, mib, buffers);
    }
    bool reads = buffers->old != NULL || buffers->old_length != NULL;
    bool writes = buffers->new != NULL || buffers->new_length != 0;
    if ((reads && row->read == CTL_NULL) || (writes && row->write == CTL_NULL) ||
        (writes && row->type == CTL_NOTHING)) {
        return EPERM;
    }
    return row->type == CTL_NOTHING ? write_row(row, mib, NULL) : move_value(row, mib, buffers);
}

int ctl_by_mib(const size_t *mib, size_t mib_length, const struct ctl_buffers *buffers)
{
    unsigned number = ctl_names_row(mib, mib_length);
    return number == CTL_ROWS ? ENOENT : use_row(&rows[number], mib, buffers);
}

int ctl_number(const size_t *mib, size_t number, void *buffer)
{
    const struct ctl_row *row = &rows[number];
    struct ctl_value value;
    int result = read_row(mib, row, &value);
    if (result == 0) {
        uint32_t narrow = (uint32_t)value.number;
        if (row->type >= CTL_U64) {
            memcpy(buffer, &value.number, sizeof value.number);
        } else {
            memcpy(buffer, &narrow, sizeof narrow);
        }
    }
    return result;
}

int ctl_by_name(const char *name, const struct ctl_buffers *buffers)
{
    size_t mib[CTL_DEPTH_MAX];
    size_t mib_length = CTL_DEPTH_MAX;
    unsigned number = ctl_names_find(name, mib, &mib_length);
    bool is_whole = number != CTL_ROWS && ctl_words[number].count == mib_length;
    return is_whole ? use_row(&rows[number], mib, buffers) : ENOENT;
}

const char *ctl_path(unsigned row)
{
    return row < CTL_ROWS ? ctl_names_path(row) : NULL;
}

bool ctl_has_value(unsigned row)
{
    return rows[row].read != CTL_NULL && rows[row].type != CTL_CALL;
}

int ctl_value(unsigned row, const size_t *mib, struct ctl_value *value)
{
    value->type = rows[row].type;
    return read_row(mib, &rows[row], value);
}
