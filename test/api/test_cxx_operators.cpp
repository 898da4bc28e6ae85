/* test_cxx_operators.cpp: goal: operator new and delete in all their forms are ours and behave as
 * C++ asks: sizes, alignment, nothrow, the new_handler loop, bad_alloc that unwinds.
 * Method: a plain C++17 program; each check prints its line when it fails; the exit status is the
 * result.
 */
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <jemalloc/jemalloc.h>

static int failures = 0;

#define CHECK(condition)                                                         \
    do {                                                                         \
        if (!(condition)) {                                                      \
            std::fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition); \
            failures++;                                                          \
        }                                                                        \
    } while (0)

static const std::size_t vast = static_cast<std::size_t>(1) << 50;
static const std::size_t beyond = static_cast<std::size_t>(-1);

/* Opaque to the compiler, which may otherwise drop pairs of new and delete. */
static std::size_t opaque(std::size_t value)
{
    volatile std::size_t kept = value;
    return kept;
}

/* Takes the result of a call that should have thrown. */
static void *volatile sink;

static bool aligned_to(void *block, std::size_t alignment)
{
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

static void plain_forms()
{
    for (std::size_t size = 0; size < 70000; size = size * 3 / 2 + 1) {
        void *block = ::operator new(opaque(size));
        CHECK(block != nullptr);
        CHECK(malloc_usable_size(block) == (size == 0 ? 8 : nallocx(size, 0)));
        std::memset(block, 1, size);
        ::operator delete(block);

        block = ::operator new[](opaque(size));
        CHECK(malloc_usable_size(block) >= size);
        ::operator delete[](block);

        block = ::operator new(opaque(size));
        ::operator delete(block, size);
        block = ::operator new[](opaque(size));
        ::operator delete[](block, size);

        block = ::operator new(opaque(size), std::nothrow);
        CHECK(block != nullptr);
        ::operator delete(block, std::nothrow);
        block = ::operator new[](opaque(size), std::nothrow);
        CHECK(block != nullptr);
        ::operator delete[](block, std::nothrow);
    }
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, std::nothrow);
}

static void aligned_forms()
{
    for (std::size_t alignment = 1; alignment <= 1 << 16; alignment *= 2) {
        const std::align_val_t value{alignment};
        for (std::size_t size = 0; size < 70000; size = size * 4 + 3) {
            void *block = ::operator new(opaque(size), value);
            CHECK(block != nullptr && aligned_to(block, alignment));
            CHECK(malloc_usable_size(block) >= size);
            ::operator delete(block, value);
            block = ::operator new[](opaque(size), value);
            CHECK(aligned_to(block, alignment));
            ::operator delete[](block, value);
            block = ::operator new(opaque(size), value, std::nothrow);
            CHECK(block != nullptr && aligned_to(block, alignment));
            ::operator delete(block, value, std::nothrow);
            block = ::operator new[](opaque(size), value, std::nothrow);
            CHECK(block != nullptr && aligned_to(block, alignment));
            ::operator delete[](block, value, std::nothrow);
            block = ::operator new(opaque(size), value);
            ::operator delete(block, size, value);
            block = ::operator new[](opaque(size), value);
            ::operator delete[](block, size, value);
        }
    }
}

static void the_families_mix()
{
    void *block = ::operator new(opaque(100));
    free(block);
    ::operator delete(malloc(opaque(100)));
    ::operator delete(mallocx(opaque(100), MALLOCX_ALIGN(64)));
}

