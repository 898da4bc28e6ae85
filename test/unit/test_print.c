/* test_print.c: goal: the formatter writes what printf would, whole and in order, and messages end
 * as one line.
 * Method: the same formats and boundary values go through print_to_buffer() and libc's snprintf();
 * texts longer than the printer's buffer are collected piece by piece; messages that abort run in a
 * child process.
 */
#include "unit_check.h"

#include "base/print.h"

#include <limits.h>

#define EXPECT_AS_PRINTF(...)                                                \
    do {                                                                     \
        char ours[256];                                                      \
        char libc[256];                                                      \
        size_t length = print_to_buffer(ours, sizeof ours, __VA_ARGS__);     \
        int wanted = snprintf(libc, sizeof libc, __VA_ARGS__);               \
        EXPECT(strcmp(ours, libc) == 0, "ours [%s], libc [%s]", ours, libc); \
        assert_int_equal(length, wanted);                                    \
    } while (0)

static void integers_are_written_as_printf_writes_them(void **state)
{
    (void)state;
    static const long long values[] = {0,        1,         -1,       9,        10,
                                       -10,      INT_MAX,   INT_MIN,  UINT_MAX, 1LL << 32,
                                       -1234567, LLONG_MAX, LLONG_MIN};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        long long value = values[i];
        EXPECT_AS_PRINTF("%d|%u|%x", (int)value, (unsigned)value, (unsigned)value);
        EXPECT_AS_PRINTF("%lld|%llu|%llx", value, (unsigned long long)value,
                         (unsigned long long)value);
        EXPECT_AS_PRINTF("%ld|%lu|%lx", (long)value, (unsigned long)value, (unsigned long)value);
        EXPECT_AS_PRINTF("%zu|%zd|%zx", (size_t)value, (ssize_t)value, (size_t)value);
        EXPECT_AS_PRINTF("[%12d] [%-12d] [%1d]", (int)value, (int)value, (int)value);
        EXPECT_AS_PRINTF("[%25llu] [%-25llu] [%025llu]", (unsigned long long)value,
                         (unsigned long long)value, (unsigned long long)value);
        EXPECT_AS_PRINTF("[%08x] [%016llx]", (unsigned)value, (unsigned long long)value);
    }
}

static void texts_and_characters_are_written_as_printf_writes_them(void **state)
{
    (void)state;
    EXPECT_AS_PRINTF("%s", "");
    EXPECT_AS_PRINTF("[%s] [%10s] [%-10s] [%3s]", "five5", "five5", "five5", "five5");
    EXPECT_AS_PRINTF("%c%c%c", 'a', '%', '\n');
    EXPECT_AS_PRINTF("100%% of %s%%", "it");
    EXPECT_AS_PRINTF("%p", (void *)(uintptr_t)0x7fff12345678u);
    EXPECT_AS_PRINTF("%p", (void *)UINTPTR_MAX);
    EXPECT_AS_PRINTF("%d %s %u %c %zu %s", -1, "two", 3u, '4', (size_t)5, "six");
}

static void a_buffer_is_never_passed_and_always_terminated(void **state)
{
    (void)state;
    static const char text[] = "a text of some length: 12345";
    for (size_t size = 1; size <= sizeof text + 2; size++) {
        char buffer[64];
        memset(buffer, '#', sizeof buffer);
        size_t length = print_to_buffer(buffer, size, "a text of some %s: %d", "length", 12345);
        size_t expected = size - 1 < sizeof text - 1 ? size - 1 : sizeof text - 1;
        assert_int_equal(length, expected);
        assert_memory_equal(buffer, text, expected);
        assert_int_equal(buffer[expected], '\0');
        assert_true(bytes_are(buffer + size, sizeof buffer - size, '#'));
    }
}

struct collected_text {
    size_t used;
    unsigned piece_count;
    size_t longest_piece;
    char text[8192];
};

static void collect(void *opaque, const char *text)
{
    struct collected_text *collected = opaque;
    size_t length = strlen(text);
    assert_true(length > 0);
    assert_true(collected->used + length < sizeof collected->text);
    memcpy(collected->text + collected->used, text, length + 1);
    collected->used += length;
    collected->piece_count++;
    collected->longest_piece =
        length > collected->longest_piece ? length : collected->longest_piece;
}

static void long_texts_arrive_whole_in_pieces_of_the_buffer(void **state)
{
    (void)state;
    static char text[4096];
    static struct collected_text collected;
    struct printer printer;
    const size_t room = sizeof printer.buffer - 1;
    const size_t lengths[] = {
        0, 1, room - 1, room, room + 1, 2 * room, 2 * room + 1, 3 * room - 1, sizeof text - 1};
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t length = lengths[i];
        for (size_t at = 0; at < length; at++) {
            text[at] = (char)('a' + at % 26);
        }
        text[length] = '\0';
        collected = (struct collected_text){0};
        printer_init(&printer, collect, &collected);
        print(&printer, "%s", text);
        print_flush(&printer);
        print_flush(&printer);
        assert_string_equal(collected.text, text);
        assert_int_equal(collected.piece_count, (length + room - 1) / room);
        assert_true(collected.longest_piece <= room);
    }
}

