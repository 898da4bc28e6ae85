/* fuzz_options.c: goal: no text in any source of the configuration makes the parser read or write
 * past an end, or leaves an option with a value that it cannot have.
 * Method: inputs become texts of keys and values of the table, whole and damaged, and of plain
 * bytes. Each is applied alone, then three as the sources of one start. Afterwards every option is
 * in its range, an error was told, and what the options are can be written and read again.
 */
#include "config/options.h"

#include "base/names.h"
#include "base/print.h"

#include <stdbool.h>

#include "fuzz_input.h"

extern const char *API(malloc_conf);
extern const char *API(malloc_conf_2_conf_harder);

enum { SOURCES = 3 };

static unsigned message_count;

static void count_message(void *opaque, const char *text)
{
    (void)opaque;
    message_count += strchr(text, '\n') != NULL;
}

static unsigned option_count(void)
{
    unsigned count = 0;
    while (option_row(count) != NULL) {
        count++;
    }
    return count;
}

static unsigned choice_count(const struct option_row *row)
{
    unsigned count = 0;
    while (option_choice(row, count) != NULL) {
        count++;
    }
    return count;
}

static void add_key(struct fuzz_text *text, struct fuzz_input *input, const struct option_row *row)
{
    unsigned kind = input_byte(input);
    if (kind < 16) {
        text_add_input(text, input);
    } else if (kind < 32) {
        text_add(text, option_name(row), input_below(input, 32) % (strlen(option_name(row)) + 1));
    } else {
        text_add_string(text, option_name(row));
    }
}

static void add_value(struct fuzz_text *text, struct fuzz_input *input,
                      const struct option_row *row)
{
    unsigned kind = input_byte(input);
    if (kind < 32) {
        text_add_input(text, input);
    } else if (kind < 64) {
        text_add_number(text, kind < 40 ? "%x" : "%d", input_number(input));
    } else if (row->kind == OPTION_BOOLEAN) {
        text_add_string(text, kind % 2 == 0 ? "false" : "true");
    } else if (row->kind == OPTION_CHOICE) {
        text_add_string(text, option_choice(row, kind % choice_count(row)));
    } else if (row->kind == OPTION_FRACTION) {
        text_add_number(text, "%d", input_byte(input));
        text_add_string(text, ".");
        text_add_number(text, "%d", input_number(input));
    } else if (row->kind == OPTION_CLASSES) {
        for (unsigned settings = kind % 4; settings > 0; settings--) {
            text_add_number(text, "%d", input_below(input, 40000));
            text_add_string(text, "-");
            text_add_number(text, "%d", input_below(input, 40000));
            text_add_string(text, ":");
            text_add_number(text, "%d", input_below(input, 80));
            text_add_string(text, settings > 1 ? "|" : "");
        }
    } else {
        text_add_number(text, "%d", input_number(input));
    }
}

static void add_pairs(struct fuzz_text *text, struct fuzz_input *input)
{
    *text = (struct fuzz_text){.length = 0};
    for (unsigned pairs = input_below(input, 16); pairs > 0 && input->left > 0; pairs--) {
        const struct option_row *row = option_row(input_below(input, option_count()));
        add_key(text, input, row);
        text_add_string(text, input_byte(input) < 8 ? "" : ":");
        add_value(text, input, row);
        text_add_string(text, pairs > 1 || input_byte(input) < 8 ? "," : "");
    }
    text_add_input(text, input);
}

static void check_integer(const struct option_row *row, const void *field)
{
    uint64_t value =
        row->size_bytes == sizeof(uint32_t) ? *(const uint32_t *)field : *(const uint64_t *)field;
    /* narenas:default is 0, below what can be asked for. */
    if (value != 0 && (!row->is_signed || (int64_t)value >= 0)) {
        HOLDS(value <= row->most);
        HOLDS(row->is_signed || value >= (uint64_t)row->least);
    } else {
        int64_t least = (row->flags & OPTION_MINUS_ONE) != 0 ? -1 : row->least;
        HOLDS(!row->is_signed || (int64_t)value >= least);
    }
}

