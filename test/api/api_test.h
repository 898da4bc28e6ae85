/* api_test.h: what each API test includes: cmocka, the public header last (it may map names by
 * macros), and what the build says about the library.
 */
#ifndef TEST_API_API_TEST_H
#define TEST_API_API_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <unistd.h>

#include <cmocka.h>

#include "block_content.h"
#include "usable_oracle.h"

#include <jemalloc/jemalloc.h>

/* Under a sanitizer the library has prefixed names and shares the address space with shadow memory;
 * tests do fewer rounds. */
#ifdef JEMALLOC_PREFIXED
enum { LIBRARY_IS_PREFIXED = 1 };
#else
enum { LIBRARY_IS_PREFIXED = 0 };
#endif

/* Fails the test with a message unless the condition holds. Cheap enough for loops of millions. */
#define EXPECT(condition, ...)                       \
    do {                                             \
        if (!(condition)) {                          \
            print_error("not so: %s\n", #condition); \
            fail_msg(__VA_ARGS__);                   \
        }                                            \
    } while (0)

/* Whether a request of this size is tried at all: sanitizers refuse the range in which the kernel
 * decides. */
static inline bool size_is_testable(size_t size)
{
    return !LIBRARY_IS_PREFIXED || size <= ORACLE_MUST_SUCCEED || size >= ORACLE_MUST_FAIL;
}

#endif
