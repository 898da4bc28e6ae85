/* test_special_blocks.c: goal: with cache_oblivious large blocks start at any cache line of a page,
 * with san_guard_large and san_guard_small blocks and slabs lie between pages that cannot be
 * touched; all of them are blocks as any other, and by default there are none. With
 * lg_san_uaf_align a write to a freed block is found.
 * Method: option_task.h; the children ask the kernel by write() whether an address can be read, and
 * sum the untouchable mappings in /proc/self/maps.
 */
#include "option_task.h"

enum { KIB = 1024, MIB = 1 << 20, BLOCKS = 240, FAILED = 99, LINE = 64, PAGE = 4096 };

static unsigned char *blocks[BLOCKS];

/* Kinds of sizes in turn: runs, some of the largest, and mappings. */
static size_t size_of(unsigned i)
{
    static const size_t sizes[] = {33000, 100 * KIB, MIB - 5000, MIB, 2 * MIB, 5 * MIB + 1};
    return sizes[i % 6] + i;
}

static bool can_be_read(const void *address)
{
    static int ends[2] = {-1, -1};
    if (ends[0] < 0 && pipe(ends) != 0) {
        exit(FAILED);
    }
    char byte;
    return write(ends[1], address, 1) == 1 && read(ends[0], &byte, 1) == 1;
}

static size_t untouchable_bytes(void)
{
    size_t sum = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from;
        unsigned long to;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 && strcmp(rights, "---p") == 0 &&
            strchr(line, '/') == NULL) {
            sum += to - from;
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return sum;
}

static bool is_filled(const unsigned char *bytes, size_t size, unsigned char with)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != with) {
            return false;
        }
    }
    return true;
}

/* All are the program's, all of their usable bytes, and are counted so. */
static bool take_blocks(void)
{
    size_t before = stat_value("stats.allocated");
    size_t sum = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = i % 2 == 0 ? malloc(size_of(i)) : calloc(1, size_of(i));
        if (blocks[i] == NULL || (i % 2 == 1 && !is_filled(blocks[i], size_of(i), 0))) {
            return false;
        }
        size_t usable = malloc_usable_size(blocks[i]);
        sum += usable;
        if (usable != nallocx(size_of(i), 0) || usable != sallocx(blocks[i], 0)) {
            return false;
        }
        memset(blocks[i], (int)i + 1, usable);
    }
    return stat_value("stats.allocated") == before + sum;
}

static bool resize_blocks(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = size_of(i);
        size_t to = i % 3 == 0 ? size * 2 : i % 3 == 1 ? size - size / 4 : 20000;
        size_t in_place = xallocx(blocks[i], to, 0, 0);
        if (in_place != malloc_usable_size(blocks[i])) {
            return false;
        }
        blocks[i] = realloc(blocks[i], to);
        size_t kept = to < size ? to : size;
        if (blocks[i] == NULL || !is_filled(blocks[i], kept, (unsigned char)(i + 1))) {
            return false;
        }
    }
    return true;
}

static bool drop_blocks(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = i % 3 == 0   ? size_of(i) * 2
                      : i % 3 == 1 ? size_of(i) - size_of(i) / 4
                                   : 20000;
        if (i % 2 == 0) {
            free(blocks[i]);
        } else {
            sdallocx(blocks[i], size, 0);
        }
    }
    return true;
}

/* 0: every block starts at a page, 1: none does, and they use most lines; 2: a mixture. */
static int starts(void)
{
    bool used[PAGE / LINE] = {false};
    unsigned count = 0;
    unsigned at_pages = 0;
    size_t before = stat_value("stats.allocated");
    if (!take_blocks()) {
        return FAILED;
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t offset = (uintptr_t)blocks[i] % PAGE;
        if (offset % LINE != 0) {
            return FAILED;
        }
        at_pages += offset == 0;
        count += !used[offset / LINE];
        used[offset / LINE] = true;
    }
    void *aligned = aligned_alloc(PAGE, 50000);
    bool keeps_alignment = (uintptr_t)aligned % PAGE == 0;
    free(aligned);
    if (!keeps_alignment || !resize_blocks() || !drop_blocks() ||
        stat_value("stats.allocated") > before + 100000) {
        return FAILED;
    }
    return at_pages == BLOCKS ? 0 : at_pages == 0 && count > 50 ? 1 : 2;
}

/* One in how many blocks is guarded, at both ends; 0 for none. */
static int guarded_blocks(void)
{
    size_t before = untouchable_bytes();
    if (!take_blocks()) {
        return FAILED;
    }
    size_t guarded = (untouchable_bytes() - before) / 2 / (size_t)sysconf(_SC_PAGESIZE);
    unsigned ends = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        bool ahead = !can_be_read(blocks[i] - 1);
        bool behind = !can_be_read(blocks[i] + malloc_usable_size(blocks[i]));
        ends += ahead && behind;
    }
    if (ends < guarded || !resize_blocks() || !drop_blocks() || untouchable_bytes() != before) {
        return FAILED;
    }
    return guarded == 0 ? 0 : BLOCKS / (int)guarded;
}

