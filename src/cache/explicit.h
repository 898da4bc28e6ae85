/* explicit.h: caches that a program makes by tcache.create and names by MALLOCX_TCACHE(id).
 *
 * They are what a thread's cache is, without a thread: the program sees to it that one thread at a
 * time uses one. Making and ending them may be done by several threads at once, of one id too: it
 * then ends once. A cache that ends gives its blocks back, and its memory waits for the next cache
 * of a thread or of a program.
 *
 * Such a cache hands out what it holds, of whatever arena; an empty bin is filled from the arena of
 * the request.
 */
#ifndef CACHE_EXPLICIT_H
#define CACHE_EXPLICIT_H

#include "cache/cache.h"

enum { EXPLICIT_MAX = 4093 }; /* ids that the flags of mallocx() can name */

/* A new cache over an arena; its id, the lowest that is free, to *id. False when there is none, or
 * no memory. */
MUST_USE bool explicit_create(struct arena *arena, unsigned *id);

/* The cache of an id, or NULL. */
struct cache *explicit_get(unsigned id);

/* Gives its blocks back; and its memory and id too. False when there is none. */
MUST_USE bool explicit_flush(unsigned id);
MUST_USE bool explicit_destroy(unsigned id);

#endif
