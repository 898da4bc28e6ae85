/* test_ctl_values.c: goal: each reader tells the truth about what it names, each writer does what
 * its name says, and indices that name nothing are refused.
 * Method: readers are called with MIBs made by hand, against counters of fresh arenas, the options
 * in memory and the classes; effects of writers are looked for in the thread and in the arena.
 */
#include "upper_floors.h"

#include "control/ctl.h"
#include "control/ctl_values.h"
#include "pages/purge.h"

extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:12,stats_print_opts:gab";

typedef int (*ctl_reader)(const size_t *mib, size_t argument, struct ctl_value *value);

static const size_t no_mib[CTL_DEPTH_MAX];

#define PART(field) offsetof(struct arena_statistics, field)
#define BIN(field) PART(bin[0].field)

static uint64_t read_number(ctl_reader reader, const size_t *mib, size_t argument)
{
    struct ctl_value value = {.number = UINT64_MAX};
    assert_int_equal(reader(mib, argument, &value), 0);
    return value.number;
}

static int result_of(ctl_reader reader, const size_t *mib, size_t argument)
{
    struct ctl_value value = {.number = 0};
    return reader(mib, argument, &value);
}

static void constants_and_versions(void **state)
{
    (void)state;
    struct ctl_value value = {.text = NULL};
    assert_int_equal(read_number(read_argument, no_mib, 4711), 4711);
    assert_int_equal(read_version(no_mib, 0, &value), 0);
    assert_ptr_equal(value.text, ctl_version);
    assert_int_equal(strncmp(ctl_version, "5.3.1-0-g", 9), 0);
    assert_int_equal(strlen(ctl_version), 9 + 40);
    assert_int_equal(read_version(no_mib, 1, &value), 0);
    assert_ptr_equal(value.text, ctl_dg_version);
}

static void snapshot_fields_are_those_of_the_last_refresh(void **state)
{
    (void)state;
    assert_int_equal(write_epoch(no_mib, NULL), 0);
    struct statistics now = statistics_now();
    const struct {
        size_t offset;
        uint64_t expected;
    } fields[] = {
        {offsetof(struct statistics, allocated), now.allocated},
        {offsetof(struct statistics, active), now.active},
        {offsetof(struct statistics, metadata), now.metadata},
        {offsetof(struct statistics, resident), now.resident},
        {offsetof(struct statistics, mapped), now.mapped},
        {offsetof(struct statistics, retained), now.retained},
        {offsetof(struct statistics, epoch), now.epoch},
    };
    for (unsigned i = 0; i < COUNT_OF(fields); i++) {
        assert_int_equal(read_number(read_snapshot, no_mib, fields[i].offset), fields[i].expected);
    }
}

static void the_thread_moves_to_the_arena_that_is_written(void **state)
{
    (void)state;
    struct arena *home = thread_arena();
    struct arena *other = fresh_arena();
    assert_int_equal(read_number(read_thread_arena, no_mib, 0), home->index);
    assert_int_equal(write_thread_arena(no_mib, &other->index), 0);
    assert_int_equal(read_number(read_thread_arena, no_mib, 0), other->index);
    assert_ptr_equal(thread_arena(), other);
    assert_int_equal(other->thread_count, 1);
    void *block = API(malloc)(100000);
    assert_ptr_equal(large_arena(block, map_code(block)), other);
    API(free)(block);
    size_t mib[] = {0, 0, other->index, 0};
    assert_true(statistics_refresh());
    assert_int_equal(read_number(read_part, mib, PART(totals.thread_count)), 1);
    unsigned none = arena_limit();
    assert_int_equal(write_thread_arena(no_mib, &none), EFAULT);
    assert_int_equal(write_thread_arena(no_mib, &home->index), 0);
    assert_int_equal(other->thread_count, 0);
}

static void an_automatic_arena_is_made_when_it_is_asked_for(void **state)
{
    (void)state;
    struct arena *home = thread_arena();
    unsigned coming = arena_count() + 1;
    assert_true(coming < arena_limit());
    assert_null(arena_get(coming));
    assert_int_equal(write_thread_arena(no_mib, &coming), 0);
    assert_int_equal(thread_arena()->index, coming);
    assert_int_equal(arena_count(), coming + 1);
    assert_int_equal(write_thread_arena(no_mib, &home->index), 0);
}

static void bytes_of_the_thread_are_exact(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 5000, 20000, 40000, 3000000};
    uint64_t allocated = read_number(read_thread_bytes, no_mib, 0);
    uint64_t freed = read_number(read_thread_bytes, no_mib, 1);
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        void *block = API(malloc)(sizes[i]);
        size_t usable = API(malloc_usable_size)(block);
        assert_int_equal(read_number(read_thread_bytes, no_mib, 0) - allocated, usable);
        assert_int_equal(read_number(read_thread_bytes, no_mib, 1), freed);
        API(free)(block);
        assert_int_equal(read_number(read_thread_bytes, no_mib, 1) - freed, usable);
        allocated += usable;
        freed += usable;
    }
}

