/* dump_maps.c: copies /proc/self/maps, then goes through it again for ELF files. See dump_maps.h.
 *
 * The text is not kept: it may be long, and there is no memory for it. A module may be unloaded
 * meanwhile, so its memory is read by a system call, which fails where an access would trap.
 */
#include "profile/dump_maps.h"

#include "os/files.h"
#include "profile/dump_file.h"

#include <elf.h>
#include <string.h>

enum {
    PIECE_BYTES = 4096,
    LINE_BYTES = 4096 + 128, /* a path and what stands before it; longer ones are cut */
    HEAD_BYTES = 2048,       /* of a module: header, program headers, and mostly the note too */
    NOTES_BYTES = 512,
    BUILD_ID_BYTES_MAX = 64,
};

/* Under the dump's lock, like all of it. */
static struct {
    char piece[PIECE_BYTES];
    char line[LINE_BYTES];
    size_t length;
    uint64_t inode; /* of the last file with a line */
    _Alignas(8) char head[HEAD_BYTES];
    _Alignas(8) char notes[NOTES_BYTES];
} maps;

/* A line of the table. */
struct mapping {
    uint64_t start;
    uint64_t offset;
    uint64_t inode;
    bool is_readable;
    const char *path;
};

/* Of a thread, not of the process: that of a process is empty once its first thread has ended. */
static int open_maps(void)
{
    int file = os_file_open("/proc/thread-self/maps");
    return file >= 0 ? file : os_file_open("/proc/self/maps");
}

static void copy_maps(void)
{
    int file = open_maps();
    ptrdiff_t count;
    while (file >= 0 && (count = os_file_read(file, maps.piece, sizeof maps.piece)) > 0) {
        dump_file_put(maps.piece, (size_t)count);
    }
    (void)!(file >= 0 && os_file_close(file));
}

static unsigned digit_value(char digit)
{
    bool is_decimal = digit >= '0' && digit <= '9';
    bool is_letter = digit >= 'a' && digit <= 'f';
    return is_decimal ? (unsigned)(digit - '0') : is_letter ? (unsigned)(digit - 'a') + 10 : 16;
}

/* A number of the base, and the character behind it. */
static uint64_t take_number(const char **at, unsigned base)
{
    uint64_t number = 0;
    unsigned digit;
    while ((digit = digit_value(**at)) < base) {
        number = number * base + digit;
        ++*at;
    }
    *at += **at != '\0';
    return number;
}

static void skip_word(const char **at)
{
    while (**at != '\0' && **at != ' ') {
        ++*at;
    }
    *at += **at == ' ';
}

/* "START-END PERMISSIONS OFFSET DEVICE INODE PATH" */
static struct mapping parse_line(const char *line)
{
    struct mapping mapping;
    mapping.start = take_number(&line, 16);
    (void)take_number(&line, 16);
    mapping.is_readable = line[0] == 'r';
    skip_word(&line);
    mapping.offset = take_number(&line, 16);
    skip_word(&line);
    mapping.inode = take_number(&line, 10);
    while (*line == ' ') {
        line++;
    }
    mapping.path = line;
    return mapping;
}

/* The build id among notes, and its length; NULL: none. */
static const uint8_t *find_build_id(const char *notes, size_t size_bytes, size_t *length)
{
    const size_t owner_bytes = sizeof "GNU";
    size_t at = 0;
    Elf64_Nhdr note;
    while (at + sizeof note <= size_bytes) {
        memcpy(&note, notes + at, sizeof note);
        size_t owner_at = at + sizeof note;
        size_t value_at = owner_at + (((size_t)note.n_namesz + 3) & ~(size_t)3);
        size_t end = value_at + (((size_t)note.n_descsz + 3) & ~(size_t)3);
        if (end > size_bytes) {
            break;
        }
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == owner_bytes &&
            memcmp(notes + owner_at, "GNU", owner_bytes) == 0 && note.n_descsz > 0 &&
            note.n_descsz <= BUILD_ID_BYTES_MAX) {
            *length = note.n_descsz;
            return (const uint8_t *)notes + value_at;
        }
        at = end;
    }
    return NULL;
}

/* The notes of a segment, in maps.head or copied. */
static const char *read_notes(const Elf64_Phdr *segment, uint64_t start, uint64_t first_address,
                              size_t *size_bytes)
{
    *size_bytes = segment->p_filesz < NOTES_BYTES ? (size_t)segment->p_filesz : NOTES_BYTES;
    if (segment->p_offset <= HEAD_BYTES - NOTES_BYTES) {
        return maps.head + segment->p_offset;
    }
    uintptr_t address = (uintptr_t)(start + (segment->p_vaddr - first_address));
    return os_memory_read(address, maps.notes, *size_bytes) ? maps.notes : NULL;
}

static void print_build_id(const struct mapping *mapping, const uint8_t *id, size_t length)
{
    dump_file_print("%llx ", (unsigned long long)mapping->start);
    for (size_t i = 0; i < length; i++) {
        dump_file_print("%02x", id[i]);
    }
    dump_file_print(" %s\n", mapping->path);
}

/* Looks through the program headers in maps.head. The first segment that is loaded is the one that
 * begins with the file. */
static void note_build_id(const struct mapping *mapping, const Elf64_Ehdr *header)
{
    uint64_t first_address = UINT64_MAX;
    for (size_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        size_t at = header->e_phoff + i * sizeof segment;
        if (at > HEAD_BYTES - sizeof segment) {
            return;
        }
        memcpy(&segment, maps.head + at, sizeof segment);
        if (segment.p_type == PT_LOAD && segment.p_vaddr < first_address) {
            first_address = segment.p_vaddr;
        }
    }
    for (size_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        size_t size_bytes;
        size_t length;
        memcpy(&segment, maps.head + header->e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type != PT_NOTE) {
            continue;
        }
        const char *notes = read_notes(&segment, mapping->start, first_address, &size_bytes);
        const uint8_t *id = notes != NULL ? find_build_id(notes, size_bytes, &length) : NULL;
        if (id != NULL) {
            print_build_id(mapping, id, length);
            return;
        }
    }
}

/* The first mapping of a file's first page, when that is an ELF header. */
static void look_at_line(void)
{
    struct mapping mapping = parse_line(maps.line);
    Elf64_Ehdr header;
    if (mapping.inode == 0 || mapping.offset != 0 || !mapping.is_readable ||
        mapping.inode == maps.inode ||
        !os_memory_read((uintptr_t)mapping.start, maps.head, sizeof maps.head)) {
        return;
    }
    memcpy(&header, maps.head, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
        header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phoff < HEAD_BYTES) {
        maps.inode = mapping.inode;
        note_build_id(&mapping, &header);
    }
}

static void add_to_line(char character)
{
    if (character == '\n') {
        maps.line[maps.length] = '\0';
        maps.length = 0;
        look_at_line();
    } else if (maps.length < sizeof maps.line - 1) {
        maps.line[maps.length++] = character;
    }
}

static void write_build_ids(void)
{
    int file = open_maps();
    ptrdiff_t count;
    maps.length = 0;
    maps.inode = 0;
    while (file >= 0 && (count = os_file_read(file, maps.piece, sizeof maps.piece)) > 0) {
        for (ptrdiff_t i = 0; i < count; i++) {
            add_to_line(maps.piece[i]);
        }
    }
    (void)!(file >= 0 && os_file_close(file));
}

void dump_maps_write(void)
{
    dump_file_print("\nMAPPED_LIBRARIES:\n");
    copy_maps();
    dump_file_print("BUILD_IDS:\n");
    write_build_ids();
}
