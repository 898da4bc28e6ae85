/* control_words.c: goal: the dictionary of fuzz_control: every control name, with 0 for each index,
 * and every element of one.
 * Method: printed from the tables of control names and of options. A line is a word in quotation
 * marks, as libFuzzer reads them; none of ours needs an escape.
 */
#include "config/options.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 2048, WORD_BYTES = 96 };

#define NAME(path, type, read, write, argument) path,
static const char *const paths[] = {
#include "control/ctl_table.h"
};
#undef NAME

static char words[WORDS_MAX][WORD_BYTES];
static unsigned word_count;

static bool is_known(const char *word)
{
    for (unsigned i = 0; i < word_count; i++) {
        if (strcmp(words[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static int add_word(const char *word)
{
    if (word[0] == '\0' || is_known(word)) {
        return 0;
    }
    if (word_count == WORDS_MAX || strlen(word) >= WORD_BYTES) {
        fprintf(stderr, "control_words: no room for %s\n", word);
        return 1;
    }
    (void)snprintf(words[word_count++], WORD_BYTES, "%s", word);
    return 0;
}

/* A name with each <i> replaced by `index` and <o> by `option`; then its elements. */
static int add_name(const char *path, const char *index, const char *option)
{
    char name[2 * WORD_BYTES] = "";
    size_t length = 0;
    for (; *path != '\0' && length < WORD_BYTES; path += *path == '<' ? strlen("<i>") : 1) {
        const char *text = path[0] != '<' ? NULL : path[1] == 'o' ? option : index;
        if (text == NULL) {
            name[length++] = *path;
        } else {
            length += (size_t)snprintf(name + length, WORD_BYTES, "%s", text);
        }
    }
    int failed = add_word(name);
    char *rest = name;
    for (char *element; (element = strsep(&rest, ".")) != NULL;) {
        failed |= add_word(element);
    }
    return failed;
}

int main(void)
{
    int failed = 0;
    for (unsigned i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (strstr(paths[i], "<o>") == NULL) {
            failed |= add_name(paths[i], "0", "");
            continue;
        }
        for (unsigned k = 0; option_row(k) != NULL; k++) {
            failed |= add_name(paths[i], "0", option_name(option_row(k)));
        }
    }
    /* All arenas, those that are no more, and what is no index. */
    static const char *const others[] = {".", "4095", "4096", "4097", "-1", "18446744073709551615"};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        failed |= add_word(others[i]);
    }
    for (unsigned i = 0; i < word_count; i++) {
        printf("\"%s\"\n", words[i]);
    }
    return failed;
}
