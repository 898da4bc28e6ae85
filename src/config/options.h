/* options.h: the options of MALLOC_CONF and its four other sources, read once at start.
 *
 * Grammar: key:value[,key:value...]; later settings of a key win; each source overrides the former:
 * the string built in, the symbol malloc_conf, the target of the link /etc/malloc.conf, the
 * environment variable MALLOC_CONF (ignored in set-user-id programs), malloc_conf_2_conf_harder.
 *
 * Invariant: after options_load() nothing here changes, so any thread may read without a lock.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include "base/check.h"

enum { OPTION_TEXT_BYTES = 64, OPTION_SOURCES = 5 };

enum { JUNK_FALSE, JUNK_TRUE, JUNK_ALLOC, JUNK_FREE };
enum { THP_DEFAULT, THP_ALWAYS, THP_NEVER };
enum { ZERO_REALLOC_ALLOC, ZERO_REALLOC_FREE, ZERO_REALLOC_ABORT };

#define BOOLEAN(name, initial, meaning) bool name;
#define INTEGER(name, type, initial, least, most, beyond, unit, meaning) type name;
#define CHOICE(name, initial, values, meaning) unsigned name;
#define TEXT(name, initial, meaning) char name[OPTION_TEXT_BYTES];
struct options {
#include "config/options_table.h"
};
#undef BOOLEAN
#undef INTEGER
#undef CHOICE
#undef TEXT

extern struct options options;

enum option_kind { OPTION_BOOLEAN, OPTION_INTEGER, OPTION_CHOICE, OPTION_TEXT };

/* A row of the table, for control and documentation. */
struct option_row {
    const char *name;
    enum option_kind kind;
    size_t offset; /* of the field in struct options */
    size_t size_bytes;
    bool is_signed;
    unsigned beyond; /* what happens to integers out of range */
    int64_t least;
    uint64_t most;
    const char *values; /* of a choice: "a|b|c" */
};

/* Row number i, or NULL behind the last. */
const struct option_row *option_row(unsigned index);
/* The row of a name, or NULL. */
const struct option_row *option_find(const char *name, size_t length);
/* Text of the current value of a choice into buffer. */
const char *option_choice_name(const struct option_row *row, unsigned index, char *buffer,
                               size_t size_bytes);

/* The texts that the sources had, in their order; NULL where a source is not set. */
extern const char *option_source[OPTION_SOURCES];

/* Reads all sources. Errors are reported, each with one line, and the old value is kept. */
void options_load(void);

/* Applies one string, as if it were a source. Result: true when it had no error. For tests. */
bool options_apply(const char *text);
/* Back to the defaults. For tests and options_load(). */
void options_reset(void);

#endif
