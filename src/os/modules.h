/* modules.h: the loaded code of the process, as an unwinder asks for it.
 *
 * A module is one ELF object in memory: the program, a library, the kernel's own. Nothing here
 * takes a lock or allocates, but what its comment says so of: a sample of the heap profiler is
 * taken inside malloc, and the thread may hold the loader's lock, or one that waits for us may.
 *
 * glibc 2.35 and later find a module without a lock (_dl_find_object). Where there is no such
 * function (musl, older glibc) only the module that this code is part of is known here: of a static
 * program that is all there is.
 *
 * errno stays as it is.
 */
#ifndef OS_MODULES_H
#define OS_MODULES_H

#include "base/check.h"

struct os_module {
    uintptr_t start; /* the address range of its segments */
    uintptr_t end;
    const uint8_t *frame_index; /* .eh_frame_hdr, or NULL */
    uint64_t identity; /* mixed; differs when another module comes to the same addresses; not 0 */
};

/* Whether libc has begun to run in the program: the first calls of the allocator may be the
 * loader's, or in a static program those of libc itself. What follows waits for it. */
bool os_modules_can_start(void);

/* Looks up what the rest needs. May take the loader's lock and allocate: the caller holds no lock.
 * Idempotent. Until then only our own module is known. */
void os_modules_start(void);

/* The same where the caller may hold any lock: takes none, and does not allocate. False when other
 * modules stay unknown. */
MUST_USE bool os_modules_start_unloaded(void);

/* Whether the process is one module, linked without a loader: then os_unwinder_find() and
 * os_modules_start() take no lock either. */
bool os_modules_are_one(void);

/* The module that an address lies in. False when none is known there. */
MUST_USE bool os_module_find(uintptr_t address, struct os_module *module);

/* The same for the module that this code is part of. False when it has no ELF header in memory. */
MUST_USE bool os_module_own(struct os_module *module);

/* Whether a module is the program itself. */
MUST_USE bool os_module_is_program(const struct os_module *module);

/* A function of libgcc's unwinder, or NULL. Loads libgcc_s.so.1 for good; a static program has it
 * linked or not. Takes the loader's lock and allocates: the caller holds no lock. */
void *os_unwinder_find(const char *name);

/* Whether four bytes at an address, a multiple of 4, can be read. One system call (futex). */
MUST_USE bool os_is_readable(uintptr_t address);

/* An address above the first thread's stack that no frame crosses; UINTPTR_MAX when not known. */
uintptr_t os_first_stack_end(void);

#endif
