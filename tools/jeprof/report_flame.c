/* report_flame.c: a flame graph as one SVG file. See report_flame.h.
 *
 * Stacks are sorted by their functions, so a function's rectangle is a run of stacks that share
 * their outer frames: one pass opens rectangles where two neighbours part and closes them again.
 */
#include "report_flame.h"

#include "frame_rows.h"
#include "page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 1200, /* of the picture: it scales to its window */
    ROW = 18,
    TOP = 44, /* for title, search and buttons */
    BOTTOM = 26,
};

/* Narrower rectangles are left out, with all above them: they would not be seen, and a file of a
 * million of them would not open. */
static const double SMALLEST_WIDTH = 0.2;

struct sums {
    double now, before; /* counts, and those of the base */
};

struct flame {
    FILE *out;
    const struct export *export;
    struct frame_rows table;
    const struct view_stack **stacks;
    size_t deepest;
    double total;
    struct sums *opened; /* by depth: the sums up to where the rectangle begins */
    size_t written;
};

static void write_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            /* Control characters are none of XML's. */
            fputc((unsigned char)*text < ' ' ? '?' : *text, out);
        }
    }
}

/* "1.5 MB", "7 objects" */
static void format_count(char *text, size_t size, double count, const struct export *export)
{
    static const char units[][4] = {"B", "KB", "MB", "GB", "TB"};
    size_t unit = 0;
    if (strcmp(measures[export->measure].unit, "bytes") != 0) {
        snprintf(text, size, "%.0f objects", count);
        return;
    }
    while (fabs(count) >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        count /= 1024;
        unit++;
    }
    snprintf(text, size, unit > 0 ? "%.1f %s" : "%.0f %s", count, units[unit]);
}

/* A warm colour by name, the same in every file; or by the change since the base. */
static void write_color(const struct flame *flame, const char *name, struct sums sums)
{
    if (flame->export->has_base) {
        double change = sums.now - sums.before;
        double strength = fmin(fabs(change) / fmax(fmax(sums.now, sums.before), 1), 1);
        int faded = (int)(235 - 150 * strength);
        fprintf(flame->out, "rgb(%d,%d,%d)", change >= 0 ? 235 : faded, faded,
                change <= 0 ? 235 : faded);
        return;
    }
    unsigned hash = 2166136261u;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    }
    fprintf(flame->out, "rgb(%u,%u,%u)", 220 + hash % 30, 120 + (hash >> 8) % 90,
            60 + (hash >> 16) % 40);
}

static void write_title(const struct flame *flame, const char *name, struct sums sums)
{
    char count[64];
    format_count(count, sizeof count, sums.now, flame->export);
    fputs("<title>", flame->out);
    write_text(flame->out, name);
    fprintf(flame->out, " (%s, %.2f%%", count, 100 * sums.now / flame->total);
    if (flame->export->has_base) {
        format_count(count, sizeof count, sums.now - sums.before, flame->export);
        fprintf(flame->out, ", %s%s since the base", sums.now > sums.before ? "+" : "", count);
    }
    fputs(")</title>", flame->out);
}

/* As much of a name as fits: a letter is 7.3 wide. The script does the same after each zoom. */
static void write_label(FILE *out, const char *name, double width)
{
    char label[WIDTH / 7 + 4];
    size_t letters = width > 6 ? (size_t)((width - 6) / 7.3) : 0;
    if (letters >= strlen(name)) {
        write_text(out, name);
    } else if (letters >= 3) {
        letters -= 2;
        while (letters > 0 && ((unsigned char)name[letters] & 0xC0) == 0x80) {
            letters--; /* not into the middle of a character */
        }
        snprintf(label, sizeof label, "%.*s..", (int)letters, name);
        write_text(out, label);
    }
}

