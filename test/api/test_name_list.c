/* test_name_list.c: goal: every control name of the contract exists with its type, or stands in the
 * list of those that are still missing; and nothing stands there that exists.
 * Method: both lists are files, given as arguments. A readable name is read into buffers of its
 * size, one less and one more; one that only acts is probed by a MIB, and by a read, which it must
 * refuse.
 */
#include "api_test.h"

/* Most names of the profiler exist for a process that profiles. */
const char *malloc_conf = "prof:true,prof_stats:true";

enum { LINE_BYTES = 512, MISSING_MAX = 200 };

static const char *names_file;
static const char *missing_file;

static struct {
    char name[128];
    bool seen; /* some name of the contract is missing because of it */
} missing[MISSING_MAX];
static unsigned missing_count;

/* Lines are "name<tab>reason"; a star at the end stands for anything. */
static void load_missing(void)
{
    char line[LINE_BYTES];
    FILE *file = fopen(missing_file, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        size_t length = strcspn(line, "\t");
        if (line[0] == '#') {
            continue;
        }
        EXPECT(line[length] == '\t' && line[length + 1] != '\n', "no reason: %s", line);
        assert_true(missing_count < MISSING_MAX && length < sizeof missing[0].name);
        memcpy(missing[missing_count++].name, line, length);
    }
    fclose(file);
}

static bool may_be_missing(const char *name)
{
    for (unsigned i = 0; i < missing_count; i++) {
        size_t length = strcspn(missing[i].name, "*");
        bool open_ended = missing[i].name[length] == '*';
        if (strncmp(name, missing[i].name, length) == 0 && (open_ended || name[length] == '\0')) {
            missing[i].seen = true;
            return true;
        }
    }
    return false;
}

static bool is_exactly_missing(const char *name)
{
    for (unsigned i = 0; i < missing_count; i++) {
        if (strcmp(name, missing[i].name) == 0) {
            return true;
        }
    }
    return false;
}

/* <i> and <j> become 0. */
static void concrete(const char *path, char *name)
{
    while (*path != '\0') {
        if (*path == '<') {
            *name++ = '0';
            path += 3;
        } else {
            *name++ = *path++;
        }
    }
    *name = '\0';
}

static size_t size_of_type(const char *type)
{
    static const struct {
        const char *type;
        size_t size;
    } sizes[] = {
        {"bool", sizeof(bool)},         {"unsigned", sizeof(unsigned)},
        {"uint32_t", sizeof(uint32_t)}, {"uint64_t", sizeof(uint64_t)},
        {"size_t", sizeof(size_t)},     {"ssize_t", sizeof(ssize_t)},
        {"int64_t", sizeof(int64_t)},   {"const char *", sizeof(char *)},
        {"uint64_t *", sizeof(void *)}, {"size_t *", sizeof(void *)},
    };
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (strcmp(type, sizes[i].type) == 0) {
            return sizes[i].size;
        }
    }
    return 0;
}

/* Names whose reading needs something written: their own tests call them. */
static bool needs_input(const char *name)
{
    static const char *const names[] = {"arenas.lookup",
                                        "arena.0.name",
                                        "arenas.create",
                                        "tcache.create",
                                        "thread.tcache.ncached_max.read_sizeclass",
                                        "experimental.utilization.query",
                                        "experimental.utilization.batch_query",
                                        "experimental.arenas_create_ext",
                                        "experimental.batch_alloc",
                                        "experimental.hooks.install"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void check_readable(const char *name, const char *type)
{
    size_t size = size_of_type(type);
    for (size_t given = size - 1; given <= size + 1; given++) {
        unsigned char value[16];
        size_t length = given;
        int result = mallctl(name, value, &length, NULL, 0);
        if (result == ENOENT && strncmp(name, "opt.malloc_conf.", 16) == 0) {
            return; /* that source is not set in this process */
        }
        EXPECT(result == (given == size ? 0 : EINVAL), "%s with %zu bytes: %d", name, given,
               result);
        EXPECT(length == (given < size ? given : size), "%s: length %zu", name, length);
        const char *text;
        memcpy(&text, value, sizeof text);
        EXPECT(given != size || strcmp(type, "const char *") != 0 || text != NULL, "%s", name);
    }
}

static void check_name(const char *name, const char *access, const char *read_type)
{
    uint64_t value = 0;
    size_t length = sizeof value;
    size_t mib[7];
    size_t depth = 7;
    EXPECT(mallctlnametomib(name, mib, &depth) == 0, "%s has no MIB", name);
    if (access[0] != 'r') {
        EXPECT(mallctl(name, &value, &length, NULL, 0) == EPERM, "%s can be read", name);
    } else if (!needs_input(name)) {
        check_readable(name, read_type);
    }
    if (access[0] == 'r' && access[1] == '-') {
        EXPECT(mallctl(name, NULL, NULL, &value, sizeof value) == EPERM, "%s can be written", name);
    }
}

static void every_name_exists_with_its_type_or_is_listed_as_missing(void **state)
{
    (void)state;
    char line[LINE_BYTES];
    unsigned known = 0;
    unsigned count = 0;
    FILE *file = fopen(names_file, "r");
    assert_non_null(file);
    load_missing();
    while (fgets(line, sizeof line, file) != NULL) {
        char *rest = line;
        const char *path = strsep(&rest, "\t\n");
        const char *access = strsep(&rest, "\t\n");
        const char *read_type = strsep(&rest, "\t\n");
        char name[LINE_BYTES];
        size_t mib[7];
        size_t depth = 7;
        concrete(path, name);
        count++;
        if (mallctlnametomib(name, mib, &depth) == ENOENT) {
            EXPECT(may_be_missing(path), "%s is missing", path);
            continue;
        }
        EXPECT(!is_exactly_missing(path), "%s is there: strike it off the list", path);
        check_name(name, access, read_type);
        known++;
    }
    fclose(file);
    assert_int_equal(count, 440);
    print_message("%u of %u names\n", known, count);
}

static void the_list_of_missing_names_is_not_longer_than_it_must_be(void **state)
{
    (void)state;
    for (unsigned i = 0; i < missing_count; i++) {
        EXPECT(missing[i].seen, "%s stands in the list for nothing", missing[i].name);
    }
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 3) {
        return 2;
    }
    names_file = arguments[1];
    missing_file = arguments[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_exists_with_its_type_or_is_listed_as_missing),
        cmocka_unit_test(the_list_of_missing_names_is_not_longer_than_it_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
