/* static_walk.c: goal: backtraces of a program without a loader: there is no libgcc_s.so.1, and
 * what the linker left of unwind tables and of libgcc is used.
 * Method: a -static program that walks through functions which note where they return to.
 */
#include "chain.h"

#include "config/options.h"
#include "profile/backtrace.h"

#include <stdio.h>

enum { FRAMES_MAX = 64, INNER = 2, DEPTH = 20 };

static int status;

static __attribute__((noinline)) void walk(struct chain *chain)
{
    uintptr_t frames[FRAMES_MAX];
    unsigned count = backtrace_take(frames, FRAMES_MAX);
    for (unsigned i = 0; i < chain->count; i++) {
        unsigned frame = INNER + i;
        if (frame >= count || frames[frame] != chain->returns[chain->count - 1 - i]) {
            printf("way %u: frame %u of %u is wrong\n", options.prof_unwind, frame, count);
            status = 1;
            break;
        }
    }
}

int main(void)
{
    (void)backtrace_start();
    for (unsigned way = UNWIND_AUTO; way <= UNWIND_DWARF; way += UNWIND_DWARF) {
        struct chain chain = {.depth = DEPTH, .inner = walk};
        options.prof_unwind = way;
        chain_unframed(&chain);
    }
    return status;
}
