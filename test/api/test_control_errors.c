/* test_control_errors.c: goal: wrong calls of each control name of the contract are answered with
 * the listed error, by name and by MIB alike, and change nothing: no value, no byte of a buffer
 * beyond what is said to be copied, no errno.
 * Method: the list of names is a file, given as an argument; what is wrong follows from a name's
 * access and types. Names that do not exist yet are passed by: test_name_list knows them.
 */
#include "api_test.h"

/* Most names of the profiler exist for a process that profiles. */
const char *malloc_conf = "prof:true,prof_stats:true";

enum { LINE_BYTES = 256, DEPTH = 7, ROOM = 96, CANARY = 0xab, BEYOND = 9 };

struct row {
    char name[LINE_BYTES]; /* indices are 0 */
    char path[LINE_BYTES];
    char access[4];
    size_t read_bytes; /* 0: nothing, or no fixed size */
    size_t write_bytes;
};

static const char *names_file;

/* What a call is given, beside the name. */
struct call {
    bool has_old;
    bool has_length;
    bool has_new;
    size_t old_bytes;
    size_t new_bytes;
};

static unsigned char old_bytes[ROOM];
static unsigned char new_bytes[ROOM]; /* zeros */
static size_t old_length;

static int call_once(const struct row *row, const struct call *call, bool by_name)
{
    size_t mib[DEPTH];
    size_t depth = DEPTH;
    memset(old_bytes, CANARY, sizeof old_bytes);
    old_length = call->old_bytes;
    void *old = call->has_old ? old_bytes : NULL;
    size_t *length = call->has_length ? &old_length : NULL;
    void *new = call->has_new ? new_bytes : NULL;
    errno = 88;
    int result;
    if (by_name) {
        result = mallctl(row->name, old, length, new, call->new_bytes);
    } else {
        EXPECT(mallctlnametomib(row->name, mib, &depth) == 0, "%s: no MIB", row->name);
        result = mallctlbymib(mib, depth, old, length, new, call->new_bytes);
    }
    EXPECT(errno == 88, "%s: errno %d", row->name, errno);
    return result;
}

/* Bytes of the old buffer that are not as they were. */
static size_t bytes_written(void)
{
    size_t end = sizeof old_bytes;
    while (end > 0 && old_bytes[end - 1] == CANARY) {
        end--;
    }
    return end;
}

static void expect_error(const struct row *row, struct call call, int error)
{
    for (unsigned by_name = 0; by_name < 2; by_name++) {
        int result = call_once(row, &call, by_name != 0);
        EXPECT(result == error, "%s (old %d, length %d: %zu, new %d: %zu): %d, not %d", row->name,
               call.has_old, call.has_length, call.old_bytes, call.has_new, call.new_bytes, result,
               error);
        EXPECT(bytes_written() == 0, "%s: %zu bytes written", row->name, bytes_written());
    }
}

static size_t size_of_type(const char *type)
{
    static const struct {
        const char *type;
        size_t size;
    } sizes[] = {
        {"bool", sizeof(bool)},
        {"unsigned", sizeof(unsigned)},
        {"uint32_t", sizeof(uint32_t)},
        {"uint64_t", sizeof(uint64_t)},
        {"size_t", sizeof(size_t)},
        {"ssize_t", sizeof(ssize_t)},
        {"int64_t", sizeof(int64_t)},
        {"arena_config_t", 2 * sizeof(void *)},       /* hooks, and a flag */
        {"batch_alloc_packet_t", 4 * sizeof(void *)}, /* array, count, size, flags */
        {"hooks_t", 4 * sizeof(void *)},              /* three functions and their argument */
        {"safety_check_abort_hook_t", sizeof(void *)},
        {"prof_backtrace_hook_t", sizeof(void *)},
        {"prof_dump_hook_t", sizeof(void *)},
        {"prof_sample_hook_t", sizeof(void *)},
        {"prof_sample_free_hook_t", sizeof(void *)},
        {"prof_stats_t", 2 * sizeof(uint64_t)},     /* what was asked for, and how many */
        {"user_hook_object_t", 3 * sizeof(void *)}, /* a function, the interval, a flag */
    };
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (strcmp(type, sizes[i].type) == 0) {
            return sizes[i].size;
        }
    }
    size_t length = strlen(type);
    return length > 0 && type[length - 1] == '*' ? sizeof(void *) : 0;
}

