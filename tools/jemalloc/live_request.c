/* live_request.c: the protocol of control/outside_block.h, from outside. See live_request.h.
 *
 * Each field is written by a call of its own: the kernel copies words of 8 bytes whole, and the
 * fence between two calls keeps their order.
 */
#include "live_request.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

enum {
    POLL_MS_MIN = 1, /* doubled up to the most: a busy process answers within microseconds */
    POLL_MS_MAX = 20,
};

struct wait {
    uint64_t end_ms;
    unsigned poll_ms;
    bool is_interrupted;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct wait wait_begin(unsigned timeout_ms)
{
    return (struct wait){.end_ms = now_ms() + timeout_ms, .poll_ms = POLL_MS_MIN};
}

static void stopping_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGHUP);
}

/* Sleeps a little. False when the time is over, or a signal came, which is held. */
static bool wait_more(struct wait *wait)
{
    sigset_t signals;
    struct timespec nap = {.tv_nsec = (long)wait->poll_ms * 1000000};
    if (wait->is_interrupted || now_ms() >= wait->end_ms) {
        return false;
    }
    stopping_signals(&signals);
    wait->is_interrupted = sigtimedwait(&signals, NULL, &nap) > 0;
    wait->poll_ms = wait->poll_ms * 2 < POLL_MS_MAX ? wait->poll_ms * 2 : POLL_MS_MAX;
    return !wait->is_interrupted;
}

/* The process sees what was written before, if it sees what is written after. ThreadSanitizer knows
 * the fence of stdatomic.h no more than this one, but refuses to compile it. */
static void order_writes(void)
{
    __sync_synchronize();
}

static bool put_word(const struct live_process *process, uintptr_t address, uint64_t word)
{
    bool is_written = live_process_write(process, address, &word, sizeof word);
    order_writes();
    return is_written;
}

static bool fail_ended(struct live_process *process)
{
    return live_process_fail(process, VERB_FAILED,
                             "process %d ended, or began another program, before it answered",
                             process->number);
}

static bool fail_busy(struct live_process *process)
{
    return live_process_fail(process, VERB_FAILED,
                             "another command for process %d is not done yet: nothing was asked",
                             process->number);
}

/* How a withdrawal ended. */
enum withdrawal { WITHDRAWN, NOT_WITHDRAWN, PROCESS_GONE };

/* Takes a request back that was not answered in time. */
static enum withdrawal withdraw(const struct live_process *process, const struct live_block *at,
                                uint64_t request)
{
    struct outside_block block;
    if (!put_word(process, at->block + offsetof(struct outside_block, withdrawn), request) ||
        !live_block_read(process, at, &block)) {
        return PROCESS_GONE;
    }
    if (block.taken == request) {
        return NOT_WITHDRAWN;
    }
    return put_word(process, at->block + offsetof(struct outside_block, request), 0) ? WITHDRAWN
                                                                                     : PROCESS_GONE;
}

/* Whether nothing is under way in the process, now that what a killed program left behind is
 * withdrawn. */
static bool is_idle(struct live_process *process, const struct live_block *at,
                    struct outside_block *block)
{
    bool is_there = live_block_read(process, at, block);
    if (is_there && block->request != 0) {
        is_there = withdraw(process, at, block->request) != PROCESS_GONE &&
                   live_block_read(process, at, block);
    }
    if (!is_there) {
        return fail_ended(process);
    }
    return block->request == 0 && block->taken == block->answered;
}

/* The lock is held. */
static bool wait_for_turn(struct live_process *process, const struct live_block *at,
                          struct wait *wait, struct outside_block *block)
{
    process->problem[0] = '\0';
    while (!is_idle(process, at, block)) {
        if (process->problem[0] != '\0') {
            return false;
        }
        if (!wait_more(wait)) {
            return fail_busy(process);
        }
    }
    return true;
}

static uint64_t next_number(const struct outside_block *block)
{
    uint64_t last = block->taken > block->withdrawn ? block->taken : block->withdrawn;
    return (last >> OUTSIDE_ACTION_BITS) + 1;
}

