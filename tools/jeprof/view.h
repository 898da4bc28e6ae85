/* view.h: the part of a profile that a report shows, with names.
 *
 * A view has one kind of count of one thread or of all. Its stacks are lists of frames, innermost
 * first, where an address with inlined functions is several frames. The allocator's own frames, up
 * to the outermost of its public functions or of its shared library in each stack, are not in it,
 * nor is what the filters leave out; a stack without frames is left out as a whole. Two totals tell
 * what that took away.
 *
 * Names come from the profile when it has some, else from the files of its mappings.
 */
#ifndef JEPROF_VIEW_H
#define JEPROF_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.h"
#include "symbols.h"

enum view_measure {
    VIEW_LIVE_SPACE,
    VIEW_LIVE_OBJECTS,
    VIEW_TOTAL_SPACE,
    VIEW_TOTAL_OBJECTS,
};

/* A filter is a regular expression as Perl has them, or NULL. It is searched in the short name, the
 * full name and "FILE:LINE" of frames; in names alone by retained and excluded. */
struct view_options {
    enum view_measure measure;
    uint64_t thread; /* or PROFILE_ALL_THREADS */
    bool drops_negative;
    bool keeps_all;       /* stacks that count nothing too */
    bool keeps_threads;   /* the samples of each thread too; they are in no total */
    const char *focused;  /* stacks with such a frame stay */
    const char *ignored;  /* stacks with such a frame go */
    const char *retained; /* such frames stay */
    const char *excluded; /* such frames go */
};

struct view_frame {
    uint64_t address; /* of the instruction: a return address less 1 */
    const char *name; /* short, with " (inline)" behind inlined ones; "0x..." when unknown */
    const char *full; /* with parameters */
    const char *file; /* NULL: unknown */
    unsigned line;
    const char *place; /* "FILE:LINE"; "??:?": unknown; "?": the profile has names alone */
    bool is_inlined;
    bool is_allocator; /* one of its public functions, or in its shared library */
    bool is_focused, is_ignored, is_hidden;
    size_t row; /* for reports, which number frames as they like */
};

struct view_stack {
    const struct profile_sample *sample; /* what it was made of, with all counts */
    struct view_frame **frames;
    size_t depth;
    double value;
};

/* An address of the profile and all its frames, innermost first, one at least. */
struct view_address {
    uint64_t address;
    size_t source;
    struct view_frame *frames;
    size_t frame_count;
};

struct view {
    enum view_measure measure;
    double total;       /* before frames and stacks were left out */
    double shown_total; /* of the stacks below */
    struct view_stack *stacks;
    size_t stack_count;
    struct view_address *addresses; /* by source and address */
    size_t address_count;
    struct symbols **symbols; /* of each source of the profile; NULL: it has names of its own */
    size_t source_count;
    struct text_pool pool;
};

/* program and symbols are those of symbols_open(). The profile outlives the view. False: a filter
 * is no regular expression, and the error says what about it. */
bool view_open(struct view *view, const struct profile *profile, const struct view_options *options,
               const struct symbols_options *symbols, const char *program,
               struct profile_error *error) __attribute__((warn_unused_result));

/* The same profile, chosen anew; files that were read are not read again. False: as above, and the
 * view stays as it was. */
bool view_change(struct view *view, const struct profile *profile,
                 const struct view_options *options, struct profile_error *error)
    __attribute__((warn_unused_result));

/* One of the four counts. */
double view_count(const struct profile_counts *counts, enum view_measure measure);

/* The index of an address, which is one of the view's. */
size_t view_address_index(const struct view *view, size_t source, uint64_t address);

void view_close(struct view *view);

#endif
