/* fuzz_control.c: goal: no name, MIB, or pair of lengths makes the control functions read or write
 * past what they were given, answer what the contract does not list, or disagree with each other.
 * Method: names are the table's, with indices and options from the input, some of them damaged;
 * buffers are blocks of the sanitizer's own malloc, exactly as long as they are said to be. New
 * values go only to numbers: a name that takes a pointer would follow it.
 */
#include "config/options.h"

#include <jemalloc/jemalloc.h>

#include <errno.h>
#include <stdbool.h>

#include "fuzz_input.h"

enum { CALLS_MAX = 32, DEPTH_MAX = 8, CANARY = 0xa7 };

struct name_row {
    const char *path;
    const char *type;
};

#define NAME(path, type, read, write, argument) {path, #type},
static const struct name_row rows[] = {
#include "control/ctl_table.h"
};
#undef NAME

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static const struct name_row *name_draw(struct fuzz_input *input)
{
    unsigned high = input_byte(input);
    return &rows[(high << 8 | input_byte(input)) % ROW_COUNT];
}

static void add_option_name(struct fuzz_text *name, struct fuzz_input *input)
{
    const struct option_row *row = option_row(input_byte(input));
    text_add_string(name, option_name(row != NULL ? row : option_row(0)));
}

/* The row's path with an index for each <i> and an option for <o>. */
static void add_path(struct fuzz_text *name, struct fuzz_input *input, const char *path)
{
    while (*path != '\0') {
        size_t plain = strcspn(path, "<");
        text_add(name, path, plain);
        path += plain;
        if (*path == '<') {
            if (path[1] == 'o') {
                add_option_name(name, input);
            } else {
                text_add_number(name, "%d", input_number(input));
            }
            path += strlen("<i>");
        }
    }
}

/* One of: cut, one byte replaced, something appended, only bytes of the input. */
static void name_damage(struct fuzz_text *name, struct fuzz_input *input)
{
    unsigned kind = input_below(input, 4);
    size_t place = name->length > 0 ? input_byte(input) % name->length : 0;
    if (kind == 0) {
        name->length = place;
    } else if (kind == 1) {
        name->bytes[place] = (char)input_byte(input);
    } else if (kind == 2) {
        text_add_input(name, input);
    } else {
        name->length = 0;
        text_add_input(name, input);
    }
    name->bytes[name->length] = '\0';
    name->length = strlen(name->bytes);
}

/* A call as it is made by name and by MIB. NULL buffers are made too. */
struct call {
    unsigned char *old;
    size_t old_bytes;
    bool has_length;
    void *new;
    size_t new_bytes;
};

static size_t length_draw(struct fuzz_input *input)
{
    static const uint8_t usual[] = {8, 8, 4, 4, 1, 1, 0, 2, 7, 9, 16, 64};
    return usual[input_below(input, sizeof usual)];
}

static struct call call_draw(struct fuzz_input *input, bool may_write)
{
    struct call call = {.old_bytes = length_draw(input)};
    unsigned kind = input_byte(input);
    call.has_length = kind % 8 != 0;
    if (kind % 4 != 3) {
        call.old = malloc(call.old_bytes);
        memset(call.old, CANARY, call.old_bytes);
    }
    if (kind >= 192) {
        call.new_bytes = length_draw(input);
    }
    if (kind >= 224 && may_write) {
        uint64_t number = input_number(input);
        call.new = malloc(call.new_bytes);
        memset(call.new, 0, call.new_bytes);
        memcpy(call.new, &number, call.new_bytes < sizeof number ? call.new_bytes : sizeof number);
    }
    return call;
}

static void call_end(struct call *call)
{
    free(call->old);
    free(call->new);
}

static void check_answer(const struct call *call, int answer, size_t old_bytes)
{
    HOLDS(answer == 0 || answer == ENOENT || answer == EINVAL || answer == EPERM ||
          answer == EFAULT || answer == EAGAIN || answer == ENOMEM);
    HOLDS(old_bytes <= call->old_bytes);
    HOLDS(answer != 0 || old_bytes == call->old_bytes);
    /* Other errors may come from the write, after the old value was read. */
    if (call->old != NULL && (answer == ENOENT || answer == EPERM)) {
        for (size_t i = 0; i < call->old_bytes; i++) {
            HOLDS(call->old[i] == CANARY);
        }
    }
}

