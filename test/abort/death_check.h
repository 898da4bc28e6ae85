/* death_check.h: expects that a caller's mistake ends the process in the one promised way.
 *
 * Promised: exactly one line on standard error, which begins with "<jemalloc>: ", and SIGABRT.
 * Never a segmentation fault, never silence. Some mistakes are seen by the call itself, others
 * when the thread's cache is emptied; an expectation names the latest moment. Each mistake runs
 * in a child of its own, in a thread of its own, whose exit empties the cache when nothing else
 * did.
 */
#ifndef DEATH_CHECK_H
#define DEATH_CHECK_H

#include <stdbool.h>

enum moment {
    AT_ONCE,  /* the mistaken call does not return */
    BY_FLUSH, /* or the next flush of the thread's cache does not */
};

/* Prints and counts a failure when the child does not end as promised; true when it does. */
bool death_expect(const char *name, enum moment latest, void (*mistake)(void *argument),
                  void *argument);

/* For thousands of mistakes that are seen at once: no thread, and nothing printed for a success. */
bool death_expect_quick(const char *name, void (*mistake)(void *argument), void *argument);

/* Prints the counts; the exit code of the program. */
int death_report(void);

#endif
