/* process_memory.c: what /proc says of this process's memory. See process_memory.h.
 *
 * It reads with open and read alone, into buffers of its own: reading must not allocate, or it
 * would change what it measures.
 */
#include "process_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_or_exit(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        perror(path);
        _exit(EXIT_FAILURE);
    }
    return file;
}

size_t resident_bytes(void)
{
    char text[2048];
    int file = open_or_exit("/proc/self/smaps_rollup");
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    text[count > 0 ? count : 0] = '\0';
    const char *line = strstr(text, "Rss:");
    return line == NULL ? 0 : strtoul(line + 4, NULL, 10) * 1024;
}

size_t mappings_with(const char *text)
{
    char window[8192 + 1];
    size_t kept = 0;
    size_t found = 0;
    size_t text_bytes = strlen(text);
    int file = open_or_exit("/proc/self/maps");
    for (;;) {
        ssize_t count = read(file, window + kept, sizeof window - 1 - kept);
        if (count <= 0) {
            break;
        }
        window[kept + (size_t)count] = '\0';
        for (const char *place = strstr(window, text); place != NULL;
             place = strstr(place + 1, text)) {
            found++;
        }
        /* The end of the window may hold the beginning of the text. */
        size_t filled = kept + (size_t)count;
        kept = filled < text_bytes - 1 ? filled : text_bytes - 1;
        memmove(window, window + filled - kept, kept);
    }
    close(file);
    return found;
}
