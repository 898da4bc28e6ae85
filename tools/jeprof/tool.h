/* tool.h: other programs that jeprof runs: dot, objdump, viewers.
 *
 * A tool is looked for as --tools says: a list by commas of "NAME:PATH" for one tool, and of
 * prefixes of paths for all; then in $PATH. Tools get their input from files, so none waits for
 * the other.
 */
#ifndef JEPROF_TOOL_H
#define JEPROF_TOOL_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct tool {
    char path[PATH_MAX];
};

/* given may be NULL. False: there is no such program. */
bool tool_find(struct tool *tool, const char *given, const char *name)
    __attribute__((warn_unused_result));

/* Starts a program; input and output are descriptors that become its own. -1: it did not start. */
pid_t tool_start(const char *const *arguments, int input, int output);

/* Waits for its end. Whether it succeeded. */
bool tool_wait(pid_t process);

/* Starts a program and gives what it writes; NULL: it did not start. */
FILE *tool_read(const char *const *arguments, pid_t *process);

#endif