template <typename Request> static bool throws_bad_alloc(Request request)
{
    try {
        request();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static void refusal_throws()
{
    const std::align_val_t page{4096};
    for (std::size_t size : {vast, beyond}) {
        CHECK(throws_bad_alloc([&] { sink = ::operator new(opaque(size)); }));
        CHECK(throws_bad_alloc([&] { sink = ::operator new[](opaque(size)); }));
        CHECK(throws_bad_alloc([&] { sink = ::operator new(opaque(size), page); }));
        CHECK(throws_bad_alloc([&] { sink = ::operator new[](opaque(size), page); }));
        CHECK(::operator new(opaque(size), std::nothrow) == nullptr);
        CHECK(::operator new[](opaque(size), std::nothrow) == nullptr);
        CHECK(::operator new(opaque(size), page, std::nothrow) == nullptr);
        CHECK(::operator new[](opaque(size), page, std::nothrow) == nullptr);
    }
}

struct Witness {
    explicit Witness(int *count) : count_(count)
    {
    }
    ~Witness()
    {
        ++*count_;
    }
    int *count_;
};

static void bad_alloc_unwinds()
{
    int destroyed = 0;
    try {
        Witness outer(&destroyed);
        std::vector<Witness> inner;
        inner.reserve(1);
        inner.emplace_back(&destroyed);
        destroyed = 0;
        void *block = ::operator new(opaque(vast));
        ::operator delete(block);
        CHECK(false);
    } catch (const std::bad_alloc &) {
        destroyed += 10;
    }
    CHECK(destroyed == 12);
    CHECK(throws_bad_alloc([] { std::string text(opaque(vast), 'x'); }));
}

static int handler_calls = 0;

static void handler_that_gives_up_after_three()
{
    if (++handler_calls == 3) {
        std::set_new_handler(nullptr);
    }
}

struct Own {
};

static void handler_that_throws_its_own()
{
    handler_calls++;
    throw Own();
}

static void handler_that_throws_bad_alloc()
{
    handler_calls++;
    throw std::bad_alloc();
}

static void handler_loop()
{
    const std::align_val_t page{4096};
    handler_calls = 0;
    std::set_new_handler(handler_that_gives_up_after_three);
    CHECK(throws_bad_alloc([] { sink = ::operator new(opaque(vast)); }));
    CHECK(handler_calls == 3);
    CHECK(std::get_new_handler() == nullptr);

    handler_calls = 0;
    std::set_new_handler(handler_that_gives_up_after_three);
    CHECK(throws_bad_alloc([&] { sink = ::operator new(opaque(vast), page); }));
    CHECK(handler_calls == 3);

    handler_calls = 0;
    std::set_new_handler(handler_that_gives_up_after_three);
    CHECK(::operator new(opaque(vast), std::nothrow) == nullptr);
    CHECK(handler_calls == 3);
}

static void handlers_that_throw()
{
    handler_calls = 0;
    std::set_new_handler(handler_that_throws_its_own);
    bool caught = false;
    try {
        sink = ::operator new(opaque(vast));
    } catch (const Own &) {
        caught = true;
    }
    CHECK(caught && handler_calls == 1);

    std::set_new_handler(handler_that_throws_bad_alloc);
    CHECK(::operator new(opaque(vast), std::nothrow) == nullptr);
    CHECK(::operator new[](opaque(vast), std::nothrow) == nullptr);
    CHECK(::operator new (opaque(vast), std::align_val_t{64}, std::nothrow) == nullptr);
    CHECK(handler_calls == 4);
    CHECK(throws_bad_alloc([] { sink = ::operator new[](opaque(vast)); }));
    std::set_new_handler(nullptr);
}

static char *reserve = nullptr;

/* Succeeds on the second try: what a handler is for. */
static void handler_that_releases()
{
    handler_calls++;
    std::set_new_handler(nullptr);
    delete[] reserve;
    reserve = nullptr;
}

static void handler_may_free()
{
    handler_calls = 0;
    reserve = new char[opaque(1 << 20)];
    std::set_new_handler(handler_that_releases);
    CHECK(throws_bad_alloc([] { sink = ::operator new(opaque(vast)); }));
    CHECK(handler_calls == 1 && reserve == nullptr);
}

struct alignas(256) Wide {
    char bytes[300];
};

static void language_forms()
{
    Wide *one = new Wide;
    Wide *many = new Wide[opaque(7)];
    CHECK(aligned_to(one, 256) && aligned_to(many, 256));
    delete one;
    delete[] many;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([] {
            std::vector<std::string> words;
            for (int k = 0; k < 5000; k++) {
                words.push_back(std::string(static_cast<std::size_t>(k % 100), 'x'));
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
}

int main()
{
    plain_forms();
    aligned_forms();
    the_families_mix();
    refusal_throws();
    bad_alloc_unwinds();
    handler_loop();
    handlers_that_throw();
    handler_may_free();
    language_forms();
    std::fprintf(stderr, "%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
