/* report_dot.c: the call graph for graphviz's dot. See report_dot.h.
 *
 * Sizes of letters and widths of lines are those that jemalloc's script has, so pictures of both
 * look alike.
 */
#include "report_dot.h"

#include "report_cell.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { WEIGHT_MAX = 100000 }; /* dot is slow with larger ones */

struct drawing {
    FILE *out;
    const struct view *view;
    const struct call_graph *graph;
    const struct dot_options *options;
};

static struct cell count_cell(const struct drawing *drawing, double value)
{
    return cell_count(value, drawing->view->measure, drawing->options->shows_bytes);
}

/* A text within double quotes. */
static void write_quoted(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
}

static void write_head(const struct drawing *drawing)
{
    const struct view *view = drawing->view;
    const char *unit = cell_unit(view->measure, drawing->options->shows_bytes);
    struct cell total = count_cell(drawing, view->total);
    FILE *out = drawing->out;
    fprintf(out, "digraph \"");
    write_quoted(out, drawing->options->program);
    fprintf(out, "; %s %s\" {\nnode [width=0.375,height=0.25];\n", total.text, unit);
    fprintf(out, "Legend [shape=box,fontsize=24,shape=plaintext,label=\"");
    write_quoted(out, drawing->options->program);
    fprintf(out, "\\lTotal %s: %s\\lFocusing on: %s\\l", unit, total.text,
            count_cell(drawing, view->shown_total).text);
    fprintf(out, "Dropped nodes with <= %s abs(%s)\\lDropped edges with <= %s %s\\l\"];\n",
            count_cell(drawing, drawing->graph->node_limit).text, unit,
            count_cell(drawing, drawing->graph->edge_limit).text, unit);
}

/* A name with a line for each of its parts: "::" and spaces end one. */
static void write_parts(FILE *out, const char *name)
{
    char part[2] = "";
    while (*name != '\0') {
        size_t separator = *name == ' ' ? 1 : strncmp(name, "::", 2) == 0 ? 2 : 0;
        if (separator > 0) {
            fputs("\\n", out);
            name += separator;
        } else {
            part[0] = *name++;
            write_quoted(out, part);
        }
    }
}

static void write_node(const struct drawing *drawing, size_t index)
{
    const struct row *node = &drawing->graph->nodes[index];
    double total = drawing->view->shown_total;
    double size = total > 0 ? 8 + 50 * sqrt(fabs(node->own / total)) : 8;
    fprintf(drawing->out, "N%zu [label=\"", index + 1);
    write_parts(drawing->out, node->key);
    fprintf(drawing->out, "\\n%s (%s)\\r", count_cell(drawing, node->own).text,
            cell_part(node->own, total).text);
    if (node->own != node->cumulative) {
        fprintf(drawing->out, "of %s (%s)\\r", count_cell(drawing, node->cumulative).text,
                cell_part(node->cumulative, total).text);
    }
    const char *mark = node->own > 0   ? ",style=filled,fillcolor=gray"
                       : node->own < 0 ? ",peripheries=3"
                                       : "";
    fprintf(drawing->out, "\",shape=box,fontsize=%.1f%s];\n", size,
            drawing->options->marks_own ? mark : "");
}

static void write_edge(const struct drawing *drawing, const struct graph_edge *edge)
{
    double total = drawing->view->shown_total;
    /* A sixth of the total has the widest line, of 2 points. */
    double width = total != 0 ? fmin(6 * fabs(edge->value / total), 2) : 2;
    bool is_inlined = strstr(drawing->graph->nodes[edge->callee].key, "(inline)") != NULL;
    fprintf(drawing->out, "N%zu -> N%zu [label=%s, weight=%" PRIu64, edge->caller + 1,
            edge->callee + 1, count_cell(drawing, edge->value).text,
            (uint64_t)fmin(pow(fabs(edge->value), 0.7), WEIGHT_MAX));
    fprintf(drawing->out, ", style=\"setlinewidth(%f)%s\"];\n", width, is_inlined ? ",dashed" : "");
}

size_t report_dot(FILE *out, struct view *view, const struct dot_options *options)
{
    struct call_graph graph = call_graph_open(view, options->granularity, &options->graph);
    const struct drawing drawing = {out, view, &graph, options};
    size_t count = graph.node_count;
    if (count > 0) {
        write_head(&drawing);
        for (size_t i = 0; i < graph.node_count; i++) {
            write_node(&drawing, i);
        }
        for (size_t i = 0; i < graph.edge_count; i++) {
            write_edge(&drawing, &graph.edges[i]);
        }
        fprintf(out, "}\n");
    }
    call_graph_close(&graph);
    return count;
}
