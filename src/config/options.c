/* options.c: grammar, values, sources and messages of the options. See options.h.
 *
 * The messages are interface: programs and people match them. Numbers are read in base 0 (0x..,
 * 0..) with an optional sign; 2^64-1 reads as -1 where the option is signed.
 */
#include "config/options.h"

#include "base/names.h"
#include "base/print.h"
#include "base/text.h"
#include "os/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CLIPPED_TEXT = 64, REFUSE = 0, CLIP = 1, CLIP_ABOVE = 2 };

struct options options;
const char *option_source[OPTION_SOURCES];

/* Defined by the api floor, weak there, so that a program may define them. */
extern const char *API(malloc_conf) __attribute__((weak, visibility("default")));
extern const char *API(malloc_conf_2_conf_harder) __attribute__((weak, visibility("default")));

#define FIELD(name) offsetof(struct options, name), sizeof options.name
#define BOOLEAN(name, initial, meaning) {#name, OPTION_BOOLEAN, FIELD(name), false, 0, 0, 1, ""},
#define INTEGER(name, type, initial, least, most, beyond, unit, meaning) \
    {#name, OPTION_INTEGER, FIELD(name), (type)-1 < (type)1, beyond, least, most, ""},
#define CHOICE(name, initial, values, meaning) \
    {#name, OPTION_CHOICE, FIELD(name), false, 0, 0, 0, values},
#define TEXT(name, initial, meaning) {#name, OPTION_TEXT, FIELD(name), false, 0, 0, 0, ""},
static const struct option_row rows[] = {
#include "config/options_table.h"
};
#undef BOOLEAN
#undef INTEGER
#undef CHOICE
#undef TEXT

#define BOOLEAN(name, initial, meaning) .name = initial,
#define INTEGER(name, type, initial, least, most, beyond, unit, meaning) .name = initial,
#define CHOICE(name, initial, values, meaning) .name = initial,
#define TEXT(name, initial, meaning) .name = initial,
static const struct options initial_options = {
#include "config/options_table.h"
};
#undef BOOLEAN
#undef INTEGER
#undef CHOICE
#undef TEXT

const struct option_row *option_row(unsigned index)
{
    return index < sizeof rows / sizeof rows[0] ? &rows[index] : NULL;
}

const struct option_row *option_find(const char *name, size_t length)
{
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

void options_reset(void)
{
    options = initial_options;
}

/* One pair of a configuration string; the texts are not terminated. */
struct pair {
    const char *key;
    size_t key_length;
    const char *value;
    size_t value_length;
};

static void report(const char *what, const struct pair *pair)
{
    char key[CLIPPED_TEXT + 1];
    char value[CLIPPED_TEXT * 4 + 1];
    size_t key_length = pair->key_length < CLIPPED_TEXT ? pair->key_length : CLIPPED_TEXT;
    size_t most = sizeof value - 1;
    size_t value_length = pair->value_length < most ? pair->value_length : most;
    memcpy(key, pair->key, key_length);
    key[key_length] = '\0';
    memcpy(value, pair->value, value_length);
    value[value_length] = '\0';
    message("%s: %s:%s", what, key, value);
}

static bool text_is(const struct pair *pair, const char *text)
{
    return strlen(text) == pair->value_length &&
           strncmp(pair->value, text, pair->value_length) == 0;
}

static bool set_boolean(void *field, const struct pair *pair)
{
    bool is_true = text_is(pair, "true");
    if (!is_true && !text_is(pair, "false")) {
        report("Invalid conf value", pair);
        return false;
    }
    *(bool *)field = is_true;
    return true;
}

static void store_integer(void *field, size_t size_bytes, uint64_t value)
{
    if (size_bytes == sizeof(uint32_t)) {
        *(uint32_t *)field = (uint32_t)value;
    } else {
        ASSERT(size_bytes == sizeof(uint64_t));
        *(uint64_t *)field = value;
    }
}

/* Reads the whole value as a number. */
static bool parse_integer(const struct pair *pair, uint64_t *result)
{
    char text[CLIPPED_TEXT];
    if (pair->value_length == 0 || pair->value_length >= sizeof text) {
        return false;
    }
    memcpy(text, pair->value, pair->value_length);
    text[pair->value_length] = '\0';
    char *end;
    int saved_errno = errno;
    errno = 0;
    *result = strtoull(text, &end, 0);
    bool overflow = errno != 0;
    errno = saved_errno;
    bool starts_well = (text[0] >= '0' && text[0] <= '9') || text[0] == '-' || text[0] == '+';
    return starts_well && *end == '\0' && !overflow;
}

/* Below is asked in the option's own signedness; 2^64-1 is -1 there. */
static bool is_below(const struct option_row *row, uint64_t value)
{
    if (row->is_signed) {
        return (int64_t)value < row->least && (int64_t)value < 0;
    }
    return value < (uint64_t)row->least;
}

static bool is_above(const struct option_row *row, uint64_t value)
{
    return (!row->is_signed || (int64_t)value >= 0) && value > row->most;
}

static bool set_integer(const struct option_row *row, void *field, const struct pair *pair)
{
    uint64_t value;
    if (!parse_integer(pair, &value)) {
        report("Invalid conf value", pair);
        return false;
    }
    if (is_above(row, value)) {
        if (row->beyond == REFUSE) {
            report("Out-of-range conf value", pair);
            return false;
        }
        value = row->most;
    }
    if (is_below(row, value)) {
        if (row->beyond != CLIP) {
            report("Out-of-range conf value", pair);
            return false;
        }
        value = (uint64_t)row->least;
    }
    store_integer(field, row->size_bytes, value);
    return true;
}

/* Length of the value that starts at text, up to '|' or the end. */
static size_t choice_length(const char *text)
{
    return text_length_until(text, '|');
}

const char *option_choice_name(const struct option_row *row, unsigned index, char *buffer,
                               size_t size_bytes)
{
    const char *text = row->values;
    for (; index > 0; index--) {
        text += choice_length(text) + 1;
    }
    size_t length = choice_length(text);
    length = length < size_bytes - 1 ? length : size_bytes - 1;
    memcpy(buffer, text, length);
    buffer[length] = '\0';
    return buffer;
}

static bool set_choice(const struct option_row *row, void *field, const struct pair *pair)
{
    unsigned index = 0;
    for (const char *text = row->values; *text != '\0'; index++) {
        size_t length = choice_length(text);
        if (length == pair->value_length && strncmp(text, pair->value, length) == 0) {
            *(unsigned *)field = index;
            return true;
        }
        text += length + (text[length] == '|');
    }
    report("Invalid conf value", pair);
    return false;
}

static bool set_text(void *field, const struct pair *pair)
{
    size_t length = pair->value_length;
    if (length >= OPTION_TEXT_BYTES) {
        report("Out-of-range conf value", pair);
        return false;
    }
    memcpy(field, pair->value, length);
    ((char *)field)[length] = '\0';
    return true;
}

static bool is_pair(const struct pair *pair, const char *key, const char *value)
{
    return strlen(key) == pair->key_length && strncmp(key, pair->key, pair->key_length) == 0 &&
           text_is(pair, value);
}

static bool set_pair(const struct pair *pair)
{
    if (is_pair(pair, "narenas", "default")) {
        options.narenas = 0;
        return true;
    }
    const struct option_row *row = option_find(pair->key, pair->key_length);
    if (row == NULL) {
        report("Invalid conf pair", pair);
        return false;
    }
    void *field = (char *)&options + row->offset;
    switch (row->kind) {
    case OPTION_BOOLEAN:
        return set_boolean(field, pair);
    case OPTION_INTEGER:
        return set_integer(row, field, pair);
    case OPTION_CHOICE:
        return set_choice(row, field, pair);
    case OPTION_TEXT:
        return set_text(field, pair);
    }
    return false;
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
    size_t value_length = text_length_until(at + length + 1, ',');
    *pair = (struct pair){at, length, at + length + 1, value_length};
    at = pair->value + value_length;
    if (*at == ',') {
        at++;
        if (*at == '\0') {
            *valid = syntax_error("Conf string ends with comma", *text);
        }
    }
    *text = at;
    return true;
}

bool options_apply(const char *text)
{
    bool valid = true;
    struct pair pair;
    while (next_pair(&text, &pair, &valid)) {
        if (!set_pair(&pair)) {
            bool experimental = strncmp(pair.key, "experimental_", 13) == 0;
            valid = experimental && valid;
        } else if (options.confirm_conf) {
            report("-- Set conf value", &pair);
        }
    }
    return valid;
}

/* confirm_conf must be known before the first pair is applied. */
static bool asks_to_confirm(const char *text)
{
    bool confirm = false;
    bool valid = true;
    struct pair pair;
    while (next_pair(&text, &pair, &valid)) {
        if (is_pair(&pair, "confirm_conf", "true")) {
            confirm = true;
        } else if (is_pair(&pair, "confirm_conf", "false")) {
            confirm = false;
        }
    }
    return confirm;
}

static const char *const source_name[OPTION_SOURCES] = {
    "string specified via --with-malloc-conf",
    "string pointed to by the global variable malloc_conf",
    "\"name\" of the file referenced by the symbolic link named /etc/malloc.conf",
    "value of the environment variable MALLOC_CONF",
    "string pointed to by the global variable malloc_conf_2_conf_harder",
};

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

void options_load(void)
{
    options_reset();
    find_sources();
    for (unsigned i = 0; i < OPTION_SOURCES; i++) {
        if (option_source[i] != NULL && asks_to_confirm(option_source[i])) {
            options.confirm_conf = true;
        }
    }
    for (unsigned i = 0; i < OPTION_SOURCES; i++) {
        const char *text = option_source[i] != NULL ? option_source[i] : "";
        if (options.confirm_conf) {
            message("malloc_conf #%u (%s): \"%s\"", i + 1, source_name[i], text);
        }
        if (!options_apply(text) && options.abort_conf) {
            message("Abort (abort_conf:true) on invalid conf value (see above).");
            abort();
        }
    }
}
