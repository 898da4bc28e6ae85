/* dump_file.h: the file of a heap profile while it is written: whole under its name, or not there.
 *
 * What is written goes to a file beside the one that is wanted, which takes its name when all has
 * arrived. So a full disk, a limit or a kill leaves no half profile that looks like one, and an
 * older file of that name stays until then. A name that belongs to a device, a pipe or a link is
 * written to directly, and so is a file in a folder that takes no new ones.
 *
 * There is one such file at a time: the caller holds the dump's lock. Nothing is allocated.
 */
#ifndef PROFILE_DUMP_FILE_H
#define PROFILE_DUMP_FILE_H

#include "base/check.h"

enum { DUMP_PATH_BYTES = 4096 };

/* False when it cannot be opened. The path stays as it is until dump_file_close(). */
MUST_USE bool dump_file_open(const char *path);
void dump_file_put(const char *bytes, size_t length);
void dump_file_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* False when not all of it arrived: then nothing of it is left. */
MUST_USE bool dump_file_close(void);

#endif
