/* child_run.h: runs a function in a forked child and tells how the child ended.
 *
 * The child's standard error is read to its end, its signals are the default ones, it leaves no
 * core file, and it is killed when it outlives the limit: a hang is a result, not a stuck test
 * run. The child can leave a mark in shared memory, so the parent knows how far a dying child had
 * come.
 */
#ifndef CHILD_RUN_H
#define CHILD_RUN_H

#include <stdbool.h>
#include <stddef.h>

enum { CHILD_TEXT_BYTES = 4096 };

struct child_result {
    bool hung;     /* was killed at the limit */
    int signal;    /* that ended it, 0: none */
    int exit_code; /* when signal is 0 */
    int mark;      /* the last child_mark(), 0: none */
    size_t text_bytes;
    char text[CHILD_TEXT_BYTES]; /* standard error, cut to fit, zero-terminated */
};

/* The child runs body(argument) and then exits with 0. Ends the program when it cannot fork. */
void child_run(void (*body)(void *argument), void *argument, unsigned limit_seconds,
               struct child_result *result);

/* Runs a program the same way; environment == NULL keeps ours. */
void child_execute(char *const arguments[], char *const environment[], unsigned limit_seconds,
                   struct child_result *result);

void child_mark(int mark);

/* One line that says how it ended: "signal 11", "exit code 3", "hung", and the first line. */
void child_describe(const struct child_result *result, char *text, size_t text_bytes);

#endif
