/* os_linux.c: os.h on Linux, over libc's thin wrappers (so that a test can interpose them).
 *
 * Nothing here allocates or calls stdio, but making a thread. After start-up only mmap, munmap,
 * mremap, madvise, futex and clock_gettime are used, so that the library works inside seccomp
 * sandboxes; brk when mmap refuses a chunk (not with dss:disabled), or the option dss wants it
 * first; when the CPUs are counted for a second arena also, once, sched_getaffinity, and openat,
 * read and close of the files of control groups (narenas:1 spares them); with the options
 * background_thread and idle_purge also, once, rt_sigprocmask, prctl and what makes a thread; with
 * process_madvise_max_batch the call of that name.
 */
#include "os/os.h"

#include "base/text.h"
#include "os/linux/cpu_quota.h"
#include "os/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The kernel's numbers; musl's compiler wrapper has no kernel headers. */
#ifndef FUTEX_WAIT_PRIVATE
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18: pages that mlock holds */
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef PIDFD_SELF_PROCESS
#define PIDFD_SELF_PROCESS (-10001) /* Linux 6.14: the calling process, without a descriptor */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum {
    OS_PAGE_DEFAULT = 4096,
    NS_PER_SECOND = 1000000000,
/* libc's least is 16 KiB, but 128 KiB where vector registers may be long. */
#ifdef __aarch64__
    SMALL_STACK_BYTES = 128 * 1024,
#else
    SMALL_STACK_BYTES = 64 * 1024,
#endif
};

size_t os_page_bytes = OS_PAGE_DEFAULT;

void os_start(void)
{
    unsigned long page_bytes = getauxval(AT_PAGESZ);
    if (page_bytes != 0) {
        os_page_bytes = page_bytes;
    }
}

