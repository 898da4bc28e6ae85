/* test_report.c: goal: the report begins and ends as readers of jemalloc's expect, names every
 * option, tells the numbers of the snapshot, and its letters leave sections out.
 * Method: the text is collected through a callback that only copies, and searched; a report that
 * allocates would change what it reports, which the counters of the thread would show.
 */
#include "upper_floors.h"

#include "base/print.h"
#include "control/ctl.h"
#include "control/report.h"
#include "control/statistics.h"
#include "pages/meta.h"

struct collected {
    char text[1 << 20];
    size_t used;
    unsigned pieces;
};

static struct collected collected;

static void collect(void *opaque, const char *text)
{
    struct collected *into = opaque;
    size_t length = strlen(text);
    assert_true(into->used + length < sizeof into->text);
    memcpy(into->text + into->used, text, length + 1);
    into->used += length;
    into->pieces++;
}

static const char *report(const char *letters)
{
    collected.used = 0;
    collected.pieces = 0;
    collected.text[0] = '\0';
    report_print(collect, &collected, letters);
    return collected.text;
}

/* No arena has a part of the snapshot yet, and there is no memory for one. */
static void report_without_memory(void *opaque)
{
    (void)opaque;
    const struct rlimit none = {0, RLIM_INFINITY};
    void *block = API(malloc)(3072);
    CHILD_EXPECT(block != NULL);
    CHILD_EXPECT(setrlimit(RLIMIT_AS, &none) == 0);
    for (size_t size = 1 << 20; size > 0; size /= 2) {
        while (meta_alloc(size, 1) != NULL) {
        }
    }
    const char *text = report(NULL);
    CHILD_EXPECT(statistics_part(arena_get(0)) == NULL);
    CHILD_EXPECT(strstr(text, "\nVersion: ") != NULL);
    CHILD_EXPECT(strstr(text, "\nMerged arenas stats:\n") != NULL);
    CHILD_EXPECT(strstr(text, "\narenas[0]:\n") == NULL);
    char row[40];
    (void)snprintf(row, sizeof row, "\n%20u%4u", 3072u, class_of(3072));
    CHILD_EXPECT(strstr(text, row) != NULL);
    text = report("J");
    CHILD_EXPECT(strstr(text, "\"merged\":{") != NULL);
    CHILD_EXPECT(strcmp(text + collected.used - 5, "}}}}\n") == 0);
    API(free)(block);
}

/* The first test: later ones have a part for the arena. */
static void without_memory_for_parts_it_tells_of_the_whole(void **state)
{
    (void)state;
    if (DG_PREFIXED) {
        skip(); /* sanitizers need address space without limit */
    }
    expect_success(report_without_memory, NULL);
    assert_null(strstr(report(NULL), "\nMerged arenas stats:\n"));
    assert_non_null(strstr(collected.text, "\narenas[0]:\n"));
}

static void it_begins_and_ends_as_expected(void **state)
{
    (void)state;
    static const char begin[] = "___ Begin jemalloc statistics ___\n";
    static const char end[] = "--- End jemalloc statistics ---\n";
    static const char *const letters[] = {NULL, "", "g", "a", "b", "gab", "xyz"};
    for (unsigned i = 0; i < COUNT_OF(letters); i++) {
        const char *text = report(letters[i]);
        assert_int_equal(strncmp(text, begin, strlen(begin)), 0);
        assert_string_equal(text + collected.used - strlen(end), end);
        assert_ptr_equal(strstr(text + 1, begin), NULL);
    }
}

static void general_information_names_versions_and_every_option(void **state)
{
    (void)state;
    const char *text = report(NULL);
    assert_non_null(strstr(text, ctl_version));
    assert_non_null(strstr(text, ctl_dg_version));
    for (unsigned i = 0; option_row(i) != NULL; i++) {
        if ((option_row(i)->flags & OPTION_UNMIRRORED) != 0) {
            continue;
        }
        char line[100];
        (void)snprintf(line, sizeof line, "\n  opt.%s: ", option_name(option_row(i)));
        EXPECT(strstr(text, line) != NULL, "%s", option_name(option_row(i)));
    }
    assert_non_null(strstr(text, "\n  opt.dirty_decay_ms: 10000 (arenas.dirty_decay_ms: 10000)\n"));
    assert_non_null(strstr(text, "\n  opt.muzzy_decay_ms: 0 (arenas.muzzy_decay_ms: 0)\n"));
    assert_non_null(
        strstr(text, "\n   muzzy:     0            0            0            0            0\n"));
    assert_non_null(strstr(text, "\n  opt.junk: \"false\"\n"));
    assert_non_null(strstr(text, "\n  opt.tcache: true\n"));
    assert_non_null(strstr(text, "\nPage size: 4096\n"));
}

