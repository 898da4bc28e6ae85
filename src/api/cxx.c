/* cxx.c: C++'s operator new and delete, in C, under their mangled names.
 *
 * Nothing here links libstdc++. On failure the new_handler loop is run and std::bad_alloc thrown
 * through functions of the C++ library that the program itself has loaded, found when first needed:
 * a weak reference would be fixed when this library is loaded and miss one that comes later (a
 * Python extension with RTLD_LOCAL). The object is compiled with unwind tables, so exceptions pass
 * through its frames.
 *
 * Thread safety: as malloc.
 */
#include "api/block.h"
#include "api/malloc.h"

#include "base/print.h"

#include <dlfcn.h>
#include <stdlib.h>

typedef void (*new_handler)(void);

/* Mangled names of the C++ ABI (Itanium); libstdc++ and libc++ both have the first. */
static const char get_handler_name[] = "_ZSt15get_new_handlerv";
static const char nothrow_new_name[] = "_ZnwmRKSt9nothrow_t";
static const char nothrow_aligned_new_name[] = "_ZnwmSt11align_val_tRKSt9nothrow_t";
static const char *const throw_names[] = {
    "_ZSt17__throw_bad_allocv", /* libstdc++ */
    "_ZNSt3__117__throw_bad_allocB7v160000Ev",
};
static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};

extern new_handler _ZSt15get_new_handlerv(void) __attribute__((weak, visibility("default")));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak, visibility("default")));

/* A function in whichever C++ library is loaded, not one of ours; or NULL. Loads nothing. */
static void *find_in_cxx_library(const char *name)
{
    void *found = NULL;
    for (unsigned i = 0; found == NULL && i < sizeof libraries / sizeof libraries[0]; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library != NULL) {
            /* The reference stays: the library is the program's for good, and out of memory is no
             * time to unload one. */
            found = dlsym(library, name);
        }
    }
    return found;
}

static new_handler current_handler(void)
{
    if (_ZSt15get_new_handlerv != NULL) {
        return _ZSt15get_new_handlerv();
    }
    void *found = find_in_cxx_library(get_handler_name);
    new_handler (*get)(void);
    *(void **)&get = found;
    return get != NULL ? get() : NULL;
}

static _Noreturn void throw_bad_alloc(size_t size)
{
    if (_ZSt17__throw_bad_allocv != NULL) {
        _ZSt17__throw_bad_allocv();
    }
    for (unsigned i = 0; i < sizeof throw_names / sizeof throw_names[0]; i++) {
        void (*throw_it)(void);
        *(void **)&throw_it = find_in_cxx_library(throw_names[i]);
        if (throw_it != NULL) {
            throw_it();
        }
    }
    message_and_abort("operator new(): %zu bytes refused, and no C++ library to throw bad_alloc",
                      size);
}

static void *try_alloc(size_t size, size_t alignment)
{
    struct block_request request = {.size_bytes = size, .alignment = alignment};
    void *block = block_alloc(&request);
    if (alignment == 1) {
        tell_allocated(ALLOC_MALLOC, block, size, 0);
    } else {
        tell_allocated(ALLOC_ALIGNED_ALLOC, block, alignment, size);
    }
    return block;
}

/* Options may forbid new to fail at all, even to tell a nothrow caller. */
static void refuse_to_fail(size_t size)
{
    if (options.experimental_infallible_new) {
        message_and_abort("Allocation of size %zu failed. opt.experimental_infallible_new is true. "
                          "Aborting.",
                          size);
    }
}

/* The loop that the C++ standard asks for. A handler makes memory free, throws, or ends the
 * program. */
static NOINLINE void *new_slow(size_t size, size_t alignment)
{
    for (;;) {
        void *block = try_alloc(size, alignment);
        if (block != NULL) {
            return block;
        }
        refuse_to_fail(size);
        if (options.xmalloc) {
            return out_of_memory("operator new");
        }
        new_handler handler = current_handler();
        if (handler == NULL) {
            throw_bad_alloc(size);
        }
        handler();
    }
}

static NOINLINE void *new_aligned(size_t size, size_t alignment)
{
    void *block = fast_alloc_aligned(size, alignment);
    return block != NULL ? block : new_slow(size, alignment);
}

/* A handler may throw, which nothrow new must turn into NULL; C cannot catch. The C++ library's own
 * nothrow new can: it calls the throwing form, which is ours, and catches. */
static NOINLINE void *new_nothrow_slow(size_t size, size_t alignment)
{
    void *block = try_alloc(size, alignment);
    if (block == NULL) {
        refuse_to_fail(size);
    }
    if (block != NULL || current_handler() == NULL) {
        return block;
    }
    if (alignment == 1) {
        void *(*library_new)(size_t, const void *);
        *(void **)&library_new = find_in_cxx_library(nothrow_new_name);
        return library_new != NULL ? library_new(size, "") : NULL;
    }
    void *(*library_new)(size_t, size_t, const void *);
    *(void **)&library_new = find_in_cxx_library(nothrow_aligned_new_name);
    return library_new != NULL ? library_new(size, alignment, "") : NULL;
}

