/* test_call_hooks.c: goal: hooks that experimental.hooks.install puts in are told of each call that
 * allocates, frees or resizes, with the numbers and arguments that jemalloc tells.
 * Method: a hook writes down what it is told; the expected lists were measured once, call by call,
 * with jemalloc 5.3.0. Left out are a result that posix_memalign() has not, which is what lay in
 * the caller's pointer there, and arguments beyond a call's own, which are whatever lay there.
 */
#include "api_test.h"

#include <pthread.h>

struct hooks {
    void (*on_alloc)(void *extra, int type, void *result, uintptr_t raw, uintptr_t arguments[3]);
    void (*on_free)(void *extra, int type, void *address, uintptr_t arguments[4]);
    void (*on_expand)(void *extra, int type, void *address, size_t old_bytes, size_t new_bytes,
                      uintptr_t raw, uintptr_t arguments[4]);
    void *extra;
};

enum { HOOKS_MAX = 4, EVENTS_MAX = 64 };

struct event {
    const char *hook;
    char kind; /* 'a'lloc, 'f'ree, 'e'xpand */
    int type;
    void *block;
    uintptr_t raw;
    uintptr_t argument[4];
    size_t old_bytes;
    size_t new_bytes;
};

/* What hooks change is volatile: libc's header says that free() calls no function of a file. */
static struct event events[EVENTS_MAX];
static struct event *volatile seen = events;
static volatile unsigned seen_count;
static unsigned asked_count; /* of events that expect_() has asked for */
static bool nests;           /* hooks call the allocator */
static volatile unsigned char first_byte;

static void note(struct event event)
{
    if (seen_count < EVENTS_MAX) {
        seen[seen_count++] = event;
    }
    if (nests) {
        char *block = malloc(40);
        block = realloc(block, 400);
        block = realloc(block, 401);
        free(block);
    }
    errno = EDOM;
}

static void on_alloc(void *extra, int type, void *result, uintptr_t raw, uintptr_t arguments[3])
{
    note((struct event){
        extra, 'a', type, result, raw, {arguments[0], arguments[1], arguments[2]}, 0, 0});
    arguments[0] = 77; /* Nobody else's. */
}

static void on_free(void *extra, int type, void *address, uintptr_t arguments[4])
{
    first_byte = *(unsigned char *)address;
    note((struct event){extra,
                        'f',
                        type,
                        address,
                        0,
                        {arguments[0], arguments[1], arguments[2], arguments[3]},
                        0,
                        0});
}

static void on_expand(void *extra, int type, void *address, size_t old_bytes, size_t new_bytes,
                      uintptr_t raw, uintptr_t arguments[4])
{
    note((struct event){extra,
                        'e',
                        type,
                        address,
                        raw,
                        {arguments[0], arguments[1], arguments[2], arguments[3]},
                        old_bytes,
                        new_bytes});
}

static void *install(const char *name)
{
    struct hooks hooks = {on_alloc, on_free, on_expand, (void *)(uintptr_t)name};
    void *handle = NULL;
    size_t length = sizeof handle;
    assert_int_equal(mallctl("experimental.hooks.install", &handle, &length, &hooks, sizeof hooks),
                     0);
    assert_non_null(handle);
    seen_count = 0;
    asked_count = 0;
    return handle;
}

static void remove_hook(void *handle)
{
    assert_int_equal(mallctl("experimental.hooks.remove", NULL, NULL, &handle, sizeof handle), 0);
}

/* The next event that was told. */
static struct event *next(char kind, int type)
{
    assert_true(asked_count < seen_count);
    struct event *event = &seen[asked_count++];
    EXPECT(event->kind == kind && event->type == type, "event %u is %c %d, not %c %d",
           asked_count - 1, event->kind, event->type, kind, type);
    return event;
}

static void expect_arguments(const struct event *event, uintptr_t first, uintptr_t second,
                             uintptr_t third)
{
    assert_int_equal(event->argument[0], first);
    assert_int_equal(event->argument[1], second);
    assert_int_equal(event->argument[2], third);
}

static void expect_alloc(int type, const void *block, uintptr_t first, uintptr_t second)
{
    const struct event *event = next('a', type);
    assert_ptr_equal(event->block, block);
    assert_int_equal(event->raw, (uintptr_t)block);
    expect_arguments(event, first, second, 0);
}

