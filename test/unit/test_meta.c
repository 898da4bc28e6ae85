/* test_meta.c: goal: the allocator's own memory is zeroed, aligned, disjoint, and counted exactly.
 * Method: random sizes and alignments, each piece filled with its own byte and looked at again when
 * all are there; the same from several threads; pieces larger than a block; requests that the
 * system refuses.
 */
#include "unit_check.h"

#include "api/process.h"
#include "os/os.h"
#include "pages/meta.h"

#include <pthread.h>

enum { PIECES = 600, WORKERS = 4 };

struct piece {
    unsigned char *bytes;
    size_t size_bytes;
};

static int start(void **state)
{
    (void)state;
    return process_start() ? 0 : -1;
}

static unsigned char byte_of(unsigned index)
{
    return (unsigned char)(1 + index % 255);
}

/* Number of pieces that were not aligned and zeroed when they came, or not whole at the end. */
static unsigned fill_pieces(struct piece *pieces, uint64_t random, unsigned size_limit)
{
    unsigned wrong = 0;
    for (unsigned i = 0; i < PIECES; i++) {
        size_t alignment = (size_t)1 << unit_below(&random, 13);
        size_t size = 1 + unit_below(&random, size_limit);
        unsigned char *bytes = meta_alloc(size, alignment);
        if (bytes == NULL) {
            return PIECES;
        }
        wrong += (uintptr_t)bytes % alignment != 0;
        wrong += !bytes_are(bytes, size, 0);
        memset(bytes, byte_of(i), size);
        pieces[i] = (struct piece){bytes, size};
    }
    for (unsigned i = 0; i < PIECES; i++) {
        wrong += !bytes_are(pieces[i].bytes, pieces[i].size_bytes, byte_of(i));
    }
    return wrong;
}

static void pieces_are_zeroed_aligned_and_disjoint(void **state)
{
    (void)state;
    static struct piece pieces[PIECES];
    uint64_t seed = unit_seed(6);
    size_t before = meta_bytes();
    assert_int_equal(fill_pieces(pieces, seed, 20000), 0);
    size_t total = 0;
    for (unsigned i = 0; i < PIECES; i++) {
        total += pieces[i].size_bytes;
    }
    assert_int_equal(meta_bytes(), before + total);
}

static void pieces_as_large_as_a_block_and_larger_are_given(void **state)
{
    (void)state;
    const size_t sizes[] = {META_BLOCK_BYTES - 1, META_BLOCK_BYTES, META_BLOCK_BYTES + 1,
                            3 * META_BLOCK_BYTES + 5};
    unsigned char *bytes[sizeof sizes / sizeof sizes[0]];
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bytes[i] = meta_alloc(sizes[i], 4096);
        assert_non_null(bytes[i]);
        assert_int_equal((uintptr_t)bytes[i] % 4096, 0);
        assert_true(bytes_are(bytes[i], sizes[i], 0));
        memset(bytes[i], byte_of(i), sizes[i]);
    }
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_true(bytes_are(bytes[i], sizes[i], byte_of(i)));
    }
}

static void adjacent_pieces_waste_nothing_but_alignment(void **state)
{
    (void)state;
    char *first = meta_alloc(META_BLOCK_BYTES, 4096);
    assert_non_null(first);
    char *second = meta_alloc(64, 64);
    char *third = meta_alloc(1, 1);
    char *fourth = meta_alloc(64, 64);
    assert_non_null(second);
    assert_ptr_equal(third, second + 64);
    assert_ptr_equal(fourth, second + 128);
}

static void a_refused_request_changes_nothing(void **state)
{
    (void)state;
    char *last = meta_alloc(64, 64);
    assert_non_null(last);
    size_t before = meta_bytes();
    assert_null(meta_alloc((size_t)1 << 47, 64));
    assert_int_equal(meta_bytes(), before);
    char *next = meta_alloc(64, 64);
    assert_non_null(next);
    assert_int_equal(meta_bytes(), before + 64);
}

/* A block of META_BLOCK_BYTES is refused, the page that is needed is not. */
static void allocate_with_one_page_left(void)
{
    limit_address_space(0);
    while (meta_alloc(1024, 64) != NULL) {
    }
    size_t before = meta_bytes();
    limit_address_space(META_BLOCK_BYTES / 2);
    char *piece = meta_alloc(1024, 64);
    CHILD_EXPECT(piece != NULL);
    CHILD_EXPECT(bytes_are(piece, 1024, 0));
    CHILD_EXPECT(meta_bytes() == before + 1024);
}

static void a_tight_limit_still_gives_what_fits(void **state)
{
    (void)state;
    expect_good_end(run_in_child(allocate_with_one_page_left));
}

static void untouched_bytes_are_taken_off(void **state)
{
    (void)state;
    size_t touched = meta_touched_bytes();
    assert_true(touched <= meta_bytes());
    assert_non_null(meta_alloc(10000, 8));
    assert_int_equal(meta_touched_bytes(), touched + 10000);
    meta_note_untouched(9000);
    assert_int_equal(meta_touched_bytes(), touched + 1000);
    meta_note_untouched(-4000);
    assert_int_equal(meta_touched_bytes(), touched + 5000);
    meta_note_untouched(-5000);
    assert_int_equal(meta_touched_bytes(), touched + 10000);
}

struct worker {
    struct piece pieces[PIECES];
    uint64_t seed;
    unsigned wrong;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    worker->wrong = fill_pieces(worker->pieces, worker->seed, 5000);
    return NULL;
}

static void threads_get_disjoint_pieces(void **state)
{
    (void)state;
    static struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    uint64_t seed = unit_seed(7);
    size_t before = meta_bytes();
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].seed = seed + i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    size_t total = 0;
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].wrong, 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        for (unsigned j = 0; j < PIECES; j++) {
            struct piece piece = workers[i].pieces[j];
            assert_true(bytes_are(piece.bytes, piece.size_bytes, byte_of(j)));
            total += piece.size_bytes;
        }
    }
    /* Thread caches come from here too. */
    assert_true(meta_bytes() >= before + total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_disjoint),
        cmocka_unit_test(pieces_as_large_as_a_block_and_larger_are_given),
        cmocka_unit_test(adjacent_pieces_waste_nothing_but_alignment),
        cmocka_unit_test(a_refused_request_changes_nothing),
        cmocka_unit_test(a_tight_limit_still_gives_what_fits),
        cmocka_unit_test(untouched_bytes_are_taken_off),
        cmocka_unit_test(threads_get_disjoint_pieces),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
