/* test_first_call.c: goal: the first call into the library may be any of its functions, from any
 * place: before constructors, in a constructor, in main, in a thread's key destructor, in an
 * atexit handler, in a thread of a library that was loaded at run time.
 * Method: this program runs itself once for each pair of function and place; the second run makes
 * that call, then allocates and frees, and exits with 0.
 */
#include "api_test.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

static bool works_afterwards(void)
{
    void *small = malloc(100);
    void *large = calloc(1, 100000);
    bool sound = small != NULL && large != NULL && malloc_usable_size(small) == 112 &&
                 content_is_zero(large, 100000);
    free(small);
    free(large);
    return sound;
}

static bool call_malloc(void)
{
    void *block = malloc(10);
    bool sound = block != NULL;
    free(block);
    return sound;
}

static bool call_calloc(void)
{
    void *block = calloc(10, 10);
    bool sound = block != NULL && content_is_zero(block, 100);
    free(block);
    return sound;
}

static bool call_realloc(void)
{
    void *block = realloc(NULL, 100);
    bool sound = block != NULL;
    free(block);
    return sound;
}

static bool call_free(void)
{
    free(NULL);
    return true;
}

static bool call_free_sized(void)
{
    free_sized(NULL, 10);
    return true;
}

static bool call_free_aligned_sized(void)
{
    free_aligned_sized(NULL, 64, 10);
    return true;
}

static bool call_posix_memalign(void)
{
    void *block = NULL;
    bool sound = posix_memalign(&block, 64, 100) == 0 && is_aligned(block, 64);
    free(block);
    return sound;
}

static bool call_aligned_alloc(void)
{
    void *block = aligned_alloc(4096, 100);
    bool sound = block != NULL && is_aligned(block, 4096);
    free(block);
    return sound;
}

static bool call_memalign(void)
{
    void *block = memalign(64, 100);
    bool sound = block != NULL && is_aligned(block, 64);
    free(block);
    return sound;
}

static bool call_valloc(void)
{
    void *block = valloc(100);
    bool sound = block != NULL && is_aligned(block, 4096);
    free(block);
    return sound;
}

static bool call_pvalloc(void)
{
    void *block = pvalloc(100);
    bool sound = block != NULL && is_aligned(block, 4096);
    free(block);
    return sound;
}

static bool call_malloc_usable_size(void)
{
    return malloc_usable_size(NULL) == 0;
}

static bool call_mallocx(void)
{
    void *block = mallocx(100, MALLOCX_ZERO | MALLOCX_TCACHE_NONE);
    bool sound = block != NULL && content_is_zero(block, 100);
    dallocx(block, 0);
    return sound;
}

static bool call_mallocx_with_arena(void)
{
    void *block = mallocx(100, MALLOCX_ARENA(0));
    bool sound = block != NULL;
    sdallocx(block, 100, MALLOCX_TCACHE_NONE);
    return sound;
}

static bool call_nallocx(void)
{
    return nallocx(100, 0) == 112;
}

static bool call_mallctl(void)
{
    const char *version = NULL;
    size_t length = sizeof version;
    return mallctl("version", &version, &length, NULL, 0) == 0 && version != NULL;
}

static bool call_mallctl_epoch(void)
{
    uint64_t epoch = 1;
    return mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) == 0;
}

static bool call_mallctl_thread_arena(void)
{
    unsigned arena = 99999;
    size_t length = sizeof arena;
    return mallctl("thread.arena", &arena, &length, NULL, 0) == 0 && arena < 4096;
}

static bool call_mallctlnametomib(void)
{
    size_t mib[4];
    size_t depth = 4;
    return mallctlnametomib("arenas.bin.0.size", mib, &depth) == 0 && depth == 4;
}

static bool call_mallctlbymib(void)
{
    const size_t mib[] = {999999};
    return mallctlbymib(mib, 1, NULL, NULL, NULL, 0) == ENOENT;
}

static void ignore_text(void *opaque, const char *text)
{
    (void)text;
    *(bool *)opaque = true;
}

static bool call_malloc_stats_print(void)
{
    bool called = false;
    malloc_stats_print(ignore_text, &called, NULL);
    return called;
}

static bool call_strdup(void)
{
    char *text = strdup("text");
    bool sound = text != NULL;
    if (!LIBRARY_IS_PREFIXED) {
        free(text);
    }
    return sound;
}

