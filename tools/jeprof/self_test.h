/* self_test.h: what jeprof --test checks of itself: that a build on this machine counts right.
 *
 * No file is needed. The tests of the project look further.
 */
#ifndef JEPROF_SELF_TEST_H
#define JEPROF_SELF_TEST_H

#include <stdbool.h>
#include <stdio.h>

/* A line for each check, and PASS or FAIL; whether all passed. */
bool self_test(FILE *out);

#endif
