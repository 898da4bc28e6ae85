/* report.h: malloc_stats_print's two forms, text and JSON.
 *
 * Headings, keys and their order are interface: programs parse them. Nothing here allocates.
 *
 * Letters leave sections out: g general information, m all arenas merged, d destroyed arenas, a
 * single arenas, b bins, l large classes, x locks, e unused stretches, h hpa. J chooses JSON.
 * Others mean nothing.
 */
#ifndef CONTROL_REPORT_H
#define CONTROL_REPORT_H

#include "config/options.h"
#include "control/ctl_values.h"

/* Prints statistics through write(opaque, text); NULL: to where messages go. Refreshes the
 * snapshot; an arena whose part finds no memory is left out. Any thread. */
void report_print(void (*write)(void *opaque, const char *text), void *opaque, const char *letters);

/* Whether a letter leaves nothing out. */
bool report_shows(const char *letters, char letter);
/* How the system treats huge pages: default, always, never, not supported. */
const char *report_thp_mode(void);

enum { FRACTION_TEXT_BYTES = 32 };

/* Makes an option's value what is printed: signed numbers, and fractions as the decimals in text.
 */
void report_adapt_option(const struct option_row *row, struct ctl_value *value,
                         char text[FRACTION_TEXT_BYTES]);

#endif
