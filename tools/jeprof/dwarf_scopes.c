/* dwarf_scopes.c: what DWARF says about an address. See dwarf_scopes.h.
 *
 * libdw's own search begins at the top of a unit for every address, and needs .debug_aranges, which
 * clang does not write. Here ranges are read once and searched by halving.
 */
#include "dwarf_scopes.h"

#include "text_pool.h"

#include <dwarf.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    WALK_DEPTH_MAX = 512, /* deeper nesting of scopes than any compiler takes */
    RANGES_MAX = 1 << 20, /* of one unit or function; a unit has one for each of its functions */
    OVERLAPPING_MAX = 64, /* how far back a range is looked for that holds others */
    FIRST_ROOM = 16,
};

struct scope_range {
    uint64_t start, end;
    uint64_t longest_end; /* the largest end up to this range, in the order of starts */
    size_t index;         /* of the unit, or of the function within its unit */
};

struct range_list {
    struct scope_range *ranges;
    size_t count, room;
};

struct dwarf_unit {
    Dwarf_Die die;        /* of the file; it has the ranges and the lines */
    Dwarf_Die whole;      /* the same, or the unit in a split file, which has the functions */
    bool is_read;         /* functions are listed */
    bool is_read_deep;    /* those within functions too */
    Dwarf_Die *functions; /* those with addresses */
    size_t function_count, function_room;
    struct range_list ranges; /* of the functions */
};

/* A range of an inlined call; calls stand in the order of the tree, outer ones first. */
struct inlined_call {
    uint64_t start, end;
    size_t id, outer; /* of the call, and of the one around it; 0: the function itself */
    Dwarf_Die die;
};

/* A walk through a tree, always forward in the section. */
struct die_walk {
    Dwarf_Die path[WALK_DEPTH_MAX];
    size_t call[WALK_DEPTH_MAX]; /* free for the walk's user: the inlined call of each level */
    size_t depth;
};

/* The next one in the order of the tree: the first child if the walk descends, else a sibling, else
 * one of an outer level. */
static bool walk_next(struct die_walk *walk, bool descends)
{
    const void *last = walk->path[walk->depth].addr;
    Dwarf_Die next;
    int status = 1;
    if (descends && walk->depth + 1 < WALK_DEPTH_MAX &&
        dwarf_haschildren(&walk->path[walk->depth]) > 0) {
        status = dwarf_child(&walk->path[walk->depth], &next);
        walk->depth += status == 0;
    }
    while (status != 0 && walk->depth > 0) {
        status = dwarf_siblingof(&walk->path[walk->depth], &next);
        if (status < 0) {
            return false;
        }
        walk->depth -= status != 0;
    }
    /* Damaged references to siblings lead back. */
    if (status != 0 || next.addr <= last) {
        return false;
    }
    walk->path[walk->depth] = next;
    return true;
}

static void ranges_add(struct range_list *list, uint64_t start, uint64_t end, size_t index)
{
    if (start >= end) {
        return;
    }
    if (list->count == list->room) {
        list->room = list->room > 0 ? 2 * list->room : FIRST_ROOM;
        list->ranges = memory_resize(list->ranges, list->room, sizeof *list->ranges);
    }
    list->ranges[list->count++] = (struct scope_range){start, end, end, index};
}

/* False when it has no addresses. */
static bool ranges_add_die(struct range_list *list, Dwarf_Die *die, size_t index)
{
    size_t before = list->count;
    ptrdiff_t offset = 0;
    Dwarf_Addr base;
    Dwarf_Addr start;
    Dwarf_Addr end;
    for (size_t i = 0; i < RANGES_MAX; i++) {
        offset = dwarf_ranges(die, offset, &base, &start, &end);
        if (offset <= 0) {
            break;
        }
        ranges_add(list, start, end, index);
    }
    return list->count > before;
}

static int compare_ranges(const void *left, const void *right)
{
    const struct scope_range *a = left;
    const struct scope_range *b = right;
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    /* The shorter one last: it is found first. */
    return a->end > b->end ? -1 : a->end < b->end;
}

