/* test_memory_options.c: goal: the options about address space, huge pages and where memory comes
 * from do what they say, seen in /proc, in addresses and in what the kernel is asked.
 * Method: option_task.h; the children read /proc/self/statm and smaps.
 */
#include "option_task.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

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

/* The library calls these by name, and finds the program's. */
static bool refuses_mappings;

void *mmap(void *hint, size_t length, int protection, int flags, int file, off_t offset)
{
    if (refuses_mappings) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, hint, length, protection, flags, file, offset);
}

static bool keeps_content;
static unsigned madvise_calls;

int madvise(void *address, size_t length, int advice)
{
    madvise_calls++;
    return keeps_content ? 0 : (int)syscall(SYS_madvise, address, length, advice);
}

/* 1 when calloc took the system's word that pages were dropped, 0 when it has zeroes. */
static int calloc_where_madvise_does_nothing(void)
{
    keeps_content = true;
    allocate_many(64 * KIB);
    free_many(64 * KIB);
    bool purged = act("arena.4096.purge");
    int old = 0;
    for (unsigned i = 0; i < MANY; i++) {
        blocks[i] = calloc(1, 64 * KIB);
        for (unsigned at = 0; at < 64 * KIB; at++) {
            old |= ((char *)blocks[i])[at] != 0;
        }
    }
    return purged ? old : FAILED;
}

static size_t resident_bytes(void)
{
    unsigned long pages[2] = {0, 0};
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%lu %lu", &pages[0], &pages[1]) != 2) {
        exit(FAILED);
    }
    fclose(file);
    return pages[1] * 4096;
}

/* Purges 512 stretches of 64 KiB between live blocks: calls of madvise() in eighths of a hundred
 * that it took. */
static int purge_512_stretches(void)
{
    allocate_many(64 * KIB);
    for (unsigned i = 0; i < MANY; i += 2) {
        free(blocks[i]);
    }
    size_t before = resident_bytes();
    size_t counted_before = stat_value("stats.arenas.0.dirty_nmadvise");
    madvise_calls = 0;
    if (!act("arena.4096.purge") || before - resident_bytes() < 30 * MIB) {
        return FAILED;
    }
    size_t counted = stat_value("stats.arenas.0.dirty_nmadvise") - counted_before;
    for (unsigned i = 1; i < MANY; i += 2) {
        const unsigned char *bytes = blocks[i];
        if (bytes[0] != (unsigned char)i || bytes[64 * KIB - 1] != (unsigned char)i) {
            return FAILED;
        }
    }
    /* One more tries whether the system does what it says. */
    return counted + 1 >= madvise_calls ? (int)(counted / 8) : FAILED;
}

static bool lies_at_the_break(const void *address)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from;
        unsigned long to;
        found |= strstr(line, "[heap]") != NULL && sscanf(line, "%lx-%lx", &from, &to) == 2 &&
                 from <= (uintptr_t)address && (uintptr_t)address < to;
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return found;
}

/* 0: no block lies at the program break, 2: all of them do, 1: some. */
static int share_at_the_break(void)
{
    unsigned count = 0;
    allocate_many(64 * KIB);
    for (unsigned i = 0; i < MANY; i++) {
        count += lies_at_the_break(blocks[i]);
    }
    free_many(64 * KIB);
    return count == 0 ? 0 : count == MANY ? 2 : 1;
}

/* The program moves the break too. */
static int share_the_break(void)
{
    char *own[8];
    int share = share_at_the_break();
    for (unsigned i = 0; i < 8; i++) {
        own[i] = sbrk(5000);
        memset(own[i], 0x77, 5000);
        share = share == share_at_the_break() ? share : FAILED;
    }
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned at = 0; at < 5000; at++) {
            share = own[i][at] == 0x77 ? share : FAILED;
        }
    }
    return share;
}

static int share_by_name(const char *precedence)
{
    free(malloc(1));
    return mallctl("arena.0.dss", NULL, NULL, &precedence, sizeof precedence) == 0
               ? share_at_the_break()
               : FAILED;
}

static int primary_by_name(void)
{
    return share_by_name("primary");
}

static int disabled_by_name(void)
{
    return share_by_name("disabled");
}

