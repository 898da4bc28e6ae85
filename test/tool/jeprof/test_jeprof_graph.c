/* test_jeprof_graph.c: goal: the call graph has the nodes and edges that belong into a picture, and
 * is written as dot and as programs parse it. Method: small profiles with names whose counts make
 * each rule the only one that decides; the texts are those that jemalloc's script prints for them.
 */
#include "report_dot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_symbols.h"

#define NAMES \
    "--- symbol\nbinary=p\n0x10 a\n0x20 b\n0x30 c\n0x40 d\n0x50 ns::e(int)\n---\n--- heap\n"

static struct profile profile;
static struct view view;
static struct call_graph graph;

static void open_view(const char *text)
{
    struct profile_error error = {""};
    const struct view_options options = {.thread = PROFILE_ALL_THREADS};
    if (!profile_parse(&profile, text, strlen(text), "a.heap", &error) ||
        !view_open(&view, &profile, &options, NULL, NULL, &error)) {
        fail_msg("%s", error.text);
    }
}

static void close_view(void)
{
    view_close(&view);
    profile_close(&profile);
}

static void open_graph(const char *text, struct graph_options options)
{
    open_view(text);
    graph = call_graph_open(&view, REPORT_FUNCTIONS, &options);
}

static void close_graph(void)
{
    call_graph_close(&graph);
    close_view();
}

/* The names of the nodes in their order. */
static void assert_nodes(const char *expected)
{
    char names[64] = "";
    for (size_t i = 0; i < graph.node_count; i++) {
        strcat(strcat(names, i > 0 ? " " : ""), graph.nodes[i].key);
    }
    assert_string_equal(names, expected);
}

/* "CALLER>CALLEE" by names, in their order. */
static void assert_edges(const char *expected)
{
    char text[128] = "";
    for (size_t i = 0; i < graph.edge_count; i++) {
        strcat(strcat(text, i > 0 ? " " : ""), graph.nodes[graph.edges[i].caller].key);
        strcat(strcat(text, ">"), graph.nodes[graph.edges[i].callee].key);
    }
    assert_string_equal(text, expected);
}

static const struct graph_options all = {100, 0, 0, 100};

/* d calls a (700), b (200) and c (100); b calls c (50) and itself (20). */
static const char fan[] = NAMES "heap_v2/1\n@ 0x10 0x41\n  t*: 1: 700 [0: 0]\n"
                                "@ 0x20 0x41\n  t*: 1: 130 [0: 0]\n"
                                "@ 0x30 0x41\n  t*: 1: 100 [0: 0]\n"
                                "@ 0x30 0x21 0x41\n  t*: 1: 50 [0: 0]\n"
                                "@ 0x20 0x21 0x41\n  t*: 1: 20 [0: 0]\n";

static void test_everything(void **state)
{
    (void)state;
    open_graph(fan, all);
    assert_nodes("d a b c");
    assert_edges("d>a d>b d>c b>c b>b");
    assert_int_equal(graph.edges[1].value, 200);
    close_graph();
}

static void test_nodes_that_go(void **state)
{
    (void)state;
    open_graph(fan, (struct graph_options){2, 0, 0, 100});
    assert_nodes("d a");
    assert_edges("d>a");
    close_graph();
    open_graph(fan, (struct graph_options){100, .15, 0, 100}); /* what has 150 goes, too */
    assert_nodes("d a b");
    close_graph();
    open_graph(fan, (struct graph_options){100, .1499, 0, 100});
    assert_nodes("d a b c");
    close_graph();
    open_graph(fan, (struct graph_options){100, 1, 0, 100});
    assert_nodes("");
    close_graph();
}

/* The first edge into a node stays however small: it tells how the node is reached. */
static void test_edges_that_go(void **state)
{
    (void)state;
    open_graph(fan, (struct graph_options){100, 0, .05, 100});
    assert_edges("d>a d>b d>c");
    close_graph();
    open_graph(fan, (struct graph_options){100, 0, .5, 100});
    assert_edges("d>a d>b d>c");
    close_graph();
    open_graph(fan, (struct graph_options){100, 0, .02, 100}); /* 20 is not more than 20 */
    assert_edges("d>a d>b d>c b>c");
    close_graph();
    open_graph(fan, (struct graph_options){100, 0, 0, 1});
    assert_edges("d>a d>b d>c");
    close_graph();
    open_graph(fan, (struct graph_options){100, 0, 0, 2}); /* b has two after b>c */
    assert_edges("d>a d>b d>c b>c b>b");
    close_graph();
}

