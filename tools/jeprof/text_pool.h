/* text_pool.h: memory that is only given back as a whole, and texts that are kept once each.
 *
 * What is taken stays where it is until the pool is closed. Equal texts are one text, so a million
 * frames with a thousand names hold a thousand texts. Ends the process with one line when there is
 * no memory.
 */
#ifndef JEPROF_TEXT_POOL_H
#define JEPROF_TEXT_POOL_H

#include <stddef.h>
#include <stdint.h>

struct text_block;

/* From a text to another; the keys are the caller's, who keeps them. */
struct text_map {
    struct text_entry *entries; /* 2^n, half of them free at least; a free one has no key */
    size_t entry_count, used_count;
};

struct text_entry {
    const char *key;
    const char *value;
    uint64_t hash;
};

struct text_pool {
    struct text_block *blocks; /* the newest first */
    struct text_map texts;     /* every kept text, by itself */
};

/* count * size bytes, zeros. Never NULL. */
void *memory_take(size_t count, size_t size);

/* The same block with room for more; what is new is not cleared. Never NULL. */
void *memory_resize(void *block, size_t count, size_t size);

/* size bytes, aligned for any type, not cleared. */
void *text_pool_take(struct text_pool *pool, size_t size);

/* The pool's own copy of a text; NULL for NULL. */
const char *text_pool_keep(struct text_pool *pool, const char *text);

void text_pool_close(struct text_pool *pool);

/* The entry of a key, or a free one, which the caller may fill with text_map_fill() before the next
 * call. */
struct text_entry *text_map_find(struct text_map *map, const char *key);
void text_map_fill(struct text_map *map, struct text_entry *entry, const char *key,
                   const char *value);
void text_map_close(struct text_map *map);

#endif
