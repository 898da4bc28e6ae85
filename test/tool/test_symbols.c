/* test_symbols.c: the frames at an address, from every form of debug information.
 *
 * Goal: functions, files, lines and inlined calls are those of the program; what is wrong with a
 * file is told in one line, and gives no frames. Method: programs in every form, built beside this
 * test, that printed their mappings, addresses, and the stacks that stand there; the same files
 * moved, damaged, or under another build id.
 */
#include "elf_file.h"
#include "symbols.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    MAPPINGS_MAX = 64,
    CALLS_MAX = 8,
    FRAMES_MAX = 4,
};

struct expected_frame {
    char function[32];
    unsigned line;
    int is_inlined;
};

/* What a program printed. */
struct output {
    struct mapping mappings[MAPPINGS_MAX];
    size_t mapping_count;
    char paths[MAPPINGS_MAX][PATH_MAX];
    uint64_t addresses[CALLS_MAX];
    struct expected_frame frames[CALLS_MAX][FRAMES_MAX];
    size_t call_count;
};

static struct output output;
static char told[4096];
static size_t told_count;

static void tell(void *context, const char *line)
{
    assert_null(context);
    assert_null(strchr(line, '\n'));
    snprintf(told, sizeof told, "%s", line);
    told_count++;
}

static const struct symbols_options telling = {.warn = tell};

static void read_mapping(const char *line)
{
    struct mapping *mapping = &output.mappings[output.mapping_count];
    char *path = output.paths[output.mapping_count];
    char rights[8];
    *path = '\0';
    assert_true(sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %4095[^\n]",
                       &mapping->start, &mapping->end, rights, &mapping->offset, path) >= 4);
    mapping->is_executable = rights[2] == 'x';
    mapping->path = path;
    mapping->build_id = NULL;
    output.mapping_count++;
    assert_true(output.mapping_count < MAPPINGS_MAX);
}

static void read_call(const char *line)
{
    size_t call = output.call_count++;
    assert_true(output.call_count <= CALLS_MAX);
    int used;
    assert_int_equal(sscanf(line, "%" SCNx64 "%n", &output.addresses[call], &used), 1);
    memset(output.frames[call], 0, sizeof output.frames[call]);
    for (size_t i = 0; i < FRAMES_MAX; i++) {
        struct expected_frame *frame = &output.frames[call][i];
        line += used;
        if (sscanf(line, " %31s %u %d%n", frame->function, &frame->line, &frame->is_inlined,
                   &used) != 3) {
            break;
        }
    }
}

/* Reads PROGRAM.out. */
static void read_output(const char *program)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.out", program);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    output.mapping_count = 0;
    output.call_count = 0;
    char line[PATH_MAX + 128];
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0x", 2) == 0) {
            read_call(line);
        } else {
            read_mapping(line);
        }
    }
    fclose(file);
    assert_int_equal(output.call_count, 5);
    told_count = 0;
    *told = '\0';
}

static bool is_of(const struct mapping *mapping, const char *program)
{
    const char *slash = strrchr(mapping->path, '/');
    return slash != NULL && strcmp(slash + 1, program) == 0;
}

/* Changes all mappings of the program. */
static void set_mappings(const char *program, const char *path, const char *build_id)
{
    for (size_t i = 0; i < output.mapping_count; i++) {
        if (is_of(&output.mappings[i], program)) {
            output.mappings[i].path = path;
            output.mappings[i].build_id = build_id;
        }
    }
}

static struct symbols *open_output(const struct symbols_options *options, const char *program)
{
    return symbols_open(options, program, output.mappings, output.mapping_count);
}

static void check_call(struct symbols *symbols, size_t call)
{
    const struct symbol_frame *frames;
    size_t count = symbols_find(symbols, output.addresses[call], &frames);
    for (size_t i = 0; i < count; i++) {
        const struct expected_frame *expected = &output.frames[call][i];
        assert_true(i < FRAMES_MAX);
        assert_non_null(frames[i].function);
        assert_string_equal(frames[i].function, expected->function);
        assert_non_null(frames[i].file);
        assert_int_equal(frames[i].file[0], '/');
        assert_non_null(strstr(frames[i].file, "/symbol_program.c"));
        assert_int_equal(frames[i].line, expected->line);
        assert_int_equal(frames[i].is_inlined, expected->is_inlined);
    }
    assert_true(count > 0);
    assert_false(frames[count - 1].is_inlined);
}

