/* dump_file.c: a buffer, a temporary name, and renaming. See dump_file.h.
 *
 * After a write that failed nothing more is written, and closing tells.
 */
#include "profile/dump_file.h"

#include "base/print.h"
#include "os/files.h"

#include <string.h>

/* One system call for so many bytes: a profile has some hundred bytes for each trace. */
enum { BUFFER_BYTES = 32 * 1024, SUFFIX_BYTES = 32 };

static struct {
    const char *path;
    int file;
    bool is_direct;   /* the file has its own name already */
    bool is_whole;    /* everything was written so far */
    uint64_t signals; /* what os_write_signals_hold() said */
    size_t used;
    struct printer printer;
    char temporary[DUMP_PATH_BYTES + SUFFIX_BYTES];
    char buffer[BUFFER_BYTES];
} target;

static void write_out(void)
{
    target.is_whole = target.is_whole && os_file_write(target.file, target.buffer, target.used);
    target.used = 0;
}

static void append(const char *bytes, size_t length)
{
    while (length > 0) {
        size_t room = sizeof target.buffer - target.used;
        size_t part = length < room ? length : room;
        memcpy(target.buffer + target.used, bytes, part);
        target.used += part;
        bytes += part;
        length -= part;
        if (target.used == sizeof target.buffer) {
            write_out();
        }
    }
}

static void append_text(void *opaque, const char *text)
{
    (void)opaque;
    append(text, strlen(text));
}

/* A name in the same folder, which no other process makes at the same time. */
static int create_beside(const char *path)
{
    size_t length = strlen(path);
    if (length >= DUMP_PATH_BYTES) {
        return -1;
    }
    memcpy(target.temporary, path, length);
    print_to_buffer(target.temporary + length, SUFFIX_BYTES, ".%llu.part",
                    (unsigned long long)os_process_id());
    int file = os_file_create(target.temporary, true);
    if (file < 0) {
        /* A process of this number that was killed while it wrote one may have left it. */
        os_file_remove(target.temporary);
        file = os_file_create(target.temporary, true);
    }
    return file;
}

bool dump_file_open(const char *path)
{
    target.path = path;
    target.used = 0;
    target.is_whole = true;
    target.is_direct = os_file_is_special(path);
    target.file = target.is_direct ? -1 : create_beside(path);
    if (target.file < 0) {
        target.is_direct = true;
        target.file = os_file_create(path, false);
    }
    printer_init(&target.printer, append_text, NULL);
    if (target.file >= 0) {
        target.signals = os_write_signals_hold();
    }
    return target.file >= 0;
}

void dump_file_put(const char *bytes, size_t length)
{
    print_flush(&target.printer);
    append(bytes, length);
}

void dump_file_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_list(&target.printer, format, arguments);
    va_end(arguments);
}

/* What was written directly cannot be taken back; a file is emptied, which readers refuse. */
static void discard(void)
{
    if (!target.is_direct) {
        os_file_remove(target.temporary);
    } else if (!os_file_is_special(target.path)) {
        int emptied = os_file_create(target.path, false);
        (void)!(emptied >= 0 && os_file_close(emptied));
    }
}

bool dump_file_close(void)
{
    print_flush(&target.printer);
    write_out();
    bool is_whole = os_file_close(target.file) && target.is_whole;
    os_write_signals_release(target.signals);
    if (is_whole && !target.is_direct) {
        is_whole = os_file_rename(target.temporary, target.path);
    }
    if (!is_whole) {
        discard();
    }
    return is_whole;
}
