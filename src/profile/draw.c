/* draw.c: exponential numbers from random bits. See draw.h.
 *
 * If U is uniform in (0, 1), -ln U is exponential with mean 1. A 64-bit number with k leading zeros
 * is U = 2^-k * v with v in [1/2, 1): so -log2 U is k, which is geometric, less log2 v, which comes
 * from further bits.
 */
#include "profile/draw.h"

#include "base/bits.h"
#include "base/check.h"

enum {
    FRACTION_BITS = 32,
    ONE_LG = 60,          /* fixed-point numbers below: 1 is 2^60 */
    CERTAIN_PERIODS = 32, /* a block of so many periods is sampled but once in 10^13 */
    HALVED = 6,
};

/* ln 2 * 2^64. */
static const uint64_t ln2 = 0xb17217f7d1cf79ab;

uint64_t draw_bits(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15;
    uint64_t bits = *state;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
    return bits ^ (bits >> 31);
}

/* log2 of x / 2^63, x >= 2^63, with FRACTION_BITS: squaring doubles the logarithm, whose next bit
 * says whether the square is 2 or more.
 * J. C. Majithia, D. Levan, "A Note on Base-2 Logarithm Computations" (Proc. IEEE, 1973). */
static uint64_t log2_fraction(uint64_t x)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < FRACTION_BITS; i++) {
        unsigned __int128 square = (unsigned __int128)x * x;
        uint64_t carry = (uint64_t)(square >> 127);
        x = (uint64_t)(square >> (63 + carry));
        result = result << 1 | carry;
    }
    return result;
}

/* -log2 of a random number in (0, 1), with FRACTION_BITS. */
static uint64_t draw_halvings(uint64_t *state)
{
    uint64_t halvings = 0;
    uint64_t bits;
    while ((bits = draw_bits(state)) == 0) {
        halvings += 64;
    }
    halvings += 63 - bits_highest(bits);
    uint64_t mantissa = draw_bits(state) | (uint64_t)1 << 63;
    return ((halvings + 1) << FRACTION_BITS) - log2_fraction(mantissa);
}

uint64_t draw_bytes(uint64_t *state, unsigned lg_period)
{
    ASSERT(lg_period <= DRAW_LG_MAX);
    /* At most some hundred halvings: 40 bits, and 104 with ln 2. */
    unsigned __int128 exponential = (unsigned __int128)draw_halvings(state) * ln2;
    unsigned shift = 64 + FRACTION_BITS - lg_period;
    unsigned __int128 bytes = exponential >> shift;
    return bytes >> 64 != 0 ? UINT64_MAX : (uint64_t)bytes;
}

uint64_t draw_blocks(uint64_t *state, unsigned lg_period, uint64_t size_bytes)
{
    ASSERT(size_bytes > 0);
    return lg_period == 0 ? 1 : draw_bytes(state, lg_period) / size_bytes + 1;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    return (uint64_t)(((unsigned __int128)a * b) >> ONE_LG);
}

/* exp(-x) for 0 <= x < 32: a short series for x / 64, then squared 6 times. */
static uint64_t exp_of_minus(uint64_t sixty_fourth)
{
    const uint64_t one = (uint64_t)1 << ONE_LG;
    uint64_t result = one;
    for (unsigned i = 12; i > 0; i--) {
        result = one - times(sixty_fourth, result) / i;
    }
    for (unsigned i = 0; i < HALVED; i++) {
        result = times(result, result);
    }
    return result;
}

/* 1 / (1 - exp(-x)) - 1/x for x = size / period < 1: 1/2 + x/12 - x^3/720 + x^5/30240 ... */
static uint64_t excess_of_weight(uint64_t x)
{
    uint64_t x2 = times(x, x);
    uint64_t x3 = times(x2, x);
    uint64_t x5 = times(x3, x2);
    uint64_t x7 = times(x5, x2);
    return ((uint64_t)1 << (ONE_LG - 1)) + x / 12 - x3 / 720 + x5 / 30240 - x7 / 1209600;
}

uint64_t draw_weight(unsigned lg_period, uint64_t size_bytes)
{
    ASSERT(size_bytes > 0 && lg_period <= DRAW_LG_MAX);
    if (lg_period == 0 || size_bytes >> lg_period >= CERTAIN_PERIODS) {
        return (uint64_t)1 << WEIGHT_BITS;
    }
    unsigned __int128 size = size_bytes;
    if (size_bytes >> lg_period == 0) {
        unsigned __int128 weight = ((unsigned __int128)1 << (lg_period + WEIGHT_BITS)) / size;
        weight +=
            excess_of_weight((uint64_t)((size << ONE_LG) >> lg_period)) >> (ONE_LG - WEIGHT_BITS);
        return weight >> 64 != 0 ? UINT64_MAX : (uint64_t)weight;
    }
    uint64_t missed = exp_of_minus((uint64_t)((size << (ONE_LG - HALVED)) >> lg_period));
    uint64_t sampled = ((uint64_t)1 << ONE_LG) - missed;
    return (uint64_t)(((unsigned __int128)1 << (ONE_LG + WEIGHT_BITS)) / sampled);
}
