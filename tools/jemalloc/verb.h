/* verb.h: a word of the program `jemalloc` behind its name: `jemalloc prof ...`.
 *
 * A verb reads its own options, writes what it found to standard output, and what went wrong in one
 * line to standard error. With --json both are one object on standard output as well.
 */
#ifndef VERB_H
#define VERB_H

/* The program's exit codes: interface. */
enum verb_exit {
    VERB_DONE,
    VERB_FAILED,
    VERB_USAGE,       /* the command line cannot be understood */
    VERB_UNSUPPORTED, /* what is asked for cannot be done there */
    VERB_MISSING,     /* what it is about is not there */
    VERB_UNCERTAIN,   /* it may have been done or not */
};

struct verb {
    const char *name;
    const char *arguments;
    const char *summary;
    enum verb_exit (*run)(int count, char **arguments); /* the verb is the first argument */
};

enum verb_exit verb_prof(int count, char **arguments);

#endif
