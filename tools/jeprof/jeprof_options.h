/* jeprof_options.h: the command line.
 *
 * Every option of the script that jeprof replaces is known by its name or the beginning of it, with
 * one dash or two. What jeprof does not do is refused by name, so no script gets another report
 * than it asked for.
 */
#ifndef JEPROF_OPTIONS_H
#define JEPROF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "picture.h"
#include "report_dot.h"
#include "report_text.h"
#include "symbols.h"
#include "text_pool.h"
#include "view.h"

enum jeprof_output {
    OUTPUT_TEXT,
    OUTPUT_COLLAPSED,
    OUTPUT_CALLGRIND,
    OUTPUT_RAW,
    OUTPUT_SYMBOLS,
    OUTPUT_LIST,
    OUTPUT_DISASM,
    OUTPUT_DOT,
    OUTPUT_PS, /* pictures, in the order of enum picture_format */
    OUTPUT_PDF,
    OUTPUT_SVG,
    OUTPUT_GIF,
    OUTPUT_GV, /* viewers, in the order of enum picture_viewer */
    OUTPUT_EVINCE,
    OUTPUT_WEB,
    OUTPUT_SYMBOLIZE,
    OUTPUT_PROTO, /* for other programs, of all measures: see output_traits.h */
    OUTPUT_SPEEDSCOPE,
    OUTPUT_FLAME,
    OUTPUT_JSON,
    OUTPUT_HTML,
    OUTPUT_TEST, /* has no profile */
};

/* What goes on after the command line was read. */
enum jeprof_action {
    ACTION_REPORT,
    ACTION_DONE,   /* help or version was written */
    ACTION_REFUSE, /* message says why */
};

struct jeprof_options {
    enum jeprof_action action;
    char message[256];
    enum jeprof_output output;
    bool is_interactive; /* commands are asked for */
    const char *pattern; /* of OUTPUT_LIST and OUTPUT_DISASM */
    struct view_options view;
    struct report_options report;
    struct symbols_options symbols;
    struct dot_options dot; /* but for the program */
    struct picture_options picture;
    unsigned long long seconds; /* that a server gathers a profile */
    const char *base;           /* a profile to subtract, or NULL */
    const char **arguments;     /* program and profiles, ended by NULL */
    void *context;              /* keeps the texts, with the pool */
    struct text_pool pool;
};

/* Reads a command line; help and version go to standard output. */
void jeprof_options_read(struct jeprof_options *options, int count, char **arguments);

void jeprof_options_close(struct jeprof_options *options);

#endif
