/* accept_witness.c: preloaded beside the allocator, writes down which file serves malloc.
 *
 * Goal: proof, for each process of a run and however short it lives, that the library under test
 * was really in use.
 * Method: a constructor finds the mapping that holds the address to which `malloc` was bound and
 * appends "<pid> <program> <file of that mapping>" to the file that DG_WITNESS_FILE names.
 * A program that is not position-independent and takes the address of malloc (node does) makes
 * its own jump table that address for everyone; then calloc and aligned_alloc are asked.
 *
 * It must not disturb what it watches: open, read and write only, no allocation, errno kept.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4608 }; /* A path of PATH_MAX (4096) and the columns in front of it. */

/* A line of /proc/self/maps reads "<start>-<end> rwxp <offset> <device> <inode>   <path>". */
static bool line_holds(const char *line, uintptr_t address)
{
    char *rest = NULL;
    uintptr_t start = strtoul(line, &rest, 16);
    if (*rest != '-') {
        return false;
    }
    uintptr_t end = strtoul(rest + 1, NULL, 16);
    return start <= address && address < end;
}

/* Reads byte by byte, so that a buffer of one line is enough; maps are some 100 lines at start. */
static bool line_find(int maps, uintptr_t address, char line[static LINE_MAX_BYTES])
{
    size_t used = 0;
    char byte = 0;
    while (read(maps, &byte, 1) == 1) {
        if (byte != '\n') {
            if (used < LINE_MAX_BYTES - 1) {
                line[used++] = byte;
            }
            continue;
        }
        line[used] = '\0';
        used = 0;
        if (line_holds(line, address)) {
            return true;
        }
    }
    return false;
}

/* Leaves the path of the mapped file in line, at the pointer that it returns. */
static const char *file_of(uintptr_t address, char line[static LINE_MAX_BYTES])
{
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (maps < 0) {
        return NULL;
    }
    const char *path = line_find(maps, address, line) ? strchr(line, '/') : NULL;
    (void)close(maps);
    return path;
}

static bool is_own_program(const char *path)
{
    char program[LINE_MAX_BYTES];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length < 0 ? 0 : length] = '\0';
    return strcmp(path, program) == 0;
}

static void report(const char *path)
{
    const char *report_path = getenv("DG_WITNESS_FILE");
    if (report_path == NULL) {
        return;
    }
    char text[LINE_MAX_BYTES + 64];
    int length = snprintf(text, sizeof text, "%d %s %s\n", (int)getpid(),
                          program_invocation_short_name, path);
    int file = open(report_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0) {
        return;
    }
    /* A lost line is noticed by the reader, who asks for the programs that must be there. */
    (void)!write(file, text, (size_t)length);
    (void)close(file);
}

__attribute__((constructor)) static void witness(void)
{
    int saved_errno = errno;
    const uintptr_t candidates[] = {(uintptr_t)&malloc, (uintptr_t)&calloc,
                                    (uintptr_t)&aligned_alloc};
    char line[LINE_MAX_BYTES];
    const char *path = NULL;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        path = file_of(candidates[i], line);
        if (path != NULL && !is_own_program(path)) {
            break;
        }
    }
    report(path != NULL ? path : "(no file)");
    errno = saved_errno;
}
