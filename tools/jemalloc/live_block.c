/* live_block.c: maps, ELF headers and notes of a process. See live_block.h.
 *
 * All that is read was written by the process, which may be wrong or hostile: sizes are bounded,
 * and nothing is written before the note's version is known.
 */
#include "live_block.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __aarch64__
static const Elf64_Half own_machine = EM_AARCH64;
#else
static const Elf64_Half own_machine = EM_X86_64;
#endif

enum {
    HEADERS_MAX = 64, /* program headers that are looked at */
    NOTES_BYTES_MAX = 64 * 1024,
};

static const char owner[] = "dg-jemalloc";

/* What was seen on the way, for the line that says why there is nothing. */
struct sight {
    bool is_32_bit;         /* the program */
    bool is_other_machine;  /* the program */
    bool has_unstarted;     /* the library, which no allocation has reached */
    unsigned other_version; /* of a note; 0: none */
    char jemalloc[512];     /* a file of this name that has no note */
    bool has_program;
};

struct module {
    uintptr_t start;
    const char *path;
    Elf64_Ehdr header;
    Elf64_Phdr rows[HEADERS_MAX];
    unsigned row_count;
};

static bool read_headers(const struct live_process *process, struct module *module)
{
    Elf64_Ehdr *header = &module->header;
    if (!live_process_read(process, module->start, header, sizeof *header) ||
        memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
        return false;
    }
    module->row_count = 0;
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != own_machine ||
        header->e_phentsize != sizeof module->rows[0]) {
        return true;
    }
    unsigned count = header->e_phnum < HEADERS_MAX ? header->e_phnum : HEADERS_MAX;
    if (live_process_read(process, module->start + header->e_phoff, module->rows,
                          count * sizeof module->rows[0])) {
        module->row_count = count;
    }
    return true;
}

/* The header is the first byte of the file, so of the segment with offset 0. */
static bool find_bias(const struct module *module, uintptr_t *bias)
{
    for (unsigned i = 0; i < module->row_count; i++) {
        if (module->rows[i].p_type == PT_LOAD && module->rows[i].p_offset == 0) {
            *bias = module->start - module->rows[i].p_vaddr;
            return true;
        }
    }
    return false;
}

static size_t round_to_words(size_t bytes)
{
    return (bytes + 3) & ~(size_t)3;
}

/* Our note among those that lie at an address of the process. */
static bool find_note(const char *notes, size_t size, struct outside_note *note, size_t *offset)
{
    size_t at = 0;
    Elf64_Nhdr header;
    while (size - at >= sizeof header) {
        memcpy(&header, notes + at, sizeof header);
        size_t name = at + sizeof header;
        if (header.n_namesz > size - name || header.n_descsz > size - name) {
            return false;
        }
        size_t value = name + round_to_words(header.n_namesz);
        bool is_ours = header.n_namesz == sizeof owner && header.n_type == OUTSIDE_NOTE_TYPE &&
                       header.n_descsz >= sizeof *note && value + sizeof *note <= size &&
                       memcmp(notes + name, owner, sizeof owner) == 0;
        if (is_ours) {
            memcpy(note, notes + value, sizeof *note);
            *offset = value;
            return true;
        }
        at = value + round_to_words(header.n_descsz);
        if (at > size) {
            return false;
        }
    }
    return false;
}

/* True when the segment of notes has ours; then its version and addresses are known. */
static bool read_notes(const struct live_process *process, const Elf64_Phdr *row, uintptr_t bias,
                       struct outside_note *note, struct live_block *found)
{
    size_t size = row->p_memsz < NOTES_BYTES_MAX ? row->p_memsz : NOTES_BYTES_MAX;
    uintptr_t address = bias + row->p_vaddr;
    size_t offset;
    char *notes = malloc(size + 1);
    bool is_there = notes != NULL && live_process_read(process, address, notes, size) &&
                    find_note(notes, size, note, &offset);
    free(notes);
    if (is_there) {
        address += offset;
        found->block =
            address + offsetof(struct outside_note, to_block) + (uintptr_t)(intptr_t)note->to_block;
        found->path =
            address + offsetof(struct outside_note, to_path) + (uintptr_t)(intptr_t)note->to_path;
    }
    return is_there;
}

