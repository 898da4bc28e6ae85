/* test_holes.c: goal: memory between survivors goes back to the system when it is much, not when it
 * is wanted back at once, and without harm to the survivors.
 * Method: a fresh arena; blocks of one class filled, thinned out and checked; the purged pages, the
 * threshold and the margin of the bin after each step; clocks that are handed in.
 */
#include "upper_floors.h"

#include "base/bits.h"
#include "config/options.h"
#include "heap/holes.h"
#include "heap/reset.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:40";

enum { SIZE = 2048, COUNT = 4000, KEEP_EACH = 20, BATCH = 100 };

static void *blocks[COUNT];

struct scene {
    struct arena *arena;
    struct bin *bin;
    uint8_t class_index;
};

static struct scene filled_scene(void)
{
    struct scene scene = {fresh_arena(), NULL, class_of(SIZE)};
    scene.bin = &scene.arena->bin[scene.class_index];
    for (unsigned at = 0; at < COUNT;) {
        unsigned wanted = COUNT - at < BATCH ? COUNT - at : BATCH;
        at +=
            arena_fill(scene.arena, scene.class_index, blocks + at, wanted, &(struct bin_user){0});
    }
    for (unsigned i = 0; i < COUNT; i++) {
        memset(blocks[i], (int)(i % 200) + 1, SIZE);
    }
    return scene;
}

static bool is_kept(unsigned index)
{
    return index % KEEP_EACH == 0;
}

/* Frees all but one in KEEP_EACH. */
static void thin_out(const struct scene *scene)
{
    void *batch[BATCH];
    unsigned count = 0;
    bool contended;
    for (unsigned i = 0; i < COUNT; i++) {
        if (!is_kept(i)) {
            batch[count++] = blocks[i];
        }
        if (count == BATCH || (i == COUNT - 1 && count > 0)) {
            arena_flush(scene->class_index, batch, count, &contended);
            count = 0;
        }
    }
}

static void expect_survivors(void)
{
    for (unsigned i = 0; i < COUNT; i += KEEP_EACH) {
        assert_true(bytes_are(blocks[i], SIZE, (unsigned char)(i % 200 + 1)));
    }
}

static void free_survivors(const struct scene *scene)
{
    bool contended;
    for (unsigned i = 0; i < COUNT; i += KEEP_EACH) {
        arena_flush(scene->class_index, &blocks[i], 1, &contended);
    }
    assert_true(bin_is_valid(scene->bin));
    arena_purge(scene->arena);
    assert_int_equal(scene->bin->holes.purged_pages, 0);
    assert_int_equal(scene->arena->pages.active_pages, 0);
}

/* Pages marked in the slabs of the queue, as holes.purged_pages should count them. */
static size_t marked_pages(const struct bin *bin)
{
    size_t pages = bin->empty != NULL ? bits_count(bin->empty->purged) : 0;
    for (const struct run *slab = bin->first; slab != NULL; slab = slab->next) {
        pages += bits_count(slab->purged);
    }
    return pages;
}

static void survivors_pin_little(void **state)
{
    (void)state;
    struct scene scene = filled_scene();
    assert_int_equal(scene.bin->holes.purged_pages, 0);
    thin_out(&scene);
    /* Nine pages of ten hold no survivor. */
    size_t all = (size_t)COUNT * SIZE / PAGE_BYTES;
    assert_true(scene.bin->holes.purged_pages > all / 2);
    assert_int_equal(scene.bin->holes.purged_pages, marked_pages(scene.bin));
    assert_true(bin_is_valid(scene.bin));
    expect_survivors();
    free_survivors(&scene);
}

static void no_more_than_the_margin_stays_idle(void **state)
{
    (void)state;
    struct scene scene = filled_scene();
    thin_out(&scene);
    size_t idle = holes_idle_bytes(scene.bin, scene.class_index);
    assert_true(idle <= scene.bin->holes.sweep_from_bytes);
    size_t survivors = (COUNT + KEEP_EACH - 1) / KEEP_EACH;
    /* A page each, less what lives, and the margin. */
    assert_true(idle <= survivors * (PAGE_BYTES - SIZE) + 4 * 64 * 1024);
    expect_survivors();
    free_survivors(&scene);
}

static void a_purge_takes_every_hole(void **state)
{
    (void)state;
    struct scene scene = filled_scene();
    thin_out(&scene);
    arena_purge(scene.arena);
    size_t survivors = (COUNT + KEEP_EACH - 1) / KEEP_EACH;
    size_t held = scene.arena->pages.active_pages - scene.bin->holes.purged_pages;
    assert_true(held <= survivors + 1);
    expect_survivors();
    free_survivors(&scene);
}

