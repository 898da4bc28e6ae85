/* test_huge.c: goal: huge blocks are aligned, disjoint, known to the address map while they live,
 * keep their content when they grow and move, and are kept for reuse within the policy only.
 * Method: blocks with a tag in each page through allocation, resizing and growth at random; the
 * promise of zeroes is read byte by byte; a made-up clock for kept mappings; refusals by impossible
 * sizes, by a neighbour in the way, and by a limit in a child process.
 */
#include "unit_check.h"

#include "api/process.h"
#include "os/os.h"
#include "pages/idle.h"
#include "pages/huge.h"

enum { BLOCKS = 24, ERRNO_MARK = 4242 };

static const size_t MIB = (size_t)1 << 20;
static const size_t IMPOSSIBLE_BYTES = (size_t)1 << 47;
static struct huge_policy usual_policy;
static char arena_mark;

static int start(void **state)
{
    (void)state;
    return process_start() ? 0 : -1;
}

static int set_policy(void **state)
{
    (void)state;
    usual_policy = huge_policy;
    huge_policy = (struct huge_policy){.cache_bytes = 64 * MIB, .cache_ms = 10000};
    huge_purge();
    errno = ERRNO_MARK;
    return 0;
}

/* Each test leaves no block, no kept mapping, and errno as it was. */
static int check_end(void **state)
{
    (void)state;
    huge_purge();
    struct huge_statistics end = huge_statistics();
    huge_policy = usual_policy;
    bool good = end.live_bytes == 0 && end.live_count == 0 && end.cached_bytes == 0 &&
                end.touched_bytes == 0 && end.mapped_bytes == 0 &&
                end.alloc_count == end.free_count;
    return good && errno == ERRNO_MARK ? 0 : -1;
}

static bool is_valid(const struct huge *block)
{
    return block->size_bytes > 0 && block->size_bytes <= block->map_bytes &&
           block->size_bytes % PAGE_BYTES == 0 && block->map_bytes % os_page_bytes == 0 &&
           (uintptr_t)block->base % UNIT_BYTES == 0 && map_code(block->base) == CODE_HUGE &&
           map_owner(block->base) == block && block->arena == &arena_mark;
}

static struct huge *must_alloc(size_t size_bytes, size_t alignment, bool *zeroed)
{
    struct huge *block = huge_alloc(&arena_mark, size_bytes, alignment, zeroed);
    assert_non_null(block);
    assert_true(is_valid(block));
    assert_int_equal(block->size_bytes, size_bytes);
    assert_true(alignment == 0 || (uintptr_t)block->base % alignment == 0);
    return block;
}

/* A tag at the start of each page from byte `from` on. */
static void tag_pages(struct huge *block, size_t from, uint64_t tag)
{
    for (size_t at = from; at < block->size_bytes; at += PAGE_BYTES) {
        *(uint64_t *)(block->base + at) = tag + at;
    }
}

static bool has_tags(const struct huge *block, size_t size_bytes, uint64_t tag)
{
    for (size_t at = 0; at < size_bytes; at += PAGE_BYTES) {
        if (*(const uint64_t *)(block->base + at) != tag + at) {
            return false;
        }
    }
    return true;
}

static void blocks_have_their_size_and_alignment_and_read_as_zero(void **state)
{
    (void)state;
    static const size_t sizes[] = {PAGE_BYTES, UNIT_BYTES - PAGE_BYTES, UNIT_BYTES,
                                   UNIT_BYTES + PAGE_BYTES, (size_t)9 << 20};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t alignment = 1; alignment <= 256 * MIB; alignment *= 2) {
            bool zeroed = false;
            huge_purge();
            struct huge *block = must_alloc(sizes[i], alignment, &zeroed);
            assert_true(zeroed);
            assert_int_equal(huge_statistics().live_bytes, sizes[i]);
            if (alignment == 1) {
                assert_true(bytes_are(block->base, block->size_bytes, 0));
            }
            block->base[block->size_bytes - 1] = 1;
            char *base = block->base;
            huge_free(block);
            assert_int_equal(map_code(base), 0);
        }
    }
}

