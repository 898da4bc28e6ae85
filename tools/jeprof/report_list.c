/* report_list.c: the source of functions with counts. See report_list.h.
 *
 * Frames that are asked for are sorted by function, file and line, and numbered by lines; then the
 * stacks are counted. Where a function begins and ends is what its rows in the line table say.
 */
#include "report_list.h"

#include "report_cell.h"
#include "source_text.h"
#include "stack_counts.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_LINES = 5 };

static const size_t NO_LINE = SIZE_MAX;

struct listed_line {
    const struct view_frame *frame; /* one of those at the line */
    size_t routine;
    struct stack_counts counts;
};

struct listed_routine {
    const struct view_frame *frame; /* one of its frames */
    unsigned first_number, last_number;
    size_t first_line, line_count; /* of the listed lines */
    struct stack_counts counts;
};

struct listing {
    struct view *view;
    struct listed_line *lines; /* by function, file and number */
    size_t line_count;
    struct listed_routine *routines; /* in the order of their lines */
    size_t routine_count;
    struct source_text source;
    bool shows_bytes;
};

static int compare_routines(const char *function, const char *file, const struct view_frame *frame)
{
    int order = strcmp(function, frame->full);
    return order != 0 ? order : strcmp(file, frame->file);
}

static int compare_frames(const void *left, const void *right)
{
    const struct view_frame *a = *(struct view_frame *const *)left;
    const struct view_frame *b = *(struct view_frame *const *)right;
    int order = compare_routines(a->full, a->file, b);
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

/* The frames that the filter finds and that have a line, sorted; every other one has no row. */
static struct view_frame **find_frames(const struct view *view, const struct filter *filter,
                                       size_t *count)
{
    size_t all = 0;
    for (size_t i = 0; i < view->address_count; i++) {
        all += view->addresses[i].frame_count;
    }
    struct view_frame **frames = memory_take(all, sizeof(struct view_frame *));
    *count = 0;
    for (size_t i = 0; i < view->address_count; i++) {
        for (size_t j = 0; j < view->addresses[i].frame_count; j++) {
            struct view_frame *frame = &view->addresses[i].frames[j];
            frame->row = NO_LINE;
            if (frame->file != NULL && frame->line > 0 &&
                (filter_finds(filter, frame->name) || filter_finds(filter, frame->full))) {
                frames[(*count)++] = frame;
            }
        }
    }
    if (*count > 0) {
        qsort(frames, *count, sizeof(struct view_frame *), compare_frames);
    }
    return frames;
}

static void number_frames(struct listing *listing, struct view_frame **frames, size_t count)
{
    listing->lines = memory_take(count, sizeof *listing->lines);
    listing->routines = memory_take(count, sizeof *listing->routines);
    struct listed_routine *routine = NULL;
    for (size_t i = 0; i < count; i++) {
        struct view_frame *frame = frames[i];
        if (routine == NULL || compare_routines(frame->full, frame->file, routine->frame) != 0) {
            routine = &listing->routines[listing->routine_count++];
            *routine = (struct listed_routine){
                .frame = frame, .first_number = frame->line, .first_line = listing->line_count};
        }
        if (routine->line_count == 0 || routine->last_number != frame->line) {
            listing->lines[listing->line_count++] =
                (struct listed_line){.frame = frame, .routine = listing->routine_count - 1};
            routine->line_count++;
            routine->last_number = frame->line;
        }
        frame->row = listing->line_count - 1;
    }
}

static void count_stacks(struct listing *listing)
{
    for (size_t i = 0; i < listing->view->stack_count; i++) {
        const struct view_stack *stack = &listing->view->stacks[i];
        for (size_t frame = 0; frame < stack->depth; frame++) {
            size_t row = stack->frames[frame]->row;
            if (row == NO_LINE) {
                continue;
            }
            struct listed_line *line = &listing->lines[row];
            struct listed_routine *routine = &listing->routines[line->routine];
            stack_counts_add(&line->counts, i, frame, stack->value);
            stack_counts_add(&routine->counts, i, frame, stack->value);
        }
    }
}

static struct listed_routine *find_routine(const struct listing *listing,
                                           const struct symbol_frame *frame)
{
    size_t low = 0;
    size_t high = listing->routine_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct listed_routine *routine = &listing->routines[middle];
        int order = compare_routines(frame->function, frame->file, routine->frame);
        if (order == 0) {
            return routine;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* Widens the functions that have a line at one address. */
static void widen_at(struct listing *listing, struct symbols *symbols, uint64_t address)
{
    const struct symbol_frame *frames;
    size_t count = symbols_find(symbols, address, &frames);
    for (size_t i = 0; i < count; i++) {
        const struct symbol_frame *frame = &frames[i];
        bool has_line = frame->function != NULL && frame->file != NULL && frame->line > 0;
        struct listed_routine *routine = has_line ? find_routine(listing, frame) : NULL;
        if (routine == NULL) {
            continue;
        }
        if (frame->line < routine->first_number) {
            routine->first_number = frame->line;
        }
        if (frame->line > routine->last_number) {
            routine->last_number = frame->line;
        }
    }
}

static bool is_listed(const struct view_address *address)
{
    for (size_t i = 0; i < address->frame_count; i++) {
        if (address->frames[i].row != NO_LINE) {
            return true;
        }
    }
    return false;
}

/* Looks at all lines of each function that holds a listed address. Addresses are sorted, so those
 * of a function follow each other. */
static void widen_routines(struct listing *listing)
{
    uint64_t behind = 0;
    size_t source = SIZE_MAX;
    for (size_t i = 0; i < listing->view->address_count; i++) {
        const struct view_address *address = &listing->view->addresses[i];
        struct symbols *symbols = listing->view->symbols[address->source];
        struct symbol_routine routine;
        bool is_done = address->source == source && address->address < behind;
        if (is_done || symbols == NULL || !is_listed(address) ||
            !symbols_routine(symbols, address->address, &routine)) {
            continue;
        }
        uint64_t *rows;
        size_t count = symbols_rows(symbols, address->address, &rows);
        for (size_t row = 0; row < count; row++) {
            widen_at(listing, symbols, rows[row]);
        }
        free(rows);
        source = address->source;
        behind = routine.end + routine.moved;
    }
}

static void write_line(FILE *out, struct listing *listing, const struct stack_counts *counts,
                       unsigned number, const char *text)
{
    enum view_measure measure = listing->view->measure;
    fprintf(out, "%6s %6s %4u: %s\n", cell_nonzero(counts->own, measure, listing->shows_bytes).text,
            cell_nonzero(counts->cumulative, measure, listing->shows_bytes).text, number, text);
}

static void write_routine(FILE *out, struct listing *listing, const struct listed_routine *routine)
{
    static const struct stack_counts nothing;
    enum view_measure measure = listing->view->measure;
    const char *path = routine->frame->file;
    const char *inline_mark =
        routine->frame->is_inlined ? strstr(routine->frame->name, " (inline)") : NULL;
    int name_length = inline_mark != NULL ? (int)(inline_mark - routine->frame->name)
                                          : (int)strlen(routine->frame->name);
    fprintf(out, "ROUTINE ====================== %.*s in %s\n", name_length, routine->frame->name,
            path);
    fprintf(out, "%6s %6s Total %s (flat / cumulative)\n",
            cell_count(routine->counts.own, measure, listing->shows_bytes).text,
            cell_count(routine->counts.cumulative, measure, listing->shows_bytes).text,
            cell_unit(measure, listing->shows_bytes));
    unsigned first = routine->first_number;
    unsigned number = first > CONTEXT_LINES ? first - CONTEXT_LINES : 1;
    size_t line = routine->first_line;
    for (; number <= routine->last_number + CONTEXT_LINES; number++) {
        const char *text = source_text_line(&listing->source, path, number);
        if (number == first || number == routine->last_number + 1) {
            fprintf(out, "---\n");
        }
        if (text == NULL) {
            break;
        }
        bool is_counted = line < routine->first_line + routine->line_count &&
                          listing->lines[line].frame->line == number;
        write_line(out, listing, is_counted ? &listing->lines[line].counts : &nothing, number,
                   text);
        line += is_counted;
    }
}

static int compare_sizes(const void *left, const void *right)
{
    const struct listed_routine *a = left;
    const struct listed_routine *b = right;
    double size = fabs(a->counts.cumulative);
    double other = fabs(b->counts.cumulative);
    if (size != other) {
        return size > other ? -1 : 1;
    }
    return compare_routines(a->frame->full, a->frame->file, b->frame);
}

size_t report_list(FILE *out, struct view *view, const struct filter *filter, bool shows_bytes)
{
    struct listing listing = {.view = view, .shows_bytes = shows_bytes};
    size_t count;
    size_t written = 0;
    struct view_frame **frames = find_frames(view, filter, &count);
    number_frames(&listing, frames, count);
    count_stacks(&listing);
    widen_routines(&listing);
    if (listing.routine_count > 0) {
        qsort(listing.routines, listing.routine_count, sizeof *listing.routines, compare_sizes);
    }
    for (size_t i = 0; i < listing.routine_count; i++) {
        const struct listed_routine *routine = &listing.routines[i];
        if (routine->counts.last_stack > 0 &&
            source_text_line(&listing.source, routine->frame->file, 1) != NULL) {
            write_routine(out, &listing, routine);
            written++;
        }
    }
    source_text_close(&listing.source);
    free(listing.lines);
    free(listing.routines);
    free(frames);
    return written;
}
