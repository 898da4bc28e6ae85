/* test_process.c: goal: the first call starts the allocator, also after a refusal; fork in any
 * state leaves both sides working; messages and the report at exit go where the program says.
 * Method: the program runs itself again with a word for what it is to do, so that the start is seen
 * from before; threads hold the allocator busy while others fork.
 */
#include "upper_floors.h"

#include "base/print.h"

extern void (*API(malloc_message))(void *opaque, const char *text);

/* The words. */
static const char limited_start[] = "limited-start";
static const char print_at_exit[] = "print-at-exit";

static const char *own_path;

struct again {
    const char *word;
    const char *configuration;
};

static void run_again(void *opaque)
{
    const struct again *again = opaque;
    (void)setenv("MALLOC_CONF", again->configuration, 1);
    (void)execl(own_path, own_path, again->word, (char *)NULL);
    _exit(99);
}

static int outcome_of(const char *word, const char *configuration, char *text, size_t text_bytes)
{
    struct again again = {word, configuration};
    return run_child(run_again, &again, text, text_bytes);
}

/* Without address space the first call is refused; once there is some, the next one succeeds. No
 * assertion of cmocka may allocate before, so this is plain C. */
static int start_under_a_limit(void)
{
    struct rlimit saved;
    (void)getrlimit(RLIMIT_AS, &saved);
    const struct rlimit tight = {1 << 16, saved.rlim_max};
    if (thread_front_now() != &front_none) {
        return 10;
    }
    (void)setrlimit(RLIMIT_AS, &tight);
    errno = 0;
    void *refused = API(malloc)(100);
    int error = errno;
    bool started = process_start();
    (void)setrlimit(RLIMIT_AS, &saved);
    if (refused != NULL || error != ENOMEM || started) {
        return 11;
    }
    void *block = API(malloc)(100);
    if (block == NULL || !process_start() || !cache_is_valid(thread_cache())) {
        return 12;
    }
    API(free)(block);
    return 0;
}

static void starting_again_is_harmless(void **state)
{
    (void)state;
    unsigned arenas = arena_count();
    struct cache *cache = thread_cache();
    for (unsigned i = 0; i < 3; i++) {
        assert_true(process_start());
    }
    assert_int_equal(arena_count(), arenas);
    assert_ptr_equal(thread_cache(), cache);
}

static void a_refused_start_is_tried_again(void **state)
{
    (void)state;
    char text[1024];
    if (DG_PREFIXED) {
        skip(); /* Sanitizers need address space of their own. */
    }
    int status = outcome_of(limited_start, "", text, sizeof text);
    EXPECT(status == 0, "status 0x%x, text \"%s\"", status, text);
}

static void the_report_is_printed_at_exit_when_asked_for(void **state)
{
    (void)state;
    char text[65536];
    assert_int_equal(outcome_of(print_at_exit, "stats_print:true", text, sizeof text), 0);
    assert_non_null(strstr(text, "___ Begin jemalloc statistics ___"));
    assert_non_null(strstr(text, "arenas[0]:"));
    assert_non_null(strstr(text, "--- End jemalloc statistics ---"));
    assert_int_equal(
        outcome_of(print_at_exit, "stats_print:true,stats_print_opts:ga", text, sizeof text), 0);
    assert_non_null(strstr(text, "___ Begin jemalloc statistics ___"));
    assert_null(strstr(text, "arenas[0]:"));
    assert_null(strstr(text, "Version:"));
    assert_int_equal(outcome_of(print_at_exit, "", text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void options_give_the_modes_of_the_start(void **state)
{
    (void)state;
    char text[1024];
    int status = outcome_of("expect-junk", "junk:alloc", text, sizeof text);
    EXPECT(status == 0, "status 0x%x, text \"%s\"", status, text);
    assert_int_not_equal(outcome_of("expect-junk", "", text, sizeof text), 0);
}

static char told[200];

static void tell(void *opaque, const char *text)
{
    (void)opaque;
    (void)snprintf(told, sizeof told, "%s", text);
}

static void messages_go_to_the_programs_function(void **state)
{
    (void)state;
    API(malloc_message) = tell;
    message("%d is told", 42);
    API(malloc_message) = NULL;
    assert_string_equal(told, "<jemalloc>: 42 is told\n");
}

static struct {
    _Atomic bool stop; /* the test's thread writes, the others read; relaxed: a hint */
} busy;

static void *be_busy(void *argument)
{
    uint64_t seed = (uintptr_t)argument;
    void *blocks[64] = {NULL};
    while (!atomic_load_explicit(&busy.stop, memory_order_relaxed)) {
        unsigned at = random_below(&seed, 64);
        API(free)(blocks[at]);
        blocks[at] = API(malloc)((size_t)1 << random_below(&seed, 22));
    }
    for (unsigned i = 0; i < 64; i++) {
        API(free)(blocks[i]);
    }
    return NULL;
}

static void *use_everything(void *unused)
{
    for (unsigned lg = 0; lg < 23; lg++) {
        char *block = API(malloc)((size_t)1 << lg);
        if (block == NULL) {
            _exit(2);
        }
        block[0] = 1;
        API(free)(block);
    }
    for (unsigned i = 0; i < arena_count(); i++) {
        for (unsigned bin = 0; bin < SMALL_CLASSES; bin++) {
            if (!bin_is_valid(&arena_get(i)->bin[bin])) {
                _exit(3);
            }
        }
        arena_purge(arena_get(i));
        if (!page_heap_is_valid(&arena_get(i)->pages)) {
            _exit(4);
        }
    }
    return unused;
}

/* In the child: all locks are free and all structures whole, for this thread and for a new one. */
static void work_in_child(void *unused)
{
    pthread_t thread;
    (void)use_everything(unused);
    if (!DG_PREFIXED) { /* TSan refuses threads in the child of a process with threads. */
        CHILD_EXPECT(pthread_create(&thread, NULL, use_everything, NULL) == 0);
        CHILD_EXPECT(pthread_join(thread, NULL) == 0);
    }
    CHILD_EXPECT(cache_is_valid(thread_cache()));
}

static void fork_under_load_leaves_both_sides_working(void **state)
{
    (void)state;
    enum { THREADS = 3, FORKS = 40 };
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, be_busy, (void *)(i + 1)), 0);
    }
    for (unsigned i = 0; i < FORKS; i++) {
        expect_success(work_in_child, NULL);
        API(free)(API(malloc)((size_t)1 << (i % 22)));
    }
    atomic_store(&busy.stop, true);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    (void)use_everything(NULL);
}

static int run_word(const char *word)
{
    if (strcmp(word, limited_start) == 0) {
        return start_under_a_limit();
    }
    if (strcmp(word, print_at_exit) == 0) {
        API(free)(API(malloc)(1));
        return 0;
    }
    const char *block = API(malloc)(1000);
    return bytes_are(block, 1000, 0xa5) ? 0 : 13;
}

int main(int argument_count, char **arguments)
{
    own_path = arguments[0];
    if (argument_count > 1) {
        return run_word(arguments[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starting_again_is_harmless),
        cmocka_unit_test(a_refused_start_is_tried_again),
        cmocka_unit_test(the_report_is_printed_at_exit_when_asked_for),
        cmocka_unit_test(options_give_the_modes_of_the_start),
        cmocka_unit_test(messages_go_to_the_programs_function),
        cmocka_unit_test(fork_under_load_leaves_both_sides_working),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
