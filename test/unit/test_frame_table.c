/* test_frame_table.c: goal: the rule of an address is what its table says, for each operation and
 * encoding that compilers use; whatever else a table holds gives FRAME_UNKNOWN, and no read outside
 * its records.
 * Method: tables made byte by byte around the program under test, at the end of a page behind which
 * nothing can be read; random programs.
 */
#include "unit_check.h"

#include "os/modules.h"
#include "os/registers.h"
#include "profile/frame_table.h"

enum {
    INDEX_BYTES = 12,
    FUNCTIONS_MAX = 4,
    CODE_BYTES = 256,   /* of each function that the tables tell of */
    CODE_START = 65536, /* from the index to the first of them */
    RETURN_REGISTER = 16,
};

struct table {
    uint8_t bytes[4096];
    size_t used;
};

static uint8_t *page;
static size_t page_bytes;

static void put(struct table *table, uint64_t value, size_t size_bytes)
{
    memcpy(table->bytes + table->used, &value, size_bytes);
    table->used += size_bytes;
}

static void put_text(struct table *table, const void *text, size_t size_bytes)
{
    memcpy(table->bytes + table->used, text, size_bytes);
    table->used += size_bytes;
}

static void set_length(struct table *table, size_t start)
{
    uint32_t length = (uint32_t)(table->used - start - sizeof length);
    memcpy(table->bytes + start, &length, sizeof length);
}

/* What a test changes of the usual table. */
struct form {
    const char *letters;
    const char *data; /* what the letters announce, with its length */
    size_t data_bytes;
    uint8_t version;
    uint8_t index_table;
};

static const struct form usual = {"zR", "\x01\x1b", 2, 1, 0x3b};

/* The caller's stack pointer is sp + 8, the return address is below it: a call on x86-64. */
static void put_cie(struct table *table, const struct form *form)
{
    size_t start = table->used;
    put(table, 0, 4);
    put(table, 0, 4);
    put(table, form->version, 1);
    put_text(table, form->letters, strlen(form->letters) + 1);
    put(table, 1, 1);    /* code unit */
    put(table, 0x78, 1); /* data unit, -8 */
    put(table, RETURN_REGISTER, 1);
    put_text(table, form->data, form->data_bytes);
    put(table, 0x0c, 1);
    put(table, DWARF_SP, 1);
    put(table, 8, 1);
    put(table, 0x80 | RETURN_REGISTER, 1);
    put(table, 1, 1);
    set_length(table, start);
}

static void put_fde(struct table *table, size_t cie, uint32_t code, struct table *program)
{
    size_t start = table->used;
    put(table, 0, 4);
    put(table, table->used - cie, 4);
    put(table, code - (uint32_t)table->used, 4);
    put(table, CODE_BYTES, 4);
    put(table, 0, 1); /* no optional data */
    put_text(table, program->bytes, program->used);
    set_length(table, start);
}

/* An index of some functions with one program each way up, at the end of the page. */
static const uint8_t *make_table(const struct form *form, const void *program, size_t size_bytes)
{
    struct table table = {.used = 0};
    struct table text = {.used = 0};
    put_text(&text, program, size_bytes);
    put(&table, 1, 1);
    put(&table, 0x1b, 1);
    put(&table, 0x03, 1);
    put(&table, form->index_table, 1);
    put(&table, 0, 4);
    put(&table, FUNCTIONS_MAX, 4);
    size_t cie = INDEX_BYTES + FUNCTIONS_MAX * 8;
    table.used = cie;
    put_cie(&table, form);
    for (unsigned i = 0; i < FUNCTIONS_MAX; i++) {
        uint32_t row[2] = {CODE_START + i * 2 * CODE_BYTES, (uint32_t)table.used};
        memcpy(table.bytes + INDEX_BYTES + i * sizeof row, row, sizeof row);
        put_fde(&table, cie, row[0], &text);
    }
    uint8_t *start = page + page_bytes - table.used;
    memcpy(start, table.bytes, table.used);
    return start;
}

static struct frame_rule ask(const uint8_t *index, unsigned function, unsigned offset)
{
    return frame_rule_find(index,
                           (uintptr_t)index + CODE_START + function * 2 * CODE_BYTES + offset);
}