static void impossible_sizes_are_refused_and_change_nothing(void **state)
{
    (void)state;
    const size_t sizes[] = {IMPOSSIBLE_BYTES, 2 * IMPOSSIBLE_BYTES, 4 * IMPOSSIBLE_BYTES,
                            SIZE_MAX - PAGE_BYTES + 1};
    bool zeroed;
    struct huge *block = must_alloc(3 * MIB, 1, &zeroed);
    tag_pages(block, 0, 1);
    struct huge former = *block;
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_null(huge_alloc(&arena_mark, sizes[i], 1, &zeroed));
        assert_null(huge_alloc(&arena_mark, PAGE_BYTES, (size_t)1 << (63 - i), &zeroed));
        if (sizes[i] > 2 * IMPOSSIBLE_BYTES) {
            assert_false(huge_resize_in_place(block, sizes[i]));
            assert_false(huge_grow(block, sizes[i], 1));
        }
        assert_memory_equal(block, &former, sizeof former);
        assert_true(is_valid(block));
        assert_true(has_tags(block, 3 * MIB, 1));
    }
    assert_int_equal(huge_statistics().live_bytes, 3 * MIB);
    assert_int_equal(huge_statistics().mapped_bytes, block->map_bytes);
    huge_free(block);
}

static void a_freed_mapping_serves_the_next_request_without_a_promise_of_zeroes(void **state)
{
    (void)state;
    bool zeroed;
    struct huge *block = must_alloc(8 * MIB, 1, &zeroed);
    char *base = block->base;
    memset(base, 1, PAGE_BYTES);
    huge_free(block);
    assert_int_equal(huge_statistics().cached_bytes, 8 * MIB);
    block = must_alloc(8 * MIB - MIB / 2, 1, &zeroed);
    assert_ptr_equal(block->base, base);
    assert_false(zeroed);
    assert_int_equal(huge_statistics().cached_bytes, 0);
    huge_free(block);
    block = must_alloc(4 * MIB, 1, &zeroed);
    assert_ptr_not_equal(block->base, base);
    assert_true(zeroed);
    huge_free(block);
}

static void the_smallest_kept_mapping_that_fits_is_taken(void **state)
{
    (void)state;
    bool zeroed;
    static const size_t mib[] = {10, 9, 8, 12};
    struct huge *blocks[4];
    char *base[4];
    for (unsigned i = 0; i < 4; i++) {
        blocks[i] = must_alloc(mib[i] * MIB, 1, &zeroed);
        base[i] = blocks[i]->base;
    }
    for (unsigned i = 0; i < 4; i++) {
        huge_free(blocks[i]);
    }
    struct huge *block = must_alloc(9 * MIB - PAGE_BYTES, 1, &zeroed);
    assert_ptr_equal(block->base, base[1]);
    huge_free(block);
}

static void kept_mappings_stay_within_bytes_and_count(void **state)
{
    (void)state;
    static struct huge *blocks[100];
    bool zeroed;
    for (unsigned i = 0; i < 100; i++) {
        blocks[i] = must_alloc(2 * MIB, 1, &zeroed);
    }
    for (unsigned i = 0; i < 100; i++) {
        huge_free(blocks[i]);
        assert_true(huge_statistics().cached_bytes <= huge_policy.cache_bytes);
    }
    assert_int_equal(huge_statistics().cached_bytes, huge_policy.cache_bytes);
    struct huge *block = must_alloc(huge_policy.cache_bytes + 2 * MIB, 1, &zeroed);
    size_t cached = huge_statistics().cached_bytes;
    char *base = block->base;
    huge_free(block);
    assert_int_equal(huge_statistics().cached_bytes, cached);
    assert_int_equal(map_code(base), 0);
    huge_policy.cache_bytes = SIZE_MAX / 2;
    for (unsigned i = 0; i < 100; i++) {
        blocks[i] = must_alloc(MIB, 1, &zeroed);
    }
    for (unsigned i = 0; i < 100; i++) {
        huge_free(blocks[i]);
    }
    assert_true(huge_statistics().cached_bytes <= 64 * 2 * MIB);
    assert_int_equal(huge_statistics().mapped_bytes, huge_statistics().cached_bytes);
}

