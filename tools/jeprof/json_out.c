/* json_out.c: writes JSON value by value, with jansson. See json_out.h.
 *
 * "<" can only stand inside a text of JSON, so it may be replaced wherever it is.
 */
#include "json_out.h"

#include "text_pool.h"

#include <stdlib.h>
#include <string.h>

json_t *json_out_text(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL) {
        return value;
    }
    size_t size = strlen(text) + 1;
    char *ascii = memcpy(memory_take(size, 1), text, size);
    for (char *at = ascii; *at != '\0'; at++) {
        *at = (unsigned char)*at < 0x80 ? *at : '?';
    }
    value = json_string(ascii);
    free(ascii);
    return value;
}

static int write_part(const char *part, size_t length, void *context)
{
    struct json_out *json = context;
    for (const char *end = part + length; part < end;) {
        const char *stop = json->is_in_page ? memchr(part, '<', (size_t)(end - part)) : NULL;
        stop = stop != NULL ? stop : end;
        fwrite(part, 1, (size_t)(stop - part), json->out);
        if (stop < end) {
            fputs("\\u003c", json->out);
            stop++;
        }
        part = stop;
    }
    return 0;
}

void json_out_value(struct json_out *json, json_t *value)
{
    if (json_dump_callback(value, write_part, json,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) != 0) {
        fprintf(stderr, "jeprof: out of memory\n");
        exit(EXIT_FAILURE);
    }
    json_decref(value);
}

void json_out_element(struct json_out *json, json_t *value)
{
    fprintf(json->out, "%s\n", json->separator);
    json->separator = ",";
    json_out_value(json, value);
}

void json_out_name(struct json_out *json, const char *name)
{
    fprintf(json->out, "%s\n\"%s\":", json->separator, name);
    json->separator = ",";
}

void json_out_member(struct json_out *json, const char *name, const char *text)
{
    json_out_name(json, name);
    json_out_value(json, json_out_text(text));
}

void json_out_open(struct json_out *json, const char *bracket)
{
    fputs(bracket, json->out);
    json->separator = "";
}

void json_out_close(struct json_out *json, const char *bracket)
{
    fprintf(json->out, "%s%s", *json->separator != '\0' ? "\n" : "", bracket);
    json->separator = ",";
}
