/* frame_table.c: finds the description of an address in .eh_frame and runs it.
 *
 * The index (.eh_frame_hdr) is a sorted table of functions, each with the offset of its description
 * (FDE). A description names what it shares with others (its CIE) and is a small program: rows of a
 * table from the function's start on, of which the one that covers the address counts. Formats:
 * Linux Standard Base, "Exception Frames"; DWARF 5, section 6.4.
 *
 * All that the compilers and linkers of x86-64 and aarch64 write is read; encodings that they do
 * not use give FRAME_UNKNOWN. Every loop is bounded by the length that its record states; a module
 * whose tables lie about their lengths is no more trusted by libgcc, or by exceptions, than here.
 */
#include "profile/frame_table.h"

#include "os/registers.h"

#include <string.h>

enum {
    BREG_0 = 0x70, /* DW_OP_breg0: register 0 + offset */
    DEREF = 0x06,
    STATES = 8, /* rows remembered at once; compilers use 1 */
};

/* Encodings of pointers: the low half is the size, 0x10 means relative to its own place. */
enum {
    ENCODING_ABSOLUTE = 0x00,
    ENCODING_U2 = 0x02,
    ENCODING_U4 = 0x03,
    ENCODING_U8 = 0x04,
    ENCODING_S2 = 0x0a,
    ENCODING_S4 = 0x0b,
    ENCODING_S8 = 0x0c,
    ENCODING_OMITTED = 0xff,
    ENCODING_SIZE = 0x0f,
    ENCODING_BASE = 0x70,
    ENCODING_PC_RELATIVE = 0x10,
    /* Those of the index that linkers write: its table is relative to the index itself. */
    INDEX_VERSION = 1,
    INDEX_FRAMES = ENCODING_PC_RELATIVE | ENCODING_S4,
    INDEX_COUNT = ENCODING_U4,
    INDEX_TABLE = 0x30 | ENCODING_S4,
};

/* Bytes that are read in order. Reading past the end gives zeros and sets is_bad. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

enum place_kind { PLACE_SAME, PLACE_CFA, PLACE_SP, PLACE_FP, PLACE_UNDEFINED, PLACE_OTHER };

struct place {
    enum place_kind kind;
    int64_t offset;
};

/* A row of the table: of the registers, the two that count. */
struct row {
    struct place cfa; /* PLACE_SP, PLACE_FP or PLACE_OTHER */
    bool cfa_is_loaded;
    struct place fp;
    struct place back;
};

/* What a description shares with others, and its own range. */
struct description {
    uint64_t code_unit;
    int64_t data_unit;
    uint64_t return_register;
    uint8_t encoding;
    bool has_lengths; /* augmentation "z": optional data state their length */
    bool is_signal;
    uintptr_t start;
    uintptr_t end;
    struct cursor shared_program;
    struct cursor program;
};

struct program_state {
    const struct description *description;
    uintptr_t address; /* the one that is looked for */
    uintptr_t row_start;
    struct row row;
    struct row initial;
    struct row remembered[STATES];
    unsigned remembered_count;
    bool is_over; /* the next row starts behind the address */
};

static bool has_bytes(struct cursor *cursor, size_t count)
{
    bool is_enough = (size_t)(cursor->end - cursor->at) >= count;
    cursor->is_bad = cursor->is_bad || !is_enough;
    return is_enough;
}

static void skip(struct cursor *cursor, uint64_t count)
{
    if (has_bytes(cursor, count)) {
        cursor->at += count;
    }
}

/* A number of 1 to 8 bytes, little-endian. */
static uint64_t read_bytes(struct cursor *cursor, size_t count)
{
    uint64_t value = 0;
    if (has_bytes(cursor, count)) {
        memcpy(&value, cursor->at, count);
        cursor->at += count;
    }
    return value;
}

static uint8_t read_byte(struct cursor *cursor)
{
    return (uint8_t)read_bytes(cursor, 1);
}

/* LEB128: seven bits a byte, the lowest first. *bits: how many were read. */
static uint64_t read_leb(struct cursor *cursor, uint8_t *last, unsigned *bits)
{
    uint64_t value = 0;
    *bits = 0;
    do {
        *last = read_byte(cursor);
        if (*bits < 64) {
            value |= (uint64_t)(*last & 0x7f) << *bits;
        }
        *bits += 7;
    } while ((*last & 0x80) != 0);
    return value;
}

