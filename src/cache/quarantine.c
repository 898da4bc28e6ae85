/* quarantine.c: the queue of blocks that are held back. See quarantine.h.
 *
 * Whole blocks are filled and looked at: the mode is for finding mistakes, not for speed.
 */
#include "cache/quarantine.h"

#include "base/mistake.h"
#include "config/options.h"
#include "heap/large.h"

#include <string.h>

enum {
    HELD_BLOCKS = 256, /* 8 MiB of the largest */
    PATTERN_BYTE = 0x5b,
};

struct held {
    unsigned char *block;
    size_t usable_bytes;
};

static struct held held_blocks[HELD_BLOCKS]; /* under the lock: a ring */

static struct {
    struct lock lock;
    unsigned next; /* under the lock: the place of the oldest, taken next */
    size_t bytes;  /* under the lock */
} quarantine = {.lock = {.rank = LOCK_QUARANTINE}};

bool quarantine_wants(const void *block)
{
    return options.lg_san_uaf_align >= 0 &&
           (uintptr_t)block % ((uintptr_t)1 << options.lg_san_uaf_align) == 0;
}

static void check_content(struct held held)
{
    for (size_t i = 0; i < held.usable_bytes; i++) {
        if (UNLIKELY(held.block[i] != PATTERN_BYTE)) {
            mistake("Write-after-free detected on block %p of %zu bytes, at offset %zu: the "
                    "program wrote to it after free()",
                    (void *)held.block, held.usable_bytes, i);
            return;
        }
    }
}

/* Whether the block is held. Lock held. */
static bool holds(const unsigned char *block)
{
    for (unsigned i = 0; i < HELD_BLOCKS; i++) {
        if (held_blocks[i].block == block) {
            return true;
        }
    }
    return false;
}

void *quarantine_exchange(void *block, size_t usable_bytes)
{
    lock_acquire(&quarantine.lock);
    bool twice = holds(block);
    struct held oldest = held_blocks[quarantine.next];
    if (!twice) {
        memset(block, PATTERN_BYTE, usable_bytes);
        held_blocks[quarantine.next] = (struct held){block, usable_bytes};
        quarantine.next = (quarantine.next + 1) % HELD_BLOCKS;
        quarantine.bytes += usable_bytes - oldest.usable_bytes;
    }
    lock_release(&quarantine.lock);
    if (twice) {
        mistake("free(): double free of %p: the block is already free", block);
        return NULL;
    }
    if (oldest.block != NULL) {
        check_content(oldest);
    }
    return oldest.block;
}

void quarantine_forget(const struct arena *arena)
{
    lock_acquire(&quarantine.lock);
    for (unsigned i = 0; i < HELD_BLOCKS; i++) {
        struct held *held = &held_blocks[i];
        if (held->block != NULL && large_arena(held->block, map_code(held->block)) == arena) {
            quarantine.bytes -= held->usable_bytes;
            *held = (struct held){NULL, 0};
        }
    }
    lock_release(&quarantine.lock);
}

size_t quarantine_bytes(void)
{
    lock_acquire(&quarantine.lock);
    size_t bytes = quarantine.bytes;
    lock_release(&quarantine.lock);
    return bytes;
}

struct lock *quarantine_lock(void)
{
    return &quarantine.lock;
}
