/* symbol_file.c: the file behind mappings of one path, and the frames it knows. See symbol_file.h.
 *
 * The file and its DWARF are open only while addresses are looked up.
 */
#include "symbol_file.h"

#include "symbol_name.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char deleted[] = " (deleted)";

/* Places are tried one after the other; the first failure is told if all fail. */
struct search {
    struct symbol_file *file;
    struct symbol_source *source;
    char *failure; /* NULL: none yet */
};

static __attribute__((format(printf, 2, 3))) void warn(const struct symbol_source *source,
                                                       const char *format, ...)
{
    char *line;
    va_list arguments;
    va_start(arguments, format);
    if (source->options.warn != NULL && vasprintf(&line, format, arguments) >= 0) {
        source->options.warn(source->options.warn_context, line);
        free(line);
    }
    va_end(arguments);
}

static bool is_deleted(const char *path)
{
    size_t length = strlen(path);
    return length >= strlen(deleted) && strcmp(path + length - strlen(deleted), deleted) == 0;
}

const char *path_base(const char *path, size_t *length)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    *length = strlen(base) - (is_deleted(base) ? strlen(deleted) : 0);
    return base;
}

static bool is_same_base(const char *path, const char *other)
{
    size_t length;
    size_t other_length;
    const char *base = path_base(path, &length);
    const char *other_base = path_base(other, &other_length);
    return length == other_length && memcmp(base, other_base, length) == 0;
}

static __attribute__((format(printf, 2, 3))) void search_failed(struct search *search,
                                                                const char *format, ...)
{
    if (search->failure != NULL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&search->failure, format, arguments) < 0) {
        search->failure = NULL;
    }
    va_end(arguments);
}

/* Opens a file if it is the one that ran, as far as that can be told. */
static bool search_try(struct search *search, const char *path)
{
    struct symbol_file *file = search->file;
    const char *error = elf_file_open(&file->elf, path, &search->source->places);
    if (error != NULL) {
        search_failed(search, "%s: %s", path, error);
        return false;
    }
    const char *is = file->elf.build_id;
    if (file->build_id != NULL && strcasecmp(file->build_id, is) != 0) {
        search_failed(search,
                      "%s: its build id is %s, the profiled file's %s (give that file as the "
                      "program, or its folder with --lib_prefix)",
                      path, *is != '\0' ? is : "missing", file->build_id);
        elf_file_close(&file->elf);
        return false;
    }
    file->found = text_pool_keep(&search->source->pool, path);
    return true;
}

static bool search_added(struct search *search)
{
    const struct symbols_options *options = &search->source->options;
    for (size_t i = 0; i < options->added_library_count; i++) {
        const char *path = options->added_libraries[i];
        if (is_same_base(path, search->file->path) && search_try(search, path)) {
            return true;
        }
    }
    return false;
}

/* A library's path below each of the folders that are given. */
static bool search_prefixes(struct search *search, const char *path, size_t length)
{
    const char *rest = search->source->options.library_prefixes;
    bool is_found = false;
    while (rest != NULL && *rest != '\0' && !is_found) {
        size_t prefix = strcspn(rest, ",");
        char *joined;
        if (prefix > 0 &&
            asprintf(&joined, "%.*s/%.*s", (int)prefix, rest, (int)length, path) >= 0) {
            /* That a library is not there is no failure: its own path follows. */
            is_found = access(joined, F_OK) == 0 && search_try(search, joined);
            free(joined);
        }
        rest += prefix + (rest[prefix] == ',');
    }
    return is_found;
}

static bool search_path(struct search *search)
{
    struct symbol_file *file = search->file;
    size_t length = strlen(file->path);
    bool was_deleted = is_deleted(file->path);
    length -= was_deleted ? strlen(deleted) : 0;
    if (search_prefixes(search, file->path, length)) {
        return true;
    }
    if (was_deleted && file->build_id == NULL) {
        search_failed(search,
                      "%s: what has this name now may be another file, and the profile "
                      "has no build id to tell (give its folder with --lib_prefix)",
                      file->path);
        return false;
    }
    char *path = strndup(file->path, length);
    bool is_found = path != NULL && search_try(search, path);
    free(path);
    return is_found;
}

