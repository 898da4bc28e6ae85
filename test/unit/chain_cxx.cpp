/* chain_cxx.cpp: functions of C++ between those of a chain: objects with destructors, a handler of
 * exceptions, a virtual function and a lambda.
 */
extern "C" {
#include "chain.h"
}

namespace
{
struct link {
    struct chain *chain;
    explicit link(struct chain *whole) : chain(whole)
    {
    }
    virtual ~link()
    {
        __asm__ volatile("" : : "r"(chain) : "memory");
    }
    __attribute__((noinline)) virtual void go_on()
    {
        chain->returns[chain->count++] = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
        chain->inner(chain);
        __asm__ volatile("" : : : "memory");
    }
};

template <typename function> __attribute__((noinline)) void run(struct chain *chain, function body)
{
    chain->returns[chain->count++] = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
    link here(chain);
    body(here);
    __asm__ volatile("" : : : "memory");
}
} // namespace

__attribute__((noinline)) void chain_of_objects(struct chain *chain)
{
    chain->returns[chain->count++] = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
    try {
        run(chain, [](link &first) { first.go_on(); });
    } catch (int) {
        chain->count = 0;
    }
    __asm__ volatile("" : : : "memory");
}
