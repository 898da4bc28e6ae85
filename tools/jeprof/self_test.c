/* self_test.c: jeprof checks itself. See self_test.h.
 *
 * A profile with names goes through the reader, the scaling, the sums and the table.
 */
#include "self_test.h"

#include "profile.h"
#include "profile_sum.h"
#include "report_text.h"
#include "symbol_name.h"
#include "unsample.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char profile_text[] = "--- symbol\nbinary=program\n0x10 leaf(int)\n0x20 main\n---\n"
                                   "--- heap\nheap_v2/1024\n@ 0x10 0x21\n  t*: 2: 2048 [0: 0]\n";

/* Two objects of 1024 bytes at a period of 1024 stand for 2 / (1 - 1 / e) = 3.164 each. */
static const char table_text[] = "Total: 3239 B\n"
                                 "    3239 100.0% 100.0%     3239 100.0% leaf\n"
                                 "       0   0.0% 100.0%     3239 100.0% main\n";

static bool test_line(FILE *out, const char *name, bool is_right)
{
    fprintf(out, "%s: %s\n", name, is_right ? "passed" : "failed");
    return is_right;
}

static bool test_names(FILE *out)
{
    char name[] = "std::vector<int, std::allocator<int> >::push_back(int const&) const";
    symbol_name_shorten(name);
    return test_line(out, "names", strcmp(name, "std::vector::push_back") == 0);
}

static bool test_scaling(FILE *out)
{
    struct profile_counts counts = {1, 4096, 0, 0};
    counts = unsample(counts, PROFILE_HEAP_PERIOD, 8192);
    return test_line(out, "scaling", counts.live_objects == 2 && counts.live_bytes == 8192);
}

static bool is_table_right(struct profile *profile)
{
    const struct view_options options = {.thread = PROFILE_ALL_THREADS};
    const struct report_options report = {.shows_bytes = true, .thread = PROFILE_ALL_THREADS};
    struct profile_error error;
    struct view view;
    char *text = NULL;
    size_t size;
    FILE *table = open_memstream(&text, &size);
    if (table == NULL) {
        return false;
    }
    bool is_open = view_open(&view, profile, &options, NULL, NULL, &error);
    size_t rows = is_open ? report_text(table, &view, &report) : 0;
    if (is_open) {
        view_close(&view);
    }
    bool is_right = fclose(table) == 0 && rows == 2 && strcmp(text, table_text) == 0;
    free(text);
    return is_right;
}

static bool test_table(FILE *out)
{
    struct profile part;
    struct profile sum = {.samples = NULL};
    struct profile_error error;
    bool is_right =
        profile_parse(&part, profile_text, sizeof profile_text - 1, "the test's profile", &error);
    if (is_right) {
        unsample_profile(&part);
        profile_add(&sum, &part, 2);
        profile_add(&sum, &part, -1);
        profile_merge(&sum);
        is_right = is_table_right(&sum);
        profile_close(&part);
        profile_close(&sum);
    }
    return test_line(out, "table", is_right);
}

bool self_test(FILE *out)
{
    bool is_right = test_names(out);
    is_right = test_scaling(out) && is_right;
    is_right = test_table(out) && is_right;
    fputs(is_right ? "PASS\n" : "FAIL\n", out);
    return is_right;
}