static void without_purging_no_hole_is_given_back(void **state)
{
    (void)state;
    arena_set_default_decay_ms(STAGE_DIRTY, DECAY_NEVER);
    struct scene scene = filled_scene();
    arena_set_default_decay_ms(STAGE_DIRTY, options.dirty_decay_ms);
    thin_out(&scene);
    assert_int_equal(scene.bin->holes.purged_pages, 0);
    assert_false(holes_look(scene.arena, UINT64_MAX / 2));
    expect_survivors();
    free_survivors(&scene);
}

/* A program that fills the holes again and again keeps them after a few rounds. */
static void regret_doubles_the_margin(void **state)
{
    (void)state;
    struct scene scene = filled_scene();
    size_t first_round = 0;
    size_t swept_before = 0;
    for (unsigned round = 0; round < 12; round++) {
        thin_out(&scene);
        size_t purged = scene.bin->holes.purged_pages;
        if (round == 0) {
            first_round = purged;
        }
        swept_before = purged;
        for (unsigned i = 0; i < COUNT; i++) {
            if (!is_kept(i)) {
                assert_int_equal(arena_fill(scene.arena, scene.class_index, &blocks[i], 1,
                                            &(struct bin_user){0}),
                                 1);
            }
        }
        assert_int_equal(scene.bin->holes.purged_pages, marked_pages(scene.bin));
    }
    assert_true(first_round > 0);
    assert_true(scene.bin->holes.margin_lg > 0);
    assert_true(swept_before < first_round / 4);
    for (unsigned i = 0; i < COUNT; i++) {
        bool contended;
        arena_flush(scene.class_index, &blocks[i], 1, &contended);
    }
    arena_purge(scene.arena);
    assert_int_equal(scene.arena->pages.active_pages, 0);
}

static void an_idle_bin_is_swept_when_the_decay_time_is_over(void **state)
{
    (void)state;
    struct scene scene = filled_scene();
    const uint64_t decay_ns = (uint64_t)options.dirty_decay_ms * 1000000;
    /* Too little for a sweep by its own. */
    bool contended;
    scene.bin->holes.sweep_from_bytes = SIZE_MAX;
    thin_out(&scene);
    assert_int_equal(scene.bin->holes.purged_pages, 0);
    uint64_t now_ns = 10 * decay_ns;
    assert_true(holes_look(scene.arena, now_ns)); /* busy until now */
    assert_int_equal(scene.bin->holes.purged_pages, 0);
    assert_true(holes_look(scene.arena, now_ns + decay_ns / 2));
    assert_int_equal(scene.bin->holes.purged_pages, 0);
    (void)holes_look(scene.arena, now_ns + decay_ns);
    assert_true(scene.bin->holes.purged_pages > (size_t)COUNT * SIZE / PAGE_BYTES / 2);
    assert_false(holes_look(scene.arena, now_ns + 2 * decay_ns));
    assert_false(holes_look(scene.arena, now_ns + 2 * decay_ns + 1));
    /* One that is in use is left alone. */
    void *block;
    assert_int_equal(arena_fill(scene.arena, scene.class_index, &block, 1, &(struct bin_user){0}),
                     1);
    arena_flush(scene.class_index, &block, 1, &contended);
    size_t purged = scene.bin->holes.purged_pages;
    assert_true(holes_look(scene.arena, now_ns + 3 * decay_ns));
    assert_int_equal(scene.bin->holes.purged_pages, purged);
    expect_survivors();
    free_survivors(&scene);
}

static const struct hpa_policy policy = {
    .on = true,
    .style = HPA_STYLE_LAZY,
    .dense_pages = 400,
    .purge_pages = 1,
    .dirty_mult = UINT32_MAX,
    .purged_huge_max = -1,
};

static int switch_off(void **state)
{
    (void)state;
    hpa_policy = (struct hpa_policy){.on = false};
    return 0;
}

/* The holes that chunks know of. */
static size_t known_holes(const struct scene *scene, bool of_huge_pages)
{
    size_t pages = 0;
    const struct chunk *chunk = scene->arena->pages.first_chunk;
    for (; chunk != NULL; chunk = chunk->next_of_heap) {
        pages += !of_huge_pages || chunk->hpa_state == HPA_HUGE ? chunk->hole_pages : 0;
    }
    return pages;
}

