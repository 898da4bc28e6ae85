/* complaint.c: what goes wrong, told in one line. See complaint.h.
 *
 * It never fails itself: where standard error is closed, nothing is told.
 */
#include "complaint.h"

#include "progress.h"

#include <stdarg.h>
#include <stdio.h>

bool complain(const char *format, ...)
{
    va_list arguments;
    progress_clear();
    fflush(stdout);
    va_start(arguments, format);
    fputs("jeprof: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}