static void check_values(void)
{
    for (unsigned i = 0; option_row(i) != NULL; i++) {
        const struct option_row *row = option_row(i);
        const void *field = (const char *)&options + row->offset;
        if (row->kind == OPTION_BOOLEAN) {
            HOLDS(*(const uint8_t *)field <= 1);
        } else if (row->kind == OPTION_CHOICE) {
            HOLDS(*(const unsigned *)field < choice_count(row));
        } else if (row->kind == OPTION_LETTERS) {
            HOLDS(memchr(field, '\0', row->size_bytes) != NULL);
        } else if (row->kind == OPTION_TEXT) {
            HOLDS(strlen(option_text(row)) < OPTION_TEXT_BYTES);
        } else if (row->kind == OPTION_FRACTION) {
            HOLDS(*(const uint32_t *)field <= row->most);
        } else if (row->kind == OPTION_CLASSES) {
            HOLDS(row->size_bytes == sizeof(uint8_t) || *(const uint16_t *)field <= row->most + 1);
        } else {
            check_integer(row, field);
        }
    }
}

/* The options are those given; behind the end of a text there may be anything. */
static void check_same(const struct options *wanted)
{
    for (unsigned i = 0; option_row(i) != NULL; i++) {
        const struct option_row *row = option_row(i);
        const char *is = (const char *)&options + row->offset;
        const char *should_be = (const char *)wanted + row->offset;
        HOLDS(memcmp(is, should_be, row->size_bytes) == 0);
    }
}

static void add_current_value(struct fuzz_text *text, const struct option_row *row)
{
    const void *field = (const char *)&options + row->offset;
    if (row->kind == OPTION_BOOLEAN) {
        text_add_string(text, *(const bool *)field ? "true" : "false");
    } else if (row->kind == OPTION_CHOICE) {
        text_add_string(text, option_choice(row, *(const unsigned *)field));
    } else if (row->kind == OPTION_LETTERS) {
        text_add_string(text, field);
    } else {
        text_add_number(text, "%d",
                        row->size_bytes == sizeof(uint32_t) ? *(const uint32_t *)field
                                                            : *(const uint64_t *)field);
    }
}

/* Fractions, and what has a number for each class, are not written as they are kept. Neither are
 * texts, which would not all fit, and keys that set others. */
static bool is_written(const struct option_row *row)
{
    return row->kind != OPTION_FRACTION && row->kind != OPTION_CLASSES &&
           row->kind != OPTION_TEXT && row->offset != offsetof(struct options, lg_tcache_max);
}

/* Writes options, reads them again, and finds them as they were. */
static void check_round_trip(void)
{
    struct options before = options;
    struct fuzz_text text = {.length = 0};
    for (unsigned i = 0; option_row(i) != NULL; i++) {
        const struct option_row *row = option_row(i);
        bool is_default = strcmp(option_name(row), "narenas") == 0 && options.narenas == 0;
        if (!is_written(row)) {
            continue;
        }
        text_add_string(&text, i > 0 ? "," : "");
        text_add_string(&text, option_name(row));
        text_add_string(&text, is_default ? ":default" : ":");
        if (!is_default) {
            add_current_value(&text, row);
        }
    }
    options_reset();
    for (unsigned i = 0; option_row(i) != NULL; i++) {
        const struct option_row *row = option_row(i);
        if (!is_written(row)) {
            size_t end = option_row(i + 1) != NULL ? option_row(i + 1)->offset : sizeof options;
            memcpy((char *)&options + row->offset, (char *)&before + row->offset,
                   end - row->offset);
        }
    }
    HOLDS(options_apply(text.bytes));
    check_same(&before);
}

/* The environment's text, changed in place: setenv() would keep every value that it ever had. */
static char environment[sizeof "MALLOC_CONF=" + sizeof(struct fuzz_text)] = "MALLOC_CONF=";

/* All sources in one start. What ends the process, an error after abort_conf:true, is left out. */
static void load(const struct fuzz_text text[SOURCES])
{
    options_reset();
    for (unsigned i = 0; i < SOURCES; i++) {
        if (!options_apply(text[i].bytes) && options.abort_conf) {
            return;
        }
    }
    options_settle();
    struct options applied = options;
    options_reset();
    API(malloc_conf) = text[0].bytes;
    memcpy(environment + strlen("MALLOC_CONF="), text[1].bytes, text[1].length + 1);
    putenv(environment);
    API(malloc_conf_2_conf_harder) = text[2].bytes;
    options_load();
    options.confirm_conf = applied.confirm_conf; /* is in force when any source asks for it */
    check_same(&applied);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    static struct fuzz_text text[SOURCES];
    message_sink = count_message;
    for (unsigned i = 0; i < SOURCES; i++) {
        add_pairs(&text[i], &input);
        options_reset();
        message_count = 0;
        bool valid = options_apply(text[i].bytes);
        HOLDS(valid || message_count > 0);
        check_values();
        check_round_trip();
    }
    load(text);
    return 0;
}
