/* modules.c: modules.h on Linux: the loader's table, our own program headers, libgcc_s.so.1.
 *
 * Nothing of libc is referenced but what the library imports anyway: each further symbol would cost
 * the start of every program some 900 instructions, and only profiling needs these.
 */
#include "os/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What glibc's function fills in, as its <dlfcn.h> has it for x86-64 and aarch64; written out here
 * since older C libraries have neither. */
struct found_object {
    uint64_t flags;
    uintptr_t map_start;
    uintptr_t map_end;
    uintptr_t link_map;
    const uint8_t *frame_index;
    uint64_t reserved[16];
};
typedef int (*object_finder)(void *address, struct found_object *found);

enum { FUTEX_CMP_REQUEUE_OF_THIS_PROCESS = 4 | 128 };

/* Of glibc's loader, or NULL. Written by os_modules_start(), more than once with one value; read by
 * any thread, relaxed: it publishes nothing of ours. */
static object_finder find_object;

static const char finder_name[] = "_dl_find_object";

/* The linker's name of the ELF header of the module that it appears in. Weak: a linker script may
 * leave the header out of memory. */
extern const Elf64_Ehdr __ehdr_start __attribute__((weak, visibility("hidden")));

/* What only profiling needs of libc and libgcc is looked up when it starts: in a shared library
 * each would be one more name for the loader at each start. The archive for programs that are not
 * PIC, or are PIE, refers to it instead, weakly: a static program has no libgcc_s.so.1 to load, and
 * the linker warns of each that names dlopen. Other programs that it is linked into have libgcc or
 * do not: those of C++ and Rust do. */
#if !defined(__PIC__) || defined(__PIE__)
/* By another name: newer headers declare it, with a type of their own. */
extern int linked_finder(void *, struct found_object *) __asm__("_dl_find_object")
    __attribute__((weak, visibility("default")));
extern int _Unwind_Backtrace(void *, void *) __attribute__((weak, visibility("default")));
extern uintptr_t _Unwind_GetIP(void *) __attribute__((weak, visibility("default")));

static void *find_in_libc(const char *name)
{
    return strcmp(name, finder_name) == 0 ? (void *)(uintptr_t)linked_finder : NULL;
}

static void *find_in_libgcc(const char *name)
{
    void *found = NULL;
    if (strcmp(name, "_Unwind_Backtrace") == 0) {
        found = (void *)(uintptr_t)_Unwind_Backtrace;
    } else if (strcmp(name, "_Unwind_GetIP") == 0) {
        found = (void *)(uintptr_t)_Unwind_GetIP;
    }
    return found;
}

/* libc and libgcc of a static program know their own tables when the constructors run, not before;
 * the shared library has none. */
static bool constructors_run;

__attribute__((constructor)) static void note_constructors(void)
{
    constructors_run = true;
}

bool os_modules_can_start(void)
{
    return constructors_run;
}

static object_finder finder_unloaded(void)
{
    return linked_finder;
}

bool os_modules_are_one(void)
{
    return getauxval(AT_BASE) == 0;
}
#else
/* Whether the program was started by a loader, which is what dlopen needs. */
static bool has_loader(void)
{
    const Elf64_Phdr *headers = (const Elf64_Phdr *)getauxval(AT_PHDR); /* NOLINT */
    size_t count = headers != NULL ? getauxval(AT_PHNUM) : 0;
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = found || headers[i].p_type == PT_INTERP;
    }
    return found;
}

static void *find_in_libc(const char *name)
{
    return has_loader() ? dlsym(RTLD_DEFAULT, name) : NULL;
}

static void *find_in_libgcc(const char *name)
{
    /* Bound at once: a first call through the loader's lazy binding would be one from malloc. */
    void *library = has_loader() ? dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL) : NULL;
    return library != NULL ? dlsym(library, name) : NULL;
}

/* The program's environment is known from libc's own constructor on, which runs first. */
bool os_modules_can_start(void)
{
    return environ != NULL;
}

/* The tables of a module in memory by which the loader finds its symbols. */
struct symbol_tables {
    uintptr_t bias;
    const Elf64_Sym *symbols;
    const char *names;
    const uint32_t *hash; /* DT_GNU_HASH */
};