static uint64_t read_unsigned(struct cursor *cursor)
{
    uint8_t last;
    unsigned bits;
    return read_leb(cursor, &last, &bits);
}

static int64_t read_signed(struct cursor *cursor)
{
    uint8_t last;
    unsigned bits;
    uint64_t value = read_leb(cursor, &last, &bits);
    if ((last & 0x40) != 0 && bits < 64) {
        value |= ~(uint64_t)0 << bits;
    }
    return (int64_t)value;
}

/* A part of what the cursor has, as a cursor of its own; the first one goes on behind it. */
static struct cursor read_block(struct cursor *cursor, uint64_t size_bytes)
{
    struct cursor block = {cursor->at, cursor->at, false};
    if (has_bytes(cursor, size_bytes)) {
        block.end += size_bytes;
        cursor->at += size_bytes;
    }
    return block;
}

static uint64_t read_encoded(struct cursor *cursor, uint8_t encoding)
{
    uintptr_t place = (uintptr_t)cursor->at;
    uint64_t value = 0;
    switch (encoding & ENCODING_SIZE) {
    case ENCODING_ABSOLUTE:
    case ENCODING_U8:
    case ENCODING_S8:
        value = read_bytes(cursor, 8);
        break;
    case ENCODING_U4:
        value = read_bytes(cursor, 4);
        break;
    case ENCODING_S4:
        value = (uint64_t)(int64_t)(int32_t)read_bytes(cursor, 4);
        break;
    case ENCODING_U2:
        value = read_bytes(cursor, 2);
        break;
    case ENCODING_S2:
        value = (uint64_t)(int64_t)(int16_t)read_bytes(cursor, 2);
        break;
    default:
        cursor->is_bad = true;
    }
    if ((encoding & ENCODING_BASE) == ENCODING_PC_RELATIVE) {
        value += place;
    } else if ((encoding & ENCODING_BASE) != 0) {
        cursor->is_bad = true;
    }
    return value;
}

/* A record of .eh_frame without its length; an empty one ends the section. */
static struct cursor record_at(const uint8_t *at)
{
    uint32_t length;
    memcpy(&length, at, sizeof length);
    struct cursor record = {at + sizeof length, at + sizeof length, false};
    if (length == 0 || length == UINT32_MAX) { /* the latter: 64-bit lengths, which nobody writes */
        record.is_bad = true;
    } else {
        record.end += length;
    }
    return record;
}

/* What the letters of a CIE's augmentation announce. */
static void read_letters(struct cursor *record, const char *letters, struct description *result)
{
    for (const char *letter = letters; *letter != '\0'; letter++) {
        switch (*letter) {
        case 'R':
            result->encoding = read_byte(record);
            break;
        case 'P': { /* the personality: of exceptions */
            uint8_t encoding = read_byte(record);
            (void)read_encoded(record, encoding & ENCODING_SIZE);
            break;
        }
        case 'L':
            (void)read_byte(record);
            break;
        case 'S':
            result->is_signal = true;
            break;
        case 'B': /* aarch64: the second key of pointer authentication */
        case 'G': /* aarch64: tagged stacks */
            break;
        default:
            record->is_bad = true;
        }
    }
}

static bool read_cie(const uint8_t *at, struct description *result)
{
    struct cursor record = record_at(at);
    uint64_t id = read_bytes(&record, 4);
    uint8_t version = read_byte(&record);
    if (record.is_bad || id != 0 || (version != 1 && version != 3)) {
        return false;
    }
    const char *letters = (const char *)record.at;
    skip(&record, strlen(letters) + 1);
    result->code_unit = read_unsigned(&record);
    result->data_unit = read_signed(&record);
    result->return_register = version == 1 ? read_byte(&record) : read_unsigned(&record);
    result->has_lengths = *letters == 'z';
    if (result->has_lengths) {
        struct cursor data = read_block(&record, read_unsigned(&record));
        read_letters(&data, letters + 1, result);
        record.is_bad = record.is_bad || data.is_bad;
    } else if (*letters != '\0') {
        return false;
    }
    result->shared_program = record;
    return !record.is_bad;
}