static const struct {
    const char *name;
    bool (*call)(void);
} functions[] = {
    {"malloc", call_malloc},
    {"calloc", call_calloc},
    {"realloc", call_realloc},
    {"free", call_free},
    {"free_sized", call_free_sized},
    {"free_aligned_sized", call_free_aligned_sized},
    {"posix_memalign", call_posix_memalign},
    {"aligned_alloc", call_aligned_alloc},
    {"memalign", call_memalign},
    {"valloc", call_valloc},
    {"pvalloc", call_pvalloc},
    {"malloc_usable_size", call_malloc_usable_size},
    {"mallocx", call_mallocx},
    {"mallocx with arena", call_mallocx_with_arena},
    {"nallocx", call_nallocx},
    {"mallctl", call_mallctl},
    {"mallctl epoch", call_mallctl_epoch},
    {"mallctl thread.arena", call_mallctl_thread_arena},
    {"mallctlnametomib", call_mallctlnametomib},
    {"mallctlbymib", call_mallctlbymib},
    {"malloc_stats_print", call_malloc_stats_print},
    {"strdup", call_strdup},
};

enum { FUNCTION_COUNT = sizeof functions / sizeof functions[0], CHILD_SECONDS = 20 };

static const char *const all_places[] = {"preinit",    "constructor", "main",
                                         "destructor", "atexit",      "plugin"};

/* The second run's state; everything that happens there must not allocate before the call. */
static int exit_status = 9;

static void make_the_call(const char *function)
{
    for (unsigned i = 0; i < FUNCTION_COUNT; i++) {
        if (strcmp(functions[i].name, function) == 0) {
            exit_status = functions[i].call() && works_afterwards() ? 0 : 1;
        }
    }
}

static bool place_is(int argc, char **argv, const char *place)
{
    return argc >= 3 && strcmp(argv[1], place) == 0;
}

static void before_constructors(int argc, char **argv, char **environment)
{
    (void)environment;
    if (place_is(argc, argv, "preinit")) {
        make_the_call(argv[2]);
    }
}

#if defined(__GLIBC__) && !defined(JEMALLOC_PREFIXED)
__attribute__((section(".preinit_array"),
               used)) static void (*const preinit_entry)(int, char **,
                                                         char **) = before_constructors;
enum { HAS_PREINIT = 1 };
#else
enum { HAS_PREINIT = 0 };
#endif

__attribute__((constructor(101))) static void in_constructor(int argc, char **argv,
                                                             char **environment)
{
    if (!HAS_PREINIT) {
        before_constructors(argc, argv, environment);
    }
    if (place_is(argc, argv, "constructor")) {
        make_the_call(argv[2]);
    }
}

static const char *function_at_exit;

static void at_exit(void)
{
    make_the_call(function_at_exit);
    _exit(exit_status);
}

static void in_destructor(void *function)
{
    make_the_call(function);
}

static pthread_key_t key;

static void *set_the_key(void *function)
{
    pthread_setspecific(key, function);
    return NULL;
}

static void *call_in_thread(void *function)
{
    make_the_call(function);
    return NULL;
}

static void run_in_plugin(const char *plugin, char *function)
{
    void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return;
    }
    void (*run)(void *(*)(void *), void *) = NULL;
    *(void **)&run = dlsym(handle, "plugin_run_in_thread");
    if (run != NULL) {
        run(call_in_thread, function);
    }
    dlclose(handle);
}

static int second_run(int argc, char **argv)
{
    if (place_is(argc, argv, "main")) {
        make_the_call(argv[2]);
    } else if (place_is(argc, argv, "destructor")) {
        pthread_t thread;
        pthread_key_create(&key, in_destructor);
        pthread_create(&thread, NULL, set_the_key, argv[2]);
        pthread_join(thread, NULL);
    } else if (place_is(argc, argv, "atexit")) {
        function_at_exit = argv[2];
        atexit(at_exit);
        exit(8);
    } else if (place_is(argc, argv, "plugin")) {
        run_in_plugin(argv[3], argv[2]);
    }
    return exit_status;
}

static const char *plugin_path;

static int run_pair(const char *place, const char *function)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(CHILD_SECONDS);
        execl("/proc/self/exe", "test_first_call", place, function, plugin_path, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void any_function_may_be_called_first_anywhere(void **state)
{
    (void)state;
    unsigned losses = 0;
    for (unsigned p = 0; p < sizeof all_places / sizeof all_places[0]; p++) {
        if (plugin_path == NULL && strcmp(all_places[p], "plugin") == 0) {
            continue;
        }
        for (unsigned f = 0; f < FUNCTION_COUNT; f++) {
            int status = run_pair(all_places[p], functions[f].name);
            if (status != 0) {
                losses++;
                print_error("%s in %s: status %#x\n", functions[f].name, all_places[p],
                            (unsigned)status);
            }
        }
    }
    assert_int_equal(losses, 0);
}

int main(int argc, char **argv)
{
    if (argc >= 3) {
        return second_run(argc, argv);
    }
    plugin_path = argc == 2 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_function_may_be_called_first_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
