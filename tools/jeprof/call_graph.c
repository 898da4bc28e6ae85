/* call_graph.c: who calls whom in a view. See call_graph.h.
 *
 * Rows are sorted by size for the nodes, so edges are collected before that, by the rows' indexes,
 * and get the nodes' later.
 */
#include "call_graph.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const size_t NO_NODE = SIZE_MAX;

static int compare_ends(const void *left, const void *right)
{
    const struct graph_edge *a = left;
    const struct graph_edge *b = right;
    if (a->caller != b->caller) {
        return a->caller < b->caller ? -1 : 1;
    }
    return (a->callee > b->callee) - (a->callee < b->callee);
}

/* All calls of all stacks, equal ones as one. */
static struct graph_edge *collect_edges(const struct view *view, size_t *count)
{
    size_t all = 0;
    for (size_t i = 0; i < view->stack_count; i++) {
        all += view->stacks[i].depth - 1;
    }
    struct graph_edge *edges = memory_take(all, sizeof *edges);
    size_t added = 0;
    for (size_t i = 0; i < view->stack_count; i++) {
        const struct view_stack *stack = &view->stacks[i];
        for (size_t frame = 1; frame < stack->depth; frame++) {
            edges[added++] = (struct graph_edge){stack->frames[frame]->row,
                                                 stack->frames[frame - 1]->row, stack->value};
        }
    }
    qsort(edges, added, sizeof *edges, compare_ends);
    size_t kept = 0;
    for (size_t i = 1; i < added; i++) {
        if (compare_ends(&edges[i], &edges[kept]) == 0) {
            edges[kept].value += edges[i].value;
        } else {
            edges[++kept] = edges[i];
        }
    }
    *count = added > 0 ? kept + 1 : 0;
    return edges;
}

static int compare_sizes(const void *left, const void *right)
{
    const struct row *a = *(const struct row *const *)left;
    const struct row *b = *(const struct row *const *)right;
    double size = fabs(a->cumulative);
    double other = fabs(b->cumulative);
    if (size != other) {
        return size > other ? -1 : 1;
    }
    return strcmp(a->key, b->key);
}

/* Moves the largest rows into nodes. The node of each row, or NO_NODE. */
static size_t *choose_nodes(struct call_graph *graph, size_t most)
{
    const struct row_table *table = &graph->table;
    size_t *node_of = memory_take(table->row_count, sizeof *node_of);
    const struct row **sorted = memory_take(table->row_count, sizeof(const struct row *));
    for (size_t i = 0; i < table->row_count; i++) {
        node_of[i] = NO_NODE;
        sorted[i] = &table->rows[i];
    }
    qsort(sorted, table->row_count, sizeof *sorted, compare_sizes);
    graph->nodes = memory_take(table->row_count, sizeof *graph->nodes);
    for (size_t i = 0; i < table->row_count && i < most; i++) {
        if (fabs(sorted[i]->cumulative) <= graph->node_limit || sorted[i]->last_stack == 0) {
            continue;
        }
        node_of[sorted[i] - table->rows] = graph->node_count;
        graph->nodes[graph->node_count++] = *sorted[i];
    }
    free(sorted);
    return node_of;
}

static int compare_edges(const void *left, const void *right)
{
    const struct graph_edge *a = left;
    const struct graph_edge *b = right;
    if (a->value != b->value) {
        return a->value > b->value ? -1 : 1;
    }
    return compare_ends(a, b);
}

/* Leaves out edges without nodes, small ones, and those of nodes that have enough. */
static void choose_edges(struct call_graph *graph, const size_t *node_of, size_t degree)
{
    size_t *outgoing = memory_take(graph->node_count, sizeof *outgoing);
    size_t *incoming = memory_take(graph->node_count, sizeof *incoming);
    size_t linked = 0;
    for (size_t i = 0; i < graph->edge_count; i++) {
        struct graph_edge edge = graph->edges[i];
        edge.caller = node_of[edge.caller];
        edge.callee = node_of[edge.callee];
        if (edge.caller != NO_NODE && edge.callee != NO_NODE) {
            graph->edges[linked++] = edge;
        }
    }
    qsort(graph->edges, linked, sizeof *graph->edges, compare_edges);
    graph->edge_count = 0;
    for (size_t i = 0; i < linked; i++) {
        struct graph_edge edge = graph->edges[i];
        bool is_needed = incoming[edge.callee] == 0;
        bool has_room = outgoing[edge.caller] < degree && incoming[edge.callee] < degree;
        if (is_needed || (has_room && fabs(edge.value) > graph->edge_limit)) {
            outgoing[edge.caller]++;
            incoming[edge.callee]++;
            graph->edges[graph->edge_count++] = edge;
        }
    }
    free(outgoing);
    free(incoming);
}

struct call_graph call_graph_open(struct view *view, enum report_granularity granularity,
                                  const struct graph_options *options)
{
    struct call_graph graph = {
        .table = row_table_open(view, granularity),
        .node_limit = trunc(options->node_part * view->shown_total),
        .edge_limit = trunc(options->edge_part * view->shown_total),
    };
    graph.edges = collect_edges(view, &graph.edge_count);
    size_t *node_of = choose_nodes(&graph, options->node_count);
    choose_edges(&graph, node_of, options->degree);
    free(node_of);
    return graph;
}

void call_graph_close(struct call_graph *graph)
{
    free(graph->edges);
    free(graph->nodes);
    row_table_close(&graph->table);
    *graph = (struct call_graph){.nodes = NULL};
}