static void expect_free(int type, uintptr_t block, uintptr_t second, uintptr_t third)
{
    const struct event *event = next('f', type);
    assert_int_equal((uintptr_t)event->block, block);
    expect_arguments(event, block, second, third);
    assert_int_equal(event->argument[3], 0);
}

static void expect_no_more(void)
{
    assert_int_equal(asked_count, seen_count);
    seen_count = 0;
    asked_count = 0;
}

static const volatile size_t too_much = (size_t)1 << 62;

static void malloc_calloc_and_free(void **state)
{
    (void)state;
    void *handle = install("one");
    static const size_t sizes[] = {0, 24, 5000, 20000, 300000, 5000000};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        errno = 0;
        unsigned char *block = malloc(sizes[i]);
        assert_int_equal(errno, 0);
        expect_alloc(0, block, sizes[i], 0);
        *block = 42;
        uintptr_t address = (uintptr_t)block;
        free(block);
        assert_int_equal(errno, 0);
        assert_int_equal(first_byte, 42); /* told before it is gone */
        expect_free(0, address, 0, 0);
        expect_no_more();
        block = calloc(3, sizes[i]);
        expect_alloc(3, block, 3, sizes[i]);
        free(block);
        (void)next('f', 0);
    }
    free(NULL);
    expect_no_more();
    assert_null(malloc(too_much));
    assert_int_equal(errno, ENOMEM);
    expect_alloc(0, NULL, too_much, 0);
    assert_null(calloc(too_much, 1));
    expect_alloc(3, NULL, too_much, 1);
    assert_null(calloc(too_much, 8));
    expect_alloc(3, NULL, too_much, 8);
    expect_no_more();
    remove_hook(handle);
    free(malloc(24));
    expect_no_more();
}

static void *moves(void *block, size_t size)
{
    uintptr_t old = (uintptr_t)block;
    void *result = realloc(block, size);
    assert_int_not_equal((uintptr_t)result, old);
    expect_alloc(7, result, old, size);
    expect_free(3, old, size, 0);
    return result;
}

static void stays(void *block, size_t size)
{
    uintptr_t address = (uintptr_t)block;
    size_t old_bytes = malloc_usable_size(block);
    void *result = realloc(block, size);
    assert_int_equal((uintptr_t)result, address);
    const struct event *event = next('e', 0);
    assert_int_equal((uintptr_t)event->block, address);
    assert_int_equal(event->raw, address);
    assert_int_equal(event->old_bytes, old_bytes);
    assert_int_equal(event->new_bytes, malloc_usable_size(result));
    expect_arguments(event, address, size, 0);
}

static void realloc_that_moves_and_stays(void **state)
{
    (void)state;
    void *handle = install("one");
    char *block = realloc(NULL, 30);
    expect_alloc(7, block, 0, 30);
    strcpy(block, "content");
    stays(block, 31);
    stays(block, 32);
    block = moves(block, 100);
    block = moves(block, 20);
    assert_string_equal(block, "content");
    expect_no_more();
    void *refused = realloc(block, too_much);
    assert_null(refused);
    expect_no_more();
    assert_null(realloc(NULL, too_much));
    expect_alloc(7, NULL, 0, too_much);
    uintptr_t address = (uintptr_t)block;
    assert_null(realloc(block, 0));
    expect_free(3, address, 0, 0);
    expect_no_more();
    /* A block of pages of its own stays for sizes of as many pages; one of a mapping may grow. */
    block = malloc(100000);
    (void)next('a', 0);
    stays(block, 102000);
    stays(block, 70000);
    free(block);
    (void)next('f', 0);
    block = malloc(5000000);
    (void)next('a', 0);
    strcpy(block, "content");
    address = (uintptr_t)block;
    block = realloc(block, 500000000);
    assert_string_equal(block, "content");
    if ((uintptr_t)block != address) {
        expect_alloc(7, block, address, 500000000);
        expect_free(3, address, 500000000, 0);
    } else {
        (void)next('e', 0);
    }
    expect_no_more();
    free(block);
    remove_hook(handle);
}

