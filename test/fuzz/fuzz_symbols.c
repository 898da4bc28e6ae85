/* fuzz_symbols.c: the frames of a damaged program.
 *
 * Goal: whatever stands in an ELF file or its DWARF, looking addresses up ends, and neither crashes
 * nor leaks. Method: a small program in one of several forms of DWARF; the input cuts it short and
 * overwrites bytes in its headers and sections, or is the file itself. All addresses of its code
 * are looked up at once, some alone.
 */
#include "fuzz_input.h"
#include "symbols.h"

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    FILE_BYTES_MAX = 1 << 16, /* of the small programs, which have 20 KiB */
    SECTIONS_MAX = 64,
    CODE_START = 0x400000,
    STEP = 5, /* bytes from one address to the next: most instructions are that short */
};

struct form {
    const char *name;
    size_t size;
    size_t section_count;
    Elf64_Shdr sections[SECTIONS_MAX];
    uint8_t bytes[FILE_BYTES_MAX];
};

static struct form forms[] = {
    {.name = FUZZ_PROGRAMS "/pdwarf5"},
    {.name = FUZZ_PROGRAMS "/pdwarf4"},
    {.name = FUZZ_PROGRAMS "/pfixed"},
    {.name = FUZZ_PROGRAMS "/pcompressed"},
};

static void read_form(struct form *form)
{
    FILE *file = fopen(form->name, "re");
    HOLDS(file != NULL);
    form->size = fread(form->bytes, 1, sizeof form->bytes, file);
    HOLDS(form->size > sizeof(Elf64_Ehdr) && form->size < sizeof form->bytes);
    fclose(file);
    Elf64_Ehdr header;
    memcpy(&header, form->bytes, sizeof header);
    HOLDS(header.e_shnum > 0 && header.e_shnum <= SECTIONS_MAX);
    form->section_count = header.e_shnum;
    memcpy(form->sections, form->bytes + header.e_shoff, header.e_shnum * sizeof(Elf64_Shdr));
}

static size_t input_word(struct fuzz_input *input)
{
    size_t high = input_byte(input);
    return high << 8 | input_byte(input);
}

/* Some bytes of a section, or of the headers, which are the places that everything hangs on. */
static void change(uint8_t *bytes, size_t size, const struct form *form, struct fuzz_input *input)
{
    unsigned choice = input_below(input, SECTIONS_MAX);
    size_t start = choice == 0 ? 0 : form->size - form->section_count * sizeof(Elf64_Shdr);
    size_t length = choice == 0 ? 1024 : form->size - start;
    if (choice > 1) {
        const Elf64_Shdr *section = &form->sections[choice % form->section_count];
        start = section->sh_offset;
        length = section->sh_size > 0 ? section->sh_size : 1;
    }
    size_t place = start + input_word(input) % length;
    for (unsigned count = input_below(input, 8) + 1; count > 0; count--, place++) {
        uint8_t value = input_byte(input);
        if (place < size) {
            bytes[place] = value;
        }
    }
}

static size_t fill(uint8_t *bytes, struct fuzz_input *input)
{
    const struct form *form = &forms[input_below(input, 4)];
    if (input_byte(input) == 0) {
        memcpy(bytes, input->bytes, input->left);
        return input->left;
    }
    size_t size = form->size;
    memcpy(bytes, form->bytes, size);
    if (input_byte(input) >= 250) {
        size = input_word(input) % size;
    }
    while (input->left > 0) {
        change(bytes, size, form, input);
    }
    return size;
}

static void count_line(void *context, const char *line)
{
    HOLDS(strchr(line, '\n') == NULL);
    (*(size_t *)context)++;
}

static void check_frames(struct symbols *symbols, uint64_t address)
{
    const struct symbol_frame *frames;
    size_t count = symbols_find(symbols, address, &frames);
    for (size_t i = 0; i < count; i++) {
        HOLDS(frames[i].function == NULL || strlen(frames[i].function) < SIZE_MAX);
        HOLDS(frames[i].file == NULL || strlen(frames[i].file) < SIZE_MAX);
        HOLDS(frames[i].is_inlined == (i + 1 < count));
    }
}

static void look_up(const char *path, size_t size)
{
    static uint64_t addresses[FILE_BYTES_MAX / STEP + 1];
    size_t count = 0;
    size_t lines = 0;
    struct mapping mapping = {CODE_START, CODE_START + size + 1, 0, true, path, NULL};
    const struct symbols_options options = {.warn = count_line, .warn_context = &lines};
    for (size_t offset = 0x1000; offset < size && offset < 0x2000; offset += STEP) {
        addresses[count++] = CODE_START + offset;
    }
    struct symbols *symbols = symbols_open(&options, NULL, &mapping, 1);
    check_frames(symbols, CODE_START);
    symbols_find_all(symbols, addresses, count);
    for (size_t i = 0; i < count; i++) {
        check_frames(symbols, addresses[i]);
    }
    check_frames(symbols, CODE_START + size);
    symbols_close(symbols);
    HOLDS(lines <= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    struct fuzz_input input = {data, size < FILE_BYTES_MAX ? size : FILE_BYTES_MAX};
    if (forms[0].size == 0) {
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            read_form(&forms[i]);
        }
    }
    size_t file_size = fill(bytes, &input);
    int descriptor = memfd_create("symbols", MFD_CLOEXEC);
    HOLDS(descriptor >= 0 && write(descriptor, bytes, file_size) == (ssize_t)file_size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    look_up(path, file_size);
    close(descriptor);
    return 0;
}
