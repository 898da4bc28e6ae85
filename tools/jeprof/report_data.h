/* report_data.h: JSON for programs, and for the page of --html, which has the same text in it.
 *
 * docs/jeprof-json.md describes the form. Measures and dumps are lists, so a reader that looks
 * them up by name keeps working when a dump brings counts of another kind.
 */
#ifndef JEPROF_REPORT_DATA_H
#define JEPROF_REPORT_DATA_H

#include <stdio.h>

#include "export.h"

/* The number of stacks that were written. */
size_t report_data_json(FILE *out, const struct export *export);

/* The page with everything in it; 0 stacks are no page. */
size_t report_data_html(FILE *out, const struct export *export);

/* Whether this build has the page. */
bool report_data_has_page(void);

#endif
