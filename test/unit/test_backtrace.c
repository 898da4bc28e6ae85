/* test_backtrace.c: goal: a walk finds exactly the return addresses that are there, by each of its
 * three ways, whatever the functions look like, on any stack, and ends cleanly where nobody knows
 * the way; none of it crashes when registers hold garbage, or inside itself.
 * Method: chains of calls that note where they return to (chain.c, with frame pointers and
 * without); libgcc's walk beside ours on stacks of signals, coroutines and threads; code made at
 * run time; the loader's function that both unwinders call (_dl_find_object) is the test's own, so
 * a second walk can begin in the middle of the first.
 */
#include "unit_check.h"

#include "chain.h"

#include "config/options.h"
#include "os/registers.h"
#include "profile/backtrace.h"

#include <dlfcn.h>
#include <pthread.h>
#include <ucontext.h>

enum { FRAMES_MAX = 256, OWN_STACK_BYTES = 256 * 1024 };

struct found {
    unsigned count;
    uintptr_t frames[FRAMES_MAX];
};

/* Calls of _dl_find_object: libgcc asks for each frame, our walk for each module. */
static unsigned lookups;
static unsigned lookups_by_tables;

static struct found by_tables;
static struct found by_pointers;
static struct found by_libgcc;

static __attribute__((noinline)) void take(struct found *found, unsigned way, unsigned most)
{
    options.prof_unwind = way;
    found->count = backtrace_take(found->frames, most);
    options.prof_unwind = UNWIND_AUTO;
}

static __attribute__((noinline)) void take_all(void)
{
    unsigned before = lookups;
    take(&by_tables, UNWIND_AUTO, FRAMES_MAX);
    lookups_by_tables = lookups - before;
    take(&by_libgcc, UNWIND_DWARF, FRAMES_MAX);
    take(&by_pointers, UNWIND_FP, FRAMES_MAX);
    __asm__ volatile("" : : : "memory");
}

/* The tables' walk is libgcc's. The second frame is the place of the call in take_all(). */
static void expect_as_libgcc(unsigned least)
{
    EXPECT(by_tables.count >= least, "only %u frames", by_tables.count);
    EXPECT(by_tables.count == by_libgcc.count, "%u frames, not %u", by_tables.count,
           by_libgcc.count);
    for (unsigned i = 0; i < by_tables.count; i++) {
        EXPECT(i == 1 || by_tables.frames[i] == by_libgcc.frames[i], "frame %u: %lx, not %lx", i,
               by_tables.frames[i], by_libgcc.frames[i]);
    }
}

static void inner_of_chain(struct chain *chain)
{
    take_all();
    __asm__ volatile("" : : "r"(chain) : "memory");
}

static void expect_chain(const struct found *found, const struct chain *chain, const char *way)
{
    /* Returns into take, take_all, inner_of_chain, and the function that called that. */
    enum { INNER = 4 };
    EXPECT(found->count >= INNER + chain->count, "%s: only %u frames of %u", way, found->count,
           chain->count);
    for (unsigned i = 0; i < chain->count; i++) {
        uintptr_t expected = chain->returns[chain->count - 1 - i];
        EXPECT(found->frames[INNER + i] == expected, "%s: frame %u of %u is %lx, not %lx", way, i,
               chain->count, found->frames[INNER + i], expected);
    }
}

static void test_chains(void **state)
{
    (void)state;
    struct chain chain = {.inner = inner_of_chain};
    for (unsigned depth = 2; depth < 100; depth += 7) {
        chain.depth = depth;
        chain.count = 0;
        chain_unframed(&chain);
        expect_chain(&by_tables, &chain, "tables, no frame pointers");
        expect_chain(&by_libgcc, &chain, "libgcc, no frame pointers");
        expect_as_libgcc(depth);
        EXPECT(lookups_by_tables <= 9, "%u look-ups: libgcc was asked", lookups_by_tables);
        chain.count = 0;
        chain_framed(&chain);
        expect_chain(&by_tables, &chain, "tables, frame pointers");
        expect_chain(&by_libgcc, &chain, "libgcc, frame pointers");
        expect_chain(&by_pointers, &chain, "frame pointers");
        expect_as_libgcc(depth);
        EXPECT(lookups_by_tables <= 9, "%u look-ups: libgcc was asked", lookups_by_tables);
    }
}

