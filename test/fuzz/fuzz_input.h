/* fuzz_input.h: an input of the fuzzer, read from its start as bytes, numbers and pieces of text.
 *
 * Behind the end everything reads as zero, so a shorter input is a valid input; a target stops when
 * nothing is left. Invariant: left bytes from *bytes on are the input's.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fuzz_input {
    const uint8_t *bytes;
    size_t left;
};

/* What libFuzzer calls with each input; the result is always 0. */
extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process with one line when something does not hold; libFuzzer keeps the input. */
#define HOLDS(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: FAILED: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

static inline uint8_t input_byte(struct fuzz_input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->bytes++;
}

/* A number in [0, bound); 0 < bound <= 256. */
static inline unsigned input_below(struct fuzz_input *input, unsigned bound)
{
    return input_byte(input) % bound;
}

/* Small numbers, and those beside a limit, are what finds faults; others are eight bytes. */
static inline uint64_t input_number(struct fuzz_input *input)
{
    static const uint64_t edges[] = {4095,       4096,      4097,      INT32_MAX,
                                     UINT32_MAX, INT64_MAX, UINT64_MAX};
    unsigned kind = input_byte(input);
    if (kind < 128) {
        return kind % 64;
    }
    if (kind < 192) {
        uint64_t edge = edges[input_below(input, sizeof edges / sizeof edges[0])];
        return edge - 1 + input_below(input, 3);
    }
    uint64_t number = 0;
    for (unsigned i = 0; i < sizeof number; i++) {
        number = number << 8 | input_byte(input);
    }
    return number;
}

/* Text that grows, always terminated; what does not fit is left out. */
struct fuzz_text {
    char bytes[8192];
    size_t length;
};

static inline void text_add(struct fuzz_text *text, const char *more, size_t length)
{
    size_t room = sizeof text->bytes - 1 - text->length;
    size_t added = length < room ? length : room;
    memcpy(text->bytes + text->length, more, added);
    text->length += added;
    text->bytes[text->length] = '\0';
}

static inline void text_add_string(struct fuzz_text *text, const char *more)
{
    text_add(text, more, strlen(more));
}

/* Up to 255 bytes of the input as they are, but for the terminator. */
static inline void text_add_input(struct fuzz_text *text, struct fuzz_input *input)
{
    for (unsigned count = input_byte(input); count > 0 && input->left > 0; count--) {
        char byte = (char)input_byte(input);
        text_add(text, &byte, byte != '\0');
    }
}

static inline void text_add_number(struct fuzz_text *text, const char *format, uint64_t number)
{
    char digits[32];
    snprintf(digits, sizeof digits, strcmp(format, "%x") == 0 ? "0x%llx" : "%lld",
             (unsigned long long)number);
    text_add_string(text, digits);
}

#endif