/* The rectangle at a depth, from where it was opened to the sums so far; name NULL: of all. */
static void write_rectangle(struct flame *flame, size_t depth, const struct view_frame *frame,
                            struct sums end)
{
    struct sums start = flame->opened[depth];
    struct sums sums = {end.now - start.now, end.before - start.before};
    double x = start.now / flame->total * WIDTH;
    double width = sums.now / flame->total * WIDTH;
    const char *name = frame != NULL ? frame->full : "all";
    if (width < SMALLEST_WIDTH) {
        return;
    }
    fprintf(flame->out,
            "<g class=\"frame\" tabindex=\"0\" data-x=\"%.2f\" data-w=\"%.2f\" data-d=\"%zu\">", x,
            width, depth);
    write_title(flame, name, sums);
    fprintf(flame->out, "<rect x=\"%.2f\" y=\"%zu\" width=\"%.2f\" height=\"%d\" rx=\"1\" fill=\"",
            x, TOP + (flame->deepest - depth) * ROW, width, ROW - 1);
    write_color(flame, name, sums);
    fprintf(flame->out, "\"/><text x=\"%.2f\" y=\"%zu\" data-name=\"", x + 3,
            TOP + (flame->deepest - depth) * ROW + 13);
    write_text(flame->out, frame != NULL ? frame->name : name);
    fputs("\">", flame->out);
    write_label(flame->out, frame != NULL ? frame->name : name, width);
    fputs("</text></g>\n", flame->out);
    flame->written++;
}

/* Closes the rectangles of a stack that are deeper than its first depth frames. */
static void close_rectangles(struct flame *flame, const struct view_stack *stack, size_t depth,
                             struct sums sums)
{
    for (size_t at = stack->depth; at > depth; at--) {
        write_rectangle(flame, at, stack->frames[stack->depth - at], sums);
    }
}

static void write_rectangles(struct flame *flame)
{
    const struct view_stack *before = NULL;
    struct sums sums = {0, 0};
    for (size_t i = 0; i < flame->export->view->stack_count; i++) {
        const struct view_stack *stack = flame->stacks[i];
        double count = fmax(export_count(flame->export, stack, flame->export->measure), 0);
        size_t common = before != NULL ? frame_rows_common(before, stack) : 0;
        if (before != NULL) {
            close_rectangles(flame, before, common, sums);
        }
        for (size_t depth = common + 1; depth <= stack->depth; depth++) {
            flame->opened[depth] = sums;
        }
        if (flame->export->has_base && stack->sample->dump == 0) {
            sums.before += count;
        } else {
            sums.now += count;
        }
        before = stack;
    }
    if (before != NULL) {
        close_rectangles(flame, before, 0, sums);
        write_rectangle(flame, 0, NULL, sums);
    }
}

static void write_head(const struct flame *flame)
{
    char total[64];
    size_t height = TOP + (flame->deepest + 1) * ROW + BOTTOM;
    format_count(total, sizeof total, flame->total, flame->export);
    fprintf(flame->out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %zu\" width=\"%d\" "
            "height=\"%zu\" data-width=\"%d\">\n<style>\n",
            WIDTH, height, WIDTH, height, WIDTH);
    fwrite(flame_style, 1, flame_style_size, flame->out);
    fprintf(flame->out, "</style>\n<rect class=\"paper\" width=\"100%%\" height=\"100%%\"/>\n");
    fprintf(flame->out, "<text class=\"heading\" x=\"8\" y=\"22\">%s: %s",
            measures[flame->export->measure].title, total);
    fprintf(flame->out, "</text>\n<text class=\"hint\" x=\"8\" y=\"38\">");
    write_text(flame->out, flame->export->program);
    fprintf(flame->out, "</text>\n<text class=\"details\" x=\"8\" y=\"%zu\"></text>\n", height - 9);
}

/* What all stacks come to, and how deep the deepest is. */
static void measure_stacks(struct flame *flame)
{
    const struct export *export = flame->export;
    for (size_t i = 0; i < export->view->stack_count; i++) {
        const struct view_stack *stack = &export->view->stacks[i];
        if (!export->has_base || stack->sample->dump > 0) {
            flame->total += fmax(export_count(export, stack, export->measure), 0);
        }
        flame->deepest = stack->depth > flame->deepest ? stack->depth : flame->deepest;
    }
}

size_t report_flame(FILE *out, const struct export *export)
{
    struct flame flame = {.out = out, .export = export};
    measure_stacks(&flame);
    if (flame.total <= 0) {
        return 0;
    }
    frame_rows_open(&flame.table, export->view, FRAME_FUNCTIONS);
    flame.stacks = frame_rows_sort(export->view);
    flame.opened = memory_take(flame.deepest + 1, sizeof *flame.opened);
    write_head(&flame);
    write_rectangles(&flame);
    fprintf(out, "<script><![CDATA[\n");
    fwrite(flame_script, 1, flame_script_size, out);
    fprintf(out, "]]></script>\n</svg>\n");
    free(flame.opened);
    free((void *)flame.stacks);
    frame_rows_close(&flame.table);
    return flame.written;
}
