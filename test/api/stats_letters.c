/* stats_letters.c: goal: every form of the report, for check_stats_json to read.
 * Method: for each set of letters one record: a byte 0x1e, the letters, a newline, the report.
 * With the argument "exhausted" the program first takes all memory that it can get: the report is
 * made by a process that gets not one byte more.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>

#include <jemalloc/jemalloc.h>

enum { STACK_BYTES = 256 << 10, LARGEST_BYTES = 1 << 30 };

/* Not stdio, which would ask for a buffer. */
static struct {
    char bytes[1 << 16];
    size_t length;
} output;

static void flush(void)
{
    for (size_t done = 0; done < output.length;) {
        ssize_t written = write(STDOUT_FILENO, output.bytes + done, output.length - done);
        if (written <= 0) {
            _exit(1);
        }
        done += (size_t)written;
    }
    output.length = 0;
}

static void write_out(void *opaque, const char *text)
{
    (void)opaque;
    for (; *text != '\0'; text++) {
        if (output.length == sizeof output.bytes) {
            flush();
        }
        output.bytes[output.length++] = *text;
    }
}

/* The stack cannot grow later either. In line it would be a part of its caller's. */
__attribute__((noinline)) static void touch_stack(void)
{
    volatile char room[STACK_BYTES];
    for (size_t i = 0; i < sizeof room; i += 1024) {
        room[i] = 1;
    }
}

static void take_all_memory(void)
{
    const struct rlimit none = {0, RLIM_INFINITY};
    touch_stack();
    if (setrlimit(RLIMIT_AS, &none) != 0) {
        _exit(1);
    }
    for (size_t size = LARGEST_BYTES; size >= 8; size /= 2) {
        void *volatile block; /* or a compiler leaves the call out */
        do {
            block = malloc(size);
        } while (block != NULL);
    }
}

int main(int argument_count, char **arguments)
{
    static const char letters[] = "Jgmdablxeh";
    bool exhausted = argument_count > 1 && strcmp(arguments[1], "exhausted") == 0;
    void *kept[64];
    for (unsigned i = 0; i < 64; i++) {
        kept[i] = malloc((size_t)1 << (i % 23));
    }
    if (exhausted) {
        take_all_memory();
    }
    for (unsigned set = 0; set < 1u << (sizeof letters - 1); set++) {
        char chosen[sizeof letters];
        unsigned count = 0;
        for (unsigned i = 0; letters[i] != '\0'; i++) {
            if (set >> i & 1) {
                chosen[count++] = letters[i];
            }
        }
        chosen[count] = '\0';
        write_out(NULL, "\x1e");
        write_out(NULL, chosen);
        write_out(NULL, "\n");
        malloc_stats_print(write_out, NULL, chosen);
    }
    flush();
    for (unsigned i = 0; i < 64; i++) {
        free(kept[i]);
    }
    return 0;
}
