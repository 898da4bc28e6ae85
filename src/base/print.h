/* print.h: formatted text without stdio and without allocation.
 *
 * A printer collects text in a buffer on its owner's stack and hands it to a sink whenever the
 * buffer is full, and when it is finished. The formats are a subset of printf's, enough for
 * messages and statistics: %s %c %d %u %zu %zd %llu %lld %llx %p %%, with a width and '-' or '0'.
 *
 * Invariant: used <= sizeof buffer. Not thread-safe: a printer belongs to one thread.
 */
#ifndef BASE_PRINT_H
#define BASE_PRINT_H

#include "base/check.h"

#include <stdarg.h>

typedef void (*print_sink)(void *opaque, const char *text);

struct printer {
    print_sink sink;
    void *opaque;
    size_t used;
    char buffer[512];
};

/* Starts a printer whose text goes to sink(opaque, text), a piece at a time. */
void printer_init(struct printer *printer, print_sink sink, void *opaque);

/* Appends formatted text. */
void print(struct printer *printer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void print_list(struct printer *printer, const char *format, va_list arguments);

/* Appends a text as JSON has it, in quotes: bytes that are no ASCII stand for Latin-1. */
void print_quoted(struct printer *printer, const char *text);

/* Hands what is buffered to the sink. */
void print_flush(struct printer *printer);

/* Formats into buffer, cut to size_bytes - 1 characters, always terminated. Result: the length
 * that was written. */
size_t print_to_buffer(char *buffer, size_t size_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

size_t print_list_to_buffer(char *buffer, size_t size_bytes, const char *format, va_list arguments);

/* Where one-line messages go; default: write(2) to standard error. Set by api/ to the program's
 * malloc_message when there is one. */
extern print_sink message_sink;
extern void *message_opaque;
void print_to_stderr(void *opaque, const char *text);

/* One line "<jemalloc>: text\n" to the message sink. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same line, then abort(): for mistakes of the caller that would corrupt memory. */
_Noreturn void message_and_abort(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
