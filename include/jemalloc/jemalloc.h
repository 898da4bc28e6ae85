/* jemalloc.h: the public interface: the C allocation family, the extended *allocx() family, the
 * control interface (mallctl) and the types that a program hands to it. Source compatible with
 * jemalloc 5.3.1.
 *
 * Each function is declared under its je_ name; the mode says what that becomes.
 *   default             je_malloc is the symbol malloc. The je_ macros end with the header, unless
 *                       JEMALLOC_NO_DEMANGLE or JEMALLOC_MANGLE is defined: then both spellings
 *                       work, and both mean the symbol malloc.
 *   JEMALLOC_NO_RENAME  je_malloc stays je_malloc, for a library built with prefixed names.
 *   JEMALLOC_PREFIXED   the same, and malloc, mallocx ... in the program's text become je_malloc,
 *                       je_mallocx ... (NO_RENAME with MANGLE). The library's own sanitizer
 *                       builds use it, so that the sanitizer keeps the symbol malloc.
 * Where macros map names, include the system's headers first. C89, C++98 and later; the compiler's
 * extensions are used only where it has them.
 */
#ifndef JEMALLOC_H_
#define JEMALLOC_H_

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#define JEMALLOC_VERSION "5.3.1-0-g81034ce1f1373e37dc865038e1bc8eeecf559ce8"
#define JEMALLOC_VERSION_MAJOR 5
#define JEMALLOC_VERSION_MINOR 3
#define JEMALLOC_VERSION_BUGFIX 1
#define JEMALLOC_VERSION_NREV 0
#define JEMALLOC_VERSION_GID "81034ce1f1373e37dc865038e1bc8eeecf559ce8"
#define JEMALLOC_VERSION_GID_IDENT 81034ce1f1373e37dc865038e1bc8eeecf559ce8

/* ---- Flags of the *allocx() functions: an int, fields combined with | ----
 *
 *     31          20 19           8  7    6    5      0
 *     [ arena + 1   | tcache + 2    | - | zero | lg(alignment) ]
 *
 * Zero in a field means: automatic arena, automatic thread cache, no zeroing, natural alignment.
 */
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ZERO ((int)0x40)
#define MALLOCX_TCACHE(tc) ((int)(((tc) + 2) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a) ((((int)(a)) + 1) << 20)

/* Alignment must be a power of two; its logarithm is the position of its only bit. */
#if defined(__GNUC__)
#define MALLOCX_ALIGN(a) ((int)(__builtin_ffsl((long)(a)) - 1))
#else
#define MALLOCX_ALIGN(a) \
    ((int)((size_t)(a) <= INT_MAX ? ffs((int)(a)) - 1 : ffs((int)((size_t)(a) >> 31)) + 30))
#endif

/* Arena indices with a meaning of their own in "arena.<i>.*" and "stats.arenas.<i>.*". Plain
 * decimal, so that the preprocessor can paste them into a name. */
#define MALLCTL_ARENAS_ALL 4096
#define MALLCTL_ARENAS_DESTROYED 4097

/* ---- Attributes ---- */
#if defined(__GNUC__)
#define JEMALLOC_ATTR(s) __attribute__((s))
#else
#define JEMALLOC_ATTR(s)
#endif
#define JEMALLOC_ALIGNED(s) JEMALLOC_ATTR(aligned(s))
#define JEMALLOC_ALLOC_SIZE(s) JEMALLOC_ATTR(alloc_size(s))
#define JEMALLOC_ALLOC_SIZE2(s1, s2) JEMALLOC_ATTR(alloc_size(s1, s2))
#define JEMALLOC_NOTHROW JEMALLOC_ATTR(nothrow)
#ifndef JEMALLOC_EXPORT
#define JEMALLOC_EXPORT JEMALLOC_ATTR(visibility("default"))
#endif

/* C++ compares exception specifications of redeclarations. glibc declares its functions with
 * one, other C libraries do not; and programs that declare the extended functions themselves,
 * as weak symbols, use the attribute alone. So the specification stands on the C library's
 * names only, and only with glibc. <stdlib.h> has defined __GLIBC__. */
#if defined(__cplusplus) && defined(__GLIBC__)
#if __cplusplus >= 201103L
#define JEMALLOC_CXX_THROW noexcept
#else
#define JEMALLOC_CXX_THROW throw()
#endif
#else
#define JEMALLOC_CXX_THROW
#endif

/* ---- From je_ names to symbols ---- */
#if defined(JEMALLOC_PREFIXED)
#ifndef JEMALLOC_NO_RENAME
#define JEMALLOC_NO_RENAME
#endif
#ifndef JEMALLOC_MANGLE
#define JEMALLOC_MANGLE
#endif
#endif

