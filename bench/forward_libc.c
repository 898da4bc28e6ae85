/* forward_libc.c: libjemalloc.so.2 without an allocator: lets a program that is linked against
 * jemalloc run on any other.
 *
 * Debian's redis-server needs libjemalloc.so.2 and its control functions. This library has that
 * name and those functions, and no malloc: so the dynamic linker takes malloc from the preloaded
 * library, or from libc when there is none, at no extra cost in calls. mallctl answers `version`
 * and says ENOENT to all else, as jemalloc does for a name that it does not know.
 */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int mallctl(const char *name, void *old_value, size_t *old_length, void *new_value,
            size_t new_length);
int mallctlnametomib(const char *name, size_t *mib, size_t *mib_length);
int mallctlbymib(const size_t *mib, size_t mib_length, void *old_value, size_t *old_length,
                 void *new_value, size_t new_length);
void malloc_stats_print(void (*write)(void *, const char *), void *context, const char *options);
size_t nallocx(size_t size_bytes, int flags);

static const char version[] = "0.0.0-0-forward";

int mallctl(const char *name, void *old_value, size_t *old_length, void *new_value,
            size_t new_length)
{
    const char *answer = version;
    (void)new_value;
    (void)new_length;
    if (strcmp(name, "version") != 0) {
        return ENOENT;
    }
    if (old_value == NULL || old_length == NULL || *old_length != sizeof answer) {
        return EINVAL;
    }
    memcpy(old_value, &answer, sizeof answer);
    return 0;
}

int mallctlnametomib(const char *name, size_t *mib, size_t *mib_length)
{
    (void)name;
    (void)mib;
    (void)mib_length;
    return ENOENT;
}

int mallctlbymib(const size_t *mib, size_t mib_length, void *old_value, size_t *old_length,
                 void *new_value, size_t new_length)
{
    (void)mib;
    (void)mib_length;
    (void)old_value;
    (void)old_length;
    (void)new_value;
    (void)new_length;
    return ENOENT;
}

void malloc_stats_print(void (*write)(void *, const char *), void *context, const char *options)
{
    (void)options;
    if (write != NULL) {
        write(context, "forwarding library: the allocator is not jemalloc\n");
    }
}

/* The usable size of a request, found by making it: the allocator behind is not known. */
size_t nallocx(size_t size_bytes, int flags)
{
    (void)flags;
    void *block = malloc(size_bytes);
    size_t usable_bytes = malloc_usable_size(block);
    free(block);
    return usable_bytes;
}
