/* session.h: commands instead of one report: jeprof asks, shows, and asks again.
 *
 * On a terminal lines can be edited, are kept in ~/.jeprof_history, and are completed with commands
 * and functions. Otherwise commands come from standard input, a line each; what is asked then goes
 * to standard error, reports alone to standard output.
 */
#ifndef JEPROF_SESSION_H
#define JEPROF_SESSION_H

#include "report_choice.h"

/* Until "quit" or the end of the input. False: standard output could not be written. */
bool session_run(struct report_subject *subject, const struct jeprof_options *options);

#endif
