/* mapping.h: one file or region of memory that the profiled program had mapped.
 *
 * An address a of the program with start <= a < end stands at a - start + offset in the file. The
 * texts belong to whoever made the mapping and outlive every user of it.
 */
#ifndef JEPROF_MAPPING_H
#define JEPROF_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

struct mapping {
    uint64_t start, end, offset;
    bool is_executable;
    const char *path;     /* "" for memory without a file, "[vdso]" and the like as it was told */
    const char *build_id; /* hexadecimal, or NULL: unknown */
};

#endif
