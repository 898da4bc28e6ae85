/* report_stacks.c: reports for other programs. See report_stacks.h.
 *
 * All is sorted before it is written, by texts, not by addresses, which each run has anew.
 */
#include "report_stacks.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t whole(double value)
{
    return (int64_t)fmax(fmin(value, 0x1p62), -0x1p62);
}

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static char *collapsed_line(const struct view_stack *stack)
{
    size_t size = 32;
    for (size_t i = 0; i < stack->depth; i++) {
        size += strlen(stack->frames[i]->full) + sizeof ";[inline]";
    }
    char *line = memory_take(size, 1);
    char *end = line;
    for (size_t i = stack->depth; i-- > 0;) {
        end = stpcpy(end, stack->frames[i]->full);
        end = stpcpy(end, stack->frames[i]->is_inlined ? "[inline]" : "");
        end = stpcpy(end, i > 0 ? ";" : " ");
    }
    sprintf(end, "%" PRId64, whole(stack->value));
    return line;
}

size_t report_collapsed(FILE *out, const struct view *view)
{
    char **lines = memory_take(view->stack_count, sizeof *lines);
    size_t count = 0;
    for (size_t i = 0; i < view->stack_count; i++) {
        if (whole(view->stacks[i].value) != 0) {
            lines[count++] = collapsed_line(&view->stacks[i]);
        }
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s\n", lines[i]);
        free(lines[i]);
    }
    free(lines);
    return count;
}

/* A call of one line of a function to another, or what a line allocated itself. */
struct call {
    const struct view_frame *caller;
    const struct view_frame *callee; /* NULL: allocated itself */
    double value;
};

static int compare_frames(const struct view_frame *a, const struct view_frame *b)
{
    if (a == b || a == NULL || b == NULL) {
        return (a != NULL) - (b != NULL);
    }
    int order = strcmp(a->name, b->name);
    if (order == 0) {
        order = strcmp(a->file != NULL ? a->file : "", b->file != NULL ? b->file : "");
    }
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static int compare_calls(const void *left, const void *right)
{
    const struct call *a = left;
    const struct call *b = right;
    int order = compare_frames(a->caller, b->caller);
    return order != 0 ? order : compare_frames(a->callee, b->callee);
}

/* All calls of all stacks, equal ones as one. */
static struct call *make_calls(const struct view *view, size_t *count)
{
    size_t all = 0;
    for (size_t i = 0; i < view->stack_count; i++) {
        all += view->stacks[i].depth;
    }
    struct call *calls = memory_take(all, sizeof *calls);
    size_t added = 0;
    for (size_t i = 0; i < view->stack_count; i++) {
        const struct view_stack *stack = &view->stacks[i];
        for (size_t frame = 0; frame < stack->depth; frame++) {
            calls[added++] = (struct call){
                stack->frames[frame], frame > 0 ? stack->frames[frame - 1] : NULL, stack->value};
        }
    }
    qsort(calls, added, sizeof *calls, compare_calls);
    size_t kept = 0;
    for (size_t i = 1; i < added; i++) {
        if (compare_calls(&calls[i], &calls[kept]) == 0) {
            calls[kept].value += calls[i].value;
        } else {
            calls[++kept] = calls[i];
        }
    }
    *count = added > 0 ? kept + 1 : 0;
    return calls;
}

/* Names that were written before, each with its number: callgrind writes a name once. */
struct names {
    struct text_pool pool;
    struct text_map numbers;
};

/* "KEY=(7) NAME" the first time, "KEY=(7)" later. */
static void write_name(FILE *out, struct names *names, const char *key, const char *name)
{
    struct text_entry *entry = text_map_find(&names->numbers, name);
    if (entry->key != NULL) {
        fprintf(out, "%s=(%s)\n", key, entry->value);
        return;
    }
    char number[32];
    snprintf(number, sizeof number, "%zu", names->numbers.used_count + 1);
    text_map_fill(&names->numbers, entry, name, text_pool_keep(&names->pool, number));
    fprintf(out, "%s=(%s) %s\n", key, entry->value, name);
}

static void write_frame(FILE *out, struct names *files, struct names *functions, const char *prefix,
                        const struct view_frame *frame)
{
    char key[8];
    snprintf(key, sizeof key, "%sfl", prefix);
    if (frame->file == NULL) {
        fprintf(out, "%s=??\n", key);
    } else {
        write_name(out, files, key, frame->file);
    }
    snprintf(key, sizeof key, "%sfn", prefix);
    write_name(out, functions, key, frame->name);
}

size_t report_callgrind(FILE *out, const struct view *view)
{
    size_t count;
    struct call *calls = make_calls(view, &count);
    struct names files = {.numbers = {.entries = NULL}};
    struct names functions = {.numbers = {.entries = NULL}};
    fprintf(out, "events: Hits\n");
    for (size_t i = 0; i < count; i++) {
        const struct call *call = &calls[i];
        fprintf(out, "\n");
        write_frame(out, &files, &functions, "", call->caller);
        if (call->callee != NULL) {
            write_frame(out, &files, &functions, "c", call->callee);
            fprintf(out, "calls=%" PRId64 " %u\n", whole(call->value), call->callee->line);
        }
        fprintf(out, "%u %" PRId64 "\n", call->caller->line, whole(call->value));
    }
    fprintf(out, "\n");
    text_map_close(&files.numbers);
    text_map_close(&functions.numbers);
    text_pool_close(&files.pool);
    text_pool_close(&functions.pool);
    free(calls);
    return count;
}

void report_symbols(FILE *out, const struct view *view, const char *program)
{
    fprintf(out, "--- symbol\nbinary=%s\n", program);
    for (size_t i = 0; i < view->address_count; i++) {
        const struct view_address *address = &view->addresses[i];
        fprintf(out, "0x%016" PRIx64 " ", address->address);
        for (size_t frame = address->frame_count; frame-- > 0;) {
            fprintf(out, "%s%s", address->frames[frame].full, frame > 0 ? "--" : "\n");
        }
    }
    fprintf(out, "---\n--- heap\n");
}
