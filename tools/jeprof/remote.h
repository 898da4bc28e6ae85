/* remote.h: profiles that a program serves by HTTP, with the names of its functions.
 *
 * A name is "http://HOST:PORT/pprof/heap", or HOST:PORT with or without a path; without one it is
 * that of the heap profile. What stands before "/pprof/" serves names too: /pprof/symbol, which
 * answers a list of addresses, and /pprof/cmdline.
 */
#ifndef JEPROF_REMOTE_H
#define JEPROF_REMOTE_H

#include <stdbool.h>

#include "profile.h"

/* Whether a profile is to be fetched; the name of a file that is there is not. */
bool remote_is_name(const char *name);

/* Fetches a profile and keeps it as a file, in $JEPROF_TMPDIR or in jeprof of the home folder. Its
 * name, in the pool, is told; NULL: it was told what failed. seconds are for services that gather
 * a profile for some time. */
const char *remote_fetch(struct text_pool *pool, const char *name, unsigned long long seconds);

/* Gives a profile the names that its server knows. It stays as it is when the server knows none,
 * which is told. */
void remote_name(struct profile *profile, const char *name);

#endif
