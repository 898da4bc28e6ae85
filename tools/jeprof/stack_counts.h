/* stack_counts.h: what stacks add to a line, an instruction or a function.
 *
 * Own: the innermost frame is there. Cumulative: any frame is; a stack counts once.
 */
#ifndef JEPROF_STACK_COUNTS_H
#define JEPROF_STACK_COUNTS_H

#include <stddef.h>

struct stack_counts {
    double own, cumulative;
    size_t last_stack; /* 1 + index of the stack that was counted last */
};

/* Counts a frame of a stack, of which depth 0 is the innermost. */
static inline void stack_counts_add(struct stack_counts *counts, size_t stack, size_t depth,
                                    double value)
{
    counts->own += depth == 0 ? value : 0;
    counts->cumulative += counts->last_stack != stack + 1 ? value : 0;
    counts->last_stack = stack + 1;
}

#endif