static bool send(struct live_process *process, const struct live_block *at,
                 const struct live_request *request, uint64_t word)
{
    const char *path = request->path != NULL ? request->path : "";
    uint32_t number = process->own_number;
    bool is_sent = live_process_write(process, at->path, path, strlen(path) + 1) &&
                   live_process_write(process, at->block + offsetof(struct outside_block, process),
                                      &number, sizeof number);
    order_writes();
    is_sent =
        is_sent && put_word(process, at->block + offsetof(struct outside_block, request), word);
    return is_sent || fail_ended(process);
}

/* True once the request is answered; false, without a reason, when that takes too long. */
static bool wait_for_answer(struct live_process *process, const struct live_block *at,
                            struct wait *wait, uint64_t word)
{
    struct outside_block block;
    do {
        if (!live_block_read(process, at, &block)) {
            return fail_ended(process);
        }
        if (block.answered == word) {
            return true;
        }
    } while (wait_more(wait));
    return false;
}

static bool fail_unanswered(struct live_process *process, const struct live_request *request,
                            bool is_interrupted)
{
    if (is_interrupted) {
        return live_process_fail(process, VERB_FAILED,
                                 "interrupted: nothing was done in process %d", process->number);
    }
    if (live_process_look(process)) {
        live_process_fail(process, VERB_FAILED,
                          "process %d (%s) did not answer within %u ms, so nothing was done: it %s",
                          process->number, process->name, request->timeout_ms,
                          live_process_is_stopped(process)
                              ? "is stopped"
                              : "did not allocate meanwhile (--timeout waits longer)");
    }
    return false;
}

/* The time is over. True when the answer came after all. */
static bool settle(struct live_process *process, const struct live_block *at,
                   const struct live_request *request, struct wait *wait, uint64_t word)
{
    bool is_interrupted = wait->is_interrupted;
    switch (withdraw(process, at, word)) {
    case WITHDRAWN:
        return fail_unanswered(process, request, is_interrupted);
    case PROCESS_GONE:
        return fail_ended(process);
    case NOT_WITHDRAWN:
        break;
    }
    /* It is at it: a profile takes its time. */
    *wait = wait_begin(request->timeout_ms);
    process->problem[0] = '\0';
    if (wait_for_answer(process, at, wait, word)) {
        return true;
    }
    if (process->problem[0] == '\0') {
        live_process_fail(process, VERB_UNCERTAIN,
                          "process %d (%s) has begun with it, and is not done yet", process->number,
                          process->name);
    }
    return false;
}

static bool read_answer(struct live_process *process, const struct live_block *at,
                        struct live_answer *answer)
{
    struct outside_block block;
    if (!live_block_read(process, at, &block) ||
        !live_process_read(process, at->path, answer->path, sizeof answer->path)) {
        return fail_ended(process);
    }
    answer->path[sizeof answer->path - 1] = '\0';
    answer->error = (int)block.error;
    return true;
}

/* The lock is held. */
static bool ask(struct live_process *process, const struct live_block *at,
                const struct live_request *request, struct wait *wait, struct live_answer *answer)
{
    struct outside_block block;
    if (!wait_for_turn(process, at, wait, &block)) {
        return false;
    }
    uint64_t word = next_number(&block) << OUTSIDE_ACTION_BITS | (uint64_t)request->action;
    if (!send(process, at, request, word)) {
        return false;
    }
    process->problem[0] = '\0';
    bool is_answered = wait_for_answer(process, at, wait, word);
    if (!is_answered && process->problem[0] != '\0') {
        return false;
    }
    return (is_answered || settle(process, at, request, wait, word)) &&
           read_answer(process, at, answer);
}

bool live_request_make(struct live_process *process, const struct live_block *at,
                       const struct live_request *request, struct live_answer *answer)
{
    struct wait wait = wait_begin(request->timeout_ms);
    sigset_t signals;
    sigset_t before;
    bool is_locked;
    stopping_signals(&signals);
    sigprocmask(SIG_BLOCK, &signals, &before);
    do {
        is_locked = flock(process->memory, LOCK_EX | LOCK_NB) == 0;
    } while (!is_locked && errno == EWOULDBLOCK && wait_more(&wait));
    bool is_done = is_locked ? ask(process, at, request, &wait, answer) : fail_busy(process);
    if (is_locked) {
        flock(process->memory, LOCK_UN);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return is_done;
}
