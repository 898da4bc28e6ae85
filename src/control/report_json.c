/* report_json.c: statistics as JSON. See report_json.h.
 *
 * An object of numbers is a walk over the rows of control names with one prefix: what follows the
 * prefix is the key, and its dots are nested objects. Names that need an index beyond the prefix's
 * are elements of arrays.
 */
#include "control/report_json.h"

#include "base/text.h"
#include "config/options.h"
#include "control/ctl.h"
#include "control/ctl_values.h"
#include "control/report.h"

#include <string.h>

enum { PLACE_OF_CLASS = 2, PLACE_OF_STATS_ARENA = 2, PLACE_OF_STATS_CLASS = 4 };

struct json {
    struct printer *printer;
    const char *letters;
    bool needs_comma;
    uint64_t clean_pages; /* of the chunks that are being told, and are no huge pages */
};

static void put_comma(struct json *json)
{
    if (json->needs_comma) {
        print(json->printer, ",");
    }
    json->needs_comma = true;
}

/* A key in two parts, the second of some length. */
static void put_key(struct json *json, const char *start, const char *key, size_t length)
{
    put_comma(json);
    print(json->printer, "\"%s", start);
    for (size_t i = 0; i < length; i++) {
        print(json->printer, "%c", key[i]);
    }
    print(json->printer, "\":");
}

static void open_group(struct json *json, const char *key, size_t length, char bracket)
{
    put_key(json, "", key, length);
    print(json->printer, "%c", bracket);
    json->needs_comma = false;
}

static void open_object(struct json *json, const char *key)
{
    open_group(json, key, strlen(key), '{');
}

static void close_group(struct json *json, char bracket)
{
    print(json->printer, "%c", bracket);
    json->needs_comma = true;
}

static void put_value(struct json *json, const struct ctl_value *value)
{
    switch (value->type) {
    case CTL_TEXT:
        print_quoted(json->printer, value->text);
        break;
    case CTL_BOOLEAN:
        print(json->printer, value->number != 0 ? "true" : "false");
        break;
    case CTL_SSIZE:
        print(json->printer, "%ld", (long)value->number);
        break;
    default:
        print(json->printer, "%lu", value->number);
        break;
    }
}

/* The names of an object: those of the table that begin with `prefix`. */
struct members {
    const char *prefix;
    const char *key_start; /* in front of each key */
    const char *without;   /* keys that begin so are left out, or NULL */
    const size_t *mib;
};

static bool begins_with(const char *text, const char *start)
{
    return text_is_same_for(text, start, strlen(start));
}

/* Length of the elements before the last. */
static size_t groups_length(const char *key)
{
    size_t length = 0;
    for (size_t i = 0; key[i] != '\0'; i++) {
        length = key[i] == '.' ? i + 1 : length;
    }
    return length;
}

/* Closes the groups that the next key is not in, and opens its own. Groups are one level deep here,
 * or two with the same outer one. */
static void enter_groups(struct json *json, const char *last, const char *next)
{
    size_t last_length = groups_length(last);
    size_t next_length = groups_length(next);
    size_t shared = 0;
    for (size_t i = 0; i < last_length && i < next_length && last[i] == next[i]; i++) {
        shared = last[i] == '.' ? i + 1 : shared;
    }
    for (size_t i = shared; i < last_length; i++) {
        if (last[i] == '.') {
            close_group(json, '}');
        }
    }
    for (size_t i = shared; i < next_length; i += text_length_until(next + i, '.') + 1) {
        open_group(json, next + i, text_length_until(next + i, '.'), '{');
    }
}

/* A key without a name: what of these chunks is neither active nor dirty. */
static void put_clean_pages(struct json *json, const char *key, uint64_t number)
{
    if (text_is_same(key, "npageslabs_nonhuge")) {
        json->clean_pages = number * CHUNK_PAGES;
    } else if (text_is_same(key, "nactive_nonhuge")) {
        json->clean_pages -= number;
    } else if (text_is_same(key, "ndirty_nonhuge")) {
        json->clean_pages -= number;
        print(json->printer, ",\"nretained_nonhuge\":%lu", json->clean_pages);
    }
}

