/* model_block.c: the content pattern, and the report of a finding. See model_block.h.
 *
 * The report is written by dprintf to standard error, which takes no memory from the allocator
 * under test on the systems we run on, and the process ends by abort() so that a debugger or a
 * core file shows the thread that found it.
 */
#include "model_block.h"

#include <jemalloc/jemalloc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address_shadow.h"

enum {
    WORD_BYTES = 8,
    END_BYTES = 512, /* written whole at each end: holds every small bin up to 1 KiB */
    STRIDE = 1016,   /* four words a page, at a different offset in each page */
    GRAIN_BYTES = 16,
};

static const char *repeat_command = "";
static _Thread_local const char *operation_name = "start";
static _Thread_local uint64_t operation_number;

void model_command_set(const char *command)
{
    repeat_command = command;
}

void model_operation_set(const char *name, uint64_t number)
{
    operation_name = name;
    operation_number = number;
}

noreturn void model_fail(const char *finding, const struct block *block)
{
    dprintf(STDERR_FILENO, "FAILED: %s in operation %llu (%s)\n", finding,
            (unsigned long long)operation_number, operation_name);
    dprintf(STDERR_FILENO, "  block %p: requested %zu, usable %zu, alignment %zu, id %llx\n",
            (void *)block->start, block->requested_bytes, block->usable_bytes, block->alignment,
            (unsigned long long)block->id);
    dprintf(STDERR_FILENO, "  repeat with: %s\n", repeat_command);
    abort();
}

static uint64_t pattern_word(const struct block *block, size_t offset)
{
    return (block->id + offset) * UINT64_C(0x9e3779b97f4a7c15) ^ block->id;
}

/* The offset of the word written after the one at `offset`; usable_bytes or more: none. */
static size_t next_offset(const struct block *block, size_t offset)
{
    size_t next = offset + WORD_BYTES;
    if (next < END_BYTES || next + END_BYTES >= block->usable_bytes) {
        return next;
    }
    size_t jump = offset + STRIDE;
    size_t tail = block->usable_bytes - END_BYTES;
    return jump < tail ? jump : tail;
}

void block_write(const struct block *block)
{
    for (size_t offset = 0; offset < block->usable_bytes; offset = next_offset(block, offset)) {
        uint64_t word = pattern_word(block, offset);
        memcpy(block->start + offset, &word, WORD_BYTES);
    }
}

void block_check_prefix(const struct block *now, const struct block *before, size_t kept_bytes)
{
    size_t end = kept_bytes < before->usable_bytes ? kept_bytes : before->usable_bytes;
    for (size_t offset = 0; offset < end; offset = next_offset(before, offset)) {
        uint64_t word = pattern_word(before, offset);
        size_t length = end - offset < WORD_BYTES ? end - offset : WORD_BYTES;
        if (memcmp(now->start + offset, &word, length) != 0) {
            dprintf(STDERR_FILENO, "  content differs at offset %zu\n", offset);
            model_fail("a block's content changed", now);
        }
    }
}

void block_check(const struct block *block)
{
    block_check_prefix(block, block, block->usable_bytes);
    if (malloc_usable_size(block->start) != block->usable_bytes) {
        model_fail("a live block's usable size changed", block);
    }
}

void block_check_zero(const struct block *block, size_t from, size_t to)
{
    /* A range is zero when its first byte is and each byte equals the next one. */
    const unsigned char *start = block->start + from;
    if (from < to && (start[0] != 0 || memcmp(start, start + 1, to - from - 1) != 0)) {
        model_fail("memory promised as zero is not", block);
    }
}

/* What the contract promises without being asked: 8 for the smallest class, 16 for all others. */
static size_t natural_alignment(const struct block *block)
{
    return block->usable_bytes < GRAIN_BYTES ? WORD_BYTES : GRAIN_BYTES;
}

void block_enter(struct block *block)
{
    uintptr_t address = (uintptr_t)block->start;
    block->usable_bytes = malloc_usable_size(block->start);
    if (block->usable_bytes < block->requested_bytes || block->usable_bytes % WORD_BYTES != 0) {
        model_fail("usable size is below the request, or no multiple of 8", block);
    }
    if (address % natural_alignment(block) != 0 || address % block->alignment != 0) {
        model_fail("misaligned block", block);
    }
    if (!shadow_claim(block->start, block->usable_bytes)) {
        model_fail("block overlaps a live block", block);
    }
}

void block_leave(const struct block *block)
{
    block_check(block);
    if (!shadow_release(block->start, block->usable_bytes)) {
        model_fail("the model lost track of a block (a fault of the test)", block);
    }
}

void block_return(const struct block *block)
{
    if (!shadow_claim(block->start, block->usable_bytes)) {
        model_fail("a block that a failed resize left in place overlaps a live block", block);
    }
    block_check(block);
}
