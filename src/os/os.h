/* os.h: what the allocator asks of the operating system. The only floor that calls it.
 *
 * Memory comes in OS pages (4, 16 or 64 KiB, found at run time); sizes and addresses here are
 * multiples of os_page_bytes unless said otherwise. Every function that can fail says so by its
 * result and leaves everything as it was. errno is never changed: it belongs to the program.
 *
 * All functions are safe in any thread once os_start() has returned.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/check.h"

/* The kernel's page size in bytes. Immutable after os_start(). */
extern size_t os_page_bytes;

/* Reads the page size. Idempotent; called once before anything else here. */
void os_start(void);

/* Fresh zeroed memory of size_bytes, readable and writable, near `hint` when that is free (NULL:
 * anywhere). NULL when the kernel refuses. */
MUST_USE void *os_map(void *hint, size_t size_bytes);

/* The same at a multiple of alignment, a power of two and a multiple of the OS page. */
MUST_USE void *os_map_aligned(size_t size_bytes, size_t alignment);

/* The same from the program break, by sbrk(); never returned. The program may move the break too,
 * at any moment. NULL when the kernel refuses, or libc has no such function. */
MUST_USE void *os_break_aligned(size_t size_bytes, size_t alignment);

/* Returns address space. False when the kernel refuses (too many mappings): the range is then
 * still mapped, and its content is unspecified. */
MUST_USE bool os_unmap(void *address, size_t size_bytes);

/* Drops the content of pages: they cost no memory and read as zero. False when refused. */
MUST_USE bool os_purge(void *address, size_t size_bytes);
/* Some emulators of Linux accept the call and do nothing. Unless this is set, before the first
 * purge, that one tries it on a page of its own; where the page keeps its content, all are refused.
 */
extern bool os_purge_is_trusted;

/* Lets the kernel drop the content of pages when it needs memory, not at once: until a page is
 * written to again it reads as its old content or, at any moment, as zero. False when refused. */
MUST_USE bool os_purge_lazily(void *address, size_t size_bytes);

/* The same for several ranges by one call, at most OS_BATCH_MAX. Result: how many of them were
 * dropped, from the first on; 0 where the kernel cannot do it (before Linux 6.14). */
struct os_range {
    void *address;
    size_t size_bytes;
};
enum { OS_BATCH_MAX = 16 };
MUST_USE unsigned os_purge_batch(const struct os_range *ranges, unsigned count, bool lazily);

/* Makes pages such that each access ends the process by a signal, and ordinary ones again. False
 * when refused (too many mappings). */
MUST_USE bool os_guard(void *address, size_t size_bytes);
MUST_USE bool os_unguard(void *address, size_t size_bytes);

/* Resizes a whole mapping in place, or moves its pages to `target`, a mapped range that is
 * replaced. Bytes are not copied. False when refused: the mapping is as it was, but of a move's
 * target nothing is known, since the kernel may have unmapped it. */
MUST_USE bool os_grow_in_place(void *address, size_t old_bytes, size_t new_bytes);
MUST_USE bool os_move(void *address, size_t old_bytes, void *target, size_t new_bytes);

/* Hints: asks for or refuses huge pages. A refusal is harmless. */
void os_want_huge_pages(void *address, size_t size_bytes);
void os_refuse_huge_pages(void *address, size_t size_bytes);

/* Makes a huge page of pages at once, by copying. False when refused. */
MUST_USE bool os_collapse(void *address, size_t size_bytes);

/* A monotonic clock in nanoseconds, as coarse as the scheduler's tick (1 to 10 ms) and cheap. */
uint64_t os_time_coarse_ns(void);
/* The same, precise. */
uint64_t os_time_ns(void);
/* Nanoseconds since 1970, as far as the system's clock is right. */
uint64_t os_time_of_day_ns(void);

/* Number of CPUs that this process may use, >= 1: the least of those that it may run on and the
 * quota of its control groups, rounded up. Reads files. */
unsigned os_cpu_count(void);

/* The number of the CPU that the calling thread runs on, and one more than the highest number of a
 * CPU that this process may run on. */
unsigned os_cpu_now(void);
unsigned os_cpu_end(void);

/* The value of an environment variable, or NULL; NULL in set-user-id programs. */
const char *os_environment(const char *name);
/* The target text of a symbolic link into buffer (terminated, cut). False when there is none. */
MUST_USE bool os_link_text(const char *path, char *buffer, size_t size_bytes);

/* The start of a file's text into buffer (terminated, cut). False when it cannot be read. */
MUST_USE bool os_file_text(const char *path, char *buffer, size_t size_bytes);

/* Sleeps until *word != expected or somebody wakes it; spurious returns happen. */
void os_wait(uint32_t *word, uint32_t expected);
/* The same with a time limit in nanoseconds. */
void os_wait_for(uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void os_wake(uint32_t *word, unsigned waiters);

/* Starts a thread of our own: all signals blocked, a small stack. False when it is refused. May
 * allocate, so the caller holds no lock. One that was started is joined. */
MUST_USE bool os_thread_start(uintptr_t *thread, void *(*body)(void *), void *opaque);
void os_thread_join(uintptr_t thread);
/* Names the calling thread, in at most 15 characters. */
void os_thread_set_name(const char *name);
/* The name of the calling thread. */
enum { OS_THREAD_NAME_BYTES = 16 };
void os_thread_name(char name[OS_THREAD_NAME_BYTES]);

/* A value that differs between live threads, never 0: what os_thread_start() gave. */
uintptr_t os_thread_self(void);

#endif
