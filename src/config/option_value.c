/* option_value.c: the kinds of values. See option_value.h.
 *
 * Numbers are read by a loop of our own: libc's strtoull() would cost the start of every program
 * the search of its name, and wants a terminated text.
 */
#include "config/option_value.h"

#include "base/bits.h"
#include "base/text.h"

#include <string.h>

enum { FRACTION_BITS = 16, FRACTION_DIGITS = 14, CLASS_QUANTUM = 16, CLASS_STEPS_FROM = 128 };

/* Where option_text() finds the text that was given. */
extern char option_given_text[OPTION_TEXT_BYTES];

bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.length && text_is_same_for(span.at, text, span.length);
}

bool span_begins(struct span span, const char *text)
{
    return text_is_same_for(span.at, text, span.length);
}

static unsigned digit_of(char c)
{
    return c >= '0' && c <= '9'   ? (unsigned)(c - '0')
           : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
           : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                  : 16;
}

/* Digits up to the end of the span, at least one. */
static bool read_digits(struct span span, unsigned base, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < span.length; i++) {
        unsigned digit = digit_of(span.at[i]);
        if (digit >= base || __builtin_mul_overflow(*number, base, number) ||
            __builtin_add_overflow(*number, digit, number)) {
            return false;
        }
    }
    return span.length > 0;
}

static struct span span_from(struct span span, size_t from)
{
    return (struct span){span.at + from, span.length - from};
}

bool span_number(struct span span, uint64_t *number)
{
    bool negative = span.length > 0 && span.at[0] == '-';
    struct span digits = span;
    if (negative || (span.length > 0 && span.at[0] == '+')) {
        digits = span_from(digits, 1);
    }
    unsigned base = 10;
    if (digits.length > 1 && digits.at[0] == '0') {
        bool hexadecimal = digits.at[1] == 'x' || digits.at[1] == 'X';
        base = hexadecimal ? 16 : 8;
        digits = span_from(digits, hexadecimal ? 2 : 1);
    }
    uint64_t magnitude;
    if (!read_digits(digits, base, &magnitude)) {
        return false;
    }
    *number = negative ? 0 - magnitude : magnitude;
    return true;
}

static void store(void *field, size_t size_bytes, uint64_t value)
{
    if (size_bytes == sizeof(uint32_t)) {
        *(uint32_t *)field = (uint32_t)value;
    } else {
        ASSERT(size_bytes == sizeof(uint64_t));
        *(uint64_t *)field = value;
    }
}

