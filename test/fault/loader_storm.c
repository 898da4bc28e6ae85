/* loader_storm.c: goal: libraries can be opened and closed while threads end, the allocator's own
 * too.
 *
 * Method: with a plugin, each round opens it, threads use it and end while it is closed, and
 * blocks from it are freed afterwards. With the allocator's library in a program that does not
 * link it, each round opens it without sharing its names, threads allocate by the addresses
 * found, and it is closed while they end: what its threads left to do must not point into
 * unmapped code, and its thread-local data must fit what the loader keeps for late libraries.
 * After all rounds it is mapped at most once.
 *
 *   loader_storm plugin|allocator LIBRARY [ROUNDS]
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process_memory.h"

enum { THREADS = 4, BLOCKS = 16, LARGEST = 40000 };

struct user {
    pthread_t thread;
    void *(*allocate)(size_t size_bytes);
    void (*give_back)(void *block);
    void *left; /* for the main thread to free */
    sem_t done;
};

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "FAILED: %s: %s\n", what, detail != NULL ? detail : "");
    exit(EXIT_FAILURE);
}

static void *user_main(void *argument)
{
    struct user *user = argument;
    void *block[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = user->allocate(1 + i * LARGEST / BLOCKS);
        if (block[i] == NULL) {
            fail("a request was refused", "");
        }
        memset(block[i], (int)i, 1 + i * LARGEST / BLOCKS);
    }
    for (size_t i = 1; i < BLOCKS; i++) {
        user->give_back(block[i]);
    }
    user->left = block[0];
    /* From here to its end the thread calls none of the library's functions itself. */
    sem_post(&user->done);
    return NULL;
}

static void users_start(struct user *users, void *(*allocate)(size_t), void (*give_back)(void *))
{
    for (size_t i = 0; i < THREADS; i++) {
        users[i] = (struct user){.allocate = allocate, .give_back = give_back};
        sem_init(&users[i].done, 0, 0);
        if (pthread_create(&users[i].thread, NULL, user_main, &users[i]) != 0) {
            fail("a thread could not be started", "");
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        sem_wait(&users[i].done);
    }
}

static void users_end(struct user *users)
{
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(users[i].thread, NULL);
        sem_destroy(&users[i].done);
    }
}

static void *open_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fail("dlopen", dlerror());
    }
    return library;
}

static void plugin_round(const char *path)
{
    struct user users[THREADS];
    void *library = open_library(path);
    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "plugin_block");
    if (allocate == NULL) {
        fail("dlsym", dlerror());
    }
    users_start(users, allocate, free);
    dlclose(library);
    users_end(users);
    for (size_t i = 0; i < THREADS; i++) {
        free(users[i].left);
    }
}

static void allocator_round(const char *path)
{
    struct user users[THREADS];
    void *library = open_library(path);
    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "malloc");
    void (*give_back)(void *) = (void (*)(void *))dlsym(library, "free");
    if (allocate == NULL || give_back == NULL || allocate == (void *(*)(size_t))malloc) {
        fail("dlsym", "malloc or free of the opened library");
    }
    users_start(users, allocate, give_back);
    for (size_t i = 0; i < THREADS; i++) {
        give_back(users[i].left);
    }
    dlclose(library);
    users_end(users);
}

int main(int argc, char **argv)
{
    if (argc < 3 || (strcmp(argv[1], "plugin") != 0 && strcmp(argv[1], "allocator") != 0)) {
        fprintf(stderr, "usage: %s plugin|allocator LIBRARY [ROUNDS]\n", argv[0]);
        return EXIT_FAILURE;
    }
    unsigned long rounds = argc > 3 ? strtoul(argv[3], NULL, 0) : 50;
    printf("%s %s %s %lu\n", argv[0], argv[1], argv[2], rounds);
    for (unsigned long i = 0; i < rounds; i++) {
        if (strcmp(argv[1], "plugin") == 0) {
            plugin_round(argv[2]);
        } else {
            allocator_round(argv[2]);
        }
    }

    /* A library has four or five mappings, whatever the linker made of its segments. */
    const char *name = strrchr(argv[2], '/') != NULL ? strrchr(argv[2], '/') : argv[2];
    size_t mappings = mappings_with(name);
    printf("%lu rounds; %zu mappings of %s at the end\n", rounds, mappings, name);
    return mappings <= 8 ? EXIT_SUCCESS : EXIT_FAILURE;
}
