/* draw.h: when the next sample is due.
 *
 * Each byte that a program asks for is sampled with probability 1 / period, whatever block it lies
 * in; a block is sampled when one of its bytes is. So the bytes up to the next sampled one have an
 * exponential distribution, and a block of S bytes is sampled with probability 1 - exp(-S/period):
 * what jeprof divides by. The distribution has no memory: a draw may be thrown away at any time,
 * and each size class may have draws of its own.
 *
 * All in integers: a program may trap on inexact floating-point results.
 *
 * Thread safety: the functions touch nothing but the caller's random state.
 */
#ifndef PROFILE_DRAW_H
#define PROFILE_DRAW_H

#include <stdint.h>

enum { DRAW_LG_MAX = 63 };

/* The next 64 random bits; *state may start as any number.
 * Guy L. Steele Jr., Doug Lea, Christine H. Flood, "Fast Splittable Pseudorandom Number Generators"
 * (OOPSLA 2014), SplitMix64. */
uint64_t draw_bits(uint64_t *state);

/* Bytes before the next sampled one, for a mean of 2^lg_period; lg_period <= DRAW_LG_MAX.
 * UINT64_MAX stands for that and more. */
uint64_t draw_bytes(uint64_t *state, unsigned lg_period);

/* The number of the next block of size_bytes (> 0) that is sampled: 1 is the first from now on.
 * With lg_period 0 each one is. */
uint64_t draw_blocks(uint64_t *state, unsigned lg_period, uint64_t size_bytes);

/* How many blocks of size_bytes (> 0) a sampled one stands for: 1 / (1 - exp(-size / period)), with
 * WEIGHT_BITS of fraction, to two units of it or a millionth. UINT64_MAX stands for that and
 * more. */
enum { WEIGHT_BITS = 16 };
uint64_t draw_weight(unsigned lg_period, uint64_t size_bytes);

#endif
