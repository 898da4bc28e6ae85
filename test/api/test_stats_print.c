/* test_stats_print.c: goal: malloc_stats_print writes a whole text through the callback, through
 * malloc_message, or to stderr, and what it says about the version and the heap is what mallctl
 * says.
 * Method: collect the text; look for the lines that programs parse.
 */
#include "api_test.h"

#include <sys/wait.h>

struct text {
    char bytes[1 << 20];
    size_t length;
    size_t calls;
};

static struct text collected;

static void collect(void *opaque, const char *part)
{
    struct text *text = opaque;
    size_t length = strlen(part);
    assert_true(text->length + length < sizeof text->bytes);
    memcpy(text->bytes + text->length, part, length + 1);
    text->length += length;
    text->calls++;
}

static const char *print_to_text(const char *opts)
{
    memset(&collected, 0, sizeof collected);
    malloc_stats_print(collect, &collected, opts);
    return collected.bytes;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static void text_has_begin_version_and_end(void **state)
{
    (void)state;
    const char *const options[] = {NULL, "", "g", "a", "mdablxeh", "zzz", "mdablxehgzz"};
    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++) {
        const char *text = print_to_text(options[i]);
        assert_true(starts_with(text, "___ Begin jemalloc statistics ___\n"));
        assert_true(ends_with(text, "--- End jemalloc statistics ---\n"));
        bool general = options[i] == NULL || strchr(options[i], 'g') == NULL;
        const char *version = strstr(text, "\nVersion: \"" JEMALLOC_VERSION "\"\n");
        EXPECT(!general || version != NULL, "options \"%s\": no version line", options[i]);
    }
}

static void totals_are_true(void **state)
{
    (void)state;
    void *block = malloc((size_t)32 << 20);
    const char *line = strstr(print_to_text("a"), "\nAllocated: ");
    assert_non_null(line);
    size_t allocated = 0;
    size_t active = 0;
    assert_int_equal(sscanf(line, "\nAllocated: %zu, active: %zu,", &allocated, &active), 2);
    assert_true(allocated >= (size_t)32 << 20);
    assert_true(active >= allocated);
    size_t refreshed = 0;
    size_t length = sizeof refreshed;
    assert_int_equal(mallctl("stats.allocated", &refreshed, &length, NULL, 0), 0);
    assert_int_equal(allocated, refreshed);
    free(block);
}

static void without_a_callback_malloc_message_gets_the_text(void **state)
{
    (void)state;
    memset(&collected, 0, sizeof collected);
    malloc_message = collect;
    malloc_stats_print(NULL, &collected, "a");
    malloc_message = NULL;
    assert_true(starts_with(collected.bytes, "___ Begin jemalloc statistics ___\n"));
    assert_true(ends_with(collected.bytes, "--- End jemalloc statistics ---\n"));
}

static void without_either_stderr_gets_the_text(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        malloc_stats_print(NULL, NULL, "mdablxeh");
        _exit(0);
    }
    close(ends[1]);
    memset(&collected, 0, sizeof collected);
    ssize_t got = 0;
    while ((got = read(ends[0], collected.bytes + collected.length,
                       sizeof collected.bytes - collected.length - 1)) > 0) {
        collected.length += (size_t)got;
    }
    close(ends[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(starts_with(collected.bytes, "___ Begin jemalloc statistics ___\n"));
    assert_true(ends_with(collected.bytes, "--- End jemalloc statistics ---\n"));
}

static void allocate_and_collect(void *opaque, const char *part)
{
    free(malloc(strlen(part) + 1));
    collect(opaque, part);
}

static void the_callback_may_allocate(void **state)
{
    (void)state;
    memset(&collected, 0, sizeof collected);
    malloc_stats_print(allocate_and_collect, &collected, "");
    assert_true(collected.calls > 0);
    assert_true(ends_with(collected.bytes, "--- End jemalloc statistics ---\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_begin_version_and_end),
        cmocka_unit_test(totals_are_true),
        cmocka_unit_test(without_a_callback_malloc_message_gets_the_text),
        cmocka_unit_test(without_either_stderr_gets_the_text),
        cmocka_unit_test(the_callback_may_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
