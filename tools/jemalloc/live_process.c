/* live_process.c: /proc/PID/status, mem, root and cwd. See live_process.h.
 *
 * The kernel lets those open `mem` who may trace the process: that is the only permission here.
 */
#include "live_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool live_process_fail(struct live_process *process, enum verb_exit code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(process->problem, sizeof process->problem, format, arguments);
    va_end(arguments);
    process->exit = code;
    return false;
}

/* The value of a line of `status`, or NULL. */
static const char *find_value(const char *text, const char *key)
{
    size_t length = strlen(key);
    while (text != NULL) {
        if (strncmp(text, key, length) == 0 && text[length] == ':') {
            return text + length + 1 + strspn(text + length + 1, " \t");
        }
        text = strchr(text, '\n');
        text = text != NULL ? text + 1 : NULL;
    }
    return NULL;
}

/* The last of the numbers of a line: those of NStgid go from our PID namespace to the innermost. */
static uint32_t last_number(const char *value)
{
    unsigned long number = 0;
    while (value != NULL && *value >= '0' && *value <= '9') {
        char *end;
        number = strtoul(value, &end, 10);
        value = end + strspn(end, " \t");
    }
    return (uint32_t)number;
}

bool live_process_look(struct live_process *process)
{
    char text[4096];
    int file = openat(process->folder, "status", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0) {
        close(file);
    }
    if (length <= 0) {
        return live_process_fail(process, VERB_MISSING, "process %d has ended", process->number);
    }
    text[length] = '\0';
    const char *name = find_value(text, "Name");
    const char *state = find_value(text, "State");
    const char *user = find_value(text, "Uid");
    snprintf(process->name, sizeof process->name, "%.*s",
             name != NULL ? (int)strcspn(name, "\n") : 0, name != NULL ? name : "");
    process->state = '?';
    if (state != NULL) {
        process->state = *state;
    }
    process->user = user != NULL ? (unsigned)strtoul(user, NULL, 10) : 0;
    process->own_number = last_number(find_value(text, "NStgid"));
    if (process->state == 'Z' || process->state == 'X') {
        return live_process_fail(process, VERB_MISSING,
                                 "process %d has ended, and waits for its parent (a zombie)",
                                 process->number);
    }
    if (find_value(text, "VmSize") == NULL) {
        return live_process_fail(process, VERB_UNSUPPORTED,
                                 "process %d (%s) has no memory of its own: it is a thread of the "
                                 "kernel, or about to end",
                                 process->number, process->name);
    }
    return true;
}

bool live_process_is_stopped(const struct live_process *process)
{
    return process->state == 'T' || process->state == 't';
}

static int yama_scope(void)
{
    char digit = '0';
    int file = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!read(file, &digit, 1);
        close(file);
    }
    return digit - '0';
}

static bool fail_refused(struct live_process *process)
{
    const struct passwd *entry = getpwuid(process->user);
    char user[64];
    snprintf(user, sizeof user, "%u", process->user);
    if (entry != NULL) {
        snprintf(user, sizeof user, "%s", entry->pw_name);
    }
    if (process->user == getuid() && yama_scope() > 0) {
        return live_process_fail(process, VERB_FAILED,
                                 "process %d (%s) may not be traced by this user: "
                                 "kernel.yama.ptrace_scope is %d here (run this as root)",
                                 process->number, process->name, yama_scope());
    }
    return live_process_fail(process, VERB_FAILED,
                             "process %d (%s) of user %s may not be traced by this user, so it "
                             "cannot be asked (run this as root, or as that user)",
                             process->number, process->name, user);
}

bool live_process_open(struct live_process *process, int number)
{
    char path[64];
    *process = (struct live_process){.number = number, .folder = -1, .memory = -1};
    snprintf(path, sizeof path, "/proc/%d", number);
    process->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process->folder < 0) {
        return live_process_fail(process, VERB_MISSING, "there is no process %d", number);
    }
    if (!live_process_look(process)) {
        return false;
    }
    process->memory = openat(process->folder, "mem", O_RDWR | O_CLOEXEC);
    if (process->memory >= 0) {
        return true;
    }
    if (errno == EACCES || errno == EPERM) {
        return fail_refused(process);
    }
    return live_process_fail(process, VERB_FAILED, "the memory of process %d cannot be opened: %s",
                             number, strerror(errno));
}

void live_process_close(struct live_process *process)
{
    if (process->memory >= 0) {
        close(process->memory);
    }
    if (process->folder >= 0) {
        close(process->folder);
    }
    process->memory = -1;
    process->folder = -1;
}

bool live_process_read(const struct live_process *process, uintptr_t address, void *bytes,
                       size_t count)
{
    return pread(process->memory, bytes, count, (off_t)address) == (ssize_t)count;
}

bool live_process_write(const struct live_process *process, uintptr_t address, const void *bytes,
                        size_t count)
{
    return pwrite(process->memory, bytes, count, (off_t)address) == (ssize_t)count;
}

bool live_process_shares_root(const struct live_process *process)
{
    struct stat own;
    struct stat its;
    return stat("/", &own) == 0 && fstatat(process->folder, "root", &its, 0) == 0 &&
           own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

char *live_process_path(const struct live_process *process, const char *path)
{
    char folder[PATH_MAX];
    char *result = NULL;
    bool is_absolute = path[0] == '/';
    if (!live_process_shares_root(process)) {
        snprintf(folder, sizeof folder, "/proc/%d/%s", process->number,
                 is_absolute ? "root" : "cwd");
    } else if (is_absolute) {
        folder[0] = '\0';
    } else {
        ssize_t length = readlinkat(process->folder, "cwd", folder, sizeof folder - 1);
        folder[length > 0 ? length : 0] = '\0';
    }
    if (asprintf(&result, "%s%s%s", folder, is_absolute || folder[0] == '\0' ? "" : "/", path) <
        0) {
        return NULL;
    }
    return result;
}
