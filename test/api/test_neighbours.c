/* test_neighbours.c: goal: all of a block's usable bytes belong to it alone: no two live blocks
 * overlap, and the allocator itself never writes into a live block.
 * Method: fill the whole usable size of many live blocks of each class, free and reallocate some
 * of them, check all. Then all classes mixed, at random, from a printed seed.
 */
#include "api_test.h"

enum { MIXED_COUNT = 3000, MIXED_ROUNDS = LIBRARY_IS_PREFIXED ? 15000 : 60000 };

static void *blocks[MIXED_COUNT];
static size_t usable[MIXED_COUNT];
static uint64_t tags[MIXED_COUNT];
static uint64_t next_tag;

static void place(unsigned i, void *block)
{
    assert_non_null(block);
    blocks[i] = block;
    usable[i] = malloc_usable_size(block);
    tags[i] = next_tag++;
    content_fill(block, usable[i], tags[i]);
}

static void verify_and_free(unsigned i)
{
    if (blocks[i] != NULL) {
        EXPECT(content_is(blocks[i], usable[i], tags[i]), "block %u of %zu bytes was overwritten",
               i, usable[i]);
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

static void blocks_of_one_class_keep_apart(void **state)
{
    (void)state;
    for (unsigned class = 0; oracle_class_size(class) <= (size_t)512 << 10; class ++) {
        size_t size = oracle_class_size(class);
        unsigned count = size <= 1024 ? 1000 : size <= 16384 ? 200 : 20;
        for (unsigned i = 0; i < count; i++) {
            place(i, malloc(size));
        }
        for (unsigned i = 0; i < count; i += 3) {
            verify_and_free(i);
        }
        for (unsigned i = 0; i < count; i += 3) {
            place(i, malloc(size));
        }
        for (unsigned i = 0; i < count; i++) {
            verify_and_free(i);
        }
    }
}

static void *allocate_some_way(uint64_t *random)
{
    unsigned lg = (unsigned)(random_next(random) % 16);
    size_t size = ((size_t)1 << lg) + random_next(random) % ((size_t)1 << lg);
    switch (random_next(random) % 5) {
    case 0:
        return malloc(size);
    case 1:
        return calloc(1, size);
    case 2:
        return aligned_alloc((size_t)1 << random_next(random) % 13, size);
    case 3:
        return mallocx(size, MALLOCX_TCACHE_NONE);
    default:
        return realloc(NULL, size);
    }
}

static void mixed_blocks_keep_apart(void **state)
{
    (void)state;
    const char *text = getenv("TEST_SEED");
    uint64_t random = text == NULL ? 77 : strtoull(text, NULL, 0) | 1;
    print_message("seed: TEST_SEED=%llu\n", (unsigned long long)random);
    for (unsigned round = 0; round < MIXED_ROUNDS; round++) {
        unsigned i = (unsigned)(random_next(&random) % MIXED_COUNT);
        verify_and_free(i);
        if (random_next(&random) % 8 != 0) {
            place(i, allocate_some_way(&random));
        }
    }
    for (unsigned i = 0; i < MIXED_COUNT; i++) {
        verify_and_free(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_one_class_keep_apart),
        cmocka_unit_test(mixed_blocks_keep_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
