/* dump_hint.h: what to tell someone whose dump is not there.
 *
 * Looks at names and times of files alone.
 */
#ifndef JEPROF_DUMP_HINT_H
#define JEPROF_DUMP_HINT_H

#include <stddef.h>

/* Writes which settings write dumps, and the newest dump (*.heap) of the folder where the missing
 * one should be, when there is one. */
void dump_hint(const char *missing, char *hint, size_t size);

#endif