static void test_cxx_frames(void **state)
{
    (void)state;
#ifdef HAS_CXX
    struct chain chain = {.inner = inner_of_chain};
    chain_of_objects(&chain);
    assert_true(chain.count > 0);
    /* The virtual function calls inner; the lambda between it and run() notes nothing. */
    uintptr_t outermost = chain.returns[0];
    bool is_found = false;
    for (unsigned i = 0; i < by_tables.count; i++) {
        is_found = is_found || by_tables.frames[i] == outermost;
    }
    assert_true(is_found);
    expect_as_libgcc(8);
    EXPECT(lookups_by_tables <= 9, "%u look-ups: libgcc was asked", lookups_by_tables);
#endif
}

static void test_room(void **state)
{
    (void)state;
    struct chain chain = {.inner = inner_of_chain, .depth = 30};
    chain_unframed(&chain);
    for (unsigned way = UNWIND_AUTO; way <= UNWIND_DWARF; way++) {
        for (unsigned most = 0; most < 8; most++) {
            struct found found;
            memset(&found, 0x5a, sizeof found);
            take(&found, way, most);
            EXPECT(found.count <= most, "way %u: %u frames of %u", way, found.count, most);
            assert_true(way == UNWIND_FP || most > 6 || found.count == most);
            assert_int_equal(found.frames[most], 0x5a5a5a5a5a5a5a5a);
        }
    }
}

/* libgcc was not asked, which asks for each frame. The frame of a signal has a table on x86-64. */
static void expect_no_libgcc_after_signal(void)
{
#if defined(__x86_64__)
    EXPECT(lookups_by_tables <= 6, "%u look-ups: libgcc was asked", lookups_by_tables);
#endif
}

/* Functions of libc between ours, and the thread's first frames. */
static int compare_and_take(const void *a, const void *b)
{
    take_all();
    return *(const int *)a - *(const int *)b;
}

static void test_libc_frames(void **state)
{
    (void)state;
    int numbers[] = {2, 1};
    qsort(numbers, 2, sizeof numbers[0], compare_and_take);
    expect_as_libgcc(6);
}

static void *thread_body(void *opaque)
{
    take_all();
    return opaque;
}

static void test_thread(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, thread_body, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_as_libgcc(3);
}

static volatile sig_atomic_t handled;

static void handle(int number)
{
    take_all();
    handled = number;
}

/* Raises a signal in a function that has made no frame, at its first instruction: the byte before
 * is no part of it. */
__attribute__((noinline)) static void leaf(void)
{
#if defined(__aarch64__)
    __asm__ volatile("udf #0");
#else
    __asm__ volatile("ud2");
#endif
}

static void skip_instruction(int number, siginfo_t *info, void *opaque)
{
    (void)info;
    take_all();
    mcontext_t *machine = &((ucontext_t *)opaque)->uc_mcontext;
#if defined(__aarch64__)
    machine->pc += 4;
#else
    machine->gregs[REG_RIP] += 2;
#endif
    handled = number;
}

static void test_signal_frames(void **state)
{
    (void)state;
    static char stack_bytes[OWN_STACK_BYTES];
    stack_t stack = {.ss_sp = stack_bytes, .ss_size = sizeof stack_bytes};
    assert_int_equal(sigaltstack(&stack, NULL), 0);
    for (int flags = 0; flags <= SA_ONSTACK; flags += SA_ONSTACK) {
        struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
        assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
        assert_int_equal(raise(SIGUSR1), 0);
        assert_int_equal(handled, SIGUSR1);
        expect_as_libgcc(7);
        expect_no_libgcc_after_signal();
        struct sigaction illegal = {.sa_sigaction = skip_instruction,
                                    .sa_flags = flags | SA_SIGINFO};
        assert_int_equal(sigaction(SIGILL, &illegal, NULL), 0);
        leaf();
        assert_int_equal(handled, SIGILL);
        expect_as_libgcc(6);
        expect_no_libgcc_after_signal();
    }
    stack.ss_flags = SS_DISABLE;
    assert_int_equal(sigaltstack(&stack, NULL), 0);
}

/* Memory between two pages that nobody may read. */
static char *map_guarded(size_t size_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, size_bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + page, size_bytes, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    return map + page;
}

static ucontext_t outside;

static void coroutine_body(void)
{
    struct chain chain = {.inner = inner_of_chain, .depth = 9};
    chain_framed(&chain);
}

static void test_coroutine(void **state)
{
    (void)state;
    ucontext_t inside;
    char *stack = map_guarded(OWN_STACK_BYTES);
    assert_int_equal(getcontext(&inside), 0);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = OWN_STACK_BYTES;
    inside.uc_link = &outside;
    makecontext(&inside, coroutine_body, 0);
    assert_int_equal(swapcontext(&outside, &inside), 0);
    expect_as_libgcc(12);
}

