/* tagged_load.c: blocks that know their owner, place and size. See tagged_load.h.
 *
 * Each block is written whole and compared whole, so that a byte which another thread writes, or a
 * block that is given out twice, is found at the next look.
 */
#include "tagged_load.h"

#include <jemalloc/jemalloc.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD_BYTES = 8 };

static const char *repeat_command = "";

void load_command_set(const char *command)
{
    repeat_command = command;
}

noreturn void load_finding(const char *what, size_t detail)
{
    dprintf(STDERR_FILENO, "FAILED: %s (%zu); repeat with: %s\n", what, detail, repeat_command);
    _exit(LOAD_FINDING);
}

static uint64_t tag_word(uint64_t tag, size_t offset)
{
    return (tag + offset) * UINT64_C(0x9e3779b97f4a7c15) ^ tag;
}

void tagged_fill(const struct tagged_block *block)
{
    size_t offset = 0;
    for (; offset + WORD_BYTES <= block->size_bytes; offset += WORD_BYTES) {
        uint64_t word = tag_word(block->tag, offset);
        memcpy(block->start + offset, &word, WORD_BYTES);
    }
    uint64_t word = tag_word(block->tag, offset);
    memcpy(block->start + offset, &word, block->size_bytes - offset);
}

/* The first kept_bytes of the block must hold what the tag put there. */
static void prefix_check(const unsigned char *start, size_t kept_bytes, uint64_t tag)
{
    for (size_t offset = 0; offset < kept_bytes; offset += WORD_BYTES) {
        uint64_t word = tag_word(tag, offset);
        size_t length = kept_bytes - offset < WORD_BYTES ? kept_bytes - offset : WORD_BYTES;
        if (memcmp(start + offset, &word, length) != 0) {
            load_finding("a live block's content changed, at offset", offset);
        }
    }
}

void tagged_check(const struct tagged_block *block)
{
    prefix_check(block->start, block->size_bytes, block->tag);
}

void load_start(struct tagged_load *load, uint64_t seed, uint64_t index, size_t maximum_bytes)
{
    *load = (struct tagged_load){.random = random_stream_of(seed, index),
                                 .maximum_bytes = maximum_bytes};
}

static void refused(struct tagged_load *load, int error)
{
    load->refusal_count++;
    if (!load->refusals_allowed) {
        load_finding("a request was refused, with errno", (size_t)error);
    }
    if (error != ENOMEM) {
        load_finding("a refusal came with the wrong errno", (size_t)error);
    }
}

static void check_zero(const unsigned char *start, size_t size_bytes)
{
    if (start[0] != 0 || memcmp(start, start + 1, size_bytes - 1) != 0) {
        load_finding("calloc gave memory that is not zero, of size", size_bytes);
    }
}

static void step_allocate(struct tagged_load *load, struct tagged_block *block)
{
    struct tagged_block fresh = {.size_bytes = random_size(&load->random, load->maximum_bytes),
                                 .tag = random_next(&load->random)};
    size_t kind = random_below(&load->random, 10);
    errno = 0;
    if (kind < 5) {
        fresh.start = malloc(fresh.size_bytes);
    } else if (kind < 8) {
        fresh.start = calloc(1, fresh.size_bytes);
    } else {
        fresh.start =
            aligned_alloc((size_t)16 << random_below(&load->random, 10), fresh.size_bytes);
    }
    if (fresh.start == NULL) {
        refused(load, errno);
        return;
    }
    if (kind >= 5 && kind < 8) {
        check_zero(fresh.start, fresh.size_bytes);
    }
    tagged_fill(&fresh);
    *block = fresh;
}

static void step_resize(struct tagged_load *load, struct tagged_block *block)
{
    struct tagged_block fresh = {.size_bytes = random_size(&load->random, load->maximum_bytes),
                                 .tag = random_next(&load->random)};
    errno = 0;
    fresh.start = realloc(block->start, fresh.size_bytes);
    if (fresh.start == NULL) {
        refused(load, errno);
        tagged_check(block);
        return;
    }
    size_t kept = fresh.size_bytes < block->size_bytes ? fresh.size_bytes : block->size_bytes;
    prefix_check(fresh.start, kept, block->tag);
    tagged_fill(&fresh);
    *block = fresh;
}

static void step_free(struct tagged_block *block)
{
    tagged_check(block);
    errno = EDOM;
    free(block->start);
    if (errno != EDOM) {
        load_finding("free changed errno", (size_t)errno);
    }
    block->start = NULL;
}

void load_step(struct tagged_load *load)
{
    struct tagged_block *block = &load->block[random_below(&load->random, LOAD_SLOTS)];
    load->step_count++;
    if (block->start == NULL) {
        step_allocate(load, block);
    } else if (random_chance(&load->random, 30)) {
        step_resize(load, block);
    } else {
        step_free(block);
    }
}

void load_steps(struct tagged_load *load, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        load_step(load);
    }
}

void load_check(const struct tagged_load *load)
{
    for (size_t i = 0; i < LOAD_SLOTS; i++) {
        if (load->block[i].start != NULL) {
            tagged_check(&load->block[i]);
        }
    }
}

void load_finish(struct tagged_load *load)
{
    for (size_t i = 0; i < LOAD_SLOTS; i++) {
        if (load->block[i].start != NULL) {
            step_free(&load->block[i]);
        }
    }
}

void load_purge(void)
{
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    (void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
}