static void functions_with_alignments(void **state)
{
    (void)state;
    void *handle = install("one");
    void *block = NULL;
    assert_int_equal(posix_memalign(&block, 64, 100), 0);
    const struct event *event = next('a', 1);
    assert_ptr_equal(event->block, block);
    assert_int_equal(event->raw, 0);
    expect_arguments(event, (uintptr_t)&block, 64, 100);
    free(block);
    (void)next('f', 0);
    assert_int_equal(posix_memalign(&block, 3, 100), EINVAL);
    event = next('a', 1);
    assert_int_equal(event->raw, EINVAL);
    expect_arguments(event, (uintptr_t)&block, 3, 100);
    assert_int_equal(posix_memalign(&block, 64, too_much), ENOMEM);
    event = next('a', 1);
    assert_int_equal(event->raw, ENOMEM);
    expect_arguments(event, (uintptr_t)&block, 64, too_much);
    block = aligned_alloc(128, 100);
    expect_alloc(2, block, 128, 100);
    free(block);
    (void)next('f', 0);
    volatile size_t odd = 3;
    assert_null(aligned_alloc(odd, 100));
    assert_int_equal(errno, EINVAL);
    expect_alloc(2, NULL, 3, 100);
    assert_null(aligned_alloc(64, too_much));
    expect_alloc(2, NULL, 64, too_much);
    block = memalign(256, 10);
    expect_alloc(4, block, 256, 10);
    free(block);
    (void)next('f', 0);
    assert_null(memalign(odd, 10));
    expect_alloc(4, NULL, 3, 10);
    block = valloc(10);
    expect_alloc(5, block, 10, 0);
    free(block);
    (void)next('f', 0);
    expect_no_more();
    remove_hook(handle);
}

static void functions_with_flags(void **state)
{
    (void)state;
    void *handle = install("one");
    char *block = mallocx(40, 0);
    expect_alloc(6, block, 40, 0);
    uintptr_t old = (uintptr_t)block;
    block = rallocx(block, 41, 0);
    const struct event *event = next('e', 1);
    assert_int_equal(event->raw, old);
    expect_arguments(event, old, 41, 0);
    block = rallocx(block, 500, MALLOCX_ZERO);
    event = next('a', 8);
    assert_ptr_equal(event->block, block);
    expect_arguments(event, old, 500, MALLOCX_ZERO);
    expect_free(4, old, 500, MALLOCX_ZERO);
    assert_null(rallocx(block, too_much, 0));
    expect_no_more();
    size_t usable = sallocx(block, 0);
    assert_int_equal(xallocx(block, 500, 20000, MALLOCX_ZERO), usable);
    event = next('e', 2);
    assert_ptr_equal(event->block, block);
    assert_int_equal(event->raw, usable);
    assert_int_equal(event->old_bytes, usable);
    assert_int_equal(event->new_bytes, usable);
    expect_arguments(event, (uintptr_t)block, 500, 20000);
    assert_int_equal(event->argument[3], MALLOCX_ZERO);
    old = (uintptr_t)block;
    dallocx(block, MALLOCX_TCACHE_NONE);
    expect_free(1, old, MALLOCX_TCACHE_NONE, 0);
    block = mallocx(40, MALLOCX_ALIGN(64));
    expect_alloc(6, block, 40, 6);
    old = (uintptr_t)block;
    sdallocx(block, 40, MALLOCX_ALIGN(64));
    expect_free(2, old, 40, 6);
    assert_null(mallocx(too_much, 0));
    expect_alloc(6, NULL, too_much, 0);
    expect_no_more();
    remove_hook(handle);
}

static void blocks_freed_with_a_size(void **state)
{
    (void)state;
    void *handle = install("one");
    void *block = malloc(100);
    (void)next('a', 0);
    uintptr_t address = (uintptr_t)block;
    free_sized(block, 100);
    expect_free(2, address, 100, 0);
    block = aligned_alloc(64, 100);
    (void)next('a', 2);
    address = (uintptr_t)block;
    free_aligned_sized(block, 64, 100);
    expect_free(2, address, 100, 6);
    free_sized(NULL, 100);
    expect_no_more();
    remove_hook(handle);
}

#ifndef JEMALLOC_PREFIXED
extern void *_Znwm(size_t size);
extern void *_ZnamSt11align_val_t(size_t size, size_t alignment);
extern void _ZdlPv(void *block);
extern void _ZdlPvm(void *block, size_t size);
extern void _ZdaPvmSt11align_val_t(void *block, size_t size, size_t alignment);