struct expectation {
    const char *what;
    const char *program;
    size_t program_bytes;
    unsigned offset;
    struct frame_rule rule;
};

/* The registers' numbers in programs: alone, as "offset", "restore", and in expressions. */
#if defined(__aarch64__)
#define FP "\x1d"
#define SP "\x1f"
#define OFFSET_FP "\x9d"
#define RESTORE_FP "\xdd"
#define BREG_FP "\x8d"
#define BREG_SP "\x8f"
#else
#define FP "\x06"
#define SP "\x07"
#define OFFSET_FP "\x86"
#define RESTORE_FP "\xc6"
#define BREG_FP "\x76"
#define BREG_SP "\x77"
#endif
#define RA "\x10"
#define PROGRAM(text) text, sizeof text - 1

/* After push fp; mov sp, fp; and in the epilogue. */
#define PROLOGUE "\x41\x0e\x10" OFFSET_FP "\x02\x43\x0d" FP

static const struct expectation expectations[] = {
    {"call", PROGRAM("\0"), 0, {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"before the push",
     PROGRAM(PROLOGUE),
     0,
     {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"pushed", PROGRAM(PROLOGUE), 1, {16, -16, -8, FRAME_PLAIN, FRAME_SP, FRAME_CFA, FRAME_CFA}},
    {"pushed, last byte",
     PROGRAM(PROLOGUE),
     3,
     {16, -16, -8, FRAME_PLAIN, FRAME_SP, FRAME_CFA, FRAME_CFA}},
    {"frame pointer",
     PROGRAM(PROLOGUE),
     4,
     {16, -16, -8, FRAME_PLAIN, FRAME_FP, FRAME_CFA, FRAME_CFA}},
    {"last address",
     PROGRAM(PROLOGUE),
     CODE_BYTES - 1,
     {16, -16, -8, FRAME_PLAIN, FRAME_FP, FRAME_CFA, FRAME_CFA}},
    {"restored",
     PROGRAM(PROLOGUE "\x02\x40" RESTORE_FP "\x0c" SP "\x08"),
     4 + 64,
     {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"restored, long form",
     PROGRAM(PROLOGUE "\x06" FP),
     5,
     {16, 0, -8, FRAME_PLAIN, FRAME_FP, FRAME_SAME, FRAME_CFA}},
    {"remembered",
     PROGRAM(PROLOGUE "\x0a\x41" RESTORE_FP "\x0c" SP "\x08\x41\x0b"),
     5,
     {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"recalled",
     PROGRAM(PROLOGUE "\x0a\x41" RESTORE_FP "\x0c" SP "\x08\x41\x0b"),
     6,
     {16, -16, -8, FRAME_PLAIN, FRAME_FP, FRAME_CFA, FRAME_CFA}},
    {"advances",
     PROGRAM("\x03\x10\0\x0e\x10\x04\x10\0\0\0\x0e\x18\x02\x10\x0e\x20"),
     0x30,
     {32, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"the row before",
     PROGRAM("\x03\x10\0\x0e\x10\x04\x10\0\0\0\x0e\x18\x02\x10\x0e\x20"),
     0x2f,
     {24, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"large frame",
     PROGRAM("\x0e\xb0\xc0\x80\x01"),
     0,
     {2105392, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"signed offsets",
     PROGRAM("\x12" SP "\x78\x13\x70\x11" FP "\x7e"),
     0,
     {128, 16, -8, FRAME_PLAIN, FRAME_SP, FRAME_CFA, FRAME_CFA}},
    {"long offset",
     PROGRAM("\x05" FP "\x03"),
     0,
     {8, -24, -8, FRAME_PLAIN, FRAME_SP, FRAME_CFA, FRAME_CFA}},
    {"realigned",
     PROGRAM("\x0f\x03" BREG_FP "\x78\x06\x10" FP "\x02" BREG_FP "\0"),
     0,
     {-8, 0, -8, FRAME_PLAIN, FRAME_AT_FP, FRAME_FP, FRAME_CFA}},
    {"loaded by sp",
     PROGRAM("\x0f\x04" BREG_SP "\xa0\x01\x06\x10" RA "\x03" BREG_SP "\xa8\x01"),
     0,
     {160, 0, 168, FRAME_PLAIN, FRAME_AT_SP, FRAME_SAME, FRAME_SP}},
    {"computed",
     PROGRAM("\x0f\x02" BREG_SP "\x08"),
     0,
     {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"computed, then set",
     PROGRAM("\x0f\x03" BREG_SP "\x08\x06\x0d" FP "\x0e\x10"),
     0,
     {16, 0, -8, FRAME_PLAIN, FRAME_FP, FRAME_SAME, FRAME_CFA}},
    {"no caller", PROGRAM("\x07" RA), 0, {.kind = FRAME_OUTERMOST}},
    {"frame pointer lost",
     PROGRAM("\x07" FP),
     0,
     {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"frame pointer kept",
     PROGRAM(OFFSET_FP "\x02\x08" FP),
     0,
     {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"other registers",
     PROGRAM("\x83\x05\x05\x0c\x06\x07\x0d\x09\x03\x0c\x14\x03\x01\x15\x03\x01"
             "\x16\x03\x01\x50\x10\x03\x02\x77\x08\xc3\x2e\x10\x2d"),
     0,
     {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"address set",
     PROGRAM("\x01\0\0\0\x7f\x0e\x10"),
     5,
     {8, 0, -8, FRAME_PLAIN, FRAME_SP, FRAME_SAME, FRAME_CFA}},
    {"sp in another register", PROGRAM("\x0d\x03"), 0, {.kind = FRAME_UNKNOWN}},
    {"another base", PROGRAM("\x0f\x02\x73\x08"), 0, {.kind = FRAME_UNKNOWN}},
    {"longer expression", PROGRAM("\x0f\x04" BREG_SP "\x08\x06\x06"), 0, {.kind = FRAME_UNKNOWN}},
    {"expression without end", PROGRAM("\x0f\x7f" BREG_SP "\x08"), 0, {.kind = FRAME_UNKNOWN}},
    {"no expression", PROGRAM("\x0f\0"), 0, {.kind = FRAME_UNKNOWN}},
    {"place that is loaded",
     PROGRAM("\x10" FP "\x03" BREG_SP "\x08\x06"),
     0,
     {.kind = FRAME_UNKNOWN}},
    {"frame pointer in a register", PROGRAM("\x09" FP "\x03"), 0, {.kind = FRAME_UNKNOWN}},
    {"frame pointer by value", PROGRAM("\x14" FP "\x03"), 0, {.kind = FRAME_UNKNOWN}},
    {"frame pointer by expression",
     PROGRAM("\x16" FP "\x02" BREG_SP "\x08"),
     0,
     {.kind = FRAME_UNKNOWN}},
    {"return address kept", PROGRAM("\x08" RA), 0, {.kind = FRAME_UNKNOWN}},
    {"huge frame", PROGRAM("\x0e\x80\x80\x80\x80\x10"), 0, {.kind = FRAME_UNKNOWN}},
    {"nothing remembered", PROGRAM("\x0b"), 0, {.kind = FRAME_UNKNOWN}},
    {"too much remembered",
     PROGRAM("\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x0a"),
     0,
     {.kind = FRAME_UNKNOWN}},
    {"unknown operation", PROGRAM("\x3f"), 0, {.kind = FRAME_UNKNOWN}},
    {"cut", PROGRAM("\x04\x01\x02"), 0, {.kind = FRAME_UNKNOWN}},
    {"number without end",
     PROGRAM("\x0e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"),
     0,
     {.kind = FRAME_UNKNOWN}},
};

static void expect_rule(const char *what, const struct frame_rule *rule,
                        const struct frame_rule *expected)
{
    EXPECT(rule->kind == expected->kind, "%s: kind %u, not %u", what, rule->kind, expected->kind);
    bool is_equal = memcmp(rule, expected, sizeof *rule) == 0;
    EXPECT(is_equal || expected->kind == FRAME_UNKNOWN || expected->kind == FRAME_OUTERMOST,
           "%s: cfa %u %d, fp %u %d, return %u %d", what, rule->cfa_base, rule->cfa_offset,
           rule->fp_base, rule->fp_offset, rule->return_base, rule->return_offset);
}

static void test_operations(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof expectations / sizeof expectations[0]; i++) {
        const struct expectation *row = &expectations[i];
        const uint8_t *index = make_table(&usual, row->program, row->program_bytes);
        for (unsigned function = 0; function < FUNCTIONS_MAX; function++) {
            struct frame_rule rule = ask(index, function, row->offset);
            expect_rule(row->what, &rule, &row->rule);
        }
    }
}

/* Between functions, and around all of them, nothing is known. */
static void test_addresses(void **state)
{
    (void)state;
    const uint8_t *index = make_table(&usual, PROGRAM("\0"));
    uintptr_t start = (uintptr_t)index + CODE_START;
    for (unsigned i = 0; i < FUNCTIONS_MAX; i++) {
        assert_int_equal(ask(index, i, 0).kind, FRAME_PLAIN);
        assert_int_equal(ask(index, i, CODE_BYTES - 1).kind, FRAME_PLAIN);
        assert_int_equal(ask(index, i, CODE_BYTES).kind, FRAME_UNKNOWN);
        assert_int_equal(ask(index, i, 2 * CODE_BYTES - 1).kind, FRAME_UNKNOWN);
    }
    assert_int_equal(frame_rule_find(index, start - 1).kind, FRAME_UNKNOWN);
    assert_int_equal(frame_rule_find(index, 0).kind, FRAME_UNKNOWN);
    assert_int_equal(frame_rule_find(index, UINTPTR_MAX).kind, FRAME_UNKNOWN);
    assert_int_equal(frame_rule_find(NULL, start).kind, FRAME_UNKNOWN);
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        struct form form;
        enum frame_kind kind;
    } cases[] = {
        {{"zR", "\x01\x1b", 2, 3, 0x3b}, FRAME_PLAIN},
        {{"zPLR", "\x07\x9b\x01\x02\x03\x04\x1b\x1b", 8, 1, 0x3b}, FRAME_PLAIN},
        {{"zPLR", "\x0b\x00\x01\x02\x03\x04\x05\x06\x07\x08\x1b\x1b", 12, 1, 0x3b}, FRAME_PLAIN},
        {{"zRB", "\x01\x1b", 2, 1, 0x3b}, FRAME_PLAIN},
        {{"zRS", "\x01\x1b", 2, 1, 0x3b}, FRAME_SIGNAL},
        {{"zR", "\x01\x3b", 2, 1, 0x3b}, FRAME_UNKNOWN},       /* relative to something else */
        {{"zR", "\x01\x11", 2, 1, 0x3b}, FRAME_UNKNOWN},       /* of any length */
        {{"zPLR", "\x02\x9b\x01", 3, 1, 0x3b}, FRAME_UNKNOWN}, /* cut */
        {{"zX", "\x01\x1b", 2, 1, 0x3b}, FRAME_UNKNOWN},
        {{"eh", "\x01\x1b", 2, 1, 0x3b}, FRAME_UNKNOWN},
        {{"zR", "\x01\x1b", 2, 4, 0x3b}, FRAME_UNKNOWN},
        {{"zR", "\x01\x1b", 2, 1, 0x1b}, FRAME_UNKNOWN},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *index = make_table(&cases[i].form, PROGRAM("\0"));
        enum frame_kind kind = ask(index, 1, 9).kind;
        EXPECT(kind == cases[i].kind, "form %u (%s): kind %u", i, cases[i].form.letters, kind);
    }
}

/* Programs of random bytes: no read outside the page, no hang. */
static void test_random_programs(void **state)
{
    (void)state;
    uint64_t random = unit_seed(11);
    unsigned kinds[FRAME_LAST + 1] = {0};
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t program[24];
        for (unsigned j = 0; j < sizeof program; j++) {
            program[j] = (uint8_t)unit_random(&random);
        }
        size_t length = unit_random(&random) % (sizeof program + 1);
        const uint8_t *index = make_table(&usual, program, length);
        kinds[ask(index, FUNCTIONS_MAX - 1, unit_random(&random) % CODE_BYTES).kind]++;
    }
    assert_true(kinds[FRAME_UNKNOWN] > 1000);
    assert_true(kinds[FRAME_PLAIN] > 1000);
    assert_int_equal(kinds[FRAME_LAST], 0);
}

static int map_page(void **state)
{
    (void)state;
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 2 * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && mprotect(page + page_bytes, page_bytes, PROT_NONE) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_random_programs),
    };
    return cmocka_run_group_tests(tests, map_page, NULL);
}