static void the_cache_goes_off_and_on_and_empties(void **state)
{
    (void)state;
    const bool off = false;
    const bool on = true;
    API(free)(API(malloc)(700));
    struct cache *cache = thread_cache();
    assert_int_equal(read_number(read_cache_enabled, no_mib, 0), 1);
    assert_true(cache_cached_bytes(cache) > 0);
    assert_int_equal(act_cache_flush(no_mib, NULL), 0);
    assert_int_equal(cache_cached_bytes(cache), 0);
    assert_int_equal(write_cache_enabled(no_mib, &off), 0);
    assert_int_equal(read_number(read_cache_enabled, no_mib, 0), 0);
    assert_int_equal(act_cache_flush(no_mib, NULL), EFAULT);
    assert_int_equal(write_cache_enabled(no_mib, &on), 0);
    assert_int_equal(read_number(read_cache_enabled, no_mib, 0), 1);
}

/* The byte is the program's; what it does to a bool of ours must not depend on the compiler. */
static void a_byte_that_is_no_truth_value_means_true(void **state)
{
    (void)state;
    const unsigned char odd = 2;
    const bool off = false;
    assert_int_equal(write_cache_enabled(no_mib, &off), 0);
    assert_int_equal(write_cache_enabled(no_mib, &odd), 0);
    assert_int_equal(read_number(read_cache_enabled, no_mib, 0), 1);
}

static void check_option(unsigned index)
{
    const struct option_row *row = option_row(index);
    const size_t mib[] = {0, CTL_OPTIONS + index};
    const char *field = (const char *)&options + row->offset;
    struct ctl_value value = {.type = CTL_OPTION};
    if ((row->flags & OPTION_UNMIRRORED) != 0) {
        assert_int_equal(read_option(mib, 0, &value), ENOENT);
        return;
    }
    assert_int_equal(read_option(mib, 0, &value), 0);
    switch ((enum option_kind)row->kind) {
    case OPTION_BOOLEAN:
        assert_int_equal(value.type, CTL_BOOLEAN);
        assert_int_equal(value.number, *(const bool *)field);
        break;
    case OPTION_INTEGER:
    case OPTION_FRACTION:
        assert_int_equal(value.type, row->size_bytes == 4 ? CTL_U32 : CTL_U64);
        assert_memory_equal(&value.number, field, row->size_bytes);
        break;
    case OPTION_CHOICE:
        assert_int_equal(value.type, CTL_TEXT);
        assert_string_equal(value.text, option_choice(row, *(const unsigned *)field));
        break;
    case OPTION_LETTERS:
        assert_int_equal(value.type, CTL_TEXT);
        assert_string_equal(value.text, field);
        break;
    case OPTION_TEXT:
        assert_int_equal(value.type, CTL_TEXT);
        assert_string_equal(value.text, option_text(row));
        break;
    case OPTION_CLASSES:
        fail();
    }
}

static void options_are_mirrored_with_their_types(void **state)
{
    (void)state;
    unsigned count = 0;
    for (; option_row(count) != NULL; count++) {
        check_option(count);
    }
    const size_t beyond[] = {0, CTL_OPTIONS + count};
    assert_true(count >= 10);
    assert_int_equal(result_of(read_option, beyond, 0), ENOENT);
}

static void choices_are_words_that_stay(void **state)
{
    (void)state;
    struct ctl_value junk = {.text = NULL};
    struct ctl_value thp = {.text = NULL};
    for (size_t i = 0; option_row((unsigned)i) != NULL; i++) {
        const size_t mib[] = {0, CTL_OPTIONS + i};
        const char *name = option_name(option_row((unsigned)i));
        if (strcmp(name, "junk") == 0) {
            assert_int_equal(read_option(mib, 0, &junk), 0);
        } else if (strcmp(name, "thp") == 0) {
            assert_int_equal(read_option(mib, 0, &thp), 0);
        }
    }
    assert_string_equal(junk.text, "false");
    assert_string_equal(thp.text, "default");
}

static void classes_are_told_by_index_up_to_their_number(void **state)
{
    (void)state;
    size_t mib[CTL_DEPTH_MAX] = {0};
    for (mib[2] = 0; mib[2] < SMALL_CLASSES; mib[2]++) {
        uint8_t index = (uint8_t)mib[2];
        assert_int_equal(read_number(read_class_size, mib, 0), class_size(index));
        assert_int_equal(read_number(read_class_regions, mib, 0), slab_region_count(index));
        assert_int_equal(read_number(read_class_slab_size, mib, 0),
                         slab_page_count(index) * (size_t)PAGE_BYTES);
    }
    for (mib[2] = 0; mib[2] < CLASS_COUNT - SMALL_CLASSES; mib[2]++) {
        assert_int_equal(read_number(read_class_size, mib, SMALL_CLASSES),
                         class_size((uint8_t)(mib[2] + SMALL_CLASSES)));
    }
}

