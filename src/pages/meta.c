/* meta.c: the bump allocator of the allocator's own memory. See meta.h.
 *
 * Its memory is sparse by nature, so it refuses huge pages: one would cost more than a small
 * program's whole heap. With the option metadata_thp it comes in 2 MiB units that ask for them.
 */
#include "pages/meta.h"

#include "base/bits.h"
#include "os/os.h"

enum { HUGE_PAGE_BYTES = 2 << 20 };

unsigned meta_thp = META_THP_DISABLED;
bool meta_uses_break = true;

static struct {
    struct lock lock;
    char *next;                        /* under the lock */
    char *end;                         /* under the lock */
    size_t given_bytes;                /* under the lock */
    size_t huge_pages;                 /* under the lock */
    _Atomic ptrdiff_t untouched_bytes; /* any thread, relaxed: a statistic */
} meta;

void meta_start(void)
{
    lock_init(&meta.lock, LOCK_META);
}

/* A fresh block of huge pages. Lock held. */
static bool new_huge_block(size_t size_bytes)
{
    size_t block_bytes = bits_round_up(size_bytes + META_BLOCK_BYTES, HUGE_PAGE_BYTES);
    char *block = os_map_aligned(block_bytes, HUGE_PAGE_BYTES);
    if (block == NULL) {
        return false;
    }
    os_want_huge_pages(block, block_bytes);
    meta.huge_pages += block_bytes / HUGE_PAGE_BYTES;
    meta.next = block;
    meta.end = block + block_bytes;
    return true;
}

static bool wants_huge_pages(void)
{
    return meta_thp == META_THP_ALWAYS ||
           (meta_thp == META_THP_AUTO && meta.given_bytes >= META_THP_AUTO_BYTES);
}

/* A fresh block that holds size_bytes; when even that is refused, just the pages needed. */
static bool new_block(size_t size_bytes)
{
    if (UNLIKELY(meta_thp != META_THP_DISABLED) && wants_huge_pages() &&
        new_huge_block(size_bytes)) {
        return true;
    }
    size_t needed = bits_round_up(size_bytes, os_page_bytes);
    size_t block_bytes = needed + (meta.next == NULL ? META_FIRST_BYTES : META_BLOCK_BYTES);
    char *block = os_map(NULL, block_bytes);
    if (block == NULL) {
        block_bytes = needed;
        block = os_map(NULL, block_bytes);
    }
    if (block == NULL && meta_uses_break) {
        block = os_break_aligned(block_bytes, os_page_bytes);
    }
    if (block == NULL) {
        return false;
    }
    os_refuse_huge_pages(block, block_bytes);
    meta.next = block;
    meta.end = block + block_bytes;
    return true;
}

void *meta_alloc(size_t size_bytes, size_t alignment)
{
    ASSERT(bits_is_power_of_two(alignment) && alignment <= os_page_bytes);
    lock_acquire(&meta.lock);
    char *result = (char *)bits_round_up((uintptr_t)meta.next, alignment);
    if (meta.next == NULL || result > meta.end || (size_t)(meta.end - result) < size_bytes) {
        result = new_block(size_bytes) ? meta.next : NULL;
    }
    if (result != NULL) {
        meta.next = result + size_bytes;
        meta.given_bytes += size_bytes;
    }
    lock_release(&meta.lock);
    return result;
}

size_t meta_bytes(void)
{
    lock_acquire(&meta.lock);
    size_t bytes = meta.given_bytes;
    lock_release(&meta.lock);
    return bytes;
}

size_t meta_huge_pages(void)
{
    lock_acquire(&meta.lock);
    size_t count = meta.huge_pages;
    lock_release(&meta.lock);
    return count;
}

void meta_note_untouched(ptrdiff_t bytes)
{
    atomic_fetch_add_explicit(&meta.untouched_bytes, bytes, memory_order_relaxed);
}

size_t meta_touched_bytes(void)
{
    ptrdiff_t untouched = atomic_load_explicit(&meta.untouched_bytes, memory_order_relaxed);
    return meta_bytes() - (size_t)untouched;
}

struct lock *meta_lock(void)
{
    return &meta.lock;
}
