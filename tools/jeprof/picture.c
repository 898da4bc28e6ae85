/* picture.c: call graphs as pictures. See picture.h.
 *
 * A picture for a viewer stays in the folder for temporary files, and its name is told: viewers,
 * and browsers above all, often read a file when the program that was started has ended.
 */
#include "picture.h"

#include "complaint.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const format_words[] = {"ps2", "pdf", "svg", "gif"};

static bool draw(FILE *graph, enum picture_format format, int out,
                 const struct picture_options *options)
{
    struct tool dot;
    char word[16];
    if (!tool_find(&dot, options->tools, "dot")) {
        return complain("pictures are drawn by dot, which is not installed (package graphviz)");
    }
    snprintf(word, sizeof word, "-T%s", format_words[format]);
    const char *const arguments[] = {dot.path, word, NULL};
    fflush(graph);
    lseek(fileno(graph), 0, SEEK_SET);
    if (!tool_wait(tool_start(arguments, fileno(graph), out))) {
        return complain("%s could not draw the picture", dot.path);
    }
    return true;
}

bool picture_draw(FILE *graph, enum picture_format format, FILE *out,
                  const struct picture_options *options)
{
    fflush(out);
    return draw(graph, format, fileno(out), options);
}

/* A new file for a picture; its name goes into path. */
static int make_file(char *path, size_t size, const char *suffix)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, size, "%s/jeprof.XXXXXX.%s", folder != NULL ? folder : "/tmp", suffix);
    int file = mkostemps(path, (int)strlen(suffix) + 1, 0);
    if (file < 0) {
        complain("%s: %s", path, strerror(errno));
    }
    return file;
}

/* Runs a viewer until it ends, unless it is left alone. */
static bool run_viewer(const struct tool *tool, const char *const *words,
                       const struct picture_options *options)
{
    const char *arguments[6] = {tool->path};
    size_t count = 1;
    while (*words != NULL && count < 5) {
        arguments[count++] = *words++;
    }
    pid_t process = tool_start(arguments, STDIN_FILENO, STDERR_FILENO);
    return options->is_left_alone ? process > 0 : tool_wait(process);
}

bool picture_browse(const char *path, const struct picture_options *options)
{
    static const char *const names[] = {"gnome-www-browser", "x-www-browser", "xdg-open",
                                        "sensible-browser",  "google-chrome", "firefox"};
    const char *const words[] = {path, NULL};
    const char *chosen = getenv("BROWSER");
    struct tool tool;
    if (chosen != NULL && *chosen != '\0' && tool_find(&tool, options->tools, chosen) &&
        run_viewer(&tool, words, options)) {
        return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (tool_find(&tool, options->tools, names[i]) && run_viewer(&tool, words, options)) {
            return true;
        }
    }
    return complain("no browser shows %s (package xdg-utils, or name one in $BROWSER)", path);
}

static bool show_file(const char *path, enum picture_viewer viewer,
                      const struct picture_options *options)
{
    static const char *const names[] = {"gv", "evince"};
    char scale[32];
    struct tool tool;
    if (viewer == VIEWER_WEB) {
        return picture_browse(path, options);
    }
    if (!tool_find(&tool, options->tools, names[viewer])) {
        return complain("%s is not installed (package %s)", names[viewer], names[viewer]);
    }
    snprintf(scale, sizeof scale, "--scale=%.16s", options->scale != NULL ? options->scale : "0");
    const char *const gv_words[] = {scale, "--noantialias", path, NULL};
    const char *const evince_words[] = {path, NULL};
    if (!run_viewer(&tool, viewer == VIEWER_GV ? gv_words : evince_words, options)) {
        return complain("%s failed", tool.path);
    }
    return true;
}

bool picture_show(FILE *graph, enum picture_viewer viewer, const struct picture_options *options)
{
    static const enum picture_format formats[] = {PICTURE_PS, PICTURE_PDF, PICTURE_SVG};
    static const char suffixes[][4] = {"ps", "pdf", "svg"};
    char path[PATH_MAX];
    int file = make_file(path, sizeof path, suffixes[viewer]);
    if (file < 0) {
        return false;
    }
    bool is_drawn = draw(graph, formats[viewer], file, options);
    close(file);
    if (!is_drawn) {
        unlink(path);
        return false;
    }
    fprintf(stderr, "jeprof: the picture is %s\n", path);
    return show_file(path, viewer, options);
}
