/* model_operations.h: the operations that the random test draws from, each once in one table.
 *
 * An operation acts on one block of the calling thread: it allocates into an empty one, resizes or
 * frees a live one, and tells the model. Each goes through one public function, with sizes, flags
 * and alignments from the thread's stream, so a run is repeated by its seed.
 */
#ifndef MODEL_OPERATIONS_H
#define MODEL_OPERATIONS_H

#include <stddef.h>

#include "model_block.h"
#include "random_stream.h"

struct operation {
    const char *name;
    unsigned weight;
    void (*run)(struct random_stream *random, struct block *block);
};

struct operation_table {
    const struct operation *operations;
    size_t count;
};

extern const struct operation_table allocate_operations; /* block->start == NULL before */
extern const struct operation_table resize_operations;
extern const struct operation_table free_operations;  /* block->start == NULL after */
extern const struct operation_table quiet_operations; /* block unused */

/* Largest request; set before the first operation. */
void operations_start(size_t maximum_bytes);

const struct operation *operation_draw(const struct operation_table *table,
                                       struct random_stream *random);

#endif
