/* report_disasm.c: the instructions of functions with counts. See report_disasm.h.
 *
 * An instruction has the counts of the addresses in its bytes: those of a stack lie within calls.
 */
#include "report_disasm.h"

#include "complaint.h"
#include "report_cell.h"
#include "source_text.h"
#include "stack_counts.h"
#include "tool.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t NO_ROUTINE = SIZE_MAX;

/* A function with counted addresses, which follow each other in the view. */
struct counted_routine {
    struct symbol_routine routine;
    struct symbols *symbols;
    const char *name;
    size_t first_address, address_count; /* of the view */
    struct stack_counts counts;
};

struct instruction {
    uint64_t address; /* as linked */
    const char *text;
    const char *file; /* NULL: unknown */
    unsigned line;
    struct stack_counts counts;
};

struct disassembly {
    FILE *out;
    struct view *view;
    const struct disasm_options *options;
    struct stack_counts *counts; /* of each address of the view */
    size_t *routine_of;          /* the same, or NO_ROUTINE */
    struct counted_routine *routines;
    size_t routine_count;
    struct source_text source;
};

static bool is_same_routine(const struct counted_routine *counted, const struct symbols *symbols,
                            const struct symbol_routine *routine)
{
    return counted->symbols == symbols && counted->routine.start == routine->start &&
           counted->routine.moved == routine->moved;
}

/* Numbers the frames by their addresses, and finds the functions that are asked for. */
static void find_routines(struct disassembly *all, const struct filter *filter)
{
    struct view *view = all->view;
    for (size_t i = 0; i < view->address_count; i++) {
        struct view_address *address = &view->addresses[i];
        struct symbols *symbols = view->symbols[address->source];
        const struct view_frame *outermost = &address->frames[address->frame_count - 1];
        struct symbol_routine routine;
        all->routine_of[i] = NO_ROUTINE;
        for (size_t frame = 0; frame < address->frame_count; frame++) {
            address->frames[frame].row = i;
        }
        if (symbols == NULL ||
            (!filter_finds(filter, outermost->name) && !filter_finds(filter, outermost->full)) ||
            !symbols_routine(symbols, address->address, &routine)) {
            continue;
        }
        struct counted_routine *last =
            all->routine_count > 0 ? &all->routines[all->routine_count - 1] : NULL;
        if (last == NULL || !is_same_routine(last, symbols, &routine)) {
            last = &all->routines[all->routine_count++];
            *last = (struct counted_routine){.routine = routine,
                                             .symbols = symbols,
                                             .name = outermost->name,
                                             .first_address = i};
        }
        last->address_count = i + 1 - last->first_address;
        all->routine_of[i] = all->routine_count - 1;
    }
}

static void count_stacks(struct disassembly *all)
{
    for (size_t i = 0; i < all->view->stack_count; i++) {
        const struct view_stack *stack = &all->view->stacks[i];
        for (size_t frame = 0; frame < stack->depth; frame++) {
            size_t address = stack->frames[frame]->row;
            size_t routine = all->routine_of[address];
            if (routine == NO_ROUTINE) {
                continue;
            }
            stack_counts_add(&all->counts[address], i, frame, stack->value);
            stack_counts_add(&all->routines[routine].counts, i, frame, stack->value);
        }
    }
}

/* "    12d0:\tpush   %rbp". False: another line. */
static bool read_instruction(char *line, struct instruction *instruction)
{
    char *end;
    uint64_t address = strtoull(line, &end, 16);
    if (*line != ' ' || end[0] != ':' || end[1] != '\t') {
        return false;
    }
    char *text = end + 2;
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' ')) {
        text[--length] = '\0';
    }
    *instruction = (struct instruction){.address = address, .text = text};
    return true;
}

/* What objdump says about a routine's bytes. */
static struct instruction *read_instructions(struct disassembly *all,
                                             const struct counted_routine *counted, size_t *count)
{
    char start[48];
    char stop[48];
    char *line = NULL;
    size_t line_room = 0;
    size_t room = 0;
    pid_t process;
    struct instruction *instructions = NULL;
    struct instruction instruction;
    snprintf(start, sizeof start, "--start-address=0x%" PRIx64, counted->routine.start);
    snprintf(stop, sizeof stop, "--stop-address=0x%" PRIx64, counted->routine.end);
    const char *const arguments[] = {all->options->objdump, "-d",  "-C",
                                     "--no-show-raw-insn",  start, stop,
                                     counted->routine.path, NULL};
    FILE *in = tool_read(arguments, &process);
    *count = 0;
    while (in != NULL && getline(&line, &line_room, in) > 0) {
        if (!read_instruction(line, &instruction)) {
            continue;
        }
        if (*count == room) {
            room = room > 0 ? 2 * room : 64;
            instructions = memory_resize(instructions, room, sizeof *instructions);
        }
        instruction.text = text_pool_keep(&all->view->pool, instruction.text);
        instructions[(*count)++] = instruction;
    }
    free(line);
    if (in != NULL) {
        fclose(in);
    }
    if (!tool_wait(process) || *count == 0) {
        complain("%s finds no instructions of %s in %s", all->options->objdump, counted->name,
                 counted->routine.path);
    }
    return instructions;
}

