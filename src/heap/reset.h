/* reset.h: emptying the arenas that a program made.
 *
 * All blocks of the arena are discarded at once, whoever has them. The program promises that nobody
 * touches one of them any more, and that none waits in a cache: blocks in caches are discarded too,
 * and must have been given back before.
 *
 * Thread safety: any thread; what others allocate from the arena meanwhile is discarded or not.
 */
#ifndef HEAP_RESET_H
#define HEAP_RESET_H

#include "heap/arena.h"

/* Discards the blocks of a manual arena. They count as freed; their pages are unused then. */
void arena_reset(struct arena *arena);

/* The same, and gives all pages back: what is left is the arena's own memory. */
void arena_empty(struct arena *arena);

#endif
