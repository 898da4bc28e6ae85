/* check.h: the rungs of assertions, and hints to the compiler.
 *
 *     static_assert   relations of constants
 *     ASSERT          debug builds; cheap local facts
 *     ASSERT_SLOW     debug builds but ThreadSanitizer's, where it would take most of the time;
 *                     re-counts a whole structure
 *     CHECK           every build, where the cost is under noise and the damage would be memory
 *                     corruption
 *     ALWAYS/NEVER    branches thought unreachable: kept in release, asserted in debug
 *
 * A failed check writes one line that names the place and aborts. Nothing here allocates.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if DG_DEBUG
static const bool config_debug = true;
#else
static const bool config_debug = false;
#endif

/* Writes "<jemalloc>: file:line: failed check: text" and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *text);

static inline void branch_is_wrong(const char *file, int line, const char *text)
{
    if (config_debug) {
        check_failed(file, line, text);
    }
}

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define CHECK(x) (LIKELY(x) ? (void)0 : check_failed(__FILE__, __LINE__, #x))
#define ASSERT(x) (!config_debug || LIKELY(x) ? (void)0 : check_failed(__FILE__, __LINE__, #x))
#ifdef __SANITIZE_THREAD__
#define ASSERT_SLOW(x) ((void)sizeof(x))
#else
#define ASSERT_SLOW(x) ASSERT(x)
#endif
#define ALWAYS(x) (LIKELY(x) ? true : (branch_is_wrong(__FILE__, __LINE__, "ALWAYS " #x), false))
#define NEVER(x) (UNLIKELY(x) ? (branch_is_wrong(__FILE__, __LINE__, "NEVER " #x), true) : false)

#define NOINLINE __attribute__((noinline))
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define MUST_USE __attribute__((warn_unused_result))
#define COLD __attribute__((cold))
/* Reads aligned numbers that their owner changes by plain stores, which must stay as cheap as they
 * are: the reader may see the one before. */
#define READS_OTHERS __attribute__((no_sanitize("thread")))
/* Data of the fast paths: its address is known, and not loaded from the global offset table. On
 * x86-64 the linker turns such a load into an address by itself, on aarch64 it does not. */
#define HIDDEN __attribute__((visibility("hidden")))

/* Hides where a value comes from: the compiler can neither re-derive it nor fold it into an address
 * with an index register. Why that matters: docs/fast-path.md. */
#define LAUNDER(x) __asm__("" : "+r"(x))

#endif
