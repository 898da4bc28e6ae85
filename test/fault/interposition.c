/* interposition.c: goal: the library takes over the whole program's allocation, however it comes
 * in.
 *
 * Method: this program is built three times: linked with the shared library, with the static one,
 * and with none, to be run with the library preloaded. In each, blocks that libc allocates for
 * the program (strdup, asprintf, getline, open_memstream, realpath, thread creation) have the
 * usable size that the library gives for their length, are freed by it, and libc's own heap does
 * not exist.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process_memory.h"

/* Present at run time in all three builds; weak, so that the one to be preloaded links. */
extern int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
    __attribute__((weak));
extern size_t nallocx(size_t size_bytes, int flags) __attribute__((weak));
extern size_t malloc_usable_size(void *block);

enum { LENGTHS_MAX = 5000 };

static unsigned failure_count;

static void expect(const char *what, bool holds)
{
    if (!holds) {
        fprintf(stderr, "FAILED: %s\n", what);
        failure_count++;
    }
}

static void check_strdup(void)
{
    char text[LENGTHS_MAX];
    for (size_t length = 1; length < LENGTHS_MAX; length += 37) {
        memset(text, 'a', length);
        text[length] = '\0';
        char *copy = strdup(text);
        expect("strdup's block is the library's",
               malloc_usable_size(copy) == nallocx(length + 1, 0));
        free(copy);
    }
}

static void check_libc_blocks(void)
{
    char *text = NULL;
    size_t text_bytes = 0;
    expect("asprintf works", asprintf(&text, "%0200d", 7) == 200);
    expect("asprintf's block is the library's", malloc_usable_size(text) >= 201);
    free(text);

    FILE *stream = open_memstream(&text, &text_bytes);
    fprintf(stream, "%0300d\n", 7);
    fclose(stream);
    expect("open_memstream's block is the library's", malloc_usable_size(text) >= text_bytes);
    free(text);

    text = realpath("/proc/self/../self/maps", NULL);
    expect("realpath's block is the library's", malloc_usable_size(text) >= strlen(text) + 1);
    free(text);

    FILE *maps = fopen("/proc/self/maps", "r");
    text = NULL;
    text_bytes = 0;
    expect("getline works", getline(&text, &text_bytes, maps) > 0);
    expect("getline's block is the library's", malloc_usable_size(text) >= text_bytes);
    fclose(maps);
    free(text);
}

static void *thread_main(void *argument)
{
    (void)argument;
    check_strdup();
    return strdup("from a thread");
}

static void check_threads(void)
{
    for (unsigned i = 0; i < 20; i++) {
        pthread_t thread;
        void *left = NULL;
        expect("a thread starts", pthread_create(&thread, NULL, thread_main, NULL) == 0);
        pthread_join(thread, &left);
        expect("a thread's block survives it", strcmp(left, "from a thread") == 0);
        free(left);
    }
}

int main(void)
{
    const char *version = NULL;
    size_t version_bytes = sizeof version;
    if (mallctl == NULL || nallocx == NULL) {
        fprintf(stderr, "FAILED: the library is not in the process\n");
        return EXIT_FAILURE;
    }
    expect("the version is answered", mallctl("version", &version, &version_bytes, NULL, 0) == 0);
    check_strdup();
    check_libc_blocks();
    check_threads();
#ifdef __GLIBC__ /* musl's own calls stay with a heap of its own */
    expect("libc's heap does not exist", mappings_with("[heap]") == 0);
#endif
    printf("version %s, %u failures\n", version != NULL ? version : "?", failure_count);
    return failure_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