static void ranges_sort(struct range_list *list)
{
    if (list->count == 0) {
        return;
    }
    qsort(list->ranges, list->count, sizeof *list->ranges, compare_ranges);
    for (size_t i = 1; i < list->count; i++) {
        uint64_t longest = list->ranges[i - 1].longest_end;
        if (list->ranges[i].longest_end < longest) {
            list->ranges[i].longest_end = longest;
        }
    }
}

/* The range with the last start among those that hold the address; NULL: none does. */
static const struct scope_range *ranges_find(const struct range_list *list, uint64_t address)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->ranges[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t i = low; i > 0 && low - i < OVERLAPPING_MAX; i--) {
        const struct scope_range *range = &list->ranges[i - 1];
        if (address >= range->longest_end) {
            break;
        }
        if (address < range->end) {
            return range;
        }
    }
    return NULL;
}

static void units_add(struct dwarf_scopes *scopes, const Dwarf_Die *die)
{
    if (scopes->unit_count == scopes->unit_room) {
        scopes->unit_room = scopes->unit_room > 0 ? 2 * scopes->unit_room : FIRST_ROOM;
        scopes->units = memory_resize(scopes->units, scopes->unit_room, sizeof *scopes->units);
    }
    scopes->units[scopes->unit_count++] = (struct dwarf_unit){.die = *die, .whole = *die};
}

void dwarf_scopes_open(struct dwarf_scopes *scopes, Dwarf *dwarf)
{
    *scopes = (struct dwarf_scopes){.dwarf = dwarf};
    struct range_list list = {.count = 0};
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;
    uint8_t kind;
    while (dwarf_get_units(dwarf, unit, &unit, NULL, &kind, &die, NULL) == 0) {
        bool has_code = kind == DW_UT_compile || kind == DW_UT_skeleton;
        if (has_code && ranges_add_die(&list, &die, scopes->unit_count)) {
            units_add(scopes, &die);
        }
    }
    ranges_sort(&list);
    scopes->ranges = list.ranges;
    scopes->range_count = list.count;
}

/* What may hold functions, besides units. */
static bool holds_functions(int tag)
{
    return tag == DW_TAG_namespace || tag == DW_TAG_module || tag == DW_TAG_structure_type ||
           tag == DW_TAG_class_type || tag == DW_TAG_union_type || tag == DW_TAG_enumeration_type ||
           tag == DW_TAG_variant_part;
}

static bool is_block(int tag)
{
    return tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block ||
           tag == DW_TAG_with_stmt;
}

static void unit_add_function(struct dwarf_unit *unit, Dwarf_Die *die)
{
    /* Most are declarations, which the abbreviation tells without reading the attributes. */
    if (!dwarf_hasattr(die, DW_AT_low_pc) && !dwarf_hasattr(die, DW_AT_ranges)) {
        return;
    }
    if (!ranges_add_die(&unit->ranges, die, unit->function_count)) {
        return;
    }
    if (unit->function_count == unit->function_room) {
        unit->function_room = unit->function_room > 0 ? 2 * unit->function_room : FIRST_ROOM;
        unit->functions =
            memory_resize(unit->functions, unit->function_room, sizeof *unit->functions);
    }
    unit->functions[unit->function_count++] = *die;
}

/* The functions of a unit may stand in a file of their own (.dwo), which is opened now. */
static void unit_open_split(struct dwarf_unit *unit)
{
    Dwarf_Die split;
    uint8_t kind;
    if (dwarf_cu_info(unit->die.cu, NULL, &kind, NULL, &split, NULL, NULL, NULL) == 0 &&
        kind == DW_UT_skeleton && split.addr != NULL) {
        unit->whole = split;
    }
}

/* Lists the unit's functions; with is_deep those within functions as well, which C of GNU has. */
static void unit_read(struct dwarf_unit *unit, bool is_deep)
{
    unit->is_read = true;
    unit->is_read_deep = is_deep;
    unit->function_count = 0;
    unit->ranges.count = 0;
    struct die_walk walk;
    walk.path[0] = unit->whole;
    walk.depth = 0;
    int tag = DW_TAG_namespace; /* the unit itself is gone into */
    while (walk_next(&walk, is_deep || holds_functions(tag))) {
        tag = dwarf_tag(&walk.path[walk.depth]);
        if (tag == DW_TAG_subprogram) {
            unit_add_function(unit, &walk.path[walk.depth]);
        }
    }
    ranges_sort(&unit->ranges);
}

