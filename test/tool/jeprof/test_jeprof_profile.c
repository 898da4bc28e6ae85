/* test_jeprof_profile.c: goal: every form of heap profile is read as what it says, and what is no
 * profile is refused with the line and a way out, with nothing lost or kept.
 * Method: small texts of each form, and texts that are wrong in one place each; every text also cut
 * at each of its bytes, with memory of exactly its length for a sanitizer to watch.
 */
#include "profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char heap_v2[] = "heap_v2/1024\n"
                              "  t*: 30: 30000 [60: 90000]\n"
                              "  t1: 10: 10000 [20: 30000] main thread\n"
                              "  t2: 20: 20000 [40: 60000]\n"
                              "@ 0x1000 0x4000 0x6000\n"
                              "  t*: 10: 10000 [20: 20000]\n"
                              "  t1: 10: 10000 [20: 20000] main thread\n"
                              "@ 0x2000\n"
                              "  t*: 20: 20000 [40: 40000]\n"
                              "  t2: 20: 20000 [40: 40000]\n"
                              "\n"
                              "MAPPED_LIBRARIES:\n"
                              "7f00-8f00 r-xp 00001000 08:01 123    /lib/two words.so (deleted)\n"
                              "1000-3000 rw-p 00000000 00:00 0 \n"
                              "\n"
                              "LIFETIMES:\n"
                              "anything: at all\n"
                              "MAPPED_LIBRARIES:\n"
                              "ffffffffff600000-ffffffffff601000 --xp 0 00:00 0 [vsyscall]\n";

static const char named[] = "--- symbol\n"
                            "binary=/bin/a program\n"
                            "0x0000000000002000 outer(int)--inlined\n"
                            "0x0000000000001000 first\n"
                            "---\n"
                            "--- contention\n"
                            "what else there is\n"
                            "--- heap\n"
                            "heap_v2/1\n"
                            "@ 0x1000 0x2001\n"
                            "  t*: 1: 2 [3: 4]\n";

static bool parse(struct profile *profile, const char *text, struct profile_error *error)
{
    return profile_parse(profile, text, strlen(text), "a.heap", error);
}

static struct profile parsed(const char *text)
{
    struct profile profile;
    struct profile_error error = {""};
    if (!parse(&profile, text, &error)) {
        fail_msg("refused: %s", error.text);
    }
    return profile;
}

static void test_heap_v2(void **state)
{
    (void)state;
    struct profile profile = parsed(heap_v2);
    assert_int_equal(profile.kind, PROFILE_HEAP_V2);
    assert_int_equal(profile.period, 1024);
    assert_int_equal(profile.sample_count, 4);
    assert_int_equal(profile.samples[0].depth, 3);
    assert_int_equal(profile.samples[0].stack[2], 0x6000);
    assert_int_equal(profile.samples[0].thread, PROFILE_ALL_THREADS);
    assert_int_equal(profile.samples[1].thread, 1);
    assert_int_equal((int)profile.samples[1].counts.live_objects, 10);
    assert_int_equal((int)profile.samples[3].counts.live_bytes, 20000);
    assert_int_equal((int)profile.samples[3].counts.total_objects, 40);
    assert_int_equal((int)profile.samples[3].counts.total_bytes, 40000);
    assert_int_equal(profile.thread_count, 2);
    assert_string_equal(profile.threads[0].name, "main thread");
    assert_string_equal(profile.threads[1].name, "");
    profile_close(&profile);
}

static void test_mappings_and_unknown_sections(void **state)
{
    (void)state;
    struct profile profile = parsed(heap_v2);
    const struct profile_source *source = &profile.sources[0];
    assert_int_equal(source->mapping_count, 3);
    assert_int_equal(source->mappings[0].start, 0x1000);
    assert_false(source->mappings[0].is_executable);
    assert_string_equal(source->mappings[0].path, "");
    assert_int_equal(source->mappings[1].end, 0x8f00);
    assert_int_equal(source->mappings[1].offset, 0x1000);
    assert_true(source->mappings[1].is_executable);
    assert_string_equal(source->mappings[1].path, "/lib/two words.so (deleted)");
    assert_string_equal(source->mappings[2].path, "[vsyscall]");
    assert_false(source->has_symbols);
    profile_close(&profile);
}

static void test_names_before_the_profile(void **state)
{
    (void)state;
    struct profile profile = parsed(named);
    assert_true(profile.sources[0].has_symbols);
    assert_string_equal(profile.sources[0].program, "/bin/a program");
    assert_string_equal(profile_symbol(&profile, 0, 0x2000), "outer(int)--inlined");
    assert_string_equal(profile_symbol(&profile, 0, 0x1000), "first");
    assert_null(profile_symbol(&profile, 0, 0x2001));
    assert_int_equal(profile.sample_count, 1);
    profile_close(&profile);
}

