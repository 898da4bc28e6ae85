/* refused_calls.h: a child process in which the kernel refuses system calls from now on.
 *
 * The test stands above this file's include, with its own checks.
 */
#ifndef TEST_UNIT_REFUSED_CALLS_H
#define TEST_UNIT_REFUSED_CALLS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_REFUSE = 77 };

/* ThreadSanitizer unmaps memory of its own with the program's, and ends the process where it may
 * not. */
#ifdef __SANITIZE_THREAD__
enum { MAY_REFUSE_UNMAPS = 0 };
#else
enum { MAY_REFUSE_UNMAPS = 1 };
#endif

/* Two calls by their numbers, in all threads of the process, which ends where filters cannot be
 * had. */
static inline void refuse_calls(long one, long other, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)one, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)other, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        _exit(CANNOT_REFUSE);
    }
}

/* No thread from now on: the kernel says EAGAIN, as at the limit of processes. */
static inline void refuse_threads(void)
{
    refuse_calls(SYS_clone3, SYS_clone, EAGAIN);
}

/* Skips the test when the child, which ended with the status, could not refuse. */
static inline void skip_unless_refused(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_REFUSE) {
        skip();
    }
}

#endif
