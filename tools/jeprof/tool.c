/* tool.c: runs other programs. See tool.h.
 *
 * Programs are started without a shell: names of files are never taken for anything else.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* Joins two texts of given lengths; whether a program is there. */
static bool try_path(struct tool *tool, const char *prefix, int length, const char *between,
                     const char *name)
{
    int size = snprintf(tool->path, sizeof tool->path, "%.*s%s%s", length, prefix, between, name);
    return size > 0 && (size_t)size < sizeof tool->path && is_program(tool->path);
}

/* What --tools says about a tool. */
static bool find_given(struct tool *tool, const char *given, const char *name)
{
    size_t name_length = strlen(name);
    while (given != NULL && *given != '\0') {
        size_t length = strcspn(given, ",");
        const char *colon = memchr(given, ':', length);
        if (colon != NULL) {
            bool is_named =
                (size_t)(colon - given) == name_length && memcmp(given, name, name_length) == 0;
            int rest = (int)(length - name_length - 1);
            if (is_named && try_path(tool, colon + 1, rest, "", "")) {
                return true;
            }
        } else if (length > 0 && (try_path(tool, given, (int)length, "", name) ||
                                  try_path(tool, given, (int)length, "/", name))) {
            return true;
        }
        given += length + (given[length] == ',');
    }
    return false;
}

bool tool_find(struct tool *tool, const char *given, const char *name)
{
    if (strchr(name, '/') != NULL) {
        return try_path(tool, "", 0, "", name);
    }
    const char *folders = getenv("PATH");
    if (find_given(tool, given, name)) {
        return true;
    }
    while (folders != NULL) {
        size_t length = strcspn(folders, ":");
        if (try_path(tool, length > 0 ? folders : ".", length > 0 ? (int)length : 1, "/", name)) {
            return true;
        }
        folders = folders[length] == ':' ? folders + length + 1 : NULL;
    }
    return false;
}

pid_t tool_start(const char *const *arguments, int input, int output)
{
    fflush(NULL);
    pid_t process = fork();
    if (process != 0) {
        return process;
    }
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0) {
        execv(arguments[0], (char *const *)(void *)arguments);
    }
    _exit(127);
}

bool tool_wait(pid_t process)
{
    int status = 1;
    while (process > 0 && waitpid(process, &status, 0) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return process > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

FILE *tool_read(const char *const *arguments, pid_t *process)
{
    int ends[2];
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    *process = -1;
    if (nothing < 0 || pipe2(ends, O_CLOEXEC) != 0) {
        return NULL;
    }
    *process = tool_start(arguments, nothing, ends[1]);
    close(nothing);
    close(ends[1]);
    FILE *out = *process > 0 ? fdopen(ends[0], "r") : NULL;
    if (out == NULL) {
        close(ends[0]);
    }
    return out;
}
