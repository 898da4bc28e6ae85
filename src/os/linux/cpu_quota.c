/* cpu_quota.c: cpu.max of version 2, cpu.cfs_quota_us and cpu.cfs_period_us of version 1. See
 * cpu_quota.h.
 *
 * /proc/self/cgroup names the group of each hierarchy. In a container the name may be the host's,
 * and the folder that is mounted may be the group itself: folders that do not exist are passed
 * over on the way up, and the mounted one is always asked.
 */
#include "os/linux/cpu_quota.h"

#include "base/print.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_BYTES = 512, LINE_BYTES = 512, NUMBER_BYTES = 64 };

static long open_file(const char *path)
{
    return syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

/* The start of a small file, terminated. False when there is none. */
static bool read_start(const char *path, char text[NUMBER_BYTES])
{
    long file = open_file(path);
    if (file < 0) {
        return false;
    }
    long length = syscall(SYS_read, file, text, (size_t)NUMBER_BYTES - 1);
    (void)syscall(SYS_close, file);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

/* The number at the start of a text; false when there is none, as in "max" and "-1". */
static bool number_at(const char *text, uint64_t *number)
{
    const uint64_t most = UINT64_MAX / 16;
    *number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && *number < most; at++) {
        *number = *number * 10 + (uint64_t)(*at - '0');
    }
    return at > text;
}

static unsigned in_cpus(uint64_t quota, uint64_t period)
{
    uint64_t cpus = period == 0 ? UINT_MAX : quota / period + (quota % period != 0);
    return cpus > UINT_MAX ? UINT_MAX : cpus < 1 ? 1 : (unsigned)cpus;
}

/* What one folder allows, of version 2. */
static unsigned quota_of_v2(const char *folder)
{
    char path[PATH_BYTES];
    char text[NUMBER_BYTES];
    uint64_t quota;
    uint64_t period;
    (void)print_to_buffer(path, sizeof path, "%s/cpu.max", folder);
    if (!read_start(path, text) || !number_at(text, &quota)) {
        return UINT_MAX;
    }
    const char *second = text + text_length_until(text, ' ');
    return *second == ' ' && number_at(second + 1, &period) ? in_cpus(quota, period) : UINT_MAX;
}

static unsigned quota_of_v1(const char *folder)
{
    char path[PATH_BYTES];
    char text[NUMBER_BYTES];
    uint64_t quota;
    uint64_t period;
    (void)print_to_buffer(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!read_start(path, text) || !number_at(text, &quota)) {
        return UINT_MAX;
    }
    (void)print_to_buffer(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    return read_start(path, text) && number_at(text, &period) ? in_cpus(quota, period) : UINT_MAX;
}

/* The least from a group's folder up to the one that is mounted. */
static unsigned least_on_the_way_up(char *path, size_t mount_length,
                                    unsigned (*quota_of)(const char *folder))
{
    unsigned least = UINT_MAX;
    for (size_t length = strlen(path);; length--) {
        if (length > mount_length && path[length] != '/' && path[length] != '\0') {
            continue;
        }
        path[length] = '\0';
        unsigned quota = quota_of(path);
        least = quota < least ? quota : least;
        if (length <= mount_length) {
            return least;
        }
    }
}

static unsigned quota_below(const char *root, const char *mount, const char *group,
                            unsigned (*quota_of)(const char *folder))
{
    char path[PATH_BYTES];
    size_t mount_length = print_to_buffer(path, sizeof path, "%s%s", root, mount);
    size_t length = print_to_buffer(path, sizeof path, "%s%s%s", root, mount, group);
    /* Names that were cut, or could be when a file's name is added, are nobody's. */
    if (length + sizeof "/cpu.cfs_period_us" >= sizeof path) {
        path[mount_length] = '\0';
    }
    return least_on_the_way_up(path, mount_length, quota_of);
}

/* Whether a list "a,b,c" that ends with ':' has "cpu" in it. */
static bool lists_cpu(const char *list)
{
    while (*list != ':' && *list != '\0') {
        if (text_is_same_for(list, "cpu", 3) && (list[3] == ',' || list[3] == ':')) {
            return true;
        }
        while (*list != ',' && *list != ':' && *list != '\0') {
            list++;
        }
        list += *list == ',';
    }
    return false;
}

/* A line "number:controllers:group" of /proc/self/cgroup. */
static unsigned quota_of_line(const char *root, const char *line)
{
    const char *controllers = line + text_length_until(line, ':');
    if (*controllers != ':') {
        return UINT_MAX;
    }
    controllers++;
    const char *group = controllers + text_length_until(controllers, ':');
    if (*group != ':') {
        return UINT_MAX;
    }
    group++;
    if (controllers[0] == ':') {
        return quota_below(root, "/sys/fs/cgroup", group, quota_of_v2);
    }
    return lists_cpu(controllers) ? quota_below(root, "/sys/fs/cgroup/cpu", group, quota_of_v1)
                                  : UINT_MAX;
}

/* Lines come whole whatever read() cuts; those that are too long are passed over. */
static unsigned quota_of_file(const char *root, long file)
{
    char line[LINE_BYTES];
    char piece[LINE_BYTES];
    size_t used = 0;
    unsigned least = UINT_MAX;
    for (long length; (length = syscall(SYS_read, file, piece, sizeof piece)) > 0;) {
        for (long i = 0; i < length; i++) {
            if (piece[i] != '\n') {
                line[used] = piece[i];
                used += used < sizeof line - 1;
                continue;
            }
            line[used] = '\0';
            unsigned quota = used < sizeof line - 1 ? quota_of_line(root, line) : UINT_MAX;
            least = quota < least ? quota : least;
            used = 0;
        }
    }
    return least;
}

unsigned cpu_quota(const char *root)
{
    char path[PATH_BYTES];
    int saved_errno = errno;
    (void)print_to_buffer(path, sizeof path, "%s/proc/self/cgroup", root);
    long file = open_file(path);
    unsigned quota = UINT_MAX;
    if (file >= 0) {
        quota = quota_of_file(root, file);
        (void)syscall(SYS_close, file);
    }
    errno = saved_errno;
    return quota;
}
