/* ctl.c: the table of control names, look-up, and moving values. The values themselves are in
 * ctl_values.c. See ctl.h.
 *
 * Neither the table nor the paths hold pointers: those would be relocated at the start of every
 * program, and few programs ask. What look-up needs beyond them is found out at the first call:
 * where each path begins, and for each of its elements the first row that has the same ones so far.
 * With that a MIB is checked by comparing numbers.
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
static const struct ctl_row rows[] = {
#include "control/ctl_table.h"
};
#undef NAME

#define NAME(path, type, read, write, argument) path "\0"
static const char paths[] =
#include "control/ctl_table.h"
    ;
#undef NAME
/* clang-format on */

enum {
    ROW_COUNT = sizeof rows / sizeof rows[0],
    NODE_NONE = 0xffff,  /* behind the last element */
    NODE_INDEX = 0xff00, /* plus an enum ctl_index: any number of that kind */
};

static_assert(sizeof paths <= UINT16_MAX && ROW_COUNT < NODE_INDEX, "16 bits tell a place");

/* The arrays are written once under the control lock, and immutable then. */
static struct {
    _Atomic bool ready; /* release */
    bool is_indexed;    /* under the control lock */
    uint16_t path_at[ROW_COUNT];
    uint16_t node[ROW_COUNT][CTL_DEPTH_MAX];
} look_up;

static const char *path_of(unsigned row)
{
    return paths + look_up.path_at[row];
}

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

/* What the index behind an element of these elements stands for. */
static enum ctl_index kind_of_index(const char *before, const char *element)
{
    static const struct {
        char text[14];
        uint8_t kind;
    } kinds[] = {
        {"arena", INDEX_ARENA},     {"arenas", INDEX_STATS_ARENA},      {"bin", INDEX_BIN},
        {"bins", INDEX_BIN},        {"lextent", INDEX_LARGE},           {"lextents", INDEX_LARGE},
        {"extents", INDEX_STRETCH}, {"nonfull_slabs", INDEX_PAGE_SLAB},
    };
    if (element_is(element, "<o>", 3)) {
        return INDEX_OPTION;
    }
    if (text_is_same(before, "arenas.<i>.pactivep")) {
        return INDEX_ARENA; /* It is no part of a snapshot. */
    }
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].text);
        if (element_is(before, kinds[i].text, length)) {
            return kinds[i].kind;
        }
    }
    const bool has_a_kind = false; /* every index of the table has one */
    CHECK(has_a_kind);
    return INDEX_ARENA;
}

/* The nodes of a row; those of the row before are known. */
static void note_row(unsigned row)
{
    const char *path = path_of(row);
    const char *before = path;
    for (unsigned depth = 0; depth < CTL_DEPTH_MAX; depth++) {
        const char *element = element_at(path, depth);
        uint16_t *node = &look_up.node[row][depth];
        if (*element == '\0') {
            *node = NODE_NONE;
        } else if (*element == '<') {
            *node = (uint16_t)(NODE_INDEX + kind_of_index(before, element));
        } else {
            bool shared = row > 0 && same_prefix(path, path_of(row - 1), depth + 1);
            *node = shared ? look_up.node[row - 1][depth] : (uint16_t)row;
        }
        before = element;
    }
}

bool ctl_start(void)
{
    if (LIKELY(atomic_load_explicit(&look_up.ready, memory_order_acquire))) {
        return true;
    }
    bool complete = statistics_refresh();
    lock_acquire(control_lock());
    const char *path = paths;
    for (unsigned i = 0; i < ROW_COUNT && !look_up.is_indexed; i++) {
        look_up.path_at[i] = (uint16_t)(path - paths);
        note_row(i);
        path += strlen(path) + 1;
    }
    look_up.is_indexed = true;
    lock_release(control_lock());
    atomic_store_explicit(&look_up.ready, complete, memory_order_release);
    return complete;
}

/* The first row at or after `from` that has its elements before `depth` and the given text there;
 * *number becomes its MIB number. ROW_COUNT when there is none. */