/* Calls that fail set errno, which belongs to the program: each function here puts it back. */
void *os_map(void *hint, size_t size_bytes)
{
    ASSERT(size_bytes % os_page_bytes == 0);
    int saved_errno = errno;
    void *address =
        mmap(hint, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved_errno;
    return address == MAP_FAILED ? NULL : address;
}

bool os_unmap(void *address, size_t size_bytes)
{
    int saved_errno = errno;
    bool done = munmap(address, size_bytes) == 0;
    errno = saved_errno;
    return done;
}

static bool advise(void *address, size_t size_bytes, int advice)
{
    int saved_errno = errno;
    bool done = madvise(address, size_bytes, advice) == 0;
    errno = saved_errno;
    return done;
}

static bool remap(void *address, size_t old_bytes, size_t new_bytes, int flags, void *target)
{
    int saved_errno = errno;
    bool done = mremap(address, old_bytes, new_bytes, flags, target) != MAP_FAILED;
    errno = saved_errno;
    return done;
}

/* Gives back a piece that was mapped a moment ago. Such a call fails only when it would split a
 * mapping above the kernel's limit; then the address space stays reserved and untouched. */
static void trim(char *address, size_t size_bytes)
{
    if (size_bytes > 0 && !os_unmap(address, size_bytes)) {
        return;
    }
}

void *os_map_aligned(size_t size_bytes, size_t alignment)
{
    char *address = os_map(NULL, size_bytes);
    if (address == NULL || (uintptr_t)address % alignment == 0) {
        return address;
    }
    /* Not aligned by luck (kernels from 6.7 on align large mappings): map more, cut both ends. */
    if (!os_unmap(address, size_bytes) || size_bytes + alignment < size_bytes) {
        return NULL;
    }
    address = os_map(NULL, size_bytes + alignment - os_page_bytes);
    if (address == NULL) {
        return NULL;
    }
    size_t head = (0 - (uintptr_t)address) & (alignment - 1);
    trim(address, head);
    trim(address + head + size_bytes, alignment - os_page_bytes - head);
    return address + head;
}

/* libc's sbrk() is for one thread at a time. Never held at fork: who takes it holds the lock of the
 * pool of chunks or of the allocator's own memory. */
static struct lock break_lock = {.rank = LOCK_BREAK};

/* Grows by what is missing to the alignment and the size. Where the program moves the break between
 * the two calls, what came is not aligned, and untouched address space is lost. Lock held. */
static char *try_break(size_t size_bytes, size_t alignment)
{
    char *now = sbrk(0);
    size_t head = (0 - (uintptr_t)now) & (alignment - 1);
    if (now == (char *)-1 || head + size_bytes > PTRDIFF_MAX) {
        return NULL;
    }
    char *got = sbrk((intptr_t)(head + size_bytes));
    return got == (char *)-1 ? NULL : got + head;
}

void *os_break_aligned(size_t size_bytes, size_t alignment)
{
    enum { TRIES = 4 };
    int saved_errno = errno;
    char *address = NULL;
    lock_acquire(&break_lock);
    for (unsigned i = 0; i < TRIES; i++) {
        address = try_break(size_bytes, alignment);
        if (address == NULL || (uintptr_t)address % alignment == 0) {
            break;
        }
        address = NULL;
    }
    lock_release(&break_lock);
    errno = saved_errno;
    return address;
}

static bool drop_content(void *address, size_t size_bytes)
{
    return advise(address, size_bytes, MADV_DONTNEED) ||
           advise(address, size_bytes, MADV_DONTNEED_LOCKED);
}

bool os_purge_is_trusted;

/* What is known of drop_content(): any thread, relaxed; two may find the same out. */
static _Atomic unsigned purge_truth;
enum { PURGE_UNTRIED, PURGE_TRUE, PURGE_FALSE };

static COLD NOINLINE unsigned try_purge(void)
{
    volatile char *page = os_map(NULL, os_page_bytes);
    if (page == NULL) {
        return PURGE_TRUE; /* until the next time */
    }
    *page = 1;
    unsigned truth = !drop_content((void *)page, os_page_bytes) ? PURGE_UNTRIED
                     : *page == 0                               ? PURGE_TRUE
                                                                : PURGE_FALSE;
    atomic_store_explicit(&purge_truth, truth, memory_order_relaxed);
    trim((char *)page, os_page_bytes);
    return truth;
}

static bool purge_works(void)
{
    unsigned truth = atomic_load_explicit(&purge_truth, memory_order_relaxed);
    if (UNLIKELY(truth != PURGE_TRUE) && !os_purge_is_trusted) {
        truth = truth == PURGE_UNTRIED ? try_purge() : truth;
        return truth == PURGE_TRUE;
    }
    return true;
}

bool os_purge(void *address, size_t size_bytes)
{
    return purge_works() && drop_content(address, size_bytes);
}

bool os_purge_lazily(void *address, size_t size_bytes)
{
    return advise(address, size_bytes, MADV_FREE);
}

/* A kernel that refuses once is not asked again; nor is one that met pages that mlock holds. */
unsigned os_purge_batch(const struct os_range *ranges, unsigned count, bool lazily)
{
    static_assert(sizeof *ranges == sizeof(struct iovec) &&
                      offsetof(struct os_range, size_bytes) == offsetof(struct iovec, iov_len),
                  "ranges are the kernel's vectors");
    static atomic_bool refused;
    if (atomic_load_explicit(&refused, memory_order_relaxed) || (!lazily && !purge_works())) {
        return 0;
    }
    int saved_errno = errno;
    long bytes = syscall(SYS_process_madvise, PIDFD_SELF_PROCESS, ranges, (unsigned long)count,
                         lazily ? MADV_FREE : MADV_DONTNEED, 0ul);
    errno = saved_errno;
    if (bytes <= 0) {
        atomic_store_explicit(&refused, true, memory_order_relaxed);
        return 0;
    }
    unsigned done = 0;
    for (size_t left = (size_t)bytes; done < count && left >= ranges[done].size_bytes; done++) {
        left -= ranges[done].size_bytes;
    }
    return done;
}

static bool protect(void *address, size_t size_bytes, int protection)
{
    int saved_errno = errno;
    bool done = syscall(SYS_mprotect, address, size_bytes, protection) == 0;
    errno = saved_errno;
    return done;
}

bool os_guard(void *address, size_t size_bytes)
{
    return protect(address, size_bytes, PROT_NONE);
}

bool os_unguard(void *address, size_t size_bytes)
{
    return protect(address, size_bytes, PROT_READ | PROT_WRITE);
}

bool os_grow_in_place(void *address, size_t old_bytes, size_t new_bytes)
{
    return remap(address, old_bytes, new_bytes, 0, NULL);
}

bool os_move(void *address, size_t old_bytes, void *target, size_t new_bytes)
{
    return remap(address, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target);
}

void os_want_huge_pages(void *address, size_t size_bytes)
{
    (void)advise(address, size_bytes, MADV_HUGEPAGE);
}

void os_refuse_huge_pages(void *address, size_t size_bytes)
{
    (void)advise(address, size_bytes, MADV_NOHUGEPAGE);
}

bool os_collapse(void *address, size_t size_bytes)
{
    return advise(address, size_bytes, MADV_COLLAPSE);
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    if (NEVER(clock_gettime(clock, &now) != 0)) {
        return 0;
    }
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t os_time_coarse_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

uint64_t os_time_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t os_time_of_day_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

/* The CPUs of the process's first thread: the others may be bound to a CPU each. libc's wrappers,
 * and that of readlink, would cost the start of every program a symbol each. False when there are
 * more than the set holds. */
static bool read_affinity(cpu_set_t *set)
{
    int saved_errno = errno;
    memset(set, 0, sizeof *set);
    long bytes = syscall(SYS_sched_getaffinity, syscall(SYS_getpid), sizeof *set, set);
    errno = saved_errno;
    return bytes >= 0;
}

static unsigned affinity_count(void)
{
    cpu_set_t set;
    if (!read_affinity(&set)) {
        return CPU_SETSIZE;
    }
    unsigned count = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        count += CPU_ISSET(cpu, &set) != 0;
    }
    return count < 1 ? 1 : count;
}

unsigned os_cpu_end(void)
{
    cpu_set_t set;
    unsigned end = CPU_SETSIZE;
    if (read_affinity(&set)) {
        while (end > 1 && !CPU_ISSET(end - 1, &set)) {
            end--;
        }
    }
    return end;
}

unsigned os_cpu_now(void)
{
    unsigned cpu = 0;
    int saved_errno = errno;
    long result = syscall(SYS_getcpu, &cpu, NULL, NULL);
    errno = saved_errno;
    return result == 0 ? cpu : 0;
}

/* The kernel leaves in the affinity only CPUs of the control group's set. */
unsigned os_cpu_count(void)
{
    unsigned count = affinity_count();
    unsigned quota = cpu_quota("");
    return count < quota ? count : quota;
}

/* A scan of its own: getenv() lies on pages of libc that a small program would touch for nothing
 * else. */
const char *os_environment(const char *name)
{
    if (getauxval(AT_SECURE) != 0 || environ == NULL) {
        return NULL;
    }
    size_t length = strlen(name);
    for (char **entry = environ; *entry != NULL; entry++) {
        if (text_is_same_for(*entry, name, length) && (*entry)[length] == '=') {
            return *entry + length + 1;
        }
    }
    return NULL;
}

bool os_link_text(const char *path, char *buffer, size_t size_bytes)
{
    int saved_errno = errno;
    long length = syscall(SYS_readlinkat, AT_FDCWD, path, buffer, size_bytes - 1);
    errno = saved_errno;
    if (length < 0) {
        return false;
    }
    buffer[length] = '\0';
    return true;
}

bool os_file_text(const char *path, char *buffer, size_t size_bytes)
{
    int saved_errno = errno;
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    long length = file < 0 ? -1 : syscall(SYS_read, file, buffer, size_bytes - 1);
    if (file >= 0) {
        (void)syscall(SYS_close, file);
    }
    errno = saved_errno;
    if (length < 0) {
        return false;
    }
    buffer[length] = '\0';
    return true;
}

static void futex(uint32_t *word, int operation, uint32_t value, const struct timespec *limit)
{
    int saved_errno = errno;
    (void)syscall(SYS_futex, word, operation, value, limit, NULL, 0);
    errno = saved_errno;
}

void os_wait(uint32_t *word, uint32_t expected)
{
    futex(word, FUTEX_WAIT_PRIVATE, expected, NULL);
}

void os_wait_for(uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    struct timespec limit = {(time_t)(timeout_ns / NS_PER_SECOND),
                             (long)(timeout_ns % NS_PER_SECOND)};
    futex(word, FUTEX_WAIT_PRIVATE, expected, &limit);
}

void os_wake(uint32_t *word, unsigned waiters)
{
    futex(word, FUTEX_WAKE_PRIVATE, waiters, NULL);
}

/* A signal set as the kernel has it: bit s - 1 is signal s. libc sends some of the first real-time
 * ones to all threads, for setuid() and the like, and waits for each: those stay open. The call is
 * the kernel's, since each function of libc costs the start of every program a symbol. */
static uint64_t set_signal_mask(uint64_t mask)
{
#ifdef __GLIBC__
    const uint64_t open = (uint64_t)3 << 31; /* 32 and 33 */
#else
    const uint64_t open = (uint64_t)7 << 31; /* musl: 34 too */
#endif
    uint64_t wanted = mask & ~open;
    uint64_t before = 0;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &wanted, &before, sizeof before);
    return before;
}

