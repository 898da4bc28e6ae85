/* dump_name.h: how the files of heap profiles are called.
 *
 *     PREFIX.PID.SEQUENCE.LETTER[NUMBER].heap            prof_pid_namespace: PREFIX.NS.PID. ...
 *     PREFIX.PID.NUMBER.json                             logs of samples
 *
 * The sequence counts all profiles, the number those of one kind, or logs; all begin at 0. The
 * caller holds the dump's lock.
 */
#ifndef PROFILE_DUMP_NAME_H
#define PROFILE_DUMP_NAME_H

#include "base/check.h"

enum dump_kind {
    DUMP_INTERVAL, /* i: so many bytes were allocated */
    DUMP_MANUAL,   /* m: the program asked for it */
    DUMP_PEAK,     /* u: more memory than ever before */
    DUMP_FINAL,    /* f, without a number: the program ends */
    DUMP_KINDS,
};

/* The prefix from now on, in place of the option's. False: it is too long. */
MUST_USE bool dump_name_set_prefix(const char *prefix);
/* Whether the prefix is empty: then there are no names. */
bool dump_name_is_off(void);
/* The next name of a kind into path, of DUMP_PATH_BYTES. */
void dump_name_next(enum dump_kind kind, char *path);
/* The next name of a log. */
void dump_name_next_log(char *path);

#endif
