/* json_out.h: writes JSON value by value, so that a million stacks need no memory as JSON.
 *
 * Inside a page "<" is written as an escape, so that no name can end the element that holds the
 * text.
 */
#ifndef JEPROF_JSON_OUT_H
#define JEPROF_JSON_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct json_out {
    FILE *out;
    bool is_in_page;
    const char *separator; /* goes before the next member or element */
};

/* A text as a value; bytes that are no UTF-8 become "?". */
json_t *json_out_text(const char *text);

/* "NAME":, behind a comma when it is not the first; a value or a list follows. */
void json_out_name(struct json_out *json, const char *name);

/* Begins and ends an object or a list: "{", "[", "}", "]". */
void json_out_open(struct json_out *json, const char *bracket);
void json_out_close(struct json_out *json, const char *bracket);

/* Writes a value and gives it back, as a member behind its name, or as an element on a line of its
 * own. */
void json_out_value(struct json_out *json, json_t *value);
void json_out_element(struct json_out *json, json_t *value);

/* Writes a text member. */
void json_out_member(struct json_out *json, const char *name, const char *text);

#endif