/* The file itself is gone: its debug information has the same addresses. */
static bool search_build_id(struct search *search, const char *folder, size_t length)
{
    const char *id = search->file->build_id;
    char *path;
    if (strlen(id) < 4 || strchr(id, '/') != NULL ||
        asprintf(&path, "%.*s/.build-id/%.2s/%s.debug", (int)length, folder, id, id + 2) < 0) {
        return false;
    }
    bool is_found = access(path, F_OK) == 0 && search_try(search, path);
    free(path);
    return is_found;
}

static bool search_debug_places(struct search *search)
{
    const struct symbol_source *source = search->source;
    if (search->file->build_id == NULL) {
        return false;
    }
    for (size_t i = 0; i < source->options.debug_path_count; i++) {
        const char *path = source->options.debug_paths[i];
        if (search_build_id(search, path, strlen(path))) {
            return true;
        }
    }
    for (size_t i = 0; i < source->places.file_count; i++) {
        if (search_try(search, source->places.files[i])) {
            return true;
        }
    }
    static const char folder[] = "/usr/lib/debug";
    return search_build_id(search, folder, strlen(folder));
}

/* The vdso of this process is that of the profiled one when it has the same build id. */
static bool search_vdso(struct search *search)
{
    struct symbol_file *file = search->file;
    if (file->build_id == NULL || elf_file_open_vdso(&file->elf, &search->source->places) != NULL) {
        return false;
    }
    if (strcasecmp(file->build_id, file->elf.build_id) != 0) {
        elf_file_close(&file->elf);
        return false;
    }
    file->found = file->path;
    return true;
}

static bool search_all(struct search *search)
{
    struct symbol_source *source = search->source;
    struct symbol_file *file = search->file;
    if (strcmp(file->path, "[vdso]") == 0) {
        return search_vdso(search);
    }
    if (file->is_program && search_try(search, source->program)) {
        return true;
    }
    if (search->failure != NULL) {
        /* The program was given by hand: that it is the wrong one is told in any case. */
        warn(source, "%s", search->failure);
        free(search->failure);
        search->failure = NULL;
    }
    bool is_program_path = file->is_program && strcmp(file->path, source->program) == 0;
    return search_added(search) || (!is_program_path && search_path(search)) ||
           search_debug_places(search);
}

static void open_dwarf(struct symbol_file *file, const struct symbol_source *source, bool is_told)
{
    const char *error;
    Dwarf *dwarf = elf_file_dwarf(&file->elf, &file->dwarf_bias, &error);
    if (error != NULL && is_told) {
        warn(source, "%s: its debug information cannot be read: %s", file->found, error);
    }
    if (dwarf != NULL) {
        dwarf_scopes_open(&file->scopes, dwarf);
    }
}

static bool open_again(struct symbol_file *file, struct symbol_source *source)
{
    return strcmp(file->path, "[vdso]") == 0
               ? elf_file_open_vdso(&file->elf, &source->places) == NULL
               : elf_file_open(&file->elf, file->found, &source->places) == NULL;
}

bool symbol_file_open(struct symbol_file *file, struct symbol_source *source)
{
    if (file->is_open || (file->is_asked_for && !file->is_usable)) {
        return file->is_open;
    }
    bool is_first = !file->is_asked_for;
    if (is_first) {
        struct search search = {.file = file, .source = source};
        file->is_asked_for = true;
        file->is_usable = search_all(&search);
        if (!file->is_usable && search.failure != NULL) {
            warn(source, "%s", search.failure);
        }
        free(search.failure);
    } else {
        file->is_usable = open_again(file, source);
    }
    file->is_open = file->is_usable;
    if (file->is_open) {
        open_dwarf(file, source, is_first);
    }
    return file->is_open;
}

bool symbol_file_address(const struct symbol_file *file, const struct mapping *mapping,
                         uint64_t address, uint64_t *linked)
{
    if (!file->elf.is_without_code) {
        return elf_file_address(&file->elf, address - mapping->start + mapping->offset,
                                mapping->is_executable, linked);
    }
    /* The first mapping is that of the lowest segment. */
    *linked = address - file->lowest_start + elf_file_lowest_page(&file->elf);
    return true;
}

