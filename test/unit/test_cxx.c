/* test_cxx.c: goal: operator new and delete, in each of their forms, allocate like malloc, run the
 * new_handler until it helps or throws, and end as the standard says.
 * Method: a C program that plays the C++ library: it defines the functions that operator new asks
 * for the handler and to throw, with longjmp for the exception. Address and thread sanitizers bring
 * operators of their own: there is nothing to test then.
 */
#include "upper_floors.h"

/* Mangled names, as in api/cxx.c. */
extern void *_Znwm(size_t size);
extern void *_Znam(size_t size);
extern void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
extern void *_ZnamRKSt9nothrow_t(size_t size, const void *tag);
extern void *_ZnwmSt11align_val_t(size_t size, size_t alignment);
extern void *_ZnamSt11align_val_t(size_t size, size_t alignment);
extern void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag);
extern void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag);
extern void _ZdlPv(void *block);
extern void _ZdaPv(void *block);
extern void _ZdlPvRKSt9nothrow_t(void *block, const void *tag);
extern void _ZdaPvRKSt9nothrow_t(void *block, const void *tag);
extern void _ZdlPvm(void *block, size_t size);
extern void _ZdaPvm(void *block, size_t size);
extern void _ZdlPvSt11align_val_t(void *block, size_t alignment);
extern void _ZdaPvSt11align_val_t(void *block, size_t alignment);
extern void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, const void *tag);
extern void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, const void *tag);
extern void _ZdlPvmSt11align_val_t(void *block, size_t size, size_t alignment);
extern void _ZdaPvmSt11align_val_t(void *block, size_t size, size_t alignment);

typedef void (*handler)(void);
__attribute__((visibility("default"))) handler _ZSt15get_new_handlerv(void);
__attribute__((visibility("default"))) void _ZSt17__throw_bad_allocv(void);

static handler current;
static volatile unsigned handler_calls; /* volatile: compilers think that new changes nothing */
static jmp_buf catch_point;

handler _ZSt15get_new_handlerv(void)
{
    return current;
}

void _ZSt17__throw_bad_allocv(void)
{
    longjmp(catch_point, 1);
}

static const char tag;

static unsigned count_call(void)
{
    handler_calls = handler_calls + 1;
    return handler_calls;
}

/* Makes memory possible by making the limit higher, on its third call. */
static void relent(void)
{
    if (count_call() == 3) {
        struct rlimit limit;
        (void)getrlimit(RLIMIT_AS, &limit);
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_AS, &limit);
    }
}

static void give_up(void)
{
    if (count_call() == 5) {
        current = NULL;
    }
}

static void throw_another(void)
{
    (void)count_call();
    longjmp(catch_point, 2);
}

static void check(void *block, size_t size, size_t alignment)
{
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % alignment, 0);
    assert_true(API(malloc_usable_size)(block) >= size);
    memset(block, 0x1f, size);
}

/* Compilers know operator new by name, and may leave out calls whose result is not used. */
static void *volatile sink;

static void *make(unsigned form, size_t size)
{
    switch (form) {
    case 0:
        return _Znwm(size);
    case 1:
        return _Znam(size);
    case 2:
        return _ZnwmRKSt9nothrow_t(size, &tag);
    default:
        return _ZnamRKSt9nothrow_t(size, &tag);
    }
}

static void *make_aligned(unsigned form, size_t size, size_t alignment)
{
    switch (form) {
    case 0:
        return _ZnwmSt11align_val_t(size, alignment);
    case 1:
        return _ZnamSt11align_val_t(size, alignment);
    case 2:
        return _ZnwmSt11align_val_tRKSt9nothrow_t(size, alignment, &tag);
    default:
        return _ZnamSt11align_val_tRKSt9nothrow_t(size, alignment, &tag);
    }
}

static void take(unsigned form, void *block, size_t size)
{
    switch (form) {
    case 0:
        _ZdlPv(block);
        break;
    case 1:
        _ZdaPv(block);
        break;
    case 2:
        _ZdlPvRKSt9nothrow_t(block, &tag);
        break;
    case 3:
        _ZdaPvRKSt9nothrow_t(block, &tag);
        break;
    case 4:
        _ZdlPvm(block, size);
        break;
    default:
        _ZdaPvm(block, size);
        break;
    }
}

static void take_aligned(unsigned form, void *block, size_t size, size_t alignment)
{
    switch (form) {
    case 0:
        _ZdlPvSt11align_val_t(block, alignment);
        break;
    case 1:
        _ZdaPvSt11align_val_t(block, alignment);
        break;
    case 2:
        _ZdlPvSt11align_val_tRKSt9nothrow_t(block, alignment, &tag);
        break;
    case 3:
        _ZdaPvSt11align_val_tRKSt9nothrow_t(block, alignment, &tag);
        break;
    case 4:
        _ZdlPvmSt11align_val_t(block, size, alignment);
        break;
    default:
        _ZdaPvmSt11align_val_t(block, size, alignment);
        break;
    }
}

