/* random_stream.h: the random numbers of the tests, repeatable from one printed seed.
 *
 * splitmix64: any 64-bit state is good, streams of neighbouring seeds are unrelated, and there is
 * no table that would have to be allocated. One stream belongs to one thread; nothing here is
 * shared. random_size() draws request sizes the way that finds bugs: mostly small, many on and
 * beside the boundaries of size classes and pages, and a tail that is uniform in the logarithm of
 * the size. A stream can be fed with a fuzzer's input instead.
 */
#ifndef RANDOM_STREAM_H
#define RANDOM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random_stream {
    uint64_t state;
    const uint8_t *bytes; /* of a fuzzer's input, or NULL; draws are these while there are any */
    size_t byte_count;    /* left there */
};

static inline uint64_t random_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* A number that no other draw of the stream gives, whatever it is fed with. */
static inline uint64_t random_unique(struct random_stream *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    return random_mix(random->state);
}

/* Two bytes of the input, zero behind its end, repeated: so that the number is spread over any
 * range that it is reduced to. The factor has none in common with 2, 3 or 5. */
static inline uint64_t random_fed(struct random_stream *random)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 2 && random->byte_count > 0; i++, random->byte_count--) {
        number |= (uint64_t)*random->bytes++ << (8 * i);
    }
    return number * UINT64_C(0x0001000100010001);
}

static inline uint64_t random_next(struct random_stream *random)
{
    return random->bytes == NULL ? random_unique(random) : random_fed(random);
}

/* The stream number `index` of a seed. */
static inline struct random_stream random_stream_of(uint64_t seed, uint64_t index)
{
    return (struct random_stream){.state =
                                      random_mix(seed ^ (index * UINT64_C(0xd1342543de82ef95)))};
}

/* A value in [0, bound); bound > 0. The bias of the remainder is below 2^-40 for our bounds. */
static inline size_t random_below(struct random_stream *random, size_t bound)
{
    return (size_t)(random_next(random) % bound);
}

static inline bool random_chance(struct random_stream *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

/* Uniform in the logarithm: each doubling up to maximum_bytes is as likely as each other. */
static inline size_t random_log_size(struct random_stream *random, size_t maximum_bytes)
{
    unsigned doublings = 64 - (unsigned)__builtin_clzll((unsigned long long)maximum_bytes | 1);
    size_t top = (size_t)1 << random_below(random, doublings);
    size_t size_bytes = top + random_below(random, top);
    return size_bytes < maximum_bytes ? size_bytes : maximum_bytes;
}

/* On a class boundary (four classes a doubling), one byte below it or one above. */
static inline size_t random_class_edge(struct random_stream *random)
{
    size_t doubling = (size_t)32 << random_below(random, 11);
    size_t edge = doubling + doubling / 4 * random_below(random, 4);
    return edge - 1 + random_below(random, 3);
}

static inline size_t random_page_edge(struct random_stream *random)
{
    return 4096 * (1 + random_below(random, 64)) - 1 + random_below(random, 3);
}

/* At least 1 and at most maximum_bytes. */
static inline size_t random_size(struct random_stream *random, size_t maximum_bytes)
{
    size_t kind = random_below(random, 100);
    size_t size_bytes;
    if (kind < 65) {
        size_bytes = random_log_size(random, 1024);
    } else if (kind < 85) {
        size_bytes = random_class_edge(random);
    } else if (kind < 92) {
        size_bytes = random_page_edge(random);
    } else {
        size_bytes = random_log_size(random, maximum_bytes);
    }
    return size_bytes < maximum_bytes ? size_bytes : maximum_bytes;
}

#endif
