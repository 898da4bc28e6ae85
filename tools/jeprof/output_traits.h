/* output_traits.h: what a report needs of the profiles that it is made of.
 *
 * The profiles are read, and the view is opened, as the report's traits say.
 */
#ifndef JEPROF_OUTPUT_TRAITS_H
#define JEPROF_OUTPUT_TRAITS_H

#include "jeprof_options.h"

struct output_traits {
    bool keeps_stacks; /* those that count nothing in the measure, too */
    bool keeps_dumps;  /* apart, that of --base among them */
    bool has_threads;  /* shows the threads of each stack */
    bool adds_dumps;   /* up, which is worth a line */
};

struct output_traits output_traits_of(enum jeprof_output output);

#endif