/* An address in the dynamic section, to which glibc adds the bias where it can write. */
static uintptr_t table_address(uintptr_t bias, const Elf64_Dyn *row)
{
    return row->d_un.d_ptr < bias ? row->d_un.d_ptr + bias : row->d_un.d_ptr;
}

static bool read_tables(const struct link_map *module, struct symbol_tables *tables)
{
    *tables = (struct symbol_tables){.bias = module->l_addr};
    for (const Elf64_Dyn *row = module->l_ld; row->d_tag != DT_NULL; row++) {
        const void *table = (const void *)table_address(module->l_addr, row); /* NOLINT */
        switch (row->d_tag) {
        case DT_SYMTAB:
            tables->symbols = table;
            break;
        case DT_STRTAB:
            tables->names = table;
            break;
        case DT_GNU_HASH:
            tables->hash = table;
            break;
        default:
            break;
        }
    }
    return tables->symbols != NULL && tables->names != NULL && tables->hash != NULL;
}

/* The loader's list of modules, where the program's dynamic section leads. */
static const struct link_map *first_module(void)
{
    const Elf64_Phdr *headers = (const Elf64_Phdr *)getauxval(AT_PHDR); /* NOLINT */
    size_t count = headers != NULL ? getauxval(AT_PHNUM) : 0;
    uintptr_t bias = 0;
    uintptr_t dynamic = 0;
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type == PT_PHDR) {
            bias = (uintptr_t)headers - headers[i].p_vaddr;
        } else if (headers[i].p_type == PT_DYNAMIC) {
            dynamic = headers[i].p_vaddr;
        }
    }
    const Elf64_Dyn *row = (const Elf64_Dyn *)(dynamic != 0 ? bias + dynamic : 0); /* NOLINT */
    while (row != NULL && row->d_tag != DT_NULL && row->d_tag != DT_DEBUG) {
        row++;
    }
    const struct r_debug *state =
        row != NULL && row->d_tag == DT_DEBUG ? (const void *)row->d_un.d_ptr : NULL; /* NOLINT */
    return state != NULL ? state->r_map : NULL;
}

/* Modules that came with the program are first in the list and never leave it, so up to libc it
 * can be read while another thread loads one. */
static const struct link_map *libc_module(void)
{
    static const char name[] = "/libc.so.6";
    const struct link_map *module = first_module();
    for (; module != NULL; module = module->l_next) {
        size_t length = strlen(module->l_name);
        if (length >= sizeof name - 1 &&
            memcmp(module->l_name + length - (sizeof name - 1), name, sizeof name) == 0) {
            break;
        }
    }
    return module;
}

/* The hash function of DT_GNU_HASH, as ELF has it. */
static uint32_t symbol_hash(const char *name)
{
    uint32_t hash = 5381;
    for (; *name != '\0'; name++) {
        hash = hash * 33 + (unsigned char)*name;
    }
    return hash;
}

/* DT_GNU_HASH: four numbers, a filter of words of 64 bits, buckets, and from symbol `first` on the
 * hashes of symbols, each bucket's last one with bit 0 set. Result: an address, or 0. */
static uintptr_t find_symbol(const struct symbol_tables *tables, const char *name)
{
    size_t name_bytes = strlen(name) + 1;
    uint32_t bucket_count = tables->hash[0];
    uint32_t first = tables->hash[1];
    const uint32_t *buckets = tables->hash + 4 + (size_t)2 * tables->hash[2];
    const uint32_t *hashes = buckets + bucket_count;
    uint32_t wanted = symbol_hash(name);
    uint32_t i = bucket_count != 0 ? buckets[wanted % bucket_count] : 0;
    if (i < first) {
        return 0;
    }
    for (bool is_last = false; !is_last; i++) {
        uint32_t hash = hashes[i - first];
        const Elf64_Sym *symbol = &tables->symbols[i];
        if ((hash | 1) == (wanted | 1) && symbol->st_shndx != SHN_UNDEF &&
            memcmp(tables->names + symbol->st_name, name, name_bytes) == 0) {
            return tables->bias + symbol->st_value;
        }
        is_last = (hash & 1) != 0;
    }
    return 0;
}

static object_finder finder_unloaded(void)
{
    struct symbol_tables tables;
    const struct link_map *libc = libc_module();
    object_finder finder = NULL;
    if (libc != NULL && read_tables(libc, &tables)) {
        *(uintptr_t *)&finder = find_symbol(&tables, finder_name);
    }
    return finder;
}

