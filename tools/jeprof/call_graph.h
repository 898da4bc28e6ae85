/* call_graph.h: who calls whom in a view, cut down to what fits into a picture.
 *
 * A node is a row of row_table.h; the largest nodes stay. An edge is a call between two nodes that
 * stayed, and counts every time it stands in a stack, so what calls itself counts several times.
 * Small edges go, and those of nodes that have enough already, but for the first into a node: it
 * tells how the node is reached.
 */
#ifndef JEPROF_CALL_GRAPH_H
#define JEPROF_CALL_GRAPH_H

#include "row_table.h"

struct graph_options {
    size_t node_count;           /* nodes at most */
    double node_part, edge_part; /* of the total of the view: what is not larger goes */
    size_t degree;               /* edges into or out of a node from which on no more are added */
};

static const struct graph_options graph_defaults = {80, .005, .001, 8};

/* Both ends are indexes of nodes. */
struct graph_edge {
    size_t caller, callee;
    double value;
};

struct call_graph {
    struct row_table table; /* owns the nodes */
    struct row *nodes;      /* the largest first */
    size_t node_count;
    struct graph_edge *edges; /* the largest first */
    size_t edge_count;
    double node_limit, edge_limit; /* what is not larger was left out; whole numbers */
};

struct call_graph call_graph_open(struct view *view, enum report_granularity granularity,
                                  const struct graph_options *options);

void call_graph_close(struct call_graph *graph);

#endif
