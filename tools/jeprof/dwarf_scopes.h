/* dwarf_scopes.h: what DWARF says about an address: the function, what is inlined there, lines.
 *
 * The units of a file (its source files, mostly) are indexed by their ranges of addresses, each
 * unit's functions when one of its addresses is asked for, and each function's inlined calls when
 * one of its own is. Nothing is read twice as long as addresses are asked for in ascending order.
 *
 * The DWARF may be damaged: walks only move forward in it, so they end, and what makes no sense is
 * skipped.
 */
#ifndef JEPROF_DWARF_SCOPES_H
#define JEPROF_DWARF_SCOPES_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCOPES_MAX = 256 }; /* frames at one address; compilers inline some tens deep at most */

struct dwarf_unit;
struct scope_range;
struct inlined_call;

struct dwarf_scopes {
    Dwarf *dwarf;
    struct dwarf_unit *units;
    size_t unit_count, unit_room;
    struct scope_range *ranges; /* of the units, sorted by their start */
    size_t range_count;
    const void *recent; /* the function, by its place in the DWARF, whose calls are in inlined */
    struct inlined_call *inlined;
    size_t inlined_count, inlined_room;
    size_t line_count; /* rows of lines that libdw holds */
};

/* One function at an address, or an inlined call there. Texts belong to the DWARF. */
struct dwarf_frame {
    const char *linker_name; /* NULL: none */
    const char *name;        /* as it is written in the source; NULL: none */
    const char *folder;      /* that a relative file is below; NULL: unknown */
    const char *file;        /* NULL: unknown */
    unsigned line;           /* 0: unknown */
};

void dwarf_scopes_open(struct dwarf_scopes *scopes, Dwarf *dwarf);

/* Fills in the frames at an address, innermost first, and gives their number, SCOPES_MAX at most.
 * A frame whose function is unknown has file and line alone. 0: nothing is known. */
size_t dwarf_scopes_find(struct dwarf_scopes *scopes, uint64_t address,
                         struct dwarf_frame frames[SCOPES_MAX]);

/* The bytes of the function around an address, as far as they stand together; false: there is
 * none. */
bool dwarf_scopes_function(struct dwarf_scopes *scopes, uint64_t address, uint64_t *start,
                           uint64_t *end);

/* The addresses in [start, end), of one function, at which a row of the line table begins, and
 * their number. The caller frees them. */
size_t dwarf_scopes_rows(struct dwarf_scopes *scopes, uint64_t start, uint64_t end,
                         uint64_t **rows);

void dwarf_scopes_close(struct dwarf_scopes *scopes);

#endif
