/* test_prof_hooks.c: goal: hooks of the profiler are told of each sampled block and of its end, and
 * one may take the traces; traces begin where the program calls.
 * Method: each call is a sample; hooks write down what they are told, and call the allocator.
 */
#include "prof_check.h"

const char *malloc_conf = "prof:true,lg_prof_sample:0,prof_stats:true,prof_bt_max:50";

static struct {
    const void *block;
    size_t size;
    void *trace[50];
    unsigned depth;
    size_t usable;
    unsigned count;
} sampled;

static struct {
    const void *block;
    size_t usable;
    unsigned count;
} freed;

static void *volatile kept; /* so that the compiler sees no end of the blocks */

static void on_sample(const void *block, size_t size, void **trace, unsigned depth, size_t usable)
{
    sampled.block = block;
    sampled.size = size;
    sampled.depth = depth;
    sampled.usable = usable;
    sampled.count++;
    memcpy(sampled.trace, trace, depth * sizeof trace[0]);
    kept = malloc(100); /* This is no sample. */
    free(kept);
}

static void on_free(const void *block, size_t usable)
{
    freed.block = block;
    freed.usable = usable;
    freed.count++;
    free(malloc(100)); /* This is one, of which more is told. */
}

static unsigned nested;

static void on_outer_free(const void *block, size_t usable)
{
    if (nested++ == 0) {
        on_free(block, usable);
    }
    nested--;
}

static void set_hook(const char *name, void (*hook)(void))
{
    assert_int_equal(mallctl(name, NULL, NULL, &hook, sizeof hook), 0);
}

static void __attribute__((noinline)) allocate_here(size_t size)
{
    kept = malloc(size);
    __asm__ volatile("" : : : "memory");
}

static bool is_in_allocate_here(const void *address)
{
    enum { CODE_BYTES = 200 };
    return (uintptr_t)address - (uintptr_t)allocate_here < CODE_BYTES;
}

static void samples_and_ends_are_told(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 5000, 20000, 40000, 3000000};
    set_hook("experimental.hooks.prof_sample", (void (*)(void))on_sample);
    set_hook("experimental.hooks.prof_sample_free", (void (*)(void))on_outer_free);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sampled.count = 0;
        freed.count = 0;
        allocate_here(sizes[i]);
        void *block = kept;
        bool has_frame = false;
        assert_int_equal(sampled.count, 1);
        assert_true(sampled.block == block && sampled.size == sizes[i]);
        assert_int_equal(sampled.usable, malloc_usable_size(block));
        assert_true(sampled.depth > 1 && sampled.depth <= 50);
        for (unsigned j = 0; j < sampled.depth; j++) {
            has_frame |= is_in_allocate_here(sampled.trace[j]);
        }
        assert_true(has_frame);
        /* A library's own frames are left out; those of an archive are the program's. */
        assert_true(LIBRARY_IS_PREFIXED || is_in_allocate_here(sampled.trace[0]));
        size_t usable = sampled.usable;
        free(block);
        assert_int_equal(freed.count, 1);
        assert_true(freed.block == block && freed.usable == usable);
    }
    set_hook("experimental.hooks.prof_sample", NULL);
    set_hook("experimental.hooks.prof_sample_free", NULL);
    free(malloc(1));
    assert_int_equal(freed.count, 1);
}

static void (*usual)(void **trace, unsigned *depth, unsigned most);

static void take_trace(void **trace, unsigned *depth, unsigned most)
{
    static char places[2];
    assert_int_equal(most, 50);
    usual(trace, depth, most);
    assert_true(*depth > 1);
    free(malloc(1000));
    trace[0] = &places[0];
    trace[1] = &places[1];
    *depth = 2;
}

static void another_function_may_take_traces(void **state)
{
    (void)state;
    static const char name[] = "experimental.hooks.prof_backtrace";
    size_t length = sizeof usual;
    void (*none)(void) = NULL;
    assert_int_equal(mallctl(name, &usual, &length, NULL, 0), 0);
    assert_true(usual != NULL);
    assert_int_equal(mallctl(name, NULL, NULL, &none, sizeof none), EINVAL);
    set_hook(name, (void (*)(void))take_trace);
    set_hook("experimental.hooks.prof_sample", (void (*)(void))on_sample);
    allocate_here(50);
    assert_int_equal(sampled.depth, 2);
    assert_ptr_equal((char *)sampled.trace[1], (char *)sampled.trace[0] + 1);
    free(kept);
    set_hook(name, (void (*)(void))usual);
    allocate_here(50);
    assert_true(sampled.depth > 2);
    free(kept);
    set_hook("experimental.hooks.prof_sample", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_and_ends_are_told),
        cmocka_unit_test(another_function_may_take_traces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