/* There are the program, a loader and libc at least. */
bool os_modules_are_one(void)
{
    return false;
}
#endif

bool os_modules_start_unloaded(void)
{
    int error = errno;
    object_finder finder = __atomic_load_n(&find_object, __ATOMIC_RELAXED);
    if (finder == NULL) {
        finder = finder_unloaded();
        __atomic_store_n(&find_object, finder, __ATOMIC_RELAXED);
    }
    errno = error;
    return finder != NULL;
}

void os_modules_start(void)
{
    int error = errno;
    object_finder finder;
    *(void **)&finder = find_in_libc(finder_name);
    __atomic_store_n(&find_object, finder, __ATOMIC_RELAXED);
    errno = error;
}

/* splitmix64's finish: each bit of the result depends on all of value. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

/* A module that is unloaded may be followed by another one at the same address, or by itself after
 * a new build. The count and the first row of the index tell most new builds from old ones. */
static void set_identity(struct os_module *module, uint64_t link)
{
    uint64_t words[2] = {0, 0};
    if (module->frame_index != NULL) {
        memcpy(words, module->frame_index, sizeof words);
    }
    uint64_t mixed = mix(module->start ^ link);
    mixed = mix(mixed ^ (uint64_t)(uintptr_t)module->frame_index ^ module->end << 20);
    mixed = mix(mix(mixed ^ words[0]) ^ words[1]);
    module->identity = mixed | 1;
}

bool os_module_own(struct os_module *module)
{
    if (&__ehdr_start == NULL) {
        return false;
    }
    uintptr_t header = (uintptr_t)&__ehdr_start;
    const Elf64_Phdr *rows = (const Elf64_Phdr *)(header + __ehdr_start.e_phoff); /* NOLINT */
    uintptr_t lowest = UINTPTR_MAX;
    uintptr_t highest = 0;
    uintptr_t index = 0;
    for (unsigned i = 0; i < __ehdr_start.e_phnum; i++) {
        if (rows[i].p_type == PT_LOAD) {
            uintptr_t end = rows[i].p_vaddr + rows[i].p_memsz;
            lowest = rows[i].p_vaddr < lowest ? rows[i].p_vaddr : lowest;
            highest = end > highest ? end : highest;
        } else if (rows[i].p_type == PT_GNU_EH_FRAME) {
            index = rows[i].p_vaddr;
        }
    }
    if (highest == 0) {
        return false;
    }
    /* The header is the first byte of the first segment. */
    uintptr_t bias = header - lowest;
    module->start = header;
    module->end = highest + bias;
    module->frame_index = index != 0 ? (const uint8_t *)(index + bias) : NULL; /* NOLINT */
    set_identity(module, 0);
    return true;
}

bool os_module_is_program(const struct os_module *module)
{
    return getauxval(AT_ENTRY) - module->start < module->end - module->start;
}

bool os_module_find(uintptr_t address, struct os_module *module)
{
    object_finder finder = __atomic_load_n(&find_object, __ATOMIC_RELAXED);
    if (finder == NULL) {
        return os_module_own(module) && address >= module->start && address < module->end;
    }
    struct found_object found;
    if (finder((void *)address, &found) != 0) { /* NOLINT */
        return false;
    }
    module->start = found.map_start;
    module->end = found.map_end;
    module->frame_index = found.frame_index;
    set_identity(module, found.link_map);
    return true;
}

void *os_unwinder_find(const char *name)
{
    int error = errno;
    void *found = find_in_libgcc(name);
    errno = error;
    return found;
}

/* The comparison of a requeue that wakes nobody and moves nobody: it reads the word, and nothing
 * else. Sandboxes allow futex, which locks need. */
bool os_is_readable(uintptr_t address)
{
    ASSERT(address % sizeof(uint32_t) == 0);
    int error = errno;
    long result = syscall(SYS_futex, address, FUTEX_CMP_REQUEUE_OF_THIS_PROCESS, 0, 0, address, 0);
    bool is_readable = result >= 0 || errno != EFAULT;
    errno = error;
    return is_readable;
}

uintptr_t os_first_stack_end(void)
{
    /* The name of the program's file stands above its arguments, which are above all frames. */
    uintptr_t end = getauxval(AT_EXECFN);
    return end != 0 ? end : UINTPTR_MAX;
}