static bool read_description(const uint8_t *at, struct description *result)
{
    struct cursor record = record_at(at);
    const uint8_t *place = record.at;
    uint64_t distance = read_bytes(&record, 4);
    if (record.is_bad || distance == 0 || !read_cie(place - distance, result)) {
        return false;
    }
    result->start = read_encoded(&record, result->encoding);
    result->end = result->start + read_encoded(&record, result->encoding & ENCODING_SIZE);
    if (result->has_lengths) {
        skip(&record, read_unsigned(&record));
    }
    result->program = record;
    return !record.is_bad;
}

/* The description of the last function that starts at or below the address, or NULL. */
static const uint8_t *search_index(const uint8_t *index, uintptr_t address)
{
    struct index_row {
        int32_t start;
        int32_t description;
    };
    enum { HEADER_BYTES = 12 };
    if (index[0] != INDEX_VERSION || index[1] != INDEX_FRAMES || index[2] != INDEX_COUNT ||
        index[3] != INDEX_TABLE) {
        return NULL;
    }
    uint32_t count;
    memcpy(&count, index + 8, sizeof count);
    const uint8_t *rows = index + HEADER_BYTES;
    int64_t wanted = (int64_t)(address - (uintptr_t)index);
    size_t low = 0;
    size_t high = count;
    struct index_row row;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        memcpy(&row, rows + middle * sizeof row, sizeof row);
        if (row.start <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return NULL;
    }
    memcpy(&row, rows + (low - 1) * sizeof row, sizeof row);
    return index + row.description;
}

/* The cell of a register, or NULL when it does not count. */
static struct place *cell_of(struct row *row, const struct description *description, uint64_t reg)
{
    struct place *cell = NULL;
    if (reg == DWARF_FP) {
        cell = &row->fp;
    } else if (reg == description->return_register) {
        cell = &row->back;
    }
    return cell;
}

static void set_cell(struct program_state *state, uint64_t reg, struct place place)
{
    struct place *cell = cell_of(&state->row, state->description, reg);
    if (cell != NULL) {
        *cell = place;
    }
}

static void restore_cell(struct program_state *state, uint64_t reg)
{
    struct place *initial = cell_of(&state->initial, state->description, reg);
    if (initial != NULL) {
        set_cell(state, reg, *initial);
    }
}

static enum place_kind base_of(uint64_t reg)
{
    enum place_kind kind = PLACE_OTHER;
    if (reg == DWARF_SP) {
        kind = PLACE_SP;
    } else if (reg == DWARF_FP) {
        kind = PLACE_FP;
    }
    return kind;
}

/* An expression of the form register + offset, and perhaps the word there. */
static struct place read_expression(struct cursor *program, bool *is_loaded)
{
    struct cursor block = read_block(program, read_unsigned(program));
    uint8_t operation = read_byte(&block);
    struct place place = {PLACE_OTHER, read_signed(&block)};
    *is_loaded = false;
    if (operation >= BREG_0 && !block.is_bad) {
        place.kind = base_of(operation - BREG_0);
    }
    if (block.at != block.end) {
        *is_loaded = read_byte(&block) == DEREF && block.at == block.end;
        place.kind = *is_loaded ? place.kind : PLACE_OTHER;
    }
    return place;
}

static void set_cfa_expression(struct program_state *state, struct cursor *program)
{
    state->row.cfa = read_expression(program, &state->row.cfa_is_loaded);
}

static void set_cell_expression(struct program_state *state, struct cursor *program)
{
    uint64_t reg = read_unsigned(program);
    bool is_loaded;
    struct place place = read_expression(program, &is_loaded);
    if (is_loaded) {
        place.kind = PLACE_OTHER;
    }
    set_cell(state, reg, place);
}

static void set_cfa_register(struct program_state *state, uint64_t reg)
{
    state->row.cfa.kind = base_of(reg);
    state->row.cfa_is_loaded = false;
}

static void advance(struct program_state *state, uint64_t units)
{
    uintptr_t next = state->row_start + units * state->description->code_unit;
    state->is_over = next > state->address;
    state->row_start = state->is_over ? state->row_start : next;
}

