/* options.c: the table of options, pairs, sources and messages. See options.h; the values are in
 * option_value.c.
 *
 * The messages are interface: programs and people match their beginnings.
 */
#include "config/options.h"

#include "base/names.h"
#include "base/print.h"
#include "base/text.h"
#include "config/option_hint.h"
#include "config/option_value.h"
#include "os/os.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLIPPED_TEXT = 64,
    NARENAS_MAX = 4094,
    HUGE_PAGE_BYTES = 2 << 20,
    FRACTION_BITS = 16,
    THRESHOLD_LEAST = 4096
};

/* As the table writes them. */
enum {
    PLAIN = OPTION_PLAIN,
    UNMIRRORED = OPTION_UNMIRRORED,
    IDLE = OPTION_IDLE,
    SHORT_KEY = OPTION_SHORT_KEY,
    SHORT_VALUE = OPTION_SHORT_VALUE,
    MINUS_ONE = OPTION_MINUS_ONE,
    REFUSE = OPTION_REFUSE,
    CLIP = OPTION_CLIP,
    CLIP_ABOVE = OPTION_CLIP_ABOVE,
};

const char *option_source[OPTION_SOURCES];
char option_given_text[OPTION_TEXT_BYTES];

/* Defined by the api floor, weak there, so that a program may define them. */
extern const char *API(malloc_conf) __attribute__((weak, visibility("default")));
extern const char *API(malloc_conf_2_conf_harder) __attribute__((weak, visibility("default")));