static void kept_mappings_make_room_at_a_new_peak(void **state)
{
    (void)state;
    enum { KEPT = 12 };
    struct huge *blocks[KEPT];
    bool zeroed;
    huge_policy.cache_bytes = SIZE_MAX / 2;
    size_t live = huge_statistics().live_bytes;
    /* Other blocks brought the peak up before: go beyond it. */
    struct huge *peak = must_alloc(1024 * MIB, 1, &zeroed);
    live += 1024 * MIB;
    for (unsigned i = 0; i < KEPT; i++) {
        blocks[i] = must_alloc(3 * MIB, 1, &zeroed);
    }
    for (unsigned i = 0; i < KEPT; i++) {
        huge_free(blocks[i]);
    }
    assert_int_equal(huge_statistics().cached_bytes, KEPT * 3 * MIB);
    assert_int_equal(huge_statistics().touched_bytes, KEPT * 3 * MIB);
    /* None of them can serve: each such block costs two of them. */
    for (unsigned i = 0; i < KEPT / 2; i++) {
        blocks[i] = must_alloc(6 * MIB, 1, &zeroed);
        struct huge_statistics now = huge_statistics();
        assert_true(now.live_bytes + now.touched_bytes <= live + KEPT * 3 * MIB + MIB / 2);
    }
    assert_true(huge_statistics().touched_bytes <= MIB / 2);
    for (unsigned i = 0; i < KEPT / 2; i++) {
        huge_free(blocks[i]);
    }
    huge_free(peak);
}

static void the_oldest_kept_mappings_yield_to_a_growing_heap(void **state)
{
    (void)state;
    struct huge *blocks[4];
    bool zeroed;
    huge_policy.cache_bytes = SIZE_MAX / 2;
    for (unsigned i = 0; i < 4; i++) {
        blocks[i] = must_alloc(2 * MIB, 1, &zeroed);
    }
    for (unsigned i = 0; i < 4; i++) {
        huge_free(blocks[i]);
    }
    char *newest = blocks[3]->base;
    huge_yield(5 * MIB);
    assert_int_equal(huge_statistics().cached_bytes, 2 * MIB);
    huge_yield(0);
    struct huge *block = must_alloc(2 * MIB, 1, &zeroed);
    assert_ptr_equal(block->base, newest);
    huge_free(block);
    huge_policy.cache_ms = -1;
    huge_yield(SIZE_MAX);
    assert_int_equal(huge_statistics().cached_bytes, 2 * MIB);
}

static void kept_mappings_leave_when_their_time_is_over(void **state)
{
    (void)state;
    bool zeroed;
    struct huge *block = must_alloc(2 * MIB, 1, &zeroed);
    huge_free(block);
    uint64_t freed_at = block->freed_at_ns;
    uint64_t age = 10000ull * 1000000;
    huge_decay(freed_at + age - 1);
    assert_int_equal(huge_statistics().cached_bytes, 2 * MIB);
    huge_decay(freed_at + age);
    assert_int_equal(huge_statistics().cached_bytes, 0);
    huge_policy.cache_ms = -1;
    huge_free(must_alloc(2 * MIB, 1, &zeroed));
    huge_decay(UINT64_MAX);
    assert_int_equal(huge_statistics().cached_bytes, 2 * MIB);
    huge_policy.cache_ms = 0;
    huge_free(must_alloc(8 * MIB, 1, &zeroed));
    assert_true(huge_statistics().cached_bytes <= 2 * MIB);
    huge_purge();
    assert_int_equal(huge_statistics().cached_bytes, 0);
}

static void a_block_shrinks_in_place_and_gives_its_tail_back(void **state)
{
    (void)state;
    bool zeroed;
    struct huge *block = must_alloc(16 * MIB, 1, &zeroed);
    char *base = block->base;
    tag_pages(block, 0, 7);
    assert_true(huge_resize_in_place(block, 3 * MIB));
    assert_ptr_equal(block->base, base);
    assert_true(is_valid(block));
    assert_int_equal(block->size_bytes, 3 * MIB);
    assert_int_equal(block->map_bytes, 3 * MIB);
    assert_true(block->touched_bytes <= block->map_bytes);
    assert_int_equal(huge_statistics().live_bytes, 3 * MIB);
    assert_int_equal(huge_statistics().mapped_bytes, 3 * MIB);
    /* A tail too short for a call stays, with its old content. */
    assert_true(huge_resize_in_place(block, 3 * MIB - PAGE_BYTES));
    assert_int_equal(block->touched_bytes, 3 * MIB);
    assert_true(huge_resize_in_place(block, 3 * MIB));
    assert_true(has_tags(block, 3 * MIB, 7));
    huge_free(block);
}

/* What a caller must clear after growth from `former` bytes is at most up to touched_bytes. */
static bool new_bytes_read_as_zero(const struct huge *block, size_t former)
{
    size_t from = block->touched_bytes > former ? block->touched_bytes : former;
    return from >= block->size_bytes || bytes_are(block->base + from, block->size_bytes - from, 0);
}