static bool remember(struct program_state *state)
{
    bool fits = state->remembered_count < STATES;
    if (fits) {
        state->remembered[state->remembered_count++] = state->row;
    }
    return fits;
}

static bool recall(struct program_state *state)
{
    bool is_there = state->remembered_count > 0;
    if (is_there) {
        state->row = state->remembered[--state->remembered_count];
    }
    return is_there;
}

/* Broken tables have any numbers: they wrap around. */
static int64_t data_units(const struct program_state *state, int64_t units)
{
    return (int64_t)((uint64_t)units * (uint64_t)state->description->data_unit);
}

static struct place at_cfa(const struct program_state *state, int64_t units)
{
    return (struct place){PLACE_CFA, data_units(state, units)};
}

/* Operations of the tables' programs. The upper two bits of some hold an operand below. */
enum operation {
    ADVANCE_BY_OPERAND = 0x40,
    OFFSET_OF_OPERAND = 0x80,
    RESTORE_OF_OPERAND = 0xc0,
    OPERAND = 0x3f,
    NOTHING = 0x00,
    SET_ADDRESS = 0x01,
    ADVANCE_1 = 0x02,
    ADVANCE_2 = 0x03,
    ADVANCE_4 = 0x04,
    OFFSET_EXTENDED = 0x05,
    RESTORE_EXTENDED = 0x06,
    UNDEFINED = 0x07,
    SAME_VALUE = 0x08,
    IN_REGISTER = 0x09,
    REMEMBER = 0x0a,
    RECALL = 0x0b,
    CFA = 0x0c,
    CFA_REGISTER = 0x0d,
    CFA_OFFSET = 0x0e,
    CFA_EXPRESSION = 0x0f,
    EXPRESSION = 0x10,
    OFFSET_EXTENDED_SIGNED = 0x11,
    CFA_SIGNED = 0x12,
    CFA_OFFSET_SIGNED = 0x13,
    VALUE_OFFSET = 0x14,
    VALUE_OFFSET_SIGNED = 0x15,
    VALUE_EXPRESSION = 0x16,
    NEGATE_SIGNED_RETURN = 0x2d, /* aarch64: the return address is signed from here on, or not */
    ARGUMENTS_SIZE = 0x2e,
};

/* The operations that set the place of a register. False: another one, or a bad one. */
static bool run_cell_operation(struct program_state *state, enum operation operation,
                               struct cursor *program)
{
    struct place place = {PLACE_OTHER, 0};
    uint64_t reg = read_unsigned(program);
    bool is_known = true;
    switch (operation) {
    case OFFSET_EXTENDED:
        place = at_cfa(state, (int64_t)read_unsigned(program));
        break;
    case OFFSET_EXTENDED_SIGNED:
        place = at_cfa(state, read_signed(program));
        break;
    case UNDEFINED:
        place.kind = PLACE_UNDEFINED;
        break;
    case SAME_VALUE:
        place.kind = PLACE_SAME;
        break;
    case IN_REGISTER:
    case VALUE_OFFSET:
    case VALUE_OFFSET_SIGNED:
        (void)read_unsigned(program); /* as long, signed or not */
        break;
    case VALUE_EXPRESSION:
        skip(program, read_unsigned(program));
        break;
    default:
        is_known = false;
    }
    set_cell(state, reg, place);
    return is_known;
}

/* The operations that set the caller's stack pointer, rows and places without a number of their
 * own. False: another one, or a bad one. */
