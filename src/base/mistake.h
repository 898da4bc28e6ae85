/* mistake.h: the end of a program that made a mistake, or its own function in place of that.
 *
 * A mistake is a call that frees what is no block, or frees a block twice, and the like: one line,
 * and abort(). A program may set a function of its own (experimental.hooks.safety_check_abort),
 * which gets the text as one line. When it returns, the program goes on as if the faulty call had
 * not been: so whoever reports a mistake holds no lock, has changed nothing, and leaves the block
 * alone.
 */
#ifndef BASE_MISTAKE_H
#define BASE_MISTAKE_H

#include "base/check.h"

typedef void (*mistake_hook)(const char *text);

/* NULL: abort. Any thread. What brackets the hook comes from above: enter() takes the thread's
 * cache, which may be in the middle of something, out of the hook's reach; its result goes to
 * leave(), unless it is NULL. */
struct mistake_guard {
    void *(*enter)(void);
    void (*leave)(void *state);
};
void mistake_set_hook(mistake_hook hook, struct mistake_guard guard);

/* Returns only when the program's function does; errno is as before. */
COLD NOINLINE void mistake(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