/* Whether the module has a library that serves the process. */
static bool try_module(const struct live_process *process, struct module *module,
                       struct sight *sight, struct live_block *found)
{
    struct outside_note note;
    struct outside_block block;
    uintptr_t bias;
    bool has_note = false;
    if (!sight->has_program) {
        sight->has_program = true;
        sight->is_32_bit = module->header.e_ident[EI_CLASS] == ELFCLASS32;
        sight->is_other_machine = module->header.e_machine != own_machine;
    }
    bool has_bias = find_bias(module, &bias);
    for (unsigned i = 0; has_bias && i < module->row_count && !has_note; i++) {
        has_note = module->rows[i].p_type == PT_NOTE &&
                   read_notes(process, &module->rows[i], bias, &note, found);
    }
    if (!has_note) {
        const char *name = strrchr(module->path, '/');
        if (name != NULL && strncmp(name, "/libjemalloc", strlen("/libjemalloc")) == 0) {
            snprintf(sight->jemalloc, sizeof sight->jemalloc, "%s", module->path);
        }
        return false;
    }
    if (note.version != OUTSIDE_VERSION || note.path_bytes != OUTSIDE_PATH_BYTES) {
        sight->other_version = note.version;
        return false;
    }
    bool is_started = live_block_read(process, found, &block) && block.is_started != 0;
    sight->has_unstarted = sight->has_unstarted || !is_started;
    return is_started;
}

static bool fail_without(struct live_process *process, const struct sight *sight)
{
    int number = process->number;
    const char *name = process->name;
    if (sight->other_version != 0) {
        return live_process_fail(process, VERB_UNSUPPORTED,
                                 "process %d (%s) has another version of the library (its block is "
                                 "of version %u, this program knows %u)",
                                 number, name, sight->other_version, (unsigned)OUTSIDE_VERSION);
    }
    if (sight->has_unstarted) {
        return live_process_fail(process, VERB_FAILED,
                                 "process %d (%s) has the library, but has not allocated by it",
                                 number, name);
    }
    if (sight->jemalloc[0] != '\0') {
        return live_process_fail(process, VERB_UNSUPPORTED,
                                 "process %d (%s) has another jemalloc, which cannot be asked: %s",
                                 number, name, sight->jemalloc);
    }
    if (sight->is_32_bit) {
        return live_process_fail(
            process, VERB_UNSUPPORTED,
            "process %d (%s) is a program of 32 bits, which the library is not "
            "made for",
            number, name);
    }
    if (sight->is_other_machine) {
        return live_process_fail(process, VERB_UNSUPPORTED,
                                 "process %d (%s) is a program for another kind of machine", number,
                                 name);
    }
    return live_process_fail(process, VERB_MISSING,
                             "process %d (%s) does not have the library: start it with "
                             "LD_PRELOAD=libjemalloc.so.2, or link it",
                             number, name);
}

/* A line of maps: START-END PERMISSIONS OFFSET DEVICE INODE PATH. Whether a file begins there. */
static bool read_line(char *line, struct module *module)
{
    unsigned long long start;
    unsigned long long end;
    unsigned long long offset;
    unsigned long long inode;
    char permissions[8];
    int path_at = 0;
    if (sscanf(line, "%llx-%llx %7s %llx %*s %llu %n", &start, &end, permissions, &offset, &inode,
               &path_at) != 5) {
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    module->start = (uintptr_t)start;
    module->path = line + path_at;
    return permissions[0] == 'r' && offset == 0 && inode != 0;
}

bool live_block_find(struct live_process *process, struct live_block *found)
{
    struct sight sight = {.has_program = false};
    struct module module;
    char *line = NULL;
    size_t room = 0;
    bool is_found = false;
    int file = openat(process->folder, "maps", O_RDONLY | O_CLOEXEC);
    FILE *maps = file >= 0 ? fdopen(file, "r") : NULL;
    if (maps == NULL) {
        if (file >= 0) {
            close(file);
        }
        return live_process_fail(process, VERB_FAILED, "the maps of process %d cannot be read",
                                 process->number);
    }
    while (!is_found && getline(&line, &room, maps) > 0) {
        is_found = read_line(line, &module) && read_headers(process, &module) &&
                   try_module(process, &module, &sight, found);
    }
    if (is_found) {
        snprintf(found->module, sizeof found->module, "%s", module.path);
    }
    free(line);
    fclose(maps);
    return is_found || fail_without(process, &sight);
}

bool live_block_read(const struct live_process *process, const struct live_block *at,
                     struct outside_block *block)
{
    return live_process_read(process, at->block, block, sizeof *block);
}