ALWAYS_INLINE void *new_plain(size_t size)
{
    void *block = fast_alloc(size);
    return LIKELY(block != NULL) ? block : new_slow(size, 1);
}

ALWAYS_INLINE void *new_nothrow(size_t size)
{
    void *block = fast_alloc(size);
    return LIKELY(block != NULL) ? block : new_nothrow_slow(size, 1);
}

ALWAYS_INLINE void delete_plain(void *block)
{
    if (UNLIKELY(!fast_free(block))) {
        free_slow(block);
    }
}

ALWAYS_INLINE void delete_sized(void *block, size_t size)
{
    if (UNLIKELY(block == NULL) || UNLIKELY(!fast_free_sized(block, size))) {
        free_sized_slow(block, size, 1);
    }
}

static NOINLINE void *new_nothrow_aligned(size_t size, size_t alignment)
{
    void *block = fast_alloc_aligned(size, alignment);
    return block != NULL ? block : new_nothrow_slow(size, alignment);
}

/* An aligned block's class may be larger than its size says: this asks the map. */
ALWAYS_INLINE void delete_sized_aligned(void *block, size_t size, size_t alignment)
{
    if (UNLIKELY(!fast_free(block))) {
        free_sized_slow(block, size, alignment);
    }
}

/* The names of the Itanium C++ ABI: nw, na = new, new[]; dl, da = delete, delete[]; m = size_t;
 * St11align_val_t = an alignment; RKSt9nothrow_t = the nothrow tag. */
EXPORT void *_Znwm(size_t size);
EXPORT void *_Znam(size_t size);
EXPORT void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
EXPORT void *_ZnamRKSt9nothrow_t(size_t size, const void *tag);
EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t alignment);
EXPORT void *_ZnamSt11align_val_t(size_t size, size_t alignment);
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag);
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag);
EXPORT void _ZdlPv(void *block);
EXPORT void _ZdaPv(void *block);
EXPORT void _ZdlPvRKSt9nothrow_t(void *block, const void *tag);
EXPORT void _ZdaPvRKSt9nothrow_t(void *block, const void *tag);
EXPORT void _ZdlPvm(void *block, size_t size);
EXPORT void _ZdaPvm(void *block, size_t size);
EXPORT void _ZdlPvSt11align_val_t(void *block, size_t alignment);
EXPORT void _ZdaPvSt11align_val_t(void *block, size_t alignment);
EXPORT void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, const void *tag);
EXPORT void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, const void *tag);
EXPORT void _ZdlPvmSt11align_val_t(void *block, size_t size, size_t alignment);
EXPORT void _ZdaPvmSt11align_val_t(void *block, size_t size, size_t alignment);

void *_Znwm(size_t size)
{
    return new_plain(size);
}

void *_Znam(size_t size)
{
    return new_plain(size);
}

void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag)
{
    (void)tag;
    return new_nothrow(size);
}

void *_ZnamRKSt9nothrow_t(size_t size, const void *tag)
{
    (void)tag;
    return new_nothrow(size);
}

void *_ZnwmSt11align_val_t(size_t size, size_t alignment)
{
    return new_aligned(size, alignment);
}

void *_ZnamSt11align_val_t(size_t size, size_t alignment)
{
    return new_aligned(size, alignment);
}

void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag)
{
    (void)tag;
    return new_nothrow_aligned(size, alignment);
}

void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag)
{
    (void)tag;
    return new_nothrow_aligned(size, alignment);
}

void _ZdlPv(void *block)
{
    delete_plain(block);
}

void _ZdaPv(void *block)
{
    delete_plain(block);
}

void _ZdlPvRKSt9nothrow_t(void *block, const void *tag)
{
    (void)tag;
    delete_plain(block);
}

void _ZdaPvRKSt9nothrow_t(void *block, const void *tag)
{
    (void)tag;
    delete_plain(block);
}

void _ZdlPvm(void *block, size_t size)
{
    delete_sized(block, size);
}

void _ZdaPvm(void *block, size_t size)
{
    delete_sized(block, size);
}

void _ZdlPvSt11align_val_t(void *block, size_t alignment)
{
    (void)alignment;
    delete_plain(block);
}

void _ZdaPvSt11align_val_t(void *block, size_t alignment)
{
    (void)alignment;
    delete_plain(block);
}

void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, const void *tag)
{
    (void)alignment;
    (void)tag;
    delete_plain(block);
}

void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *block, size_t alignment, const void *tag)
{
    (void)alignment;
    (void)tag;
    delete_plain(block);
}

void _ZdlPvmSt11align_val_t(void *block, size_t size, size_t alignment)
{
    delete_sized_aligned(block, size, alignment);
}

void _ZdaPvmSt11align_val_t(void *block, size_t size, size_t alignment)
{
    delete_sized_aligned(block, size, alignment);
}
