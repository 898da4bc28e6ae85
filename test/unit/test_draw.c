/* test_draw.c: goal: what is drawn has the distribution that jeprof's scaling takes for granted,
 * for every size class and period.
 * Method: chi-square tests of the number of the next sampled block against the geometric
 * distribution of 1 - exp(-size / period), and of the mean, with fixed seeds: a run repeats
 * exactly.
 */
#include "unit_check.h"

#include "profile/draw.h"

#include <math.h>

enum { DRAWS = 200000, CELLS = 20 };

static void bits_are_evenly_ones(void **state)
{
    (void)state;
    uint64_t random = 0;
    unsigned ones[64] = {0};
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t bits = draw_bits(&random);
        for (unsigned bit = 0; bit < 64; bit++) {
            ones[bit] += (unsigned)(bits >> bit & 1);
        }
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        /* 5 standard deviations. */
        assert_true(fabs(ones[bit] - DRAWS / 2.0) < 5 * sqrt(DRAWS) / 2);
    }
}

/* Chi-square of DRAWS numbers of the next sampled block, in cells of about equal probability. */
static double chi_square_of(unsigned lg_period, double size, uint64_t seed, unsigned *cells)
{
    double rate = size / ldexp(1, (int)lg_period);
    uint64_t end[CELLS];
    unsigned count = 0;
    for (unsigned i = 1; i < CELLS; i++) {
        /* P(number <= n) = 1 - exp(-n * rate) */
        uint64_t bound = (uint64_t)(-log1p(-(double)i / CELLS) / rate);
        if (bound > 0 && (count == 0 || bound > end[count - 1])) {
            end[count++] = bound;
        }
    }
    unsigned seen[CELLS + 1] = {0};
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t number = draw_blocks(&seed, lg_period, (uint64_t)size);
        assert_true(number >= 1);
        unsigned cell = 0;
        while (cell < count && number > end[cell]) {
            cell++;
        }
        seen[cell]++;
    }
    double sum = 0;
    for (unsigned i = 0; i <= count; i++) {
        double from = i == 0 ? 0 : (double)end[i - 1];
        double beyond = i == count ? 0 : exp(-(double)end[i] * rate);
        double expected = DRAWS * (exp(-from * rate) - beyond);
        sum += (seen[i] - expected) * (seen[i] - expected) / expected;
    }
    *cells = count;
    return sum;
}

/* The upper 0.001 point, by Wilson and Hilferty. */
static double chi_square_limit(double degrees)
{
    double part = 2 / (9 * degrees);
    return degrees * pow(1 - part + 3.09 * sqrt(part), 3);
}

static void the_next_sampled_block_is_geometric(void **state)
{
    (void)state;
    static const double sizes[] = {8, 16, 112, 4096, 14336, 20480, 1 << 20, 100 << 20};
    static const unsigned periods[] = {1, 6, 12, 19, 24};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (unsigned j = 0; j < sizeof periods / sizeof periods[0]; j++) {
            unsigned degrees;
            double sum = chi_square_of(periods[j], sizes[i], i * 100 + j, &degrees);
            EXPECT(degrees == 0 || sum < chi_square_limit(degrees),
                   "size %g, period 2^%u: chi-square %g of %u", sizes[i], periods[j], sum, degrees);
        }
    }
}

static void bytes_have_the_period_as_their_mean(void **state)
{
    (void)state;
    for (unsigned lg = 4; lg <= 57; lg++) {
        uint64_t random = lg;
        double sum = 0;
        for (unsigned i = 0; i < DRAWS; i++) {
            sum += (double)draw_bytes(&random, lg) + 0.5;
        }
        double mean = sum / DRAWS / ldexp(1, (int)lg);
        /* The deviation of a mean is its square root: 4 of them. */
        EXPECT(fabs(mean - 1) < 4 / sqrt(DRAWS), "period 2^%u: mean %g", lg, mean);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    uint64_t random = 1;
    bool beyond = false;
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(draw_blocks(&random, 0, 1 + i), 1);
        beyond |= draw_bytes(&random, DRAW_LG_MAX) == UINT64_MAX;
        assert_true(draw_blocks(&random, DRAW_LG_MAX, UINT64_MAX) <= 2);
    }
    /* exp(-2) of them. */
    assert_true(beyond);
}

/* Beside libm's, for sizes from far below the period to far above. */
static void weights_are_those_of_the_distribution(void **state)
{
    (void)state;
    for (unsigned lg = 0; lg <= DRAW_LG_MAX; lg++) {
        for (unsigned step = 0; step < 48 * 8; step++) {
            uint64_t size = (uint64_t)exp2(step / 8.0);
            double exact = lg == 0 ? 1 : -1 / expm1(-(double)size / ldexp(1, (int)lg));
            uint64_t weight = draw_weight(lg, size);
            double error = fabs(ldexp((double)weight, -WEIGHT_BITS) - exact);
            bool fits = exact < ldexp(1, 64 - WEIGHT_BITS);
            EXPECT(fits ? error <= ldexp(2, -WEIGHT_BITS) + exact / 1e6 : weight == UINT64_MAX,
                   "size %lu, period 2^%u: %g, not %g", (unsigned long)size, lg,
                   ldexp((double)weight, -WEIGHT_BITS), exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_evenly_ones),
        cmocka_unit_test(the_next_sampled_block_is_geometric),
        cmocka_unit_test(bytes_have_the_period_as_their_mean),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(weights_are_those_of_the_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
