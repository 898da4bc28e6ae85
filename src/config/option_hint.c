/* option_hint.c: the nearest text by edit distance. See option_hint.h.
 *
 * Distance counts characters that are put in, left out, changed, or swapped with their neighbour
 * ("optimal string alignment"). A guess that needs more than a quarter of what was typed changed
 * is no help, and none is made.
 */
#include "config/option_hint.h"

#include "base/print.h"

#include <string.h>

enum { COMPARED_BYTES = 48, DISTANCE_NONE = COMPARED_BYTES + 1 };

static unsigned least_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
    bool letters = (a | 0x20) >= 'a' && (a | 0x20) <= 'z';
    return a == b || (letters && (a | 0x20) == (b | 0x20));
}

/* Three rows of the usual matrix: row[i % 3][j] is the distance of the first i characters of the
 * span to the first j of the text. Case does not count. */
static unsigned distance(struct span span, const char *text)
{
    unsigned row[3][COMPARED_BYTES + 1];
    size_t length = strlen(text);
    if (span.length > COMPARED_BYTES || length > COMPARED_BYTES) {
        return DISTANCE_NONE;
    }
    for (unsigned j = 0; j <= length; j++) {
        row[0][j] = j;
    }
    for (unsigned i = 1; i <= span.length; i++) {
        unsigned *now = row[i % 3];
        const unsigned *above = row[(i + 2) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= length; j++) {
            unsigned changed = above[j - 1] + !same_letter(span.at[i - 1], text[j - 1]);
            now[j] = least_of(changed, 1 + least_of(above[j], now[j - 1]));
            if (i > 1 && j > 1 && same_letter(span.at[i - 1], text[j - 2]) &&
                same_letter(span.at[i - 2], text[j - 1])) {
                now[j] = least_of(now[j], row[(i + 1) % 3][j - 2] + 1);
            }
        }
    }
    return row[span.length % 3][length];
}

struct guess {
    const char *text;
    unsigned distance;
};

static void consider(struct guess *guess, struct span typed, const char *text)
{
    unsigned found = distance(typed, text);
    if (found < guess->distance && found <= 1 + typed.length / 4 && found < strlen(text)) {
        *guess = (struct guess){text, found};
    }
}

static void tell(const char *text, char hint[OPTION_HINT_BYTES])
{
    hint[0] = '\0';
    if (text != NULL) {
        (void)print_to_buffer(hint, OPTION_HINT_BYTES, " (did you mean %s?)", text);
    }
}

void option_hint_key(struct span key, char hint[OPTION_HINT_BYTES])
{
    struct guess guess = {NULL, DISTANCE_NONE};
    const struct option_row *row;
    for (unsigned i = 0; (row = option_row(i)) != NULL; i++) {
        consider(&guess, key, option_name(row));
    }
    tell(guess.text, hint);
}

/* 64k and 1M are no numbers here, as in jemalloc. */
static bool number_with_unit(struct span value, uint64_t *number)
{
    static const char units[] = "kmg";
    if (value.length < 2) {
        return false;
    }
    char last = value.at[value.length - 1];
    for (unsigned i = 0; units[i] != '\0'; i++) {
        if (same_letter(units[i], last)) {
            struct span digits = {value.at, value.length - 1};
            return span_number(digits, number) &&
                   !__builtin_mul_overflow(*number, (uint64_t)1 << (10 * (i + 1)), number);
        }
    }
    return false;
}

/* The end of the range that a number lies beyond, or the number that a unit stands for. */
static void hint_number(const struct option_row *row, struct span value,
                        char hint[OPTION_HINT_BYTES])
{
    uint64_t number;
    bool has_unit = number_with_unit(value, &number);
    if (!has_unit && !span_number(value, &number)) {
        return;
    }
    bool negative = row->is_signed && (int64_t)number < 0;
    if (!negative && number > row->most) {
        number = row->most;
    } else if (negative || number < (uint64_t)row->least) {
        number = (uint64_t)row->least;
    }
    if (row->is_signed) {
        (void)print_to_buffer(hint, OPTION_HINT_BYTES, " (did you mean %lld?)", (long long)number);
    } else {
        (void)print_to_buffer(hint, OPTION_HINT_BYTES, " (did you mean %llu?)",
                              (unsigned long long)number);
    }
}

void option_hint_value(const struct option_row *row, struct span value,
                       char hint[OPTION_HINT_BYTES])
{
    struct guess guess = {NULL, DISTANCE_NONE};
    hint[0] = '\0';
    if (row->kind == OPTION_BOOLEAN) {
        consider(&guess, value, "true");
        consider(&guess, value, "false");
    } else if (row->kind == OPTION_CHOICE) {
        const char *text;
        for (unsigned i = 0; (text = option_choice(row, i)) != NULL; i++) {
            consider(&guess, value, text);
        }
    } else if (row->kind == OPTION_INTEGER) {
        hint_number(row, value, hint);
        return;
    }
    tell(guess.text, hint);
}