static void huge_pages_are_left_whole(void **state)
{
    (void)state;
    hpa_policy = policy;
    struct scene scene = filled_scene();
    const struct hpa *hpa = &scene.arena->pages.hpa;
    assert_true(hpa->huge_chunks >= 3);
    thin_out(&scene);
    assert_true(holes_idle_bytes(scene.bin, scene.class_index) > 4u << 20);
    holes_sweep(scene.arena, scene.bin, scene.class_index, HOLES_ALL);
    for (const struct run *slab = scene.bin->first; slab != NULL; slab = slab->next) {
        assert_true(slab->purged == 0 || slab->chunk->hpa_state != HPA_HUGE);
    }
    assert_int_equal(known_holes(&scene, true), 0);
    assert_int_equal(known_holes(&scene, false), scene.bin->holes.purged_pages);
    assert_int_equal(hpa->dehugifies, 0);
    expect_survivors();
    free_survivors(&scene);
}

static void holes_do_not_make_a_chunk_dense(void **state)
{
    (void)state;
    hpa_policy = policy;
    hpa_policy.style = HPA_STYLE_NONE;
    struct scene scene = filled_scene();
    thin_out(&scene);
    size_t purged = scene.bin->holes.purged_pages;
    assert_true(purged > (size_t)COUNT * SIZE / PAGE_BYTES / 2);
    assert_int_equal(known_holes(&scene, false), purged);
    /* Nothing is dense until most holes are in use again. */
    const struct hpa *hpa = &scene.arena->pages.hpa;
    hpa_policy.style = HPA_STYLE_LAZY;
    for (unsigned i = 0; i < COUNT; i++) {
        if (!is_kept(i)) {
            assert_int_equal(
                arena_fill(scene.arena, scene.class_index, &blocks[i], 1, &(struct bin_user){0}),
                1);
            memset(blocks[i], (int)(i % 200) + 1, SIZE);
        }
        assert_true(i > COUNT / 8 || hpa->hugifies == 0);
    }
    assert_true(hpa->huge_chunks >= 3);
    assert_int_equal(known_holes(&scene, false), scene.bin->holes.purged_pages);
    thin_out(&scene);
    free_survivors(&scene);
}

static void chunks_forget_the_holes_of_slabs_that_end(void **state)
{
    (void)state;
    hpa_policy = policy;
    hpa_policy.style = HPA_STYLE_NONE;
    struct scene scene = filled_scene();
    thin_out(&scene);
    bool contended;
    size_t purged = scene.bin->holes.purged_pages;
    for (unsigned i = 100; i < COUNT; i++) {
        if (is_kept(i)) {
            arena_flush(scene.class_index, &blocks[i], 1, &contended);
        }
    }
    assert_true(scene.bin->holes.purged_pages < purged / 2);
    assert_int_equal(known_holes(&scene, false), scene.bin->holes.purged_pages);
    for (unsigned i = 0; i < 100; i++) {
        if (is_kept(i)) {
            arena_flush(scene.class_index, &blocks[i], 1, &contended);
        }
    }
    arena_purge(scene.arena);
    assert_int_equal(scene.arena->pages.chunk_count, 0);
}

static void chunks_forget_the_holes_of_an_arena_that_is_reset(void **state)
{
    (void)state;
    hpa_policy = policy;
    hpa_policy.style = HPA_STYLE_NONE;
    struct scene scene = filled_scene();
    thin_out(&scene);
    assert_true(known_holes(&scene, false) > 0);
    bool was_manual = scene.arena->is_manual;
    scene.arena->is_manual = true;
    arena_reset(scene.arena);
    scene.arena->is_manual = was_manual;
    assert_int_equal(known_holes(&scene, false), 0);
    arena_purge(scene.arena);
    assert_int_equal(scene.arena->pages.chunk_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survivors_pin_little),
        cmocka_unit_test(no_more_than_the_margin_stays_idle),
        cmocka_unit_test(a_purge_takes_every_hole),
        cmocka_unit_test(without_purging_no_hole_is_given_back),
        cmocka_unit_test(regret_doubles_the_margin),
        cmocka_unit_test(an_idle_bin_is_swept_when_the_decay_time_is_over),
        cmocka_unit_test_teardown(huge_pages_are_left_whole, switch_off),
        cmocka_unit_test_teardown(chunks_forget_the_holes_of_slabs_that_end, switch_off),
        cmocka_unit_test_teardown(chunks_forget_the_holes_of_an_arena_that_is_reset, switch_off),
        cmocka_unit_test_teardown(holes_do_not_make_a_chunk_dense, switch_off),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
