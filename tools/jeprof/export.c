/* export.c: the counts of an export. See export.h.
 *
 * Samples keep all four counts, whichever the view was opened for.
 */
#include "export.h"

#include <math.h>

const struct measure measures[MEASURES] = {
    [VIEW_LIVE_SPACE] = {"inuse_space", "bytes", "In use, bytes"},
    [VIEW_LIVE_OBJECTS] = {"inuse_objects", "count", "In use, objects"},
    [VIEW_TOTAL_SPACE] = {"alloc_space", "bytes", "Allocated, bytes"},
    [VIEW_TOTAL_OBJECTS] = {"alloc_objects", "count", "Allocated, objects"},
};

double export_count(const struct export *export, const struct view_stack *stack,
                    enum view_measure measure)
{
    double count = view_count(&stack->sample->counts, measure);
    return export->drops_negative ? fmax(count, 0) : count;
}

bool export_has(const struct export *export, enum view_measure measure)
{
    for (size_t i = 0; i < export->view->stack_count; i++) {
        if (export_count(export, &export->view->stacks[i], measure) != 0) {
            return true;
        }
    }
    return false;
}

int64_t export_whole(double count)
{
    return (int64_t)round(fmax(fmin(count, 0x1p53), -0x1p53));
}