static void assert_header(const char *header, enum profile_kind kind, uint64_t period)
{
    char text[256];
    snprintf(text, sizeof text, "%s\n  10: 1000 [ 20: 4000] @ 0x1 0x2\n 1: 2 [3: 4] @ 0x3\n",
             header);
    struct profile profile = parsed(text);
    assert_int_equal(profile.kind, kind);
    assert_int_equal(profile.period, period);
    assert_int_equal(profile.sample_count, 2);
    assert_int_equal(profile.samples[0].depth, 2);
    assert_int_equal((int)profile.samples[0].counts.total_bytes, 4000);
    profile_close(&profile);
}

static const char with_places[] = "--- symbol\n0x1 main\n---\n--- heap\nheap_v2/1\n"
                                  "@ 0x1 0x5\n  t*: 1: 2 [3: 4]\n\nMAPPED_LIBRARIES:\n"
                                  "1-4 r-xp 0 0 0 /bin/a b\n4-9 rw-p 0 0 0 /bin/a b\n"
                                  "9-a r-xp 0 0 0 /lib/c\n"
                                  "BUILD_IDS:\n1 00ff /bin/a b\n\n8 77 /gone\n"
                                  "\nSOURCE_LINES:\n0x5\t??:0\n0x1\ta b.c:3\tb.h:4\n\n";

static void test_sections_behind_the_mappings(void **state)
{
    struct profile profile;
    struct profile_error error = {""};
    (void)state;
    assert_true(profile_parse(&profile, with_places, strlen(with_places), "a", &error));
    const struct profile_source *source = &profile.sources[0];
    assert_string_equal(source->mappings[0].build_id, "00ff");
    assert_string_equal(source->mappings[1].build_id, "00ff");
    assert_null(source->mappings[2].build_id);
    assert_true(source->has_places);
    assert_string_equal(profile_place(&profile, 0, 1), "a b.c:3\tb.h:4");
    assert_string_equal(profile_place(&profile, 0, 5), "??:0");
    assert_null(profile_place(&profile, 0, 2));
    profile_close(&profile);
}

static void test_older_headers(void **state)
{
    (void)state;
    assert_header("heap profile:  1: 2 [ 3: 4] @ heap_v2/524288", PROFILE_HEAP_V2, 524288);
    assert_header("heap profile:  1: 2 [ 3: 4] @ heap_v2", PROFILE_HEAP_V2, 131072);
    assert_header("heap profile: 1: 2 [3: 4] @ heap/524288", PROFILE_HEAP_PERIOD, 262144);
    assert_header("heap profile: 1: 2 [3: 4] @ heap", PROFILE_HEAP_PERIOD, 131072);
    assert_header("heap profile: 1: 2 [3: 4] @ heapprofile", PROFILE_EXACT, 0);
    assert_header("heap profile: 1: 2 [3: 4]", PROFILE_EXACT, 0);
    assert_header("heap profile: 1: 2 [3: 4] @ growthz/1", PROFILE_GROWTH, 0);
}

static void test_line_ends_of_windows(void **state)
{
    (void)state;
    struct profile profile = parsed("heap_v2/8\r\n  t1: 1: 2 [3: 4] name\r\n@ 0x1\r\n"
                                    "  t*: 1: 2 [3: 4]\r\n\r\nMAPPED_LIBRARIES:\r\n"
                                    "1-2 r-xp 0 00:00 0 /p\r\n");
    assert_int_equal(profile.sample_count, 1);
    assert_string_equal(profile.threads[0].name, "name");
    assert_string_equal(profile.sources[0].mappings[0].path, "/p");
    profile_close(&profile);
}