static void put_member(struct json *json, const struct members *members, unsigned row,
                       const char *key)
{
    struct ctl_value value;
    if (ctl_value(row, members->mib, &value) != 0) {
        return;
    }
    const char *last = key + groups_length(key);
    bool is_time = text_is_same(last, "uptime");
    put_key(json, members->key_start, is_time ? "uptime_ns" : last,
            strlen(is_time ? "uptime_ns" : last));
    put_value(json, &value);
    put_clean_pages(json, last, value.number);
}

static void put_members(struct json *json, const struct members *members)
{
    size_t prefix_length = strlen(members->prefix);
    const char *last = "";
    for (unsigned row = 0; ctl_path(row) != NULL; row++) {
        const char *path = ctl_path(row);
        const char *key = path + prefix_length;
        if (!begins_with(path, members->prefix) || !ctl_has_value(row) ||
            key[text_length_until(key, '<')] != '\0' ||
            (members->without != NULL && begins_with(key, members->without)) ||
            (begins_with(key, "mutex") && !report_shows(json->letters, 'x')) ||
            begins_with(key, "hpa_s")) {
            continue;
        }
        enter_groups(json, last, key);
        put_member(json, members, row, key);
        last = key;
    }
    enter_groups(json, last, "");
}

static void put_object(struct json *json, const char *key, const char *prefix, const size_t *mib)
{
    open_object(json, key);
    put_members(json, &(struct members){prefix, "", NULL, mib});
    close_group(json, '}');
}

/* An array of objects, one for each index at a place of the MIB. */
static void put_array(struct json *json, const char *key, const struct members *members,
                      size_t *index, size_t count)
{
    open_group(json, key, strlen(key), '[');
    for (*index = 0; *index < count; ++*index) {
        put_comma(json);
        print(json->printer, "{");
        json->needs_comma = false;
        put_members(json, members);
        close_group(json, '}');
    }
    close_group(json, ']');
}

/* "" when the source is not set, as in jemalloc's report. */
static void put_source(struct json *json, const char *name, const char *text)
{
    put_key(json, "", name, strlen(name));
    print_quoted(json->printer, text != NULL ? text : "");
}

static void put_options(struct json *json)
{
    open_object(json, "opt");
    put_source(json, "global_var", option_source[1]);
    put_source(json, "symlink", option_source[2]);
    put_source(json, "env_var", option_source[3]);
    for (unsigned i = 0; option_row(i) != NULL; i++) {
        const size_t mib[] = {0, CTL_OPTIONS + i};
        struct ctl_value value = {.type = CTL_OPTION};
        const struct option_row *row = option_row(i);
        if (read_option(mib, 0, &value) == 0) {
            char text[FRACTION_TEXT_BYTES];
            report_adapt_option(row, &value, text);
            put_key(json, "", option_name(row), strlen(option_name(row)));
            put_value(json, &value);
        }
    }
    close_group(json, '}');
}

static void put_general(struct json *json)
{
    size_t mib[CTL_DEPTH_MAX] = {0};
    put_key(json, "", "version", strlen("version"));
    print_quoted(json->printer, ctl_version);
    put_object(json, "dg", "dg.", mib);
    put_object(json, "config", "config.", mib);
    open_object(json, "system");
    put_key(json, "", "thp_mode", strlen("thp_mode"));
    print_quoted(json->printer, report_thp_mode());
    close_group(json, '}');
    put_options(json);
    put_object(json, "prof", "prof.", mib);
    open_object(json, "arenas");
    put_members(json, &(struct members){"arenas.", "", NULL, mib});
    put_array(json, "bin", &(struct members){"arenas.bin.<i>.", "", NULL, mib},
              &mib[PLACE_OF_CLASS], SMALL_CLASSES);
    put_array(json, "lextent", &(struct members){"arenas.lextent.<i>.", "", NULL, mib},
              &mib[PLACE_OF_CLASS], CLASS_COUNT - SMALL_CLASSES);
    close_group(json, '}');
}

