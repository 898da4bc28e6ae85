/* test_record.c: goal: a mark leads to the sample's tally and to what was asked for, with a record
 * and without; samples have records while somebody wants them; what ended serves again.
 * Method: marks of hand-made tallies and of records, read back; the bytes of the allocator's own
 * memory before and after; a child whose memory is refused.
 */
#include "unit_check.h"

#include "os/os.h"
#include "pages/meta.h"
#include "profile/record.h"

static struct tally tallies[4] __attribute__((aligned(TALLY_ALIGNMENT)));

static int set_up(void **state)
{
    (void)state;
    meta_start();
    record_start();
    return 0;
}

static void plain_marks_are_read_back(void **state)
{
    (void)state;
    static const size_t unused[] = {0, 1, 4095, (1 << 21) - 1, 5 << 20};
    for (unsigned i = 0; i < sizeof unused / sizeof *unused; i++) {
        size_t usable = (size_t)1 << 30;
        struct tally *tally = &tallies[i % 4];
        size_t kept = record_kept_bytes(usable - unused[i], usable);
        assert_int_equal(kept, usable - unused[i]);
        uint64_t mark = record_mark(NULL, tally, kept, usable);
        assert_null(record_of(mark));
        assert_ptr_equal(record_tally(mark), tally);
        assert_int_equal(record_requested_bytes(mark, usable), kept);
    }
    /* In MiB, beyond 2^21: what is kept is never less than what was asked for. */
    size_t usable = (size_t)1 << 40;
    assert_int_equal(record_kept_bytes(usable - ((1 << 22) + 7), usable), usable - (1 << 22));
}

static void records_know_all_of_it(void **state)
{
    (void)state;
    record_want(RECORD_LOG, true);
    uint64_t before = os_time_ns();
    struct record *record = record_new();
    uint64_t after = os_time_ns();
    assert_non_null(record);
    uint64_t mark = record_mark(record, &tallies[1], 12345, (size_t)1 << 45);
    assert_true(mark != 0);
    assert_ptr_equal(record_of(mark), record);
    assert_ptr_equal(record_tally(mark), &tallies[1]);
    /* Exact, whatever the block's size. */
    assert_int_equal(record_requested_bytes(mark, (size_t)1 << 45), 12345);
    assert_true(record->alloc_time_ns >= before && record->alloc_time_ns <= after);
    assert_null(atomic_load(&record->recent));
    record_free(record);
    record_want(RECORD_LOG, false);
}

static void there_are_none_unless_wanted(void **state)
{
    (void)state;
    assert_false(record_is_wanted());
    assert_null(record_new());
    record_want(RECORD_RECENT, true);
    record_want(RECORD_LIFETIME, true);
    record_want(RECORD_RECENT, false);
    assert_true(record_is_wanted());
    struct record *record = record_new();
    assert_non_null(record);
    record_want(RECORD_LIFETIME, false);
    assert_null(record_new());
    record_free(record);
    record_free(NULL);
}

static void what_ended_serves_again(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct record *held[COUNT];
    size_t bytes = 0;
    record_want(RECORD_LOG, true);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            held[i] = record_new();
            assert_non_null(held[i]);
        }
        if (round == 0) {
            bytes = meta_bytes();
        }
        for (unsigned i = 0; i < COUNT; i++) {
            held[i]->tally = &tallies[i % 4];
            record_free(held[i]);
        }
    }
    assert_int_equal(meta_bytes(), bytes);
    record_want(RECORD_LOG, false);
}

static void run_out(void)
{
    limit_address_space(0);
    record_want(RECORD_LOG, true);
    unsigned long most = 2UL * META_FIRST_BYTES / sizeof(struct record);
    unsigned long count = 0;
    while (count < most && record_new() != NULL) {
        count++;
    }
    CHILD_EXPECT(count < most);
    uint64_t mark = record_mark(record_new(), &tallies[2], 100, 112);
    CHILD_EXPECT(record_of(mark) == NULL);
    CHILD_EXPECT(record_tally(mark) == &tallies[2]);
}

static void refused_memory_leaves_plain_marks(void **state)
{
    (void)state;
    expect_good_end(run_in_child(run_out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_marks_are_read_back),
        cmocka_unit_test(records_know_all_of_it),
        cmocka_unit_test(there_are_none_unless_wanted),
        cmocka_unit_test(what_ended_serves_again),
        cmocka_unit_test(refused_memory_leaves_plain_marks),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
