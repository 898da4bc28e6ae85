/* test_special.c: goal: shifted and guarded blocks are large blocks with the codes, sizes, bounds
 * and counts that special.h states, and leave nothing behind.
 * Method: a fresh arena, the options switched at run time; children that touch guards, free
 * pointers into blocks, or take all memory under a limit on address space.
 */
#include "upper_floors.h"

#include "refused_calls.h"

#include "config/options.h"
#include "heap/special.h"
#include "os/os.h"

#include <signal.h>

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:40";

enum { KIB = 1024, BLOCKS = 64, RUN_MAX = 1024 * KIB };

static struct arena *arena;

static void choose(bool shifts, size_t guard_large, size_t guard_small)
{
    options.cache_oblivious = shifts;
    options.san_guard_large = guard_large;
    options.san_guard_small = guard_small;
    special_start();
}

static int set_up(void **state)
{
    int result = start_allocator(state);
    arena = fresh_arena();
    return result;
}

static int choose_none(void **state)
{
    (void)state;
    choose(false, 0, 0);
    return 0;
}

static const size_t sizes[] = {36 * KIB, 100 * KIB, RUN_MAX - 4 * KIB, RUN_MAX, 3000 * KIB};

static void check_special(unsigned char *block, size_t size, unsigned code)
{
    assert_int_equal(map_code(block), code);
    assert_true(special_starts(block, code));
    assert_false(special_starts(block + 1, code));
    assert_false(special_starts(block - 1, code));
    assert_int_equal(large_size(block, code), size);
    assert_ptr_equal(large_arena(block, code), arena);
    memset(block, 0x5c, size);
}

static void shifted_blocks_have_their_code_and_size_and_leave_nothing(void **state)
{
    (void)state;
    choose(true, 0, 0);
    size_t live_before = huge_statistics().live_bytes;
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char *blocks[BLOCKS];
        bool is_run = sizes[i] < RUN_MAX;
        for (unsigned b = 0; b < BLOCKS; b++) {
            blocks[b] = large_alloc(arena, sizes[i], 1, b % 2 == 1);
            assert_non_null(blocks[b]);
            assert_int_equal((uintptr_t)blocks[b] % 64, 0);
            assert_int_not_equal((uintptr_t)blocks[b] % PAGE_BYTES, 0);
            assert_true(b % 2 == 0 || bytes_are(blocks[b], sizes[i], 0));
            check_special(blocks[b], sizes[i], is_run ? CODE_SHIFTED : CODE_SPECIAL);
        }
        assert_int_equal(arena->pages.margin_pages, is_run ? BLOCKS : 0);
        assert_int_equal(arena->pages.large_pages,
                         is_run ? BLOCKS * (sizes[i] / PAGE_BYTES + 1) : 0);
        assert_int_equal(huge_statistics().margin_bytes, is_run ? 0 : BLOCKS * PAGE_BYTES);
        for (unsigned b = 0; b < BLOCKS; b++) {
            assert_true(bytes_are(blocks[b], sizes[i], 0x5c));
            large_free(blocks[b], map_code(blocks[b]));
            assert_int_equal(map_code(blocks[b]), 0);
        }
    }
    assert_int_equal(arena->pages.active_pages, 0);
    assert_int_equal(arena->pages.margin_pages, 0);
    assert_int_equal(huge_statistics().margin_bytes, 0);
    assert_int_equal(huge_statistics().live_bytes, live_before);
    assert_true(page_heap_is_valid(&arena->pages));
    /* What is kept whole serves ordinary blocks at the starts of pages. */
    choose(false, 0, 0);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        void *block = sizes[i] < RUN_MAX ? large_alloc_run(arena, sizes[i] + PAGE_BYTES)
                                         : large_alloc(arena, sizes[i], 1, false);
        assert_int_equal((uintptr_t)block % PAGE_BYTES, 0);
        large_free(block, map_code(block));
    }
}

