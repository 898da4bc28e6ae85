/* report_choice.h: writes the report that is asked for.
 *
 * One that would have nothing in it is none: why is told in one line.
 */
#ifndef JEPROF_REPORT_CHOICE_H
#define JEPROF_REPORT_CHOICE_H

#include "inputs.h"
#include "jeprof_options.h"

struct report_subject {
    const struct inputs *inputs;
    const struct profile *profile;
    struct view view;
};

/* False: nothing was written, or not all, and it was told why. */
bool report_choice_write(FILE *out, struct report_subject *subject,
                         const struct jeprof_options *options) __attribute__((warn_unused_result));

#endif
