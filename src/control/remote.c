/* remote.c: takes and answers requests from outside. See remote.h.
 *
 * The block is in .data, of which each start writes the first page anyway: where it is looked at,
 * in .bss, another page would be touched. The path lies elsewhere, since few ever need it.
 */
#include "control/remote.h"

#include "cache/thread.h"
#include "control/profiling.h"
#include "os/files.h"
#include "profile/dump.h"
#include "profile/dump_file.h"

#include <errno.h>

/* Written out in assembly: a distance of the linker's is no relocation at the program's start. The
 * numbers stand for REMOTE_NOTE_TYPE, REMOTE_VERSION and REMOTE_PATH_BYTES. */
__asm__(".pushsection .note.dg-jemalloc, \"a\", %note\n"
        ".balign 4\n"
        ".long 12, 16, 1\n"
        ".asciz \"dg-jemalloc\"\n"
        ".long 1\n"
        ".long remote_block - .\n"
        ".long remote_path - .\n"
        ".long 4096\n"
        ".popsection\n");

static_assert((int)REMOTE_NOTE_TYPE == 1, "as in the note");
static_assert((int)REMOTE_VERSION == 1, "as in the note");
static_assert((int)REMOTE_PATH_BYTES == 4096, "as in the note");
static_assert((int)REMOTE_PATH_BYTES == (int)DUMP_PATH_BYTES, "a name of a profile has room");

__attribute__((section(".data.remote_block"))) struct remote_block remote_block;

/* Named by the note alone. */
extern HIDDEN char remote_path[REMOTE_PATH_BYTES];
__attribute__((used)) char remote_path[REMOTE_PATH_BYTES];

/* As prof.dump would. */
static int write_profile(void)
{
    if (!profiling_is_open()) {
        return ENOENT;
    }
    profiling_prepare();
    remote_path[REMOTE_PATH_BYTES - 1] = '\0';
    if (remote_path[0] == '\0' && !dump_take_name(DUMP_MANUAL, remote_path)) {
        return EINVAL;
    }
    return dump_write_to(remote_path) ? 0 : EFAULT;
}

static int act(enum remote_action action)
{
    switch (action) {
    case REMOTE_ON:
        return profiling_activate_unloaded() ? 0 : EOPNOTSUPP;
    case REMOTE_OFF:
        profiling_set_active(false);
        return 0;
    case REMOTE_DUMP:
        return write_profile();
    case REMOTE_NONE:
        break;
    }
    return ENOSYS;
}

/* Makes a request the calling thread's. One that was meant for the process that forked this one is
 * dropped. */
static bool take(uint64_t request)
{
    bool is_ours =
        atomic_load_explicit(&remote_block.process, memory_order_relaxed) == os_process_id();
    return atomic_compare_exchange_strong_explicit(&remote_block.request, &request, 0,
                                                   memory_order_acq_rel, memory_order_relaxed) &&
           is_ours;
}

static void serve(uint64_t request)
{
    atomic_store_explicit(&remote_block.taken, request, memory_order_seq_cst);
    bool is_withdrawn =
        atomic_load_explicit(&remote_block.withdrawn, memory_order_seq_cst) == request;
    enum remote_action action =
        (enum remote_action)(request & (((uint64_t)1 << REMOTE_ACTION_BITS) - 1));
    remote_block.error = (uint32_t)(is_withdrawn ? ECANCELED : act(action));
    atomic_store_explicit(&remote_block.answered, request, memory_order_release);
}

void remote_serve(void)
{
    static atomic_flag serving = ATOMIC_FLAG_INIT;
    uint64_t request = atomic_load_explicit(&remote_block.request, memory_order_acquire);
    if (request == 0 || thread_front_now()->cache == NULL ||
        atomic_flag_test_and_set_explicit(&serving, memory_order_acquire)) {
        return;
    }
    int saved_errno = errno;
    if (take(request)) {
        serve(request);
    }
    errno = saved_errno;
    atomic_flag_clear_explicit(&serving, memory_order_release);
}
