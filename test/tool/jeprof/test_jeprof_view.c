/* test_jeprof_view.c: goal: a view has the stacks that were asked for, with the right names, and
 * its totals tell what was left out.
 * Method: small profiles, with names of their own or with those of a fake of symbols.h.
 */
#include "view.h"

#include "profile_sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_symbols.h"

/* alpha and beta allocate, malloc stands in between; gamma is unknown to the names. */
static const char named[] = "--- symbol\n"
                            "0x1000 inner\n0x10ff malloc\n0x11ff alpha(int)--inlined\n"
                            "0x12ff beta\n0x13ff main\n"
                            "---\n--- heap\nheap_v2/1\n"
                            "@ 0x1000 0x1100 0x1200 0x1400\n"
                            "  t*: 1: 100 [2: 300]\n  t5: 1: 60 [1: 70]\n"
                            "@ 0x1000 0x1100 0x1300 0x1400\n"
                            "  t*: 2: 50 [2: 50]\n"
                            "@ 0x1000 0x1100\n  t*: 1: 7 [1: 7]\n"
                            "@ 0x1000 0x1100 0x1600 0x1400\n  t*: 0: 0 [9: 900]\n";

static struct profile profile;
static struct view view;

static void open_view(const char *text, const struct view_options *options)
{
    struct profile_error error = {""};
    if (!profile_parse(&profile, text, strlen(text), "a.heap", &error) ||
        !view_open(&view, &profile, options, NULL, NULL, &error)) {
        fail_msg("%s", error.text);
    }
}

static void close_view(void)
{
    view_close(&view);
    profile_close(&profile);
}

/* The short names of a stack, innermost first, with a blank behind each. */
static const char *names_of(size_t index)
{
    static char names[256];
    names[0] = '\0';
    assert_true(index < view.stack_count);
    for (size_t i = 0; i < view.stacks[index].depth; i++) {
        strcat(strcat(names, view.stacks[index].frames[i]->name), " ");
    }
    return names;
}

static const struct view_options everything = {.thread = PROFILE_ALL_THREADS};

static void test_names_and_the_allocators_frames(void **state)
{
    (void)state;
    open_view(named, &everything);
    assert_int_equal((int)view.total, 157);
    assert_int_equal((int)view.shown_total, 150); /* the stack of malloc alone is gone */
    assert_int_equal(view.stack_count, 2);
    assert_string_equal(names_of(0), "inlined (inline) alpha main ");
    assert_string_equal(view.stacks[0].frames[1]->full, "alpha(int)");
    assert_int_equal(view.stacks[0].frames[2]->address, 0x13ff);
    assert_string_equal(view.stacks[0].frames[2]->place, "?");
    assert_string_equal(names_of(1), "beta main ");
    close_view();
}

