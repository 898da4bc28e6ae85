/* test_options.c: goal: MALLOC_CONF is read by its grammar, every option keeps its range, and each
 * error is told in the words that programs match.
 * Method: the rows of the option table, each at the ends of its range and past them; messages are
 * collected; every truncation of a good string and random strings made of grammar pieces; sources
 * and aborts in child processes.
 */
#include "unit_check.h"

#include "api/process.h"
#include "base/print.h"
#include "config/options.h"

static struct {
    size_t used;
    char text[4096];
} heard;

static struct options options_at_start;
static print_sink usual_sink;

static void hear(void *opaque, const char *text)
{
    (void)opaque;
    size_t length = strlen(text);
    if (heard.used + length < sizeof heard.text) {
        memcpy(heard.text + heard.used, text, length + 1);
        heard.used += length;
    }
}

static int start(void **state)
{
    (void)state;
    bool started = process_start();
    options_at_start = options;
    usual_sink = message_sink;
    return started ? 0 : -1;
}

static int listen(void **state)
{
    (void)state;
    heard.used = 0;
    heard.text[0] = '\0';
    message_sink = hear;
    options_reset();
    return 0;
}

static int put_back(void **state)
{
    (void)state;
    message_sink = usual_sink;
    options = options_at_start;
    return 0;
}

/* The value of an integer or choice, sign-extended. */
static int64_t value_of(const struct option_row *row)
{
    const char *field = (const char *)&options + row->offset;
    if (row->size_bytes == sizeof(bool)) {
        return *(const bool *)field;
    }
    if (row->size_bytes == sizeof(uint32_t)) {
        return *(const uint32_t *)field;
    }
    return *(const int64_t *)field;
}

static bool apply(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool apply(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    assert_true(length >= 0 && (size_t)length < sizeof text);
    heard.used = 0;
    heard.text[0] = '\0';
    return options_apply(text);
}

/* Accepted, and nothing said. */
static void expect_reading(const struct option_row *row, const char *text, int64_t value)
{
    EXPECT(apply("%s:%s", option_name(row), text), "%s:%s was refused", option_name(row), text);
    assert_string_equal(heard.text, "");
    EXPECT(value_of(row) == value, "%s:%s reads as %lld", option_name(row), text,
           (long long)value_of(row));
}

/* Refused with this message; the value stays. */
static void expect_refusal(const struct option_row *row, const char *text, const char *what)
{
    struct options former = options;
    char wanted[256];
    int length =
        snprintf(wanted, sizeof wanted, "<jemalloc>: %s: %s:%s", what, option_name(row), text);
    bool excused = strncmp(option_name(row), "experimental_", 13) == 0;
    EXPECT(apply("%s:%s", option_name(row), text) == excused, "%s:%s", option_name(row), text);
    EXPECT(strncmp(heard.text, wanted, (size_t)length) == 0, "%s for %s", heard.text, wanted);
    const char *rest = heard.text + length;
    EXPECT(strcmp(rest, "\n") == 0 || strncmp(rest, " (did you mean ", 15) == 0, "%s", heard.text);
    assert_memory_equal(&options, &former, sizeof former);
}

static void every_row_is_found_by_its_whole_name_only(void **state)
{
    (void)state;
    unsigned count = 0;
    const struct option_row *row;
    for (; (row = option_row(count)) != NULL; count++) {
        size_t length = strlen(option_name(row));
        char longer[64];
        (void)snprintf(longer, sizeof longer, "%sx", option_name(row));
        assert_ptr_equal(option_find(option_name(row), length), row);
        assert_ptr_equal(option_find(longer, length), row);
        assert_true(option_find(option_name(row), length - 1) != row);
        assert_null(option_find(longer, length + 1));
        assert_true(row->offset + row->size_bytes <= sizeof options);
    }
    assert_true(count >= 89);
    assert_null(option_row(count + 1));
    assert_null(option_find("", 0));
}

static void booleans_are_true_or_false_and_nothing_else(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "True", "1", "yes", "truee", "tru", " true", "true "};
    const struct option_row *row;
    for (unsigned i = 0; (row = option_row(i)) != NULL; i++) {
        if (row->kind != OPTION_BOOLEAN || strcmp(option_name(row), "confirm_conf") == 0) {
            continue;
        }
        expect_reading(row, "true", 1);
        expect_reading(row, "false", 0);
        for (unsigned j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            expect_refusal(row, wrong[j], "Invalid conf value");
        }
    }
}

