/* fuzz_report.c: goal: malloc_stats_print with any letters, and any blocks live, gives the callback
 * terminated pieces of one whole text, which has the sections that the letters leave.
 * Method: the input chooses some blocks, the way to the callback, and the letters; the text is
 * collected and searched. J asks for another form and is only collected.
 */
#include <jemalloc/jemalloc.h>

#include <stdbool.h>

#include "fuzz_input.h"

enum { BLOCKS_MAX = 16, TEXT_BYTES = 4 << 20 };

static struct {
    char bytes[TEXT_BYTES];
    size_t length;
    const void *opaque;
} collected;

static int callback_mark;

static void collect(void *opaque, const char *piece)
{
    size_t length = strlen(piece);
    HOLDS(opaque == collected.opaque);
    HOLDS(collected.length + length < TEXT_BYTES);
    memcpy(collected.bytes + collected.length, piece, length + 1);
    collected.length += length;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static void check_text(const char *letters)
{
    const char *text = collected.bytes;
    HOLDS(starts_with(text, "___ Begin jemalloc statistics ___\n"));
    HOLDS(ends_with(text, "--- End jemalloc statistics ---\n"));
    HOLDS((strstr(text, "\nVersion: \"") != NULL) == (strchr(letters, 'g') == NULL));
    HOLDS((strstr(text, "\narenas[0]:") != NULL) == (strchr(letters, 'a') == NULL));
    HOLDS(strchr(letters, 'b') == NULL || strstr(text, "\nbins:") == NULL);
    HOLDS(strstr(text, "\nAllocated: ") != NULL);
    for (size_t i = 0; i < collected.length; i++) {
        HOLDS(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
    }
}

static void print_once(bool by_message, const char *letters)
{
    collected.length = 0;
    collected.bytes[0] = '\0';
    if (by_message) {
        collected.opaque = NULL;
        je_malloc_message = collect;
        je_malloc_stats_print(NULL, NULL, letters);
        je_malloc_message = NULL;
    } else {
        collected.opaque = &callback_mark;
        je_malloc_stats_print(collect, &callback_mark, letters);
    }
    HOLDS(collected.length > 0);
    if (letters == NULL || strchr(letters, 'J') == NULL) {
        check_text(letters != NULL ? letters : "");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    void *blocks[BLOCKS_MAX];
    unsigned count = input_below(&input, BLOCKS_MAX);
    for (unsigned i = 0; i < count; i++) {
        unsigned doublings = input_below(&input, 14);
        blocks[i] = je_malloc((size_t)(1 + input_byte(&input)) << doublings);
    }
    bool by_message = input_byte(&input) % 4 == 0;
    struct fuzz_text letters = {.length = 0};
    for (unsigned i = input_byte(&input); i > 0 && input.left > 0; i--) {
        static const char known[] = "Jgmdablxeh";
        unsigned kind = input_byte(&input);
        char letter = kind < 160 ? known[kind % (sizeof known - 1)] : (char)kind;
        text_add(&letters, &letter, 1);
    }
    print_once(by_message, input_byte(&input) == 1 ? NULL : letters.bytes);
    for (unsigned i = 0; i < count; i++) {
        je_free(blocks[i]);
    }
    return 0;
}
