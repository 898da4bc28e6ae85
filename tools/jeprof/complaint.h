/* complaint.h: what goes wrong, told in one line on standard error.
 *
 * What was written to standard output before stands before it where both go to one place.
 */
#ifndef JEPROF_COMPLAINT_H
#define JEPROF_COMPLAINT_H

#include <stdbool.h>

/* "jeprof: " and the text. False, always: what a function that failed gives back. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
