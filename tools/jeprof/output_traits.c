/* output_traits.c: what a report needs of its profiles. See output_traits.h.
 *
 * Reports for other programs take the counts of all measures.
 */
#include "output_traits.h"

struct output_traits output_traits_of(enum jeprof_output output)
{
    switch (output) {
    case OUTPUT_RAW:
    case OUTPUT_SYMBOLIZE:
    case OUTPUT_SPEEDSCOPE:
        return (struct output_traits){.keeps_stacks = true, .adds_dumps = true};
    case OUTPUT_PROTO:
        return (struct output_traits){
            .keeps_stacks = true, .has_threads = true, .adds_dumps = true};
    case OUTPUT_FLAME:
        return (struct output_traits){
            .keeps_stacks = true, .keeps_dumps = true, .adds_dumps = true};
    case OUTPUT_JSON:
    case OUTPUT_HTML:
        return (struct output_traits){.keeps_stacks = true, .keeps_dumps = true};
    default:
        return (struct output_traits){.adds_dumps = true};
    }
}