static void calls_add(struct dwarf_scopes *scopes, Dwarf_Die *die, size_t id, size_t outer)
{
    struct range_list list = {.count = 0};
    ranges_add_die(&list, die, 0);
    for (size_t i = 0; i < list.count; i++) {
        if (scopes->inlined_count == scopes->inlined_room) {
            scopes->inlined_room = scopes->inlined_room > 0 ? 2 * scopes->inlined_room : FIRST_ROOM;
            scopes->inlined =
                memory_resize(scopes->inlined, scopes->inlined_room, sizeof *scopes->inlined);
        }
        scopes->inlined[scopes->inlined_count++] =
            (struct inlined_call){list.ranges[i].start, list.ranges[i].end, id, outer, *die};
    }
    free(list.ranges);
}

/* Lists what is inlined into a function. */
static void function_read(struct dwarf_scopes *scopes, const Dwarf_Die *function)
{
    scopes->inlined_count = 0;
    struct die_walk walk;
    walk.path[0] = *function;
    walk.call[0] = 0;
    walk.depth = 0;
    size_t count = 0;
    int tag = DW_TAG_lexical_block;
    while (walk_next(&walk, tag == DW_TAG_inlined_subroutine || is_block(tag))) {
        Dwarf_Die *die = &walk.path[walk.depth];
        size_t outer = walk.call[walk.depth - 1];
        walk.call[walk.depth] = outer;
        tag = dwarf_tag(die);
        if (tag == DW_TAG_inlined_subroutine) {
            walk.call[walk.depth] = ++count;
            calls_add(scopes, die, count, outer);
        }
    }
}

/* The unit of an address, and the range of its function there; NULL for what is not known. */
static struct dwarf_unit *find_function(struct dwarf_scopes *scopes, uint64_t address,
                                        const struct scope_range **function)
{
    const struct range_list units = {.ranges = scopes->ranges, .count = scopes->range_count};
    const struct scope_range *range = ranges_find(&units, address);
    if (range == NULL) {
        return NULL;
    }
    struct dwarf_unit *unit = &scopes->units[range->index];
    if (!unit->is_read) {
        unit_open_split(unit);
        unit_read(unit, false);
        Dwarf_Lines *lines;
        size_t line_count;
        if (dwarf_getsrclines(&unit->die, &lines, &line_count) == 0) {
            scopes->line_count += line_count;
        }
    }
    *function = ranges_find(&unit->ranges, address);
    if (*function == NULL && !unit->is_read_deep) {
        unit_read(unit, true);
        scopes->recent = NULL;
        *function = ranges_find(&unit->ranges, address);
    }
    return unit;
}

static void frame_set_names(struct dwarf_frame *frame, Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Attribute *found = dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute);
    if (found == NULL) {
        found = dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute);
    }
    frame->linker_name = found != NULL ? dwarf_formstring(found) : NULL;
    frame->name = dwarf_diename(die);
}

/* Where the compiler was run. */
static const char *unit_folder(struct dwarf_unit *unit)
{
    Dwarf_Attribute attribute;
    return dwarf_formstring(dwarf_attr(&unit->die, DW_AT_comp_dir, &attribute));
}

/* Where the call stands that the frame inside of it is inlined from. */
static void frame_set_call(struct dwarf_frame *frame, struct dwarf_unit *unit, Dwarf_Die *call)
{
    Dwarf_Attribute attribute;
    Dwarf_Word file;
    Dwarf_Word line;
    Dwarf_Files *files;
    size_t file_count;
    if (dwarf_formudata(dwarf_attr(call, DW_AT_call_line, &attribute), &line) == 0 &&
        line <= UINT_MAX) {
        frame->line = (unsigned)line;
    }
    if (dwarf_formudata(dwarf_attr(call, DW_AT_call_file, &attribute), &file) == 0 &&
        dwarf_getsrcfiles(&unit->whole, &files, &file_count) == 0 && file < file_count) {
        frame->file = dwarf_filesrc(files, file, NULL, NULL);
        frame->folder = unit_folder(unit);
    }
}

