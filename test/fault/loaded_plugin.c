/* loaded_plugin.c: the library that loader_storm opens and closes while threads that used it end.
 *
 * It has thread-local data, which the loader has to allocate for each thread at the first use, and
 * a constructor and a destructor that allocate and free.
 */
#include <stdlib.h>
#include <string.h>

void *plugin_block(size_t size_bytes);

enum { LOCAL_BYTES = 3000 };

static _Thread_local char local[LOCAL_BYTES];
static void *constructed;

__attribute__((constructor)) static void plugin_start(void)
{
    constructed = malloc(5000);
}

__attribute__((destructor)) static void plugin_end(void)
{
    free(constructed);
}

void *plugin_block(size_t size_bytes)
{
    char *block = malloc(size_bytes);
    memset(local, 1, sizeof local);
    if (block != NULL) {
        memset(block, local[size_bytes % LOCAL_BYTES], size_bytes);
    }
    return block;
}
