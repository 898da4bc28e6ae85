/* dump_hint.c: what to tell someone whose dump is not there. See dump_hint.h.
 *
 * The commonest reason is that no setting asked for a dump, the next another prefix.
 */
#include "dump_hint.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_dump_name(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, ".heap") == 0;
}

static bool is_newer(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* The newest dump of a folder, with the folder's name before it; false: none. */
static bool find_newest(const char *folder, char *path, size_t size)
{
    DIR *entries = opendir(folder);
    struct timespec newest = {0, 0};
    bool is_found = false;
    if (entries == NULL) {
        return false;
    }
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        char candidate[PATH_MAX];
        struct stat status;
        if (!is_dump_name(entry->d_name) ||
            (size_t)snprintf(candidate, sizeof candidate, "%s/%s", folder, entry->d_name) >=
                sizeof candidate ||
            stat(candidate, &status) != 0 || (is_found && !is_newer(&status.st_mtim, &newest))) {
            continue;
        }
        newest = status.st_mtim;
        snprintf(path, size, "%s", candidate);
        is_found = true;
    }
    closedir(entries);
    return is_found;
}

void dump_hint(const char *missing, char *hint, size_t size)
{
    const char *slash = strrchr(missing, '/');
    char folder[PATH_MAX] = ".";
    char newest[PATH_MAX];
    if (slash != NULL) {
        snprintf(folder, sizeof folder, "%.*s", slash > missing ? (int)(slash - missing) : 1,
                 missing);
    }
    bool is_found = find_newest(folder, newest, sizeof newest);
    snprintf(hint, size,
             "a dump is written at exit with MALLOC_CONF=prof:true,prof_final:true%s%.200s",
             is_found ? "; the newest dump there is " : "", is_found ? newest : "");
}
