/* symbol_name.c: the names of functions as people read them. See symbol_name.h.
 *
 * libiberty undoes the mangling of C++ (Itanium), of Rust's two schemes and tells what is neither.
 */
#include "symbol_name.h"

#include <libiberty/demangle.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Longer symbols stay as they are: libiberty's time and stack grow with the length, and real
     * ones above some KiB are rare (the longest of libLLVM 14 has 3 KiB). */
    SYMBOL_BYTES_MAX = 1 << 15,
    NESTING_MAX = 256,
};

const char *symbol_name_full(struct text_pool *pool, struct text_map *names, const char *symbol)
{
    struct text_entry *entry = text_map_find(names, symbol);
    if (entry->key != NULL) {
        return entry->value;
    }
    const char *key = text_pool_keep(pool, symbol);
    char *full = NULL;
    if (strlen(symbol) < SYMBOL_BYTES_MAX) {
        full = cplus_demangle(symbol, DMGL_AUTO | DMGL_PARAMS | DMGL_ANSI);
    }
    const char *value = full != NULL ? text_pool_keep(pool, full) : key;
    free(full);
    text_map_fill(names, entry, key, value);
    return value;
}

/* Removes every balanced pair with what is in it, innermost first; what has no partner stays. */
static void remove_pairs(char *name, char open, char close, const char *suffix)
{
    size_t opened[NESTING_MAX];
    size_t depth = 0;
    size_t length = 0;
    const char *from = name;
    while (*from != '\0') {
        char letter = *from++;
        name[length++] = letter;
        if (letter == open && depth < NESTING_MAX) {
            opened[depth++] = length - 1;
        } else if (letter == close && depth > 0) {
            length = opened[--depth];
            size_t blanks = strspn(from, " ");
            if (suffix != NULL && strncmp(from + blanks, suffix, strlen(suffix)) == 0) {
                from += blanks + strlen(suffix);
            }
        }
    }
    name[length] = '\0';
}

static bool is_word(char letter)
{
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '_';
}

/* The last "word::" that stands behind a blank begins the name itself. */
static const char *without_type(const char *name)
{
    const char *start = name;
    for (const char *blank = strchr(name, ' '); blank != NULL; blank = strchr(blank + 1, ' ')) {
        const char *end = blank + 1;
        while (is_word(*end)) {
            end++;
        }
        if (end > blank + 1 && strncmp(end, "::", 2) == 0) {
            start = blank + 1;
        }
    }
    return start;
}

void symbol_name_shorten(char *name)
{
    size_t size = strlen(name) + 1;
    char *full = memcpy(memory_take(size, 1), name, size);
    remove_pairs(name, '(', ')', "const");
    remove_pairs(name, '<', '>', NULL);
    const char *start = without_type(name);
    memmove(name, start, strlen(start) + 1);
    size_t length = strlen(name);
    while (length > 0 && name[length - 1] == ' ') {
        name[--length] = '\0';
    }
    if (length == 0) {
        memcpy(name, full, size);
    }
    free(full);
}
