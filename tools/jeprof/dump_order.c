/* dump_order.c: the order in which one process wrote its dumps. See dump_order.h.
 *
 * Names are taken apart from their ends: the prefix may have dots, too.
 */
#include "dump_order.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The part of a name up to the last dot before its end: moves *end there. */
static bool drop_part(const char *name, const char **end)
{
    const char *dot = memrchr(name, '.', (size_t)(*end - name));
    if (dot == NULL) {
        return false;
    }
    *end = dot;
    return true;
}

static bool is_number(const char *text, const char *end)
{
    return text < end && strspn(text, "0123456789") == (size_t)(end - text);
}

/* Where the sequence number of a name begins, behind "PREFIX.PID."; NULL: it is no such name. */
static const char *sequence_of(const char *name)
{
    const char *end = name + strlen(name);
    if (strcmp(end - (end - name < 5 ? 0 : 5), ".heap") != 0 || !drop_part(name, &end) ||
        !drop_part(name, &end)) {
        return NULL;
    }
    const char *sequence_end = end;
    if (!drop_part(name, &end) || !is_number(end + 1, sequence_end)) {
        return NULL;
    }
    const char *sequence = end + 1;
    const char *id_end = end;
    return drop_part(name, &end) && is_number(end + 1, id_end) ? sequence : NULL;
}

static int compare_names(const void *left, const void *right)
{
    unsigned long long a = strtoull(sequence_of(*(const char *const *)left), NULL, 10);
    unsigned long long b = strtoull(sequence_of(*(const char *const *)right), NULL, 10);
    return (a > b) - (a < b);
}

void dump_order_sort(const char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *sequence = sequence_of(names[i]);
        const char *first = sequence_of(names[0]);
        if (sequence == NULL || first == NULL || sequence - names[i] != first - names[0] ||
            memcmp(names[i], names[0], (size_t)(first - names[0])) != 0) {
            return;
        }
    }
    if (count > 1) {
        qsort((void *)names, count, sizeof *names, compare_names);
    }
}
