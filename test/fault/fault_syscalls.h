/* fault_syscalls.h: makes the allocator's memory system calls fail by plan.
 *
 * A program that links fault_syscalls.c defines mmap, munmap, mprotect, madvise and mremap
 * itself, so that every such call from any library but libc comes here first; calls that are to
 * succeed go to the kernel. Calls are counted from the start of the process. A plan for calls
 * before main() is given in the environment as DG_FAULT=mode:number:seed, with the mode as a
 * number.
 */
#ifndef FAULT_SYSCALLS_H
#define FAULT_SYSCALLS_H

#include <stdint.h>

enum fault_mode {
    FAULT_NONE,
    FAULT_ONCE,    /* call `number` */
    FAULT_FOREVER, /* call `number` and all after it */
    FAULT_EVERY,   /* each `number`th call */
    FAULT_RANDOM,  /* `number` percent of the calls */
};

struct fault_plan {
    enum fault_mode mode;
    uint64_t number;
    uint64_t seed;
};

/* From now on, and counting from now on. */
void fault_plan_set(struct fault_plan plan);

uint64_t fault_call_count(void);

/* Faults since the start of the process, under all plans. */
uint64_t fault_count(void);

#endif
