/* report_symbolized.c: a profile with its names and lines. See report_symbolized.h.
 *
 * Names and lines that the file has already are left out of the copy: the view has them.
 */
#include "report_symbolized.h"

#include "report_stacks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool starts(const char *line, const char *text)
{
    return strncmp(line, text, strlen(text)) == 0;
}

static bool is_section(const char *line)
{
    size_t length = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    return length > 0 && line[length] == ':';
}

static bool copy_profile(FILE *out, const char *name)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool is_before = true;
    bool is_left_out = false;
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return false;
    }
    while ((length = getline(&line, &room, file)) > 0) {
        is_before = is_before && !starts(line, "heap_v2/") && !starts(line, "heap profile:");
        if (is_section(line)) {
            is_left_out = starts(line, "SOURCE_LINES:");
        }
        if (!is_before && !is_left_out) {
            fwrite(line, 1, (size_t)length, out);
        }
    }
    free(line);
    fclose(file);
    return true;
}

static void write_places(FILE *out, const struct view *view)
{
    fprintf(out, "SOURCE_LINES:\n");
    for (size_t i = 0; i < view->address_count; i++) {
        const struct view_address *address = &view->addresses[i];
        fprintf(out, "0x%016" PRIx64, address->address);
        for (size_t at = address->frame_count; at-- > 0;) {
            const struct view_frame *frame = &address->frames[at];
            fprintf(out, "\t%s:%u", frame->file != NULL ? frame->file : "??", frame->line);
        }
        fprintf(out, "\n");
    }
}

bool report_symbolized(FILE *out, const struct view *view, const char *program, const char *name)
{
    report_symbols(out, view, program);
    if (!copy_profile(out, name)) {
        return false;
    }
    write_places(out, view);
    return true;
}
