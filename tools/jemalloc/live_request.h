/* live_request.h: asks something of the library in a process, and waits for the answer.
 *
 * One request is under way at a time: a lock on the process's `mem`, which only those can open who
 * may ask, keeps others waiting. What was not seen in time, or is interrupted by a signal, is
 * withdrawn: either nothing was done then, or all of it.
 */
#ifndef LIVE_REQUEST_H
#define LIVE_REQUEST_H

#include "live_block.h"

struct live_request {
    enum outside_action action;
    unsigned timeout_ms;
    const char *path; /* of a profile; NULL: the process chooses it */
};

/* What came back; path is where the process wrote its profile, as it calls it. */
struct live_answer {
    int error; /* an errno value, 0: done */
    char path[OUTSIDE_PATH_BYTES];
};

/* False when there is no answer, with the reason in the process. */
bool live_request_make(struct live_process *process, const struct live_block *at,
                       const struct live_request *request, struct live_answer *answer);

#endif