/* The path with each <i> and <j> replaced by 0, but the one at `place` (from 0) by `index`. False
 * when there are not so many. */
static bool path_with_index(const char *path, unsigned place, const char *index, char *name)
{
    unsigned count = 0;
    while (*path != '\0') {
        if (*path == '<') {
            const char *text = count++ == place ? index : "0";
            name += sprintf(name, "%s", text);
            path += 3;
        } else {
            *name++ = *path++;
        }
    }
    *name = '\0';
    return place < count;
}

/* The next name that exists. */
static bool next_row(FILE *file, struct row *row)
{
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, file) != NULL) {
        char *rest = line;
        snprintf(row->path, sizeof row->path, "%s", strsep(&rest, "\t\n"));
        snprintf(row->access, sizeof row->access, "%s", strsep(&rest, "\t\n"));
        row->read_bytes = size_of_type(strsep(&rest, "\t\n"));
        row->write_bytes = size_of_type(strsep(&rest, "\t\n"));
        (void)path_with_index(row->path, UINT_MAX, "", row->name);
        size_t mib[DEPTH];
        size_t depth = DEPTH;
        if (mallctlnametomib(row->name, mib, &depth) == 0) {
            return true;
        }
    }
    return false;
}

/* Calls what tests each name, and expects that most of them exist. */
static void for_each_name(void (*test)(const struct row *row))
{
    struct row row;
    unsigned count = 0;
    FILE *file = fopen(names_file, "r");
    assert_non_null(file);
    while (next_row(file, &row)) {
        test(&row);
        count++;
    }
    fclose(file);
    assert_true(count > 400);
}

static bool stands_in(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(name, *names) != 0) {
        names++;
    }
    return *names != NULL;
}

/* Sources of the configuration that this process does not have cannot be read. */
static bool is_unset_source(const struct row *row)
{
    return strncmp(row->name, "opt.malloc_conf.", 16) == 0 &&
           mallctl(row->name, NULL, NULL, NULL, 0) == ENOENT;
}

/* Names that take a value in each call, or make something. */
static bool needs_buffers(const struct row *row)
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
                                        "experimental.hooks.install",
                                        NULL};
    return row->access[0] == '-' || stands_in(row->name, names);
}

static void expect_no_name(const char *name)
{
    size_t mib[DEPTH];
    size_t depth = DEPTH;
    EXPECT(mallctl(name, NULL, NULL, NULL, 0) == ENOENT, "%s is a name", name);
    EXPECT(mallctlnametomib(name, mib, &depth) == ENOENT, "%s has a MIB", name);
}

static void other_ends(const struct row *row)
{
    static const char *const ends[] = {".", ".0", ".x", "~", "..", " "};
    char name[LINE_BYTES + 4];
    for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", row->name, ends[i]);
        expect_no_name(name);
    }
    snprintf(name, sizeof name, ".%s", row->name);
    expect_no_name(name);
}

static void names_with_another_end_are_none(void **state)
{
    (void)state;
    for_each_name(other_ends);
}

/* Each part of a name up to a dot has a MIB, the start of the whole one, and no value. */
static void parts(const struct row *row)
{
    size_t whole[DEPTH];
    size_t whole_depth = DEPTH;
    assert_int_equal(mallctlnametomib(row->name, whole, &whole_depth), 0);
    size_t elements = 1;
    for (const char *dot = row->name; (dot = strchr(dot, '.')) != NULL; dot++, elements++) {
        struct row part = *row;
        size_t mib[DEPTH];
        size_t depth = DEPTH;
        part.name[dot - row->name] = '\0';
        EXPECT(mallctlnametomib(part.name, mib, &depth) == 0, "%s: no MIB", part.name);
        EXPECT(depth == elements, "%s: depth %zu", part.name, depth);
        assert_memory_equal(mib, whole, depth * sizeof mib[0]);
        expect_error(&part, (struct call){true, true, false, sizeof(size_t), 0}, ENOENT);
        expect_error(&part, (struct call){false, false, false, 0, 0}, ENOENT);
        expect_error(&part, (struct call){false, false, true, 0, sizeof(size_t)}, ENOENT);
    }
    assert_int_equal(elements, whole_depth);
}

