/* test_slab.c: goal: a slab hands out each region once, lowest first, at the places that the fast
 * path expects, and refuses what is not a region that is out.
 * Method: a page heap of the test's own; every class filled, checked and emptied; random takes and
 * puts of every class against a plain array of flags; mistakes in children that must abort.
 */
#include "upper_floors.h"

#include "base/bits.h"
#include "pages/page_stock.h"

static struct page_heap heap;

static int start_heap(void **state)
{
    int result = start_allocator(state);
    page_heap_init(&heap, NULL, -1);
    return result;
}

static void check(const struct run *slab)
{
    assert_true(slab_is_valid(slab));
    assert_true(page_heap_is_valid(&heap));
}

static struct run *new_slab(uint8_t class_index)
{
    struct run *slab = slab_new(&heap, class_index);
    assert_non_null(slab);
    check(slab);
    return slab;
}

static void put(struct run *slab, void *region)
{
    struct slab_faults faults;
    faults.count = 0;
    if (slab_put(slab, region, 1) != NULL) {
        assert_int_equal(slab_put_faultless(slab, region, 1, &faults), 0);
        slab_report(&faults);
    }
}

static void shapes_are_sane_for_each_class(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        size_t bytes = (size_t)slab_page_count(i) * PAGE_BYTES;
        unsigned regions = slab_region_count(i);
        assert_in_range(slab_page_count(i), 1, RUN_PAGES_MAX);
        assert_in_range(regions, 1, RUN_REGIONS_MAX);
        assert_true(regions * class_size(i) <= bytes);
        /* Placing regions at multiples of their size costs less than one region, so waste stays
         * below two. */
        assert_true(bytes - regions * class_size(i) < 2 * class_size(i));
    }
}

static void each_class_fills_its_slab_in_rising_order(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        struct run *slab = new_slab(i);
        size_t size = class_size(i);
        char *base = chunk_page_address(slab->chunk, slab->page);
        char *end = base + (size_t)slab->page_count * PAGE_BYTES;
        void *regions[RUN_REGIONS_MAX + 1];
        unsigned taken = slab_take(slab, regions, RUN_REGIONS_MAX + 1);
        check(slab);
        assert_int_equal(taken, slab->region_count);
        assert_true(taken >= slab_region_count(i));
        assert_int_equal(slab->free_count, 0);
        assert_int_equal(slab_take(slab, regions + taken, 1), 0);
        for (unsigned r = 0; r < taken; r++) {
            char *region = regions[r];
            assert_true(region >= base && region + size <= end);
            assert_true(r == 0 || region == (char *)regions[r - 1] + size);
            assert_int_equal((uintptr_t)region % size, 0);
            assert_int_equal(map_code(region), class_code(i));
            put(slab, region);
        }
        check(slab);
        slab_delete(slab);
        assert_int_equal(map_code(base), 0);
        assert_int_equal(map_code(end - 1), 0);
    }
}

static void a_class_keeps_each_alignment_that_divides_its_size(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        struct run *slab = new_slab(i);
        size_t alignment = class_size(i) & (~class_size(i) + 1);
        void *regions[RUN_REGIONS_MAX];
        unsigned taken = slab_take(slab, regions, RUN_REGIONS_MAX);
        for (unsigned r = 0; r < taken; r++) {
            size_t kept = alignment < PAGE_BYTES ? alignment : PAGE_BYTES;
            assert_int_equal((uintptr_t)regions[r] % kept, 0);
            put(slab, regions[r]);
        }
        slab_delete(slab);
    }
}

/* The lowest region whose flag is false, or the count. */
static unsigned lowest_free(const bool *is_out, unsigned count)
{
    unsigned r = 0;
    while (r < count && is_out[r]) {
        r++;
    }
    return r;
}