static void totals_are_those_of_a_fresh_snapshot(void **state)
{
    (void)state;
    uint64_t epoch = statistics_now().epoch;
    const char *text = report("gab");
    struct statistics now = statistics_now();
    char line[300];
    assert_int_equal(now.epoch, epoch + 1);
    (void)snprintf(line, sizeof line,
                   "\nAllocated: %lu, active: %lu, metadata: %lu "
                   "(n_thp %lu, edata %lu, rtree %lu), "
                   "resident: %lu, mapped: %lu, retained: %lu\n",
                   now.allocated, now.active, now.metadata, now.metadata_huge_pages,
                   now.metadata_descriptors, now.metadata_map, now.resident, now.mapped,
                   now.retained);
    EXPECT(strstr(text, line) != NULL, "no \"%s\" in \"%s\"", line, text);
}

static void each_arena_has_a_section_and_bins_in_use_a_row(void **state)
{
    (void)state;
    void *block = API(malloc)(3072);
    const char *text = report(NULL);
    for (unsigned i = 0; i < arena_count(); i++) {
        char line[40];
        (void)snprintf(line, sizeof line, "\narenas[%u]:\n", i);
        assert_non_null(strstr(text, line));
    }
    const struct bin_statistics *bin = &statistics_part(arena_get(0))->bin[class_of(3072)];
    char row[80];
    (void)snprintf(row, sizeof row, "\n%20u%4u%13lu%13lu", 3072u, class_of(3072),
                   bin->current_regions * 3072, bin->alloc_count);
    EXPECT(strstr(text, row) != NULL, "no \"%s\" in \"%s\"", row, text);
    API(free)(block);
}

static void letters_leave_sections_out(void **state)
{
    (void)state;
    assert_null(strstr(report("g"), "Version:"));
    assert_non_null(strstr(collected.text, "arenas[0]:"));
    assert_null(strstr(report("a"), "arenas[0]:"));
    assert_non_null(strstr(collected.text, "Version:"));
    assert_null(strstr(report("b"), "bins:"));
    assert_non_null(strstr(collected.text, "arenas[0]:"));
    size_t whole = strlen(report(NULL));
    assert_true(strlen(report("gmab")) < whole / 4);
    assert_null(strstr(report("x"), "n_lock_ops"));
    assert_null(strstr(report("l"), "curlextents"));
    assert_null(strstr(report("e"), "extents:  "));
    assert_null(strstr(report("h"), "HPA shard stats:"));
}

static void a_report_allocates_nothing(void **state)
{
    (void)state;
    const struct cache *cache = thread_cache();
    uint64_t allocated = cache_allocated_bytes(cache);
    (void)report(NULL);
    assert_int_equal(cache_allocated_bytes(cache), allocated);
    assert_true(collected.pieces > 1);
}

static void without_a_callback_it_goes_where_messages_go(void **state)
{
    (void)state;
    const char *text = report("gab");
    char *expected = strdup(text);
    print_sink saved_sink = message_sink;
    void *saved_opaque = message_opaque;
    collected.used = 0;
    message_sink = collect;
    message_opaque = &collected;
    report_print(NULL, &collected, "gab");
    message_sink = saved_sink;
    message_opaque = saved_opaque;
    assert_int_equal(strncmp(collected.text, expected, 40), 0);
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_for_parts_it_tells_of_the_whole),
        cmocka_unit_test(it_begins_and_ends_as_expected),
        cmocka_unit_test(general_information_names_versions_and_every_option),
        cmocka_unit_test(totals_are_those_of_a_fresh_snapshot),
        cmocka_unit_test(each_arena_has_a_section_and_bins_in_use_a_row),
        cmocka_unit_test(letters_leave_sections_out),
        cmocka_unit_test(a_report_allocates_nothing),
        cmocka_unit_test(without_a_callback_it_goes_where_messages_go),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