static void parts_of_names_have_a_mib_and_no_value(void **state)
{
    (void)state;
    for_each_name(parts);
}

/* The first index at this place that is beyond all. */
static const char *index_beyond(const char *path, unsigned place)
{
    if (place == 0 && strncmp(path, "arenas.bin", 10) == 0) {
        return "36";
    }
    if (place == 0 && strncmp(path, "arenas.lextent", 14) == 0) {
        return "196";
    }
    return place == 0                           ? "4095"
           : strstr(path, ".bins.") != NULL     ? "36"
           : strstr(path, ".lextents.") != NULL ? "196"
           : strstr(path, ".extents.") != NULL  ? "199"
                                                : "64";
}

static void indices(const struct row *row)
{
    static const char *const wrong[] = {"4098", "4294967295", "18446744073709551615",
                                        "99999999999999999999999"};
    char name[LINE_BYTES + 32];
    for (unsigned place = 0; path_with_index(row->path, place, "0", name); place++) {
        static const char *const no_numbers[] = {"", "x", "-1", "0x0", "+0", " 0", "0 "};
        (void)path_with_index(row->path, place, index_beyond(row->path, place), name);
        EXPECT(mallctl(name, NULL, NULL, NULL, 0) == ENOENT, "%s is a name", name);
        for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            (void)path_with_index(row->path, place, wrong[i], name);
            EXPECT(mallctl(name, NULL, NULL, NULL, 0) == ENOENT, "%s is a name", name);
        }
        for (unsigned i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++) {
            (void)path_with_index(row->path, place, no_numbers[i], name);
            EXPECT(mallctl(name, NULL, NULL, NULL, 0) == ENOENT, "%s is a name", name);
        }
    }
}

static void indices_beyond_the_last_are_no_names(void **state)
{
    (void)state;
    for_each_name(indices);
}

static void forbidden(const struct row *row)
{
    bool reads = row->access[0] == 'r';
    bool writes = row->access[1] == 'w';
    for (unsigned kind = 0; kind < 16 && !is_unset_source(row); kind++) {
        struct call call = {kind & 1, kind & 2, kind & 4, sizeof(void *), kind & 8 ? 8 : 0};
        bool asks = call.has_old || call.has_length;
        bool gives = call.has_new || call.new_bytes != 0;
        if ((asks && !reads) || (gives && !writes)) {
            expect_error(row, call, EPERM);
        }
    }
}

static void what_is_not_allowed_is_eperm(void **state)
{
    (void)state;
    for_each_name(forbidden);
}

static void read_lengths(const struct row *row)
{
    if (needs_buffers(row) || is_unset_source(row)) {
        return;
    }
    const size_t size = row->read_bytes;
    EXPECT(size != 0 || strcmp(row->access, "rw") != 0, "%s has no size", row->name);
    unsigned char value[ROOM];
    for (unsigned by_name = 0; by_name < 2; by_name++) {
        struct call call = {true, true, false, size, 0};
        assert_int_equal(call_once(row, &call, by_name != 0), 0);
        EXPECT(old_length == size && bytes_written() <= size, "%s: %zu", row->name, old_length);
        memcpy(value, old_bytes, sizeof value);
        for (call.old_bytes = 0; call.old_bytes <= size + BEYOND; call.old_bytes++) {
            size_t copied = call.old_bytes < size ? call.old_bytes : size;
            int result = call_once(row, &call, by_name != 0);
            EXPECT(result == (call.old_bytes == size ? 0 : EINVAL), "%s, length %zu: %d", row->name,
                   call.old_bytes, result);
            EXPECT(old_length == copied, "%s: length %zu, not %zu", row->name, old_length, copied);
            EXPECT(memcmp(old_bytes, value, copied) == 0, "%s: another value", row->name);
            EXPECT(bytes_written() <= copied, "%s: %zu written", row->name, bytes_written());
        }
    }
}