static void test_wrong_texts(void **state)
{
    static const struct {
        const char *text, *error;
    } wrong[] = {
        {"", "a.heap:0: no heap profile is in it"},
        {"\n\n", "a.heap:2: no heap profile is in it"},
        {"garbage\n", "a.heap:1: this is no heap profile: \"garbage\""},
        {"\177ELF\2\1\1\n", "a.heap:1: this is no heap profile: \"?ELF???\""},
        {"heap_v2/1024", "a.heap:1: the last line is cut"},
        {"heap_v2/\n", "a.heap:1: a profile's first line without a period"},
        {"heap_v2/0\n", "a.heap:1: a profile's first line without a period"},
        {"heap_v2/18446744073709551616\n", "a.heap:1: a profile's first line without a period"},
        {"heap_v2/1 x\n", "a.heap:1: a profile's first line without a period"},
        {"heap profile: 1: 2 [3: 4] @ cpu/1\n", "a.heap:1: a header of another form"},
        {"heap profile: 1: 2 [3: 4] @ heap/x\n", "a.heap:1: a header of another form"},
        {"heap profile: 1: 2 [3: 4]\n1: 2 [3: 4]\n", "a.heap:2: a stack of another form"},
        {"heap profile: 1: 2 [3: 4]\n1: 2 [3: 4] @\n", "a.heap:2: a stack of another form"},
        {"heap_v2/1\n@ 0x1\n", "a.heap:2: the stack above has no counts"},
        {"heap_v2/1\n@ 0x1\n@ 0x2\n", "a.heap:3: the stack above has no counts"},
        {"heap_v2/1\n@ 0x1\nMAPPED_LIBRARIES:\n", "a.heap:3: the stack above has no counts"},
        {"heap_v2/1\n@\n", "a.heap:2: a stack of another form"},
        {"heap_v2/1\n@ 0x1 main\n", "a.heap:2: a stack of another form"},
        {"heap_v2/1\n@ 0x10000000000000000\n", "a.heap:2: a stack of another form"},
        {"heap_v2/1\n@ 0x1\n  t*: 1: -2 [3: 4]\n", "a.heap:3: a line of counts"},
        {"heap_v2/1\n  t*: 1: 99999999999999999999 [3: 4]\n", "a.heap:2: a line of counts"},
        {"heap_v2/1\n  t*: 1: 2\n", "a.heap:2: a line of counts"},
        {"heap_v2/1\n  tx: 1: 2 [3: 4]\n", "a.heap:2: a line of counts"},
        {"heap_v2/1\nMAPPED_LIBRARIES:\n2-1 r-xp 0 00:00 0 /p\n", "a.heap:3: a mapping of"},
        {"heap_v2/1\nMAPPED_LIBRARIES:\n1-2 r-xp\n", "a.heap:3: a mapping of another form"},
        {"--- symbol\nbinary=p\nfirst 0x1000\n", "a.heap:3: a symbol of another form"},
        {"--- symbol\n0x1000\n", "a.heap:2: a symbol of another form"},
        {"--- symbol\n0x1000 first\n---\n", "a.heap:3: no heap profile is in it"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct profile profile;
        struct profile_error error = {""};
        assert_false(parse(&profile, wrong[i].text, &error));
        if (strncmp(error.text, wrong[i].error, strlen(wrong[i].error)) != 0) {
            fail_msg("\"%s\" instead of \"%s\"", error.text, wrong[i].error);
        }
        assert_null(strchr(error.text, '\n'));
        assert_int_equal(profile.sample_count + profile.source_count, 0);
    }
}

static void test_a_nul_is_no_end(void **state)
{
    static const char text[] = "heap_v2/1\n  t*: 1: 2 [3: 4]\n@ 0x1\0 0x2\n";
    struct profile profile;
    struct profile_error error;
    (void)state;
    assert_false(profile_parse(&profile, text, sizeof text - 1, "a.heap", &error));
    assert_non_null(strstr(error.text, "a.heap:3: a stack of another form: \"@ 0x1? 0x2\""));
}

/* Each start of a text is refused or read, whole lines or not, without a look behind its end. */
static void cut_everywhere(const char *text)
{
    for (size_t length = 0; length < strlen(text); length++) {
        struct profile profile;
        struct profile_error error;
        char *start = malloc(length > 0 ? length : 1);
        assert_non_null(start);
        memcpy(start, text, length);
        bool is_read = profile_parse(&profile, start, length, "a.heap", &error);
        assert_true(!is_read || text[length - 1] == '\n');
        free(start);
        profile_close(&profile);
    }
}

static void test_cut_texts(void **state)
{
    (void)state;
    cut_everywhere(heap_v2);
    cut_everywhere(named);
    cut_everywhere(with_places);
    cut_everywhere("heap profile: 1: 2 [3: 4] @ heap/2\n 1: 2 [3: 4] @ 0x1 0x2\n");
}

static void test_files(void **state)
{
    struct profile profile;
    struct profile_error error = {""};
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    for (int i = 0; i < 100; i++) {
        fputs(i == 0 ? heap_v2 : "OTHER:\n", file); /* more than one read of a small buffer */
    }
    rewind(file);
    assert_true(profile_read(&profile, file, "a.heap", &error));
    assert_int_equal(profile.sample_count, 4);
    fclose(file);
    profile_close(&profile);
    FILE *folder = fopen(".", "rb");
    assert_non_null(folder);
    assert_false(profile_read(&profile, folder, "folder", &error));
    assert_string_equal(error.text, "folder: cannot be read: Is a directory");
    fclose(folder);
}

static void test_what_begins_like_a_profile(void **state)
{
    (void)state;
    assert_true(profile_is_text("heap_v2/524288", 14));
    assert_true(profile_is_text("heap profile: 1", 15));
    assert_true(profile_is_text("--- symbol", 10));
    assert_false(profile_is_text("\177ELF\2\1\1", 7));
    assert_false(profile_is_text("heap_v2", 7));
    assert_false(profile_is_text("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_v2),
        cmocka_unit_test(test_mappings_and_unknown_sections),
        cmocka_unit_test(test_names_before_the_profile),
        cmocka_unit_test(test_sections_behind_the_mappings),
        cmocka_unit_test(test_older_headers),
        cmocka_unit_test(test_line_ends_of_windows),
        cmocka_unit_test(test_wrong_texts),
        cmocka_unit_test(test_a_nul_is_no_end),
        cmocka_unit_test(test_cut_texts),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_what_begins_like_a_profile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
