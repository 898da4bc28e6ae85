/* loaded_chain.c: a library that comes and goes. Its constructor walks the stack, by the function
 * that the program exports, and allocates.
 */
#include <stdlib.h>

void walk_for_library(void);

static void *volatile block;

__attribute__((constructor)) static void begin(void)
{
    walk_for_library();
    block = malloc(100);
}

__attribute__((destructor)) static void end(void)
{
    walk_for_library();
    free(block);
}
