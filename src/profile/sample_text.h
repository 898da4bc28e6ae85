/* sample_text.h: what the JSON of recent samples and that of logs have in common.
 *
 * Whoever prints a trace holds it: it stays as it is, and no lock is needed.
 */
#ifndef PROFILE_SAMPLE_TEXT_H
#define PROFILE_SAMPLE_TEXT_H

#include "base/print.h"
#include "profile/tally.h"

/* ["0x7f2a1b0a2630","0x5579f8ed31e6"]: the innermost frame first. */
static inline void sample_text_trace(struct printer *printer, const struct trace *trace)
{
    print(printer, "[");
    for (unsigned i = 0; i < trace->depth; i++) {
        print(printer, "%s\"0x%llx\"", i > 0 ? "," : "", (unsigned long long)trace->frame[i]);
    }
    print(printer, "]");
}

#endif
