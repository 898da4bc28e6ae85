/* os_page_rules.c: preloaded, it makes the allocator live with OS pages of OS_PAGE_BYTES, more
 * than the kernel's own 4 KiB, and holds it to what such a kernel demands.
 *
 * The page size that programs ask for is OS_PAGE_BYTES. What the allocator maps lies at multiples
 * of it. An address or a length that the allocator gives to munmap, madvise or mremap and that is
 * no multiple ends the process with one line: a kernel refuses the address, and rounds the length
 * up over what the caller did not name. Calls of the program and of other libraries pass as they
 * are; libc's own do not come here. Who calls is told by _dl_find_object(), which takes no lock.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KERNEL_PAGE_BYTES = 4096 };

/* glibc's other names of the two functions that are replaced here. */
long __sysconf(int name);
unsigned long __getauxval(unsigned long type);

size_t os_page_rules_calls(void);

static _Atomic size_t call_count; /* calls of the allocator, all threads; relaxed would do */

/* How many calls of the allocator were judged. */
size_t os_page_rules_calls(void)
{
    return call_count;
}

static bool comes_from_allocator(void *caller)
{
    struct dl_find_object object;
    bool found = _dl_find_object(caller, &object) == 0 &&
                 strstr(object.dlfo_link_map->l_name, "libjemalloc") != NULL;
    call_count += found;
    return found;
}

static noreturn void breach(const char *call, uintptr_t value)
{
    char line[128];
    int length = snprintf(line, sizeof line, "%s with %#zx, no multiple of an OS page of %d\n",
                          call, (size_t)value, OS_PAGE_BYTES);
    (void)!write(STDERR_FILENO, line, (size_t)length);
    abort();
}

static void check_multiple(const char *call, uintptr_t value)
{
    if (value % OS_PAGE_BYTES != 0) {
        breach(call, value);
    }
}

static void *map(void *hint, size_t size_bytes, int protection, int flags)
{
    return (void *)syscall(SYS_mmap, hint, size_bytes, protection, flags, -1, (off_t)0);
}

/* Maps more, and cuts both ends. */
static void *map_os_pages(size_t size_bytes, int protection, int flags)
{
    const size_t spare_bytes = OS_PAGE_BYTES - KERNEL_PAGE_BYTES;
    char *address = map(NULL, size_bytes + spare_bytes, protection, flags);
    if (address == MAP_FAILED) {
        return MAP_FAILED;
    }
    size_t head = (0 - (uintptr_t)address) % OS_PAGE_BYTES;
    if (head > 0) {
        syscall(SYS_munmap, address, head);
    }
    if (head < spare_bytes) {
        syscall(SYS_munmap, address + head + size_bytes, spare_bytes - head);
    }
    return address + head;
}

void *mmap(void *hint, size_t size_bytes, int protection, int flags, int file, off_t offset)
{
    if (!comes_from_allocator(__builtin_return_address(0))) {
        return (void *)syscall(SYS_mmap, hint, size_bytes, protection, flags, file, offset);
    }
    check_multiple("mmap: length", size_bytes);
    if (flags != (MAP_PRIVATE | MAP_ANONYMOUS)) {
        breach("mmap: flags that are not known here,", (uintptr_t)flags);
    }
    return map_os_pages(size_bytes, protection, flags);
}

int munmap(void *address, size_t size_bytes)
{
    if (comes_from_allocator(__builtin_return_address(0))) {
        check_multiple("munmap: address", (uintptr_t)address);
        check_multiple("munmap: length", size_bytes);
    }
    return (int)syscall(SYS_munmap, address, size_bytes);
}

int madvise(void *address, size_t size_bytes, int advice)
{
    if (comes_from_allocator(__builtin_return_address(0))) {
        check_multiple("madvise: address", (uintptr_t)address);
        check_multiple("madvise: length", size_bytes);
    }
    return (int)syscall(SYS_madvise, address, size_bytes, advice);
}

void *mremap(void *address, size_t old_bytes, size_t new_bytes, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    void *target = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void *) : NULL;
    va_end(rest);
    if (comes_from_allocator(__builtin_return_address(0))) {
        check_multiple("mremap: address", (uintptr_t)address);
        check_multiple("mremap: old length", old_bytes);
        check_multiple("mremap: new length", new_bytes);
        check_multiple("mremap: target", (uintptr_t)target);
        if (flags == MREMAP_MAYMOVE) {
            breach("mremap: flags that are not known here,", (uintptr_t)flags);
        }
    }
    return (void *)syscall(SYS_mremap, address, old_bytes, new_bytes, flags, target);
}

unsigned long getauxval(unsigned long type)
{
    return type == AT_PAGESZ ? OS_PAGE_BYTES : __getauxval(type);
}

long sysconf(int name)
{
    return name == _SC_PAGESIZE ? OS_PAGE_BYTES : __sysconf(name);
}

int getpagesize(void)
{
    return OS_PAGE_BYTES;
}