static void a_wrong_old_length_is_einval_and_a_partial_copy(void **state)
{
    (void)state;
    for_each_name(read_lengths);
}

/* A buffer without a length, and a length without a buffer, are not looked at. */
static void probes(const struct row *row)
{
    if (!needs_buffers(row) && !is_unset_source(row)) {
        bool refuses = strncmp(row->name, "experimental.hooks.prof_", 24) == 0;
        expect_error(row, (struct call){false, false, false, 0, 0}, refuses ? EINVAL : 0);
        expect_error(row, (struct call){true, false, false, 0, 0}, 0);
        expect_error(row, (struct call){false, true, false, 3, 0}, refuses ? EINVAL : 0);
        assert_int_equal(old_length, 3);
    }
}

static void a_probe_of_a_readable_name_succeeds(void **state)
{
    (void)state;
    for_each_name(probes);
}

static void write_lengths(const struct row *row)
{
    unsigned char before[ROOM] = {0};
    bool is_plain = row->access[0] == 'r' && !needs_buffers(row);
    struct call read = {true, true, false, row->read_bytes, 0};
    if (row->access[1] != 'w' || row->write_bytes == 0) {
        return;
    }
    if (is_plain) {
        assert_int_equal(call_once(row, &read, true), 0);
        memcpy(before, old_bytes, sizeof before);
    }
    for (size_t given = 0; given <= row->write_bytes + BEYOND; given++) {
        if (given != row->write_bytes) {
            expect_error(row, (struct call){false, false, true, 0, given}, EINVAL);
        }
    }
    if (is_plain) {
        assert_int_equal(call_once(row, &read, true), 0);
        EXPECT(memcmp(old_bytes, before, sizeof before) == 0, "%s: changed", row->name);
    }
}

static void a_wrong_new_length_is_einval_and_changes_nothing(void **state)
{
    (void)state;
    for_each_name(write_lengths);
}

/* Something must be written, or there must be room for what is made. */
static void missing_buffers(const struct row *row)
{
    static const char *const made[] = {"tcache.create", "arenas.create",
                                       "experimental.arenas_create_ext", "experimental.batch_alloc",
                                       NULL};
    if (!needs_buffers(row) || strcmp(row->access, "--") == 0 ||
        strcmp(row->name, "arena.0.name") == 0 || strcmp(row->name, "prof.reset") == 0 ||
        strcmp(row->name, "prof.dump") == 0 || strcmp(row->name, "prof.log_start") == 0 ||
        strcmp(row->name, "experimental.hooks.safety_check_abort") == 0) {
        return; /* Those before the last can do without; the last leaves everything as it is. */
    }
    expect_error(row, (struct call){false, false, false, 0, 0}, EINVAL);
    for (size_t length = 0; stands_in(row->name, made) && length < row->read_bytes; length++) {
        bool given = strcmp(row->name, "experimental.batch_alloc") == 0;
        struct call call = {true, true, given, length, given ? row->write_bytes : 0};
        expect_error(row, call, EINVAL);
        EXPECT(old_length == 0, "%s: length %zu", row->name, old_length);
    }
}

static void missing_or_short_buffers_are_einval(void **state)
{
    (void)state;
    for_each_name(missing_buffers);
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 2) {
        return 2;
    }
    names_file = arguments[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_with_another_end_are_none),
        cmocka_unit_test(parts_of_names_have_a_mib_and_no_value),
        cmocka_unit_test(indices_beyond_the_last_are_no_names),
        cmocka_unit_test(what_is_not_allowed_is_eperm),
        cmocka_unit_test(a_wrong_old_length_is_einval_and_a_partial_copy),
        cmocka_unit_test(a_probe_of_a_readable_name_succeeds),
        cmocka_unit_test(a_wrong_new_length_is_einval_and_changes_nothing),
        cmocka_unit_test(missing_or_short_buffers_are_einval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
