/* ctl_names.c: the paths of the table, and look-up in them. See ctl_names.h.
 *
 * The paths hold no pointers: those would be relocated at the start of every program, and few
 * programs ask. What look-up needs beyond them is found out at the first call of a control
 * function: where each element stands, the row that each stands for, and the next row that has
 * another element in its place. An element is looked for among those alone, not in all rows.
 */
#include "control/ctl_names.h"

#include "base/text.h"
#include "config/options.h"

#include <string.h>

/* clang-format off */
#define NAME(path, type, read, write, argument) path "\0"
static const char paths[] =
#include "control/ctl_table.h"
    ;
#undef NAME
/* clang-format on */

static_assert(sizeof paths <= UINT16_MAX, "16 bits tell a place");

struct ctl_words ctl_words[CTL_ROWS];

enum { NO_INDEX = 0xff };

/* Of each element of each row. Written once under the control lock, and immutable then. */
static struct {
    uint16_t text[CTL_DEPTH_MAX][CTL_ROWS]; /* where it stands in `paths` */
    /* Of the first row that has the element: the first with the next one there, behind the same
     * elements; 0 behind the last. */
    uint16_t next[CTL_DEPTH_MAX][CTL_ROWS];
    uint8_t kind[CTL_DEPTH_MAX][CTL_ROWS]; /* enum ctl_index, or NO_INDEX */
} names;

static const char *element_of(unsigned row, unsigned depth)
{
    return paths + names.text[depth][row];
}

const char *ctl_names_path(unsigned row)
{
    return element_of(row, 0);
}

/* Length of the element at the start of a path or name. */
static size_t element_length(const char *text)
{
    return text_length_until(text, '.');
}

static bool element_is(const char *element, const char *text, size_t length)
{
    return *element == *text && text_is_same_for(element, text, length) &&
           (element[length] == '.' || element[length] == '\0');
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
    if (row == NULL || (row->flags & OPTION_UNMIRRORED) != 0) {
        return false;
    }
    *index = CTL_OPTIONS + (size_t)(row - option_row(0));
    return true;
}

/* What the index behind an element stands for. */
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
        if (element_is(before, kinds[i].text, strlen(kinds[i].text))) {
            return kinds[i].kind;
        }
    }
    const bool has_a_kind = false; /* every index of the table has one */
    CHECK(has_a_kind);
    return INDEX_ARENA;
}

/* The first row with the same elements up to this one. An index follows a word, and is the first
 * that does. */
static unsigned first_row_with(unsigned row, unsigned depth)
{
    const uint16_t *number = ctl_words[row].number;
    return names.kind[depth][row] == NO_INDEX ? number[depth] : number[depth - 1];
}

/* The row above has this element too. */
static bool is_above(unsigned row, unsigned depth, size_t length)
{
    return depth < ctl_words[row - 1].count &&
           element_is(element_of(row - 1, depth), element_of(row, depth), length);
}

/* Indices below these are known, or looked at by the readers; others need ctl_index_is_valid(). */
static const uint16_t limit_of_kind[] = {
    [INDEX_ARENA] = 0,
    [INDEX_STATS_ARENA] = UINT16_MAX,
    [INDEX_BIN] = SMALL_CLASSES,
    [INDEX_LARGE] = CLASS_COUNT - SMALL_CLASSES,
    [INDEX_STRETCH] = STRETCH_CLASSES,
    [INDEX_PAGE_SLAB] = 0,
    [INDEX_OPTION] = 0,
};

/* The elements of a row; those of the row above are known. */
static void note_row(unsigned row, const char *path)
{
    struct ctl_words *words = &ctl_words[row];
    const char *element = path;
    bool shares = row > 0;
    unsigned depth = 0;
    for (; *element != '\0'; depth++) {
        size_t length = element_length(element);
        bool shared_before = shares;
        bool is_index = *element == '<';
        names.text[depth][row] = (uint16_t)(element - paths);
        names.kind[depth][row] =
            is_index ? (uint8_t)kind_of_index(element_of(row, depth - 1), element) : NO_INDEX;
        shares = shares && is_above(row, depth, length);
        words->limit[depth] = is_index ? limit_of_kind[names.kind[depth][row]] : 0;
        words->number[depth] = is_index ? 0 : shares ? words[-1].number[depth] : (uint16_t)row;
        if (shared_before && !shares) {
            names.next[depth][first_row_with(row - 1, depth)] = (uint16_t)row;
        }
        element += length + (element[length] == '.');
    }
    words->count = (uint8_t)depth;
}

