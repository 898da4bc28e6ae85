/* bits.h: positions of bits, rounding, and searches in small bitmaps.
 *
 * All functions are pure, inline, bounded by the number of words that they are given, and safe in
 * any thread at any moment.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/check.h"

enum { WORD_BITS = 64 };

/* Position of the highest set bit; value != 0. */
static inline unsigned bits_highest(uint64_t value)
{
    ASSERT(value != 0);
    return 63u - (unsigned)__builtin_clzll(value);
}

/* Position of the lowest set bit; value != 0. */
static inline unsigned bits_lowest(uint64_t value)
{
    ASSERT(value != 0);
    return (unsigned)__builtin_ctzll(value);
}

/* Number of ones. Sums of ever wider fields (Hacker's Delight, 5-1): the baseline of x86-64 has no
 * instruction for it, and the compiler would call a function. */
static inline unsigned bits_count(uint64_t value)
{
    value -= (value >> 1) & 0x5555555555555555u;
    value = (value & 0x3333333333333333u) + ((value >> 2) & 0x3333333333333333u);
    value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (unsigned)((value * 0x0101010101010101u) >> 56);
}

static inline bool bits_is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* value rounded down or up to a multiple of alignment, a power of two. Rounding up may wrap to a
 * small value: the caller bounds it first. */
static inline size_t bits_round_down(size_t value, size_t alignment)
{
    return value & ~(alignment - 1);
}

static inline size_t bits_round_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* A word with `count` ones from bit `first` up; first + count <= 64. */
static inline uint64_t bits_mask(unsigned first, unsigned count)
{
    ASSERT(first + count <= WORD_BITS);
    uint64_t ones = count == WORD_BITS ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1;
    return first == WORD_BITS ? 0 : ones << first;
}

static inline size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline bool bits_get(const uint64_t *words, unsigned index)
{
    return (words[index / WORD_BITS] >> (index % WORD_BITS)) & 1;
}

/* Sets a bit of a word, index < 64. Result: whether it was set before. */
static inline bool bits_test_and_set(uint64_t *word, uint64_t index)
{
#if defined(__x86_64__)
    bool was_set;
    uint64_t value = *word;
    __asm__("btsq %2, %0" : "+r"(value), "=@ccc"(was_set) : "r"(index) : "cc");
    *word = value;
    return was_set;
#else
    uint64_t bit = (uint64_t)1 << (index % WORD_BITS);
    bool was_set = (*word & bit) != 0;
    *word |= bit;
    return was_set;
#endif
}

/* Sets or clears `count` bits from `first` up. */
static inline void bits_set_range(uint64_t *words, unsigned first, unsigned count)
{
    while (count > 0) {
        unsigned offset = first % WORD_BITS;
        unsigned here = count < WORD_BITS - offset ? count : WORD_BITS - offset;
        words[first / WORD_BITS] |= bits_mask(offset, here);
        first += here;
        count -= here;
    }
}

/* Sets `count` bits from `first` up. Result: first + count; or the first that was set already: then
 * those of its word and above are as they were. */
static inline unsigned bits_set_zeros(uint64_t *words, unsigned first, unsigned count)
{
    unsigned end = first + count;
    while (first < end) {
        unsigned offset = first % WORD_BITS;
        unsigned here = end - first < WORD_BITS - offset ? end - first : WORD_BITS - offset;
        uint64_t mask = ~(uint64_t)0 >> (WORD_BITS - here) << offset; /* here > 0 */
        uint64_t *word = &words[first / WORD_BITS];
        if ((*word & mask) != 0) {
            return first - offset + bits_lowest(*word & mask);
        }
        *word |= mask;
        first += here;
    }
    return end;
}

static inline void bits_clear_range(uint64_t *words, unsigned first, unsigned count)
{
    while (count > 0) {
        unsigned offset = first % WORD_BITS;
        unsigned here = count < WORD_BITS - offset ? count : WORD_BITS - offset;
        words[first / WORD_BITS] &= ~bits_mask(offset, here);
        first += here;
        count -= here;
    }
}

/* Number of ones among `count` bits from `first` up. */
static inline unsigned bits_count_range(const uint64_t *words, unsigned first, unsigned count)
{
    unsigned total = 0;
    while (count > 0) {
        unsigned offset = first % WORD_BITS;
        unsigned here = count < WORD_BITS - offset ? count : WORD_BITS - offset;
        total += bits_count(words[first / WORD_BITS] & bits_mask(offset, here));
        first += here;
        count -= here;
    }
    return total;
}

/* Moves the ones among `count` bits from `first` up to the same places of other words. Result: how
 * many. */
static inline unsigned bits_move_range(uint64_t *to, uint64_t *from, unsigned first, unsigned count)
{
    unsigned total = 0;
    while (count > 0) {
        unsigned offset = first % WORD_BITS;
        unsigned here = count < WORD_BITS - offset ? count : WORD_BITS - offset;
        uint64_t moved = from[first / WORD_BITS] & bits_mask(offset, here);
        to[first / WORD_BITS] |= moved;
        from[first / WORD_BITS] ^= moved;
        total += bits_count(moved);
        first += here;
        count -= here;
    }
    return total;
}

/* The first index >= from whose bit is one, or `limit`; limit is a multiple of 64. */
static inline unsigned bits_next_one(const uint64_t *words, unsigned from, unsigned limit)
{
    if (from >= limit) {
        return limit;
    }
    unsigned word = from / WORD_BITS;
    uint64_t rest = words[word] & (~(uint64_t)0 << (from % WORD_BITS));
    while (rest == 0) {
        if (++word == limit / WORD_BITS) {
            return limit;
        }
        rest = words[word];
    }
    return word * WORD_BITS + bits_lowest(rest);
}

/* The first index >= from whose bit is zero, or `limit`. */
static inline unsigned bits_next_zero(const uint64_t *words, unsigned from, unsigned limit)
{
    if (from >= limit) {
        return limit;
    }
    unsigned word = from / WORD_BITS;
    uint64_t rest = ~words[word] & (~(uint64_t)0 << (from % WORD_BITS));
    while (rest == 0) {
        if (++word == limit / WORD_BITS) {
            return limit;
        }
        rest = ~words[word];
    }
    return word * WORD_BITS + bits_lowest(rest);
}

/* The first index of the stretch of zeros that ends just before `end`; end when the bit before it
 * is one. */
static inline unsigned bits_zeros_before(const uint64_t *words, unsigned end)
{
    while (end > 0) {
        unsigned word = (end - 1) / WORD_BITS;
        unsigned offset = (end - 1) % WORD_BITS;
        uint64_t below = words[word] & bits_mask(0, offset + 1);
        if (below != 0) {
            return word * WORD_BITS + bits_highest(below) + 1;
        }
        end = word * WORD_BITS;
    }
    return 0;
}

#endif
