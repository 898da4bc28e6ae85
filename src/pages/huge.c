/* huge.c: large mappings, their reuse and their growth. See huge.h.
 *
 * The owner of a unit stays while its mapping is kept for reuse; only the class code of the first
 * page comes and goes with the block.
 */
#include "pages/huge.h"

#include "base/bits.h"
#include "os/os.h"
#include "pages/extent.h"
#include "pages/idle.h"
#include "pages/mapped.h"
#include "pages/meta.h"
#include "pages/thp.h"

enum {
    CACHE_COUNT_MAX = 64,       /* kept mappings; a search looks at each */
    WASTE_DIVISOR = 8,          /* a kept mapping serves requests down to 7/8 of its size */
    GROWTH_DIVISOR = 8,         /* address space beyond what growth needs */
    BOOST_BYTES_MAX = 32 << 20, /* larger mappings cost more to keep than to make */
    TRIM_BYTES = 64 * 1024,     /* a shorter tail is not worth a call */
    SLACK_BYTES = 128 * 1024,   /* that kept mappings may add to the peak */
    HUGE_PLACE = 0,             /* of idle.h: helper 0 looks at them */
};

/* More than any address space has: nothing below can overflow. */
static const size_t HUGE_SIZE_MAX = (size_t)1 << ADDRESS_BITS;

struct huge_policy huge_policy = {
    .cache_bytes = 2u << 20,
    .cache_ms = 10000,
    .huge_pages = HUGE_PAGES_SYSTEM,
    .thp_bytes = SIZE_MAX,
};

static struct {
    struct lock lock;
    struct huge *oldest; /* under the lock, as all that follows */
    struct huge *newest;
    struct huge *free_descriptors;
    size_t cached_count;
    size_t peak_live_bytes;
    size_t boost_bytes;    /* the bound, raised while what is unmapped is wanted back soon */
    size_t unmapped_bytes; /* the last mapping that the bound refused */
    uint64_t unmapped_at_ns;
    bool calls_helper; /* clean at the helper's last look: the next kept mapping calls it */
    struct huge_statistics statistics;
} huge;

void huge_start(void)
{
    lock_init(&huge.lock, LOCK_HUGE);
    huge.calls_helper = true;
}

static void cache_remove(struct huge *entry)
{
    *(entry->previous != NULL ? &entry->previous->next : &huge.oldest) = entry->next;
    *(entry->next != NULL ? &entry->next->previous : &huge.newest) = entry->previous;
    huge.cached_count--;
    huge.statistics.cached_bytes -= entry->map_bytes;
    huge.statistics.touched_bytes -= entry->touched_bytes;
}

static void cache_append(struct huge *entry)
{
    entry->previous = huge.newest;
    entry->next = NULL;
    *(huge.newest != NULL ? &huge.newest->next : &huge.oldest) = entry;
    huge.newest = entry;
    huge.cached_count++;
    huge.statistics.cached_bytes += entry->map_bytes;
    huge.statistics.touched_bytes += entry->touched_bytes;
}

/* The smallest kept mapping that fits, out of the cache; or NULL. Without too much waste, unless
 * the block will grow into it. */
static struct huge *cache_take(size_t size_bytes, size_t alignment, bool growing)
{
    struct huge *best = NULL;
    for (struct huge *entry = huge.newest; entry != NULL; entry = entry->previous) {
        bool lean = entry->map_bytes - entry->map_bytes / WASTE_DIVISOR <= size_bytes;
        bool fits = entry->map_bytes >= size_bytes && (lean || growing) &&
                    (uintptr_t)entry->base % alignment == 0;
        if (fits && (best == NULL || entry->map_bytes < best->map_bytes)) {
            best = entry;
        }
    }
    if (best != NULL) {
        cache_remove(best);
    }
    return best;
}

static struct huge *take_descriptor(void)
{
    struct huge *descriptor = huge.free_descriptors;
    if (descriptor != NULL) {
        huge.free_descriptors = descriptor->next;
        return descriptor;
    }
    return meta_alloc(sizeof *descriptor, _Alignof(struct huge));
}

static void drop_descriptor(struct huge *descriptor)
{
    descriptor->next = huge.free_descriptors;
    huge.free_descriptors = descriptor;
}

/* Lock held. */
static void count_mapped(ptrdiff_t bytes)
{
    huge.statistics.mapped_bytes += (size_t)bytes;
    mapped_change(bytes);
}

