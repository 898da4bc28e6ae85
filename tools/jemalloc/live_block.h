/* live_block.h: finds the block of the library in a process (control/outside_block.h).
 *
 * By the ELF notes in the memory of each mapped module, so it does not matter where the files are,
 * whether they were replaced, or which root folder the process has; a program that the library is
 * linked into has the note as well.
 */
#ifndef LIVE_BLOCK_H
#define LIVE_BLOCK_H

#include "live_process.h"

#include "control/outside_block.h"

struct live_block {
    uintptr_t block; /* addresses in the process */
    uintptr_t path;
    char module[512]; /* the file that the library came from, as the process calls it */
};

/* The block of the library that serves the process. False, with the reason in the process. */
bool live_block_find(struct live_process *process, struct live_block *found);

/* Its present content; false when the process has ended. */
bool live_block_read(const struct live_process *process, const struct live_block *at,
                     struct outside_block *block);

#endif
