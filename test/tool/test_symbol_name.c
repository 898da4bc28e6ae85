/* test_symbol_name.c: full and short names of functions, and the pool that keeps them.
 *
 * Goal: short names are letter for letter those in upstream's text reports, full ones those of
 * nm -C. Method: upstream's jeprof was given a profile whose symbols have these full names, and
 * printed the short ones.
 */
#include "symbol_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *full, *shortened;
} names[] = {
    {"outer::Box<int, 3>::operator bool()", "outer::Box::operator bool"},
    {"outer::lam(int)::{lambda(int)#1}::operator()(int) const", "outer::lam::{lambda#1}::operator"},
    {"operator new(unsigned long)", "operator new"},
    {"operator<<(std::ostream&, int)", "operator<<"},
    {"std::basic_ostream<char>& std::operator<< <std::char_traits<char> "
     ">(std::basic_ostream<char>&, char const*)",
     "std::operator<<"},
    {"(anonymous namespace)::foo(int)", "::foo"},
    {"outer::(anonymous namespace)::hidden(int)", "outer::::hidden"},
    {"void foo<int (*)(int)>(int (*)(int))", "void foo"},
    {"foo(int) const volatile", "foo volatile"},
    {"foo(int) [clone .constprop.0]", "foo [clone .constprop.0]"},
    {"std::vector<int, std::allocator<int> >::operator[](unsigned long)",
     "std::vector::operator[]"},
    {"std::function<void (int)>::operator()(int) const", "std::function::operator"},
    {"a::b<(c)1>::d()", "a::b::d"},
    {"X::operator->() const", "X::operator->"},
    {"X::operator<(X const&) const", "X::operator<"},
    {"X::operator()(int, int)", "X::operator"},
    {"core::ptr::drop_in_place<alloc::vec::Vec<u8>>", "core::ptr::drop_in_place"},
    {"<alloc::vec::Vec<T> as core::ops::Drop>::drop", "::drop"},
    {"_dl_init", "_dl_init"},
    {"decltype(a)::f(x)", "decltype::f"},
    {"main::$_0::operator()() const", "main::$_0::operator"},
    {"operator<=>(a)", "operator"},
    {"f[abi:cxx11](int)", "f[abi:cxx11]"},
    {"std::pair<a, b>& f(g<h>)", "std::pair& f"},
    {"", ""},
    {"()", "()"}, /* not upstream's: a name is never empty */
    {")(", ")("},
};

static void test_shorten(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s", names[i].full);
        symbol_name_shorten(name);
        assert_string_equal(name, names[i].shortened);
    }
    /* Deeper than anything is followed: it ends, and nothing is written behind the text. */
    char deep[4001];
    memset(deep, '(', 2000);
    memset(deep + 2000, ')', 2000);
    deep[4000] = '\0';
    symbol_name_shorten(deep);
    assert_true(strlen(deep) <= 4000);
}

static void test_demangle(void **state)
{
    (void)state;
    static const struct {
        const char *symbol, *full;
    } symbols[] = {
        {"main", "main"},
        {"_ZNSt6vectorIiSaIiEE9push_backERKi",
         "std::vector<int, std::allocator<int> >::push_back(int const&)"},
        {"_ZN5outer6hiddenEi.constprop.0", "outer::hidden(int) [clone .constprop.0]"},
        {"_RNvC6_123foo3bar", "123foo::bar"},
        {"_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"},
        {"_Z", "_Z"},
        {"_ZN", "_ZN"},
        {"", ""},
    };
    struct text_pool pool = {.blocks = NULL};
    struct text_map known = {.entries = NULL};
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
            assert_string_equal(symbol_name_full(&pool, &known, symbols[i].symbol),
                                symbols[i].full);
        }
    }
    text_map_close(&known);
    text_pool_close(&pool);
}

static void test_pool(void **state)
{
    (void)state;
    struct text_pool pool = {.blocks = NULL};
    const char *kept[1000];
    for (size_t i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "text %zu", i);
        kept[i] = text_pool_keep(&pool, text);
        assert_string_equal(kept[i], text);
        assert_ptr_not_equal(kept[i], text);
    }
    for (size_t i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "text %zu", i);
        assert_ptr_equal(text_pool_keep(&pool, text), kept[i]);
    }
    assert_null(text_pool_keep(&pool, NULL));
    char *large = text_pool_take(&pool, 1 << 20);
    assert_int_equal((uintptr_t)large % 16, 0);
    memset(large, 1, 1 << 20);
    assert_string_equal(kept[999], "text 999");
    text_pool_close(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shorten),
        cmocka_unit_test(test_demangle),
        cmocka_unit_test(test_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