static void frame_set_line(struct dwarf_frame *frame, struct dwarf_unit *unit, uint64_t address)
{
    Dwarf_Line *row = dwarf_getsrc_die(&unit->die, address);
    int line = 0;
    if (row != NULL && dwarf_lineno(row, &line) == 0 && line > 0) {
        frame->line = (unsigned)line;
    }
    frame->file = row != NULL ? dwarf_linesrc(row, NULL, NULL) : NULL;
    frame->folder = unit_folder(unit);
}

/* The inlined calls that hold the address, outermost first. */
static size_t find_calls(struct dwarf_scopes *scopes, uint64_t address,
                         struct inlined_call *calls[SCOPES_MAX - 1])
{
    size_t depth = 0;
    size_t around = 0;
    for (size_t i = 0; i < scopes->inlined_count && depth < SCOPES_MAX - 1; i++) {
        struct inlined_call *call = &scopes->inlined[i];
        if (call->outer == around && address >= call->start && address < call->end) {
            calls[depth++] = call;
            around = call->id;
        }
    }
    return depth;
}

size_t dwarf_scopes_find(struct dwarf_scopes *scopes, uint64_t address,
                         struct dwarf_frame frames[SCOPES_MAX])
{
    const struct scope_range *range = NULL;
    struct dwarf_unit *unit = find_function(scopes, address, &range);
    if (unit == NULL) {
        return 0;
    }
    memset(frames, 0, sizeof *frames);
    frame_set_line(&frames[0], unit, address);
    if (range == NULL) {
        return frames[0].file != NULL ? 1 : 0;
    }
    Dwarf_Die *function = &unit->functions[range->index];
    if (scopes->recent != function->addr) {
        function_read(scopes, function);
        scopes->recent = function->addr;
    }
    struct inlined_call *calls[SCOPES_MAX - 1];
    size_t depth = find_calls(scopes, address, calls);
    for (size_t i = 0; i < depth; i++) {
        Dwarf_Die *call = &calls[depth - 1 - i]->die;
        frame_set_names(&frames[i], call);
        memset(&frames[i + 1], 0, sizeof frames[i + 1]);
        frame_set_call(&frames[i + 1], unit, call);
    }
    frame_set_names(&frames[depth], function);
    return depth + 1;
}

bool dwarf_scopes_function(struct dwarf_scopes *scopes, uint64_t address, uint64_t *start,
                           uint64_t *end)
{
    const struct scope_range *range = NULL;
    if (find_function(scopes, address, &range) == NULL || range == NULL) {
        return false;
    }
    *start = range->start;
    *end = range->end;
    return true;
}

/* The address of a row; 0: it has none. */
static uint64_t row_address(Dwarf_Lines *lines, size_t index)
{
    Dwarf_Line *row = dwarf_onesrcline(lines, index);
    Dwarf_Addr address;
    return row != NULL && dwarf_lineaddr(row, &address) == 0 ? address : 0;
}

/* The first row, in the order of addresses, that is not before the address. */
static size_t find_row(Dwarf_Lines *lines, size_t count, uint64_t address)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (row_address(lines, middle) < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t dwarf_scopes_rows(struct dwarf_scopes *scopes, uint64_t start, uint64_t end, uint64_t **rows)
{
    const struct scope_range *range = NULL;
    struct dwarf_unit *unit = find_function(scopes, start, &range);
    Dwarf_Lines *lines;
    size_t line_count;
    size_t count = 0;
    *rows = NULL;
    if (unit == NULL || dwarf_getsrclines(&unit->die, &lines, &line_count) != 0) {
        return 0;
    }
    size_t first = find_row(lines, line_count, start);
    size_t behind = find_row(lines, line_count, end);
    *rows = memory_take(behind - first, sizeof **rows);
    for (size_t i = first; i < behind; i++) {
        uint64_t address = row_address(lines, i);
        if (count == 0 || address != (*rows)[count - 1]) {
            (*rows)[count++] = address;
        }
    }
    return count;
}

void dwarf_scopes_close(struct dwarf_scopes *scopes)
{
    for (size_t i = 0; i < scopes->unit_count; i++) {
        free(scopes->units[i].functions);
        free(scopes->units[i].ranges.ranges);
    }
    free(scopes->units);
    free(scopes->ranges);
    free(scopes->inlined);
    *scopes = (struct dwarf_scopes){.dwarf = NULL};
}
