/* symbols.c: the functions, files and lines behind addresses of a profiled program. See symbols.h.
 *
 * Answers are kept for good, by address; what it takes to find them is given back after each file.
 */
#include "symbols.h"

#include "symbol_file.h"
#include "text_pool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FIRST_ANSWERS = 1024,
    /* Rows of line tables that may be held, at 40 bytes and 8 for their order. Opening a file again
     * costs libdw a look at each unit's head. */
    LINES_MAX = 2 << 20,
};

struct answer {
    uint64_t address;
    const struct symbol_frame *frames; /* NULL: the entry is free */
    size_t count;
};

/* A mapping with its file; files[index], or no file: NO_FILE. */
struct place {
    struct mapping mapping;
    size_t file;
};

static const size_t NO_FILE = SIZE_MAX;

struct symbols {
    struct symbol_source source;
    struct place *places; /* sorted by their start */
    size_t place_count;
    struct symbol_file *files; /* those of mappings first, then the added libraries */
    size_t file_count, mapped_file_count;
    struct answer *answers; /* 2^n, half of them free at least */
    size_t answer_room, answer_count;
};

/* An address that is to be looked up, and the place that holds it; NULL: none with a file. */
struct question {
    uint64_t address;
    const struct place *place;
};

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left;
    const struct place *b = right;
    return a->mapping.start < b->mapping.start ? -1 : a->mapping.start > b->mapping.start;
}

static bool is_same_id(const char *id, const char *other)
{
    return id == NULL || other == NULL || strcasecmp(id, other) == 0;
}

/* Adds the file of a mapping, unless there is one of its path already. */
static size_t add_file(struct symbols *symbols, const struct mapping *mapping)
{
    if (mapping->path == NULL || (*mapping->path != '/' && strcmp(mapping->path, "[vdso]") != 0)) {
        return NO_FILE;
    }
    /* Mappings of a file stand side by side: the newest one is nearly always it. */
    for (size_t i = symbols->file_count; i > 0; i--) {
        struct symbol_file *file = &symbols->files[i - 1];
        if (strcmp(file->path, mapping->path) == 0 &&
            is_same_id(file->build_id, mapping->build_id)) {
            file->build_id = file->build_id != NULL ? file->build_id : mapping->build_id;
            return i - 1;
        }
    }
    symbols->files[symbols->file_count] = (struct symbol_file){
        .path = mapping->path,
        .build_id = mapping->build_id,
        .lowest_start = mapping->start,
    };
    return symbols->file_count++;
}

static void add_places(struct symbols *symbols, const struct mapping *mappings, size_t count)
{
    symbols->places = memory_take(count, sizeof *symbols->places);
    symbols->place_count = count;
    for (size_t i = 0; i < count; i++) {
        symbols->places[i].mapping = mappings[i];
    }
    qsort(symbols->places, count, sizeof *symbols->places, compare_places);
    for (size_t i = 0; i < count; i++) {
        symbols->places[i].file = add_file(symbols, &symbols->places[i].mapping);
    }
    symbols->mapped_file_count = symbols->file_count;
}

/* The program's build id as hexadecimal text; "" when there is none. */
static void read_program_id(struct symbols *symbols, char id[BUILD_ID_TEXT_BYTES])
{
    struct elf_file elf;
    *id = '\0';
    if (elf_file_open(&elf, symbols->source.program, &symbols->source.places) == NULL) {
        memcpy(id, elf.build_id, BUILD_ID_TEXT_BYTES);
        elf_file_close(&elf);
    }
}

/* Which of the files is the program: see symbols_open(). */
static struct symbol_file *find_program(struct symbols *symbols)
{
    size_t length;
    const char *base = path_base(symbols->source.program, &length);
    for (size_t i = 0; i < symbols->file_count; i++) {
        size_t other_length;
        const char *other = path_base(symbols->files[i].path, &other_length);
        if (length == other_length && memcmp(base, other, length) == 0) {
            return &symbols->files[i];
        }
    }
    char id[BUILD_ID_TEXT_BYTES];
    read_program_id(symbols, id);
    for (size_t i = 0; i < symbols->file_count; i++) {
        const char *other = symbols->files[i].build_id;
        if (other != NULL && strcasecmp(other, id) == 0) {
            return &symbols->files[i];
        }
    }
    for (size_t i = 0; i < symbols->file_count; i++) {
        if (symbols->files[i].path[0] == '/') {
            return &symbols->files[i];
        }
    }
    return NULL;
}

/* Files that are looked up as they were linked: the program when there are no mappings, and the
 * added libraries. */
