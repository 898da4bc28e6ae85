/* test_report_json.c: goal: the JSON form has its groups where letters let them be, escapes what
 * texts hold, and ends as it began.
 * Method: the text, searched. test/api/check_stats_json reads it with a parser, in all forms.
 */
#include "upper_floors.h"

#include "control/ctl.h"
#include "control/report_json.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "prof_prefix:a\"b\\c\x01";

static struct {
    char text[1 << 20];
    size_t used;
} collected;

static void collect(void *opaque, const char *text)
{
    (void)opaque;
    size_t length = strlen(text);
    assert_true(collected.used + length < sizeof collected.text);
    memcpy(collected.text + collected.used, text, length + 1);
    collected.used += length;
}

static const char *report(const char *letters)
{
    struct printer printer;
    collected.used = 0;
    printer_init(&printer, collect, NULL);
    report_json(&printer, letters);
    print_flush(&printer);
    return collected.text;
}

/* Braces and brackets outside of texts close as they open. */
static bool is_balanced(const char *text)
{
    char open[32];
    unsigned depth = 0;
    bool quoted = false;
    for (; *text != '\0'; text++) {
        if (quoted) {
            quoted = *text != '"';
            text += *text == '\\' && text[1] != '\0';
        } else if (*text == '{' || *text == '[') {
            open[depth++] = *text == '{' ? '}' : ']';
        } else if ((*text == '}' || *text == ']') && (depth == 0 || open[--depth] != *text)) {
            return false;
        } else {
            quoted = *text == '"';
        }
    }
    return depth == 0 && !quoted;
}

static void it_is_one_object_whatever_the_letters(void **state)
{
    (void)state;
    static const char *const letters[] = {"J", "Jg", "Jma", "Jblxeh", "Jgmdablxeh", NULL};
    for (unsigned i = 0; i < COUNT_OF(letters); i++) {
        const char *text = report(letters[i]);
        assert_int_equal(strncmp(text, "{\"jemalloc\":{", 13), 0);
        assert_string_equal(text + collected.used - 3, "}}\n");
        assert_true(is_balanced(text));
        assert_null(strstr(text, ",,"));
        assert_null(strstr(text, "{,"));
        assert_null(strstr(text, ",}"));
    }
}

static void what_json_cannot_hold_is_escaped(void **state)
{
    (void)state;
    assert_non_null(strstr(report("J"), "\"prof_prefix\":\"a\\\"b\\\\c\\u0001\""));
}

static void names_become_nested_keys(void **state)
{
    (void)state;
    const char *text = report("J");
    assert_non_null(strstr(text, "\"mutexes\":{\"background_thread\":{\"num_ops\":0,"));
    assert_non_null(strstr(text, "\"0\":{\"name\":\"auto_0\",\"nthreads\":1,\"uptime_ns\":"));
    assert_non_null(strstr(text, "\"hpa_shard\":{\"sec_bytes\":0,"));
    assert_null(strstr(text, "\"nslabs\""));
}

static int start_control(void **state)
{
    return start_allocator(state) == 0 && ctl_start() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_one_object_whatever_the_letters),
        cmocka_unit_test(what_json_cannot_hold_is_escaped),
        cmocka_unit_test(names_become_nested_keys),
    };
    return cmocka_run_group_tests(tests, start_control, NULL);
}
