/* inputs.h: the program and the profiles that a command line names, read and added up.
 *
 * A profile is a file, or lies on a server: then it is fetched into a file first, and the server
 * gives it names, unless a program is named.
 */
#ifndef JEPROF_INPUTS_H
#define JEPROF_INPUTS_H

#include "jeprof_options.h"
#include "profile.h"

struct inputs {
    const char *program;   /* NULL: the profiles tell */
    const char **profiles; /* one at least; files, once they are loaded */
    size_t profile_count;
    struct text_pool pool; /* the names of fetched files */
};

/* The first argument is the program unless it is a profile or the only one. */
struct inputs inputs_find(const char **arguments);

/* Adds all profiles up, less the base, scaled; or keeps them apart as the report wants it, in the
 * order that their process wrote them. False: it was told why not. */
bool inputs_load(struct inputs *inputs, struct profile *sum, const struct jeprof_options *options)
    __attribute__((warn_unused_result));

/* The file that ran, for titles; "?" when nothing tells. */
const char *inputs_program(const struct inputs *inputs, const struct profile *profile);

void inputs_close(struct inputs *inputs);

#endif