/* The mapping is no longer there. Lock held. */
static void end_mapping(struct huge *entry)
{
    count_mapped(-(ptrdiff_t)entry->map_bytes);
    drop_descriptor(entry);
}

/* Unmaps a mapping that nobody uses. When the kernel refuses it is kept for another try, without
 * its memory if that at least can be had. Lock held. */
static void unmap(struct huge *entry)
{
    map_drop_owner(entry->base, entry);
    if (!os_unmap(entry->base, entry->map_bytes)) {
        if (os_purge(entry->base, entry->map_bytes)) {
            entry->touched_bytes = 0;
        }
        if (!map_claim_owner(entry->base, entry)) {
            /* A partial chunk took the unit meanwhile: the mapping is nobody's from now on. */
            return;
        }
        entry->freed_at_ns = os_time_coarse_ns();
        cache_append(entry);
        return;
    }
    end_mapping(entry);
}

/* Lock held. Kept mappings that cannot be unmapped come to the end of the list: callers count their
 * tries. */
static void unmap_oldest(void)
{
    struct huge *entry = huge.oldest;
    cache_remove(entry);
    unmap(entry);
}

/* What kept mappings may hold: with the live blocks no more than these alone held at their peak, so
 * that keeping costs next to nothing there. Lock held. */
static size_t room_below_peak(void)
{
    return huge.peak_live_bytes + SLACK_BYTES - huge.statistics.live_bytes;
}

/* Lock held. */
static void add_live_bytes(size_t bytes)
{
    huge.statistics.live_bytes += bytes;
    if (huge.statistics.live_bytes > huge.peak_live_bytes) {
        huge.peak_live_bytes = huge.statistics.live_bytes;
    }
    for (size_t tries = huge_policy.cache_ms < 0 ? 0 : huge.cached_count;
         tries > 0 && huge.statistics.touched_bytes > room_below_peak(); tries--) {
        unmap_oldest();
    }
}

/* Maps map_bytes for an entry and makes it the owner of the first unit. NULL when refused. */
static char *map_owned(struct huge *entry, size_t map_bytes, size_t alignment)
{
    char *base = os_map_aligned(map_bytes, alignment);
    if (base != NULL && (!map_cover(base, map_bytes) || !map_claim_owner(base, entry))) {
        (void)!os_unmap(base, map_bytes);
        return NULL;
    }
    return base;
}

/* Whether a mapping was unmapped a moment ago that would serve now: then twice its size may be kept
 * from now on, until nothing was refused for the time of the policy. A program that takes and drops
 * one large buffer over and over keeps it; one that drops it for good does not. Lock held. */
static void note_regret(size_t size_bytes)
{
    if (huge.unmapped_bytes == 0 || huge_policy.cache_ms == 0) {
        return;
    }
    uint64_t age_ns = os_time_coarse_ns() - huge.unmapped_at_ns;
    bool soon = huge_policy.cache_ms < 0 || age_ns < (uint64_t)huge_policy.cache_ms * 1000000u;
    if (!soon) {
        huge.boost_bytes = 0;
    } else if (size_bytes <= huge.unmapped_bytes && huge.unmapped_bytes <= BOOST_BYTES_MAX) {
        size_t wanted = 2 * huge.unmapped_bytes;
        huge.boost_bytes = wanted > huge.boost_bytes ? wanted : huge.boost_bytes;
    }
    huge.unmapped_bytes = 0;
}

/* What grows or moves keeps what was asked for its mapping. */
static void choose_page_size(const struct huge *entry, size_t size_bytes)
{
    unsigned policy = huge_policy.huge_pages;
    if (policy == HUGE_PAGES_SYSTEM && size_bytes >= huge_policy.thp_bytes) {
        policy = HUGE_PAGES_ALWAYS;
    }
    thp_tell(policy, entry->base, entry->map_bytes);
}

/* Lock held. */
static struct huge *map_new(size_t size_bytes, size_t alignment)
{
    struct huge *entry = take_descriptor();
    if (entry == NULL) {
        return NULL;
    }
    size_t map_bytes = bits_round_up(size_bytes, os_page_bytes);
    char *base = map_owned(entry, map_bytes, alignment);
    if (base == NULL) {
        /* The rest of its unit may have been a partial chunk's: whole units are nobody else's. */
        map_bytes = bits_round_up(map_bytes, UNIT_BYTES);
        base = map_owned(entry, map_bytes, alignment);
    }
    if (base == NULL) {
        drop_descriptor(entry);
        return NULL;
    }
    *entry = (struct huge){.base = base, .map_bytes = map_bytes};
    choose_page_size(entry, size_bytes);
    count_mapped((ptrdiff_t)map_bytes);
    return entry;
}

