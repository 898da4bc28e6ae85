/* report_dot.h: the call graph as graphviz's dot draws it.
 *
 * Programs parse it, so its lines are kept: a legend, a line for each node, the largest first, a
 * line for each call. A node's letters grow with what it allocated itself.
 */
#ifndef JEPROF_REPORT_DOT_H
#define JEPROF_REPORT_DOT_H

#include <stdio.h>

#include "call_graph.h"

struct dot_options {
    enum report_granularity granularity;
    bool shows_bytes;
    bool marks_own; /* nodes that allocated themselves are grey, those that freed have borders */
    const char *program; /* stands in the title */
    struct graph_options graph;
};

/* Writes the graph; the number of its nodes. Nothing is written when there is none. */
size_t report_dot(FILE *out, struct view *view, const struct dot_options *options);

#endif