static void a_block_grows_and_keeps_its_content(void **state)
{
    (void)state;
    bool zeroed;
    struct huge *block = must_alloc(2 * MIB, 1, &zeroed);
    tag_pages(block, 0, 9);
    for (size_t size = 3 * MIB; size <= 40 * MIB; size += size / 3 / PAGE_BYTES * PAGE_BYTES) {
        size_t former = block->size_bytes;
        assert_true(huge_grow(block, size, 1));
        assert_true(is_valid(block));
        assert_int_equal(block->size_bytes, size);
        assert_true(has_tags(block, former, 9));
        assert_true(new_bytes_read_as_zero(block, former));
        assert_int_equal(huge_statistics().live_bytes, size);
        assert_int_equal(huge_statistics().mapped_bytes, block->map_bytes);
        tag_pages(block, former, 9);
    }
    huge_free(block);
}

static void growth_to_a_larger_alignment_moves_the_block(void **state)
{
    (void)state;
    bool zeroed;
    struct huge *blocks[2];
    /* Of two neighbours at most one has the larger alignment already. */
    blocks[0] = must_alloc(2 * MIB, 1, &zeroed);
    blocks[1] = must_alloc(2 * MIB, 1, &zeroed);
    for (unsigned i = 0; i < 2; i++) {
        char *former = blocks[i]->base;
        tag_pages(blocks[i], 0, i);
        assert_true(huge_grow(blocks[i], 4 * MIB, 512 * MIB));
        assert_int_equal((uintptr_t)blocks[i]->base % (512 * MIB), 0);
        assert_true(is_valid(blocks[i]));
        assert_true(has_tags(blocks[i], 2 * MIB, i));
        assert_true(blocks[i]->base == former || map_code(former) == 0);
    }
    assert_true(huge_statistics().moved_count >= 1);
    huge_free(blocks[0]);
    huge_free(blocks[1]);
}

static void a_neighbour_in_the_way_forces_a_move(void **state)
{
    (void)state;
    bool zeroed;
    struct huge *block = must_alloc(2 * MIB, 1, &zeroed);
    char *base = block->base;
    tag_pages(block, 0, 11);
    char *wall = mmap(base + block->map_bytes, os_page_bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    bool own_wall = wall == base + block->map_bytes;
    errno = ERRNO_MARK;
    assert_false(huge_resize_in_place(block, 2 * MIB + PAGE_BYTES));
    assert_int_equal(block->size_bytes, 2 * MIB);
    uint64_t moved = huge_statistics().moved_count;
    assert_true(huge_grow(block, 3 * MIB, 1));
    assert_int_equal(huge_statistics().moved_count, moved + 1);
    assert_ptr_not_equal(block->base, base);
    assert_true(is_valid(block));
    assert_int_equal(map_code(base), 0);
    assert_true(has_tags(block, 2 * MIB, 11));
    huge_free(block);
    assert_true(!own_wall || os_unmap(wall, os_page_bytes));
}

struct live_block {
    struct huge *huge; /* NULL: none */
    uint64_t tag;
};

static void step_block(struct live_block *live, uint64_t *random, size_t *live_bytes)
{
    size_t size = (1 + unit_below(random, 1500)) * (size_t)PAGE_BYTES;
    size_t alignment = (size_t)1 << unit_below(random, 25);
    bool zeroed = false;
    if (live->huge == NULL) {
        live->huge = must_alloc(size, alignment, &zeroed);
        assert_true(!zeroed || bytes_are(live->huge->base, size, 0));
        live->tag = unit_random(random);
        *live_bytes += size;
        tag_pages(live->huge, 0, live->tag);
        return;
    }
    size_t former = live->huge->size_bytes;
    assert_true(has_tags(live->huge, former, live->tag));
    if (unit_below(random, 3) == 0) {
        huge_free(live->huge);
        live->huge = NULL;
        *live_bytes -= former;
        return;
    }
    bool done = huge_resize_in_place(live->huge, size);
    if (!done && size > former) {
        done = huge_grow(live->huge, size, alignment);
        assert_true(done);
        assert_int_equal((uintptr_t)live->huge->base % alignment, 0);
    }
    assert_true(is_valid(live->huge));
    assert_int_equal(live->huge->size_bytes, done ? size : former);
    assert_true(has_tags(live->huge, size < former ? size : former, live->tag));
    if (size > former) {
        assert_true(new_bytes_read_as_zero(live->huge, former));
    }
    *live_bytes += live->huge->size_bytes - former;
    tag_pages(live->huge, 0, live->tag);
}

static void random_blocks_keep_their_content_and_the_sums_agree(void **state)
{
    (void)state;
    uint64_t random = unit_seed(13);
    static struct live_block blocks[BLOCKS];
    size_t live_bytes = 0;
    for (unsigned i = 0; i < 1500; i++) {
        step_block(&blocks[unit_below(&random, BLOCKS)], &random, &live_bytes);
        struct huge_statistics now = huge_statistics();
        assert_int_equal(now.live_bytes, live_bytes);
        assert_true(now.live_bytes + now.cached_bytes <= now.mapped_bytes);
        assert_true(now.cached_bytes <= huge_policy.cache_bytes);
        assert_int_equal(now.live_count, now.alloc_count - now.free_count);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i].huge != NULL) {
            assert_true(has_tags(blocks[i].huge, blocks[i].huge->size_bytes, blocks[i].tag));
            huge_free(blocks[i].huge);
        }
    }
    errno = ERRNO_MARK;
}

