/* profiled_paths.c: a program whose heap profile has something of everything: several call paths to
 * one function, recursion, inlined functions, named threads, freed and large blocks.
 *
 * Goal: dumps for check_upstream_jeprof.py. Method: as many rounds as its argument says, else one.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_MAX = 1 << 16, THREADS = 3 };

static void *kept[KEPT_MAX];
static _Atomic unsigned kept_count;

__attribute__((noinline)) static void *leaf(size_t size)
{
    void *block = malloc(size);
    memset(block, 1, size);
    return block;
}

static void keep(void *block)
{
    kept[kept_count++ % KEPT_MAX] = block;
}

static inline __attribute__((always_inline)) void *inlined_leaf(size_t size)
{
    return malloc(size);
}

__attribute__((noinline)) static void path_a(int count)
{
    for (int i = 0; i < count; i++) {
        keep(leaf(100 + (size_t)i % 50));
    }
}

__attribute__((noinline)) static void path_b(int count)
{
    for (int i = 0; i < count; i++) {
        keep(leaf(5000 + (size_t)i));
        keep(inlined_leaf(300));
    }
}

/* The compiler must not see that the calls could be a loop. */
__attribute__((noinline)) static void recurse(int depth)
{
    if (depth == 0) {
        path_a(100);
        return;
    }
    recurse(depth - 1);
    __asm__ volatile("");
}

__attribute__((noinline)) static void churn(int count)
{
    for (int i = 0; i < count; i++) {
        free(leaf(3000));
    }
}

static void *work(void *unused)
{
    pthread_setname_np(pthread_self(), "worker");
    path_a(500);
    churn(100);
    return unused;
}

int main(int argument_count, char **arguments)
{
    int rounds = argument_count > 1 ? atoi(arguments[1]) : 1;
    for (int round = 0; round < rounds; round++) {
        pthread_t threads[THREADS];
        path_a(1000);
        path_b(50);
        recurse(4);
        churn(2000);
        for (int i = 0; i < THREADS; i++) {
            pthread_create(&threads[i], NULL, work, NULL);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
        keep(malloc(10 << 20));
    }
    return 0;
}