/* One in how many slabs is guarded, of 4 KiB blocks. */
static int guarded_slabs(void)
{
    enum { COUNT = 1000, BYTES = 4096 };
    static unsigned char *small[COUNT];
    free(malloc(BYTES));
    size_t before = untouchable_bytes();
    size_t slabs_before = stat_value("stats.arenas.0.bins.28.curslabs");
    for (unsigned i = 0; i < COUNT; i++) {
        small[i] = malloc(BYTES);
        memset(small[i], (int)i, BYTES);
    }
    size_t slabs = stat_value("stats.arenas.0.bins.28.curslabs") - slabs_before;
    size_t guarded = (untouchable_bytes() - before) / 2 / (size_t)sysconf(_SC_PAGESIZE);
    unsigned ends = 0;
    bool whole = slabs >= 60;
    for (unsigned i = 0; i < COUNT; i++) {
        ends += !can_be_read(small[i] + BYTES);
        whole = whole && is_filled(small[i], BYTES, (unsigned char)i);
        free(small[i]);
    }
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    whole = whole && mallctl("arena.0.purge", NULL, NULL, NULL, 0) == 0;
    /* The first slab came before; a guarded one ends the slab before it too. */
    if (!whole || untouchable_bytes() > before || ends < guarded) {
        return FAILED;
    }
    return guarded == 0 ? 0 : (int)((slabs + guarded / 2) / guarded);
}

/* Freed blocks of a page each, one of which is written to; then as many as are held back. */
static int write_to_a_freed_block(void)
{
    enum { HELD = 400 };
    unsigned char *volatile block = malloc(4096);
    free(block);
    block[100] = 1;
    for (unsigned i = 0; i < HELD; i++) {
        free(malloc(4096));
    }
    return stat_value("stats.arenas.0.tcache_stashed_bytes") > 0;
}

static const struct task tasks[] = {
    {"starts", NULL, starts},
    {"guarded_blocks", NULL, guarded_blocks},
    {"guarded_slabs", NULL, guarded_slabs},
    {"write_to_a_freed_block", NULL, write_to_a_freed_block},
};

/* What the parent expects. */

static void large_blocks_start_at_any_line_when_told(void **state)
{
    (void)state;
    expect_exit("", "starts", 0);
    expect_exit("cache_oblivious:false", "starts", 0);
    expect_exit("cache_oblivious:true", "starts", 1);
    expect_exit("cache_oblivious:true,tcache:false,junk:true", "starts", 1);
    expect_exit("cache_oblivious:true,dirty_decay_ms:0,retain:false", "starts", 1);
}

static void large_blocks_are_guarded_when_told(void **state)
{
    (void)state;
    expect_exit("", "guarded_blocks", 0);
    expect_exit("san_guard_large:0", "guarded_blocks", 0);
    expect_exit("san_guard_large:1", "guarded_blocks", 1);
    expect_exit("san_guard_large:3", "guarded_blocks", 3);
    expect_exit("san_guard_large:2,cache_oblivious:true", "guarded_blocks", 2);
    expect_exit("san_guard_large:1,tcache:false,dirty_decay_ms:0", "guarded_blocks", 1);
}

static void slabs_are_guarded_when_told(void **state)
{
    (void)state;
    expect_exit("narenas:1", "guarded_slabs", 0);
    expect_exit("narenas:1,san_guard_small:1", "guarded_slabs", 1);
    expect_exit("narenas:1,san_guard_small:4", "guarded_slabs", 4);
    expect_exit("narenas:1,san_guard_small:1,retain:false,tcache:false", "guarded_slabs", 1);
}

static void writes_after_free_are_found_when_told(void **state)
{
    (void)state;
    static const char line[] = "<jemalloc>: Write-after-free detected on block 0x";
    expect_exit("", "write_to_a_freed_block", 0);
    expect_exit("lg_san_uaf_align:-1", "write_to_a_freed_block", 0);
    expect_abort("lg_san_uaf_align:12", "write_to_a_freed_block", line);
    expect_abort("lg_san_uaf_align:1,tcache:false", "write_to_a_freed_block", line);
    /* No block of a page is at such an address. */
    expect_exit("lg_san_uaf_align:47", "write_to_a_freed_block", 0);
}

int main(int argc, char **argv)
{
    begin_tasks(argc, argv, tasks, sizeof tasks / sizeof tasks[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_blocks_start_at_any_line_when_told),
        cmocka_unit_test(large_blocks_are_guarded_when_told),
        cmocka_unit_test(slabs_are_guarded_when_told),
        cmocka_unit_test(writes_after_free_are_found_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