static void random_takes_and_puts_follow_a_model(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("random_takes_and_puts_follow_a_model");
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        struct run *slab = new_slab(i);
        bool is_out[RUN_REGIONS_MAX] = {false};
        unsigned out = 0;
        for (unsigned step = 0; step < 2000; step++) {
            unsigned at = random_below(&seed, slab->region_count);
            if (is_out[at]) {
                put(slab, slab->first + at * class_size(i));
                is_out[at] = false;
                out--;
            } else {
                void *region = NULL;
                unsigned lowest = lowest_free(is_out, slab->region_count);
                assert_int_equal(slab_take(slab, &region, 1), 1);
                assert_ptr_equal(region, slab->first + lowest * class_size(i));
                is_out[lowest] = true;
                out++;
            }
            assert_int_equal(slab->free_count, slab->region_count - out);
            assert_true(slab_is_valid(slab));
        }
        for (unsigned r = 0; r < slab->region_count; r++) {
            if (is_out[r]) {
                put(slab, slab->first + r * class_size(i));
            }
        }
        check(slab);
        slab_delete(slab);
    }
}

static void neighbours_come_back_in_one_call(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("neighbours_come_back_in_one_call");
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        struct run *slab = new_slab(i);
        void *regions[RUN_REGIONS_MAX];
        unsigned taken = slab_take(slab, regions, RUN_REGIONS_MAX);
        unsigned freed = 0;
        /* Odd stretches first, then the even ones between them. */
        for (unsigned pass = 0; pass < 2; pass++) {
            uint64_t same_cuts = seed;
            unsigned number = 0;
            for (unsigned at = 0; at < taken; number++) {
                unsigned count = 1 + random_below(&same_cuts, 70);
                count = count < taken - at ? count : taken - at;
                if (number % 2 != pass) {
                    assert_null(slab_put(slab, regions[at], count));
                    freed += count;
                    assert_int_equal(slab->free_count, freed);
                    check(slab);
                }
                at += count;
            }
        }
        assert_int_equal(freed, taken);
        seed++;
        slab_delete(slab);
    }
}

static void only_pages_of_used_regions_come_back_dirty(void **state)
{
    (void)state;
    page_heap_purge(&heap, 0);
    uint8_t class_index = class_of(1024);
    struct run *slab = new_slab(class_index);
    void *regions[5];
    assert_int_equal(slab_take(slab, regions, 5), 5);
    for (unsigned i = 0; i < 5; i++) {
        put(slab, regions[i]);
    }
    slab_delete(slab);
    assert_true(page_heap_is_valid(&heap));
    assert_int_equal(heap.stage[STAGE_DIRTY].page_count, 2);
    assert_int_equal(heap.active_pages, 0);

    slab_delete(new_slab(class_index));
    assert_true(heap.stage[STAGE_DIRTY].page_count <= 2);
}

/* Takes regions of a new slab, writes to them, and ends it. Result: where it was. */
static char *use_slab(uint8_t class_index, unsigned wanted, const struct chunk **chunk,
                      unsigned *page)
{
    void *regions[RUN_REGIONS_MAX];
    struct run *slab = new_slab(class_index);
    char *base = chunk_page_address(slab->chunk, slab->page);
    unsigned taken = slab_take(slab, regions, wanted);
    for (unsigned i = 0; i < taken; i++) {
        memset(regions[i], 7, class_size(class_index));
        put(slab, regions[i]);
    }
    *chunk = slab->chunk;
    *page = slab->page;
    slab_delete(slab);
    assert_true(page_heap_is_valid(&heap));
    return base;
}

/* A run that was kept whole serves another slab, which uses less of it: what the first one wrote is
 * no page to be promised as zero. */
static void pages_of_a_slab_before_are_dirty_too(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        const struct chunk *chunk;
        unsigned page;
        (void)use_slab(i, RUN_REGIONS_MAX, &chunk, &page);
        char *base = use_slab(i, 1, &chunk, &page);
        for (unsigned j = 0; j < slab_page_count(i); j++) {
            bool is_known = bits_get(chunk->used, page + j) || bits_get(chunk->dirty, page + j);
            EXPECT(is_known || bytes_are(base + j * PAGE_BYTES, PAGE_BYTES, 0),
                   "class %u: page %u is called clean", i, j);
        }
        lock_acquire(&heap.lock);
        page_stock_drop_recent(&heap);
        lock_release(&heap.lock);
    }
}

static void put_interior(void *slab)
{
    put(slab, ((struct run *)slab)->first + 16);
}

