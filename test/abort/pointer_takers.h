/* pointer_takers.h: every public function that is given a pointer and has to find its block.
 *
 * Sized frees are not among them: they may trust the size. A row's function passes one pointer to
 * one public function; the tests of wild and interior pointers pair all rows with all pointers.
 */
#ifndef POINTER_TAKERS_H
#define POINTER_TAKERS_H

#include <stdbool.h>
#include <stddef.h>

struct pointer_taker {
    const char *name;
    void (*call)(void *pointer);
    bool frees; /* may leave a small interior pointer to the flush */
};

enum { POINTER_TAKER_COUNT = 9 };

extern const struct pointer_taker pointer_takers[POINTER_TAKER_COUNT];

#endif
