/* picture.h: call graphs as pictures, drawn by graphviz's dot and shown by other programs.
 *
 * What cannot be done is told in one line: a program that is missing with its package.
 */
#ifndef JEPROF_PICTURE_H
#define JEPROF_PICTURE_H

#include <stdbool.h>
#include <stdio.h>

enum picture_format { PICTURE_PS, PICTURE_PDF, PICTURE_SVG, PICTURE_GIF };

enum picture_viewer { VIEWER_GV, VIEWER_EVINCE, VIEWER_WEB };

struct picture_options {
    const char *tools;  /* as tool.h has it */
    const char *scale;  /* of gv; NULL: its own */
    bool is_left_alone; /* a viewer is not waited for */
};

/* Draws a graph, in the language of dot, from the start of its file to out. */
bool picture_draw(FILE *graph, enum picture_format format, FILE *out,
                  const struct picture_options *options) __attribute__((warn_unused_result));

/* Draws it into a file of its own and shows it. */
bool picture_show(FILE *graph, enum picture_viewer viewer, const struct picture_options *options)
    __attribute__((warn_unused_result));

/* Opens a file in the browser. */
bool picture_browse(const char *path, const struct picture_options *options)
    __attribute__((warn_unused_result));

#endif