/* Blocks of 1 MiB that are had while mappings are refused, up to 8; all at the break. */
static int blocks_without_mappings(void)
{
    enum { BLOCKS_MAX = 8 };
    free(malloc(1));
    refuses_mappings = true;
    int count = 0;
    while (count < BLOCKS_MAX && (blocks[count] = malloc(MIB)) != NULL) {
        memset(blocks[count], count, MIB);
        count++;
    }
    refuses_mappings = false;
    int at_break = 0;
    for (int i = 0; i < count; i++) {
        at_break += lies_at_the_break(blocks[i]) && *(char *)blocks[i] == i;
        free(blocks[i]);
    }
    /* One fits beside the block before. */
    return at_break >= count - 1 ? at_break : FAILED;
}

/* Chunks from the break stay mapped, whatever retain says, and are clean when they serve again. */
static int break_is_kept(void)
{
    allocate_many(64 * KIB);
    void *last = blocks[MANY - 1];
    bool at_break = lies_at_the_break(last);
    free_many(64 * KIB);
    unsigned char present;
    if (!at_break || !act("arena.4096.purge") ||
        mincore((void *)((uintptr_t)last & ~(uintptr_t)4095), 4096, &present) != 0) {
        return FAILED;
    }
    int dirty = 0;
    for (unsigned i = 0; i < MANY; i++) {
        blocks[i] = calloc(1, 64 * KIB);
        for (unsigned at = 0; at < 64 * KIB; at++) {
            dirty += ((char *)blocks[i])[at] != 0;
        }
    }
    return dirty == 0 ? 0 : FAILED;
}

/* MiB of blocks that ask for huge pages, of 64; the statistics agree. */
static int dense_mib(void)
{
    allocate_many(64 * KIB);
    size_t bytes = bytes_that_want_huge_pages();
    size_t chunks = stat_value("stats.arenas.0.hpa_shard.nhugifies") -
                    stat_value("stats.arenas.0.hpa_shard.ndehugifies");
    size_t shown = stat_value("stats.arenas.0.hpa_shard.slabs.npageslabs_huge");
    size_t all = stat_value("stats.arenas.0.hpa_shard.npageslabs");
    free_many(64 * KIB);
    bool agree = bytes == chunks * 2 * MIB && shown == chunks && all >= shown;
    return agree ? (int)(bytes / MIB) : FAILED;
}

/* MiB of dirty pages after 64 MiB were freed, whatever the time. */
static int dirty_mib(void)
{
    allocate_many(64 * KIB);
    free_many(64 * KIB);
    size_t dirty = stat_value("stats.arenas.0.pdirty") * 4096;
    bool purged = stat_value("stats.arenas.0.hpa_shard.npurges") > 0;
    return purged == (dirty < 32 * (size_t)MIB) ? (int)(dirty / MIB) : FAILED;
}

static const struct task tasks[] = {
    {"give_back_64_mib", NULL, give_back_64_mib},
    {"wishes", NULL, wishes},
    {"metadata_wishes", NULL, metadata_wishes},
    {"share_the_break", NULL, share_the_break},
    {"primary_by_name", NULL, primary_by_name},
    {"disabled_by_name", NULL, disabled_by_name},
    {"blocks_without_mappings", NULL, blocks_without_mappings},
    {"break_is_kept", NULL, break_is_kept},
    {"dense_mib", NULL, dense_mib},
    {"dirty_mib", NULL, dirty_mib},
    {"calloc_where_madvise_does_nothing", NULL, calloc_where_madvise_does_nothing},
    {"purge_512_stretches", NULL, purge_512_stretches},
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

static bool break_moves(void)
{
    char *before = sbrk(4096);
    return before != (char *)-1 && sbrk(-4096) != (char *)-1;
}

static void chunks_come_from_the_break_when_told(void **state)
{
    (void)state;
    if (!break_moves()) {
        skip(); /* musl */
    }
    expect_exit("narenas:1", "share_the_break", 0);
    expect_exit("narenas:1,dss:disabled", "share_the_break", 0);
    expect_exit("narenas:1,dss:primary", "share_the_break", 2);
    expect_exit("narenas:1", "primary_by_name", 1);
    expect_exit("narenas:1,dss:primary", "disabled_by_name", 1);
    expect_exit("narenas:1,dss:primary,retain:false", "break_is_kept", 0);
}

static void the_break_serves_when_mappings_are_refused(void **state)
{
    (void)state;
    if (!break_moves()) {
        skip();
    }
    int status = run_task("narenas:1", "blocks_without_mappings");
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) >= 4 && WEXITSTATUS(status) <= 8, "status 0x%x",
           status);
    expect_exit("narenas:1,dss:disabled", "blocks_without_mappings", 0);
}

