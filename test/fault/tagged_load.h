/* tagged_load.h: the load that the fault tests put on the allocator while things go wrong.
 *
 * A load belongs to one thread: a table of blocks, each filled whole with words made of its tag
 * and the offset. A step allocates, resizes or frees one of them; what is taken back is compared
 * byte by byte first. A finding prints one line with the command that repeats the run and ends
 * the process with exit code LOAD_FINDING, without stdio or the allocator. A refusal (NULL) must
 * come with ENOMEM and leave the old block whole; whether refusals are findings is up to the
 * test.
 */
#ifndef TAGGED_LOAD_H
#define TAGGED_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "../model/random_stream.h"

enum { LOAD_SLOTS = 64, LOAD_FINDING = 9 };

struct tagged_block {
    unsigned char *start;
    size_t size_bytes;
    uint64_t tag;
};

struct tagged_load {
    struct random_stream random;
    size_t maximum_bytes;
    bool refusals_allowed;
    uint64_t refusal_count;
    uint64_t step_count;
    struct tagged_block block[LOAD_SLOTS];
};

/* Printed with each finding; the text must stay alive. */
void load_command_set(const char *command);

noreturn void load_finding(const char *what, size_t detail);

void tagged_fill(const struct tagged_block *block);
void tagged_check(const struct tagged_block *block);

void load_start(struct tagged_load *load, uint64_t seed, uint64_t index, size_t maximum_bytes);
void load_step(struct tagged_load *load);
void load_steps(struct tagged_load *load, size_t count);

/* Compares every byte of every live block. */
void load_check(const struct tagged_load *load);

/* Checks and frees all. */
void load_finish(struct tagged_load *load);

/* Gives back what the allocator keeps, where it answers to the request. */
void load_purge(void);

#endif
