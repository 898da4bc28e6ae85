/* symbol_name.h: the names of functions as people read them.
 *
 * The full name is the demangled one with parameters and template arguments, C++ and Rust. The
 * short one is what text reports show: without parameters, template arguments, "const" behind them,
 * and the type of the result.
 */
#ifndef JEPROF_SYMBOL_NAME_H
#define JEPROF_SYMBOL_NAME_H

#include "text_pool.h"

/* The demangled form of a linker symbol, kept in the pool; the name itself when it is not mangled.
 * names remembers what was asked before. */
const char *symbol_name_full(struct text_pool *pool, struct text_map *names, const char *symbol);

/* The short form of a full name, in place; a name that would be empty stays. */
void symbol_name_shorten(char *name);

#endif
