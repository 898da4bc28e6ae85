/* process.h: the start of the allocator in a process, fork, and the work at exit.
 *
 * There is no constructor: the first call of any function starts the allocator, whoever makes it
 * and however early. Starting calls nothing that allocates; what may allocate (registering the fork
 * handlers) comes when the allocator already works.
 */
#ifndef API_PROCESS_H
#define API_PROCESS_H

#include "base/check.h"

/* Starts the allocator once; safe in any thread, at any time. False when memory is refused: a later
 * call tries again. */
MUST_USE bool process_start(void);

#endif
