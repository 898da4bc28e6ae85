/* dso_handle.c: the name by which libc knows this library when it registers handlers.
 *
 * The compiler's start files usually define it, and ask with it for symbols that no process has.
 * The library is linked without them, as it needs nothing else of theirs: it is never unloaded.
 */
extern void *__dso_handle __attribute__((visibility("hidden")));
void *__dso_handle = &__dso_handle;
