/* elf_file.c: one program or library, opened for its symbols. See elf_file.h.
 *
 * Each file has a libdwfl session of its own, in which it stands at the addresses that it was
 * linked for. libdwfl finds the debug information and puts its addresses beside the file's.
 */
#include "elf_file.h"

#include "text_pool.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 }; /* the smallest there is: segments begin on a larger one as well */

static void write_hex(char *text, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count && i < BUILD_ID_BYTES_MAX; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* A regular file, open for reading; -1 with errno for all else: opening must not wait. */
static int open_plain(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        return -1;
    }
    if (!S_ISREG(status.st_mode)) {
        close(descriptor);
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    return descriptor;
}

/* True when the file has this build id; without one, when it has this name. */
static bool is_debug_file(int descriptor, const char *path, const char *build_id, const char *name)
{
    Elf *elf = elf_begin(descriptor, ELF_C_READ_MMAP, NULL);
    const void *bytes = NULL;
    ssize_t size = elf != NULL ? dwelf_elf_gnu_build_id(elf, &bytes) : -1;
    char text[BUILD_ID_TEXT_BYTES] = "";
    if (size > 0) {
        write_hex(text, bytes, (size_t)size);
    }
    elf_end(elf);
    if (*build_id != '\0' && *text != '\0') {
        return strcmp(text, build_id) == 0;
    }
    const char *slash = strrchr(path, '/');
    return name != NULL && strcmp(slash != NULL ? slash + 1 : path, name) == 0;
}

static void module_build_id(Dwfl_Module *module, char *text)
{
    const unsigned char *bytes;
    GElf_Addr address;
    int size = dwfl_module_build_id(module, &bytes, &address);
    *text = '\0';
    if (size > 0) {
        write_hex(text, bytes, (size_t)size);
    }
}

static int find_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
                          const char *file_name, const char *link_name, GElf_Word checksum,
                          char **found)
{
    const struct debug_places *places = *user;
    char build_id[BUILD_ID_TEXT_BYTES];
    module_build_id(module, build_id);
    for (size_t i = 0; places != NULL && i < places->file_count; i++) {
        int descriptor = open_plain(places->files[i]);
        if (descriptor >= 0 && is_debug_file(descriptor, places->files[i], build_id, link_name)) {
            *found = strdup(places->files[i]);
            return descriptor;
        }
        if (descriptor >= 0) {
            close(descriptor);
        }
    }
    return dwfl_standard_find_debuginfo(module, user, name, base, file_name, link_name, checksum,
                                        found);
}

static int find_no_elf(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
                       char **file_name, Elf **elf)
{
    (void)module;
    (void)user;
    (void)name;
    (void)base;
    (void)file_name;
    (void)elf;
    return -1;
}

static char *debug_path;

static const Dwfl_Callbacks callbacks = {
    .find_elf = find_no_elf,
    .find_debuginfo = find_debuginfo,
    .debuginfo_path = &debug_path,
};

static bool is_within(uint64_t offset, uint64_t size, uint64_t end)
{
    return offset <= end && size <= end - offset;
}

/* True when the file goes on as far as its headers say. Section headers mostly stand last. */
static bool is_whole(const struct elf_file *file, Elf *elf, const GElf_Ehdr *header)
{
    size_t size = 0;
    if (elf_rawfile(elf, &size) == NULL ||
        !is_within(header->e_shoff, (uint64_t)header->e_shnum * header->e_shentsize, size)) {
        return false;
    }
    for (size_t i = 0; i < file->segment_count; i++) {
        const GElf_Phdr *segment = &file->segments[i];
        if (!file->is_without_code && !is_within(segment->p_offset, segment->p_filesz, size)) {
            return false;
        }
    }
    return true;
}

/* What libdwfl takes as a module: a file with segments to load, of any machine. */
static const char *read_segments(struct elf_file *file, Elf *elf)
{
    GElf_Ehdr header;
    size_t count;
    if (elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &header) == NULL) {
        return "not an ELF file";
    }
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
        return "neither a program nor a shared library";
    }
    if (elf_getphdrnum(elf, &count) != 0) {
        return "a broken ELF header";
    }
    file->segments = memory_take(count, sizeof *file->segments);
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr *segment = &file->segments[file->segment_count];
        if (gelf_getphdr(elf, (int)i, segment) == NULL) {
            return "a broken ELF header";
        }
        if (segment->p_type != PT_LOAD) {
            continue;
        }
        file->is_without_code |= (segment->p_flags & PF_X) != 0 && segment->p_filesz == 0;
        file->segment_count++;
    }
    if (file->segment_count == 0) {
        return "nothing in it is loaded";
    }
    return is_whole(file, elf, &header) ? NULL : "it is cut short";
}

/* Takes the descriptor over. */
static const char *open_session(struct elf_file *file, const char *path, int descriptor,
                                struct debug_places *places)
{
    debug_path = places->path;
    file->dwfl = dwfl_begin(&callbacks);
    if (file->dwfl == NULL) {
        close(descriptor);
        return dwfl_errmsg(-1);
    }
    file->module = dwfl_report_elf(file->dwfl, path, path, descriptor, 0, true);
    if (file->module == NULL) {
        close(descriptor);
        return dwfl_errmsg(-1);
    }
    void **user;
    dwfl_module_info(file->module, &user, NULL, NULL, NULL, NULL, NULL, NULL);
    *user = places;
    dwfl_report_end(file->dwfl, NULL, NULL);
    return NULL;
}

