/* files.c: files.h on Linux, by system calls without libc's names for them: each would cost the
 * start of every program some 900 instructions, and only profiling needs these.
 */
#include "os/files.h"

#include "os/os.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREATION_MODE = 0644 };

static int open_file(const char *path, int flags)
{
    int saved_errno = errno;
    long file;
    do {
        file = syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, CREATION_MODE);
    } while (file < 0 && errno == EINTR);
    errno = saved_errno;
    return (int)file;
}

int os_file_create(const char *path, bool must_be_new)
{
    return open_file(path, O_WRONLY | O_CREAT | (must_be_new ? O_EXCL : O_TRUNC));
}

int os_file_open(const char *path)
{
    return open_file(path, O_RDONLY);
}

ptrdiff_t os_file_read(int file, void *buffer, size_t size_bytes)
{
    int saved_errno = errno;
    long count;
    do {
        count = syscall(SYS_read, file, buffer, size_bytes);
    } while (count < 0 && errno == EINTR);
    errno = saved_errno;
    return count;
}

bool os_file_write(int file, const void *bytes, size_t size_bytes)
{
    int saved_errno = errno;
    const char *at = bytes;
    size_t left = size_bytes;
    while (left > 0) {
        long count = syscall(SYS_write, file, at, left); /* no point of cancellation */
        if (count > 0) {
            at += count;
            left -= (size_t)count;
        } else if (count == 0 || errno != EINTR) {
            break;
        }
    }
    errno = saved_errno;
    return left == 0;
}

bool os_file_close(int file)
{
    int saved_errno = errno;
    bool closed = syscall(SYS_close, file) == 0 || errno == EINTR;
    errno = saved_errno;
    return closed;
}

bool os_file_rename(const char *from, const char *to)
{
    int saved_errno = errno;
    bool done = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0) == 0;
    errno = saved_errno;
    return done;
}

void os_file_remove(const char *path)
{
    int saved_errno = errno;
    (void)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    errno = saved_errno;
}

bool os_file_is_special(const char *path)
{
    int saved_errno = errno;
    struct stat status;
    bool special = syscall(SYS_newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                   !S_ISREG(status.st_mode);
    errno = saved_errno;
    return special;
}

static const uint64_t write_signals = (uint64_t)1 << (SIGXFSZ - 1) | (uint64_t)1 << (SIGPIPE - 1);

uint64_t os_write_signals_hold(void)
{
    int saved_errno = errno;
    uint64_t before = 0;
    (void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, &write_signals, &before, sizeof before);
    errno = saved_errno;
    return before;
}

/* Takes what the writes raised, unless the program held the signal itself: then it may have raised
 * it. */
void os_write_signals_release(uint64_t held)
{
    int saved_errno = errno;
    uint64_t ours = write_signals & ~held;
    struct timespec now = {0, 0};
    while (ours != 0 && syscall(SYS_rt_sigtimedwait, &ours, NULL, &now, sizeof ours) > 0) {
    }
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &held, NULL, sizeof held);
    errno = saved_errno;
}

bool os_memory_read(uintptr_t address, void *buffer, size_t size_bytes)
{
    int saved_errno = errno;
    struct iovec own = {buffer, size_bytes};
    struct iovec other = {(void *)address, size_bytes}; /* NOLINT */
    long count = syscall(SYS_process_vm_readv, syscall(SYS_getpid), &own, 1ul, &other, 1ul, 0ul);
    errno = saved_errno;
    return count >= 0 && (size_t)count == size_bytes;
}

uint64_t os_process_id(void)
{
    return (uint64_t)syscall(SYS_getpid);
}

/* The link's text is pid:[4026531836]. */
uint64_t os_pid_namespace(void)
{
    char text[64];
    uint64_t number = 0;
    if (!os_link_text("/proc/self/ns/pid", text, sizeof text)) {
        return 0;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at >= '0' && *at <= '9') {
            number = number * 10 + (uint64_t)(*at - '0');
        }
    }
    return number;
}

/* glibc's exit() may be called by a function that it runs: it goes on with those that are left, and
 * writes out stdio's buffers, with the new status. Other C libraries allow that or not. Looked up
 * by name where the reference would be one more for the loader. */
#ifdef __GLIBC__
static void exit_again(int status)
{
#if !defined(__PIC__) || defined(__PIE__)
    exit(status);
#else
    void (*function)(int);
    *(void **)&function = dlsym(RTLD_DEFAULT, "exit");
    if (function != NULL) {
        function(status);
    }
#endif
}
#else
static void exit_again(int status)
{
    (void)status;
}
#endif

void os_exit(int status)
{
    exit_again(status);
    for (;;) {
        (void)syscall(SYS_exit_group, status);
    }
}
