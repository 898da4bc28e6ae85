/* chain.h: a chain of calls through functions of several shapes, each of which notes where it will
 * return to: what a walk must find is known without an unwinder. The shapes are compiled twice,
 * each time as a library of its own: with frame pointers and without.
 */
#ifndef TEST_UNIT_CHAIN_H
#define TEST_UNIT_CHAIN_H

#include <stdint.h>

enum { CHAIN_DEPTH_MAX = 128 };

struct chain {
    unsigned depth;
    unsigned count;
    void (*inner)(struct chain *chain);
    uintptr_t returns[CHAIN_DEPTH_MAX]; /* the outermost first */
};

/* Call each other until `depth` calls are noted, then inner. */
void chain_framed(struct chain *chain);
void chain_unframed(struct chain *chain);

/* The same through functions of C++, where they are built. */
void chain_of_objects(struct chain *chain);

/* Calls inner with the frame pointer set. Without a frame pointer of its own. */
void chain_with_pointer(uintptr_t frame_pointer, void (*inner)(void));

#endif