static void grow_without_memory(void)
{
    bool zeroed;
    struct huge *block = huge_alloc(&arena_mark, 4 * MIB, 1, &zeroed);
    CHILD_EXPECT(block != NULL);
    tag_pages(block, 0, 3);
    limit_address_space(MIB);
    CHILD_EXPECT(huge_alloc(&arena_mark, 8 * MIB, 1, &zeroed) == NULL);
    CHILD_EXPECT(!huge_grow(block, 8 * MIB, 1));
    CHILD_EXPECT(!huge_resize_in_place(block, 8 * MIB));
    CHILD_EXPECT(!huge_grow(block, 4 * MIB + PAGE_BYTES, 1024 * MIB));
    CHILD_EXPECT(is_valid(block) && block->size_bytes == 4 * MIB);
    CHILD_EXPECT(has_tags(block, 4 * MIB, 3));
    CHILD_EXPECT(huge_statistics().live_bytes == 4 * MIB);
    limit_address_space(256 * MIB);
    CHILD_EXPECT(huge_grow(block, 8 * MIB, 1));
    CHILD_EXPECT(has_tags(block, 4 * MIB, 3));
    huge_free(block);
}

static void refused_growth_changes_nothing(void **state)
{
    (void)state;
    expect_good_end(run_in_child(grow_without_memory));
    errno = ERRNO_MARK;
}

#define HUGE_TEST(name) cmocka_unit_test_setup_teardown(name, set_policy, check_end)

static void the_first_kept_mapping_calls_the_helper(void **state)
{
    (void)state;
    bool zeroed;
    idle_start(0);
    assert_false(huge_look(os_time_coarse_ns()));
    alarm(60); /* A call that is missing makes the sleep last. */
    for (unsigned i = 0; i < 3; i++) {
        idle_look(0);
        huge_free(must_alloc(2 * MIB, 0, &zeroed));
        idle_sleep(0);
        uint64_t now = os_time_coarse_ns();
        assert_true(huge_look(now));
        assert_true(huge_statistics().cached_bytes > 0);
        assert_false(huge_look(now + 11000ull * 1000000));
        assert_int_equal(huge_statistics().cached_bytes, 0);
    }
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HUGE_TEST(blocks_have_their_size_and_alignment_and_read_as_zero),
        HUGE_TEST(impossible_sizes_are_refused_and_change_nothing),
        HUGE_TEST(a_freed_mapping_serves_the_next_request_without_a_promise_of_zeroes),
        HUGE_TEST(the_smallest_kept_mapping_that_fits_is_taken),
        HUGE_TEST(kept_mappings_stay_within_bytes_and_count),
        HUGE_TEST(kept_mappings_make_room_at_a_new_peak),
        HUGE_TEST(the_oldest_kept_mappings_yield_to_a_growing_heap),
        HUGE_TEST(kept_mappings_leave_when_their_time_is_over),
        HUGE_TEST(the_first_kept_mapping_calls_the_helper),
        HUGE_TEST(a_block_shrinks_in_place_and_gives_its_tail_back),
        HUGE_TEST(a_block_grows_and_keeps_its_content),
        HUGE_TEST(growth_to_a_larger_alignment_moves_the_block),
        HUGE_TEST(a_neighbour_in_the_way_forces_a_move),
        HUGE_TEST(random_blocks_keep_their_content_and_the_sums_agree),
        HUGE_TEST(refused_growth_changes_nothing),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
