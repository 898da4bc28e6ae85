/* export.h: what the reports for other programs are made of: --proto, --speedscope, --flame,
 * --json, --html.
 *
 * The view behind an export keeps all stacks, those of the other measures too: each report takes
 * the counts of the samples, of as many measures as it has room for. Where dumps are kept apart
 * (--flame, --json, --html), a sample knows its dump, and the profile to subtract is dump 0.
 */
#ifndef JEPROF_EXPORT_H
#define JEPROF_EXPORT_H

#include "view.h"

enum { MEASURES = VIEW_TOTAL_OBJECTS + 1 };

/* How a measure is called; by enum view_measure. */
struct measure {
    char name[16];  /* as the option that chooses it */
    char unit[8];   /* "bytes" or "count" */
    char title[24]; /* for people */
};
extern const struct measure measures[MEASURES];

struct export
{
    const struct profile *profile;
    struct view *view;
    const char *program;
    const char *const *dump_names;
    size_t dump_count;
    bool has_base; /* dump 0 is the one to subtract */
    bool drops_negative;
    enum view_measure measure; /* the one that was asked for */
};

/* What a stack counts. */
double export_count(const struct export *export, const struct view_stack *stack,
                    enum view_measure measure);

/* Whether any stack counts something. */
bool export_has(const struct export *export, enum view_measure measure);

/* A count as a whole number, rounded, within what JSON readers hold exactly. */
int64_t export_whole(double count);

#endif
