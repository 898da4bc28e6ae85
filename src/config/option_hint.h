/* option_hint.h: what somebody meant who mistyped a key or a value.
 *
 * jemalloc's message stays the beginning of the line, for programs that parse it.
 */
#ifndef CONFIG_OPTION_HINT_H
#define CONFIG_OPTION_HINT_H

#include "config/option_value.h"

enum { OPTION_HINT_BYTES = 80 };

/* " (did you mean X?)" into hint, or an empty text: the nearest key to one that is unknown ... */
void option_hint_key(struct span key, char hint[OPTION_HINT_BYTES]);
/* ... or the nearest value of an option to one that was refused. */
void option_hint_value(const struct option_row *row, struct span value,
                       char hint[OPTION_HINT_BYTES]);

#endif
