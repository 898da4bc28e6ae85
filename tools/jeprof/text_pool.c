/* text_pool.c: memory that is only given back as a whole, and texts that are kept once each. See
 * text_pool.h.
 */
#include "text_pool.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_BYTES = 1 << 16, /* some hundred names a block */
    FIRST_ENTRIES = 64,
};

struct text_block {
    struct text_block *next;
    size_t used_bytes, size_bytes;
    alignas(max_align_t) char bytes[];
};

static void *checked(void *block)
{
    if (block == NULL) {
        fputs("jeprof: out of memory\n", stderr);
        exit(1);
    }
    return block;
}

void *memory_take(size_t count, size_t size)
{
    return checked(calloc(count > 0 ? count : 1, size));
}

void *memory_resize(void *block, size_t count, size_t size)
{
    return checked(reallocarray(block, count > 0 ? count : 1, size));
}

void *text_pool_take(struct text_pool *pool, size_t size)
{
    const size_t alignment = alignof(max_align_t);
    size_t rounded = (size + alignment - 1) / alignment * alignment;
    struct text_block *block = pool->blocks;
    if (block == NULL || block->size_bytes - block->used_bytes < rounded) {
        size_t room = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
        block = checked(malloc(sizeof *block + room));
        *block = (struct text_block){.next = pool->blocks, .size_bytes = room};
        pool->blocks = block;
    }
    void *taken = block->bytes + block->used_bytes;
    block->used_bytes += rounded;
    return taken;
}

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    }
    return hash;
}

static void grow(struct text_map *map)
{
    struct text_map old = *map;
    map->entry_count = old.entry_count > 0 ? 2 * old.entry_count : FIRST_ENTRIES;
    map->entries = memory_take(map->entry_count, sizeof *map->entries);
    for (size_t i = 0; i < old.entry_count; i++) {
        if (old.entries[i].key == NULL) {
            continue;
        }
        size_t index = old.entries[i].hash & (map->entry_count - 1);
        while (map->entries[index].key != NULL) {
            index = (index + 1) & (map->entry_count - 1);
        }
        map->entries[index] = old.entries[i];
    }
    free(old.entries);
}

struct text_entry *text_map_find(struct text_map *map, const char *key)
{
    if (2 * (map->used_count + 1) > map->entry_count) {
        grow(map);
    }
    uint64_t hash = hash_of(key);
    size_t index = hash & (map->entry_count - 1);
    /* Half of the entries are free, so this ends. */
    while (map->entries[index].key != NULL &&
           (map->entries[index].hash != hash || strcmp(map->entries[index].key, key) != 0)) {
        index = (index + 1) & (map->entry_count - 1);
    }
    if (map->entries[index].key == NULL) {
        map->entries[index].hash = hash;
    }
    return &map->entries[index];
}

void text_map_fill(struct text_map *map, struct text_entry *entry, const char *key,
                   const char *value)
{
    entry->key = key;
    entry->value = value;
    map->used_count++;
}

void text_map_close(struct text_map *map)
{
    free(map->entries);
    *map = (struct text_map){.entries = NULL};
}

const char *text_pool_keep(struct text_pool *pool, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    struct text_entry *entry = text_map_find(&pool->texts, text);
    if (entry->key == NULL) {
        size_t size = strlen(text) + 1;
        char *kept = memcpy(text_pool_take(pool, size), text, size);
        text_map_fill(&pool->texts, entry, kept, kept);
    }
    return entry->value;
}

void text_pool_close(struct text_pool *pool)
{
    while (pool->blocks != NULL) {
        struct text_block *next = pool->blocks->next;
        free(pool->blocks);
        pool->blocks = next;
    }
    text_map_close(&pool->texts);
}