static void put_twice(void *slab)
{
    put(slab, ((struct run *)slab)->first);
    put(slab, ((struct run *)slab)->first);
}

static void put_never_given(void *slab)
{
    put(slab, ((struct run *)slab)->first + 64 * 7);
}

static void put_elsewhere(void *slab)
{
    put(slab, ((struct run *)slab)->first - 64);
}

static void what_is_not_out_is_refused(void **state)
{
    (void)state;
    struct run *slab = new_slab(class_of(64));
    void *regions[4];
    assert_int_equal(slab_take(slab, regions, 4), 4);
    expect_abort(put_interior, slab, "invalid pointer");
    expect_abort(put_twice, slab, "double free");
    expect_abort(put_never_given, slab, "double free");
    expect_abort(put_elsewhere, slab, "invalid pointer");
    for (unsigned i = 0; i < 4; i++) {
        put(slab, regions[i]);
    }
    slab_delete(slab);
}

/* Of neighbours across words, of which some are free already, the others come back. */
static void a_stretch_with_mistakes_comes_back_without_them(void **state)
{
    (void)state;
    enum { TAKEN = 200, FROM = 10, COUNT = 150, WRONG = 3 };
    static const unsigned wrong[WRONG] = {20, 130, 140};
    struct run *slab = new_slab(class_of(16));
    void *regions[TAKEN];
    assert_int_equal(slab_take(slab, regions, TAKEN), TAKEN);
    unsigned free_count = slab->free_count;
    put(slab, regions[130]);
    assert_ptr_equal(slab_put(slab, regions[FROM], COUNT), regions[130]);
    assert_int_equal(slab->free_count, free_count + 1);
    check(slab); /* As it was. */
    put(slab, regions[20]);
    put(slab, regions[140]);
    struct slab_faults faults;
    faults.count = 0;
    assert_int_equal(slab_put_faultless(slab, regions[FROM], COUNT, &faults), COUNT - WRONG);
    assert_int_equal(slab->free_count, free_count + COUNT);
    check(slab);
    assert_int_equal(faults.count, WRONG);
    for (unsigned i = 0; i < WRONG; i++) {
        assert_ptr_equal(faults.fault[i].region, regions[wrong[i]]);
        assert_true(faults.fault[i].is_start);
    }
    assert_int_equal(slab_put_faultless(slab, regions[FROM], COUNT, &faults), 0);
    assert_int_equal(faults.count, SLAB_FAULTS_MAX);
    for (unsigned i = 0; i < TAKEN; i++) {
        if (i < FROM || i >= FROM + COUNT) {
            put(slab, regions[i]);
        }
    }
    slab_delete(slab);
}

static void validity_sees_a_wrong_count_and_a_stray_bit(void **state)
{
    (void)state;
    struct run *slab = new_slab(class_of(64));
    slab->free_count--;
    assert_false(slab_is_valid(slab));
    slab->free_count++;
    slab->free_bits[0] |= 1;
    assert_false(slab_is_valid(slab));
    slab->free_bits[0] = 0;
    check(slab);
    slab_delete(slab);
}

/* The pages of a slab that lie whole in free regions, with one in keep_each kept. */
static uint64_t expected_holes(const struct run *slab, unsigned count, unsigned keep_each)
{
    size_t size = class_size(slab->class_index);
    size_t gap = (size_t)(slab->first - chunk_page_address(slab->chunk, slab->page));
    uint64_t holes = 0;
    for (unsigned page = 0; page < slab->page_count; page++) {
        size_t from = (size_t)page * PAGE_BYTES;
        size_t to = from + PAGE_BYTES;
        bool whole = from >= gap && to <= gap + count * size;
        for (size_t i = whole ? (from - gap) / size : count; i < count && gap + i * size < to;
             i++) {
            whole = whole && i % keep_each != keep_each / 2;
        }
        holes |= (uint64_t)whole << page;
    }
    return holes;
}

static bool is_kept(unsigned index, unsigned keep_each)
{
    return index % keep_each == keep_each / 2;
}

/* With one region in keep_each kept: holes lose their content, kept regions do not, and what is
 * handed out later is counted as used. */