static void purging_is_tried_unless_trusted(void **state)
{
    (void)state;
    expect_exit("", "calloc_where_madvise_does_nothing", 0);
    expect_exit("trust_madvise:false,retain:false", "calloc_where_madvise_does_nothing", 0);
    expect_exit("trust_madvise:true", "calloc_where_madvise_does_nothing", 1);
}

static int exit_code(const char *conf, const char *task)
{
    int status = run_task(conf, task);
    EXPECT(WIFEXITED(status), "%s, %s: status 0x%x", conf, task, status);
    return WEXITSTATUS(status);
}

/* A kernel before Linux 6.14 has no such call; then each stretch is purged by madvise(). */
static void one_call_purges_several_stretches_when_told(void **state)
{
    (void)state;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec one = {page, 4096};
    bool by_system = syscall(SYS_process_madvise, -10001, &one, 1ul, MADV_DONTNEED, 0ul) == 4096;
    int single = exit_code("dirty_decay_ms:-1,narenas:1", "purge_512_stretches");
    EXPECT(single >= 60 && single <= 70, "%d", single);
    int batch =
        exit_code("dirty_decay_ms:-1,narenas:1,process_madvise_max_batch:4", "purge_512_stretches");
    EXPECT(by_system ? batch >= 15 && batch <= 25 : batch == single, "%d", batch);
    batch = exit_code("dirty_decay_ms:-1,narenas:1,process_madvise_max_batch:64",
                      "purge_512_stretches");
    EXPECT(by_system ? batch >= 3 && batch <= 10 : batch == single, "%d", batch);
}

static void dense_chunks_are_huge_pages_with_hpa(void **state)
{
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) {
        skip();
    }
    expect_exit("narenas:1", "dense_mib", 0);
    expect_exit("narenas:1,hpa:true", "dense_mib", 0); /* the delay is 10 s */
    int at_once = exit_code("narenas:1,hpa:true,hpa_hugify_delay_ms:0", "dense_mib");
    EXPECT(at_once >= 56 && at_once <= 66, "%d MiB", at_once);
    int eager = exit_code("narenas:1,hpa:true,hpa_hugify_style:eager", "dense_mib");
    EXPECT(eager >= 64 && eager <= 70, "%d MiB", eager);
    expect_exit("narenas:1,hpa:true,hpa_hugify_delay_ms:0,hpa_hugify_style:none", "dense_mib", 0);
    expect_exit("narenas:1,hpa_hugify_delay_ms:0,hpa_hugify_style:eager", "dense_mib", 0);
}

static void unused_pages_are_a_share_with_hpa(void **state)
{
    (void)state;
    int none =
        exit_code("narenas:1,hpa:true,hpa_dirty_mult:0,hpa_min_purge_interval_ms:0", "dirty_mib");
    EXPECT(none <= 8, "%d MiB", none);
    int all = exit_code("narenas:1,hpa:true,hpa_dirty_mult:-1", "dirty_mib");
    EXPECT(all >= 60 && all < FAILED, "%d MiB", all);
    int sparse = exit_code("narenas:1,hpa:true,hpa_dirty_mult:0,hpa_min_purge_interval_ms:0,"
                           "hpa_min_purge_delay_ms:3600000",
                           "dirty_mib");
    EXPECT(sparse >= 60 && sparse < FAILED, "%d MiB", sparse);
}

int main(int argc, char **argv)
{
    begin_tasks(argc, argv, tasks, sizeof tasks / sizeof tasks[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_chunks_are_unmapped_when_told),
        cmocka_unit_test(mappings_ask_for_huge_pages_when_told),
        cmocka_unit_test(metadata_asks_for_huge_pages_when_told),
        cmocka_unit_test(chunks_come_from_the_break_when_told),
        cmocka_unit_test(the_break_serves_when_mappings_are_refused),
        cmocka_unit_test(purging_is_tried_unless_trusted),
        cmocka_unit_test(one_call_purges_several_stretches_when_told),
        cmocka_unit_test(dense_chunks_are_huge_pages_with_hpa),
        cmocka_unit_test(unused_pages_are_a_share_with_hpa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
