/* test_realloc_content.c: goal: chains of realloc and rallocx keep every byte of the common part,
 * through every class, up, down, and at random, with other blocks alive around them.
 * Method: marked content; random chains run from a printed seed: TEST_SEED=<n> repeats one.
 */
#include "api_test.h"

static void growth_class_by_class_and_back(void **state)
{
    (void)state;
    unsigned last = 0;
    while (oracle_class_size(last) < (size_t)12 << 20) {
        last++;
    }
    unsigned char *block = malloc(1);
    block[0] = content_byte(5, 0);
    size_t size = 1;
    for (unsigned class = 0; class <= last; class ++) {
        size_t larger = oracle_class_size(class);
        block = realloc(block, larger);
        assert_non_null(block);
        EXPECT(content_is(block, size, 5), "growing from %zu to %zu", size, larger);
        assert_int_equal(malloc_usable_size(block), oracle_usable(larger));
        content_fill_from(block, size, larger, 5);
        size = larger;
    }
    for (unsigned class = last; class -- > 0;) {
        size = oracle_class_size(class);
        block = realloc(block, size);
        assert_non_null(block);
        EXPECT(content_is(block, size, 5), "shrinking to %zu", size);
        assert_int_equal(malloc_usable_size(block), oracle_usable(size));
    }
    free(block);
}

static void growth_by_a_fixed_step(void **state)
{
    (void)state;
    const size_t steps[] = {1, 64, 4096, 100000};
    const size_t ends[] = {3000, 100000, (size_t)4 << 20, (size_t)30 << 20};
    for (unsigned i = 0; i < 4; i++) {
        unsigned char *block = NULL;
        size_t size = 0;
        while (size < ends[i]) {
            block = realloc(block, size + steps[i]);
            assert_non_null(block);
            content_fill_from(block, size, size + steps[i], i);
            size += steps[i];
        }
        EXPECT(content_is(block, size, i), "step %zu", steps[i]);
        free(block);
    }
}

static uint64_t chosen_seed(void)
{
    const char *text = getenv("TEST_SEED");
    uint64_t seed = text == NULL ? 20260101 : strtoull(text, NULL, 0);
    print_message("seed: TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed == 0 ? 1 : seed;
}

/* Sizes spread evenly over their logarithm, from 1 byte to 2 MiB. */
static size_t random_size(uint64_t *random)
{
    unsigned lg = (unsigned)(random_next(random) % 22);
    return ((size_t)1 << lg) + random_next(random) % ((size_t)1 << lg);
}

static void random_chains_of_many_blocks(void **state)
{
    (void)state;
    enum { COUNT = 64, ROUNDS = LIBRARY_IS_PREFIXED ? 2000 : 8000 };
    static unsigned char *blocks[COUNT];
    static size_t sizes[COUNT];
    uint64_t random = chosen_seed();
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned i = (unsigned)(random_next(&random) % COUNT);
        size_t size = random_size(&random);
        bool extended = blocks[i] != NULL && random_next(&random) % 2 == 0;
        unsigned char *moved = extended ? rallocx(blocks[i], size, 0) : realloc(blocks[i], size);
        assert_non_null(moved);
        size_t kept = sizes[i] < size ? sizes[i] : size;
        size_t window = kept < 2048 ? kept : 2048;
        EXPECT(content_is(moved, window, i), "round %u: head of block %u", round, i);
        for (size_t k = kept - window; k < kept; k++) {
            EXPECT(moved[k] == content_byte(i, k), "round %u: block %u byte %zu", round, i, k);
        }
        content_fill_from(moved, kept, size, i);
        blocks[i] = moved;
        sizes[i] = size;
    }
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT(content_is(blocks[i], sizes[i], i), "block %u at the end", i);
        free(blocks[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growth_class_by_class_and_back),
        cmocka_unit_test(growth_by_a_fixed_step),
        cmocka_unit_test(random_chains_of_many_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
