/* fake_symbols.h: what symbols.h promises, from a table of the test instead of files.
 *
 * The including test fills fake_symbols before it opens a view. Addresses count from the start of
 * the first mapping; each has one frame or two.
 */
#ifndef FAKE_SYMBOLS_H
#define FAKE_SYMBOLS_H

#include "symbols.h"

#include <stdlib.h>

struct fake_symbol {
    uint64_t address;
    size_t frame_count;
    struct symbol_frame frames[2]; /* innermost first */
};

static const struct fake_symbol *fake_symbols;
static size_t fake_symbol_count;
static size_t fake_opened_count;

struct symbols {
    uint64_t added; /* to each address: how far the first mapping was moved */
};

struct symbols *symbols_open(const struct symbols_options *options, const char *program,
                             const struct mapping *mappings, size_t mapping_count)
{
    (void)options;
    (void)program;
    struct symbols *symbols = calloc(1, sizeof *symbols);
    if (symbols == NULL) {
        abort();
    }
    symbols->added = mapping_count > 0 ? mappings[0].start : 0;
    fake_opened_count++;
    return symbols;
}

size_t symbols_find(struct symbols *symbols, uint64_t address, const struct symbol_frame **frames)
{
    for (size_t i = 0; i < fake_symbol_count; i++) {
        if (fake_symbols[i].address == address - symbols->added) {
            *frames = fake_symbols[i].frames;
            return fake_symbols[i].frame_count;
        }
    }
    return 0;
}

void symbols_find_all(struct symbols *symbols, const uint64_t *addresses, size_t count)
{
    (void)symbols;
    (void)addresses;
    (void)count;
}

/* One routine has all addresses, and each of them begins a line. */
bool symbols_routine(struct symbols *symbols, uint64_t address, struct symbol_routine *routine)
{
    (void)address;
    *routine = (struct symbol_routine){"/bin/fake", 0, 0x1000, symbols->added};
    return true;
}

size_t symbols_rows(struct symbols *symbols, uint64_t address, uint64_t **rows)
{
    (void)address;
    *rows = calloc(fake_symbol_count, sizeof **rows);
    if (*rows == NULL) {
        abort();
    }
    for (size_t i = 0; i < fake_symbol_count; i++) {
        (*rows)[i] = fake_symbols[i].address + symbols->added;
    }
    return fake_symbol_count;
}

void symbols_close(struct symbols *symbols)
{
    free(symbols);
}

#endif