/* All frames are those that the program printed, and nothing is told. */
static void check_calls(struct symbols *symbols)
{
    for (size_t i = 0; i < output.call_count; i++) {
        check_call(symbols, i);
    }
    assert_string_equal(told, "");
    symbols_close(symbols);
}

/* No address of the program has a frame, and one line says why, or none where lines is 0. */
static void check_unknown(struct symbols *symbols, size_t lines)
{
    const struct symbol_frame *frames;
    symbols_find_all(symbols, output.addresses, output.call_count);
    for (size_t i = 0; i < output.call_count; i++) {
        assert_int_equal(symbols_find(symbols, output.addresses[i], &frames), 0);
        assert_int_equal(symbols_find(symbols, output.addresses[i] + 1, &frames), 0);
    }
    assert_int_equal(told_count, lines);
    symbols_close(symbols);
}

static void test_forms(void **state)
{
    (void)state;
    static const char *const programs[] = {"pdwarf5",     "pdwarf4", "pfixed",
                                           "pcompressed", "psplit",  "plink",
                                           "psegment",    "pjoined", "prelative"};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        read_output(programs[i]);
        check_calls(open_output(&telling, NULL));
        struct symbols *symbols = open_output(&telling, programs[i]);
        symbols_find_all(symbols, output.addresses, output.call_count);
        check_calls(symbols);
    }
}

static void test_shared_dwarf(void **state)
{
    (void)state;
    if (access("pshared1.out", F_OK) != 0) {
        skip(); /* there is no dwz here */
    }
    read_output("pshared1");
    check_calls(open_output(&telling, NULL));
}

static void test_without_dwarf(void **state)
{
    (void)state;
    static const char *const names[] = {"plain", "outermost", "outermost", "outermost", "far"};
    read_output("pnone");
    struct symbols *symbols = open_output(&telling, NULL);
    for (size_t i = 0; i < output.call_count; i++) {
        const struct symbol_frame *frames;
        assert_int_equal(symbols_find(symbols, output.addresses[i], &frames), 1);
        assert_string_equal(frames[0].function, names[i]);
        assert_null(frames[0].file);
        assert_int_equal(frames[0].line, 0);
    }
    assert_int_equal(told_count, 0);
    symbols_close(symbols);
}

/* The rows of a routine begin at its start, ascend within it, and one of them has the line of the
 * call, in each of its frames. */
static void check_rows(struct symbols *symbols, size_t call, const struct symbol_routine *routine)
{
    uint64_t *rows;
    size_t count = symbols_rows(symbols, output.addresses[call], &rows);
    const struct expected_frame *expected = output.frames[call];
    size_t found = 0;
    assert_true(count > 0);
    assert_true(rows[0] == routine->start + routine->moved);
    for (size_t i = 0; i < count; i++) {
        const struct symbol_frame *frames;
        assert_true(i == 0 || rows[i] > rows[i - 1]);
        assert_true(rows[i] < routine->end + routine->moved);
        size_t depth = symbols_find(symbols, rows[i], &frames);
        found += depth > 0 && frames[0].line == expected->line &&
                 strcmp(frames[0].function, expected->function) == 0;
    }
    assert_true(found > 0);
    free(rows);
}

static void check_routines(const char *program, bool has_rows)
{
    read_output(program);
    struct symbols *symbols = open_output(&telling, NULL);
    struct symbol_routine routines[CALLS_MAX];
    assert_true(output.call_count >= 5);
    for (size_t i = 0; i < output.call_count; i++) {
        struct symbol_routine *routine = &routines[i];
        uint64_t *rows;
        assert_true(symbols_routine(symbols, output.addresses[i], routine));
        assert_true(output.addresses[i] - routine->moved >= routine->start);
        assert_true(output.addresses[i] - routine->moved < routine->end);
        assert_true(is_of(&(struct mapping){.path = routine->path}, program));
        if (has_rows) {
            check_rows(symbols, i, routine);
        } else {
            assert_int_equal(symbols_rows(symbols, output.addresses[i], &rows), 0);
            assert_null(rows);
        }
    }
    /* plain, three calls in outermost, far */
    assert_true(routines[0].start != routines[1].start);
    assert_true(routines[1].start == routines[2].start && routines[2].start == routines[3].start);
    assert_true(routines[3].start != routines[4].start);
    assert_false(symbols_routine(symbols, 1, &routines[0]));
    symbols_close(symbols);
}

