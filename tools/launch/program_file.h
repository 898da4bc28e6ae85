/* program_file.h: which file a command names, and whether a library can be preloaded into it.
 *
 * Looks at files only and never runs one. A script counts as its interpreter.
 */
#ifndef LAUNCH_PROGRAM_FILE_H
#define LAUNCH_PROGRAM_FILE_H

#include <stdbool.h>

/* Finds the command as a shell does: as it stands when it holds a slash, else along PATH.
 * file has room for PATH_MAX bytes. */
bool program_file_find(const char *command, char *file);

/* Why nothing can be preloaded into the program, as the end of a sentence; NULL when nothing is
 * known against it. */
const char *program_file_obstacle(const char *file);

#endif