static bool run_operation(struct program_state *state, enum operation operation,
                          struct cursor *program)
{
    bool is_known = true;
    switch (operation) {
    case NOTHING:
    case NEGATE_SIGNED_RETURN:
        break;
    case SET_ADDRESS:
        state->row_start = read_encoded(program, state->description->encoding);
        state->is_over = state->row_start > state->address;
        break;
    case ADVANCE_1:
        advance(state, read_bytes(program, 1));
        break;
    case ADVANCE_2:
        advance(state, read_bytes(program, 2));
        break;
    case ADVANCE_4:
        advance(state, read_bytes(program, 4));
        break;
    case RESTORE_EXTENDED:
        restore_cell(state, read_unsigned(program));
        break;
    case REMEMBER:
        is_known = remember(state);
        break;
    case RECALL:
        is_known = recall(state);
        break;
    case CFA:
    case CFA_SIGNED:
        set_cfa_register(state, read_unsigned(program));
        state->row.cfa.offset = operation == CFA ? (int64_t)read_unsigned(program)
                                                 : data_units(state, read_signed(program));
        break;
    case CFA_REGISTER:
        set_cfa_register(state, read_unsigned(program));
        break;
    case CFA_OFFSET:
        state->row.cfa.offset = (int64_t)read_unsigned(program);
        break;
    case CFA_OFFSET_SIGNED:
        state->row.cfa.offset = data_units(state, read_signed(program));
        break;
    case CFA_EXPRESSION:
        set_cfa_expression(state, program);
        break;
    case EXPRESSION:
        set_cell_expression(state, program);
        break;
    case ARGUMENTS_SIZE:
        (void)read_unsigned(program);
        break;
    default:
        is_known = run_cell_operation(state, operation, program);
    }
    return is_known;
}

/* Runs a program until the row that covers the address is complete. False when it cannot be read.
 */
static bool run(struct program_state *state, struct cursor program)
{
    bool is_known = true;
    while (is_known && !state->is_over && program.at < program.end) {
        uint8_t byte = read_byte(&program);
        uint64_t operand = byte & OPERAND;
        switch (byte & ~OPERAND) {
        case ADVANCE_BY_OPERAND:
            advance(state, operand);
            break;
        case OFFSET_OF_OPERAND:
            set_cell(state, operand, at_cfa(state, (int64_t)read_unsigned(&program)));
            break;
        case RESTORE_OF_OPERAND:
            restore_cell(state, operand);
            break;
        default:
            is_known = run_operation(state, byte, &program);
        }
        is_known = is_known && !program.is_bad;
    }
    return is_known;
}

/* A place as a rule has it. False when it has no such form. */
static bool pack(struct place place, uint8_t *base, int32_t *offset)
{
    static const uint8_t bases[] = {
        [PLACE_SAME] = FRAME_SAME,
        [PLACE_CFA] = FRAME_CFA,
        [PLACE_SP] = FRAME_SP,
        [PLACE_FP] = FRAME_FP,
    };
    if (place.kind > PLACE_FP || place.offset > INT32_MAX || place.offset < INT32_MIN) {
        return false;
    }
    *base = bases[place.kind];
    *offset = (int32_t)place.offset;
    return true;
}

static struct frame_rule rule_of(const struct row *row, bool is_signal)
{
    struct frame_rule unknown = {.kind = FRAME_UNKNOWN};
    struct frame_rule rule = {.kind = is_signal ? FRAME_SIGNAL : FRAME_PLAIN};
    if (row->back.kind == PLACE_UNDEFINED) {
        rule.kind = FRAME_OUTERMOST;
        return rule;
    }
    struct place fp = row->fp;
    if (fp.kind == PLACE_UNDEFINED) { /* nobody needs it any more */
        fp.kind = PLACE_SAME;
    }
    bool is_known = pack(row->cfa, &rule.cfa_base, &rule.cfa_offset) &&
                    pack(fp, &rule.fp_base, &rule.fp_offset) &&
                    pack(row->back, &rule.return_base, &rule.return_offset);
    if (!is_known || rule.cfa_base > FRAME_FP || rule.return_base == FRAME_SAME) {
        return unknown;
    }
    if (row->cfa_is_loaded) {
        rule.cfa_base = rule.cfa_base == FRAME_SP ? FRAME_AT_SP : FRAME_AT_FP;
    }
    return rule;
}

struct frame_rule frame_rule_find(const uint8_t *frame_index, uintptr_t address)
{
    struct description description = {0};
    struct program_state state = {.description = &description, .address = address};
    const uint8_t *record = frame_index != NULL ? search_index(frame_index, address) : NULL;
    bool is_known = record != NULL && read_description(record, &description) &&
                    address >= description.start && address < description.end;
    if (is_known) {
        state.row_start = description.start;
        is_known = run(&state, description.shared_program);
        state.initial = state.row;
        is_known = is_known && run(&state, description.program);
    }
    return is_known ? rule_of(&state.row, description.is_signal) : (struct frame_rule){0};
}
