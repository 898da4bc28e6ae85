/* record.h: what the mark of a sampled block (sampled.h) leads to.
 *
 *      63 ........ 42 | 41 ................. 1 0
 *      unused bytes   | address of the tally / 64    the address is a multiple of 128: bit 0 is 0
 *
 *      63 ......................... 1 0
 *      address of a record, plus 1                   bit 0 is 1
 *
 * A plain mark is, with the block's size, all that heap profiles need of a sample. Unused are the
 * bytes that were not asked for; from 2^21 on they are counted in MiB. What needs to know more of
 * each sample asks for records: from then on new samples have one, of 32 bytes. Samples from before
 * have none, and keep to that.
 *
 * Thread safety: all functions may be called by any thread. A record belongs to its block: whoever
 * has the mark may read it, and whoever ends the block gives it back. The rest may be called with
 * any lock of a rank before LOCK_RECORD held; nothing allocates from the program's heap.
 */
#ifndef PROFILE_RECORD_H
#define PROFILE_RECORD_H

#include "profile/tally.h"

struct recent;

struct record {
    uint64_t alloc_time_ns; /* immutable while the block lives, like the next two: os_time_ns() */
    struct tally *tally;
    size_t requested_bytes;
    union {
        /* Its entry in the list of recent samples, or NULL: the block's thread and, under that
         * list's lock, those who take entries away (release; acquired by the block's end: from then
         * on the record is its own). */
        _Atomic(struct recent *) recent;
        struct record *next; /* of the free ones: under the lock */
    };
};

static_assert(sizeof(struct record) == 32, "the price of a sample that has one");

/* Who needs records. */
enum record_user { RECORD_LOG, RECORD_RECENT, RECORD_LIFETIME };

/* Before the first sample. */
void record_start(void);
/* From now on samples have records for that user, or not. */
void record_want(enum record_user user, bool wants);
bool record_is_wanted(void);

/* A record that bears the present time; NULL when none is wanted, or memory is refused. */
MUST_USE struct record *record_new(void);
/* What a mark without a record keeps of the bytes that were asked for. */
size_t record_kept_bytes(size_t requested_bytes, size_t usable_bytes);
/* The mark of a sample: by its record, which may be NULL. Then requested_bytes is a number that is
 * kept. */
uint64_t record_mark(struct record *record, struct tally *tally, size_t requested_bytes,
                     size_t usable_bytes);

struct record *record_of(uint64_t mark); /* NULL: there is none */
struct tally *record_tally(uint64_t mark);
size_t record_requested_bytes(uint64_t mark, size_t usable_bytes);

/* Gives it back; NULL is harmless. */
void record_free(struct record *record);

/* The end of a sampled block, for the log and the list of recent samples. */
struct sample_end {
    const struct tally *tally; /* of its sample */
    uint64_t alloc_time_ns;    /* 0: not known, it had no record */
    uint64_t free_time_ns;
    struct profiled_thread *thread; /* that ended it; NULL: one that is ending itself, without a
                                     * record, or memory was refused */
    struct trace *trace;            /* where; held by the caller; NULL: memory was refused */
    size_t usable_bytes;
};

/* A time as files have it: of the clock that the option prof_time_resolution says. The shift is
 * one for all times of a file. 0 stays. */
uint64_t record_time_shift(void);
static inline uint64_t record_shown_time(uint64_t time_ns, uint64_t shift)
{
    return time_ns == 0 ? 0 : time_ns + shift;
}

/* The lock, for fork. */
struct lock *record_lock(void);

#endif