static void many_prints_join_in_their_order(void **state)
{
    (void)state;
    static struct collected_text collected;
    static char expected[8192];
    collected = (struct collected_text){0};
    size_t length = 0;
    struct printer printer;
    printer_init(&printer, collect, &collected);
    for (int i = 0; i < 600; i++) {
        print(&printer, "%d;%-5u|", i, (unsigned)i);
        length += (size_t)snprintf(expected + length, sizeof expected - length, "%d;%-5u|", i,
                                   (unsigned)i);
    }
    print_flush(&printer);
    assert_string_equal(collected.text, expected);
}

static void append_all(void *opaque, const char *text)
{
    strcat(opaque, text);
}

static void quotes_hold_any_text(void **state)
{
    (void)state;
    static char all[1024];
    struct printer printer;
    all[0] = '\0';
    printer_init(&printer, append_all, all);
    print_quoted(&printer, "a \"b\" \\c\t\x01 d\x7f\xe9 ~");
    print_quoted(&printer, "");
    print_flush(&printer);
    assert_string_equal(all, "\"a \\\"b\\\" \\\\c\\u0009\\u0001 d\\u007f\\u00e9 ~\"\"\"");
}

static void a_message_is_one_line_with_the_prefix(void **state)
{
    (void)state;
    static struct collected_text collected;
    print_sink former_sink = message_sink;
    void *former_opaque = message_opaque;
    message_sink = collect;
    message_opaque = &collected;
    message("the answer is %d, %s", 42, "they say");
    message_sink = former_sink;
    message_opaque = former_opaque;
    assert_string_equal(collected.text, "<jemalloc>: the answer is 42, they say\n");
    assert_int_equal(collected.piece_count, 1);
}

static void abort_with_message(void)
{
    message_and_abort("pointer %p is wild", (void *)(uintptr_t)0xbadcafe);
}

static void fail_a_check(void)
{
    volatile int two = 2;
    CHECK(two + two == 5);
}

static void fail_an_assertion(void)
{
    volatile int two = 2;
    ASSERT(two + two == 5);
}

static void a_fatal_message_is_written_before_the_abort(void **state)
{
    (void)state;
    expect_abort_with(run_in_child(abort_with_message), "<jemalloc>: pointer 0xbadcafe is wild\n");
}

static void a_failed_check_names_its_place_in_every_build(void **state)
{
    (void)state;
    struct child_end end = run_in_child(fail_a_check);
    expect_abort_with(end, "<jemalloc>: ");
    expect_abort_with(end, "test_print.c:");
    expect_abort_with(end, ": failed check: two + two == 5\n");
}

static void assertions_speak_in_debug_builds_only(void **state)
{
    (void)state;
    struct child_end end = run_in_child(fail_an_assertion);
    if (config_debug) {
        expect_abort_with(end, ": failed check: two + two == 5\n");
    } else {
        expect_good_end(end);
    }
}

static void write_to_closed_stderr(void)
{
    close(STDERR_FILENO);
    print_to_stderr(NULL, "nobody reads this");
}

static void write_more_than_a_pipe_takes_at_once(void)
{
    for (int i = 0; i < 100; i++) {
        print_to_stderr(NULL, "0123456789");
    }
}

static void standard_error_gets_all_and_its_loss_is_survived(void **state)
{
    (void)state;
    expect_good_end(run_in_child(write_to_closed_stderr));
    struct child_end end = run_in_child(write_more_than_a_pipe_takes_at_once);
    expect_good_end(end);
    assert_int_equal(strlen(end.text), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_written_as_printf_writes_them),
        cmocka_unit_test(texts_and_characters_are_written_as_printf_writes_them),
        cmocka_unit_test(a_buffer_is_never_passed_and_always_terminated),
        cmocka_unit_test(long_texts_arrive_whole_in_pieces_of_the_buffer),
        cmocka_unit_test(many_prints_join_in_their_order),
        cmocka_unit_test(quotes_hold_any_text),
        cmocka_unit_test(a_message_is_one_line_with_the_prefix),
        cmocka_unit_test(a_fatal_message_is_written_before_the_abort),
        cmocka_unit_test(a_failed_check_names_its_place_in_every_build),
        cmocka_unit_test(assertions_speak_in_debug_builds_only),
        cmocka_unit_test(standard_error_gets_all_and_its_loss_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