static void check_holes(uint8_t class_index, unsigned keep_each)
{
    static void *regions[RUN_REGIONS_MAX];
    struct run *slab = new_slab(class_index);
    size_t size = class_size(class_index);
    unsigned count = slab_take(slab, regions, RUN_REGIONS_MAX);
    for (unsigned i = 0; i < count; i++) {
        memset(regions[i], (int)(i % 251) + 1, size);
        if (!is_kept(i, keep_each)) {
            put(slab, regions[i]);
        }
    }
    uint64_t holes = expected_holes(slab, count, keep_each);
    assert_int_equal(slab_purge_holes(slab), bits_count(holes));
    assert_int_equal(slab->purged, holes);
    check(slab);
    assert_int_equal(slab_purge_holes(slab), 0); /* no page twice */
    const char *base = chunk_page_address(slab->chunk, slab->page);
    for (unsigned page = 0; page < slab->page_count; page++) {
        bool purged = (slab->purged >> page & 1) != 0;
        assert_true(!purged || bytes_are(base + page * PAGE_BYTES, PAGE_BYTES, 0));
    }
    for (unsigned i = 0; i < count; i++) {
        assert_true(!is_kept(i, keep_each) ||
                    bytes_are(regions[i], size, (unsigned char)(i % 251 + 1)));
    }
    void *again[RUN_REGIONS_MAX];
    unsigned taken = slab_take(slab, again, RUN_REGIONS_MAX);
    assert_int_equal(slab->purged, 0);
    check(slab);
    for (unsigned i = 0; i < taken; i++) {
        put(slab, again[i]);
    }
    for (unsigned i = keep_each / 2; i < count; i += keep_each) {
        put(slab, regions[i]);
    }
    slab_delete(slab);
}

static void holes_of_each_class_go_and_live_regions_stay(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        check_holes(i, 2);
        check_holes(i, 9);
        check_holes(i, RUN_REGIONS_MAX);
    }
}

/* Pages behind the regions that were ever used have no memory: they are no holes. */
static void untouched_pages_are_no_holes(void **state)
{
    (void)state;
    struct run *slab = new_slab(class_of(4096));
    void *regions[4];
    assert_int_equal(slab_take(slab, regions, 4), 4);
    put(slab, regions[0]);
    put(slab, regions[2]);
    assert_int_equal(slab_purge_holes(slab), 2);
    assert_int_equal(slab->purged, 5);
    /* Those that come back first are the lowest. */
    assert_int_equal(slab_take(slab, regions, 1), 1);
    assert_int_equal(slab->purged, 4);
    put(slab, regions[0]);
    put(slab, (char *)regions[0] + 4096);
    put(slab, (char *)regions[0] + 3 * 4096);
    slab_delete(slab);
}

static void validity_sees_a_live_region_on_a_purged_page(void **state)
{
    (void)state;
    struct run *slab = new_slab(class_of(4096));
    void *regions[2];
    assert_int_equal(slab_take(slab, regions, 2), 2);
    slab->purged = 1;
    assert_false(slab_is_valid(slab));
    slab->purged = 0;
    put(slab, regions[0]);
    put(slab, regions[1]);
    slab_delete(slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_sane_for_each_class),
        cmocka_unit_test(each_class_fills_its_slab_in_rising_order),
        cmocka_unit_test(a_class_keeps_each_alignment_that_divides_its_size),
        cmocka_unit_test(random_takes_and_puts_follow_a_model),
        cmocka_unit_test(neighbours_come_back_in_one_call),
        cmocka_unit_test(only_pages_of_used_regions_come_back_dirty),
        cmocka_unit_test(pages_of_a_slab_before_are_dirty_too),
        cmocka_unit_test(what_is_not_out_is_refused),
        cmocka_unit_test(a_stretch_with_mistakes_comes_back_without_them),
        cmocka_unit_test(validity_sees_a_wrong_count_and_a_stray_bit),
        cmocka_unit_test(holes_of_each_class_go_and_live_regions_stay),
        cmocka_unit_test(untouched_pages_are_no_holes),
        cmocka_unit_test(validity_sees_a_live_region_on_a_purged_page),
    };
    return cmocka_run_group_tests(tests, start_heap, NULL);
}