static void bin_counters_are_those_of_the_arena(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    uint8_t class_index = class_of(320);
    const size_t mib[] = {0, 0, arena->index, 0, class_index, 0};
    void *blocks[30];
    bool contended;
    assert_int_equal(arena_fill(arena, class_index, blocks, 30, &(struct bin_user){0}), 30);
    arena_flush(class_index, blocks, 10, &contended);
    arena_count_requests(arena, class_index, 0, 77);
    assert_false(ctl_index_is_valid(INDEX_STATS_ARENA, arena->index));
    assert_true(statistics_refresh());
    assert_true(ctl_index_is_valid(INDEX_STATS_ARENA, arena->index));
    assert_int_equal(read_number(read_bin, mib, BIN(alloc_count)), 30);
    assert_int_equal(read_number(read_bin, mib, BIN(free_count)), 10);
    assert_int_equal(read_number(read_bin, mib, BIN(current_regions)), 20);
    assert_int_equal(read_number(read_bin, mib, BIN(request_count)), 77);
    assert_int_equal(read_number(read_bin, mib, BIN(queued_slabs)), 1);
    assert_true(read_number(read_bin_lock, mib, PART(bin_lock[0].acquire_count)) >= 4);
    arena_flush(class_index, blocks + 10, 20, &contended);
}

static void requests_in_caches_count_before_they_are_merged(void **state)
{
    (void)state;
    struct arena *home = thread_arena();
    struct arena *arena = fresh_arena();
    const size_t mib[] = {0, 0, arena->index, 0, class_of(2500), 0};
    assert_int_equal(write_thread_arena(no_mib, &arena->index), 0);
    for (unsigned i = 0; i < 25; i++) {
        API(free)(API(malloc)(2500));
    }
    assert_int_equal(arena->bin[class_of(2500)].counters.request_count, 0);
    assert_true(statistics_refresh());
    assert_int_equal(read_number(read_bin, mib, BIN(request_count)), 25);
    assert_int_equal(write_thread_arena(no_mib, &home->index), 0);
    assert_int_equal(arena->bin[class_of(2500)].counters.request_count, 25);
    assert_true(statistics_refresh());
    assert_int_equal(read_number(read_bin, mib, BIN(request_count)), 25);
}

static void purging_acts_on_one_arena_or_on_all(void **state)
{
    (void)state;
    struct arena *one = fresh_arena();
    struct arena *two = fresh_arena();
    struct arena *both[] = {one, two};
    void *blocks[2];
    for (unsigned i = 0; i < 2; i++) {
        blocks[i] = large_alloc(both[i], 2 * 65536, 1, false);
        memset(blocks[i], 1, 2 * 65536);
        assert_true(large_resize(blocks[i], CODE_RUN, 65536, false));
    }
    size_t page_mib[] = {0, 0, one->index, 0};
    assert_true(statistics_refresh());
    assert_int_equal(read_number(read_part, page_mib, PART(totals.dirty_pages)), 16);
    size_t mib[] = {0, one->index, 0};
    assert_int_equal(act_arena_decay(mib, NULL), 0);
    assert_int_equal(act_arena_purge(mib, NULL), 0);
    assert_true(statistics_refresh());
    assert_int_equal(read_number(read_part, page_mib, PART(totals.dirty_pages)), 0);
    assert_int_equal(two->pages.stage[STAGE_DIRTY].page_count, 16);
    mib[1] = CTL_ALL_ARENAS;
    assert_int_equal(act_arena_purge(mib, NULL), 0);
    assert_int_equal(two->pages.stage[STAGE_DIRTY].page_count, 0);
    large_free(blocks[0], CODE_RUN);
    large_free(blocks[1], CODE_RUN);
    /* An automatic arena that no thread needed yet has nothing to purge. */
    mib[1] = arena_count();
    assert_int_equal(act_arena_purge(mib, NULL), 0);
}

