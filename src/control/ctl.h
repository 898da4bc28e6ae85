/* ctl.h: control names: from a name to its MIB, and reading, writing and acting by MIB.
 *
 * Results are 0 or an errno value. Any thread may call these.
 */
#ifndef CONTROL_CTL_H
#define CONTROL_CTL_H

#include "base/check.h"

#include <stdatomic.h>

/* The number of option i in a MIB is CTL_OPTIONS + i, beyond those of the words that stand beside
 * options. */
enum { CTL_DEPTH_MAX = 7, CTL_ALL_ARENAS = 4096, CTL_DESTROYED = 4097, CTL_OPTIONS = 4096 };

/* Takes the first snapshot and makes the index of the table, once. False when memory for it is
 * refused: then names can be looked up, but parts of the snapshot may be missing. Every other
 * function here needs it. Any thread. */
MUST_USE bool ctl_start(void);

extern HIDDEN _Atomic bool ctl_ready; /* release, by ctl_start() */

static inline bool ctl_is_ready(void)
{
    return atomic_load_explicit(&ctl_ready, memory_order_acquire);
}

/* What the library calls itself, to programs and to people. */
extern const char ctl_version[];
extern const char ctl_dg_version[];

/* Fills mib with the elements of a name, perhaps a partial one, up to *mib_length, which becomes
 * their number. ENOENT: there is no such name. */
int ctl_name_to_mib(const char *name, size_t *mib, size_t *mib_length);

/* The value of a MIB to *old (may be NULL), and from *new (may be NULL). EINVAL: a length is not
 * that of the type; what fits is copied. EPERM: the name cannot be read, or not be written. */
struct ctl_buffers {
    void *old;
    size_t *old_length;
    const void *new;
    size_t new_length;
};
int ctl_by_mib(const size_t *mib, size_t mib_length, const struct ctl_buffers *buffers);
/* The same by name. */
int ctl_by_name(const char *name, const struct ctl_buffers *buffers);

/* What ctl_by_mib() does for the common call, of which ctl_names_is_number() is true. */
int ctl_number(const size_t *mib, size_t row, void *buffer);

/* How experimental.batch_alloc gets blocks: mallocx() of the floor above, which sets it. */
extern void *(*ctl_block_source)(size_t size_bytes, int flags);

/* For whoever prints: the rows of the table from the outside. The path of a row, NULL behind the
 * last; the value of a row, which has a reader, for these indices. */
struct ctl_value;
const char *ctl_path(unsigned row);
bool ctl_has_value(unsigned row);
int ctl_value(unsigned row, const size_t *mib, struct ctl_value *value);

#endif