static void test_routines(void **state)
{
    static const char *const programs[] = {"pdwarf5", "pdwarf4", "pfixed", "psplit", "psegment"};
    (void)state;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        check_routines(programs[i], true);
    }
    check_routines("pnone", false);
    assert_int_equal(told_count, 0);
}

static void test_many(void **state)
{
    (void)state;
    read_output("pdwarf5");
    const struct mapping *code = &output.mappings[0];
    while (!code->is_executable) {
        code++;
    }
    size_t count = code->end - code->start;
    uint64_t *addresses = calloc(2 * count, sizeof *addresses);
    assert_non_null(addresses);
    for (size_t i = 0; i < 2 * count; i++) {
        addresses[i] = code->start + (i * 7919 + i / count) % count; /* in no order, each twice */
    }
    struct symbols *together = open_output(&telling, NULL);
    struct symbols *single = open_output(&telling, NULL);
    symbols_find_all(together, addresses, 2 * count);
    for (size_t i = 0; i < count; i++) {
        const struct symbol_frame *frames;
        const struct symbol_frame *others;
        size_t found = symbols_find(together, code->start + i, &frames);
        assert_int_equal(symbols_find(single, code->start + i, &others), found);
        for (size_t j = 0; j < found; j++) {
            assert_int_equal(frames[j].line, others[j].line);
            assert_int_equal(frames[j].function == NULL, others[j].function == NULL);
            if (frames[j].function != NULL) {
                assert_string_equal(frames[j].function, others[j].function);
            }
        }
    }
    free(addresses);
    symbols_close(single);
    check_calls(together);
}

static void read_id(char id[BUILD_ID_TEXT_BYTES])
{
    FILE *file = fopen("pid.id", "re");
    assert_non_null(file);
    assert_non_null(fgets(id, BUILD_ID_TEXT_BYTES, file));
    id[strcspn(id, "\n")] = '\0';
    fclose(file);
}

static void test_debug_paths(void **state)
{
    (void)state;
    static const char *const places[] = {"moved/by_hand", "folder"};
    read_output("pid");
    check_unknown(open_output(&telling, NULL), 0); /* stripped, which is no error */
    char id[BUILD_ID_TEXT_BYTES];
    read_id(id);
    for (size_t i = 0; i < 2; i++) {
        struct symbols_options options = {
            .warn = tell, .debug_paths = &places[i], .debug_path_count = 1};
        read_output("pid");
        check_calls(open_output(&options, NULL));
        /* The program is gone: the debug file is enough. */
        set_mappings("pid", "/gone/pid", id);
        check_calls(open_output(&options, NULL));
    }
}

/* The server is a folder here. Its library is loaded by libdw itself, if there is one. */
static void test_debuginfod(void **state)
{
    (void)state;
    struct symbols_options options = {.warn = tell};
    char path[PATH_MAX];
    char url[PATH_MAX + sizeof "file:///server"];
    void *library = dlopen("libdebuginfod.so.1", RTLD_LAZY);
    if (library == NULL) {
        skip();
    }
    dlclose(library);
    assert_non_null(realpath("cache", path));
    setenv("DEBUGINFOD_CACHE_PATH", path, 1);
    assert_non_null(realpath(".", path));
    snprintf(url, sizeof url, "file://%s/server", path);
    setenv("DEBUGINFOD_URLS", url, 1);
    read_output("pid");
    check_unknown(open_output(&options, NULL), 0);
    setenv("DEBUGINFOD_URLS", url, 1);
    options.uses_debuginfod = true;
    check_calls(open_output(&options, NULL));
    unsetenv("DEBUGINFOD_URLS");
}

static void test_build_id(void **state)
{
    (void)state;
    static const char *const debug_file = "moved/by_hand";
    const struct symbols_options options = {
        .warn = tell, .debug_paths = &debug_file, .debug_path_count = 1};
    char id[BUILD_ID_TEXT_BYTES];
    read_id(id);
    read_output("pid");
    set_mappings("pid", output.mappings[0].path, id);
    check_calls(open_output(&options, "pid"));
    read_output("pid");
    set_mappings("pid", output.mappings[0].path, "0123456789abcdef");
    check_unknown(open_output(&telling, NULL), 1);
    assert_non_null(strstr(told, id));
    assert_non_null(strstr(told, "0123456789abcdef"));
    /* A program of another build id is told, and the mapping's own path used if it is right. */
    read_output("pid");
    set_mappings("pid", output.mappings[0].path, id);
    struct symbols *symbols = open_output(&options, "pdwarf4");
    check_call(symbols, 0);
    assert_int_equal(told_count, 1);
    assert_non_null(strstr(told, "pdwarf4: "));
    symbols_close(symbols);
}