static const char *decimal(const struct option_row *row, uint64_t value)
{
    static char text[32];
    if (row->is_signed) {
        (void)snprintf(text, sizeof text, "%lld", (long long)value);
    } else {
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    }
    return text;
}

static void check_upper_end(const struct option_row *row)
{
    expect_reading(row, decimal(row, row->most), (int64_t)row->most);
    if (row->most == UINT64_MAX) {
        return;
    }
    if (row->beyond == OPTION_REFUSE) {
        expect_refusal(row, decimal(row, row->most + 1), "Out-of-range conf value");
    } else {
        expect_reading(row, decimal(row, (uint64_t)row->least), row->least);
        expect_reading(row, decimal(row, row->most + 1), (int64_t)row->most);
    }
}

static void check_lower_end(const struct option_row *row)
{
    expect_reading(row, decimal(row, (uint64_t)row->least), row->least);
    if (!row->is_signed && row->least == 0) {
        return;
    }
    const char *below = decimal(row, (uint64_t)row->least - 1);
    if (row->beyond == OPTION_CLIP) {
        expect_reading(row, below, row->least);
    } else {
        expect_refusal(row, below, "Out-of-range conf value");
    }
}

static void integers_keep_their_range_at_both_ends(void **state)
{
    (void)state;
    unsigned seen = 0;
    const struct option_row *row;
    for (unsigned i = 0; (row = option_row(i)) != NULL; i++) {
        if (row->kind == OPTION_INTEGER) {
            check_upper_end(row);
            check_lower_end(row);
            seen++;
        }
    }
    assert_true(seen >= 30);
}

static void integers_are_read_in_base_zero_whole(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",   "k",  "12k", "1M",  "0x", "0xg", "08",  "1.5",
        " 1", "1 ", "--1", "+-1", "+",  "-",   "1e3", "99999999999999999999999999"};
    const struct option_row *row = option_find("dirty_decay_ms", strlen("dirty_decay_ms"));
    assert_non_null(row);
    expect_reading(row, "5000", 5000);
    expect_reading(row, "+5000", 5000);
    expect_reading(row, "0x1f", 31);
    expect_reading(row, "0X1F", 31);
    expect_reading(row, "017", 15);
    expect_reading(row, "0", 0);
    expect_reading(row, "-0", 0);
    expect_reading(row, "-1", -1);
    expect_reading(row, "18446744073709551615", -1);
    expect_reading(row, "000000000000000000000000000000000000000000000000000000000000017", 15);
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        expect_refusal(row, wrong[i], "Invalid conf value");
    }
    expect_refusal(row, "9223372036854775808", "Out-of-range conf value");
}

static void choices_take_each_of_their_names(void **state)
{
    (void)state;
    const struct option_row *row;
    unsigned seen = 0;
    for (unsigned i = 0; (row = option_row(i)) != NULL; i++) {
        const char *name;
        if (row->kind != OPTION_CHOICE) {
            continue;
        }
        bool may_be_short = (row->flags & OPTION_SHORT_VALUE) != 0;
        for (unsigned choice = 0; (name = option_choice(row, choice)) != NULL; choice++) {
            expect_reading(row, name, choice);
            char wrong[40];
            (void)snprintf(wrong, sizeof wrong, "%sx", name);
            expect_refusal(row, wrong, "Invalid conf value");
            (void)snprintf(wrong, sizeof wrong, "%.*s", (int)strlen(name) - 1, name);
            if (may_be_short) {
                expect_reading(row, wrong, choice);
            } else {
                expect_refusal(row, wrong, "Invalid conf value");
            }
        }
        if (may_be_short) {
            expect_reading(row, "", 0);
        } else {
            expect_refusal(row, "", "Invalid conf value");
        }
        seen++;
    }
    assert_int_equal(seen, 9);
}

static void four_keys_may_be_short_and_no_other(void **state)
{
    (void)state;
    assert_true(apply("d:primary,metadata:auto,percpu:phycpu,hpa_hugify_st:eager"));
    assert_int_equal(options.dss, 1);
    assert_int_equal(options.metadata_thp, 1);
    assert_int_equal(options.percpu_arena, PERCPU_CORE);
    assert_int_equal(options.hpa_hugify_style, HUGIFY_EAGER);
    assert_true(apply("hpa:true"));
    assert_int_equal(options.hpa_hugify_style, HUGIFY_EAGER);
    assert_false(apply("th:never"));
    assert_false(apply(":auto"));
    assert_string_equal(heard.text, "<jemalloc>: Invalid conf pair: :auto\n");
}

