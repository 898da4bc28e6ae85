/* ctl.c: the table of control names, look-up, and moving values. The values themselves are in
 * ctl_values.c. See ctl.h.
 *
 * The table is searched from its start: names are looked up rarely, and by MIB when it matters.
 */
#include "control/ctl.h"

#include "base/text.h"
#include "config/options.h"
#include "control/ctl_cache.h"
#include "control/ctl_values.h"

#include <errno.h>
#include <string.h>

const char ctl_version[] = "5.3.1-0-g81034ce1f1373e37dc865038e1bc8eeecf559ce8";
const char ctl_dg_version[] = "dg-jemalloc 0.1.0";

struct ctl_row {
    const char *path;
    enum ctl_type type;
    ctl_reader read;
    ctl_writer write;
    size_t argument;
};

#define NAME(path, type, read, write, argument) {path, CTL_##type, read, write, argument},
static const struct ctl_row rows[] = {
#include "control/ctl_table.h"
};
#undef NAME

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

/* Length of the element at the start of a path or name. */
static size_t element_length(const char *text)
{
    return text_length_until(text, '.');
}

/* True when two paths have the same first `elements` elements. */
static bool same_prefix(const char *a, const char *b, unsigned elements)
{
    for (unsigned i = 0; i < elements; i++) {
        size_t length = element_length(a);
        if (length == 0 || length != element_length(b) || strncmp(a, b, length) != 0) {
            return false;
        }
        a += length + (a[length] == '.');
        b += length + (b[length] == '.');
    }
    return true;
}

/* Element number `index` of a path; an empty text behind the last. */
static const char *element_at(const char *path, unsigned index)
{
    for (; index > 0 && *path != '\0'; index--) {
        size_t length = element_length(path);
        path += length + (path[length] == '.');
    }
    return path;
}

static bool element_is(const char *element, const char *text, size_t length)
{
    return element_length(element) == length && strncmp(element, text, length) == 0;
}

/* The number that an element of a name stands for, as an index. */
static bool parse_index(const char *text, size_t length, size_t *index)
{
    size_t value = 0;
    if (length == 0 || length > 19) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (size_t)(text[i] - '0');
    }
    *index = value;
    return true;
}

static bool parse_option(const char *text, size_t length, size_t *index)
{
    const struct option_row *row = option_find(text, length);
    if (row != NULL && (row->flags & OPTION_UNMIRRORED) != 0) {
        return false;
    }
    for (unsigned i = 0; row != NULL && option_row(i) != NULL; i++) {
        if (option_row(i) == row) {
            *index = CTL_OPTIONS + i;
            return true;
        }
    }
    return false;
}

/* The first row at or after `from` whose elements before `depth` are those of `from`, and which has
 * the given text there; *number becomes its MIB number. ROW_COUNT when there is none. */
static unsigned find_row(unsigned from, unsigned depth, const char *text, size_t length,
                         size_t *number)
{
    for (unsigned i = from; i < ROW_COUNT; i++) {
        if (!same_prefix(rows[i].path, rows[from].path, depth)) {
            return ROW_COUNT;
        }
        const char *element = element_at(rows[i].path, depth);
        if (element_is(element, "<i>", 3)   ? parse_index(text, length, number)
            : element_is(element, "<o>", 3) ? parse_option(text, length, number)
                                            : element_is(element, text, length)) {
            if (*element != '<') {
                *number = i;
            }
            return i;
        }
    }
    return ROW_COUNT;
}

int ctl_name_to_mib(const char *name, size_t *mib, size_t *mib_length)
{
    unsigned row = 0;
    unsigned depth = 0;
    for (;; depth++) {
        size_t length = element_length(name);
        size_t number = 0;
        if (length == 0 || depth == CTL_DEPTH_MAX) {
            return ENOENT;
        }
        row = find_row(row, depth, name, length, &number);
        if (row == ROW_COUNT) {
            return ENOENT;
        }
        if (depth < *mib_length) {
            mib[depth] = number;
        }
        name += length;
        if (*name == '\0') {
            break;
        }
        name++;
    }
    if (depth + 1 < *mib_length) {
        *mib_length = depth + 1;
    }
    return 0;
}