/* Attributes hold no memory before they get a set of CPUs, so none are destroyed. Where the
 * program's thread-local variables do not fit on a small stack, the thread gets one as the others.
 */
static bool create_thread(pthread_t *thread, void *(*body)(void *), void *opaque)
{
    pthread_attr_t attributes;
    bool small = pthread_attr_init(&attributes) == 0 &&
                 pthread_attr_setstacksize(&attributes, SMALL_STACK_BYTES) == 0;
    int error = small ? pthread_create(thread, &attributes, body, opaque) : EINVAL;
    if (error == EINVAL) {
        error = pthread_create(thread, NULL, body, opaque);
    }
    return error == 0;
}

bool os_thread_start(uintptr_t *thread, void *(*body)(void *), void *opaque)
{
    int saved_errno = errno;
    pthread_t created;
    uint64_t mask = set_signal_mask(~(uint64_t)0);
    bool done = create_thread(&created, body, opaque);
    (void)set_signal_mask(mask);
    errno = saved_errno;
    if (done) {
        *thread = (uintptr_t)created;
    }
    return done;
}

void os_thread_join(uintptr_t thread)
{
    (void)pthread_join((pthread_t)thread, NULL);
}

void os_thread_set_name(const char *name)
{
    (void)syscall(SYS_prctl, PR_SET_NAME, name, 0, 0, 0);
}

void os_thread_name(char name[OS_THREAD_NAME_BYTES])
{
    if (syscall(SYS_prctl, PR_GET_NAME, name, 0, 0, 0) != 0) {
        name[0] = '\0';
    }
}

uintptr_t os_thread_self(void)
{
    return (uintptr_t)pthread_self();
}
