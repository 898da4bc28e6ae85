/* progress.h: tells someone who waits at a terminal how far the work is.
 *
 * Nothing is shown during the first second, nor when the output is no terminal. The line is
 * rewritten in place, four times a second at most, and gone at the end.
 */
#ifndef JEPROF_PROGRESS_H
#define JEPROF_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *out; /* NULL: nothing is shown */
    uint64_t (*now_ms)(void);
    uint64_t next_ms; /* when the line is written again */
    bool is_shown;
};

/* Begins the first second. now_ms NULL: the system's clock. */
void progress_start(struct progress *progress, FILE *terminal, uint64_t (*now_ms)(void));

/* done of total things that work calls, such as "naming addresses". */
void progress_note(struct progress *progress, const char *work, size_t done, size_t total);

/* Takes the line away. */
void progress_end(struct progress *progress);

/* Takes any line away that is there, before something else is told. */
void progress_clear(void);

#endif