static void add_unmapped(struct symbols *symbols)
{
    const struct symbol_source *source = &symbols->source;
    if (source->program != NULL && symbols->place_count == 0) {
        symbols->files[symbols->file_count++] =
            (struct symbol_file){.path = source->program, .is_program = true};
    }
    for (size_t i = 0; i < source->options.added_library_count; i++) {
        symbols->files[symbols->file_count++] =
            (struct symbol_file){.path = source->options.added_libraries[i]};
    }
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Debug paths are files, or folders of which libdwfl takes a list. */
static void set_debug_places(struct symbol_source *source)
{
    const struct symbols_options *options = &source->options;
    const char **files = memory_take(options->debug_path_count, sizeof *files);
    size_t size = sizeof ":.debug:/usr/lib/debug" + options->debug_path_count * (PATH_MAX + 1);
    char *path = memory_take(size, 1);
    /* Beside the file, then in .debug beside it; the rest are folders of debug files. */
    char *end = stpcpy(path, ":.debug");
    for (size_t i = 0; i < options->debug_path_count; i++) {
        char folder[PATH_MAX];
        if (is_folder(options->debug_paths[i]) &&
            realpath(options->debug_paths[i], folder) != NULL) {
            /* A relative one would be below the folder of the file that is looked at. */
            end = stpcpy(stpcpy(end, ":"), folder);
        } else {
            files[source->places.file_count++] = options->debug_paths[i];
        }
    }
    stpcpy(end, ":/usr/lib/debug");
    source->places.path = path;
    source->places.files = files;
}

struct symbols *symbols_open(const struct symbols_options *options, const char *program,
                             const struct mapping *mappings, size_t mapping_count)
{
    struct symbols *symbols = memory_take(1, sizeof *symbols);
    if (options != NULL) {
        symbols->source.options = *options;
    }
    symbols->source.program = program;
    if (!symbols->source.options.uses_debuginfod) {
        /* libdwfl asks the servers whenever it is told of some. */
        unsetenv("DEBUGINFOD_URLS");
    }
    set_debug_places(&symbols->source);
    size_t file_room = mapping_count + 1 + symbols->source.options.added_library_count;
    symbols->files = memory_take(file_room, sizeof *symbols->files);
    add_places(symbols, mappings, mapping_count);
    struct symbol_file *file = program != NULL ? find_program(symbols) : NULL;
    if (file != NULL) {
        file->is_program = true;
    }
    add_unmapped(symbols);
    return symbols;
}

/* The answer of an address, or a free entry. */
static struct answer *answer_at(const struct symbols *symbols, uint64_t address)
{
    /* Fibonacci hashing: addresses differ in their low bits, which come up. */
    size_t index = (address * 11400714819323198485u) >> 32 & (symbols->answer_room - 1);
    while (symbols->answers[index].frames != NULL && symbols->answers[index].address != address) {
        index = (index + 1) & (symbols->answer_room - 1);
    }
    return &symbols->answers[index];
}

static struct answer *answer_find(struct symbols *symbols, uint64_t address)
{
    if (2 * (symbols->answer_count + 1) > symbols->answer_room) {
        struct answer *old = symbols->answers;
        size_t old_room = symbols->answer_room;
        symbols->answer_room = old_room > 0 ? 2 * old_room : FIRST_ANSWERS;
        symbols->answers = memory_take(symbols->answer_room, sizeof *symbols->answers);
        for (size_t i = 0; i < old_room; i++) {
            if (old[i].frames != NULL) {
                *answer_at(symbols, old[i].address) = old[i];
            }
        }
        free(old);
    }
    return answer_at(symbols, address);
}

static void answer_set(struct symbols *symbols, uint64_t address, const struct symbol_frame *frames,
                       size_t count)
{
    static const struct symbol_frame none;
    struct answer *answer = answer_find(symbols, address);
    symbols->answer_count += answer->frames == NULL;
    *answer = (struct answer){address, count > 0 ? frames : &none, count};
}

/* The place with the last start that holds the address; NULL: none. */
static const struct place *find_place(const struct symbols *symbols, uint64_t address)
{
    size_t low = 0;
    size_t high = symbols->place_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->places[middle].mapping.start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct place *place = low > 0 ? &symbols->places[low - 1] : NULL;
    return place != NULL && address < place->mapping.end ? place : NULL;
}

/* Looks an address that is in no mapping up in what is not mapped. */
static void answer_unmapped(struct symbols *symbols, uint64_t address)
{
    const struct symbol_frame *frames = NULL;
    size_t count = 0;
    for (size_t i = symbols->mapped_file_count; i < symbols->file_count && count == 0; i++) {
        if (symbol_file_open(&symbols->files[i], &symbols->source)) {
            count = symbol_file_find(&symbols->files[i], &symbols->source, address, &frames);
        }
    }
    answer_set(symbols, address, frames, count);
}

static struct question ask(const struct symbols *symbols, uint64_t address)
{
    const struct place *place = find_place(symbols, address);
    return (struct question){address, place != NULL && place->file != NO_FILE ? place : NULL};
}

static void answer_question(struct symbols *symbols, const struct question *question)
{
    if (question->place == NULL) {
        answer_unmapped(symbols, question->address);
        return;
    }
    struct symbol_file *file = &symbols->files[question->place->file];
    const struct symbol_frame *frames = NULL;
    size_t count = 0;
    uint64_t linked;
    if (symbol_file_open(file, &symbols->source) &&
        symbol_file_address(file, &question->place->mapping, question->address, &linked)) {
        count = symbol_file_find(file, &symbols->source, linked, &frames);
    }
    answer_set(symbols, question->address, frames, count);
}

size_t symbols_find(struct symbols *symbols, uint64_t address, const struct symbol_frame **frames)
{
    struct answer *answer = answer_find(symbols, address);
    if (answer->frames == NULL) {
        struct question question = ask(symbols, address);
        answer_question(symbols, &question);
        answer = answer_find(symbols, address);
    }
    *frames = answer->frames;
    return answer->count;
}

/* The open file that an address is in, and the address there as linked; NULL: none. What is in no
 * mapping may be in a file that is not mapped. */
static struct symbol_file *open_file_at(struct symbols *symbols, uint64_t address, uint64_t *linked)
{
    struct question question = ask(symbols, address);
    if (question.place != NULL) {
        struct symbol_file *file = &symbols->files[question.place->file];
        bool is_there = symbol_file_open(file, &symbols->source) &&
                        symbol_file_address(file, &question.place->mapping, address, linked);
        return is_there ? file : NULL;
    }
    *linked = address;
    for (size_t i = symbols->mapped_file_count; i < symbols->file_count; i++) {
        uint64_t start;
        uint64_t end;
        if (symbol_file_open(&symbols->files[i], &symbols->source) &&
            symbol_file_routine(&symbols->files[i], address, &start, &end)) {
            return &symbols->files[i];
        }
    }
    return NULL;
}

bool symbols_routine(struct symbols *symbols, uint64_t address, struct symbol_routine *routine)
{
    uint64_t linked;
    struct symbol_file *file = open_file_at(symbols, address, &linked);
    if (file == NULL || !symbol_file_routine(file, linked, &routine->start, &routine->end)) {
        return false;
    }
    routine->path = file->found;
    routine->moved = address - linked;
    return true;
}

size_t symbols_rows(struct symbols *symbols, uint64_t address, uint64_t **rows)
{
    uint64_t linked;
    uint64_t start;
    uint64_t end;
    struct symbol_file *file = open_file_at(symbols, address, &linked);
    *rows = NULL;
    if (file == NULL || !symbol_file_routine(file, linked, &start, &end)) {
        return 0;
    }
    size_t count = symbol_file_rows(file, start, end, rows);
    for (size_t i = 0; i < count; i++) {
        (*rows)[i] += address - linked;
    }
    return count;
}

static size_t question_file(const struct question *question)
{
    return question->place != NULL ? question->place->file : NO_FILE;
}

/* By file, and by address within each. */
static int compare_questions(const void *left, const void *right)
{
    const struct question *a = left;
    const struct question *b = right;
    size_t file = question_file(a);
    size_t other = question_file(b);
    if (file != other) {
        return file < other ? -1 : 1;
    }
    return a->address < b->address ? -1 : a->address > b->address;
}

void symbols_find_all(struct symbols *symbols, const uint64_t *addresses, size_t count)
{
    struct question *questions = memory_take(count, sizeof *questions);
    for (size_t i = 0; i < count; i++) {
        questions[i] = ask(symbols, addresses[i]);
    }
    qsort(questions, count, sizeof *questions, compare_questions);
    const struct symbols_options *options = &symbols->source.options;
    for (size_t i = 0; i < count; i++) {
        if (options->progress != NULL) {
            options->progress(options->progress_context, i, count);
        }
        if (answer_find(symbols, questions[i].address)->frames == NULL) {
            answer_question(symbols, &questions[i]);
        }
        size_t file = question_file(&questions[i]);
        if (file == NO_FILE) {
            continue;
        }
        bool is_last = i + 1 == count || question_file(&questions[i + 1]) != file;
        if (is_last || symbols->files[file].scopes.line_count > LINES_MAX) {
            symbol_file_close(&symbols->files[file]); /* the next address opens it again */
        }
    }
    free(questions);
}

void symbols_close(struct symbols *symbols)
{
    for (size_t i = 0; i < symbols->file_count; i++) {
        symbol_file_close(&symbols->files[i]);
    }
    text_map_close(&symbols->source.names);
    text_pool_close(&symbols->source.pool);
    free(symbols->source.places.path);
    free((void *)symbols->source.places.files);
    free(symbols->answers);
    free(symbols->places);
    free(symbols->files);
    free(symbols);
}