static void test_measures_and_threads(void **state)
{
    static const struct {
        enum view_measure measure;
        uint64_t thread;
        int total;
    } cases[] = {
        {VIEW_LIVE_SPACE, PROFILE_ALL_THREADS, 157},
        {VIEW_LIVE_OBJECTS, PROFILE_ALL_THREADS, 4},
        {VIEW_TOTAL_SPACE, PROFILE_ALL_THREADS, 1257},
        {VIEW_TOTAL_OBJECTS, PROFILE_ALL_THREADS, 14},
        {VIEW_LIVE_SPACE, 5, 60},
        {VIEW_TOTAL_OBJECTS, 5, 1},
        {VIEW_LIVE_SPACE, 6, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct view_options options = {.measure = cases[i].measure, .thread = cases[i].thread};
        open_view(named, &options);
        assert_int_equal((int)view.total, cases[i].total);
        close_view();
    }
}

static void test_unknown_addresses_and_empty_stacks(void **state)
{
    struct view_options options = everything;
    (void)state;
    options.measure = VIEW_TOTAL_SPACE;
    open_view(named, &options);
    assert_string_equal(names_of(2), "0x00000000000015ff main ");
    close_view();
    options.measure = VIEW_LIVE_SPACE;
    open_view(named, &options);
    assert_int_equal(view.address_count, 5); /* what counts nothing is not even named */
    close_view();
    options.keeps_all = true;
    open_view(named, &options);
    assert_int_equal(view.address_count, 6);
    close_view();
}

static void assert_filtered(struct view_options options, size_t stacks, const char *first)
{
    options.thread = PROFILE_ALL_THREADS;
    open_view(named, &options);
    assert_int_equal((int)view.total, 157);
    assert_int_equal(view.stack_count, stacks);
    if (stacks > 0) {
        assert_string_equal(names_of(0), first);
    }
    close_view();
}

static void test_filters(void **state)
{
    (void)state;
    assert_filtered((struct view_options){.focused = "^beta$"}, 1, "beta main ");
    assert_filtered((struct view_options){.focused = "\\(int\\)"}, 1,
                    "inlined (inline) alpha main ");
    assert_filtered((struct view_options){.focused = "malloc"}, 0, "");
    assert_filtered((struct view_options){.focused = "(?i)MAIN", .ignored = "\\Binlined|alph\\w$"},
                    1, "beta main ");
    assert_filtered((struct view_options){.retained = "a$"}, 2, "alpha ");
    assert_filtered((struct view_options){.excluded = "inlined|main"}, 2, "alpha ");
    assert_filtered((struct view_options){.excluded = "."}, 0, "");
}

static void test_a_wrong_filter(void **state)
{
    struct profile_error error = {""};
    struct view_options options = {.ignored = "a(b"};
    (void)state;
    assert_true(profile_parse(&profile, named, strlen(named), "a.heap", &error));
    assert_false(view_open(&view, &profile, &options, NULL, NULL, &error));
    assert_non_null(strstr(error.text, "--ignore: \"a(b\" is no regular expression: "));
    close_view();
}

/* Return addresses are looked up one byte before; the innermost is as it stands. */
static void test_names_of_files(void **state)
{
    static const struct fake_symbol symbols[] = {
        {0x10, 1, {{"malloc", NULL, 0, false}}},
        {0x1f, 2, {{"low(char)", "low.h", 3, true}, {"high()", "high.c", 7, false}}},
        {0x2f, 1, {{"main", "main.c", 0, false}}},
    };
    static const char text[] = "heap_v2/1\n@ 0x7010 0x7020 0x7030 0x9000\n  t*: 1: 5 [0: 0]\n"
                               "MAPPED_LIBRARIES:\n7000-8000 r-xp 0 00:00 0 /bin/p\n";
    (void)state;
    fake_symbols = symbols;
    fake_symbol_count = 3;
    open_view(text, &everything);
    assert_string_equal(names_of(0), "low (inline) high main 0x0000000000008fff ");
    assert_string_equal(view.stacks[0].frames[0]->place, "low.h:3");
    assert_string_equal(view.stacks[0].frames[2]->place, "main.c:?");
    assert_string_equal(view.stacks[0].frames[3]->place, "??:?");
    close_view();
}

/* Behind its names, a profile may have the lines too. */
static void test_places_of_the_profile(void **state)
{
    static const char text[] = "--- symbol\n0x10 leaf\n0x1f high()--low(char)\n0x2f main\n"
                               "---\n--- heap\nheap_v2/1\n@ 0x10 0x20 0x30\n  t*: 1: 5 [0: 0]\n"
                               "MAPPED_LIBRARIES:\nSOURCE_LINES:\n0x10\t??:0\n"
                               "0x1f\tc:/high.c:7\tlow.h:3\n0x2f\tmain.c:0\n";
    (void)state;
    open_view(text, &everything);
    assert_string_equal(names_of(0), "leaf low (inline) high main ");
    assert_string_equal(view.stacks[0].frames[0]->place, "??:?");
    assert_null(view.stacks[0].frames[0]->file);
    assert_string_equal(view.stacks[0].frames[1]->place, "low.h:3");
    assert_string_equal(view.stacks[0].frames[2]->file, "c:/high.c");
    assert_int_equal(view.stacks[0].frames[2]->line, 7);
    assert_string_equal(view.stacks[0].frames[3]->place, "main.c:?");
    assert_string_equal(view.stacks[0].frames[3]->file, "main.c");
    close_view();
}

static void test_threads_are_kept_and_not_counted_twice(void **state)
{
    struct view_options options = {
        .thread = PROFILE_ALL_THREADS, .keeps_all = true, .keeps_threads = true};
    (void)state;
    open_view(named, &options);
    assert_int_equal((int)view.total, 157);
    assert_int_equal((int)view.shown_total, 150);
    assert_int_equal(view.stack_count, 4); /* one of them of thread 5, one counts nothing */
    assert_int_equal(view.stacks[1].sample->thread, 5);
    assert_int_equal((int)view_count(&view.stacks[1].sample->counts, VIEW_TOTAL_SPACE), 70);
    size_t index = view_address_index(&view, 0, 0x13ff);
    assert_ptr_equal(&view.addresses[index].frames[0], view.stacks[0].frames[2]);
    close_view();
}

/* Inner functions of a stripped libjemalloc have no names, but its mapping does. */
static void test_the_library_is_the_allocator(void **state)
{
    static const char text[] = "heap_v2/1\n@ 0x7010 0x7020 0x9030\n  t*: 1: 5 [0: 0]\n"
                               "MAPPED_LIBRARIES:\n7000-8000 r-xp 0 00:00 0 /lib/libjemalloc.so.2\n"
                               "9000-a000 r-xp 0 00:00 0 /bin/libjemalloc/p\n";
    (void)state;
    fake_symbol_count = 0;
    open_view(text, &everything);
    assert_string_equal(names_of(0), "0x000000000000902f ");
    close_view();
}

/* One process after another: equal addresses are named by their own mappings. */
static void test_two_processes(void **state)
{
    static const struct fake_symbol symbols[] = {{0x10, 1, {{"first", NULL, 0, false}}},
                                                 {0x1010, 1, {{"second", NULL, 0, false}}}};
    static const char *const texts[] = {
        "heap_v2/1\n@ 0x7010\n  t*: 1: 5 [0: 0]\nMAPPED_LIBRARIES:\n7000-8000 r-xp 0 0 0 /p\n",
        "heap_v2/1\n@ 0x7010\n  t*: 1: 6 [0: 0]\nMAPPED_LIBRARIES:\n6000-8000 r-xp 0 0 0 /p\n",
    };
    struct profile_error error;
    (void)state;
    fake_symbols = symbols;
    fake_symbol_count = 2;
    fake_opened_count = 0;
    struct profile sum = {.samples = NULL};
    for (size_t i = 0; i < 2; i++) {
        assert_true(profile_parse(&profile, texts[i], strlen(texts[i]), "a.heap", &error));
        profile_add(&sum, &profile, 1);
        profile_close(&profile);
    }
    profile_merge(&sum);
    assert_true(view_open(&view, &sum, &everything, NULL, NULL, &error));
    assert_int_equal(fake_opened_count, 2);
    assert_string_equal(names_of(0), "first ");
    assert_string_equal(names_of(1), "second ");
    view_close(&view);
    profile_close(&sum);
}

/* Another choice of a profile: no file is opened again, and a wrong filter changes nothing. */
static void test_changes(void **state)
{
    static const struct fake_symbol symbols[] = {{0x10, 1, {{"low", NULL, 0, false}}},
                                                 {0x1f, 1, {{"main", NULL, 0, false}}}};
    static const char text[] = "heap_v2/1\n@ 0x7010 0x7020\n  t*: 1: 5 [2: 9]\n"
                               "MAPPED_LIBRARIES:\n7000-8000 r-xp 0 0 0 /p\n";
    struct view_options options = everything;
    struct profile_error error;
    (void)state;
    fake_symbols = symbols;
    fake_symbol_count = 2;
    fake_opened_count = 0;
    open_view(text, &everything);
    options.measure = VIEW_TOTAL_SPACE;
    options.excluded = "low";
    assert_true(view_change(&view, &profile, &options, &error));
    assert_int_equal((int)view.total, 9);
    assert_string_equal(names_of(0), "main ");
    options.excluded = "(";
    assert_false(view_change(&view, &profile, &options, &error));
    assert_string_equal(names_of(0), "main ");
    assert_true(view_change(&view, &profile, &everything, &error));
    assert_int_equal((int)view.total, 5);
    assert_string_equal(names_of(0), "low main ");
    assert_int_equal(fake_opened_count, 1);
    close_view();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_names_and_the_allocators_frames),
        cmocka_unit_test(test_measures_and_threads),
        cmocka_unit_test(test_unknown_addresses_and_empty_stacks),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_a_wrong_filter),
        cmocka_unit_test(test_names_of_files),
        cmocka_unit_test(test_places_of_the_profile),
        cmocka_unit_test(test_threads_are_kept_and_not_counted_twice),
        cmocka_unit_test(test_the_library_is_the_allocator),
        cmocka_unit_test(test_two_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
