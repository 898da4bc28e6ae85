/* filter.c: searches texts for a regular expression, with PCRE2. See filter.h.
 *
 * A search that runs out of PCRE2's own limits, as a pattern made for that does, finds nothing.
 */
#include "filter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

bool filter_open(struct filter *filter, const char *pattern, char *reason, size_t reason_size)
{
    int problem;
    PCRE2_SIZE offset;
    *filter = (struct filter){.code = NULL};
    if (pattern == NULL) {
        return true;
    }
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &problem, &offset, NULL);
    if (code == NULL) {
        PCRE2_UCHAR text[128] = {0};
        pcre2_get_error_message(problem, text, sizeof text);
        snprintf(reason, reason_size,
                 "\"%.100s\" is no regular expression: %s at its character %zu", pattern,
                 (const char *)text, (size_t)offset + 1);
        return false;
    }
    *filter = (struct filter){code, pcre2_match_data_create_from_pattern(code, NULL)};
    return true;
}

bool filter_finds(const struct filter *filter, const char *text)
{
    return filter->code != NULL &&
           pcre2_match(filter->code, (PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, 0, filter->match,
                       NULL) > 0;
}

void filter_close(struct filter *filter)
{
    pcre2_match_data_free(filter->match);
    pcre2_code_free(filter->code);
    *filter = (struct filter){.code = NULL};
}