/* Code of a JIT compiler: no module, no table. It calls the function that it is given. */
static void (*make_code(char *memory))(void (*)(void))
{
#if defined(__aarch64__)
    static const uint32_t code[] = {0xa9bf7bfd /* stp x29, x30, [sp, -16]! */,
                                    0xd63f0000 /* blr x0 */,
                                    0xa8c17bfd /* ldp x29, x30, [sp], 16 */, 0xd65f03c0 /* ret */};
#else
    static const uint8_t code[] = {
        0x48, 0x83, 0xec, 0x08 /* sub rsp, 8 */, 0xff, 0xd7 /* call rdi */,
        0x48, 0x83, 0xc4, 0x08 /* add rsp, 8 */, 0xc3 /* ret */};
#endif
    memcpy(memory, code, sizeof code);
    __builtin___clear_cache(memory, memory + sizeof code);
    void (*function)(void (*)(void));
    *(void **)&function = memory;
    return function;
}

static void test_code_without_tables(void **state)
{
    (void)state;
    char *memory = map_guarded(OWN_STACK_BYTES);
    void (*function)(void (*)(void)) = make_code(memory);
    for (unsigned i = 0; i < 3; i++) {
        function(take_all);
        expect_as_libgcc(3);
        uintptr_t last = by_tables.frames[by_tables.count - 1];
        assert_true(last > (uintptr_t)memory && last < (uintptr_t)memory + 64);
    }
}

/* The end of that stack is known to libgcc no more than to us: it is asked once. */
static unsigned lookups_of_walk;

static void count_lookups(void)
{
    struct found found;
    unsigned before = lookups;
    take(&found, UNWIND_AUTO, FRAMES_MAX);
    lookups_of_walk = lookups - before;
}

static void test_answers_are_kept(void **state)
{
    (void)state;
    char *memory = map_guarded(OWN_STACK_BYTES);
    void (*function)(void (*)(void)) = make_code(memory);
    function(count_lookups);
    unsigned first = lookups_of_walk;
    function(count_lookups);
    /* Two modules: none of the code, and the program's. */
    EXPECT(first > 4 && lookups_of_walk <= 2, "%u look-ups, then %u", first, lookups_of_walk);
}

/* A frame pointer that points anywhere ends the walk by frame pointers, or leads it through words
 * that can be read; to the tables it is nothing, as the function saved its caller's. */
static void test_garbage_pointers(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t random = unit_seed(7);
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    char *guarded = map_guarded(OWN_STACK_BYTES);
    const uintptr_t cases[] = {
        0,
        8,
        here + 1,
        here & ~(uintptr_t)15,
        (here | (page - 1)) - 7, /* a pair that goes across the end of a page */
        (uintptr_t)guarded - 8,
        (uintptr_t)guarded + OWN_STACK_BYTES - 8,
        (uintptr_t)environ & ~(uintptr_t)7,
        (uintptr_t)1 << 47,
        ~(uintptr_t)7,
        (uintptr_t)&cases,
        0x00007ffffffff000,
    };
    for (unsigned i = 0; i < 400; i++) {
        uintptr_t garbage = i < sizeof cases / sizeof cases[0]
                                ? cases[i]
                                : here + (unit_random(&random) & 0xffff8) - 4096;
        chain_with_pointer(garbage, take_all);
        expect_as_libgcc(4);
        assert_true(by_pointers.count >= 3);
    }
}

/* The same above the last page of a stack that ends at one that nobody may read. */
static uintptr_t stack_end;

static void garbage_body(void)
{
    for (uintptr_t address = stack_end - 64; address <= stack_end + 64; address += 8) {
        chain_with_pointer(address, take_all);
    }
}

static void test_end_of_stack(void **state)
{
    (void)state;
    ucontext_t inside;
    char *stack = map_guarded(OWN_STACK_BYTES);
    stack_end = (uintptr_t)stack + OWN_STACK_BYTES;
    assert_int_equal(getcontext(&inside), 0);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = OWN_STACK_BYTES;
    inside.uc_link = &outside;
    makecontext(&inside, garbage_body, 0);
    assert_int_equal(swapcontext(&outside, &inside), 0);
    expect_as_libgcc(5);
}

/* A second walk in the middle of the first, where libgcc has asked for a module: what a handler
 * finds that allocates. */
static bool is_nesting;
static struct found nested[2];
static unsigned nested_lookups;