static void test_moved(void **state)
{
    (void)state;
    read_output("pdwarf5");
    set_mappings("pdwarf5", "/gone/pdwarf5", NULL);
    check_unknown(open_output(&telling, NULL), 1);
    assert_string_equal(told, "/gone/pdwarf5: No such file or directory");
    read_output("pdwarf5");
    set_mappings("pdwarf5", "/gone/pdwarf5", NULL);
    check_calls(open_output(&telling, "pdwarf5"));
    /* Under another name it stands in for the first file that is mapped. */
    set_mappings("pdwarf5", "/gone/renamed", NULL);
    set_mappings("renamed", "/gone/renamed", NULL);
    check_calls(open_output(&telling, "pdwarf5"));
    char folders[PATH_MAX];
    snprintf(folders, sizeof folders, "/nowhere,%s", "prefix");
    const struct symbols_options options = {.warn = tell, .library_prefixes = folders};
    read_output("pdwarf5");
    set_mappings("pdwarf5", "/gone/pdwarf5", NULL);
    check_calls(open_output(&options, NULL));
}

static void test_deleted(void **state)
{
    (void)state;
    static const char *const debug_file = "moved/by_hand";
    const struct symbols_options options = {
        .warn = tell, .debug_paths = &debug_file, .debug_path_count = 1};
    char id[BUILD_ID_TEXT_BYTES];
    char path[2 * PATH_MAX];
    read_id(id);
    read_output("pid");
    snprintf(path, sizeof path, "%s (deleted)", output.mappings[0].path);
    set_mappings("pid", path, NULL);
    check_unknown(open_output(&options, NULL), 1);
    assert_non_null(strstr(told, "pid (deleted): "));
    read_output("pid");
    set_mappings("pid", path, id);
    check_calls(open_output(&options, NULL));
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"truncated", "shorter", "text",  "empty",
                                        "pipe",      "folder",  "part.o"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[PATH_MAX];
        read_output("pdwarf5");
        assert_non_null(realpath(names[i], path));
        set_mappings("pdwarf5", path, NULL);
        check_unknown(open_output(&telling, NULL), 1);
        assert_int_equal(strncmp(told, path, strlen(path)), 0);
        bool is_pipe = strcmp(names[i], "pipe") == 0;
        assert_int_equal(strstr(told, ": not a plain file") != NULL, is_pipe);
    }
}

static void test_added_library(void **state)
{
    (void)state;
    static const char *const added = "pfixed";
    const struct symbols_options options = {
        .warn = tell, .added_libraries = &added, .added_library_count = 1};
    read_output("pfixed");
    output.mapping_count = 0; /* the addresses are those it was linked for */
    check_calls(open_output(&options, NULL));
    read_output("pfixed");
    set_mappings("pfixed", "/gone/pfixed", NULL);
    check_calls(open_output(&options, NULL));
    read_output("pfixed");
    output.mapping_count = 0;
    check_calls(open_output(&telling, "pfixed"));
}

static void test_nowhere(void **state)
{
    (void)state;
    static const uint64_t addresses[] = {0, 1, 4096, UINT64_MAX, UINT64_MAX - 1};
    const struct symbol_frame *frames;
    read_output("pdwarf5");
    struct symbols *symbols = open_output(NULL, NULL);
    symbols_find_all(symbols, addresses, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(symbols_find(symbols, addresses[i], &frames), 0);
    }
    symbols_close(symbols);
    symbols = symbols_open(NULL, NULL, NULL, 0);
    symbols_find_all(symbols, NULL, 0);
    assert_int_equal(symbols_find(symbols, 1, &frames), 0);
    symbols_close(symbols);
}

