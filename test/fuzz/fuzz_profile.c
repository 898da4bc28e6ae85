/* fuzz_profile.c: goal: no file makes the reader of heap profiles read or write past an end, lose
 * memory, or end the process; what it takes can be scaled, added and searched.
 * Method: inputs become texts of the lines of profiles, whole and damaged, and of plain bytes. What
 * is read is added to itself and subtracted; what is refused has a reason of one line.
 */
#include "profile.h"
#include "profile_sum.h"
#include "unsample.h"

#include "fuzz_input.h"

static const char *const lines[] = {
    "heap_v2/1024\n",
    "heap_v2/18446744073709551615\n",
    "heap profile: 1: 2 [3: 4] @ heap/2\n",
    "heap profile: 1: 2 [3: 4] @ heap_v2\n",
    "heap profile: 1: 2 [3: 4] @ growth\n",
    "  t*: 1: 2 [3: 4]\n",
    "  t7: 5: 0 [0: 9] name\n",
    "@ 0x1000 0x2000 0x3000\n",
    "@ 0x0\n",
    " 1: 2 [3: 4] @ 0x1000 0x2000\n",
    "\nMAPPED_LIBRARIES:\n",
    "1000-2000 r-xp 00000000 08:01 123 /bin/p\n",
    "1800-ffffffffffffffff rw-p 00000800 08:01 123\n",
    "OTHER:\n",
    "--- symbol\n",
    "binary=/bin/p\n",
    "0x1000 outer--inner\n",
    "---\n",
    "--- heap\n",
    "\r\n",
    "BUILD_IDS:\n",
    "1000 00ff11 /bin/p\n",
    "SOURCE_LINES:\n",
    "0x1000\ta.c:3\tb.h:9\n",
};

static void add_lines(struct fuzz_text *text, struct fuzz_input *input)
{
    enum { LINES = sizeof lines / sizeof lines[0] };
    text->length = 0;
    text->bytes[0] = '\0';
    if (input_byte(input) % 4 != 0) {
        text_add_string(text, lines[input_below(input, 5)]);
    }
    while (input->left > 0) {
        unsigned kind = input_byte(input);
        if (kind < 2 * LINES) {
            text_add_string(text, lines[kind % LINES]);
        } else if (kind < 3 * LINES) {
            const char *line = lines[kind % LINES];
            text_add(text, line, input_below(input, 32) % (strlen(line) + 1));
        } else if (kind < 80) {
            text_add_number(text, kind % 2 == 0 ? "%x" : "%d", input_number(input));
        } else {
            text_add_input(text, input);
        }
    }
}

static void check_error(const struct profile_error *error)
{
    HOLDS(strlen(error->text) > 0 && strlen(error->text) < sizeof error->text);
    HOLDS(strchr(error->text, '\n') == NULL);
}

/* Twice itself less itself is what it was, and has all its sources. */
static void check_sums(const struct profile *part)
{
    struct profile sum = {.samples = NULL};
    profile_add(&sum, part, 2);
    profile_add(&sum, part, -1);
    profile_merge(&sum);
    HOLDS(sum.sample_count <= part->sample_count);
    for (size_t i = 0; i < sum.sample_count; i++) {
        const struct profile_sample *sample = &sum.samples[i];
        HOLDS(sample->depth > 0 && sample->source < sum.source_count);
        (void)profile_symbol(&sum, sample->source, sample->stack[0]);
        (void)profile_place(&sum, sample->source, sample->stack[0]);
    }
    profile_close(&sum);
}

static void read_text(const char *text, size_t length)
{
    struct profile profile;
    struct profile_error error = {""};
    if (!profile_parse(&profile, text, length, "input", &error)) {
        check_error(&error);
        HOLDS(profile.sample_count == 0 && profile.source_count == 0);
        return;
    }
    if (profile.sample_count % 2 == 0) {
        unsample_profile_by_stack(&profile);
    }
    unsample_profile(&profile);
    for (size_t i = 0; i < profile.sample_count; i++) {
        HOLDS(profile.samples[i].counts.live_bytes >= 0);
    }
    check_sums(&profile);
    profile_close(&profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz_text text;
    struct fuzz_input input = {data, size};
    read_text((const char *)data, size);
    add_lines(&text, &input);
    /* A copy of its own, so that a look behind its end is seen. */
    char *copy = malloc(text.length > 0 ? text.length : 1);
    HOLDS(copy != NULL);
    memcpy(copy, text.bytes, text.length);
    read_text(copy, text.length);
    free(copy);
    return 0;
}
