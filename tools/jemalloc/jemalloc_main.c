/* jemalloc_main.c: the program `jemalloc`: finds the verb, and leaves the rest to it. See verb.h.
 *
 * The exit code is that of the verb, or VERB_FAILED when its output cannot be written.
 */
#include "verb.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct verb verbs[] = {
    {"prof", "on|off|dump|status PID", "Heap profiling of a running process", verb_prof},
};

enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static void write_help(FILE *stream)
{
    fprintf(stream, "Usage: jemalloc VERB [ARGUMENT...]\n"
                    "\n"
                    "Looks at and controls the allocator of programs.\n"
                    "\n"
                    "Verbs:\n");
    for (size_t i = 0; i < VERB_COUNT; i++) {
        fprintf(stream, "  %s %-26s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].summary);
    }
    fprintf(stream, "\n"
                    "  jemalloc VERB --help         What a verb takes, with examples\n"
                    "  jemalloc --version           The version\n"
                    "\n"
                    "Exit codes: 0 done, 1 failed, 2 usage, 3 not supported, 4 missing, 5 cannot "
                    "tell.\n");
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static enum verb_exit run(int count, char **arguments)
{
    if (count < 2) {
        write_help(stderr);
        return VERB_USAGE;
    }
    const char *word = arguments[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        write_help(stdout);
        return VERB_DONE;
    }
    if (strcmp(word, "--version") == 0) {
        printf("jemalloc %s (dg-jemalloc)\n", PROGRAM_VERSION);
        return VERB_DONE;
    }
    const struct verb *verb = find_verb(word);
    if (verb == NULL) {
        fprintf(stderr, "jemalloc: %s: there is no such verb (jemalloc --help lists them)\n", word);
        return VERB_USAGE;
    }
    return verb->run(count - 1, arguments + 1);
}

int main(int count, char **arguments)
{
    enum verb_exit result = run(count, arguments);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "jemalloc: the output cannot be written\n");
        return result == VERB_DONE ? VERB_FAILED : (int)result;
    }
    return (int)result;
}
