/* test_quarantine.c: goal: blocks go into the queue whole and come out in their order, unchanged;
 * one that was written to, or freed twice, ends the process.
 * Method: the functions themselves, then malloc() and free() in the mode, with children for what
 * must abort.
 */
#include "upper_floors.h"

#include "cache/quarantine.h"
#include "config/options.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "lg_san_uaf_align:12";

enum { QUEUE = 256, BYTES = 4096 };

static int start(void **state)
{
    return start_allocator(state);
}

static void the_option_chooses_blocks_by_their_address(void **state)
{
    (void)state;
    static char place[3 * 8192];
    char *at = (char *)(((uintptr_t)place + 8191) & ~(uintptr_t)8191);
    options.lg_san_uaf_align = 12;
    assert_true(quarantine_wants(at) && quarantine_wants(at + 4096));
    assert_false(quarantine_wants(at + 2048) || quarantine_wants(at + 16));
    options.lg_san_uaf_align = 13;
    assert_true(quarantine_wants(at));
    assert_false(quarantine_wants(at + 4096));
    options.lg_san_uaf_align = -1;
    assert_false(quarantine_wants(at));
    options.lg_san_uaf_align = 12;
}

/* The compiler may not reason about memory after free. */
static unsigned char *freed(void *block)
{
    void *volatile hidden = block;
    API(free)(block);
    return hidden;
}

static void blocks_leave_in_their_order_when_the_queue_is_full(void **state)
{
    (void)state;
    static unsigned char *blocks[QUEUE + 8];
    for (unsigned i = 0; i < QUEUE + 8; i++) {
        blocks[i] = API(malloc)(BYTES);
        assert_non_null(blocks[i]);
    }
    size_t before = quarantine_bytes();
    for (unsigned i = 0; i < QUEUE + 8; i++) {
        assert_ptr_equal(freed(blocks[i]), blocks[i]);
        if (before == 0) {
            assert_int_equal(quarantine_bytes(), (i < QUEUE ? i + 1 : QUEUE) * (size_t)BYTES);
        }
    }
    /* The last ones are held and filled; the first are free again, and served first. */
    assert_true(bytes_are(blocks[QUEUE + 7], BYTES, 0x5b));
    void *fresh[8];
    for (unsigned i = 0; i < 8; i++) {
        fresh[i] = API(malloc)(BYTES);
        for (unsigned held = 8; held < QUEUE + 8; held++) {
            assert_ptr_not_equal(fresh[i], blocks[held]);
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        API(free)(fresh[i]);
    }
}

static void turn_the_queue(void)
{
    for (unsigned i = 0; i < QUEUE + 1; i++) {
        (void)freed(API(malloc)(BYTES));
    }
}

static void write_after_free(void *offset)
{
    unsigned char *block = freed(API(malloc)(BYTES));
    block[*(size_t *)offset] = 1;
    turn_the_queue();
}

static void free_twice(void *unused)
{
    (void)unused;
    unsigned char *block = freed(API(malloc)(BYTES));
    API(free)(API(malloc)(BYTES));
    (void)freed(block);
}

static void rewrite_the_pattern(void *unused)
{
    (void)unused;
    unsigned char *block = freed(API(malloc)(BYTES));
    block[17] = 0x5b;
    turn_the_queue();
}

static void writes_after_free_and_second_frees_end_the_process(void **state)
{
    (void)state;
    size_t offsets[] = {0, 1, BYTES / 2, BYTES - 1};
    for (unsigned i = 0; i < COUNT_OF(offsets); i++) {
        expect_abort(write_after_free, &offsets[i], "Write-after-free detected");
    }
    expect_abort(free_twice, NULL, "double free");
    expect_success(rewrite_the_pattern, NULL);
}

static void *churn(void *unused)
{
    for (unsigned i = 0; i < 20000; i++) {
        unsigned char *block = API(malloc)(1 + i % 30000);
        block[0] = 1;
        API(free)(block);
    }
    return unused;
}

static void fork_in_between(void *unused)
{
    (void)churn(unused);
}

static void threads_share_the_queue_and_forks_pass(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (unsigned i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, NULL), 0);
    }
    for (unsigned i = 0; i < 10; i++) {
        expect_success(fork_in_between, NULL);
    }
    for (unsigned i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_option_chooses_blocks_by_their_address),
        cmocka_unit_test(blocks_leave_in_their_order_when_the_queue_is_full),
        cmocka_unit_test(writes_after_free_and_second_frees_end_the_process),
        cmocka_unit_test(threads_share_the_queue_and_forks_pass),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