/* Another module stands where one was: without tables. */
static uintptr_t hidden_start;

static bool is_forking;
static int child_status;

static int fork_inside(void)
{
    pid_t child = fork();
    if (child == 0) {
        unsigned before = lookups;
        struct found found;
        take(&found, UNWIND_DWARF, FRAMES_MAX);
        unsigned by_mark = lookups - before;
        backtrace_forked();
        before = lookups;
        take(&found, UNWIND_DWARF, FRAMES_MAX);
        /* One for each frame, not for each module. */
        CHILD_EXPECT(found.count > 10);
        CHILD_EXPECT(by_mark < 6);
        CHILD_EXPECT(lookups - before >= found.count);
        _exit(0);
    }
    int status = -1;
    (void)waitpid(child, &status, 0);
    return status;
}

/* glibc's function, which both unwinders call: this one is found before it. */
int find_object(void *address, void *result) __asm__("_dl_find_object")
    __attribute__((visibility("default")));
int find_object(void *address, void *result)
{
    static int (*next)(void *, void *);
    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "_dl_find_object");
    }
    lookups++;
    if (is_forking) {
        is_forking = false;
        child_status = fork_inside();
    }
    if (is_nesting) {
        is_nesting = false;
        unsigned before = lookups;
        nested[0].count = backtrace_take(nested[0].frames, FRAMES_MAX);
        nested_lookups = lookups - before;
        unsigned way = options.prof_unwind;
        take(&nested[1], UNWIND_AUTO, FRAMES_MAX);
        options.prof_unwind = way;
    }
    int status = next != NULL ? next(address, result) : -1;
    struct {
        uint64_t flags;
        uintptr_t start;
        uintptr_t end;
        uintptr_t link_map;
        uintptr_t tables;
    } *found = result;
    if (status == 0 && found->start == hidden_start) {
        found->tables = 0;
    }
    return status;
}

/* What the tables of a module said is forgotten with it. */
static void test_module_that_is_replaced(void **state)
{
    (void)state;
    Dl_info info;
    assert_int_not_equal(dladdr((void *)(uintptr_t)chain_unframed, &info), 0);
    struct chain chain = {.inner = inner_of_chain, .depth = 9};
    chain_unframed(&chain);
    unsigned whole = by_tables.count;
    assert_true(whole > 9);
    hidden_start = (uintptr_t)info.dli_fbase;
    chain.count = 0;
    chain_unframed(&chain);
    hidden_start = 0;
    assert_int_equal(by_tables.count, 4);
    chain.count = 0;
    chain_unframed(&chain);
    assert_int_equal(by_tables.count, whole);
}

/* The child of a fork in the middle of libgcc's walk: its thread is there for good. */
static void test_fork_inside_walk(void **state)
{
    (void)state;
    struct found found;
    is_forking = true;
    take(&found, UNWIND_DWARF, FRAMES_MAX);
    assert_false(is_forking);
    assert_int_equal(child_status, 0);
}

static void test_walk_inside_walk(void **state)
{
    (void)state;
    for (unsigned way = UNWIND_AUTO; way <= UNWIND_DWARF; way += UNWIND_DWARF) {
        struct found found;
        nested[0].count = 0;
        is_nesting = true;
        take(&found, way, FRAMES_MAX);
        assert_false(is_nesting);
        assert_true(found.count > 3);
        EXPECT(nested[0].count > found.count, "way %u: %u frames inside, %u outside", way,
               nested[0].count, found.count);
        EXPECT(nested[1].count > found.count, "way %u: %u frames inside, %u outside", way,
               nested[1].count, found.count);
        /* libgcc is not entered again: it asks for each frame. */
        EXPECT(nested_lookups < 6, "way %u: %u look-ups inside", way, nested_lookups);
        assert_int_equal(nested[0].frames[nested[0].count - 1], found.frames[found.count - 1]);
    }
}

static int start(void **state)
{
    (void)state;
    return backtrace_start() && backtrace_start() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_cxx_frames),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_libc_frames),
        cmocka_unit_test(test_thread),
        cmocka_unit_test(test_signal_frames),
        cmocka_unit_test(test_coroutine),
        cmocka_unit_test(test_code_without_tables),
        cmocka_unit_test(test_answers_are_kept),
        cmocka_unit_test(test_garbage_pointers),
        cmocka_unit_test(test_end_of_stack),
        cmocka_unit_test(test_module_that_is_replaced),
        cmocka_unit_test(test_walk_inside_walk),
        cmocka_unit_test(test_fork_inside_walk),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