static enum option_verdict set_boolean(void *field, struct span value)
{
    bool is_true = span_is(value, "true");
    if (!is_true && !span_is(value, "false")) {
        return OPTION_INVALID;
    }
    *(bool *)field = is_true;
    return OPTION_ACCEPTED;
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

static enum option_verdict set_integer(const struct option_row *row, void *field, struct span text)
{
    uint64_t value;
    if (!span_number(text, &value)) {
        return OPTION_INVALID;
    }
    if (is_above(row, value)) {
        if (row->beyond == OPTION_REFUSE) {
            return OPTION_OUT_OF_RANGE;
        }
        value = row->most;
    }
    if (is_below(row, value)) {
        if (row->beyond != OPTION_CLIP) {
            return OPTION_OUT_OF_RANGE;
        }
        value = (uint64_t)row->least;
    }
    store(field, row->size_bytes, value);
    return OPTION_ACCEPTED;
}

/* The digits behind the point, in 1/65536, cut; further digits change nothing. */
static bool read_fraction(struct span digits, uint32_t *result)
{
    uint64_t numerator = 0;
    uint64_t denominator = 1;
    for (size_t i = 0; i < digits.length; i++) {
        unsigned digit = digit_of(digits.at[i]);
        if (digit >= 10) {
            return false;
        }
        if (i < FRACTION_DIGITS) {
            numerator = numerator * 10 + digit;
            denominator *= 10;
        }
    }
    *result = (uint32_t)((numerator << FRACTION_BITS) / denominator);
    return digits.length > 0;
}

static enum option_verdict set_fraction(const struct option_row *row, void *field,
                                        struct span value)
{
    if ((row->flags & OPTION_MINUS_ONE) != 0 && span_is(value, "-1")) {
        *(uint32_t *)field = UINT32_MAX;
        return OPTION_ACCEPTED;
    }
    size_t point = 0;
    while (point < value.length && value.at[point] != '.') {
        point++;
    }
    uint64_t whole = 0;
    uint32_t fraction = 0;
    if ((point > 0 && !read_digits((struct span){value.at, point}, 10, &whole)) ||
        (point < value.length && !read_fraction(span_from(value, point + 1), &fraction)) ||
        value.length == 0 || whole >> FRACTION_BITS != 0) {
        return OPTION_INVALID;
    }
    uint64_t result = (whole << FRACTION_BITS) + fraction;
    if (result > row->most) {
        return OPTION_INVALID;
    }
    *(uint32_t *)field = (uint32_t)result;
    return OPTION_ACCEPTED;
}

static enum option_verdict set_choice(const struct option_row *row, void *field, struct span value)
{
    bool may_be_short = (row->flags & OPTION_SHORT_VALUE) != 0;
    const char *text;
    for (unsigned i = 0; (text = option_choice(row, i)) != NULL; i++) {
        if (may_be_short ? span_begins(value, text) : span_is(value, text)) {
            *(unsigned *)field = i;
            return OPTION_ACCEPTED;
        }
    }
    return OPTION_INVALID;
}

/* Keeps the letters that malloc_stats_print() knows, each once. */
static enum option_verdict set_letters(char *field, struct span value)
{
    static const char known[] = "Jgmdablxeh";
    static_assert(sizeof known <= OPTION_LETTERS_BYTES, "all letters fit");
    char letters[OPTION_LETTERS_BYTES] = "";
    size_t count = 0;
    for (size_t i = 0; i < value.length; i++) {
        char letter = value.at[i];
        bool is_known = known[text_length_until(known, letter)] != '\0';
        if (is_known && letters[text_length_until(letters, letter)] == '\0') {
            letters[count++] = letter;
        }
    }
    memcpy(field, letters, sizeof letters);
    return OPTION_ACCEPTED;
}

static enum option_verdict set_text(void *field, struct span value)
{
    size_t length = value.length < OPTION_TEXT_BYTES ? value.length : OPTION_TEXT_BYTES - 1;
    memcpy(option_given_text, value.at, length);
    option_given_text[length] = '\0';
    *(bool *)field = true;
    return OPTION_ACCEPTED;
}

/* first-last:number, and what is left of the span. */
struct setting {
    uint64_t first;
    uint64_t last;
    uint64_t number;
};

static bool read_until(struct span *rest, char stop, uint64_t *number)
{
    size_t length = 0;
    while (length < rest->length && rest->at[length] != stop) {
        length++;
    }
    struct span text = {rest->at, length};
    bool stopped = length < rest->length;
    *rest = span_from(*rest, length + stopped);
    return (stopped || stop == '|') && span_number(text, number);
}

static bool next_setting(struct span *rest, struct setting *setting)
{
    return read_until(rest, '-', &setting->first) && read_until(rest, ':', &setting->last) &&
           read_until(rest, '|', &setting->number);
}

/* The size of the class after the one of this size. */
static size_t next_class_size(size_t size)
{
    if (size < CLASS_QUANTUM) {
        return CLASS_QUANTUM;
    }
    return size + (size < CLASS_STEPS_FROM ? CLASS_QUANTUM : (size_t)1 << (bits_highest(size) - 2));
}

/* Into the field of each class whose size the setting spans; more exactly, from the class that
 * serves `first` to the one that serves `last`. */
static void store_setting(const struct option_row *row, void *field, struct setting setting)
{
    size_t below = 0;
    size_t size = 8;
    uint64_t stored = setting.number + 1;
    for (unsigned i = 0; size <= (size_t)row->least; i++) {
        if (size >= setting.first && below < setting.last) {
            if (row->size_bytes == sizeof(uint8_t)) {
                ((uint8_t *)field)[i] = (uint8_t)stored;
            } else {
                ((uint16_t *)field)[i] = (uint16_t)stored;
            }
        }
        below = size;
        size = next_class_size(size);
    }
}

/* Shards are at least 1. Slabs have as many pages as their class allows, whatever is asked for. */
static bool setting_is_valid(const struct option_row *row, struct setting *setting)
{
    if (row->offset == offsetof(struct options, slab_sizes)) {
        uint64_t most = row->most - 1;
        setting->number = setting->number < most ? setting->number : most;
        return true;
    }
    bool is_shards = row->offset == offsetof(struct options, bin_shards);
    return setting->number <= row->most && (setting->number > 0 || !is_shards);
}

/* The whole value is read before anything is set. */
static enum option_verdict set_classes(const struct option_row *row, void *field, struct span value)
{
    if (row->offset == offsetof(struct options, slab_sizes) && span_is(value, "default")) {
        memset(field, 0, sizeof((struct options *)NULL)->slab_sizes);
        return OPTION_ACCEPTED;
    }
    struct span rest = value;
    struct setting setting;
    do {
        if (!next_setting(&rest, &setting) || !setting_is_valid(row, &setting)) {
            return OPTION_BAD_SETTINGS;
        }
    } while (rest.length > 0);
    for (rest = value; rest.length > 0;) {
        if (next_setting(&rest, &setting) && setting_is_valid(row, &setting)) {
            store_setting(row, field, setting);
        }
    }
    return OPTION_ACCEPTED;
}

enum option_verdict option_set(const struct option_row *row, struct options *target,
                               struct span value)
{
    void *field = (char *)target + row->offset;
    switch ((enum option_kind)row->kind) {
    case OPTION_BOOLEAN:
        return set_boolean(field, value);
    case OPTION_INTEGER:
        return set_integer(row, field, value);
    case OPTION_FRACTION:
        return set_fraction(row, field, value);
    case OPTION_CHOICE:
        return set_choice(row, field, value);
    case OPTION_LETTERS:
        return set_letters(field, value);
    case OPTION_TEXT:
        return set_text(field, value);
    case OPTION_CLASSES:
        return set_classes(row, field, value);
    }
    return OPTION_INVALID;
}