static void put_hpa(struct json *json, size_t *mib)
{
    open_object(json, "hpa_shard");
    put_members(json, &(struct members){"stats.arenas.<i>.hpa_sec_", "sec_", NULL, mib});
    put_members(json, &(struct members){"stats.arenas.<i>.hpa_shard.", "", NULL, mib});
    enum { PAGE_SLAB_SIZES = 64, PLACE_OF_PAGE_SLAB = 5 };
    put_array(json, "nonfull_slabs",
              &(struct members){"stats.arenas.<i>.hpa_shard.nonfull_slabs.<i>.", "", NULL, mib},
              &mib[PLACE_OF_PAGE_SLAB], PAGE_SLAB_SIZES);
    close_group(json, '}');
}

static void put_arena(struct json *json, const char *key, size_t index)
{
    size_t mib[CTL_DEPTH_MAX] = {0};
    size_t *class_index = &mib[PLACE_OF_STATS_CLASS];
    mib[PLACE_OF_STATS_ARENA] = index;
    open_object(json, key);
    struct arena *arena = index < ARENAS_MAX ? arena_get((unsigned)index) : NULL;
    if (arena != NULL) {
        char name[ARENA_NAME_BYTES];
        arena_name(arena, name);
        put_source(json, "name", name);
    }
    put_members(json, &(struct members){"stats.arenas.<i>.", "", NULL, mib});
    if (report_shows(json->letters, 'b')) {
        put_array(json, "bins", &(struct members){"stats.arenas.<i>.bins.<i>.", "", "nslabs", mib},
                  class_index, SMALL_CLASSES);
    }
    if (report_shows(json->letters, 'l')) {
        put_array(json, "lextents",
                  &(struct members){"stats.arenas.<i>.lextents.<i>.", "", NULL, mib}, class_index,
                  CLASS_COUNT - SMALL_CLASSES);
    }
    if (report_shows(json->letters, 'e')) {
        put_array(json, "extents",
                  &(struct members){"stats.arenas.<i>.extents.<i>.", "", NULL, mib}, class_index,
                  CLASS_COUNT - SMALL_CLASSES + 3);
    }
    if (report_shows(json->letters, 'h')) {
        put_hpa(json, mib);
    }
    close_group(json, '}');
}

static void put_arenas(struct json *json)
{
    bool one_by_one = report_shows(json->letters, 'a');
    open_object(json, "arenas");
    if (report_shows(json->letters, 'm')) {
        put_arena(json, "merged", CTL_ALL_ARENAS);
    }
    if (report_shows(json->letters, 'd') && statistics_destroyed() != NULL) {
        put_arena(json, "destroyed", CTL_DESTROYED);
    }
    const struct arena *arena;
    for (unsigned i = 0; one_by_one && (arena = arena_next(&i)) != NULL;) {
        char key[12];
        if (statistics_part(arena) != NULL) {
            (void)print_to_buffer(key, sizeof key, "%u", arena->index);
            put_arena(json, key, arena->index);
        }
    }
    close_group(json, '}');
}

void report_json(struct printer *printer, const char *letters)
{
    const size_t mib[CTL_DEPTH_MAX] = {0};
    struct json json = {printer, letters, false, 0};
    print(printer, "{");
    open_object(&json, "jemalloc");
    if (report_shows(letters, 'g')) {
        put_general(&json);
    }
    open_object(&json, "stats");
    put_members(&json, &(struct members){"stats.", "", NULL, mib});
    if (report_shows(letters, 'm') || report_shows(letters, 'd') || report_shows(letters, 'a')) {
        put_arenas(&json);
    }
    close_group(&json, '}');
    close_group(&json, '}');
    print(printer, "}\n");
}
