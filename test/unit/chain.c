/* chain.c: chain.h, under the name CHAIN_START.
 *
 * Each shape is a way to make a frame that unwind tables describe differently.
 */
#include "chain.h"

#include <alloca.h>
#include <string.h>

typedef void (*shape)(struct chain *chain);

static void go_on(struct chain *chain);

/* Compilers may neither leave the call out nor make a jump of it. */
#define CALL_MEMORY(memory) __asm__ volatile("" : : "r"(memory) : "memory")

#define NOTE(chain) (chain)->returns[(chain)->count++] = (uintptr_t)__builtin_return_address(0)

static __attribute__((noinline)) void plain(struct chain *chain)
{
    NOTE(chain);
    go_on(chain);
    CALL_MEMORY(chain);
}

/* Its frame's size is known at run time only: it needs a frame pointer in any case. */
static __attribute__((noinline)) void with_alloca(struct chain *chain)
{
    NOTE(chain);
    char *memory = alloca(16 + chain->count * 24);
    memory[0] = 1;
    CALL_MEMORY(memory);
    go_on(chain);
    CALL_MEMORY(memory);
}

/* Its frame starts at a multiple of 64 bytes, wherever the caller's ends. */
static __attribute__((noinline)) void realigned(struct chain *chain)
{
    NOTE(chain);
    _Alignas(64) char memory[64];
    CALL_MEMORY(memory);
    go_on(chain);
    CALL_MEMORY(memory);
}

/* The same with arguments on the stack, which are found by a register of their own. */
static __attribute__((noinline)) long realigned_with_arguments(struct chain *chain, long a, long b,
                                                               long c, long d, long e, long f,
                                                               long g, long h)
{
    NOTE(chain);
    _Alignas(64) char memory[64];
    char *more = alloca(16 + (size_t)h);
    CALL_MEMORY(memory);
    CALL_MEMORY(more);
    go_on(chain);
    CALL_MEMORY(memory);
    return a + b + c + d + e + f + g + h;
}

static __attribute__((noinline)) void with_arguments(struct chain *chain)
{
    NOTE(chain);
    long sum = realigned_with_arguments(chain, 1, 2, 3, 4, 5, 6, 7, (long)chain->count);
    CALL_MEMORY(sum);
}

static __attribute__((noinline)) void large(struct chain *chain)
{
    NOTE(chain);
    char memory[20000];
    memory[0] = 1;
    CALL_MEMORY(memory);
    go_on(chain);
    CALL_MEMORY(memory);
}

static void undo(int *value)
{
    *value = 0;
}

/* Has a table of what to clean up when an exception passes, as functions of C++ have. */
static __attribute__((noinline)) void with_cleanup(struct chain *chain)
{
    NOTE(chain);
    __attribute__((cleanup(undo))) int value = 1;
    go_on(chain);
    CALL_MEMORY(&value);
}

/* Uses every register that a callee must keep. */
static __attribute__((noinline)) void with_registers(struct chain *chain)
{
    NOTE(chain);
    long values[6];
    for (unsigned i = 0; i < 6; i++) {
        values[i] = (long)chain->returns[i % chain->count] + i;
        CALL_MEMORY(values[i]);
    }
    long a = values[0], b = values[1], c = values[2], d = values[3], e = values[4], f = values[5];
    go_on(chain);
    CALL_MEMORY(a);
    CALL_MEMORY(b);
    CALL_MEMORY(c);
    CALL_MEMORY(d);
    CALL_MEMORY(e);
    CALL_MEMORY(f);
}

static __attribute__((noinline)) void go_on(struct chain *chain)
{
    NOTE(chain);
    static const shape shapes[] = {plain,          with_alloca,  realigned,     large,
                                   with_arguments, with_cleanup, with_registers};
    if (chain->count >= chain->depth) {
        chain->inner(chain);
    } else {
        shapes[chain->count % (sizeof shapes / sizeof shapes[0])](chain);
    }
    CALL_MEMORY(chain);
}

void CHAIN_START(struct chain *chain)
{
    NOTE(chain);
    plain(chain);
    CALL_MEMORY(chain);
}

#ifdef CHAIN_WITH_POINTER
/* In assembly: a function that saves the frame pointer, as its table says, and sets it. */
#if defined(__aarch64__)
__asm__(".text\n.globl chain_with_pointer\n.type chain_with_pointer, %function\n"
        "chain_with_pointer:\n.cfi_startproc\n\tstp x29, x30, [sp, #-16]!\n"
        "\t.cfi_def_cfa_offset 16\n\t.cfi_offset 29, -16\n\t.cfi_offset 30, -8\n"
        "\tmov x29, x0\n\tblr x1\n\tldp x29, x30, [sp], #16\n\t.cfi_restore 29\n"
        "\t.cfi_restore 30\n\t.cfi_def_cfa_offset 0\n\tret\n.cfi_endproc\n"
        ".size chain_with_pointer, .-chain_with_pointer\n");
#else
__asm__(".text\n.globl chain_with_pointer\n.type chain_with_pointer, @function\n"
        "chain_with_pointer:\n.cfi_startproc\n\tpushq %rbp\n\t.cfi_def_cfa_offset 16\n"
        "\t.cfi_offset 6, -16\n\tmovq %rdi, %rbp\n\tcall *%rsi\n\tpopq %rbp\n"
        "\t.cfi_restore 6\n\t.cfi_def_cfa_offset 8\n\tret\n.cfi_endproc\n"
        ".size chain_with_pointer, .-chain_with_pointer\n");
#endif
#endif
