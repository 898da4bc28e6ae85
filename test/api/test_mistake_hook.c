/* test_mistake_hook.c: goal: after a mistake, a program that has set
 * experimental.hooks.safety_check_abort goes on as if the faulty call had not been.
 * Method: a hook notes the text; each mistake is made in a process of its own, and blocks are
 * allocated afterwards, all of which must be apart from each other and from those in use, in caches
 * and in arenas. Pointers are hidden from the compiler.
 */
#include "api_test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static const char name[] = "experimental.hooks.safety_check_abort";

/* What the hook changes is volatile: libc's header says that free() calls no function of a file. */
static volatile unsigned calls;
static char text_bytes[600];
static char *volatile text = text_bytes;

static void note(const char *message)
{
    free(realloc(malloc(100), 5000)); /* It may do what it likes. */
    calls++;
    strncpy(text_bytes, message, sizeof text_bytes - 1);
    errno = EDOM;
}

static int set_hook(void (*hook)(const char *))
{
    return mallctl(name, NULL, NULL, &hook, sizeof hook);
}

#define MUST(condition)                                                         \
    do {                                                                        \
        if (!(condition)) {                                                     \
            print_error("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                           \
        }                                                                       \
    } while (0)

/* The status of a process that does this with the hook set. */
static int status_of(void (*body)(void), bool hooked)
{
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        MUST(!hooked || set_hook(note) == 0);
        body();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void run_hooked(void (*body)(void))
{
    int status = status_of(body, true);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: status %d", status);
}

enum { BLOCKS = 3000 };
static void *blocks[BLOCKS];

/* The compiler may not know that this is a freed block. */
static void *hidden(void *block)
{
    void *volatile copy = block;
    return copy;
}

static int compare(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a;
    uintptr_t right = *(const uintptr_t *)b;
    return left < right ? -1 : left > right;
}

/* No two of as many blocks as there are in any cache share a byte. */
static void blocks_are_apart(size_t size)
{
    static void *fresh[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        fresh[i] = malloc(size);
        MUST(fresh[i] != NULL);
        memset(fresh[i], 1, size);
    }
    qsort(fresh, BLOCKS, sizeof fresh[0], compare);
    for (unsigned i = 1; i < BLOCKS; i++) {
        MUST((uintptr_t)fresh[i] - (uintptr_t)fresh[i - 1] >= size);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        free(fresh[i]);
    }
    MUST(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
}

static void freed_last(void)
{
    static const size_t sizes[] = {24, 1024, 9000, 20000, 300000, 5000000};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *block = malloc(sizes[i]);
        void *again = hidden(block);
        free(block);
        calls = 0;
        errno = 0;
        free(again);
        MUST(errno == 0);
        MUST(calls == 1);
        MUST(strstr(text, "free(): ") == text);
        MUST(strchr(text, '\n') != NULL);
        if (sizes[i] < 10000) {
            blocks_are_apart(sizes[i]);
        }
    }
}

static void a_block_freed_twice(void **state)
{
    (void)state;
    run_hooked(freed_last);
    int status = status_of(freed_last, false);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d", status);
}

/* Freed twice with other frees between, which only the arena sees. */
static void freed_in_a_batch(void)
{
    static const size_t sizes[] = {16, 160, 1024};
    for (unsigned k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(sizes[k]);
        }
        MUST(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
        calls = 0;
        for (unsigned i = 0; i < BLOCKS; i += 3) {
            free(blocks[i]);
        }
        MUST(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
        MUST(calls == 0);
        /* All, a third of them for the second time: whole stretches with mistakes in them. */
        unsigned wrong = 0;
        for (unsigned i = 0; i < 60; i++) {
            wrong += i % 3 == 0;
            free(hidden(blocks[i]));
        }
        MUST(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
        MUST(calls > 0 && calls <= wrong);
        MUST(strstr(text, "double free") != NULL);
        blocks_are_apart(sizes[k]);
        unsigned before = calls;
        for (unsigned i = 60; i < BLOCKS; i++) {
            if (i % 3 != 0) {
                memset(blocks[i], 2, sizes[k]);
                free(blocks[i]);
            }
        }
        MUST(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
        MUST(calls == before);
        blocks_are_apart(sizes[k]);
    }
}

static void blocks_freed_twice_in_batches(void **state)
{
    (void)state;
    run_hooked(freed_in_a_batch);
}

/* The slab is gone when the second free arrives. */
static void freed_after_the_slab(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(1024);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    MUST(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
    calls = 0;
    for (unsigned i = 0; i < BLOCKS; i += 100) {
        sdallocx(hidden(blocks[i]), 1024, 0); /* asks no map */
    }
    MUST(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0);
    MUST(calls > 0);
    blocks_are_apart(1024);
}

static void a_block_of_a_slab_that_is_gone(void **state)
{
    (void)state;
    run_hooked(freed_after_the_slab);
}

static void no_blocks(void)
{
    char *block = malloc(1000);
    char local;
    void *pointers[] = {hidden(block + 1), hidden(block + 16), hidden(&local),
                        hidden((void *)(uintptr_t)0x123456789000)};
    for (unsigned i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        calls = 0;
        free(pointers[i]);
        MUST(calls == 1);
        errno = 0;
        MUST(realloc(pointers[i], 2000) == NULL);
        MUST(errno == EINVAL);
        MUST(realloc(pointers[i], 0) == NULL);
        MUST(rallocx(pointers[i], 2000, 0) == NULL);
        MUST(xallocx(pointers[i], 2000, 0, 0) == 0);
        MUST(sallocx(pointers[i], 0) == 0);
        MUST(malloc_usable_size(pointers[i]) == 0);
        dallocx(pointers[i], 0);
        free_aligned_sized(pointers[i], 8, 10);
        MUST(calls == 9);
        MUST(strstr(text, "invalid pointer") != NULL);
    }
    memset(block, 1, 1000);
    free(block);
    blocks_are_apart(1000);
}

static void pointers_to_no_block(void **state)
{
    (void)state;
    run_hooked(no_blocks);
}

static void no_cache(void)
{
    void *block = mallocx(100, MALLOCX_TCACHE(77));
    MUST(block != NULL && calls == 1);
    dallocx(block, MALLOCX_TCACHE(77));
    MUST(calls == 2);
    blocks_are_apart(100);
}

static void an_explicit_cache_that_is_none(void **state)
{
    (void)state;
    run_hooked(no_cache);
}

static void *double_free_and_end(void *opaque)
{
    (void)opaque;
    void *block = malloc(64);
    void *other = malloc(64);
    void *again = hidden(block);
    free(block);
    free(other);
    free(again); /* Lies in the thread's cache twice, until that ends. */
    return NULL;
}

static void thread_ends(void)
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, double_free_and_end, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    MUST(calls == 1);
    blocks_are_apart(64);
}

static void a_mistake_found_when_the_thread_ends(void **state)
{
    (void)state;
    run_hooked(thread_ends);
}

static void hook_is_set_and_unset(void **state)
{
    (void)state;
    void (*hook)(const char *) = note;
    size_t length = sizeof hook;
    assert_int_equal(mallctl(name, &hook, &length, &hook, sizeof hook), EPERM);
    assert_int_equal(mallctl(name, NULL, &length, &hook, sizeof hook), EPERM);
    assert_int_equal(mallctl(name, NULL, NULL, &hook, 4), EINVAL);
    assert_int_equal(mallctl(name, NULL, NULL, NULL, 0), 0);
    assert_int_equal(set_hook(note), 0);
    assert_int_equal(set_hook(NULL), 0);
    int status = status_of(freed_last, false);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %d", status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_freed_twice),
        cmocka_unit_test(blocks_freed_twice_in_batches),
        cmocka_unit_test(a_block_of_a_slab_that_is_gone),
        cmocka_unit_test(pointers_to_no_block),
        cmocka_unit_test(an_explicit_cache_that_is_none),
        cmocka_unit_test(a_mistake_found_when_the_thread_ends),
        cmocka_unit_test(hook_is_set_and_unset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
