/* dump_order.h: the order in which one process wrote its dumps.
 *
 * Dumps are called PREFIX.PID.SEQUENCE.LETTER....heap, and a shell lists 10 before 2.
 */
#ifndef JEPROF_DUMP_ORDER_H
#define JEPROF_DUMP_ORDER_H

#include <stddef.h>

/* Sorts names by their sequence numbers when all are of one process, else leaves them alone. */
void dump_order_sort(const char **names, size_t count);

#endif