/* The row of a whole MIB, or NULL. */
static const struct ctl_row *row_of_mib(const size_t *mib, size_t length)
{
    unsigned row = 0;
    for (unsigned depth = 0; depth < length; depth++) {
        const char *element = element_at(rows[row].path, depth);
        if (*element == '\0') {
            return NULL;
        }
        bool is_option = element_is(element, "<o>", 3) && mib[depth] >= CTL_OPTIONS;
        if (is_option || element_is(element, "<i>", 3)) {
            continue;
        }
        if (mib[depth] >= ROW_COUNT || !same_prefix(rows[mib[depth]].path, rows[row].path, depth)) {
            return NULL;
        }
        row = (unsigned)mib[depth];
    }
    return length > 0 && *element_at(rows[row].path, (unsigned)length) == '\0' ? &rows[row] : NULL;
}

static size_t type_size(enum ctl_type type)
{
    switch (type) {
    case CTL_BOOLEAN:
        return sizeof(bool);
    case CTL_UNSIGNED:
    case CTL_U32:
        return sizeof(uint32_t);
    case CTL_U64:
    case CTL_SIZE:
        return sizeof(uint64_t);
    case CTL_TEXT:
        return sizeof(char *);
    case CTL_NOTHING:
    case CTL_OPTION:
    case CTL_CALL:
        break;
    }
    return 0;
}

/* Copies what was read to the caller's buffer, as much as fits. */
static int copy_out(const struct ctl_value *value, struct ctl_buffers buffers)
{
    if (buffers.old == NULL || buffers.old_length == NULL) {
        return 0;
    }
    bool flag = value->number != 0;
    uint32_t narrow = (uint32_t)value->number;
    const void *source = value->type == CTL_TEXT                   ? (const void *)&value->text
                         : value->type == CTL_BOOLEAN              ? (const void *)&flag
                         : type_size(value->type) == sizeof narrow ? (const void *)&narrow
                                                                   : (const void *)&value->number;
    size_t size = type_size(value->type);
    size_t copied = size < *buffers.old_length ? size : *buffers.old_length;
    memcpy(buffers.old, source, copied);
    if (*buffers.old_length != size) {
        *buffers.old_length = copied;
        return EINVAL;
    }
    return 0;
}

static int call(enum ctl_call which, const size_t *mib, const struct ctl_buffers *buffers)
{
    switch (which) {
    case CTL_CALL_CACHE_CREATE:
        return call_cache_create(mib, buffers);
    case CTL_CALL_CACHE_FLUSH:
        return call_cache_flush(mib, buffers);
    case CTL_CALL_CACHE_DESTROY:
        return call_cache_destroy(mib, buffers);
    case CTL_CALL_READ_SLOTS:
        return call_read_slots(mib, buffers);
    case CTL_CALL_WRITE_SLOTS:
        return call_write_slots(mib, buffers);
    }
    return ENOENT;
}

static int run_row(const struct ctl_row *row, const size_t *mib, struct ctl_buffers buffers)
{
    if (row->type == CTL_CALL) {
        return call((enum ctl_call)row->argument, mib, &buffers);
    }
    bool reads = buffers.old != NULL || buffers.old_length != NULL;
    bool writes = buffers.new != NULL || buffers.new_length != 0;
    if ((reads && row->read == NULL) || (writes && row->write == NULL) ||
        (writes && row->type == CTL_NOTHING)) {
        return EPERM;
    }
    if (row->type == CTL_NOTHING) {
        return row->write(mib, NULL);
    }
    writes = buffers.new != NULL;
    if (writes && buffers.new_length != type_size(row->type)) {
        return EINVAL;
    }
    int result = 0;
    struct ctl_value value = {.type = row->type};
    /* epoch: what is read is the number after the refresh. */
    bool write_first = row->type == CTL_U64;
    if (writes && write_first) {
        result = row->write(mib, buffers.new);
    }
    if (result == 0 && row->read != NULL) {
        result = row->read(mib, row->argument, &value);
    }
    if (result == 0) {
        result = copy_out(&value, buffers);
    }
    if (result == 0 && writes && !write_first) {
        result = row->write(mib, buffers.new);
    }
    return result;
}

int ctl_by_mib(const size_t *mib, size_t mib_length, struct ctl_buffers buffers)
{
    const struct ctl_row *row = mib_length > CTL_DEPTH_MAX ? NULL : row_of_mib(mib, mib_length);
    return row == NULL ? ENOENT : run_row(row, mib, buffers);
}