void ctl_names_start(void)
{
    const char *path = paths;
    for (unsigned i = 0; i < CTL_ROWS; i++) {
        note_row(i, path);
        path += strlen(path) + 1;
    }
}

/* An element of a name that stands for any number of a kind. */
static bool parse_number(enum ctl_index kind, const char *text, size_t length, size_t *number)
{
    return kind == INDEX_OPTION
               ? parse_option(text, length, number)
               : parse_index(text, length, number) && ctl_index_is_valid(kind, *number);
}

struct element {
    const char *text;
    size_t length;
};

/* The first row that has an element of a name at `depth`, of those with the same ones before as the
 * given row, their first; *number becomes the element's in a MIB. CTL_ROWS when there is none. */
static unsigned find_element(unsigned row, unsigned depth, struct element element, size_t *number)
{
    /* An index stands before words: opt.<o>, opt.malloc_conf. */
    uint8_t kind = names.kind[depth][row];
    if (kind != NO_INDEX) {
        if (parse_number((enum ctl_index)kind, element.text, element.length, number)) {
            return row;
        }
        row = names.next[depth][row];
        if (row == 0) {
            return CTL_ROWS;
        }
    }
    const uint16_t *text = names.text[depth];
    const uint16_t *next = names.next[depth];
    do {
        if (element_is(paths + text[row], element.text, element.length)) {
            *number = row;
            return row;
        }
        row = next[row];
    } while (row != 0);
    return CTL_ROWS;
}

unsigned ctl_names_find(const char *name, size_t *mib, size_t *mib_length)
{
    unsigned row = 0;
    unsigned depth = 0;
    for (;; depth++) {
        struct element element = {name, element_length(name)};
        size_t number = 0;
        /* Elements behind a row's last are those of no row. */
        bool may_follow = depth == 0 || depth < ctl_words[row].count;
        row = may_follow && element.length > 0 ? find_element(row, depth, element, &number)
                                               : CTL_ROWS;
        if (row == CTL_ROWS) {
            return CTL_ROWS;
        }
        if (depth < *mib_length) {
            mib[depth] = number;
        }
        name += element.length;
        if (*name == '\0') {
            break;
        }
        name++;
    }
    if (depth + 1 < *mib_length) {
        *mib_length = depth + 1;
    }
    return row;
}

/* An option's number, which follows the row of all options, or CTL_ROWS. */
static unsigned option_row_of(const size_t *mib, size_t length)
{
    bool is_option = length == 2 && mib[0] < CTL_ROWS && ctl_words[mib[0]].number[0] == mib[0] &&
                     names.kind[1][mib[0]] == INDEX_OPTION &&
                     ctl_index_is_valid(INDEX_OPTION, mib[1]);
    return is_option ? (unsigned)mib[0] : CTL_ROWS;
}

unsigned ctl_names_row(const size_t *mib, size_t length)
{
    if (length == 0 || length > CTL_DEPTH_MAX) {
        return CTL_ROWS;
    }
    size_t row = mib[length - 1];
    if (row >= CTL_ROWS) {
        return option_row_of(mib, length);
    }
    if (ctl_words[row].count != length) {
        return CTL_ROWS;
    }
    for (unsigned i = 0; i < length; i++) {
        uint8_t kind = names.kind[i][row];
        if (kind == NO_INDEX ? ctl_words[row].number[i] != mib[i]
                             : !ctl_index_is_valid((enum ctl_index)kind, mib[i])) {
            return CTL_ROWS;
        }
    }
    return (unsigned)row;
}
