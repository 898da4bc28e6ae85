/* test_resident.c: goal: stats.resident is the memory that the process pays for the allocator: with
 * every live byte touched, within 5 % of what the kernel says.
 * Method: loads of small, large and huge blocks, then what is left of them after frees and purges;
 * after each step the statistic beside the resident bytes of the mappings that are the
 * allocator's: private anonymous ones without a name, as /proc/self/smaps lists them. The test maps
 * nothing itself. Mappings of other parts of the process that look the same are some 100 KiB.
 */
#include "api_test.h"

#include <fcntl.h>

extern const char *malloc_conf;
/* The kernel may fill up huge pages with bytes that nobody touched. */
const char *malloc_conf = "thp:never";

enum { PLACES = 400000, LOAD_BYTES = 96 << 20 };

static unsigned char *blocks[PLACES];
static size_t block_count;

static uint64_t size_next(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* The text of smaps; reading must not allocate. */
static const char *read_maps(void)
{
    static char text[4 << 20];
    size_t length = 0;
    int file = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    ssize_t got;
    while ((got = read(file, text + length, sizeof text - 1 - length)) > 0) {
        length += (size_t)got;
    }
    close(file);
    assert_int_equal(got, 0);
    assert_true(length < sizeof text - 1);
    text[length] = '\0';
    return text;
}

struct mapping {
    unsigned long end;
    bool has_name; /* or continues one that has: the zeros behind a library's data */
    bool is_ours;
};

/* Whether a line begins a mapping, the one behind *mapping, which it becomes. */
static bool next_mapping(const char *line, struct mapping *mapping)
{
    unsigned long start;
    unsigned long end;
    unsigned long inode;
    char rights[8];
    int behind = 0;
    if (sscanf(line, "%lx-%lx %7s %*x %*x:%*x %lu%n", &start, &end, rights, &inode, &behind) != 4) {
        return false;
    }
    const char *name = line + behind;
    name += strspn(name, " ");
    bool continues = mapping->has_name && start == mapping->end;
    mapping->end = end;
    mapping->has_name = continues || inode != 0 || *name != '\n';
    mapping->is_ours = !mapping->has_name && rights[3] == 'p' && rights[1] == 'w';
    return true;
}

static size_t resident_of_mappings(void)
{
    size_t sum_kib = 0;
    struct mapping mapping = {0, false, false};
    for (const char *line = read_maps(); *line != '\0'; line = strchr(line, '\n') + 1) {
        size_t kib;
        if (!next_mapping(line, &mapping) && mapping.is_ours &&
            sscanf(line, "Rss: %zu kB", &kib) == 1) {
            sum_kib += kib;
        }
    }
    return sum_kib << 10;
}

static size_t resident_statistic(void)
{
    uint64_t epoch = 1;
    size_t resident = 0;
    size_t length = sizeof resident;
    assert_int_equal(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
    assert_int_equal(mallctl("stats.resident", &resident, &length, NULL, 0), 0);
    return resident;
}

static void compare(const char *step)
{
    size_t told = resident_statistic();
    size_t real = resident_of_mappings();
    print_message("%-36s %7.1f MiB told, %7.1f MiB resident\n", step, (double)told / (1 << 20),
                  (double)real / (1 << 20));
    EXPECT(told * 100 <= real * 105 && real * 100 <= told * 105, "%s: %zu bytes told, %zu resident",
           step, told, real);
}

static void fill(size_t total, size_t low, size_t high)
{
    for (size_t held = 0; held < total;) {
        size_t size = low + size_next() % (high - low + 1);
        unsigned char *block = malloc(size);
        assert_non_null(block);
        memset(block, 0xc3, malloc_usable_size(block));
        assert_true(block_count < PLACES);
        blocks[block_count++] = block;
        held += size;
    }
}

/* Frees all but one block in `keep`, here and there; 0: all. */
static void free_most(unsigned keep)
{
    size_t kept = 0;
    for (size_t i = 0; i < block_count; i++) {
        if (keep != 0 && size_next() % keep == 0) {
            blocks[kept++] = blocks[i];
        } else {
            free(blocks[i]);
        }
    }
    block_count = kept;
}

static void purge(void)
{
    assert_int_equal(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
    assert_int_equal(mallctl("arena.4096.purge", NULL, NULL, NULL, 0), 0);
}

static int begin_empty(void **state)
{
    (void)state;
    free_most(0);
    purge();
    return 0;
}

/* A load whole, after frees here and there, after a purge, grown again, and gone. */
static void run_load(const char *name, size_t total, size_t low, size_t high)
{
    char step[64];
#define STEP(text) (snprintf(step, sizeof step, "%s, %s", name, text), compare(step))
    fill(total, low, high);
    STEP("live");
    free_most(4);
    STEP("a quarter left");
    purge();
    STEP("a quarter left, purged");
    fill(total / 2, low, high);
    STEP("grown again");
    free_most(50);
    purge();
    fill(total / 4, low, high);
    STEP("mostly freed, purged, grown");
    free_most(0);
    purge();
    fill(total / 4, low, high);
    STEP("all freed, purged, grown");
    free_most(0);
    purge();
#undef STEP
}

static void skip_where_resident_is_not_ours(void)
{
    if (LIBRARY_IS_PREFIXED) {
        skip(); /* sanitizers map what looks like the allocator's */
    }
}

static void small_blocks(void **state)
{
    (void)state;
    skip_where_resident_is_not_ours();
    run_load("small", LOAD_BYTES, 300, 1024);
    run_load("smaller", LOAD_BYTES, 200, 500);
}

/* Regions start at multiples of their size, so a slab has pages before the first or behind the last
 * that nobody touches: 5 % of a fresh slab, more of what is left of one. */
static void blocks_of_pages(void **state)
{
    (void)state;
    skip_where_resident_is_not_ours();
    run_load("slabs of pages", 2 * LOAD_BYTES, 1025, 14336);
}

static void large_blocks(void **state)
{
    (void)state;
    skip_where_resident_is_not_ours();
    run_load("large", LOAD_BYTES, 14337, 1 << 20);
}

static void huge_blocks(void **state)
{
    (void)state;
    skip_where_resident_is_not_ours();
    run_load("huge", 2 * LOAD_BYTES, (1 << 20) + 1, 9 << 20);
}

static void blocks_of_all_sizes(void **state)
{
    (void)state;
    skip_where_resident_is_not_ours();
    fill((size_t)40 << 20, 250, 2000);
    fill((size_t)40 << 20, 20000, 300000);
    fill((size_t)40 << 20, 1 << 20, 8 << 20);
    compare("all sizes");
    free_most(3);
    compare("all sizes, a third left");
    purge();
    compare("all sizes, a third left, purged");
    free_most(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(small_blocks, begin_empty),
        cmocka_unit_test_setup(blocks_of_pages, begin_empty),
        cmocka_unit_test_setup(large_blocks, begin_empty),
        cmocka_unit_test_setup(huge_blocks, begin_empty),
        cmocka_unit_test_setup(blocks_of_all_sizes, begin_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
