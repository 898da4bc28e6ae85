/* report_json.h: the JSON form of malloc_stats_print, for report.c.
 *
 * Keys are made from the paths of the control names, so that the two cannot differ.
 */
#ifndef CONTROL_REPORT_JSON_H
#define CONTROL_REPORT_JSON_H

#include "base/print.h"

/* One JSON object; the snapshot is fresh. */
void report_json(struct printer *printer, const char *letters);

#endif