static int call_by_name(const char *name, const struct call *call)
{
    size_t old_bytes = call->old_bytes;
    int answer = je_mallctl(name, call->old, call->has_length ? &old_bytes : NULL, call->new,
                            call->new_bytes);
    check_answer(call, answer, old_bytes);
    return answer;
}

static int call_by_mib(const size_t *mib, size_t depth, const struct call *call)
{
    size_t old_bytes = call->old_bytes;
    int answer = je_mallctlbymib(mib, depth, call->old, call->has_length ? &old_bytes : NULL,
                                 call->new, call->new_bytes);
    check_answer(call, answer, old_bytes);
    return answer;
}

/* Translates into a buffer of exactly `room` numbers; *depth becomes what the function says. */
static size_t *translate(const char *name, size_t room, size_t *depth, int *answer)
{
    size_t *mib = malloc(room * sizeof *mib);
    memset(mib, CANARY, room * sizeof *mib);
    *depth = room;
    *answer = je_mallctlnametomib(name, mib, depth);
    HOLDS(*answer == 0 || *answer == ENOENT);
    HOLDS(*depth <= room);
    for (size_t i = *depth * sizeof *mib; i < room * sizeof *mib; i++) {
        HOLDS(((unsigned char *)mib)[i] == CANARY);
    }
    return mib;
}

/* A name and its MIB must be the same thing: both known or both not. */
static void check_mib_agrees(const char *name, const struct call *call, int answer_by_name)
{
    size_t depth;
    int known;
    size_t *mib = translate(name, DEPTH_MAX, &depth, &known);
    if (call->old != NULL) {
        memset(call->old, CANARY, call->old_bytes);
    }
    if (known == 0) {
        HOLDS((call_by_mib(mib, depth, call) == ENOENT) == (answer_by_name == ENOENT));
    } else {
        HOLDS(answer_by_name == ENOENT);
    }
    free(mib);
}

/* arena.<i>.name takes the address of a buffer in both directions; reset and destroy discard what
 * this thread allocated while it was bound there. */
static bool is_unsafe(const size_t *mib, size_t depth)
{
    static const char *const names[] = {"arena.0.name", "arena.0.reset", "arena.0.destroy"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t other[DEPTH_MAX];
        size_t length = DEPTH_MAX;
        HOLDS(je_mallctlnametomib(names[i], other, &length) == 0);
        if (depth == length && mib[0] == other[0] && mib[depth - 1] == other[depth - 1]) {
            return true;
        }
    }
    return false;
}

/* A MIB cut short, and one with a number replaced; reads only. */
static void try_other_mibs(struct fuzz_input *input, const char *name)
{
    size_t depth;
    int known;
    size_t room = input_below(input, DEPTH_MAX + 1);
    size_t *mib = translate(name, room, &depth, &known);
    struct call call = call_draw(input, false);
    if (known == 0) {
        if (depth > 0) {
            mib[input_byte(input) % depth] = input_number(input);
        }
        if (!is_unsafe(mib, depth)) {
            (void)call_by_mib(mib, depth, &call);
        }
    }
    call_end(&call);
    free(mib);
}

static void one_call(struct fuzz_input *input)
{
    static struct fuzz_text name;
    const struct name_row *row = name_draw(input);
    name = (struct fuzz_text){.length = 0};
    add_path(&name, input, row->path);
    bool is_damaged = input_byte(input) >= 192;
    if (is_damaged) {
        name_damage(&name, input);
    }
    bool is_number = strcmp(row->type, "BOOLEAN") == 0 || strcmp(row->type, "UNSIGNED") == 0 ||
                     strcmp(row->type, "U32") == 0 || strcmp(row->type, "U64") == 0 ||
                     strcmp(row->type, "SIZE") == 0 || strcmp(row->type, "SSIZE") == 0;
    size_t mib[DEPTH_MAX];
    size_t depth = DEPTH_MAX;
    if (je_mallctlnametomib(name.bytes, mib, &depth) == 0 && is_unsafe(mib, depth)) {
        return;
    }
    struct call call = call_draw(input, is_number && !is_damaged);
    int answer = call_by_name(name.bytes, &call);
    check_mib_agrees(name.bytes, &call, answer);
    call_end(&call);
    try_other_mibs(input, name.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    for (unsigned calls = 0; calls < CALLS_MAX && input.left > 0; calls++) {
        one_call(&input);
    }
    return 0;
}
