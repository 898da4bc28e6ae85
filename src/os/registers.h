/* registers.h: what an unwinder must know of the processor: three registers, their numbers in
 * DWARF's tables, and what a return address looks like in memory.
 *
 * x86-64: the caller pushes the return address; the frame pointer is rbp. aarch64: the callee
 * stores x30, perhaps signed (pointer authentication: a code in the bits above the address); the
 * frame pointer is x29. On both, a function that keeps a frame pointer has it point at a pair of
 * words: the caller's frame pointer and the return address.
 */
#ifndef OS_REGISTERS_H
#define OS_REGISTERS_H

#include "base/check.h"

/* The state of a function's activation: where it goes on, and its two stack registers. */
struct registers {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t fp;
};

enum {
#if defined(__aarch64__)
    DWARF_FP = 29,
    DWARF_SP = 31,
#else
    DWARF_FP = 6,
    DWARF_SP = 7,
#endif
};

/* Those at this very instruction, all of one moment: the tables' row for pc holds for them. */
ALWAYS_INLINE struct registers registers_now(void)
{
    struct registers now;
#if defined(__aarch64__)
    __asm__ volatile("adr %0, .\n\tmov %1, sp\n\tmov %2, x29"
                     : "=&r"(now.pc), "=&r"(now.sp), "=&r"(now.fp));
#else
    __asm__ volatile("leaq 0(%%rip), %0\n\tmovq %%rsp, %1\n\tmovq %%rbp, %2"
                     : "=&r"(now.pc), "=&r"(now.sp), "=&r"(now.fp));
#endif
    return now;
}

/* A return address from memory, without the signature that the processor put in its high bits. */
static inline uintptr_t return_address_bare(uintptr_t address)
{
#if defined(__aarch64__)
    /* xpaclri, as the hint that older processors skip; they sign nothing. */
    register uintptr_t link __asm__("x30") = address;
    __asm__("hint #7" : "+r"(link));
    return link;
#else
    return address;
#endif
}

#endif