static void shifted_blocks_are_resized_where_they_lie(void **state)
{
    (void)state;
    choose(true, 0, 0);
    page_heap_purge(&arena->pages, 0);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char *block = large_alloc(arena, sizes[i], 64, false);
        unsigned code = map_code(block);
        memset(block, 0x77, sizes[i]);
        size_t half = sizes[i] / 2 / PAGE_BYTES * PAGE_BYTES;
        bool stays = half > CACHED_SIZE_MAX;
        assert_int_equal(large_resize(block, code, half, false), stays);
        if (stays) {
            assert_int_equal(large_size(block, code), half);
            assert_true(large_resize(block, code, half + PAGE_BYTES, true));
            assert_true(bytes_are(block, half, 0x77));
            assert_true(bytes_are(block + half, PAGE_BYTES, 0));
        }
        assert_false(large_resize(block, code, SIZE_MAX - PAGE_BYTES + 1, false));
        assert_int_equal(map_code(block), code);
        large_free(block, code);
    }
    assert_int_equal(arena->pages.active_pages, 0);
    assert_true(page_heap_is_valid(&arena->pages));
}

static void larger_alignments_are_kept(void **state)
{
    (void)state;
    choose(true, 0, 0);
    for (size_t alignment = 128; alignment <= (size_t)4 << 20; alignment *= 2) {
        void *block = large_alloc(arena, 50 * PAGE_BYTES, alignment, false);
        assert_int_equal((uintptr_t)block % (alignment < PAGE_BYTES ? PAGE_BYTES : alignment), 0);
        large_free(block, map_code(block));
    }
    choose(true, 1, 0);
    void *block = large_alloc(arena, 50 * PAGE_BYTES, os_page_bytes, false);
    assert_int_equal(map_code(block), CODE_SPECIAL);
    assert_int_equal((uintptr_t)block % os_page_bytes, 0);
    large_free(block, CODE_SPECIAL);
}

static void touch(void *address)
{
    (void)signal(SIGSEGV, SIG_DFL);
    *(volatile char *)address = 1;
}

static void expect_fault(void *address)
{
    char text[2048];
    int status = run_child(touch, address, text, sizeof text);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status 0x%x", status);
}

static void guarded_blocks_end_who_leaves_them(void **state)
{
    (void)state;
    choose(false, 1, 0);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char *block = large_alloc(arena, sizes[i], 1, true);
        assert_true(bytes_are(block, sizes[i], 0));
        check_special(block, sizes[i], CODE_SPECIAL);
        expect_fault(block - 1);
        expect_fault(block + sizes[i] + (0 - sizes[i]) % os_page_bytes);
        assert_false(large_resize(block, CODE_SPECIAL, sizes[i] + PAGE_BYTES, false));
        assert_true(large_resize(block, CODE_SPECIAL, sizes[i], false));
        large_free(block, CODE_SPECIAL);
        assert_int_equal(map_code(block), 0);
    }
    /* A mapping that is kept has no guards left. */
    choose(false, 0, 0);
    for (unsigned i = 0; i < 2; i++) {
        unsigned char *block = large_alloc(arena, 3000 * KIB + 2 * os_page_bytes, 1, false);
        memset(block, 0x11, 3000 * KIB + 2 * os_page_bytes);
        large_free(block, CODE_HUGE);
    }
}

static void one_in_so_many_slabs_is_guarded(void **state)
{
    (void)state;
    enum { SLABS = 12, EACH = 3 };
    choose(false, 0, EACH);
    uint8_t class_index = class_of(4096);
    struct run *slabs[SLABS];
    unsigned guarded = 0;
    for (unsigned i = 0; i < SLABS; i++) {
        slabs[i] = slab_new(&arena->pages, class_index);
        assert_non_null(slabs[i]);
        assert_true(slab_is_valid(slabs[i]));
        char *base = chunk_page_address(slabs[i]->chunk, slabs[i]->page);
        size_t bytes = (size_t)slabs[i]->page_count * PAGE_BYTES;
        assert_int_equal(slabs[i]->page_count, slab_page_count(class_index));
        memset(base, 0x33, bytes);
        if (slabs[i]->large_index == LARGE_GUARDED) {
            guarded++;
            expect_fault(base - 1);
            expect_fault(base + bytes);
        }
    }
    assert_int_equal(guarded, SLABS / EACH);
    for (unsigned i = 0; i < SLABS; i++) {
        void *regions[RUN_REGIONS_MAX];
        unsigned taken = slab_take(slabs[i], regions, i % 2 == 0 ? RUN_REGIONS_MAX : 1);
        assert_null(slab_put(slabs[i], slabs[i]->first, taken));
        slab_delete(slabs[i]);
    }
    assert_int_equal(arena->pages.active_pages, 0);
    assert_true(page_heap_is_valid(&arena->pages));
    /* The pages of guards are like any others again. */
    choose(false, 0, 0);
    page_heap_purge(&arena->pages, 0);
    unsigned char *block = large_alloc_run(arena, RUN_MAX);
    memset(block, 0x22, RUN_MAX);
    large_free(block, CODE_RUN);
}

