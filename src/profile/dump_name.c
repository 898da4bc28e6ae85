/* dump_name.c: prefix and counters of file names. See dump_name.h.
 *
 * The option's prefix is read at each name, so that nothing needs to be started.
 */
#include "profile/dump_name.h"

#include "base/print.h"
#include "config/options.h"
#include "os/files.h"
#include "profile/dump_file.h"

#include <string.h>

/* A process, a namespace, two counters, and what stands between them. */
enum { NUMBERS_BYTES = 96 };

static struct {
    uint64_t sequence;
    uint64_t of_kind[DUMP_KINDS];
    uint64_t logs;
    bool has_prefix; /* the program set one */
    char prefix[DUMP_PATH_BYTES - NUMBERS_BYTES];
} names;

bool dump_name_set_prefix(const char *prefix)
{
    size_t length = strlen(prefix);
    if (length >= sizeof names.prefix) {
        return false;
    }
    memcpy(names.prefix, prefix, length + 1);
    names.has_prefix = true;
    return true;
}

static const char *prefix_now(void)
{
    static const char option[] = "prof_prefix";
    return names.has_prefix ? names.prefix : option_text(option_find(option, sizeof option - 1));
}

bool dump_name_is_off(void)
{
    return prefix_now()[0] == '\0';
}

/* "PREFIX.PID", or "PREFIX.NS.PID". Result: its length. */
static size_t print_start(char *path)
{
    char namespace[NUMBERS_BYTES / 2] = "";
    if (options.prof_pid_namespace) {
        print_to_buffer(namespace, sizeof namespace, ".%llu",
                        (unsigned long long)os_pid_namespace());
    }
    return print_to_buffer(path, DUMP_PATH_BYTES, "%s%s.%llu", prefix_now(), namespace,
                           (unsigned long long)os_process_id());
}

void dump_name_next(enum dump_kind kind, char *path)
{
    static const char letters[DUMP_KINDS] = {'i', 'm', 'u', 'f'};
    char number[NUMBERS_BYTES / 2] = "";
    size_t length = print_start(path);
    if (kind != DUMP_FINAL) {
        print_to_buffer(number, sizeof number, "%llu", (unsigned long long)names.of_kind[kind]++);
    }
    print_to_buffer(path + length, DUMP_PATH_BYTES - length, ".%llu.%c%s.heap",
                    (unsigned long long)names.sequence++, letters[kind], number);
}

void dump_name_next_log(char *path)
{
    size_t length = print_start(path);
    print_to_buffer(path + length, DUMP_PATH_BYTES - length, ".%llu.json",
                    (unsigned long long)names.logs++);
}