/* The source line of an instruction. */
static void find_line(const struct counted_routine *counted, struct instruction *instruction)
{
    const struct symbol_frame *frames;
    size_t count =
        symbols_find(counted->symbols, instruction->address + counted->routine.moved, &frames);
    if (count > 0 && frames[0].file != NULL && frames[0].line > 0) {
        instruction->file = frames[0].file;
        instruction->line = frames[0].line;
    }
}

/* Gives every instruction its line and the counts of the addresses in its bytes. */
static void count_instructions(const struct disassembly *all, const struct counted_routine *counted,
                               struct instruction *instructions, size_t count)
{
    size_t index = counted->first_address;
    size_t behind = index + counted->address_count;
    for (size_t i = 0; i < count; i++) {
        uint64_t end = i + 1 < count ? instructions[i + 1].address : counted->routine.end;
        find_line(counted, &instructions[i]);
        while (index < behind &&
               all->view->addresses[index].address - counted->routine.moved < end) {
            instructions[i].counts.own += all->counts[index].own;
            instructions[i].counts.cumulative += all->counts[index].cumulative;
            index++;
        }
    }
}

static void write_counts(const struct disassembly *all, const struct stack_counts *counts)
{
    enum view_measure measure = all->view->measure;
    bool shows_bytes = all->options->shows_bytes;
    fprintf(all->out, "%6s %6s ", cell_nonzero(counts->own, measure, shows_bytes).text,
            cell_nonzero(counts->cumulative, measure, shows_bytes).text);
}

/* Instructions of one line that follow each other, below the line; their number. */
static size_t write_line(struct disassembly *all, const struct instruction *instructions,
                         size_t count)
{
    struct stack_counts sum = {0, 0, 0};
    size_t length = 0;
    while (length < count && instructions[length].line == instructions[0].line &&
           instructions[length].file == instructions[0].file) {
        sum.own += instructions[length].counts.own;
        sum.cumulative += instructions[length].counts.cumulative;
        length++;
    }
    if (instructions[0].file != NULL) {
        const char *text =
            source_text_line(&all->source, instructions[0].file, instructions[0].line);
        text = text != NULL ? text + strspn(text, " \t") : "";
        write_counts(all, &sum);
        fprintf(all->out, "%5u: %s\n", instructions[0].line, text);
    }
    for (size_t i = 0; i < length; i++) {
        write_counts(all, &instructions[i].counts);
        fprintf(all->out, "   %8" PRIx64 ": %6s\n", instructions[i].address, instructions[i].text);
    }
    return length;
}

static bool write_routine(struct disassembly *all, const struct counted_routine *counted)
{
    size_t count;
    enum view_measure measure = all->view->measure;
    bool shows_bytes = all->options->shows_bytes;
    struct instruction *instructions = read_instructions(all, counted, &count);
    count_instructions(all, counted, instructions, count);
    if (count > 0) {
        fprintf(all->out, "ROUTINE ====================== %s\n", counted->name);
        fprintf(all->out, "%6s %6s %s (flat, cumulative) %s of total\n",
                cell_count(counted->counts.own, measure, shows_bytes).text,
                cell_count(counted->counts.cumulative, measure, shows_bytes).text,
                cell_unit(measure, shows_bytes),
                cell_part(counted->counts.cumulative, all->view->shown_total).text);
    }
    const char *file = NULL;
    for (size_t i = 0; i < count;) {
        if (instructions[i].file != NULL && instructions[i].file != file) {
            file = instructions[i].file;
            fprintf(all->out, "-------------------- %s\n", file);
        }
        i += write_line(all, &instructions[i], count - i);
    }
    free(instructions);
    return count > 0;
}

static int compare_sizes(const void *left, const void *right)
{
    const struct counted_routine *a = left;
    const struct counted_routine *b = right;
    double size = fabs(a->counts.cumulative);
    double other = fabs(b->counts.cumulative);
    if (size != other) {
        return size > other ? -1 : 1;
    }
    return a->first_address < b->first_address ? -1 : 1;
}

size_t report_disasm(FILE *out, struct view *view, const struct filter *filter,
                     const struct disasm_options *options)
{
    struct disassembly all = {.out = out, .view = view, .options = options};
    size_t written = 0;
    all.counts = memory_take(view->address_count, sizeof *all.counts);
    all.routine_of = memory_take(view->address_count, sizeof *all.routine_of);
    all.routines = memory_take(view->address_count, sizeof *all.routines);
    find_routines(&all, filter);
    count_stacks(&all);
    if (all.routine_count > 0) {
        qsort(all.routines, all.routine_count, sizeof *all.routines, compare_sizes);
    }
    for (size_t i = 0; i < all.routine_count; i++) {
        if (all.routines[i].counts.last_stack > 0) {
            written += write_routine(&all, &all.routines[i]);
        }
    }
    source_text_close(&all.source);
    free(all.counts);
    free(all.routine_of);
    free(all.routines);
    return written;
}
