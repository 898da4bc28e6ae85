/* model_block.h: what the model knows of one live block, and the checks that compare the two.
 *
 * Every byte that the allocator reports as usable belongs to the caller, so content is written and
 * compared over the usable size, not the requested one. The content is a function of the block's id
 * and the offset: a byte that came from another block, or from another place of this one, differs.
 * Small blocks are written whole; of large ones both ends and a word in every STRIDE bytes.
 * A finding ends the process with the operation, the block, and the command that repeats the run.
 */
#ifndef MODEL_BLOCK_H
#define MODEL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

struct block {
    unsigned char *start; /* NULL: no block */
    size_t requested_bytes;
    size_t usable_bytes;
    size_t alignment; /* as asked for; 1: none asked for */
    uint64_t id;
};

/* The command line to print with a finding; the text must stay alive. */
void model_command_set(const char *command);

/* The operation that this thread is about to run, for the report of a finding. */
void model_operation_set(const char *name, uint64_t number);

noreturn void model_fail(const char *finding, const struct block *block);

/* Enters a block that the allocator has just returned: usable size, alignment, overlap. What was
 * promised of its content is checked next, and block_write() comes last. */
void block_enter(struct block *block);

void block_write(const struct block *block);

/* Takes it out of the live set, after comparing its content; call just before it is freed. */
void block_leave(const struct block *block);

/* Puts back, as it is, a block that left for a resize that failed. */
void block_return(const struct block *block);

void block_check(const struct block *block);

/* Compares the first kept_bytes of a moved block with the content of the block that it was. */
void block_check_prefix(const struct block *now, const struct block *before, size_t kept_bytes);

/* Fails unless the bytes [from, to) of the block are zero. */
void block_check_zero(const struct block *block, size_t from, size_t to);

#endif