static struct huge *alloc_block(void *arena, size_t size_bytes, size_t alignment, bool growing,
                                bool *zeroed)
{
    ASSERT(size_bytes > 0 && size_bytes % PAGE_BYTES == 0);
    alignment = alignment < UNIT_BYTES ? UNIT_BYTES : alignment;
    if (size_bytes > HUGE_SIZE_MAX || alignment > HUGE_SIZE_MAX) {
        return NULL;
    }
    lock_acquire(&huge.lock);
    struct huge *entry = cache_take(size_bytes, alignment, growing);
    if (entry == NULL) {
        note_regret(size_bytes);
        entry = map_new(size_bytes, alignment);
    }
    if (entry != NULL) {
        *zeroed = entry->touched_bytes == 0;
        entry->size_bytes = size_bytes;
        entry->arena = arena;
        map_set_code(entry->base, CODE_HUGE);
        add_live_bytes(size_bytes);
        huge.statistics.live_count++;
        huge.statistics.alloc_count++;
    }
    lock_release(&huge.lock);
    return entry;
}

struct huge *huge_alloc(void *arena, size_t size_bytes, size_t alignment, bool *zeroed)
{
    return alloc_block(arena, size_bytes, alignment, false, zeroed);
}

struct huge *huge_alloc_growing(void *arena, size_t size_bytes)
{
    bool zeroed;
    return alloc_block(arena, size_bytes, UNIT_BYTES, true, &zeroed);
}

struct huge *huge_adopt(void *arena, struct extent *extent, size_t size_bytes)
{
    ASSERT((uintptr_t)extent->base % UNIT_BYTES == 0 && size_bytes <= extent->size_bytes);
    lock_acquire(&huge.lock);
    struct huge *entry = take_descriptor();
    if (entry != NULL &&
        (!map_cover(extent->base, extent->size_bytes) || !map_claim_owner(extent->base, entry))) {
        drop_descriptor(entry);
        entry = NULL;
    }
    if (entry != NULL) {
        *entry = (struct huge){.base = extent->base,
                               .size_bytes = size_bytes,
                               .map_bytes = extent->size_bytes,
                               .touched_bytes = extent->zeroed ? 0 : extent->size_bytes,
                               .arena = arena,
                               .extent = extent};
        map_set_code(entry->base, CODE_HUGE);
        count_mapped((ptrdiff_t)entry->map_bytes);
        add_live_bytes(size_bytes);
        huge.statistics.live_count++;
        huge.statistics.alloc_count++;
    }
    lock_release(&huge.lock);
    return entry;
}

/* The block is no longer live. Lock held. */
static void end_block(struct huge *entry)
{
    huge.statistics.live_bytes -= entry->size_bytes;
    huge.statistics.live_count--;
    huge.statistics.free_count++;
    map_set_code(entry->base, 0);
}

void huge_disown(struct huge *entry)
{
    lock_acquire(&huge.lock);
    end_block(entry);
    map_drop_owner(entry->base, entry);
    end_mapping(entry);
    lock_release(&huge.lock);
}

void huge_discard(struct huge *entry)
{
    lock_acquire(&huge.lock);
    end_block(entry);
    map_drop_owner(entry->base, entry);
    if (os_unmap(entry->base, entry->map_bytes)) {
        end_mapping(entry);
    } else {
        (void)!os_purge(entry->base, entry->map_bytes);
    }
    lock_release(&huge.lock);
}

/* The sum would overflow at the longest times. */
static bool is_older(const struct huge *entry, uint64_t now_ns, uint64_t age_ns)
{
    return now_ns >= entry->freed_at_ns && now_ns - entry->freed_at_ns >= age_ns;
}

/* Lock held. */
static void decay_locked(uint64_t now_ns)
{
    uint64_t age_ns = (uint64_t)huge_policy.cache_ms * 1000000u;
    for (size_t tries = huge.cached_count;
         tries > 0 && huge_policy.cache_ms >= 0 && is_older(huge.oldest, now_ns, age_ns); tries--) {
        unmap_oldest();
    }
}