static void texts_and_letters_are_kept(void **state)
{
    (void)state;
    const struct option_row *row = option_find("prof_prefix", strlen("prof_prefix"));
    assert_non_null(row);
    assert_string_equal(option_text(row), "jeprof");
    assert_true(apply("prof_prefix:/var/tmp/prof"));
    assert_string_equal(option_text(row), "/var/tmp/prof");
    assert_true(apply("prof_prefix:"));
    assert_string_equal(option_text(row), "");
    assert_true(apply("stats_print_opts:gzzJJmgdablxeh,stats_interval_opts:J"));
    assert_string_equal(options.stats_print_opts, "gJmdablxeh");
    assert_string_equal(options.stats_interval_opts, "J");
    assert_true(apply("stats_print_opts:"));
    assert_string_equal(options.stats_print_opts, "");
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    static char text[OPTION_TEXT_BYTES + 64] = "prof_prefix:";
    size_t begin = strlen(text);
    memset(text + begin, 'p', sizeof text - begin - 1);
    assert_true(options_apply(text));
    const struct option_row *row = option_find("prof_prefix", strlen("prof_prefix"));
    assert_int_equal(strlen(option_text(row)), OPTION_TEXT_BYTES - 1);
}

static void some_keys_set_others(void **state)
{
    (void)state;
    assert_true(apply("lg_tcache_max:13"));
    assert_int_equal(options.tcache_max, 8192);
    assert_true(apply("lg_tcache_max:13,tcache_max:4096"));
    assert_int_equal(options.tcache_max, 4096);
    assert_true(apply("hpa_hugification_threshold_ratio:0.95,hpa_purge_threshold_ratio:.5"));
    assert_int_equal(options.hpa_hugification_threshold, 1992288);
    assert_int_equal(options.hpa_purge_threshold, 1048576);
    assert_true(apply("hpa_purge_threshold_ratio:0"));
    assert_int_equal(options.hpa_purge_threshold, 4096);
    assert_true(apply("prof_leak_error:true,prof_final:true,hpa_hugify_style:auto"));
    options_settle();
    assert_true(options.prof_leak && options.prof);
    assert_int_equal(options.hpa_hugify_style, HUGIFY_LAZY);
    assert_string_equal(heard.text, "");
    assert_true(apply("narenas:5000,prof_final:false"));
    options_settle();
    assert_int_equal(options.narenas, 4094);
    assert_string_equal(heard.text, "<jemalloc>: Reducing narenas to limit (4094)\n"
                                    "<jemalloc>: prof_leak_error is set w/o prof_final.\n");
    const char *const huge_numbers[] = {"narenas:-1", "narenas:4294967296"};
    for (unsigned i = 0; i < 2; i++) {
        options.narenas = 1;
        assert_true(apply("%s", huge_numbers[i]));
        options_settle();
        assert_int_equal(options.narenas, 4094);
    }
}

static void confirmation_names_what_has_no_effect(void **state)
{
    (void)state;
    options.confirm_conf = true;
    assert_true(apply("zero:true,lg_extent_max_active_fit:7"));
    assert_string_equal(heard.text, "<jemalloc>: -- Set conf value: zero:true\n"
                                    "<jemalloc>: -- Set conf value: lg_extent_max_active_fit:7\n"
                                    "<jemalloc>: lg_extent_max_active_fit has no effect in "
                                    "this allocator\n");
}

static void keys_that_are_gone_are_refused(void **state)
{
    (void)state;
    assert_true(apply("hpa_sec_bytes_after_flush:1"));
    assert_string_equal(heard.text, "<jemalloc>: Invalid conf pair: hpa_sec_bytes_after_flush:1\n");
    assert_false(apply("lg_dirty_mult:3"));
    assert_string_equal(heard.text, "<jemalloc>: Invalid conf pair: lg_dirty_mult:3\n");
    assert_false(apply("utrace:true"));
    assert_string_equal(heard.text, "<jemalloc>: Invalid conf pair: utrace:true\n");
}

static void the_last_setting_of_a_key_wins_and_errors_skip_their_pair_only(void **state)
{
    (void)state;
    assert_true(apply("narenas:3,zero:true,narenas:5,zero:false,junk:true"));
    assert_int_equal(options.narenas, 5);
    assert_false(options.zero);
    assert_int_equal(options.junk, JUNK_TRUE);
    assert_false(apply("narenas:7,nonsense:1,zero:maybe,tcache:false"));
    assert_string_equal(heard.text, "<jemalloc>: Invalid conf pair: nonsense:1\n"
                                    "<jemalloc>: Invalid conf value: zero:maybe\n");
    assert_int_equal(options.narenas, 7);
    assert_false(options.tcache);
    assert_true(apply("narenas:default"));
    assert_int_equal(options.narenas, 0);
    assert_true(apply("%s", ""));
    options_reset();
    assert_true(options.tcache);
    assert_int_equal(options.dirty_decay_ms, 10000);
    assert_int_equal(options.muzzy_decay_ms, 0);
}

