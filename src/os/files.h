/* files.h: files as heap profiles are written, and what else of the process stands in them.
 *
 * As in os.h, functions that can fail say so by their result, and errno is never changed. Calls
 * that a signal interrupted are made again. Descriptors are closed on exec.
 */
#ifndef OS_FILES_H
#define OS_FILES_H

#include "base/check.h"

/* Opens a file for writing, made with mode 0644 when there is none: a new one, or from its start.
 * Result: a descriptor, or -1. */
MUST_USE int os_file_create(const char *path, bool must_be_new);
/* Opens one for reading. */
MUST_USE int os_file_open(const char *path);
/* Bytes read, at most size_bytes; 0 at the end, -1 after an error. */
MUST_USE ptrdiff_t os_file_read(int file, void *buffer, size_t size_bytes);
/* Writes all of it, or says false. */
MUST_USE bool os_file_write(int file, const void *bytes, size_t size_bytes);
/* False where the system tells only now that bytes did not arrive. The descriptor is gone. */
MUST_USE bool os_file_close(int file);
MUST_USE bool os_file_rename(const char *from, const char *to);
void os_file_remove(const char *path);
/* Whether something is there that is no regular file: a device, a pipe, a link. */
bool os_file_is_special(const char *path);

/* Between these two, writes beyond the limit of a file's size or to a closed pipe fail: they end
 * the program by no signal. The result of the one goes to the other. */
uint64_t os_write_signals_hold(void);
void os_write_signals_release(uint64_t held);

/* Copies memory of this process that may be unmapped meanwhile. False when it cannot be read. */
MUST_USE bool os_memory_read(uintptr_t address, void *buffer, size_t size_bytes);

uint64_t os_process_id(void);
/* The number of the process's PID namespace; 0 when it is not known. */
uint64_t os_pid_namespace(void);

/* Ends the process with a status, from a function that runs at exit: what is left to do at exit is
 * done where libc can still do it. */
_Noreturn void os_exit(int status);

#endif
