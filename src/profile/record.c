/* record.c: marks, and the free records. See record.h.
 *
 * Records come from the allocator's own memory, and are used again in the order in which their
 * blocks ended.
 */
#include "profile/record.h"

#include "config/options.h"
#include "os/os.h"
#include "pages/meta.h"

enum {
    TALLY_LG = 6,
    TALLY_BITS = 42,
    UNUSED_BITS = 64 - TALLY_BITS,
    MIB_LG = 20,
    HAS_RECORD = 1,
};

static_assert((int)TALLY_ALIGNMENT == 2 << TALLY_LG, "bit 0 of a plain mark is 0");
static_assert(TALLY_LG + TALLY_BITS == 48, "addresses of our own memory are below 2^48");

/* Larger numbers of unused bytes are counted in MiB. */
static const uint64_t unused_in_mib = (uint64_t)1 << (UNUSED_BITS - 1);

static struct {
    struct lock lock;
    struct record *spare;     /* under the lock */
    _Atomic unsigned wanters; /* bits of record_user; any thread, relaxed: carries no data */
} records;

void record_start(void)
{
    lock_init(&records.lock, LOCK_RECORD);
}

void record_want(enum record_user user, bool wants)
{
    if (wants) {
        atomic_fetch_or_explicit(&records.wanters, 1U << user, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(&records.wanters, ~(1U << user), memory_order_relaxed);
    }
}

bool record_is_wanted(void)
{
    return atomic_load_explicit(&records.wanters, memory_order_relaxed) != 0;
}

struct record *record_new(void)
{
    if (LIKELY(!record_is_wanted())) {
        return NULL;
    }
    lock_acquire(&records.lock);
    struct record *record = records.spare;
    if (record != NULL) {
        records.spare = record->next;
    }
    lock_release(&records.lock);
    record = record != NULL ? record : meta_alloc(sizeof *record, _Alignof(struct record));
    if (record != NULL) {
        *record = (struct record){.alloc_time_ns = os_time_ns()};
        atomic_init(&record->recent, NULL);
    }
    return record;
}

void record_free(struct record *record)
{
    if (LIKELY(record == NULL)) {
        return;
    }
    lock_acquire(&records.lock);
    record->next = records.spare;
    records.spare = record;
    lock_release(&records.lock);
}

static uint64_t encode_unused(size_t unused_bytes)
{
    if (unused_bytes < unused_in_mib) {
        return unused_bytes;
    }
    uint64_t mib = unused_bytes >> MIB_LG;
    return unused_in_mib | (mib < unused_in_mib ? mib : unused_in_mib - 1);
}

static size_t decode_unused(uint64_t bits)
{
    return bits < unused_in_mib ? bits : (bits - unused_in_mib) << MIB_LG;
}

size_t record_kept_bytes(size_t requested_bytes, size_t usable_bytes)
{
    return usable_bytes - decode_unused(encode_unused(usable_bytes - requested_bytes));
}

uint64_t record_mark(struct record *record, struct tally *tally, size_t requested_bytes,
                     size_t usable_bytes)
{
    ASSERT((uintptr_t)tally % TALLY_ALIGNMENT == 0);
    if (record != NULL) {
        record->tally = tally;
        record->requested_bytes = requested_bytes;
        return (uintptr_t)record | HAS_RECORD;
    }
    uint64_t unused = encode_unused(usable_bytes - requested_bytes);
    return unused << TALLY_BITS | (uint64_t)(uintptr_t)tally >> TALLY_LG;
}

struct record *record_of(uint64_t mark)
{
    /* NOLINTNEXTLINE */
    return (mark & HAS_RECORD) != 0 ? (struct record *)(uintptr_t)(mark - HAS_RECORD) : NULL;
}

struct tally *record_tally(uint64_t mark)
{
    const struct record *record = record_of(mark);
    if (record != NULL) {
        return record->tally;
    }
    uint64_t bits = mark & (((uint64_t)1 << TALLY_BITS) - 1);
    return (struct tally *)(uintptr_t)(bits << TALLY_LG); /* NOLINT */
}

size_t record_requested_bytes(uint64_t mark, size_t usable_bytes)
{
    const struct record *record = record_of(mark);
    return record != NULL ? record->requested_bytes
                          : usable_bytes - decode_unused(mark >> TALLY_BITS);
}

uint64_t record_time_shift(void)
{
    return options.prof_time_resolution == TIME_HIGH ? os_time_of_day_ns() - os_time_ns() : 0;
}

struct lock *record_lock(void)
{
    return &records.lock;
}
