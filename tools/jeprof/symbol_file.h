/* symbol_file.h: the file behind mappings of one path: which one it is, and the frames it knows.
 *
 * The mapping's path need not lead to the file that ran: the program may be given by hand,
 * libraries may lie below other folders, be deleted, or be replaced. Where the build id of the
 * mapping is known, a file with another one is not used; the first place that has the right one is.
 */
#ifndef JEPROF_SYMBOL_FILE_H
#define JEPROF_SYMBOL_FILE_H

#include "dwarf_scopes.h"
#include "elf_file.h"
#include "symbol_table.h"
#include "symbols.h"
#include "text_pool.h"

/* What all files of one profile share. */
struct symbol_source {
    struct symbols_options options;
    const char *program; /* NULL: none is given */
    struct debug_places places;
    struct text_pool pool;
    struct text_map names; /* demangled */
};

struct symbol_file {
    const char *path;      /* of the mappings, or of an added library */
    const char *build_id;  /* NULL: unknown */
    uint64_t lowest_start; /* of the mappings */
    bool is_program;
    bool is_asked_for; /* there was a first try; what is wrong has been told */
    bool is_usable;    /* after the first try: a file was found */
    bool is_open;
    const char *found; /* the file that was found */
    struct elf_file elf;
    struct dwarf_scopes scopes; /* without a dwarf: none was found */
    uint64_t dwarf_bias;
    struct symbol_table table;
    bool has_table; /* the table has been read */
};

/* Finds and opens the file; false when there is none, which is told once. */
bool symbol_file_open(struct symbol_file *file, struct symbol_source *source);

/* The address that a place in a mapping of the open file was linked for. */
bool symbol_file_address(const struct symbol_file *file, const struct mapping *mapping,
                         uint64_t address, uint64_t *linked);

/* The frames at an address as linked, in the source's pool, and their number. */
size_t symbol_file_find(struct symbol_file *file, struct symbol_source *source, uint64_t linked,
                        const struct symbol_frame **frames);

/* The bytes, as linked, of the function around an address; false: none is known. */
bool symbol_file_routine(struct symbol_file *file, uint64_t linked, uint64_t *start, uint64_t *end);

/* The addresses, as linked, in a part of a function at which another line begins, and their number.
 * The caller frees them. */
size_t symbol_file_rows(struct symbol_file *file, uint64_t start, uint64_t end, uint64_t **rows);

/* Gives the memory for reading back. The file may be opened again. */
void symbol_file_close(struct symbol_file *file);

/* The name behind the last slash, without " (deleted)"; length tells its end. */
const char *path_base(const char *path, size_t *length);

#endif
