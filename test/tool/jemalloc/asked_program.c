/* asked_program.c: goal: for the tests of `jemalloc prof`: it leaks where a test wants it.
 * Method: what it does is told on standard input, a letter each, and answered by a line:
 *
 *     l   leaks 64 blocks of 64 KiB in leak_in_one_place()        x   ends
 *     a   allocates and frees, 100 times, a block of each of many sizes
 *     t   has another thread do that until the end
 *     f   forks: the child allocates, tells its number, and waits for the end of the input
 *     d   opens and closes a library again and again in another thread until the end
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEAKS = 64, LEAK_BYTES = 64 * 1024, ROUNDS = 100, SIZE_MAX_BYTES = 100000 };

static void *leaked[LEAKS];

/* Named by the test. */
__attribute__((noinline)) static void leak_in_one_place(void)
{
    for (int i = 0; i < LEAKS; i++) {
        leaked[i] = malloc(LEAK_BYTES);
        *(volatile char *)leaked[i] = 1;
    }
}

static void allocate(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        for (size_t size = 8; size < SIZE_MAX_BYTES; size = size * 5 / 4) {
            char *volatile block = malloc(size);
            *block = 1;
            free(block);
        }
    }
}

static void *allocate_always(void *unused)
{
    for (;;) {
        allocate();
    }
    return unused;
}

static void *load_always(void *unused)
{
#ifndef ASKED_IS_STATIC
    for (;;) {
        void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) {
            dlclose(library);
        }
    }
#endif
    return unused;
}

static bool start(void *(*body)(void *))
{
    pthread_t thread;
    return pthread_create(&thread, NULL, body, NULL) == 0;
}

static void run_child(void)
{
    char byte;
    allocate();
    printf("child %d\n", (int)getpid());
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    _exit(0);
}

/* False: the program ends. */
static bool serve(int letter)
{
    switch (letter) {
    case 'l':
        leak_in_one_place();
        return true;
    case 'a':
        allocate();
        return true;
    case 't':
        return start(allocate_always);
    case 'd':
        return start(load_always);
    case 'f':
        if (fork() == 0) {
            run_child();
        }
        return true;
    default:
        return false;
    }
}

int main(void)
{
    char letter;
    free(malloc(1));
    printf("ready\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &letter, 1) == 1) {
        if (letter == '\n') {
            continue;
        }
        if (!serve(letter)) {
            break;
        }
        printf("done %c\n", letter);
        fflush(stdout);
    }
    return 0;
}