static void free_inside(void *block)
{
    block_free(block, block_code("free", block), false);
}

static void pointers_into_special_blocks_abort(void **state)
{
    (void)state;
    choose(true, 0, 0);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        char *block = large_alloc(arena, sizes[i], 1, false);
        expect_abort(free_inside, block + 64, "invalid pointer");
        expect_abort(free_inside, block - 64, "invalid pointer");
        expect_abort(free_inside, block + PAGE_BYTES, "invalid pointer");
        large_free(block, map_code(block));
        expect_abort(free_inside, block, "invalid pointer");
    }
}

static void take_all(void *unused)
{
    (void)unused;
    const struct rlimit limit = {256u << 20, 256u << 20};
    (void)setrlimit(RLIMIT_AS, &limit);
    unsigned count = 0;
    unsigned char *block;
    while ((block = large_alloc(arena, 600 * KIB, 1, false)) != NULL) {
        block[0] = 1;
        count++;
    }
    bool valid = page_heap_is_valid(&arena->pages);
    _exit(count > 10 && valid ? 0 : 1);
}

static void refused_memory_leaves_all_valid(void **state)
{
    (void)state;
    choose(true, 2, 1);
    expect_success(take_all, NULL);
}

/* As when the process has all the mappings that it may have. */
static void free_with_guards(void *unmaps)
{
    choose(false, 1, 0);
    huge_purge();
    struct huge_statistics before = huge_statistics();
    char *block = large_alloc(arena, 3000 * KIB, 1, false);
    CHILD_EXPECT(map_code(block) == CODE_SPECIAL);
    memset(block, 0x11, 3000 * KIB);
    refuse_calls(SYS_mprotect, unmaps != NULL ? SYS_mprotect : SYS_munmap, ENOMEM);
    large_free(block, CODE_SPECIAL);
    struct huge_statistics after = huge_statistics();
    CHILD_EXPECT(map_code(block) == 0);
    CHILD_EXPECT(after.live_bytes == before.live_bytes);
    CHILD_EXPECT(after.live_count == before.live_count);
    CHILD_EXPECT(after.margin_bytes == before.margin_bytes);
    CHILD_EXPECT(after.free_count == before.free_count + 1);
    CHILD_EXPECT((after.mapped_bytes == before.mapped_bytes) == (unmaps != NULL));
    choose(false, 0, 0);
    char *next = large_alloc(arena, 3000 * KIB, 1, false);
    CHILD_EXPECT(next != NULL);
    memset(next, 0x22, 3000 * KIB);
    _exit(0);
}

static void a_mapping_whose_guards_stay_serves_nobody(void **state)
{
    (void)state;
    char text[256];
    for (unsigned i = 0; i <= MAY_REFUSE_UNMAPS; i++) {
        int status = run_child(free_with_guards, i == 0 ? &arena : NULL, text, sizeof text);
        skip_unless_refused(status);
        EXPECT(status == 0, "status 0x%x, text \"%s\"", status, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(shifted_blocks_have_their_code_and_size_and_leave_nothing,
                                  choose_none),
        cmocka_unit_test_teardown(shifted_blocks_are_resized_where_they_lie, choose_none),
        cmocka_unit_test_teardown(larger_alignments_are_kept, choose_none),
        cmocka_unit_test_teardown(guarded_blocks_end_who_leaves_them, choose_none),
        cmocka_unit_test_teardown(one_in_so_many_slabs_is_guarded, choose_none),
        cmocka_unit_test_teardown(pointers_into_special_blocks_abort, choose_none),
        cmocka_unit_test_teardown(refused_memory_leaves_all_valid, choose_none),
        cmocka_unit_test_teardown(a_mapping_whose_guards_stay_serves_nobody, choose_none),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