static const struct table_symbol *symbol_at(struct symbol_file *file, uint64_t linked)
{
    if (!file->has_table) {
        symbol_table_read(&file->table, file->elf.module);
        file->has_table = true;
    }
    return symbol_table_find(&file->table, linked);
}

static const char *name_at(struct symbol_file *file, uint64_t linked)
{
    const struct table_symbol *symbol = symbol_at(file, linked);
    return symbol != NULL ? symbol->name : NULL;
}

/* The name of a function that DWARF knows. Static ones have no linker's name in gcc's DWARF, but
 * may have one in the symbol table, with their namespace and parameters. */
static const char *frame_name(struct symbol_file *file, struct symbol_source *source,
                              const struct dwarf_frame *frame, const uint64_t *linked)
{
    if (frame->linker_name != NULL) {
        return symbol_name_full(&source->pool, &source->names, frame->linker_name);
    }
    const char *symbol = linked != NULL ? name_at(file, *linked) : NULL;
    bool is_better =
        symbol != NULL &&
        (frame->name == NULL || (symbol[0] == '_' && (symbol[1] == 'Z' || symbol[1] == 'R') &&
                                 strstr(symbol, frame->name) != NULL));
    if (is_better) {
        return symbol_name_full(&source->pool, &source->names, symbol);
    }
    return text_pool_keep(&source->pool, frame->name);
}

static const char *frame_path(struct symbol_source *source, const struct dwarf_frame *frame)
{
    char *joined;
    if (frame->file == NULL || *frame->file == '/' || frame->folder == NULL ||
        asprintf(&joined, "%s/%s", frame->folder, frame->file) < 0) {
        return text_pool_keep(&source->pool, frame->file);
    }
    const char *path = text_pool_keep(&source->pool, joined);
    free(joined);
    return path;
}

size_t symbol_file_find(struct symbol_file *file, struct symbol_source *source, uint64_t linked,
                        const struct symbol_frame **frames)
{
    struct dwarf_frame found[SCOPES_MAX];
    size_t count = 0;
    if (file->scopes.dwarf != NULL) {
        count = dwarf_scopes_find(&file->scopes, linked - file->dwarf_bias, found);
    }
    if (count == 0) {
        found[0] = (struct dwarf_frame){.linker_name = name_at(file, linked)};
        count = found[0].linker_name != NULL;
    }
    struct symbol_frame *kept = text_pool_take(&source->pool, count * sizeof *kept);
    for (size_t i = 0; i < count; i++) {
        bool is_inlined = i + 1 < count;
        kept[i] = (struct symbol_frame){
            .function = frame_name(file, source, &found[i], is_inlined ? NULL : &linked),
            .file = frame_path(source, &found[i]),
            .line = found[i].line,
            .is_inlined = is_inlined,
        };
    }
    *frames = kept;
    return count;
}

bool symbol_file_routine(struct symbol_file *file, uint64_t linked, uint64_t *start, uint64_t *end)
{
    uint64_t bias = file->dwarf_bias;
    if (file->scopes.dwarf != NULL &&
        dwarf_scopes_function(&file->scopes, linked - bias, start, end)) {
        *start += bias;
        *end += bias;
        return true;
    }
    const struct table_symbol *symbol = symbol_at(file, linked);
    if (symbol == NULL) {
        return false;
    }
    *start = symbol->start;
    *end = symbol->end;
    return true;
}

size_t symbol_file_rows(struct symbol_file *file, uint64_t start, uint64_t end, uint64_t **rows)
{
    uint64_t bias = file->dwarf_bias;
    *rows = NULL;
    if (file->scopes.dwarf == NULL) {
        return 0;
    }
    size_t count = dwarf_scopes_rows(&file->scopes, start - bias, end - bias, rows);
    for (size_t i = 0; i < count; i++) {
        (*rows)[i] += bias;
    }
    return count;
}

void symbol_file_close(struct symbol_file *file)
{
    if (!file->is_open) {
        return;
    }
    dwarf_scopes_close(&file->scopes);
    symbol_table_close(&file->table);
    file->has_table = false;
    elf_file_close(&file->elf);
    file->is_open = false;
}
