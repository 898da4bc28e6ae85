/* test_dump_maps.c: goal: a profile has the lines of /proc/self/maps, and for each ELF file one
 * with its build id.
 * Method: beside the file itself, and what the loader tells of its modules; a mapped file that
 * pretends to be one.
 */
#include "unit_check.h"

#include "profile/dump_file.h"
#include "profile/dump_maps.h"

#include <elf.h>
#include <link.h>

static char path[] = "/tmp/test_dump_maps_XXXXXX";
static char text[1 << 20];

static void write_maps(void)
{
    assert_true(dump_file_open(path));
    dump_maps_write();
    assert_true(dump_file_close());
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    (void)fclose(file);
}

/* Lines of libraries do not change between two looks. */
static void lines_are_those_of_proc(void **state)
{
    (void)state;
    char line[8192];
    unsigned found = 0;
    write_maps();
    assert_ptr_equal(strstr(text, "\nMAPPED_LIBRARIES:\n"), text);
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, ".so") != NULL) {
            EXPECT(strstr(text, line) != NULL, "not there: %s", line);
            found++;
        }
    }
    (void)fclose(maps);
    assert_true(found > 3);
}

/* "START ID " as the section has it; of one without a build id, "". */
static void make_line(const struct dl_phdr_info *info, char *line)
{
    uintptr_t start = UINTPTR_MAX;
    line[0] = '\0';
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_vaddr < start) {
            start = info->dlpi_phdr[i].p_vaddr;
        }
    }
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *segment = &info->dlpi_phdr[i];
        const char *at = (const char *)(info->dlpi_addr + segment->p_vaddr); /* NOLINT */
        const char *end = at + segment->p_memsz;
        while (segment->p_type == PT_NOTE && at < end) {
            const Elf64_Nhdr *note = (const Elf64_Nhdr *)at; /* NOLINT */
            const unsigned char *id = (const unsigned char *)at + sizeof *note + 4;
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4) {
                int used = sprintf(line, "\n%llx ", (unsigned long long)(info->dlpi_addr + start));
                for (unsigned j = 0; j < note->n_descsz; j++) {
                    used += sprintf(line + used, "%02x", id[j]);
                }
                (void)sprintf(line + used, " ");
                return;
            }
            at += sizeof *note + ((note->n_namesz + 3) & ~3u) + ((note->n_descsz + 3) & ~3u);
        }
    }
}

static int expect_module(struct dl_phdr_info *info, size_t size, void *opaque)
{
    (void)size;
    char line[256];
    make_line(info, line);
    /* The kernel's own module is no file. */
    if (line[0] != '\0' && strstr(info->dlpi_name, "vdso") == NULL) {
        EXPECT(strstr(text, line) != NULL, "%s: not there: %s", info->dlpi_name, line);
        ++*(unsigned *)opaque;
    }
    return 0;
}

static void each_module_has_its_build_id_once(void **state)
{
    (void)state;
    unsigned modules = 0;
    unsigned lines = 0;
    write_maps();
    (void)dl_iterate_phdr(expect_module, &modules);
    assert_true(modules > 1);
    const char *section = strstr(text, "\nBUILD_IDS:\n");
    assert_non_null(section);
    for (const char *at = strchr(section + 1, '\n') + 1; *at != '\0'; at = strchr(at, '\n') + 1) {
        char own[32];
        unsigned long long start;
        lines += sscanf(at, "%llx %31[0-9a-f]", &start, own) == 2 && strchr(at, '/') != NULL;
    }
    assert_int_equal(lines, modules);
}

/* Headers that lead nowhere, behind the end, and to notes without end. */
static void broken_headers_are_passed_over(void **state)
{
    (void)state;
    static const char other[] = "/tmp/test_dump_maps_broken";
    char head[4096] = {0};
    Elf64_Ehdr header = {.e_ident = ELFMAG, .e_phentsize = sizeof(Elf64_Phdr)};
    uint64_t random = unit_seed(3);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    for (unsigned round = 0; round < 300; round++) {
        header.e_phoff = unit_random(&random) >> (round % 2 == 0 ? 0 : 52);
        header.e_phnum = (uint16_t)(round % 3 == 0 ? unit_random(&random) : 4);
        for (unsigned i = 0; i < sizeof head; i++) {
            head[i] = (char)(unit_random(&random) >> 60);
        }
        Elf64_Phdr segment = {.p_type = PT_NOTE,
                              .p_offset = unit_random(&random) >> (round % 5 == 0 ? 1 : 53),
                              .p_vaddr = unit_random(&random) >> 53,
                              .p_filesz = unit_random(&random) >> (round % 60)};
        size_t at = header.e_phoff < 2048 ? header.e_phoff : 64;
        memcpy(head + at, &segment, sizeof segment);
        memcpy(head, &header, sizeof header);
        int file = open(other, O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(file, head, sizeof head), (ssize_t)sizeof head);
        void *mapped = mmap(NULL, sizeof head, PROT_READ, MAP_PRIVATE, file, 0);
        assert_true(mapped != MAP_FAILED);
        write_maps();
        assert_int_equal(munmap(mapped, sizeof head), 0);
        (void)close(file);
    }
    assert_int_equal(unlink(other), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_those_of_proc),
        cmocka_unit_test(each_module_has_its_build_id_once),
        cmocka_unit_test(broken_headers_are_passed_over),
    };
    (void)close(mkstemp(path));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
