/* header_usage.c: goal: the public header compiles without a warning in every C and C++ standard,
 * in every naming mode, and together with the system's own declarations.
 * Method: check_header.sh compiles this file, as C and as C++, with each combination; nothing
 * runs.
 */
#include <jemalloc/jemalloc.h>

#include <malloc.h>
#include <stdlib.h>

#include <jemalloc/jemalloc.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

int header_is_usable(void);

static int all_flags(void)
{
    return MALLOCX_ALIGN(64) | MALLOCX_LG_ALIGN(6) | MALLOCX_ZERO | MALLOCX_TCACHE(1) |
           MALLOCX_TCACHE_NONE | MALLOCX_ARENA(3);
}

static void extended(void)
{
    void *block = mallocx(10, all_flags());
    block = rallocx(block, nallocx(100, 0), 0);
    if (xallocx(block, 50, 10, 0) == sallocx(block, 0)) {
        sdallocx(block, 60, 0);
    } else {
        dallocx(block, 0);
    }
}

static void control(void)
{
    size_t mib[4];
    size_t depth = 4;
    unsigned count = 0;
    size_t length = sizeof count;
    (void)mallctl("arena." TEXT(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL, 0);
    if (mallctlnametomib("arenas.narenas", mib, &depth) == 0) {
        (void)mallctlbymib(mib, depth, &count, &length, NULL, 0);
    }
    malloc_stats_print(NULL, NULL, "J");
    malloc_message = NULL;
    malloc_conf = malloc_conf_2_conf_harder;
}

int header_is_usable(void)
{
    extent_hooks_t hooks = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
    extent_alloc_t *allocate = hooks.alloc;
    void *block = malloc(1);
    block = realloc(block, 2);
    free_sized(block, 2);
    free_aligned_sized(memalign(64, 10), 64, 10);
    free(valloc(1));
    free(pvalloc(1));
    free(calloc(1, malloc_usable_size(NULL)));
    extended();
    control();
    return allocate == NULL && JEMALLOC_VERSION_MAJOR == 5 && sizeof JEMALLOC_VERSION_GID == 41;
}
