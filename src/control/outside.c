/* outside.c: takes and answers requests from outside. See outside.h.
 *
 * The block is in .data, of which each start writes the first page anyway: where it is looked at,
 * in .bss, another page would be touched. The path lies elsewhere, since few ever need it.
 */
#include "control/outside.h"

#include "cache/thread.h"
#include "control/profiling.h"
#include "os/files.h"
#include "profile/dump.h"
#include "profile/dump_file.h"

#include <errno.h>

/* Written out in assembly: a distance of the linker's is no relocation at the program's start. The
 * numbers stand for OUTSIDE_NOTE_TYPE, OUTSIDE_VERSION and OUTSIDE_PATH_BYTES. */
__asm__(".pushsection .note.dg-jemalloc, \"a\", %note\n"
        ".balign 4\n"
        ".long 12, 16, 1\n"
        ".asciz \"dg-jemalloc\"\n"
        ".long 1\n"
        ".long outside_block - .\n"
        ".long outside_path - .\n"
        ".long 4096\n"
        ".popsection\n");

static_assert((int)OUTSIDE_NOTE_TYPE == 1, "as in the note");
static_assert((int)OUTSIDE_VERSION == 1, "as in the note");
static_assert((int)OUTSIDE_PATH_BYTES == 4096, "as in the note");
static_assert((int)OUTSIDE_PATH_BYTES == (int)DUMP_PATH_BYTES, "a name of a profile has room");

__attribute__((section(".data.outside_block"))) struct outside_block outside_block;

/* Named by the note alone. */
extern HIDDEN char outside_path[OUTSIDE_PATH_BYTES];
__attribute__((used)) char outside_path[OUTSIDE_PATH_BYTES];

/* As prof.dump would. */
static int write_profile(void)
{
    if (!profiling_is_open()) {
        return ENOENT;
    }
    profiling_prepare();
    outside_path[OUTSIDE_PATH_BYTES - 1] = '\0';
    if (outside_path[0] == '\0' && !dump_take_name(DUMP_MANUAL, outside_path)) {
        return EINVAL;
    }
    return dump_write_to(outside_path) ? 0 : EFAULT;
}

static int act(enum outside_action action)
{
    switch (action) {
    case OUTSIDE_ON:
        return profiling_activate_unloaded() ? 0 : EOPNOTSUPP;
    case OUTSIDE_OFF:
        profiling_set_active(false);
        return 0;
    case OUTSIDE_DUMP:
        return write_profile();
    case OUTSIDE_NONE:
        break;
    }
    return ENOSYS;
}

/* Makes a request the calling thread's. One that was meant for the process that forked this one is
 * dropped. */
static bool take(uint64_t request)
{
    bool is_ours =
        atomic_load_explicit(&outside_block.process, memory_order_relaxed) == os_process_id();
    return atomic_compare_exchange_strong_explicit(&outside_block.request, &request, 0,
                                                   memory_order_acq_rel, memory_order_relaxed) &&
           is_ours;
}

static void serve(uint64_t request)
{
    atomic_store_explicit(&outside_block.taken, request, memory_order_seq_cst);
    bool is_withdrawn =
        atomic_load_explicit(&outside_block.withdrawn, memory_order_seq_cst) == request;
    enum outside_action action =
        (enum outside_action)(request & (((uint64_t)1 << OUTSIDE_ACTION_BITS) - 1));
    outside_block.error = (uint32_t)(is_withdrawn ? ECANCELED : act(action));
    atomic_store_explicit(&outside_block.answered, request, memory_order_release);
}

void outside_serve(void)
{
    static atomic_flag serving = ATOMIC_FLAG_INIT;
    uint64_t request = atomic_load_explicit(&outside_block.request, memory_order_acquire);
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