/* Takes the descriptor over. */
static const char *open_elf(struct elf_file *file, const char *path, int descriptor,
                            struct debug_places *places)
{
    elf_version(EV_CURRENT);
    *file = (struct elf_file){.dwfl = NULL};
    Elf *elf = elf_begin(descriptor, ELF_C_READ_MMAP, NULL);
    if (elf == NULL) {
        close(descriptor);
        return "not an ELF file";
    }
    const char *error = read_segments(file, elf);
    elf_end(elf);
    if (error != NULL) {
        close(descriptor);
        return error;
    }
    error = open_session(file, path, descriptor, places);
    if (error == NULL) {
        module_build_id(file->module, file->build_id);
    }
    return error;
}

static const char *open_descriptor(struct elf_file *file, const char *path, int descriptor,
                                   struct debug_places *places)
{
    const char *error = open_elf(file, path, descriptor, places);
    if (error != NULL) {
        elf_file_close(file);
    }
    return error;
}

const char *elf_file_open(struct elf_file *file, const char *path, struct debug_places *places)
{
    int descriptor = open_plain(path);
    if (descriptor < 0) {
        *file = (struct elf_file){.dwfl = NULL};
        return errno == EINVAL ? "not a plain file" : strerror(errno);
    }
    return open_descriptor(file, path, descriptor, places);
}

/* libdwfl reads files only, so the image becomes one. */
const char *elf_file_open_vdso(struct elf_file *file, struct debug_places *places)
{
    *file = (struct elf_file){.dwfl = NULL};
    const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
    if (image == NULL) {
        return "this process has none";
    }
    Elf64_Ehdr header;
    memcpy(&header, image, sizeof header);
    /* Its section headers stand last. */
    size_t size = header.e_shoff + (size_t)header.e_shnum * header.e_shentsize;
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shnum == 0) {
        return "this process has one of another kind";
    }
    int descriptor = memfd_create("vdso", MFD_CLOEXEC);
    if (descriptor < 0) {
        return strerror(errno);
    }
    if (write(descriptor, image, size) != (ssize_t)size) {
        close(descriptor);
        return "cannot be copied";
    }
    return open_descriptor(file, "[vdso]", descriptor, places);
}

static bool segment_holds(const GElf_Phdr *segment, uint64_t offset)
{
    uint64_t start = segment->p_offset & ~(uint64_t)(PAGE_BYTES - 1);
    /* A mapping reaches to the end of the last page. */
    uint64_t size = (segment->p_offset - start + segment->p_filesz + PAGE_BYTES - 1) &
                    ~(uint64_t)(PAGE_BYTES - 1);
    return segment->p_filesz > 0 && offset >= start && offset - start < size;
}

bool elf_file_address(const struct elf_file *file, uint64_t offset, bool is_executable,
                      uint64_t *address)
{
    const GElf_Phdr *found = NULL;
    for (size_t i = 0; i < file->segment_count; i++) {
        const GElf_Phdr *segment = &file->segments[i];
        bool is_better = found == NULL || ((segment->p_flags & PF_X) != 0) == is_executable;
        if (segment_holds(segment, offset) && is_better) {
            found = segment;
        }
    }
    if (found != NULL) {
        *address = offset - found->p_offset + found->p_vaddr;
    }
    return found != NULL;
}

uint64_t elf_file_lowest_page(const struct elf_file *file)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < file->segment_count; i++) {
        lowest = file->segments[i].p_vaddr < lowest ? file->segments[i].p_vaddr : lowest;
    }
    return lowest & ~(uint64_t)(PAGE_BYTES - 1);
}

/* True when neither the file nor what was found for it holds DWARF, which is no error. */
static bool is_without_dwarf(Dwfl_Module *module)
{
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(module, &bias);
    size_t names;
    if (elf == NULL || elf_getshdrstrndx(elf, &names) != 0) {
        return false;
    }
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        const char *name =
            gelf_getshdr(section, &header) != NULL ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (name != NULL && strstr(name, "debug_info") != NULL && header.sh_type != SHT_NOBITS) {
            return false;
        }
    }
    return true;
}

Dwarf *elf_file_dwarf(struct elf_file *file, uint64_t *bias, const char **error)
{
    GElf_Addr dwarf_bias = 0;
    dwfl_errno(); /* forgets older errors */
    Dwarf *dwarf = dwfl_module_getdwarf(file->module, &dwarf_bias);
    *bias = dwarf_bias;
    *error = NULL;
    if (dwarf == NULL && !is_without_dwarf(file->module)) {
        *error = dwfl_errmsg(-1);
    }
    return dwarf;
}

void elf_file_close(struct elf_file *file)
{
    dwfl_end(file->dwfl);
    free(file->segments);
    *file = (struct elf_file){.dwfl = NULL};
}
