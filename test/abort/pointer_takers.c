/* pointer_takers.c: see pointer_takers.h.
 *
 * Results are stored to a volatile, so that no call is dropped by the compiler.
 */
#include "pointer_takers.h"

#include <jemalloc/jemalloc.h>

#include <stdlib.h>

static void *volatile pointer_sink;
static volatile size_t size_sink;

static void call_free(void *pointer)
{
    free(pointer);
}

static void call_realloc(void *pointer)
{
    pointer_sink = realloc(pointer, 100);
}

static void call_realloc_zero(void *pointer)
{
    pointer_sink = realloc(pointer, 0);
}

static void call_usable_size(void *pointer)
{
    size_sink = malloc_usable_size(pointer);
}

static void call_dallocx(void *pointer)
{
    dallocx(pointer, 0);
}

static void call_dallocx_uncached(void *pointer)
{
    dallocx(pointer, MALLOCX_TCACHE_NONE);
}

static void call_rallocx(void *pointer)
{
    pointer_sink = rallocx(pointer, 100, 0);
}

static void call_xallocx(void *pointer)
{
    size_sink = xallocx(pointer, 100, 0, 0);
}

static void call_sallocx(void *pointer)
{
    size_sink = sallocx(pointer, 0);
}

const struct pointer_taker pointer_takers[POINTER_TAKER_COUNT] = {
    {"free", call_free, true},
    {"realloc", call_realloc, false},
    {"realloc(p, 0)", call_realloc_zero, true},
    {"malloc_usable_size", call_usable_size, false},
    {"dallocx", call_dallocx, true},
    {"dallocx(TCACHE_NONE)", call_dallocx_uncached, false},
    {"rallocx", call_rallocx, false},
    {"xallocx", call_xallocx, false},
    {"sallocx", call_sallocx, false},
};