static unsigned find_row(unsigned from, unsigned depth, const char *text, size_t length,
                         size_t *number)
{
    unsigned parent = depth == 0 ? NODE_NONE : look_up.node[from][depth - 1];
    for (unsigned i = from; i < ROW_COUNT; i++) {
        unsigned node = look_up.node[i][depth];
        if (depth > 0 && look_up.node[i][depth - 1] != parent) {
            return ROW_COUNT;
        }
        if (node == i) {
            if (element_is(element_at(path_of(i), depth), text, length)) {
                *number = i;
                return i;
            }
        } else if (node == NODE_INDEX + INDEX_OPTION) {
            /* Words of their own follow: opt.malloc_conf. */
            if (parse_option(text, length, number)) {
                return i;
            }
        } else if (node >= NODE_INDEX && node != NODE_NONE) {
            bool valid = parse_index(text, length, number) &&
                         ctl_index_is_valid((enum ctl_index)(node - NODE_INDEX), *number);
            return valid ? i : ROW_COUNT;
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

/* The row of a whole MIB, or ROW_COUNT. Its last number is the row's; but an option's, which
 * follows the row of all options. */
static unsigned row_of_mib(const size_t *mib, size_t length)
{
    size_t row = mib[length - 1];
    if (length == 2 && mib[0] < ROW_COUNT && look_up.node[mib[0]][1] == NODE_INDEX + INDEX_OPTION) {
        row = mib[0];
    }
    if (row >= ROW_COUNT || (length < CTL_DEPTH_MAX && look_up.node[row][length] != NODE_NONE)) {
        return ROW_COUNT;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned node = look_up.node[row][i];
        bool is_right = node < NODE_INDEX
                            ? node == mib[i]
                            : node != NODE_NONE &&
                                  ctl_index_is_valid((enum ctl_index)(node - NODE_INDEX), mib[i]);
        if (!is_right) {
            return ROW_COUNT;
        }
    }
    return (unsigned)row;
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
    case CTL_SSIZE:
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

static int copy_value(const struct ctl_value *value, const struct ctl_buffers *buffers)
{
    bool flag = value->number != 0;
    uint32_t narrow = (uint32_t)value->number;
    const void *source = value->type == CTL_TEXT                   ? (const void *)&value->text
                         : value->type == CTL_BOOLEAN              ? (const void *)&flag
                         : type_size(value->type) == sizeof narrow ? (const void *)&narrow
                                                                   : (const void *)&value->number;
    return ctl_copy_out(source, type_size(value->type), buffers);
}

static int read_row(const struct ctl_row *row, const size_t *mib, struct ctl_value *value)
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
    if (writes ? buffers->new_length != type_size(row->type) : row->read == CTL_NULL) {
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
        result = read_row(row, mib, &value);
    }
    if (result == 0 && row->read != CTL_NULL) {
        result = copy_value(&value, buffers);
    }
    if (result == 0 && writes && !write_first) {
        result = write_row(row, mib, buffers->new);
    }
    return result;
}

int ctl_by_mib(const size_t *mib, size_t mib_length, struct ctl_buffers buffers)
{
    bool possible = mib_length > 0 && mib_length <= CTL_DEPTH_MAX;
    unsigned number = possible ? row_of_mib(mib, mib_length) : ROW_COUNT;
    if (number == ROW_COUNT) {
        return ENOENT;
    }
    const struct ctl_row *row = &rows[number];
    if (row->type == CTL_CALL) {
        return call_row(row, mib, &buffers);
    }
    bool reads = buffers.old != NULL || buffers.old_length != NULL;
    bool writes = buffers.new != NULL || buffers.new_length != 0;
    if ((reads && row->read == CTL_NULL) || (writes && row->write == CTL_NULL) ||
        (writes && row->type == CTL_NOTHING)) {
        return EPERM;
    }
    return row->type == CTL_NOTHING ? write_row(row, mib, NULL) : move_value(row, mib, &buffers);
}

const char *ctl_path(unsigned row)
{
    return row < ROW_COUNT ? path_of(row) : NULL;
}

bool ctl_has_value(unsigned row)
{
    return rows[row].read != CTL_NULL && rows[row].type != CTL_CALL;
}

int ctl_value(unsigned row, const size_t *mib, struct ctl_value *value)
{
    value->type = rows[row].type;
    return read_row(&rows[row], mib, value);
}
