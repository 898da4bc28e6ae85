/* test_memory_options.c: goal: the options about address space, huge pages and where memory comes
 * from do what they say, seen in /proc, in addresses and in what the kernel is asked.
 * Method: option_task.h; the children read /proc/self/statm and smaps.
 */
#include "option_task.h"

#include <sys/mman.h>

enum { KIB = 1024, MIB = 1 << 20, MANY = 1024, FAILED = 99 };

static void *blocks[MANY];

static bool act(const char *name)
{
    return mallctl(name, NULL, NULL, NULL, 0) == 0;
}

static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu", &pages) != 1) {
        exit(FAILED);
    }
    fclose(file);
    return pages * 4096;
}

static void allocate_many(size_t size)
{
    for (unsigned i = 0; i < MANY; i++) {
        blocks[i] = malloc(size);
        if (blocks[i] == NULL) {
            exit(FAILED);
        }
        memset(blocks[i], (int)i, size);
    }
}

static void free_many(size_t size)
{
    for (unsigned i = 0; i < MANY; i++) {
        const unsigned char *bytes = blocks[i];
        if (bytes[0] != (unsigned char)i || bytes[size - 1] != (unsigned char)i) {
            exit(FAILED);
        }
        free(blocks[i]);
    }
}

/* 64 MiB come and go, twice. Result: how many MiB of address space went with them. */
static int give_back_64_mib(void)
{
    allocate_many(64 * KIB);
    free_many(64 * KIB);
    allocate_many(64 * KIB);
    size_t before = address_space();
    size_t retained_before = stat_value("stats.retained");
    free_many(64 * KIB);
    if (!act("arena.4096.purge")) {
        return FAILED;
    }
    size_t after = address_space();
    size_t retained = stat_value("stats.retained") - retained_before;
    int gone = (int)((before - after) / MIB);
    /* What went is no longer counted as retained, and the other way round. */
    return gone + (int)(retained / MIB) >= 60 && gone + (int)(retained / MIB) <= 66 ? gone : FAILED;
}

struct mapping {
    bool wants_huge_pages;
    bool refuses_huge_pages;
    size_t bytes;
};

/* Mapping by mapping; false at the end. */
static bool next_mapping(FILE *smaps, struct mapping *mapping, unsigned long range[2])
{
    char line[512];
    while (fgets(line, sizeof line, smaps) != NULL) {
        unsigned long from;
        unsigned long to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            range[0] = from;
            range[1] = to;
        } else if (strncmp(line, "VmFlags:", 8) == 0) {
            *mapping = (struct mapping){strstr(line, " hg") != NULL, strstr(line, " nh") != NULL,
                                        range[1] - range[0]};
            return true;
        }
    }
    return false;
}

static struct mapping mapping_of(const void *address)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    unsigned long range[2] = {0, 0};
    struct mapping mapping = {0};
    bool found = false;
    while (smaps != NULL && !found && next_mapping(smaps, &mapping, range)) {
        found = range[0] <= (uintptr_t)address && (uintptr_t)address < range[1];
    }
    if (smaps == NULL || !found) {
        exit(FAILED);
    }
    fclose(smaps);
    return mapping;
}

static size_t bytes_that_want_huge_pages(void)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    unsigned long range[2] = {0, 0};
    struct mapping mapping;
    size_t sum = 0;
    while (smaps != NULL && next_mapping(smaps, &mapping, range)) {
        sum += mapping.wants_huge_pages ? mapping.bytes : 0;
    }
    if (smaps != NULL) {
        fclose(smaps);
    }
    return sum;
}

static int wish_of(const void *block)
{
    struct mapping mapping = mapping_of(block);
    return mapping.wants_huge_pages ? 1 : mapping.refuses_huge_pages ? 2 : 0;
}

/* Tens: what the mapping of a block of 64 KiB asks for: 1 huge pages, 2 none; ones: of 5 MiB. */
static int wishes(void)
{
    char *run = malloc(64 * KIB);
    char *mapping = malloc(5 * MIB);
    int result = wish_of(run) * 10 + wish_of(mapping);
    /* A block that moves keeps what was asked for. */
    mapping = realloc(mapping, 64 * MIB);
    result = wish_of(mapping) == result % 10 ? result : FAILED;
    free(run);
    free(mapping);
    return result;
}

static int metadata_wish(void)
{
    size_t wanted = bytes_that_want_huge_pages();
    return wanted == stat_value("stats.metadata_thp") * 2 * MIB ? (int)(wanted / 2 / MIB) : FAILED;
}

/* Huge pages asked for by the allocator's own memory in a small program; 10 more when one with
 * 1 GiB of blocks asks for more. */
static int metadata_wishes(void)
{
    free(malloc(1));
    int small = metadata_wish();
    for (unsigned i = 0; i < MANY; i++) {
        blocks[i] = malloc(MIB);
    }
    int large = metadata_wish();
    for (unsigned i = 0; i < MANY; i++) {
        free(blocks[i]);
    }
    bool any = large != FAILED && large > small;
    return small == FAILED ? FAILED : (any ? 10 : 0) + small;
}

static const struct {
    const char *name;
    int (*run)(void);
} tasks[] = {
    {"give_back_64_mib", give_back_64_mib},
    {"wishes", wishes},
    {"metadata_wishes", metadata_wishes},
};

/* What the parent expects. */

static void unused_chunks_are_unmapped_when_told(void **state)
{
    (void)state;
    expect_exit("narenas:1", "give_back_64_mib", 0);
    expect_exit("narenas:1,retain:true", "give_back_64_mib", 0);
    int status = run_task("narenas:1,retain:false", "give_back_64_mib");
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) >= 60 && WEXITSTATUS(status) <= 66,
           "status 0x%x", status);
}

static void mappings_ask_for_huge_pages_when_told(void **state)
{
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) {
        skip();
    }
    expect_exit("", "wishes", 0);
    expect_exit("thp:default", "wishes", 0);
    expect_exit("thp:always", "wishes", 11);
    expect_exit("thp:never", "wishes", 22);
    expect_exit("huge_arena_pac_thp:true", "wishes", 0);
    expect_exit("huge_arena_pac_thp:true,oversize_threshold:4194304", "wishes", 1);
    expect_exit("huge_arena_pac_thp:true,oversize_threshold:0", "wishes", 0);
    expect_exit("huge_arena_pac_thp:true,oversize_threshold:4194304,thp:never", "wishes", 22);
}

static void metadata_asks_for_huge_pages_when_told(void **state)
{
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) {
        skip();
    }
    expect_exit("", "metadata_wishes", 0);
    expect_exit("metadata_thp:disabled", "metadata_wishes", 0);
    expect_exit("metadata_thp:auto", "metadata_wishes", 10);
    expect_exit("metadata_thp:always", "metadata_wishes", 11);
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc == 2 && i < sizeof tasks / sizeof tasks[0]; i++) {
        if (strcmp(argv[1], tasks[i].name) == 0) {
            return tasks[i].run();
        }
    }
    if (LIBRARY_IS_PREFIXED) {
        return 0; /* a sanitizer stands before the library's functions */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_chunks_are_unmapped_when_told),
        cmocka_unit_test(mappings_ask_for_huge_pages_when_told),
        cmocka_unit_test(metadata_asks_for_huge_pages_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