static void test_vdso(void **state)
{
    (void)state;
    struct elf_file file;
    struct debug_places places = {.path = NULL};
    const uint64_t start = getauxval(AT_SYSINFO_EHDR);
    if (start == 0 || elf_file_open_vdso(&file, &places) != NULL) {
        skip();
    }
    struct mapping mapping = {start, start + 0x2000, 0, true, "[vdso]", file.build_id};
    size_t known = 0;
    struct symbols *symbols = symbols_open(&telling, NULL, &mapping, 1);
    told_count = 0;
    for (uint64_t address = mapping.start; address < mapping.end; address++) {
        const struct symbol_frame *frames;
        known += symbols_find(symbols, address, &frames);
    }
    assert_true(known > 100);
    symbols_close(symbols);
    mapping.build_id = "00";
    symbols = symbols_open(&telling, NULL, &mapping, 1);
    const struct symbol_frame *frames;
    assert_int_equal(symbols_find(symbols, mapping.start + 0x700, &frames), 0);
    assert_int_equal(told_count, 0);
    symbols_close(symbols);
    elf_file_close(&file);
}

static uint64_t nm_address(const char *list, const char *name)
{
    FILE *file = fopen(list, "re");
    assert_non_null(file);
    char line[256];
    uint64_t address;
    uint64_t found = 0;
    char symbol[200];
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%" SCNx64 " %*c %199s", &address, symbol) == 2 &&
            strcmp(symbol, name) == 0) {
            found = address;
        }
    }
    fclose(file);
    assert_true(found != 0);
    return found;
}

/* A symbol with a size holds its bytes alone, one without holds all up to the next symbol. */
static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *symbol;
        unsigned offset;
        const char *name;
    } places[] = {
        {"bare_first", 0, "bare_first"},
        {"bare_first", 15, "bare_first"},
        {"bare_second", 0, "bare_second"},
        {"bare_second", 15, "bare_second"},
        {"sized", 0, "sized"},
        {"sized", 3, "sized"},
        {"sized", 4, NULL},
        {"sized", 15, NULL},
        {"sized", 16, "after_sized"},
    };
    struct symbols *symbols = symbols_open(&telling, "pnone", NULL, 0);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const struct symbol_frame *frames;
        uint64_t address = nm_address("pnone.nm", places[i].symbol) + places[i].offset;
        size_t count = symbols_find(symbols, address, &frames);
        assert_int_equal(count, places[i].name != NULL ? 1 : 0);
        if (count > 0) {
            assert_string_equal(frames[0].function, places[i].name);
        }
    }
    symbols_close(symbols);
}

/* Looks a function up by its linker's name, as nm printed its address. */
static void check_name(struct symbols *symbols, const char *linker_name, const char *name)
{
    FILE *file = fopen("libnames.nm", "re");
    assert_non_null(file);
    char line[256];
    bool is_found = false;
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t address;
        char symbol[200];
        const struct symbol_frame *frames;
        if (sscanf(line, "%" SCNx64 " %*c %199s", &address, symbol) == 2 &&
            strncmp(symbol, linker_name, strlen(linker_name)) == 0) {
            size_t count = symbols_find(symbols, address, &frames);
            assert_true(count > 0);
            assert_int_equal(strncmp(frames[count - 1].function, name, strlen(name)), 0);
            is_found = true;
        }
    }
    fclose(file);
    assert_true(is_found);
}

static void test_names(void **state)
{
    (void)state;
    if (access("libnames.nm", F_OK) != 0) {
        skip(); /* there is no C++ compiler here */
    }
    struct symbols *symbols = symbols_open(&telling, "libnames.so", NULL, 0);
    check_name(symbols, "_ZNK5outer3boxIiLi3EE4takeEi", "outer::box<int, 3>::take(int) const");
    check_name(symbols, "_ZN5outer5entryEi", "outer::entry(int)");
    check_name(symbols, "_ZN5outerL5localEiPKc", "outer::local(int, char const*)");
    check_name(symbols, "_ZN5outer12_GLOBAL__N_16hiddenEi",
               "outer::(anonymous namespace)::hidden(int)");
    check_name(symbols, "plain_c", "plain_c");
    symbols_close(symbols);
}

int main(int argument_count, char **arguments)
{
    if (argument_count != 2 || chdir(arguments[1]) != 0) {
        fprintf(stderr, "usage: test_symbols FOLDER-OF-PROGRAMS\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),         cmocka_unit_test(test_shared_dwarf),
        cmocka_unit_test(test_without_dwarf), cmocka_unit_test(test_many),
        cmocka_unit_test(test_debug_paths),   cmocka_unit_test(test_build_id),
        cmocka_unit_test(test_moved),         cmocka_unit_test(test_deleted),
        cmocka_unit_test(test_damaged),       cmocka_unit_test(test_added_library),
        cmocka_unit_test(test_nowhere),       cmocka_unit_test(test_vdso),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_debuginfod),
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_routines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
