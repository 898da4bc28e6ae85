/* unwinding_cost.c: what unwinding.md counts: walks from the end of a chain of calls.
 *
 * Compiled three ways: with CHAIN, the chain, for a library of its own; with WALKS, a program that
 * walks by the option prof_unwind; without both, one that allocates at the same place, so that the
 * walks of another allocator's profiler can be counted. Not part of the library.
 *
 *     unwinding_cost WAY DEPTH ROUNDS     WAY: 0 auto, 1 fp, 2 dwarf
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct chain {
    unsigned depth;
    unsigned rounds;
    void (*measured)(void);
};

void chain_call(struct chain chain);

#ifdef CHAIN

__attribute__((noinline)) void chain_call(struct chain chain)
{
    for (unsigned i = 0; chain.depth == 0 && i < chain.rounds; i++) {
        chain.measured();
    }
    if (chain.depth > 0) {
        chain.depth--;
        chain_call(chain);
    }
    __asm__ volatile("" : : : "memory");
}

#else

#ifdef WALKS
#include "config/options.h"
#include "profile/backtrace.h"
#endif

enum { FRAMES_MAX = 256 };

static unsigned count;

static __attribute__((noinline)) void measured(void)
{
#ifdef WALKS
    uintptr_t frames[FRAMES_MAX];
    count = backtrace_take(frames, FRAMES_MAX);
#else
    void *volatile block = malloc(100);
    free(block);
#endif
    __asm__ volatile("" : : : "memory");
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 1;
    }
#ifdef WALKS
    options.prof_unwind = (unsigned)atoi(argv[1]);
    (void)backtrace_start();
#endif
    struct chain chain = {(unsigned)atoi(argv[2]), 1, measured};
    chain_call(chain); /* fills the cache */
    chain.rounds = (unsigned)atoi(argv[3]);
    chain_call(chain);
    printf("%u frames\n", count);
    return 0;
}

#endif