static void indices_are_valid_up_to_what_there_is(void **state)
{
    (void)state;
    unsigned visible = arena_visible_count();
    const struct {
        enum ctl_index kind;
        size_t last;
    } limits[] = {
        {INDEX_ARENA, visible}, {INDEX_BIN, 35},       {INDEX_LARGE, 195},
        {INDEX_STRETCH, 198},   {INDEX_PAGE_SLAB, 63},
    };
    for (unsigned i = 0; i < COUNT_OF(limits); i++) {
        assert_true(ctl_index_is_valid(limits[i].kind, 0));
        assert_true(ctl_index_is_valid(limits[i].kind, limits[i].last));
        assert_false(ctl_index_is_valid(limits[i].kind, limits[i].last + 1));
        assert_false(ctl_index_is_valid(limits[i].kind, SIZE_MAX));
    }
    assert_true(ctl_index_is_valid(INDEX_ARENA, CTL_ALL_ARENAS));
    assert_true(ctl_index_is_valid(INDEX_ARENA, CTL_DESTROYED));
    assert_true(ctl_index_is_valid(INDEX_STATS_ARENA, CTL_ALL_ARENAS));
    assert_true(ctl_index_is_valid(INDEX_STATS_ARENA, visible));
    assert_false(ctl_index_is_valid(INDEX_STATS_ARENA, visible + 1));
    assert_false(ctl_index_is_valid(INDEX_STATS_ARENA, CTL_ALL_ARENAS + 1));
    assert_false(ctl_index_is_valid(INDEX_STATS_ARENA, SIZE_MAX));
}

/* The block's tail, freed under a policy of muzzy pages. */
static void each_counter_of_muzzy_pages_is_readable(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    page_heap_set_decay(&arena->pages, STAGE_MUZZY, DECAY_NEVER);
    void *block = large_alloc(arena, 2 * 65536, 1, false);
    memset(block, 1, 2 * 65536);
    assert_true(large_resize(block, CODE_RUN, 65536, false));
    lock_acquire(&arena->pages.lock);
    purge_to(&arena->pages, 0);
    lock_release(&arena->pages.lock);
    size_t mib[] = {0, 0, arena->index, 0};
    assert_true(statistics_refresh());
    assert_int_equal(read_number(read_part, mib, PART(totals.dirty_pages)), 0);
    assert_int_equal(read_number(read_part, mib, PART(totals.stage[0].purged_pages)), 16);
    assert_int_equal(read_number(read_part, mib, PART(totals.muzzy_pages)), 16);
    arena_purge(arena);
    assert_true(statistics_refresh());
    static const struct {
        size_t offset;
        uint64_t expected;
    } counters[] = {
        {PART(totals.muzzy_pages), 0},
        {PART(totals.stage[0].purged_pages), 16},
        {PART(totals.stage[1].purge_count), 1},
        {PART(totals.stage[1].purge_call_count), 1},
        {PART(totals.stage[1].purged_pages), 16},
    };
    for (unsigned i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        assert_int_equal(read_number(read_part, mib, counters[i].offset), counters[i].expected);
    }
    large_free(block, CODE_RUN);
}

static void arenas_are_counted_and_known(void **state)
{
    (void)state;
    /* The last one is that of oversize blocks, made or not yet. */
    assert_int_equal(read_number(read_arena_count, no_mib, 0), 12 + 1);
    size_t mib[] = {0, 0, 0};
    assert_int_equal(read_number(read_arena_initialized, mib, 0), 1);
    mib[1] = CTL_ALL_ARENAS;
    assert_int_equal(read_number(read_arena_initialized, mib, 0), 1);
    mib[1] = arena_count();
    assert_int_equal(read_number(read_arena_initialized, mib, 0), 0);
    mib[1] = CTL_DESTROYED;
    assert_int_equal(read_number(read_arena_initialized, mib, 0), 0);
}

static void zero_reallocs_are_counted(void **state)
{
    (void)state;
    uint64_t before = read_number(read_zero_reallocs, no_mib, 0);
    assert_null(API(realloc)(API(malloc)(10), 0));
    assert_int_equal(read_number(read_zero_reallocs, no_mib, 0), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_and_versions),
        cmocka_unit_test(snapshot_fields_are_those_of_the_last_refresh),
        cmocka_unit_test(the_thread_moves_to_the_arena_that_is_written),
        cmocka_unit_test(an_automatic_arena_is_made_when_it_is_asked_for),
        cmocka_unit_test(bytes_of_the_thread_are_exact),
        cmocka_unit_test(the_cache_goes_off_and_on_and_empties),
        cmocka_unit_test(a_byte_that_is_no_truth_value_means_true),
        cmocka_unit_test(options_are_mirrored_with_their_types),
        cmocka_unit_test(choices_are_words_that_stay),
        cmocka_unit_test(classes_are_told_by_index_up_to_their_number),
        cmocka_unit_test(bin_counters_are_those_of_the_arena),
        cmocka_unit_test(requests_in_caches_count_before_they_are_merged),
        cmocka_unit_test(purging_acts_on_one_arena_or_on_all),
        cmocka_unit_test(indices_are_valid_up_to_what_there_is),
        cmocka_unit_test(each_counter_of_muzzy_pages_is_readable),
        cmocka_unit_test(arenas_are_counted_and_known),
        cmocka_unit_test(zero_reallocs_are_counted),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
