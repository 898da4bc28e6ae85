/* frame_table.h: how a function's frame is undone, read from the module's unwind tables.
 *
 * Compilers describe for each address how to find the caller's registers (.eh_frame, DWARF's call
 * frame information), for exceptions, with and without frame pointers. Of that the allocator needs
 * three facts: the caller's stack pointer (DWARF calls it the CFA), where the return address is,
 * and where the caller's frame pointer is. Nearly all descriptions have one of these forms:
 *
 *     caller's stack pointer   = sp or fp + offset, or the word there (realigned stacks, signals)
 *     return address           at that + offset, or at sp or fp + offset (signals)
 *     caller's frame pointer   unchanged, or at a place given likewise
 *
 * What has another form is FRAME_UNKNOWN, and libgcc's unwinder is asked. Nothing here takes a
 * lock, allocates or keeps state; the tables must stay mapped meanwhile.
 */
#ifndef PROFILE_FRAME_TABLE_H
#define PROFILE_FRAME_TABLE_H

#include "base/check.h"

enum frame_kind {
    FRAME_UNKNOWN,   /* no table, or a form that is not ours */
    FRAME_PLAIN,     /* the rule holds */
    FRAME_SIGNAL,    /* the same, of a frame that the kernel made: its caller was interrupted */
    FRAME_OUTERMOST, /* the table says that there is no caller */
    FRAME_LAST,      /* nobody knows the caller: set by a walk, not by the tables */
};

enum frame_base {
    FRAME_SP,
    FRAME_FP,
    FRAME_CFA,
    FRAME_SAME,  /* of fp: the caller's is the present one */
    FRAME_AT_SP, /* of the CFA: the word at sp + offset, not that address */
    FRAME_AT_FP,
};

struct frame_rule {
    int32_t cfa_offset;
    int32_t fp_offset;
    int32_t return_offset;
    uint8_t kind;
    uint8_t cfa_base;
    uint8_t fp_base;
    uint8_t return_base;
};

static_assert(sizeof(struct frame_rule) == 2 * sizeof(uint64_t), "a cache keeps it as two words");

/* The rule of an instruction's address. frame_index: its module's .eh_frame_hdr, or NULL. For a
 * return address the caller asks for the byte before, which is part of the call. */
struct frame_rule frame_rule_find(const uint8_t *frame_index, uintptr_t address);

#endif