static void operators_of_cxx(void **state)
{
    (void)state;
    void *handle = install("one");
    void *block = _Znwm(10);
    expect_alloc(0, block, 10, 0);
    _ZdlPv(block);
    (void)next('f', 0);
    block = _Znwm(10);
    (void)next('a', 0);
    uintptr_t address = (uintptr_t)block;
    _ZdlPvm(block, 10);
    expect_free(2, address, 10, 0);
    block = _ZnamSt11align_val_t(10, 64);
    expect_alloc(2, block, 64, 10);
    address = (uintptr_t)block;
    _ZdaPvmSt11align_val_t(block, 10, 64);
    expect_free(2, address, 10, 6);
    _ZdlPvm(NULL, 10);
    expect_no_more();
    remove_hook(handle);
}
#else
static void operators_of_cxx(void **state)
{
    (void)state; /* There they are not ours. */
}
#endif

static void what_a_hook_calls_is_not_told(void **state)
{
    (void)state;
    void *handle = install("one");
    nests = true;
    void *block = malloc(24);
    expect_alloc(0, block, 24, 0);
    block = moves(block, 100);
    stays(block, 101);
    free(block);
    (void)next('f', 0);
    expect_no_more();
    nests = false;
    remove_hook(handle);
}

static void hooks_run_in_the_order_of_their_places(void **state)
{
    (void)state;
    static const char *const names[] = {"one", "two", "three", "four"};
    void *handles[HOOKS_MAX];
    for (unsigned i = 0; i < HOOKS_MAX; i++) {
        handles[i] = install(names[i]);
    }
    struct hooks hooks = {on_alloc, on_free, on_expand, NULL};
    void *fifth = &fifth;
    size_t length = sizeof fifth;
    assert_int_equal(mallctl("experimental.hooks.install", &fifth, &length, &hooks, sizeof hooks),
                     EAGAIN);
    assert_ptr_equal(fifth, &fifth);
    void *block = malloc(24);
    for (unsigned i = 0; i < HOOKS_MAX; i++) {
        assert_string_equal(seen[i].hook, names[i]);
        expect_alloc(0, block, 24, 0);
    }
    expect_no_more();
    remove_hook(handles[1]);
    free(block);
    assert_int_equal(seen_count, 3);
    assert_string_equal(seen[1].hook, "three");
    handles[1] = install("again");
    block = malloc(24);
    assert_string_equal(seen[1].hook, "again");
    for (unsigned i = 0; i < HOOKS_MAX; i++) {
        remove_hook(handles[i]);
    }
    remove_hook(handles[1]); /* That of an empty place is no mistake. */
    free(block);
    assert_int_equal(seen_count, 4);
}

static void functions_of_null_are_not_called(void **state)
{
    (void)state;
    struct hooks hooks = {NULL, NULL, NULL, NULL};
    void *handle;
    size_t length = sizeof handle;
    assert_int_equal(mallctl("experimental.hooks.install", &handle, &length, &hooks, sizeof hooks),
                     0);
    free(realloc(realloc(malloc(24), 25), 100));
    remove_hook(handle);
}

static void what_is_refused_changes_nothing(void **state)
{
    (void)state;
    static const char name[] = "experimental.hooks.install";
    struct hooks hooks = {on_alloc, on_free, on_expand, NULL};
    void *handle;
    size_t length = sizeof handle;
    seen_count = 0;
    for (unsigned i = 0; i < 2 * HOOKS_MAX; i++) {
        assert_int_equal(mallctl(name, &handle, &length, NULL, 0), EINVAL);
        assert_int_equal(mallctl(name, &handle, &length, &hooks, sizeof hooks - 1), EINVAL);
        assert_int_equal(mallctl(name, NULL, NULL, &hooks, sizeof hooks), EINVAL);
        assert_int_equal(mallctl(name, NULL, &length, &hooks, sizeof hooks), EINVAL);
        assert_int_equal(mallctl(name, &handle, NULL, &hooks, sizeof hooks), EINVAL);
        length = 4;
        assert_int_equal(mallctl(name, &handle, &length, &hooks, sizeof hooks), EINVAL);
        assert_int_equal(length, 4);
        length = sizeof handle;
    }
    free(malloc(24));
    assert_int_equal(seen_count, 0);
    handle = install("one");
    static const char remove_name[] = "experimental.hooks.remove";
    void *none = NULL;
    assert_int_equal(mallctl(remove_name, &none, &length, &handle, sizeof handle), EPERM);
    assert_int_equal(mallctl(remove_name, NULL, &length, &handle, sizeof handle), EPERM);
    assert_int_equal(mallctl(remove_name, NULL, NULL, NULL, 0), EINVAL);
    assert_int_equal(mallctl(remove_name, NULL, NULL, &handle, 4), EINVAL);
    assert_int_equal(mallctl(remove_name, NULL, NULL, &none, sizeof none), EINVAL);
    void *other = &hooks;
    assert_int_equal(mallctl(remove_name, NULL, NULL, &other, sizeof other), EINVAL);
    free(malloc(24));
    assert_int_equal(seen_count, 2);
    remove_hook(handle);
}