static bool is_full_for(size_t map_bytes, size_t touched_bytes, size_t bound)
{
    return huge.cached_count >= CACHE_COUNT_MAX ||
           huge.statistics.cached_bytes + map_bytes > bound ||
           huge.statistics.touched_bytes + touched_bytes > room_below_peak();
}

/* Makes room for one more entry; false when it is too large to be kept. Its bytes no longer count
 * as live. Lock held. */
static bool make_room(const struct huge *entry)
{
    size_t bound =
        huge.boost_bytes > huge_policy.cache_bytes ? huge.boost_bytes : huge_policy.cache_bytes;
    size_t map_bytes = entry->map_bytes;
    if (huge_policy.cache_ms == 0 || map_bytes > bound ||
        entry->touched_bytes > room_below_peak()) {
        return false;
    }
    for (size_t tries = huge.cached_count;
         tries > 0 && is_full_for(map_bytes, entry->touched_bytes, bound); tries--) {
        unmap_oldest();
    }
    return true;
}

static void note_touched(struct huge *entry)
{
    if (entry->touched_bytes < entry->size_bytes) {
        entry->touched_bytes = entry->size_bytes;
    }
}

void huge_free(struct huge *entry)
{
    lock_acquire(&huge.lock);
    end_block(entry);
    entry->arena = NULL;
    note_touched(entry);
    if (make_room(entry)) {
        entry->freed_at_ns = os_time_coarse_ns();
        cache_append(entry);
        if (huge.calls_helper) {
            huge.calls_helper = false;
            idle_call(HUGE_PLACE);
            idle_want();
        }
        if (!idle_relieves()) {
            decay_locked(entry->freed_at_ns);
        }
    } else {
        huge.unmapped_bytes = entry->map_bytes;
        huge.unmapped_at_ns = os_time_coarse_ns();
        unmap(entry);
    }
    lock_release(&huge.lock);
}

static void account_size(struct huge *entry, size_t size_bytes)
{
    if (size_bytes < entry->size_bytes) {
        note_touched(entry);
    }
    add_live_bytes(size_bytes - entry->size_bytes);
    entry->size_bytes = size_bytes;
}

static void account_map(struct huge *entry, size_t map_bytes)
{
    count_mapped((ptrdiff_t)(map_bytes - entry->map_bytes));
    entry->map_bytes = map_bytes;
    if (entry->touched_bytes > map_bytes) {
        entry->touched_bytes = map_bytes;
    }
}

/* Cuts what a shorter block does not need. Lock held. */
static void trim(struct huge *entry, size_t size_bytes)
{
    size_t keep = bits_round_up(size_bytes, os_page_bytes);
    if (entry->map_bytes - keep >= TRIM_BYTES &&
        os_unmap(entry->base + keep, entry->map_bytes - keep)) {
        account_map(entry, keep);
    }
}

/* Extends the mapping where it lies, with room to spare, or just as far as needed. Lock held. */
static bool extend(struct huge *entry, size_t size_bytes)
{
    size_t needed = bits_round_up(size_bytes, os_page_bytes);
    size_t roomy = bits_round_up(size_bytes + size_bytes / GROWTH_DIVISOR, UNIT_BYTES);
    const size_t wishes[] = {roomy, needed};
    for (unsigned i = 0; i < 2; i++) {
        /* The map need not cover what is gained: no block starts there. */
        if (os_grow_in_place(entry->base, entry->map_bytes, wishes[i])) {
            account_map(entry, wishes[i]);
            return true;
        }
    }
    return false;
}

void huge_note_extent(struct huge *entry, size_t size_bytes)
{
    lock_acquire(&huge.lock);
    account_size(entry, size_bytes);
    account_map(entry, entry->extent->size_bytes);
    entry->touched_bytes = entry->map_bytes;
    lock_release(&huge.lock);
}

bool huge_resize_in_place(struct huge *entry, size_t size_bytes)
{
    if (size_bytes > HUGE_SIZE_MAX) {
        return false;
    }
    lock_acquire(&huge.lock);
    bool done = size_bytes <= entry->map_bytes || extend(entry, size_bytes);
    if (done) {
        bool shorter = size_bytes < entry->size_bytes;
        account_size(entry, size_bytes);
        if (shorter) {
            trim(entry, size_bytes);
        }
    }
    lock_release(&huge.lock);
    return done;
}

