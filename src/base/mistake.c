/* mistake.c: telling of a mistake of the program. See mistake.h.
 *
 * The text is made on the stack, as nothing here may allocate.
 */
#include "base/mistake.h"

#include "base/print.h"

#include <errno.h>
#include <stdatomic.h>

/* Written by any thread with release, read with acquire: the guard and the function's own data are
 * seen. */
static _Atomic mistake_hook current_hook;
/* relaxed: all who set them set the same. */
static _Atomic(void *(*)(void)) guard_enter;
static _Atomic(void (*)(void *)) guard_leave;

void mistake_set_hook(mistake_hook hook, struct mistake_guard guard)
{
    atomic_store_explicit(&guard_enter, guard.enter, memory_order_relaxed);
    atomic_store_explicit(&guard_leave, guard.leave, memory_order_relaxed);
    atomic_store_explicit(&current_hook, hook, memory_order_release);
}

/* A text longer than the buffer is cut: the longest of ours is 150 characters and two numbers. */
void mistake(const char *format, ...)
{
    enum { TEXT_BYTES = 512 };
    char text[TEXT_BYTES];
    mistake_hook hook = atomic_load_explicit(&current_hook, memory_order_acquire);
    va_list arguments;
    va_start(arguments, format);
    size_t length = print_list_to_buffer(text, sizeof text - 1, format, arguments);
    va_end(arguments);
    if (hook == NULL) {
        message_and_abort("%s", text);
    }
    text[length] = '\n';
    text[length + 1] = '\0';
    int saved_errno = errno;
    void *state = atomic_load_explicit(&guard_enter, memory_order_relaxed)();
    hook(text);
    if (state != NULL) {
        atomic_load_explicit(&guard_leave, memory_order_relaxed)(state);
    }
    errno = saved_errno;
}
