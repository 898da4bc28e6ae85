/* live_process.h: a running process, as its folder in /proc shows it.
 *
 * The folder is opened once, and everything is reached through it: when the process has ended and
 * another one has its number, the calls fail. Memory is that of the program which ran when it was
 * opened; after an exec it can neither be read nor written.
 *
 * Functions that fail leave a line in `problem`, and the exit code that goes with it.
 */
#ifndef LIVE_PROCESS_H
#define LIVE_PROCESS_H

#include "verb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct live_process {
    int number;
    int folder; /* -1: not open, as memory */
    int memory;
    char state;          /* the letter of /proc: R, S, T, Z, ... */
    unsigned user;       /* real user */
    uint32_t own_number; /* as the process sees itself: in its PID namespace */
    char name[32];
    enum verb_exit exit;
    char problem[4608];
};

/* Says what is wrong, for people. Result: false. */
bool live_process_fail(struct live_process *process, enum verb_exit code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Finds the process and opens its memory. False, with the reason, when there is none such, it is no
 * program any more, or may not be looked into by the caller. live_process_close() in any case. */
bool live_process_open(struct live_process *process, int number);
void live_process_close(struct live_process *process);

/* Reads its state anew: false when it has ended. */
bool live_process_look(struct live_process *process);
/* Whether a signal or a tracer holds it. */
bool live_process_is_stopped(const struct live_process *process);

/* All of the bytes, or false: no problem is set. */
bool live_process_read(const struct live_process *process, uintptr_t address, void *bytes,
                       size_t count);
bool live_process_write(const struct live_process *process, uintptr_t address, const void *bytes,
                        size_t count);

/* Whether its files have the names that the caller knows: it is in no other root folder. */
bool live_process_shares_root(const struct live_process *process);
/* The name for the caller of a file that the process calls `path`. Freed by the caller; NULL:
 * there is no memory. */
char *live_process_path(const struct live_process *process, const char *path);

#endif
