/* check.c: what a failed check does. See check.h.
 *
 * Apart from print.c, which uses checks itself.
 */
#include "base/check.h"

#include "base/print.h"

void check_failed(const char *file, int line, const char *text)
{
    message_and_abort("%s:%d: failed check: %s", file, line, text);
}
