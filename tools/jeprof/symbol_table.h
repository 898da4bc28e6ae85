/* symbol_table.h: the functions that an ELF file's symbol tables name, by address.
 *
 * Invariant: symbols are sorted by address, one for each address. A symbol holds the bytes of its
 * size; one without a size, as hand-written assembly has it, holds all up to the next one or the
 * end of its section.
 */
#ifndef JEPROF_SYMBOL_TABLE_H
#define JEPROF_SYMBOL_TABLE_H

#include <elfutils/libdwfl.h>
#include <stddef.h>
#include <stdint.h>

struct table_symbol {
    uint64_t start, end;
    const char *name; /* as the linker wrote it; the module's */
    unsigned rank;    /* which one of several at an address is shown: the highest */
};

struct symbol_table {
    struct table_symbol *symbols;
    size_t count;
};

/* Reads all symbol tables that the module's file and its debug file have. */
void symbol_table_read(struct symbol_table *table, Dwfl_Module *module);

/* The function that holds the address; NULL: there is none. */
const struct table_symbol *symbol_table_find(const struct symbol_table *table, uint64_t address);

void symbol_table_close(struct symbol_table *table);

#endif
