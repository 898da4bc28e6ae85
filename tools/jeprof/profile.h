/* profile.h: heap profiles as they stand in files.
 *
 * Read are jemalloc's "heap_v2/PERIOD" text, the older text of one line a stack that begins with
 * "heap profile:", growth profiles among it, and both of them behind a section "--- symbol" with
 * the names of addresses. Two sections behind the mappings, which other readers skip, add to them:
 * "BUILD_IDS:" what files were mapped, "SOURCE_LINES:" the lines of named addresses. Sections of
 * other names are skipped. Counts are kept as they were sampled: unsample.h scales them.
 *
 * One file is read into one profile; profile_sum.h adds profiles up. Each stack belongs to a
 * source: the mappings that give its addresses a meaning. Files of one process share a source,
 * those of another have their own.
 *
 * A file is taken as a whole or not at all: when it is refused the profile is empty, and the error
 * names the file, the line, what stands there and what would be right.
 */
#ifndef JEPROF_PROFILE_H
#define JEPROF_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mapping.h"
#include "text_pool.h"

enum profile_kind {
    PROFILE_HEAP_V2,     /* each object is sampled by its bytes, with the period as mean distance */
    PROFILE_HEAP_PERIOD, /* every so many bytes one object is sampled */
    PROFILE_EXACT,       /* nothing was sampled: "@ heapprofile", or no word */
    PROFILE_GROWTH,      /* where the heap itself grew; exact */
};

/* Stands for all threads together, the lines "t*:". */
#define PROFILE_ALL_THREADS UINT64_MAX

struct profile_counts {
    double live_objects, live_bytes;   /* not freed yet */
    double total_objects, total_bytes; /* since the start, or since a reset */
};

struct profile_sample {
    const uint64_t *stack; /* innermost first; return addresses but for the first */
    size_t depth;
    size_t source;   /* index of the stack's source */
    uint64_t thread; /* or PROFILE_ALL_THREADS */
    size_t dump;     /* number of the file, for those who keep several apart; else 0 */
    struct profile_counts counts;
};

struct profile_thread {
    uint64_t id;
    const char *name; /* "": it has none */
};

/* A name that the file itself gives an address. */
struct profile_symbol {
    uint64_t address;
    const char *name; /* inlined functions behind "--" each, the innermost last */
};

/* The source lines that the file itself gives an address. */
struct profile_place {
    uint64_t address;
    const char *text; /* "FILE:LINE" for each function of the name, a tab between */
};

struct profile_source {
    struct mapping *mappings; /* by address */
    size_t mapping_count;
    struct profile_symbol *symbols; /* by address */
    size_t symbol_count;
    struct profile_place *places; /* by address */
    size_t place_count;
    bool has_places;     /* the file had them too */
    bool has_symbols;    /* the file had the section, which may be empty */
    const char *program; /* as the section of names tells it, or NULL */
};

struct profile {
    enum profile_kind kind;
    uint64_t period;         /* bytes; 0: exact, or scaled already */
    uint64_t sampled_period; /* what it was before it was scaled */
    struct profile_sample *samples;
    size_t sample_count;
    struct profile_thread *threads;
    size_t thread_count;
    struct profile_source *sources;
    size_t source_count;
    struct text_pool pool; /* every text and stack above */
};

struct profile_error {
    char text[512]; /* "NAME:LINE: what is wrong (what would be right)" */
};

/* Reads a file into a profile, whatever that held. False: refused, see error. */
bool profile_read(struct profile *profile, FILE *file, const char *name,
                  struct profile_error *error) __attribute__((warn_unused_result));

/* The same for a text in memory. */
bool profile_parse(struct profile *profile, const char *text, size_t length, const char *name,
                   struct profile_error *error) __attribute__((warn_unused_result));

/* Whether a file that begins like this is a profile, rather than a program. */
bool profile_is_text(const char *start, size_t length);

/* The instruction of a frame of a stack: the innermost is no return address. */
static inline uint64_t profile_instruction(const struct profile_sample *sample, size_t index)
{
    uint64_t address = sample->stack[index];
    return index == 0 || address == 0 ? address : address - 1;
}

/* The name that the file gives the address, or NULL. */
const char *profile_symbol(const struct profile *profile, size_t source, uint64_t address);

/* The lines that the file gives the address, or NULL. */
const char *profile_place(const struct profile *profile, size_t source, uint64_t address);

void profile_close(struct profile *profile);

#endif
