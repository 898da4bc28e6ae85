/* wild_pointers.c: goal: a pointer that never was a block ends the process with one line, at once.
 *
 * Method: every function that takes a pointer is given every kind of address a program may hold
 * by mistake: stack, code, static data of the program and of the library, mapped and unmapped
 * pages, small integers, and addresses that no user process can have, among them live blocks with
 * one high bit flipped, which a look-up that masks high bits would take for the block. Each pair
 * runs in a child of its own.
 */
#include <jemalloc/jemalloc.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "death_check.h"
#include "pointer_takers.h"

enum { POINTERS_MAX = 64, MAPPED_BYTES = 4 << 20 };

struct wild_pointer {
    const char *name;
    uintptr_t address;
};

struct attempt {
    const struct pointer_taker *taker;
    uintptr_t address;
};

static struct wild_pointer pointers[POINTERS_MAX];
static size_t pointer_count;
static char static_data[64];
static const char constant_data[64] = "constant";

static void add(const char *name, uintptr_t address)
{
    if (pointer_count == POINTERS_MAX) {
        abort();
    }
    pointers[pointer_count++] = (struct wild_pointer){name, address};
}

static uintptr_t pages(int protection, size_t size_bytes)
{
    void *start = mmap(NULL, size_bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        perror("mmap");
        exit(EXIT_FAILURE);
    }
    return (uintptr_t)start;
}

static void add_memory(void)
{
    static _Thread_local char thread_data[64];
    uintptr_t gone = pages(PROT_READ, MAPPED_BYTES);
    munmap((void *)gone, MAPPED_BYTES);
    add("static data", (uintptr_t)static_data);
    add("constant data", (uintptr_t)constant_data);
    add("thread-local data", (uintptr_t)thread_data);
    add("the library's data", (uintptr_t)&malloc_message);
    add("the program's code", (uintptr_t)&add_memory);
    add("the library's code", (uintptr_t)&mallctlnametomib);
    add("libc's code", (uintptr_t)&fopen);
    add("a mapped page", pages(PROT_READ | PROT_WRITE, MAPPED_BYTES));
    add("within mapped pages", pages(PROT_READ | PROT_WRITE, MAPPED_BYTES) + 4096 * 3 + 16);
    add("a page without access", pages(PROT_NONE, MAPPED_BYTES));
    add("an unmapped page", gone);
    add("within unmapped pages", gone + 4096 + 64);
    add("a 2 MiB boundary in mapped pages",
        (pages(PROT_READ, MAPPED_BYTES) + MAPPED_BYTES / 2) & ~(uintptr_t)0x1fffff);
}

static void add_numbers(void)
{
    add("1", 1);
    add("8", 8);
    add("16", 16);
    add("4095", 4095);
    add("4096", 4096);
    add("65536", 65536);
    add("2^30", UINT64_C(1) << 30);
    add("2^32 + 16", (UINT64_C(1) << 32) + 16);
    add("2^46", UINT64_C(1) << 46);
    add("the last page of the user half", (UINT64_C(1) << 47) - 4096);
    add("2^47", UINT64_C(1) << 47);
    add("2^47 + 16", (UINT64_C(1) << 47) + 16);
    add("2^48 - 16", (UINT64_C(1) << 48) - 16);
    add("2^48", UINT64_C(1) << 48);
    add("2^52", UINT64_C(1) << 52);
    add("2^57 - 64", (UINT64_C(1) << 57) - 64);
    add("2^63", UINT64_C(1) << 63);
    add("kernel space", UINT64_C(0xffff800000000000));
    add("SIZE_MAX", SIZE_MAX);
    add("SIZE_MAX - 15", SIZE_MAX - 15);
    add("-4096", (uintptr_t)-4096);
    add("0xdeadbeefdeadbeef", UINT64_C(0xdeadbeefdeadbeef));
    add("0x4141414141414141", UINT64_C(0x4141414141414141));
    add("0x5a5a5a5a5a5a5a5a", UINT64_C(0x5a5a5a5a5a5a5a5a));
}

/* Live blocks whose address has one more bit: they stay live, so masking would find them. */
static void add_flipped(void)
{
    uintptr_t small = (uintptr_t)malloc(64);
    uintptr_t large = (uintptr_t)malloc(100000);
    add("a live block with bit 47", small ^ UINT64_C(1) << 47);
    add("a live block with bit 48", small ^ UINT64_C(1) << 48);
    add("a live block with bit 52", small ^ UINT64_C(1) << 52);
    add("a live block with bit 56", small ^ UINT64_C(1) << 56);
    add("a live block with bit 63", small ^ UINT64_C(1) << 63);
    add("a live large block with bit 48", large ^ UINT64_C(1) << 48);
    add("a live large block with bit 62", large ^ UINT64_C(1) << 62);
    add("a live block with bits 48 to 63", small | UINT64_C(0xffff) << 48);
}

static void pass_wild(void *argument)
{
    const struct attempt *attempt = argument;
    attempt->taker->call((void *)attempt->address);
}

static void pass_stack(void *argument)
{
    const struct attempt *attempt = argument;
    _Alignas(16) char local[64];
    attempt->taker->call(local + attempt->address);
}

/* The allocator is warm: the child has live and freed blocks, as a real program has. */
static void warm_up(void)
{
    for (size_t size_bytes = 1; size_bytes < (size_t)4 << 20; size_bytes *= 2) {
        void *volatile block = malloc(size_bytes);
        free(block);
    }
}

int main(void)
{
    char name[128];
    warm_up();
    add_memory();
    add_numbers();
    add_flipped();
    for (size_t t = 0; t < POINTER_TAKER_COUNT; t++) {
        const struct pointer_taker *taker = &pointer_takers[t];
        for (size_t i = 0; i < pointer_count; i++) {
            struct attempt attempt = {taker, pointers[i].address};
            snprintf(name, sizeof name, "%s of %s (%#lx)", taker->name, pointers[i].name,
                     (unsigned long)pointers[i].address);
            death_expect(name, AT_ONCE, pass_wild, &attempt);
        }
        for (size_t offset = 0; offset <= 48; offset += 8) {
            struct attempt attempt = {taker, offset};
            snprintf(name, sizeof name, "%s of the stack", taker->name);
            death_expect(name, AT_ONCE, pass_stack, &attempt);
        }
    }
    return death_report();
}
