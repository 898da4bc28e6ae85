/* symbols.h: the functions, files and lines behind addresses of a profiled program.
 *
 * An address is looked up in the mapping that holds it: the file of the mapping is opened when the
 * first of its addresses is asked for, its DWARF gives the function with all that was inlined
 * into it, its symbol table gives a name where there is no DWARF. Debug information is found in the
 * file, beside it (.gnu_debuglink, .gnu_debugaltlink), by build id and in split files (.dwo).
 *
 * An address is that of an instruction. A return address stands behind its call, often on the next
 * line, at times in the next function: for all frames of a stack but the innermost the caller asks
 * for the address - 1.
 *
 * A name or line that is not sure is not given: an address in no symbol's bytes has no name, and a
 * file with another build id than the mapping's is not used. What cannot be read, and why, is told
 * once for each file, in one line.
 *
 * Ends the process with one line when there is no memory. Not for several threads at a time.
 */
#ifndef JEPROF_SYMBOLS_H
#define JEPROF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"

struct symbol_frame {
    const char *function; /* demangled, with parameters (symbol_name.h shortens); NULL: unknown */
    const char *file;     /* NULL: unknown */
    unsigned line;        /* 0: unknown */
    bool is_inlined;      /* into the next frame */
};

/* All zeros: no further places to look in, and nothing is told. The texts outlive the symbols. */
struct symbols_options {
    /* Folders, separated by commas, below which a mapping's path is looked for first. */
    const char *library_prefixes;
    /* Files that stand in for mappings of their base name. Addresses in no mapping are looked up in
     * them as they were linked. */
    const char *const *added_libraries;
    size_t added_library_count;
    /* Files with debug information, and folders laid out as /usr/lib/debug, which is last. */
    const char *const *debug_paths;
    size_t debug_path_count;
    /* Debug information may be fetched from the servers in $DEBUGINFOD_URLS. */
    bool uses_debuginfod;
    /* Is told each line, without a newline. */
    void (*warn)(void *context, const char *line);
    void *warn_context;
    /* Is told how many of the addresses that were asked for are looked up. */
    void (*progress)(void *context, size_t done, size_t total);
    void *progress_context;
};

struct symbols;

/* program is the file that ran, wherever it is now; it stands in for the mapping of its base name,
 * else of its build id, else for the first that has a path. NULL: the paths of the mappings are
 * right. Without any mapping, addresses are those that the program was linked for. options may be
 * NULL. */
struct symbols *symbols_open(const struct symbols_options *options, const char *program,
                             const struct mapping *mappings, size_t mapping_count);

/* The frames at an address, innermost first, and their number; 0: unknown. They are valid until
 * symbols_close(). */
size_t symbols_find(struct symbols *symbols, uint64_t address, const struct symbol_frame **frames);

/* Looks many addresses up at once, in any order: each file is read through once, and the memory
 * for reading stays bounded. symbols_find() then has the answers at hand. */
void symbols_find_all(struct symbols *symbols, const uint64_t *addresses, size_t count);

/* A function's bytes in its file, or those of its parts that an address is in. */
struct symbol_routine {
    const char *path;    /* of the file that was read */
    uint64_t start, end; /* as the file was linked */
    uint64_t moved;      /* what the program's addresses are more; wraps around */
};

/* False: no function is known at the address. */
bool symbols_routine(struct symbols *symbols, uint64_t address, struct symbol_routine *routine);

/* The addresses in the program at which another line of a routine begins, of which one is given,
 * and their number; 0 without debug information. The caller frees them. */
size_t symbols_rows(struct symbols *symbols, uint64_t address, uint64_t **rows);

void symbols_close(struct symbols *symbols);

#endif
