/* options.h: the options of MALLOC_CONF and its four other sources, read once at start.
 *
 * Grammar: key:value[,key:value...]; later settings of a key win; each source overrides the former:
 * the string built in, the symbol malloc_conf, the target of the link /etc/malloc.conf, the
 * environment variable MALLOC_CONF (ignored in set-user-id programs), malloc_conf_2_conf_harder.
 *
 * The tables behind these functions hold no pointer, since each would cost the start of every
 * program a relocation; texts are found by their offsets.
 *
 * Invariant: after options_load() nothing here changes, so any thread may read without a lock.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include "base/check.h"

#include <sys/types.h>

enum { OPTION_TEXT_BYTES = 4096, OPTION_LETTERS_BYTES = 12, OPTION_SOURCES = 5 };

enum { JUNK_FALSE, JUNK_TRUE, JUNK_ALLOC, JUNK_FREE };
enum { METADATA_THP_DISABLED, METADATA_THP_AUTO, METADATA_THP_ALWAYS };
enum { DSS_DISABLED, DSS_PRIMARY, DSS_SECONDARY };
enum { THP_DEFAULT, THP_ALWAYS, THP_NEVER };
enum { ZERO_REALLOC_ALLOC, ZERO_REALLOC_FREE, ZERO_REALLOC_ABORT };
enum { PERCPU_DISABLED, PERCPU_CPU, PERCPU_CORE };
enum { TIME_DEFAULT, TIME_HIGH };
enum { UNWIND_AUTO, UNWIND_FP, UNWIND_DWARF };
enum { HUGIFY_AUTO, HUGIFY_NONE, HUGIFY_EAGER, HUGIFY_LAZY };

#define BOOLEAN(name, initial, flags, meaning) bool name;
#define INTEGER(name, type, initial, least, most, beyond, flags, unit, meaning) type name;
#define FRACTION(name, initial, most, flags, meaning) uint32_t name;
#define CHOICE(name, initial, values, flags, meaning) unsigned name;
#define LETTERS(name, flags, meaning) char name[OPTION_LETTERS_BYTES];
#define TEXT(name, initial, flags, meaning) bool name;
#define CLASSES(name, type, count, last, most, flags, meaning) type name[count];
#define ABSENT(name, meaning)
struct options {
#include "config/options_table.h"
};
#include "config/options_end_table.h"

extern struct options options;
/* What they are where nobody sets them. */
extern const struct options option_defaults;

/* The fields of CLASSES, of each size class: 0 where nothing was set, else the number plus 1. */

enum option_kind {
    OPTION_BOOLEAN,
    OPTION_INTEGER,
    OPTION_FRACTION,
    OPTION_CHOICE,
    OPTION_LETTERS,
    OPTION_TEXT,
    OPTION_CLASSES,
};

enum option_flags {
    OPTION_PLAIN = 0,
    OPTION_UNMIRRORED = 1,
    OPTION_IDLE = 2,
    OPTION_SHORT_KEY = 4,
    OPTION_SHORT_VALUE = 8,
    OPTION_MINUS_ONE = 16,
};

/* What happens to integers out of range. */
enum option_beyond { OPTION_REFUSE, OPTION_CLIP, OPTION_CLIP_ABOVE };

/* A row of the table, for control and documentation. */
struct option_row {
    uint64_t most;       /* of CLASSES, of each number */
    int64_t least;       /* of CLASSES, the size of the last class */
    uint16_t name;       /* offset of the name */
    uint16_t values;     /* of a choice, or of a text's default: offset of them */
    uint16_t offset;     /* of the field in struct options */
    uint16_t size_bytes; /* of the field; of CLASSES, of one element */
    uint8_t kind;
    uint8_t beyond;
    uint8_t flags;
    bool is_signed;
};

/* Row number i, or NULL behind the last. */
const struct option_row *option_row(unsigned index);
/* The row of a whole name, or NULL. */
const struct option_row *option_find(const char *name, size_t length);
const char *option_name(const struct option_row *row);
/* Value number i of a choice, or NULL behind the last. */
const char *option_choice(const struct option_row *row, unsigned index);
/* The present text of a row of kind TEXT. */
const char *option_text(const struct option_row *row);

/* The texts that the sources had, in their order; NULL where a source is not set. */
extern const char *option_source[OPTION_SOURCES];

/* Reads all sources. Errors are reported, each with one line, and the old value is kept. False when
 * no source is set: all options have their defaults. */
bool options_load(void);

/* Applies one string, as if it were a source. Result: true when it had no error. For tests. */
bool options_apply(const char *text);
/* What follows from the values together: options that force others. For tests. */
void options_settle(void);
/* Back to the defaults. For tests. */
void options_reset(void);

#endif