/* Hooks come and go while threads allocate: each is told whole, of its own block. */
static _Atomic bool threads_end;
static _Atomic unsigned mixed_count;
static _Atomic unsigned told_count;

static void check_alloc(void *extra, int type, void *result, uintptr_t raw, uintptr_t arguments[3])
{
    bool is_whole = extra == &told_count && type == 0 && raw == (uintptr_t)result &&
                    (arguments[0] == 24 || arguments[0] == 3000);
    mixed_count += !is_whole;
    told_count++;
}

static void check_free(void *extra, int type, void *address, uintptr_t arguments[4])
{
    mixed_count += extra != &told_count || type != 0 || arguments[0] != (uintptr_t)address;
}

static void *allocate_on(void *opaque)
{
    (void)opaque;
    while (!threads_end) {
        free(malloc(24));
        free(malloc(3000));
    }
    return NULL;
}

static void hooks_come_and_go_beside_threads(void **state)
{
    (void)state;
    enum { THREADS = 3, ROUNDS = 100, TOLD_MIN = 50 };
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_on, NULL), 0);
    }
    struct hooks hooks = {check_alloc, check_free, NULL, &told_count};
    for (unsigned i = 0; i < ROUNDS; i++) {
        void *handle;
        size_t length = sizeof handle;
        assert_int_equal(
            mallctl("experimental.hooks.install", &handle, &length, &hooks, sizeof hooks), 0);
        for (unsigned before = told_count; i == 0 && told_count - before < TOLD_MIN;) {
            usleep(100); /* Each of the threads finds it, sooner or later. */
        }
        remove_hook(handle);
    }
    threads_end = true;
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(mixed_count, 0);
}

/* Destructors of keys run after the library's own too: in one of the rounds at the latest. */
static pthread_key_t late_key;

static void free_late(void *block)
{
    static _Thread_local unsigned round;
    if (++round < 3) {
        assert_int_equal(pthread_setspecific(late_key, block), 0);
        return;
    }
    free(block);
}

static void *leave_block(void *opaque)
{
    *(void **)opaque = malloc(24);
    assert_int_equal(pthread_setspecific(late_key, *(void **)opaque), 0);
    return NULL;
}

static void threads_that_end_are_told_too(void **state)
{
    (void)state;
    pthread_t thread;
    void *block;
    assert_int_equal(pthread_key_create(&late_key, free_late), 0);
    void *handle = install("one");
    nests = true;
    assert_int_equal(pthread_create(&thread, NULL, leave_block, &block), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    remove_hook(handle);
    nests = false;
    unsigned found = 0;
    for (unsigned i = 0; i < seen_count; i++) {
        found += seen[i].kind == 'f' && seen[i].block == block;
    }
    assert_int_equal(found, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malloc_calloc_and_free),
        cmocka_unit_test(realloc_that_moves_and_stays),
        cmocka_unit_test(functions_with_alignments),
        cmocka_unit_test(functions_with_flags),
        cmocka_unit_test(blocks_freed_with_a_size),
        cmocka_unit_test(operators_of_cxx),
        cmocka_unit_test(what_a_hook_calls_is_not_told),
        cmocka_unit_test(hooks_run_in_the_order_of_their_places),
        cmocka_unit_test(functions_of_null_are_not_called),
        cmocka_unit_test(what_is_refused_changes_nothing),
        cmocka_unit_test(hooks_come_and_go_beside_threads),
        cmocka_unit_test(threads_that_end_are_told_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