/* b has two calls, and a third that is small goes, though what it leads to has room. */
static void test_calls_of_one(void **state)
{
    (void)state;
    static const char text[] = NAMES "heap_v2/1\n@ 0x10 0x41\n  t*: 1: 700 [0: 0]\n"
                                     "@ 0x20 0x41\n  t*: 1: 100 [0: 0]\n"
                                     "@ 0x30 0x41\n  t*: 1: 90 [0: 0]\n"
                                     "@ 0x10 0x21 0x41\n  t*: 1: 30 [0: 0]\n"
                                     "@ 0x30 0x21 0x41\n  t*: 1: 20 [0: 0]\n"
                                     "@ 0x20 0x21 0x41\n  t*: 1: 10 [0: 0]\n";
    open_graph(text, all);
    assert_edges("d>a d>b d>c b>a b>c b>b");
    close_graph();
    open_graph(text, (struct graph_options){100, 0, 0, 2});
    assert_edges("d>a d>b d>c b>a b>c");
    close_graph();
}

/* A call counts each time it stands in a stack; a function once. */
static void test_recursion(void **state)
{
    (void)state;
    open_graph(NAMES "heap_v2/1\n@ 0x10 0x11 0x11 0x21\n  t*: 1: 8 [0: 0]\n", all);
    assert_nodes("a b");
    assert_int_equal(graph.nodes[0].cumulative, 8);
    assert_edges("a>a b>a");
    assert_int_equal(graph.edges[0].value, 16);
    assert_int_equal(graph.edges[1].value, 8);
    close_graph();
}

static void assert_dot(struct dot_options options, const char *expected)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    options.program = "/bin/p \"q\"";
    options.shows_bytes = true;
    assert_int_equal(report_dot(out, &view, &options) > 0, *expected != '\0');
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

#define HEAD                                                                                     \
    "digraph \"/bin/p \\\"q\\\"; 5155200 B\" {\n"                                                \
    "node [width=0.375,height=0.25];\n"                                                          \
    "Legend [shape=box,fontsize=24,shape=plaintext,label=\"/bin/p \\\"q\\\"\\lTotal B: 5155200"  \
    "\\lFocusing on: 5155200\\lDropped nodes with <= 25776 abs(B)\\lDropped edges with <= 5155 " \
    "B\\l\"];\n"

static void test_dot(void **state)
{
    (void)state;
    open_view(NAMES "heap_v2/1\n@ 0x10 0x41\n  t*: 1: 3005000 [0: 0]\n"
                    "@ 0x20 0x51 0x41\n  t*: 2: 2150200 [0: 0]\n");
    assert_dot((struct dot_options){.graph = graph_defaults, .marks_own = true},
               HEAD "N1 [label=\"d\\n0 (0.0%)\\rof 5155200 (100.0%)\\r\",shape=box,fontsize=8.0];\n"
                    "N2 [label=\"a\\n3005000 (58.3%)\\r\",shape=box,fontsize=46.2,style=filled,"
                    "fillcolor=gray];\n"
                    "N3 [label=\"b\\n2150200 (41.7%)\\r\",shape=box,fontsize=40.3,style=filled,"
                    "fillcolor=gray];\n"
                    "N4 [label=\"ns\\ne\\n0 (0.0%)\\rof 2150200 (41.7%)\\r\",shape=box,"
                    "fontsize=8.0];\n"
                    "N1 -> N2 [label=3005000, weight=34236, style=\"setlinewidth(2.000000)\"];\n"
                    "N1 -> N4 [label=2150200, weight=27085, style=\"setlinewidth(2.000000)\"];\n"
                    "N4 -> N3 [label=2150200, weight=27085, style=\"setlinewidth(2.000000)\"];\n"
                    "}\n");
    struct dot_options nothing = {.graph = graph_defaults};
    nothing.graph.node_part = 1;
    assert_dot(nothing, "");
    close_view();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),    cmocka_unit_test(test_nodes_that_go),
        cmocka_unit_test(test_edges_that_go), cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_calls_of_one),  cmocka_unit_test(test_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
