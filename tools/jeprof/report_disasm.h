/* report_disasm.h: the instructions of functions, each with what it allocated: --disasm.
 *
 * Instructions come from objdump, the lines above them from debug information. The largest function
 * is first; what is inlined stands within the function around it. Programs parse the lines: what
 * the instruction allocated itself, with all it called, its address in the file, its text.
 */
#ifndef JEPROF_REPORT_DISASM_H
#define JEPROF_REPORT_DISASM_H

#include <stdio.h>

#include "filter.h"
#include "view.h"

struct disasm_options {
    const char *objdump; /* the program's path */
    bool shows_bytes;
};

/* Writes the functions that the filter finds; their number. */
size_t report_disasm(FILE *out, struct view *view, const struct filter *filter,
                     const struct disasm_options *options);

#endif
