/* symbol_table.c: the functions that an ELF file's symbol tables name. See symbol_table.h.
 *
 * libdwfl's own search looks at every symbol for every address; here the symbols are sorted once.
 */
#include "symbol_table.h"

#include "text_pool.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* How far back a symbol is looked for that holds an address behind a shorter one within it. */
    ENCLOSING_MAX = 16,
    RANK_SIZED = 4, /* and above: the symbol has a size */
};

/* What several symbols at one address are told apart by: a size, then a public name. */
static unsigned rank_of(const GElf_Sym *symbol)
{
    unsigned binding = GELF_ST_BIND(symbol->st_info);
    unsigned rank = binding == STB_GLOBAL ? 2 : binding == STB_WEAK ? 1 : 0;
    return symbol->st_size > 0 ? rank + RANK_SIZED : rank;
}

/* The end of the executable section that holds the address; 0: there is none. */
static uint64_t code_end(Dwfl_Module *module, uint64_t address)
{
    GElf_Addr within = address;
    GElf_Addr bias;
    GElf_Shdr header;
    Elf_Scn *section = dwfl_module_address_section(module, &within, &bias);
    if (section == NULL || gelf_getshdr(section, &header) == NULL ||
        (header.sh_flags & SHF_EXECINSTR) == 0 || within >= header.sh_size) {
        return 0;
    }
    return address - within + header.sh_size;
}

static bool symbol_read(struct table_symbol *read, Dwfl_Module *module, int index)
{
    GElf_Sym symbol;
    GElf_Addr address;
    GElf_Word section;
    const char *name =
        dwfl_module_getsym_info(module, index, &symbol, &address, &section, NULL, NULL);
    if (name == NULL || *name == '\0' || section == SHN_UNDEF) {
        return false;
    }
    unsigned type = GELF_ST_TYPE(symbol.st_info);
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) {
        return false;
    }
    /* Data and constants are labels without a type too: those of code stand in a code section. */
    uint64_t limit = UINT64_MAX;
    if (symbol.st_size == 0 || type == STT_NOTYPE) {
        limit = code_end(module, address);
    }
    uint64_t end = symbol.st_size == 0 ? limit : address + symbol.st_size;
    *read = (struct table_symbol){address, end, name, rank_of(&symbol)};
    return limit > 0 && end > address;
}

static int compare_symbols(const void *left, const void *right)
{
    const struct table_symbol *a = left;
    const struct table_symbol *b = right;
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    if (a->rank != b->rank) {
        return a->rank > b->rank ? -1 : 1;
    }
    return strcmp(a->name, b->name);
}

static void keep_one_an_address(struct symbol_table *table)
{
    size_t kept = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct table_symbol *symbol = &table->symbols[i];
        struct table_symbol *last = kept > 0 ? &table->symbols[kept - 1] : NULL;
        if (last != NULL && last->start == symbol->start) {
            continue;
        }
        if (last != NULL && last->rank < RANK_SIZED && last->end > symbol->start) {
            last->end = symbol->start;
        }
        table->symbols[kept++] = *symbol;
    }
    table->count = kept;
}

void symbol_table_read(struct symbol_table *table, Dwfl_Module *module)
{
    int count = dwfl_module_getsymtab(module);
    *table = (struct symbol_table){.symbols = NULL};
    if (count <= 0) {
        return;
    }
    table->symbols = memory_take((size_t)count, sizeof *table->symbols);
    for (int i = 0; i < count; i++) {
        table->count += symbol_read(&table->symbols[table->count], module, i);
    }
    qsort(table->symbols, table->count, sizeof *table->symbols, compare_symbols);
    keep_one_an_address(table);
}

const struct table_symbol *symbol_table_find(const struct symbol_table *table, uint64_t address)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->symbols[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t back = 0; back < ENCLOSING_MAX && back < low; back++) {
        if (address < table->symbols[low - 1 - back].end) {
            return &table->symbols[low - 1 - back];
        }
    }
    return NULL;
}

void symbol_table_close(struct symbol_table *table)
{
    free(table->symbols);
    *table = (struct symbol_table){.symbols = NULL};
}