/* Moves the pages to a larger place. Lock held. */
static bool move(struct huge *entry, size_t size_bytes, size_t alignment)
{
    size_t map_bytes = bits_round_up(size_bytes + size_bytes / GROWTH_DIVISOR, UNIT_BYTES);
    char *target = os_map_aligned(map_bytes, alignment);
    if (target == NULL) {
        return false;
    }
    char *left = entry->base;
    /* The old place is withdrawn first: another thread may map it the moment it is left. */
    map_set_code(left, 0);
    bool covered = map_cover(target, map_bytes);
    if (!covered || !os_move(left, entry->map_bytes, target, map_bytes)) {
        map_set_code(left, CODE_HUGE);
        if (!covered) {
            (void)!os_unmap(target, map_bytes);
        }
        /* Else the target may be anybody's by now. If it is not, untouched address space is lost:
         * the program split the mapping, by mprotect() say, and its block is copied now. */
        return false;
    }
    map_drop_owner(left, entry);
    /* The target is whole units, which nobody else can own. */
    map_set_owner(target, entry);
    map_set_code(target, CODE_HUGE);
    entry->base = target;
    account_map(entry, map_bytes);
    huge.statistics.moved_count++;
    return true;
}

bool huge_grow(struct huge *entry, size_t size_bytes, size_t alignment)
{
    alignment = alignment < UNIT_BYTES ? UNIT_BYTES : alignment;
    if (size_bytes > HUGE_SIZE_MAX || alignment > HUGE_SIZE_MAX) {
        return false;
    }
    lock_acquire(&huge.lock);
    bool aligned = (uintptr_t)entry->base % alignment == 0;
    bool done = (aligned && (size_bytes <= entry->map_bytes || extend(entry, size_bytes))) ||
                move(entry, size_bytes, alignment);
    if (done) {
        account_size(entry, size_bytes);
    }
    lock_release(&huge.lock);
    return done;
}

void huge_note_margin(ptrdiff_t bytes)
{
    lock_acquire(&huge.lock);
    huge.statistics.margin_bytes += (size_t)bytes;
    lock_release(&huge.lock);
}

void huge_decay(uint64_t now_ns)
{
    lock_acquire(&huge.lock);
    decay_locked(now_ns);
    lock_release(&huge.lock);
}

bool huge_look(uint64_t now_ns)
{
    lock_acquire(&huge.lock);
    decay_locked(now_ns);
    bool waiting = huge.statistics.touched_bytes > 0;
    huge.calls_helper = huge.calls_helper || !waiting;
    lock_release(&huge.lock);
    return waiting;
}

void huge_purge(void)
{
    lock_acquire(&huge.lock);
    for (size_t tries = huge.cached_count; tries > 0; tries--) {
        unmap_oldest();
    }
    lock_release(&huge.lock);
}

void huge_yield(size_t bytes)
{
    lock_acquire(&huge.lock);
    size_t before = huge.statistics.touched_bytes;
    for (size_t tries = huge_policy.cache_ms < 0 ? 0 : huge.cached_count;
         tries > 0 && before - huge.statistics.touched_bytes < bytes; tries--) {
        unmap_oldest();
    }
    lock_release(&huge.lock);
}

void huge_set_decay(int64_t cache_ms)
{
    lock_acquire(&huge.lock);
    huge_policy.cache_ms = cache_ms;
    decay_locked(os_time_coarse_ns());
    idle_urge(HUGE_PLACE); /* It may nap for a longer time. */
    lock_release(&huge.lock);
}

void huge_forget_helper(void)
{
    lock_acquire(&huge.lock);
    huge.calls_helper = true;
    lock_release(&huge.lock);
}

void huge_visit_kept(void (*visit)(void *opaque, size_t bytes), void *opaque)
{
    lock_acquire(&huge.lock);
    for (const struct huge *entry = huge.oldest; entry != NULL; entry = entry->next) {
        visit(opaque, entry->map_bytes);
    }
    lock_release(&huge.lock);
}

struct huge_statistics huge_statistics(void)
{
    lock_acquire(&huge.lock);
    struct huge_statistics result = huge.statistics;
    lock_release(&huge.lock);
    return result;
}

struct lock *huge_lock(void)
{
    return &huge.lock;
}