static void unknown_experimental_keys_are_told_but_are_no_error(void **state)
{
    (void)state;
    assert_true(apply("experimental_of_ours:1,zero:true"));
    assert_string_equal(heard.text, "<jemalloc>: Invalid conf pair: experimental_of_ours:1\n");
    assert_true(options.zero);
}

static void syntax_errors_end_a_string_with_their_message(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
        bool first_applied;
    } cases[] = {
        {"zero:true,narenas", "Conf string ends with key -- narenas", true},
        {"zero:true,nar enas:3", "Malformed conf string -- nar enas:3", true},
        {"zero:true,,narenas:3", "Malformed conf string -- ,narenas:3", true},
        {"zero:true,", "Conf string ends with comma -- zero:true,", true},
        {",zero:true", "Malformed conf string -- ,zero:true", false},
        {"zero=true", "Malformed conf string -- zero=true", false},
        {";", "Malformed conf string -- ;", false},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char wanted[128];
        (void)snprintf(wanted, sizeof wanted, "<jemalloc>: %s\n", cases[i].message);
        options_reset();
        assert_false(apply("%s", cases[i].text));
        assert_string_equal(heard.text, wanted);
        assert_true(options.zero == cases[i].first_applied);
    }
    char text[201];
    memset(text, 'k', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(apply("%s", text));
    assert_int_equal(strlen(heard.text),
                     strlen("<jemalloc>: Conf string ends with key -- \n") + 64);
}

/* Every value is one that the table allows. */
static bool all_in_range(void)
{
    const struct option_row *row;
    for (unsigned i = 0; (row = option_row(i)) != NULL; i++) {
        const char *field = (const char *)&options + row->offset;
        if (row->kind == OPTION_LETTERS) {
            if (memchr(field, '\0', row->size_bytes) == NULL) {
                return false;
            }
        } else if (row->kind == OPTION_INTEGER) {
            int64_t value = value_of(row);
            bool usual = value == 0 && strcmp(option_name(row), "narenas") == 0;
            bool is_negative = row->is_signed && value < 0;
            bool is_none = value == -1 && (row->flags & OPTION_MINUS_ONE) != 0;
            if (!usual && !is_none &&
                (is_negative ? value < row->least
                             : (uint64_t)value > row->most ||
                                   (row->least > 0 && (uint64_t)value < (uint64_t)row->least))) {
                return false;
            }
        } else if (row->kind == OPTION_BOOLEAN && *(const unsigned char *)field > 1) {
            return false;
        }
    }
    return true;
}

static void every_truncation_is_survived(void **state)
{
    (void)state;
    static const char whole[] =
        "narenas:3,dirty_decay_ms:-1,muzzy_decay_ms:5,junk:alloc,thp:never,zero:true,"
        "stats_print_opts:Jgm,zero_realloc:abort,confirm_conf:false";
    for (size_t length = 0; length < sizeof whole; length++) {
        options_reset();
        (void)apply("%.*s", (int)length, whole);
        assert_true(all_in_range());
    }
    assert_true(apply("%s", whole));
}

static void random_strings_keep_every_value_in_range(void **state)
{
    (void)state;
    enum { OPTION_COUNT = 89 };
    uint64_t random = unit_seed(14);
    static const char *const pieces[] = {":",
                                         ",",
                                         "true",
                                         "false",
                                         "-1",
                                         "0x",
                                         "4095",
                                         "0",
                                         "x",
                                         "|",
                                         " ",
                                         "default",
                                         "abort",
                                         "\xff",
                                         "99999999999999999999",
                                         "experimental_"};
    enum { PIECES = sizeof pieces / sizeof pieces[0] };
    for (unsigned i = 0; i < 20000; i++) {
        char text[512] = "";
        size_t used = 0;
        for (unsigned left = unit_below(&random, 12); left > 0; left--) {
            const struct option_row *row = option_row(unit_below(&random, OPTION_COUNT));
            const char *piece = unit_below(&random, 3) == 0 ? option_name(row)
                                                            : pieces[unit_below(&random, PIECES)];
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", piece,
                                     piece == option_name(row) ? ":" : "");
        }
        (void)apply("%s", text);
        EXPECT(all_in_range(), "after %s", text);
    }
}