/* Names, choices and default texts in one block; its offsets stand in the rows. */
#define BOOLEAN(name, initial, flags, meaning) char name[sizeof #name];
#define INTEGER(name, type, initial, least, most, beyond, flags, unit, meaning) \
    char name[sizeof #name];
#define FRACTION(name, initial, most, flags, meaning) char name[sizeof #name];
#define CHOICE(name, initial, values, flags, meaning) \
    char name[sizeof #name];                          \
    char name##_values[sizeof values];
#define LETTERS(name, flags, meaning) char name[sizeof #name];
#define TEXT(name, initial, flags, meaning) \
    char name[sizeof #name];                \
    char name##_values[sizeof initial];
#define CLASSES(name, type, count, last, most, flags, meaning) char name[sizeof #name];
#define ABSENT(name, meaning)
struct option_texts {
#include "config/options_table.h"
};
#include "config/options_end_table.h"

#define BOOLEAN(name, initial, flags, meaning) #name,
#define INTEGER(name, type, initial, least, most, beyond, flags, unit, meaning) #name,
#define FRACTION(name, initial, most, flags, meaning) #name,
#define CHOICE(name, initial, values, flags, meaning) #name, values,
#define LETTERS(name, flags, meaning) #name,
#define TEXT(name, initial, flags, meaning) #name, initial,
#define CLASSES(name, type, count, last, most, flags, meaning) #name,
#define ABSENT(name, meaning)
static const struct option_texts texts = {
#include "config/options_table.h"
};
#include "config/options_end_table.h"

#define NAMED(name_) .name = offsetof(struct option_texts, name_)
#define FIELD(name_) .offset = offsetof(struct options, name_), .size_bytes = sizeof options.name_
#define BOOLEAN(name_, initial, flags_, meaning) \
    {NAMED(name_), FIELD(name_), .kind = OPTION_BOOLEAN, .most = 1, .flags = (flags_)},
#define INTEGER(name_, type, initial, least_, most_, beyond_, flags_, unit, meaning) \
    {NAMED(name_),        FIELD(name_),     .kind = OPTION_INTEGER,                  \
     .least = (least_),   .most = (most_),  .is_signed = (type)-1 < (type)1,         \
     .beyond = (beyond_), .flags = (flags_)},
#define FRACTION(name_, initial, most_, flags_, meaning) \
    {NAMED(name_), FIELD(name_), .kind = OPTION_FRACTION, .most = (most_), .flags = (flags_)},
#define CHOICE(name_, initial, values_, flags_, meaning) \
    {NAMED(name_), FIELD(name_), .kind = OPTION_CHOICE,  \
     .values = offsetof(struct option_texts, name_##_values), .flags = (flags_)},
#define LETTERS(name_, flags_, meaning) \
    {NAMED(name_), FIELD(name_), .kind = OPTION_LETTERS, .flags = (flags_)},
#define TEXT(name_, initial, flags_, meaning)         \
    {NAMED(name_), FIELD(name_), .kind = OPTION_TEXT, \
     .values = offsetof(struct option_texts, name_##_values), .flags = (flags_)},
#define CLASSES(name_, type, count, last, most_, flags_, meaning) \
    {NAMED(name_),                                                \
     .offset = offsetof(struct options, name_),                   \
     .size_bytes = sizeof(type),                                  \
     .kind = OPTION_CLASSES,                                      \
     .least = (last),                                             \
     .most = (most_),                                             \
     .flags = (flags_)},
#define ABSENT(name, meaning)
static const struct option_row rows[] = {
#include "config/options_table.h"
};
#include "config/options_end_table.h"

/* The defaults: in the options themselves, so that the start of a program copies nothing, and once
 * more for options_reset(). */
#define BOOLEAN(name, initial, flags, meaning) .name = initial,
#define INTEGER(name, type, initial, least, most, beyond, flags, unit, meaning) .name = initial,
#define FRACTION(name, initial, most, flags, meaning) .name = initial,
#define CHOICE(name, initial, values, flags, meaning) .name = initial,
#define LETTERS(name, flags, meaning)
#define TEXT(name, initial, flags, meaning)
#define CLASSES(name, type, count, last, most, flags, meaning)
#define ABSENT(name, meaning)
struct options options = {
#include "config/options_table.h"
};
const struct options option_defaults = {
#include "config/options_table.h"
};
#include "config/options_end_table.h"

#define BOOLEAN(name, initial, flags, meaning)
#define INTEGER(name, type, initial, least, most, beyond, flags, unit, meaning)
#define FRACTION(name, initial, most, flags, meaning)
#define CHOICE(name, initial, values, flags, meaning)
#define LETTERS(name, flags, meaning)
#define TEXT(name, initial, flags, meaning)
#define CLASSES(name, type, count, last, most, flags, meaning)
#define ABSENT(name, meaning) #name "\0"
static const char absent_names[] =
#include "config/options_table.h"
    ;
#include "config/options_end_table.h"

static const char *text_at(size_t offset)
{
    return (const char *)&texts + offset;
}

const struct option_row *option_row(unsigned index)
{
    return index < sizeof rows / sizeof rows[0] ? &rows[index] : NULL;
}

const char *option_name(const struct option_row *row)
{
    return text_at(row->name);
}

const struct option_row *option_find(const char *name, size_t length)
{
    struct span span = {name, length};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (span_is(span, option_name(&rows[i]))) {
            return &rows[i];
        }
    }
    return NULL;
}

/* The values stand one behind the other; an empty one ends them. */
const char *option_choice(const struct option_row *row, unsigned index)
{
    ASSERT(row->kind == OPTION_CHOICE);
    const char *text = text_at(row->values);
    for (; index > 0 && *text != '\0'; index--) {
        text += strlen(text) + 1;
    }
    return *text != '\0' ? text : NULL;
}

const char *option_text(const struct option_row *row)
{
    ASSERT(row->kind == OPTION_TEXT);
    bool given = *((const bool *)&options + row->offset);
    return given ? option_given_text : text_at(row->values);
}

void options_reset(void)
{
    options = option_defaults;
}

/* One pair of a configuration string. */
struct pair {
    struct span key;
    struct span value;
};

static void clip(struct span span, size_t most, char *text)
{
    size_t length = span.length < most ? span.length : most;
    memcpy(text, span.at, length);
    text[length] = '\0';
}

static void report(const char *what, const struct pair *pair, const char *hint)
{
    char key[CLIPPED_TEXT + 1];
    char value[CLIPPED_TEXT * 4 + 1];
    clip(pair->key, sizeof key - 1, key);
    clip(pair->value, sizeof value - 1, value);
    message("%s: %s:%s%s", what, key, value, hint);
}

static bool is_absent(struct span key)
{
    for (const char *name = absent_names; *name != '\0'; name += strlen(name) + 1) {
        if (span_is(key, name)) {
            return true;
        }
    }
    return false;
}

/* The row of a key: some may be cut short. */
static const struct option_row *row_of_key(struct span key)
{
    const struct option_row *row = option_find(key.at, key.length);
    for (unsigned i = 0; row == NULL && key.length > 0 && i < sizeof rows / sizeof rows[0]; i++) {
        bool may_be_short = (rows[i].flags & OPTION_SHORT_KEY) != 0;
        if (may_be_short && span_begins(key, option_name(&rows[i]))) {
            row = &rows[i];
        }
    }
    return row;
}

static void report_value(const struct option_row *row, const struct pair *pair,
                         enum option_verdict verdict)
{
    char hint[OPTION_HINT_BYTES];
    char what[CLIPPED_TEXT];
    if (verdict == OPTION_BAD_SETTINGS) {
        (void)print_to_buffer(what, sizeof what, "Invalid settings for %s", option_name(row));
        report(what, pair, "");
        return;
    }
    option_hint_value(row, pair->value, hint);
    report(verdict == OPTION_INVALID ? "Invalid conf value" : "Out-of-range conf value", pair,
           hint);
}

/* A part of a huge page in bytes, but a page at least, as the keys that take bytes have it. */
static size_t part_of_huge_page(uint32_t ratio)
{
    size_t bytes = (size_t)((uint64_t)HUGE_PAGE_BYTES * ratio >> FRACTION_BITS);
    return bytes > THRESHOLD_LEAST ? bytes : THRESHOLD_LEAST;
}

/* Keys that set another one too. */
static void set_others(const struct option_row *row)
{
    if (row->offset == offsetof(struct options, lg_tcache_max)) {
        options.tcache_max = (size_t)1 << options.lg_tcache_max;
    } else if (row->offset == offsetof(struct options, hpa_hugification_threshold_ratio)) {
        options.hpa_hugification_threshold =
            part_of_huge_page(options.hpa_hugification_threshold_ratio);
    } else if (row->offset == offsetof(struct options, hpa_purge_threshold_ratio)) {
        options.hpa_purge_threshold = part_of_huge_page(options.hpa_purge_threshold_ratio);
    }
}

static void confirm(const struct option_row *row, const struct pair *pair)
{
    report("-- Set conf value", pair, "");
    if ((row->flags & OPTION_IDLE) != 0) {
        message("%s has no effect in this allocator", option_name(row));
    }
}

static bool set_pair(const struct pair *pair)
{
    const struct option_row *row = row_of_key(pair->key);
    if (row == NULL) {
        char hint[OPTION_HINT_BYTES] = "";
        if (!is_absent(pair->key)) {
            option_hint_key(pair->key, hint);
        }
        report("Invalid conf pair", pair, hint);
        return false;
    }
    enum option_verdict verdict = OPTION_ACCEPTED;
    if (row->offset == offsetof(struct options, narenas) && span_is(pair->value, "default")) {
        options.narenas = 0;
    } else {
        verdict = option_set(row, &options, pair->value);
    }
    if (verdict != OPTION_ACCEPTED) {
        report_value(row, pair, verdict);
        return false;
    }
    set_others(row);
    if (options.confirm_conf) {
        confirm(row, pair);
    }
    return true;
}

static bool is_key_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool syntax_error(const char *what, const char *rest)
{
    char clipped[CLIPPED_TEXT + 1];
    print_to_buffer(clipped, sizeof clipped, "%s", rest);
    message("%s -- %s", what, clipped);
    return false;
}

/* Cuts the next pair off *text. False at the end and after a syntax error, which clears *valid. */
static bool next_pair(const char **text, struct pair *pair, bool *valid)
{
    const char *at = *text;
    if (*at == '\0') {
        return false;
    }
    size_t length = 0;
    while (is_key_character(at[length])) {
        length++;
    }
    if (at[length] != ':') {
        *valid = syntax_error(
            at[length] == '\0' ? "Conf string ends with key" : "Malformed conf string", *text);
        return false;
    }
    const char *value = at + length + 1;
    *pair = (struct pair){{at, length}, {value, text_length_until(value, ',')}};
    at = value + pair->value.length;
    if (*at == ',') {
        at++;
        if (*at == '\0') {
            *valid = syntax_error("Conf string ends with comma", *text);
        }
    }
    *text = at;
    return true;
}

/* An error that abort_conf does not count: what may come and go in jemalloc. */
static bool is_excused(struct span key)
{
    static const char prefix[] = "experimental_";
    struct span begin = {key.at, sizeof prefix - 1};
    return (key.length >= begin.length && span_is(begin, prefix)) ||
           span_is(key, "hpa_sec_bytes_after_flush");
}

bool options_apply(const char *text)
{
    bool valid = true;
    struct pair pair;
    while (next_pair(&text, &pair, &valid)) {
        if (!set_pair(&pair)) {
            valid = is_excused(pair.key) && valid;
        }
    }
    return valid;
}

/* confirm_conf must be known before the first pair is applied: each text is read for it first, and
 * its errors of syntax are told twice, as jemalloc does. */
static void look_for_confirmation(const char *text)
{
    bool valid = true;
    struct pair pair;
    while (next_pair(&text, &pair, &valid)) {
        if (span_is(pair.key, "confirm_conf") &&
            (span_is(pair.value, "true") || span_is(pair.value, "false"))) {
            options.confirm_conf = span_is(pair.value, "true");
        }
    }
}

static const char source_names[] =
    "string specified via --with-malloc-conf\0"
    "string pointed to by the global variable malloc_conf\0"
    "\"name\" of the file referenced by the symbolic link named /etc/malloc.conf\0"
    "value of the environment variable MALLOC_CONF\0"
    "string pointed to by the global variable malloc_conf_2_conf_harder";

static void confirm_source(unsigned index, const char *text)
{
    const char *name = source_names;
    for (unsigned i = 0; i < index; i++) {
        name += strlen(name) + 1;
    }
    message("malloc_conf #%u (%s): \"%s\"", index + 1, name, text);
}

static void find_sources(void)
{
    static char link_text[4096];
    option_source[1] = &API(malloc_conf) != NULL ? API(malloc_conf) : NULL;
    if (os_link_text("/etc/malloc.conf", link_text, sizeof link_text)) {
        option_source[2] = link_text;
    }
    option_source[3] = os_environment("MALLOC_CONF");
    option_source[4] =
        &API(malloc_conf_2_conf_harder) != NULL ? API(malloc_conf_2_conf_harder) : NULL;
}

void options_settle(void)
{
    if (options.narenas > NARENAS_MAX) {
        message("Reducing narenas to limit (%d)", NARENAS_MAX);
        options.narenas = NARENAS_MAX;
    }
    if (options.prof_leak_error) {
        options.prof_leak = true;
        if (!options.prof_final) {
            message("prof_leak_error is set w/o prof_final.");
        }
    }
    options.prof = options.prof || options.prof_leak;
    if (options.hpa_hugify_style == HUGIFY_AUTO) {
        options.hpa_hugify_style = HUGIFY_LAZY;
    }
}

static void apply_source(unsigned index)
{
    const char *text = option_source[index] != NULL ? option_source[index] : "";
    if (options.confirm_conf) {
        confirm_source(index, text);
    }
    if (!options_apply(text) && options.abort_conf) {
        message("Abort (abort_conf:true) on invalid conf value (see above).");
        abort();
    }
}

bool options_load(void)
{
    bool any = false;
    find_sources();
    for (unsigned i = 0; i < OPTION_SOURCES; i++) {
        if (option_source[i] != NULL) {
            look_for_confirmation(option_source[i]);
            any = true;
        }
    }
    for (unsigned i = 0; i < OPTION_SOURCES; i++) {
        apply_source(i);
    }
    options_settle();
    return any;
}