#ifndef JEMALLOC_NO_RENAME
#define je_aligned_alloc aligned_alloc
#define je_calloc calloc
#define je_dallocx dallocx
#define je_free free
#define je_free_aligned_sized free_aligned_sized
#define je_free_sized free_sized
#define je_mallctl mallctl
#define je_mallctlbymib mallctlbymib
#define je_mallctlnametomib mallctlnametomib
#define je_malloc malloc
#define je_malloc_conf malloc_conf
#define je_malloc_conf_2_conf_harder malloc_conf_2_conf_harder
#define je_malloc_message malloc_message
#define je_malloc_stats_print malloc_stats_print
#define je_malloc_usable_size malloc_usable_size
#define je_mallocx mallocx
#define je_memalign memalign
#define je_nallocx nallocx
#define je_posix_memalign posix_memalign
#define je_pvalloc pvalloc
#define je_rallocx rallocx
#define je_realloc realloc
#define je_sallocx sallocx
#define je_sdallocx sdallocx
#define je_valloc valloc
#define je_xallocx xallocx
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The C library's family. Failure is NULL; posix_memalign() returns the error. ---- */

/* A size of 0 gives a block that can be freed. */
JEMALLOC_EXPORT void *je_malloc(size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW
    JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);

/* Zeroed; a product that overflows fails. */
JEMALLOC_EXPORT void *je_calloc(size_t num, size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW
    JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE2(1, 2);

/* On failure the old block is untouched. A size of 0 frees and returns NULL (option
 * zero_realloc). */
JEMALLOC_EXPORT void *je_realloc(void *ptr, size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW
    JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void je_free(void *ptr) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW;

/* C23: free() with the size, or size and alignment, that the block was asked with. */
JEMALLOC_EXPORT void je_free_sized(void *ptr, size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW;
JEMALLOC_EXPORT void je_free_aligned_sized(void *ptr, size_t alignment,
                                           size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW;

/* alignment: a power of two, and at least sizeof(void *) for posix_memalign(). */
JEMALLOC_EXPORT int je_posix_memalign(void **memptr, size_t alignment,
                                      size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW
    JEMALLOC_ATTR(nonnull(1));
JEMALLOC_EXPORT void *je_aligned_alloc(size_t alignment,
                                       size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW
    JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void *je_memalign(size_t alignment, size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW
    JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2);

/* Page aligned; pvalloc() also rounds the size up to whole pages. */
JEMALLOC_EXPORT void *je_valloc(size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW
    JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *je_pvalloc(size_t size) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW
    JEMALLOC_ATTR(malloc);

/* Bytes that the block really has, at least what was asked; all may be used. 0 for NULL. */
JEMALLOC_EXPORT size_t je_malloc_usable_size(void *ptr) JEMALLOC_CXX_THROW JEMALLOC_NOTHROW;

/* ---- The extended family. size and ptr must not be 0. ---- */
JEMALLOC_EXPORT void *je_mallocx(size_t size, int flags) JEMALLOC_NOTHROW JEMALLOC_ATTR(malloc)
    JEMALLOC_ALLOC_SIZE(1);

/* May move. On failure NULL, and the old block is untouched. With MALLOCX_ZERO the grown tail is
 * zero. */
JEMALLOC_EXPORT void *je_rallocx(void *ptr, size_t size, int flags) JEMALLOC_NOTHROW
    JEMALLOC_ALLOC_SIZE(2);

/* Never moves: tries for size + extra, then as much as it gets, and returns the usable size that
 * results. Below size means that it did not succeed. */
JEMALLOC_EXPORT size_t je_xallocx(void *ptr, size_t size, size_t extra, int flags) JEMALLOC_NOTHROW;
JEMALLOC_EXPORT size_t je_sallocx(const void *ptr, int flags) JEMALLOC_NOTHROW JEMALLOC_ATTR(pure);
JEMALLOC_EXPORT void je_dallocx(void *ptr, int flags) JEMALLOC_NOTHROW;
JEMALLOC_EXPORT void je_sdallocx(void *ptr, size_t size, int flags) JEMALLOC_NOTHROW;

/* The usable size that mallocx() would give, or 0 when it would refuse. Allocates nothing. */
JEMALLOC_EXPORT size_t je_nallocx(size_t size, int flags) JEMALLOC_NOTHROW JEMALLOC_ATTR(pure);

/* ---- Control and statistics. 0 or a positive errno value. ---- */
JEMALLOC_EXPORT int je_mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp,
                               size_t newlen) JEMALLOC_NOTHROW;
JEMALLOC_EXPORT int je_mallctlnametomib(const char *name, size_t *mibp,
                                        size_t *miblenp) JEMALLOC_NOTHROW;
JEMALLOC_EXPORT int je_mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp,
                                    void *newp, size_t newlen) JEMALLOC_NOTHROW;

/* write_cb NULL: through malloc_message, and by default to stderr. opts: letters that leave
 * parts out; "J" is JSON. */
JEMALLOC_EXPORT void je_malloc_stats_print(void (*write_cb)(void *, const char *), void *cbopaque,
                                           const char *opts) JEMALLOC_NOTHROW;

/* ---- Defragmentation by the program, as Redis does it (activedefrag) ----
 *
 * The macro tells Redis that the function exists. 1: the block had better be moved, by mallocx()
 * and dallocx() with MALLOCX_TCACHE_NONE; 0: it stays. The name is the same in all modes.
 */
#define JEMALLOC_FRAG_HINT
JEMALLOC_EXPORT int je_get_defrag_hint(void *ptr) JEMALLOC_NOTHROW;

/* ---- Data. A program may define malloc_conf itself; it is read at the first allocation. ---- */
extern JEMALLOC_EXPORT const char *je_malloc_conf;
extern JEMALLOC_EXPORT const char *je_malloc_conf_2_conf_harder;
extern JEMALLOC_EXPORT void (*je_malloc_message)(void *cbopaque, const char *s);

/* ---- Extent hooks: where an arena's memory comes from. ----
 *
 * Each function gets the table first and the arena's index last. A bool result is true for refused
 * or failed, false for done. Every member but alloc may be NULL. The table must live as long as the
 * arena.
 */
#if defined(__clang__) && !defined(__cplusplus)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc99-extensions" /* bool is in the interface, in C89 too */
#endif

typedef struct extent_hooks_s extent_hooks_t;

/* (hooks, new_addr, size, alignment, zero, commit, arena_ind): size is a multiple of the page,
 * alignment a power of two and at least a page. Honours new_addr exactly or returns NULL.
 * *zero and *commit: wanted, and on success what is. */
typedef void *(extent_alloc_t)(extent_hooks_t *, void *, size_t, size_t, bool *, bool *, unsigned);

/* (hooks, addr, size, committed, arena_ind): true keeps the memory with the allocator. */
typedef bool(extent_dalloc_t)(extent_hooks_t *, void *, size_t, bool, unsigned);

/* (hooks, addr, size, committed, arena_ind): unconditional, when the arena is destroyed. */
typedef void(extent_destroy_t)(extent_hooks_t *, void *, size_t, bool, unsigned);

/* (hooks, addr, size, offset, length, arena_ind): act on length bytes from addr + offset. */
typedef bool(extent_commit_t)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
typedef bool(extent_decommit_t)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
typedef bool(extent_purge_t)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);

/* (hooks, addr, size, size_a, size_b, committed, arena_ind) */
typedef bool(extent_split_t)(extent_hooks_t *, void *, size_t, size_t, size_t, bool, unsigned);

/* (hooks, addr_a, size_a, addr_b, size_b, committed, arena_ind) */
typedef bool(extent_merge_t)(extent_hooks_t *, void *, size_t, void *, size_t, bool, unsigned);

struct extent_hooks_s {
    extent_alloc_t *alloc;
    extent_dalloc_t *dalloc;
    extent_destroy_t *destroy;
    extent_commit_t *commit;
    extent_decommit_t *decommit;
    extent_purge_t *purge_lazy;   /* pages may keep their content until they are reclaimed */
    extent_purge_t *purge_forced; /* pages read as zero afterwards */
    extent_split_t *split;
    extent_merge_t *merge;
};

#if defined(__clang__) && !defined(__cplusplus)
#pragma clang diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

/* ---- From plain names to je_ names ---- */
#ifdef JEMALLOC_MANGLE
#ifndef JEMALLOC_NO_DEMANGLE
#define JEMALLOC_NO_DEMANGLE
#endif
#define aligned_alloc je_aligned_alloc
#define calloc je_calloc
#define dallocx je_dallocx
#define free je_free
#define free_aligned_sized je_free_aligned_sized
#define free_sized je_free_sized
#define mallctl je_mallctl
#define mallctlbymib je_mallctlbymib
#define mallctlnametomib je_mallctlnametomib
#define malloc je_malloc
#define malloc_conf je_malloc_conf
#define malloc_conf_2_conf_harder je_malloc_conf_2_conf_harder
#define malloc_message je_malloc_message
#define malloc_stats_print je_malloc_stats_print
#define malloc_usable_size je_malloc_usable_size
#define mallocx je_mallocx
#define memalign je_memalign
#define nallocx je_nallocx
#define posix_memalign je_posix_memalign
#define pvalloc je_pvalloc
#define rallocx je_rallocx
#define realloc je_realloc
#define sallocx je_sallocx
#define sdallocx je_sdallocx
#define valloc je_valloc
#define xallocx je_xallocx
#endif

#ifndef JEMALLOC_NO_DEMANGLE
#undef je_aligned_alloc
#undef je_calloc
#undef je_dallocx
#undef je_free
#undef je_free_aligned_sized
#undef je_free_sized
#undef je_mallctl
#undef je_mallctlbymib
#undef je_mallctlnametomib
#undef je_malloc
#undef je_malloc_conf
#undef je_malloc_conf_2_conf_harder
#undef je_malloc_message
#undef je_malloc_stats_print
#undef je_malloc_usable_size
#undef je_mallocx
#undef je_memalign
#undef je_nallocx
#undef je_posix_memalign
#undef je_pvalloc
#undef je_rallocx
#undef je_realloc
#undef je_sallocx
#undef je_sdallocx
#undef je_valloc
#undef je_xallocx
#endif

#endif