static void load_from_environment(const char *text)
{
    message_sink = print_to_stderr;
    CHILD_EXPECT(setenv("MALLOC_CONF", text, 1) == 0);
    options_reset();
    options_load();
}

static void load_good_text(void)
{
    load_from_environment("narenas:9,dirty_decay_ms:77");
    CHILD_EXPECT(options.narenas == 9 && options.dirty_decay_ms == 77);
    CHILD_EXPECT(strcmp(option_source[3], "narenas:9,dirty_decay_ms:77") == 0);
    CHILD_EXPECT(unsetenv("MALLOC_CONF") == 0);
    options_reset();
    options_load();
    CHILD_EXPECT(options.narenas == 0 && option_source[3] == NULL);
}

static void load_and_confirm(void)
{
    load_from_environment("narenas:9,confirm_conf:true,zero:false");
    CHILD_EXPECT(options.confirm_conf);
}

static void load_bad_text_and_abort(void)
{
    load_from_environment("abort_conf:true,narenas:many");
}

static void load_bad_text_and_go_on(void)
{
    load_from_environment("narenas:many,zero:true");
    CHILD_EXPECT(options.zero);
}

static void the_environment_is_a_source(void **state)
{
    (void)state;
    struct child_end end = run_in_child(load_good_text);
    expect_good_end(end);
    assert_string_equal(end.text, "");
}

static void confirmation_prints_sources_and_pairs(void **state)
{
    (void)state;
    struct child_end end = run_in_child(load_and_confirm);
    expect_good_end(end);
    static const char *const lines[] = {
        "<jemalloc>: malloc_conf #1 (string specified via --with-malloc-conf): \"\"\n",
        "<jemalloc>: malloc_conf #2 (string pointed to by the global variable malloc_conf): ",
        "<jemalloc>: malloc_conf #3 (\"name\" of the file referenced by the symbolic link named "
        "/etc/malloc.conf): ",
        "<jemalloc>: malloc_conf #4 (value of the environment variable MALLOC_CONF): "
        "\"narenas:9,confirm_conf:true,zero:false\"\n",
        "<jemalloc>: -- Set conf value: narenas:9\n",
        "<jemalloc>: -- Set conf value: confirm_conf:true\n",
        "<jemalloc>: -- Set conf value: zero:false\n",
        "<jemalloc>: malloc_conf #5 (string pointed to by the global variable "
        "malloc_conf_2_conf_harder): ",
    };
    const char *from = end.text;
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        from = strstr(from, lines[i]);
        EXPECT(from != NULL, "missing or out of order: %s\nin: %s", lines[i], end.text);
    }
}

static void errors_abort_only_when_asked_to(void **state)
{
    (void)state;
    expect_good_end(run_in_child(load_bad_text_and_go_on));
    expect_abort_with(run_in_child(load_bad_text_and_abort),
                      "<jemalloc>: Invalid conf value: narenas:many\n<jemalloc>: Abort "
                      "(abort_conf:true) on invalid conf value (see above).\n");
}

#define OPTIONS_TEST(name) cmocka_unit_test_setup_teardown(name, listen, put_back)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPTIONS_TEST(every_row_is_found_by_its_whole_name_only),
        OPTIONS_TEST(booleans_are_true_or_false_and_nothing_else),
        OPTIONS_TEST(integers_keep_their_range_at_both_ends),
        OPTIONS_TEST(integers_are_read_in_base_zero_whole),
        OPTIONS_TEST(choices_take_each_of_their_names),
        OPTIONS_TEST(four_keys_may_be_short_and_no_other),
        OPTIONS_TEST(texts_and_letters_are_kept),
        OPTIONS_TEST(a_long_text_is_cut),
        OPTIONS_TEST(some_keys_set_others),
        OPTIONS_TEST(confirmation_names_what_has_no_effect),
        OPTIONS_TEST(keys_that_are_gone_are_refused),
        OPTIONS_TEST(the_last_setting_of_a_key_wins_and_errors_skip_their_pair_only),
        OPTIONS_TEST(unknown_experimental_keys_are_told_but_are_no_error),
        OPTIONS_TEST(syntax_errors_end_a_string_with_their_message),
        OPTIONS_TEST(every_truncation_is_survived),
        OPTIONS_TEST(random_strings_keep_every_value_in_range),
        OPTIONS_TEST(the_environment_is_a_source),
        OPTIONS_TEST(confirmation_prints_sources_and_pairs),
        OPTIONS_TEST(errors_abort_only_when_asked_to),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
