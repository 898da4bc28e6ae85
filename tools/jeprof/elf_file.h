/* elf_file.h: one program or library, opened for its symbols, with its debug information.
 *
 * Addresses of an open file are those it was linked for: elf_file_address() gives them for a place
 * in the file, as a mapping tells it. Debug information is looked for in the file itself, in the
 * given debug files, beside the file, in the given folders, in /usr/lib/debug, and on the servers
 * in $DEBUGINFOD_URLS as long as that is set.
 */
#ifndef JEPROF_ELF_FILE_H
#define JEPROF_ELF_FILE_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BUILD_ID_BYTES_MAX = 64, /* of ids: linkers write 8, 16, 20 or 32 */
    BUILD_ID_TEXT_BYTES = 2 * BUILD_ID_BYTES_MAX + 1,
};

/* Where debug information is looked for. */
struct debug_places {
    char *path; /* folders, as libdwfl takes them */
    const char *const *files;
    size_t file_count;
};

struct elf_file {
    Dwfl *dwfl;
    Dwfl_Module *module;
    GElf_Phdr *segments; /* those that are loaded */
    size_t segment_count;
    bool is_without_code;               /* a debug file: segments without their bytes */
    char build_id[BUILD_ID_TEXT_BYTES]; /* hexadecimal; "": none */
};

/* Opens a file; NULL, or why it cannot be used, to stand behind "PATH: ". The places
 * outlive it. */
const char *elf_file_open(struct elf_file *file, const char *path, struct debug_places *places);

/* The same for the image of the vdso in this process. */
const char *elf_file_open_vdso(struct elf_file *file, struct debug_places *places);

/* The address that the byte at an offset was linked for; false when no segment holds it. */
bool elf_file_address(const struct elf_file *file, uint64_t offset, bool is_executable,
                      uint64_t *address);

/* The lowest page that the file is linked for. */
uint64_t elf_file_lowest_page(const struct elf_file *file);

/* NULL when there is none; *error then says what is wrong with it, or is NULL when nothing is. An
 * address of the file is the bias more than one in the DWARF. */
Dwarf *elf_file_dwarf(struct elf_file *file, uint64_t *bias, const char **error);

void elf_file_close(struct elf_file *file);

#endif
