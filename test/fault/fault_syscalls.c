/* fault_syscalls.c: the five calls, each counted, refused by plan or passed on with syscall().
 *
 * The first call can come before libc knows the environment, so the plan is read from
 * /proc/self/environ by system calls alone. Nothing here allocates. madvise fails with EINVAL
 * half of the time, as on kernels without the advice; all other faults are ENOMEM.
 */
#include "fault_syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../model/random_stream.h"

static struct fault_plan current_plan; /* written while one thread runs, or between loads */
static _Atomic uint64_t call_count;
static _Atomic uint64_t injected_count;
static _Atomic bool environment_read;

void fault_plan_set(struct fault_plan plan)
{
    environment_read = true;
    call_count = 0;
    current_plan = plan;
}

uint64_t fault_call_count(void)
{
    return call_count;
}

uint64_t fault_count(void)
{
    return injected_count;
}

static uint64_t digits_parse(const char **text)
{
    uint64_t value = 0;
    while (**text >= '0' && **text <= '9') {
        value = value * 10 + (uint64_t)(**text - '0');
        (*text)++;
    }
    *text += **text == ':';
    return value;
}

static void plan_parse(const char *environment, size_t count)
{
    static const char name[] = "DG_FAULT=";
    for (size_t i = 0; i + sizeof name < count; i += strlen(environment + i) + 1) {
        if (strncmp(environment + i, name, sizeof name - 1) == 0) {
            const char *text = environment + i + sizeof name - 1;
            current_plan.mode = (enum fault_mode)digits_parse(&text);
            current_plan.number = digits_parse(&text);
            current_plan.seed = digits_parse(&text);
        }
    }
}

static void environment_parse(void)
{
    static char environment[65536];
    size_t filled = 0;
    long file = syscall(SYS_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY);
    long count = 1;
    while (file >= 0 && count > 0 && filled < sizeof environment - 1) {
        count = syscall(SYS_read, file, environment + filled, sizeof environment - 1 - filled);
        filled += count > 0 ? (size_t)count : 0;
    }
    syscall(SYS_close, file);
    plan_parse(environment, filled);
}

/* True when this call is to fail. */
static bool fault_now(void)
{
    if (!atomic_exchange(&environment_read, true)) {
        environment_parse();
    }
    uint64_t call = atomic_fetch_add(&call_count, 1) + 1;
    bool fault = false;
    switch (current_plan.mode) {
    case FAULT_NONE:
        break;
    case FAULT_ONCE:
        fault = call == current_plan.number;
        break;
    case FAULT_FOREVER:
        fault = call >= current_plan.number;
        break;
    case FAULT_EVERY:
        fault = call % current_plan.number == 0;
        break;
    case FAULT_RANDOM:
        fault = random_mix(current_plan.seed + call) % 100 < current_plan.number;
        break;
    }
    injected_count += fault;
    return fault;
}

void *mmap(void *address, size_t size_bytes, int protection, int flags, int file, off_t offset)
{
    if (fault_now()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, size_bytes, protection, flags, file, offset);
}

#ifndef mmap64 /* musl has one mmap, and a macro for its other name */
void *mmap64(void *address, size_t size_bytes, int protection, int flags, int file, off64_t offset)
{
    return mmap(address, size_bytes, protection, flags, file, offset);
}
#endif

int munmap(void *address, size_t size_bytes)
{
    if (fault_now()) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_munmap, address, size_bytes);
}

int mprotect(void *address, size_t size_bytes, int protection)
{
    if (fault_now()) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_mprotect, address, size_bytes, protection);
}

int madvise(void *address, size_t size_bytes, int advice)
{
    if (fault_now()) {
        errno = call_count % 2 == 0 ? EINVAL : ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_madvise, address, size_bytes, advice);
}

void *mremap(void *address, size_t old_bytes, size_t new_bytes, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    void *target = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void *) : NULL;
    va_end(rest);
    if (fault_now()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mremap, address, old_bytes, new_bytes, flags, target);
}
