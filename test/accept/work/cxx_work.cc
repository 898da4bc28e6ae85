/* cxx_work.cc: a C++ program of containers, strings, exceptions and over-aligned objects.
 *
 * Goal: work for the compiler when it is built, and for operator new and delete when it runs.
 * Method: maps filled by four threads, a regular expression, aligned objects, a refused request;
 * prints results only, the same on each run.
 */
#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

struct alignas(128) Wide {
    std::uint64_t value[16];
};

static std::uint64_t fill_maps(unsigned seed)
{
    std::map<std::string, std::vector<int>> ordered;
    std::unordered_map<std::uint64_t, std::unique_ptr<std::string>> hashed;
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 1664525U + 1013904223U;
        ordered["key " + std::to_string(seed % 997)].push_back(static_cast<int>(i));
        hashed[seed % 4096] = std::make_unique<std::string>(seed % 300, 'x');
    }
    std::uint64_t sum = 0;
    for (const auto &entry : ordered) {
        sum += entry.first.size() * entry.second.size();
    }
    for (const auto &entry : hashed) {
        sum += entry.first * entry.second->size();
    }
    return sum;
}

static bool all_aligned()
{
    std::vector<std::unique_ptr<Wide>> wide;
    for (int i = 0; i < 500; i++) {
        wide.push_back(std::make_unique<Wide>());
    }
    return std::all_of(wide.begin(), wide.end(), [](const auto &entry) {
        return reinterpret_cast<std::uintptr_t>(entry.get()) % alignof(Wide) == 0;
    });
}

static std::string refusal()
{
    try {
        std::size_t size = SIZE_MAX / 2;
        std::unique_ptr<char[]> block(new char[size]);
        block[0] = 1;
        return "granted";
    } catch (const std::bad_alloc &) {
        return "bad_alloc";
    }
}

int main()
{
    std::vector<std::uint64_t> sums(4);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < sums.size(); i++) {
        threads.emplace_back([i, &sums] { sums[i] = fill_maps(i + 1); });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    for (auto sum : sums) {
        std::cout << sum << '\n';
    }
    std::regex pattern("([a-z]+)-([0-9]+)");
    std::string text = "alpha-12 beta-7 gamma-345";
    std::cout << std::regex_replace(text, pattern, "$2:$1") << '\n';
    std::cout << all_aligned() << ' ' << refusal() << '\n';
}
