/* block_content.h: marks the content of blocks, so that a lost, shared or moved byte shows.
 *
 * A byte's value depends on the block's tag and on its offset, so that neither a neighbour's
 * bytes nor bytes of the same block at another place pass for it.
 */
#ifndef TEST_API_BLOCK_CONTENT_H
#define TEST_API_BLOCK_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint8_t content_byte(uint64_t tag, size_t offset)
{
    uint64_t mixed = (tag + 1) * 0x9E3779B97F4A7C15u + offset * 0xD1B54A32D192ED03u;
    return (uint8_t)(mixed >> 56);
}

/* Content is written and read by words: sanitizers check each access. */
typedef uint64_t content_words __attribute__((may_alias, aligned(1)));

/* Eight bytes from an offset on. */
static inline uint64_t content_word(uint64_t tag, size_t offset)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        word |= (uint64_t)content_byte(tag, offset + i) << (8 * i);
    }
    return word;
}

static inline void content_fill_from(void *block, size_t start, size_t end, uint64_t tag)
{
    uint8_t *bytes = block;
    size_t i = start;
    for (; i + 8 <= end; i += 8) {
        *(content_words *)(bytes + i) = content_word(tag, i);
    }
    for (; i < end; i++) {
        bytes[i] = content_byte(tag, i);
    }
}

static inline void content_fill(void *block, size_t size, uint64_t tag)
{
    content_fill_from(block, 0, size, tag);
}

static inline bool content_is(const void *block, size_t size, uint64_t tag)
{
    const uint8_t *bytes = block;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        if (*(const content_words *)(bytes + i) != content_word(tag, i)) {
            return false;
        }
    }
    while (i < size && bytes[i] == content_byte(tag, i)) {
        i++;
    }
    return i == size;
}

static inline bool content_is_zero(const void *block, size_t size)
{
    const uint8_t *bytes = block;
    size_t i = 0;
    while (i + 8 <= size && *(const content_words *)(bytes + i) == 0) {
        i += 8;
    }
    while (i < size && bytes[i] == 0) {
        i++;
    }
    return i == size;
}

/* A small generator with a seed that the test prints: xorshift64. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
