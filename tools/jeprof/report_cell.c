/* report_cell.c: counts and their parts as reports show them. See report_cell.h.
 *
 * Forms of numbers are those of jemalloc's script, which programs parse.
 */
#include "report_cell.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static bool is_space(enum view_measure measure)
{
    return measure == VIEW_LIVE_SPACE || measure == VIEW_TOTAL_SPACE;
}

/* Whole numbers are cut, not rounded. */
struct cell cell_count(double value, enum view_measure measure, bool shows_bytes)
{
    struct cell cell;
    if (is_space(measure) && !shows_bytes) {
        snprintf(cell.text, sizeof cell.text, "%.1f", value / (1 << 20));
    } else {
        double limited = fmax(fmin(value, 0x1p62), -0x1p62);
        snprintf(cell.text, sizeof cell.text, "%" PRId64, (int64_t)limited);
    }
    return cell;
}

struct cell cell_nonzero(double value, enum view_measure measure, bool shows_bytes)
{
    return value != 0 ? cell_count(value, measure, shows_bytes) : (struct cell){"."};
}

struct cell cell_part(double value, double total)
{
    struct cell cell;
    if (total != 0) {
        snprintf(cell.text, sizeof cell.text, "%.1f%%", value * 100 / total);
    } else if (value == 0) {
        snprintf(cell.text, sizeof cell.text, "nan");
    } else {
        snprintf(cell.text, sizeof cell.text, value > 0 ? "+inf" : "-inf");
    }
    return cell;
}

const char *cell_unit(enum view_measure measure, bool shows_bytes)
{
    return !is_space(measure) ? "objects" : shows_bytes ? "B" : "MB";
}
