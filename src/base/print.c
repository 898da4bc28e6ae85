/* print.c: the formatter and the message sink. See print.h.
 *
 * printf cannot serve: it may allocate, and it takes stdio's locks, which the program may hold when
 * it calls malloc.
 */
#include "base/print.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIGITS_MAX = 24 };

struct number_format {
    unsigned width;
    char pad;
    bool left;
};

void print_to_stderr(void *opaque, const char *text)
{
    (void)opaque;
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t written = write(STDERR_FILENO, text, left);
        if (written <= 0) {
            return;
        }
        text += written;
        left -= (size_t)written;
    }
}

print_sink message_sink = print_to_stderr;
void *message_opaque;

void printer_init(struct printer *printer, print_sink sink, void *opaque)
{
    printer->sink = sink;
    printer->opaque = opaque;
    printer->used = 0;
}

void print_flush(struct printer *printer)
{
    if (printer->used > 0) {
        printer->buffer[printer->used] = '\0';
        printer->used = 0;
        printer->sink(printer->opaque, printer->buffer);
    }
}

static void put(struct printer *printer, char character)
{
    if (printer->used == sizeof printer->buffer - 1) {
        print_flush(printer);
    }
    printer->buffer[printer->used++] = character;
}

static void put_padded(struct printer *printer, const char *text, size_t length,
                       struct number_format format)
{
    size_t padding = format.width > length ? format.width - length : 0;
    for (size_t i = 0; i < padding && !format.left; i++) {
        put(printer, format.pad);
    }
    for (size_t i = 0; i < length; i++) {
        put(printer, text[i]);
    }
    for (size_t i = 0; i < padding && format.left; i++) {
        put(printer, ' ');
    }
}

static void put_number(struct printer *printer, uint64_t value, unsigned base, bool negative,
                       struct number_format format)
{
    char digits[DIGITS_MAX];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    if (negative && format.pad == '0' && !format.left) {
        put(printer, '-');
        format.width -= format.width > 0;
    } else if (negative) {
        digits[--at] = '-';
    }
    put_padded(printer, digits + at, sizeof digits - at, format);
}

static uint64_t next_unsigned(va_list *arguments, unsigned longs)
{
    return longs == 0 ? va_arg(*arguments, unsigned) : va_arg(*arguments, unsigned long);
}

static int64_t next_signed(va_list *arguments, unsigned longs)
{
    return longs == 0 ? va_arg(*arguments, int) : va_arg(*arguments, long);
}

static_assert(sizeof(long) == sizeof(long long), "long and long long are one width here");
static_assert(sizeof(long) == sizeof(size_t), "and size_t has it too");

static void put_conversion(struct printer *printer, char conversion, unsigned longs,
                           struct number_format format, va_list *arguments)
{
    if (conversion == 'd') {
        int64_t value = next_signed(arguments, longs);
        uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        put_number(printer, magnitude, 10, value < 0, format);
    } else if (conversion == 'u') {
        put_number(printer, next_unsigned(arguments, longs), 10, false, format);
    } else if (conversion == 'x') {
        put_number(printer, next_unsigned(arguments, longs), 16, false, format);
    } else if (conversion == 'p') {
        put_padded(printer, "0x", 2, (struct number_format){.pad = ' '});
        put_number(printer, (uintptr_t)va_arg(*arguments, void *), 16, false, format);
    } else if (conversion == 's') {
        const char *text = va_arg(*arguments, const char *);
        put_padded(printer, text, strlen(text), format);
    } else if (conversion == 'c') {
        char character = (char)va_arg(*arguments, int);
        put_padded(printer, &character, 1, format);
    } else {
        put(printer, conversion);
    }
}

static const char *parse_flags(const char *format, struct number_format *result)
{
    if (*format == '-') {
        result->left = true;
        format++;
    } else if (*format == '0') {
        result->pad = '0';
        format++;
    }
    while (*format >= '0' && *format <= '9') {
        result->width = result->width * 10 + (unsigned)(*format++ - '0');
    }
    return format;
}

void print_list(struct printer *printer, const char *format, va_list arguments)
{
    va_list list;
    va_copy(list, arguments);
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            put(printer, *format);
            continue;
        }
        struct number_format number = {.pad = ' '};
        format = parse_flags(format + 1, &number);
        unsigned longs = 0;
        while (*format == 'l' || *format == 'z') {
            longs++;
            format++;
        }
        put_conversion(printer, *format, longs, number, &list);
    }
    va_end(list);
}

void print(struct printer *printer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_list(printer, format, arguments);
    va_end(arguments);
}

void print_quoted(struct printer *printer, const char *text)
{
    put(printer, '"');
    for (; *text != '\0'; text++) {
        unsigned char character = (unsigned char)*text;
        if (character == '"' || character == '\\') {
            print(printer, "\\%c", character);
        } else if (character < ' ' || character >= 0x7f) {
            print(printer, "\\u%04x", character);
        } else {
            put(printer, (char)character);
        }
    }
    put(printer, '"');
}

struct bounded_text {
    char *text;
    size_t used;
    size_t size_bytes;
};

static void append_bounded(void *opaque, const char *text)
{
    struct bounded_text *bounded = opaque;
    while (*text != '\0' && bounded->used + 1 < bounded->size_bytes) {
        bounded->text[bounded->used++] = *text++;
    }
    bounded->text[bounded->used] = '\0';
}

size_t print_list_to_buffer(char *buffer, size_t size_bytes, const char *format, va_list arguments)
{
    ASSERT(size_bytes > 0);
    buffer[0] = '\0';
    struct bounded_text bounded = {buffer, 0, size_bytes};
    struct printer printer;
    printer_init(&printer, append_bounded, &bounded);
    print_list(&printer, format, arguments);
    print_flush(&printer);
    return bounded.used;
}

size_t print_to_buffer(char *buffer, size_t size_bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t used = print_list_to_buffer(buffer, size_bytes, format, arguments);
    va_end(arguments);
    return used;
}

static void message_list(const char *format, va_list arguments)
{
    struct printer printer;
    printer_init(&printer, message_sink, message_opaque);
    print(&printer, "<jemalloc>: ");
    print_list(&printer, format, arguments);
    print(&printer, "\n");
    print_flush(&printer);
}

void message(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message_list(format, arguments);
    va_end(arguments);
}

void message_and_abort(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message_list(format, arguments);
    va_end(arguments);
    abort();
}