static void every_new_goes_with_every_delete(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 5000, 20000, 100000, 3000000};
    const struct cache *cache = thread_cache();
    uint64_t live = cache_allocated_bytes(cache) - cache_freed_bytes(cache);
    for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
        for (unsigned pair = 0; pair < 4 * 6; pair++) {
            void *block = make(pair % 4, sizes[s]);
            check(block, sizes[s], sizes[s] > 8 ? 16 : 8);
            take(pair / 4, block, sizes[s]);
            for (size_t alignment = 32; alignment <= 1 << 16; alignment *= 8) {
                block = make_aligned(pair % 4, sizes[s], alignment);
                check(block, sizes[s], alignment);
                take_aligned(pair / 4, block, sizes[s], alignment);
            }
        }
    }
    assert_int_equal(cache_allocated_bytes(cache) - cache_freed_bytes(cache), live);
    assert_true(cache_is_valid(cache));
}

static void null_is_deleted_by_every_form(void **state)
{
    (void)state;
    for (unsigned form = 0; form < 6; form++) {
        take(form, NULL, 100);
        take_aligned(form, NULL, 100, 64);
    }
}

static void without_a_handler_new_throws_and_nothrow_gives_null(void **state)
{
    (void)state;
    current = NULL;
    for (volatile unsigned form = 0; form < 2; form++) {
        if (setjmp(catch_point) == 0) {
            sink = make(form, SIZE_MAX);
            fail_msg("form %u did not throw", form);
        }
        if (setjmp(catch_point) == 0) {
            sink = make_aligned(form, SIZE_MAX, 64);
            fail_msg("aligned form %u did not throw", form);
        }
        assert_null(make(form + 2, SIZE_MAX));
        assert_null(make_aligned(form + 2, SIZE_MAX, 64));
    }
}

static void the_handler_runs_until_it_takes_itself_away(void **state)
{
    (void)state;
    current = give_up;
    handler_calls = 0;
    if (setjmp(catch_point) == 0) {
        sink = _Znwm((size_t)1 << 60);
        fail_msg("did not throw");
    }
    assert_int_equal(handler_calls, 5);
}

static void what_the_handler_throws_passes_through(void **state)
{
    (void)state;
    current = throw_another;
    handler_calls = 0;
    int thrown = setjmp(catch_point);
    if (thrown == 0) {
        sink = _ZnamSt11align_val_t((size_t)1 << 60, 4096);
        fail_msg("did not throw");
    }
    assert_int_equal(thrown, 2);
    assert_int_equal(handler_calls, 1);
    current = NULL;
}

/* In a child: the limit of address space is its own. */
static void need_help(void *unused)
{
    (void)unused;
    struct rlimit limit;
    (void)getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 1 << 20;
    (void)setrlimit(RLIMIT_AS, &limit);
    current = relent;
    handler_calls = 0;
    sink = _Znwm((size_t)64 << 20);
    CHILD_EXPECT(sink != NULL);
    CHILD_EXPECT(handler_calls == 3);
    _ZdlPv(sink);
}

static void a_handler_that_makes_room_is_enough(void **state)
{
    (void)state;
    if (DG_PREFIXED) {
        skip(); /* Sanitizers need address space of their own. */
    }
    expect_success(need_help, NULL);
}

static void new_under_xmalloc(void *unused)
{
    (void)unused;
    options.xmalloc = true;
    sink = _Znwm(SIZE_MAX);
}

static void xmalloc_aborts_before_any_handler(void **state)
{
    (void)state;
    current = throw_another;
    expect_abort(new_under_xmalloc, NULL, "operator new(): out of memory");
    current = NULL;
}

static void delete_twice(void *block)
{
    _ZdlPv(block);
    _ZdaPv(block);
}

static void a_double_delete_aborts(void **state)
{
    (void)state;
    void *block = _Znwm(100);
    expect_abort(delete_twice, block, "double free");
    _ZdlPv(block);
}

/* False when a sanitizer's operators stand before ours. */
static bool operators_are_ours(void)
{
    void *block = _Znwm(16);
    bool result = map_code(block) != 0;
    _ZdlPv(block);
    return result;
}

int main(void)
{
    if (DG_PREFIXED && !operators_are_ours()) {
        print_message("operator new is the sanitizer's: skipped\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_new_goes_with_every_delete),
        cmocka_unit_test(null_is_deleted_by_every_form),
        cmocka_unit_test(without_a_handler_new_throws_and_nothrow_gives_null),
        cmocka_unit_test(the_handler_runs_until_it_takes_itself_away),
        cmocka_unit_test(what_the_handler_throws_passes_through),
        cmocka_unit_test(a_handler_that_makes_room_is_enough),
        cmocka_unit_test(xmalloc_aborts_before_any_handler),
        cmocka_unit_test(a_double_delete_aborts),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
