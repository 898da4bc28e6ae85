/* test_ctl_cache.c: goal: the control names of caches check their buffers as the contract lists it,
 * and do what they say.
 * Method: each with buffers that are missing, short and long in each direction; the caches behind
 * them are looked at.
 */
#include "upper_floors.h"

#include "cache/explicit.h"
#include "control/ctl.h"

static int call(const char *name, void *old, size_t *old_length, const void *new, size_t new_length)
{
    size_t mib[CTL_DEPTH_MAX];
    size_t length = CTL_DEPTH_MAX;
    assert_true(ctl_start());
    assert_int_equal(ctl_name_to_mib(name, mib, &length), 0);
    return ctl_by_mib(mib, length, &(struct ctl_buffers){old, old_length, new, new_length});
}

static void creating_wants_a_place_for_the_id(void **state)
{
    (void)state;
    uint64_t place = 0;
    size_t length = 8;
    unsigned id = 77;
    assert_int_equal(call("tcache.create", NULL, NULL, NULL, 0), EINVAL);
    assert_int_equal(call("tcache.create", &place, NULL, NULL, 0), EINVAL);
    assert_int_equal(call("tcache.create", &place, &length, NULL, 0), EINVAL);
    assert_int_equal(length, 0);
    length = 3;
    assert_int_equal(call("tcache.create", &place, &length, NULL, 0), EINVAL);
    assert_int_equal(length, 0);
    length = sizeof id;
    assert_int_equal(call("tcache.create", NULL, &length, NULL, 0), EINVAL);
    assert_int_equal(length, 0);
    length = sizeof id;
    assert_int_equal(call("tcache.create", &id, &length, &id, sizeof id), EPERM);
    assert_null(explicit_get(0)); /* None of these made one. */
    assert_int_equal(call("tcache.create", &id, &length, NULL, 0), 0);
    assert_int_equal(length, sizeof id);
    assert_int_equal(id, 0);
    assert_ptr_equal(explicit_get(0)->arena, thread_arena());
    assert_true(explicit_destroy(0));
}

static void what_names_an_id_only_takes_it(void **state)
{
    (void)state;
    static const char *const names[] = {"tcache.flush", "tcache.destroy"};
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        unsigned id;
        assert_true(explicit_create(thread_arena(), &id));
        unsigned other = id + 1;
        size_t length = sizeof id;
        struct cache *cache = explicit_get(id);
        void *block = cache_alloc(cache, 3);
        cache_free(cache, 3, block);
        assert_int_equal(call(names[i], NULL, NULL, NULL, 0), EINVAL);
        assert_int_equal(call(names[i], NULL, NULL, &id, 3), EINVAL);
        assert_int_equal(call(names[i], NULL, NULL, &id, 8), EINVAL);
        assert_int_equal(call(names[i], &id, &length, &id, sizeof id), EPERM);
        assert_int_equal(call(names[i], NULL, &length, &id, sizeof id), EPERM);
        assert_int_equal(call(names[i], NULL, NULL, &other, sizeof other), EFAULT);
        assert_true(cache_cached_bytes(cache) > 0);
        assert_int_equal(call(names[i], NULL, NULL, &id, sizeof id), 0);
        assert_int_equal(explicit_get(id) != NULL, i == 0);
        if (i == 0) {
            assert_int_equal(cache_cached_bytes(cache), 0);
            assert_true(explicit_destroy(id));
        }
    }
}

static size_t slots_of(size_t size)
{
    size_t slots = 4242;
    size_t length = sizeof slots;
    const char name[] = "thread.tcache.ncached_max.read_sizeclass";
    EXPECT(call(name, &slots, &length, &size, sizeof size) == 0, "size %zu", size);
    assert_int_equal(length, sizeof slots);
    return slots;
}

static void slots_are_read_by_size(void **state)
{
    (void)state;
    const char name[] = "thread.tcache.ncached_max.read_sizeclass";
    size_t size = 100;
    size_t slots = 0;
    size_t length = sizeof slots;
    assert_true(slots_of(0) > 0);
    assert_int_equal(slots_of(97), slots_of(112));
    assert_true(slots_of(32768) > 0);
    assert_int_equal(call(name, &slots, &length, NULL, 0), EINVAL);
    assert_int_equal(call(name, &slots, &length, &size, 4), EINVAL);
    length = 3;
    assert_int_equal(call(name, &slots, &length, &size, sizeof size), EINVAL);
    assert_int_equal(length, 3);
    assert_int_equal(call(name, NULL, NULL, &size, sizeof size), 0);
    size = 32769;
    length = sizeof slots;
    assert_int_equal(call(name, &slots, &length, &size, sizeof size), EINVAL);
}

static int write_slots(const char *text)
{
    return call("thread.tcache.ncached_max.write", NULL, NULL, &text, sizeof text);
}

static void slots_are_written_by_ranges(void **state)
{
    (void)state;
    const char name[] = "thread.tcache.ncached_max.write";
    const char *text = "8-8:1";
    size_t length = sizeof text;
    assert_int_equal(call(name, NULL, NULL, NULL, 0), EINVAL);
    assert_int_equal(call(name, NULL, NULL, &text, 4), EINVAL);
    assert_int_equal(call(name, &text, &length, &text, sizeof text), EPERM);
    assert_int_equal(write_slots(NULL), EINVAL);
    assert_int_equal(write_slots("8-8"), EINVAL);
    assert_int_equal(write_slots("8-8:1|9"), EINVAL);
    size_t before = slots_of(8);
    assert_int_equal(write_slots("16-64:5|1024-1024:0"), 0);
    assert_int_equal(slots_of(8), before);
    assert_int_equal(slots_of(16), 5);
    assert_int_equal(slots_of(64), 5);
    assert_int_equal(slots_of(65), slots_of(80));
    assert_int_equal(slots_of(1024), 0);
    assert_true(slots_of(1025) > 0);
    void *blocks[20];
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = API(malloc)(64);
    }
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        API(free)(blocks[i]);
    }
    assert_int_equal(thread_cache()->front.bin[class_of(64) + 1].capacity, 5);
}

static void the_largest_cached_size_is_rounded_and_clipped(void **state)
{
    (void)state;
    static const size_t pairs[][2] = {{1100, 1280}, {0, 8}, {9, 16}, {SIZE_MAX, 32768}};
    for (unsigned i = 0; i < COUNT_OF(pairs); i++) {
        size_t old = 0;
        size_t length = sizeof old;
        size_t new = pairs[i][0];
        assert_int_equal(call("thread.tcache.max", NULL, NULL, &new, sizeof new), 0);
        assert_int_equal(call("thread.tcache.max", &old, &length, NULL, 0), 0);
        assert_int_equal(old, pairs[i][1]);
        assert_int_equal(slots_of(old) > 0, true);
        assert_int_equal(thread_cache()->front.limit, old + 1);
        if (old < 32768) {
            assert_int_equal(slots_of(old + 1), 0);
        }
        void *block = API(malloc)(old);
        API(free)(block);
        block = API(malloc)(20000);
        API(free)(block);
        bool is_cached = thread_cache()->front.bin[class_of(20000) + 1].capacity > 0;
        assert_int_equal(is_cached, old >= 20480);
    }
}

/* Their numbers are there while a thread uses no cache, and hold when it does again. */
static void a_thread_without_a_cache_has_them_too(void **state)
{
    (void)state;
    thread_enable_cache(false);
    assert_null(thread_cache());
    size_t new = 512;
    assert_int_equal(call("thread.tcache.max", NULL, NULL, &new, sizeof new), 0);
    assert_int_equal(write_slots("8-512:3"), 0);
    assert_int_equal(slots_of(512), 3);
    assert_int_equal(slots_of(513), 0);
    thread_enable_cache(true);
    assert_int_equal(thread_front_now()->limit, 513);
    assert_int_equal(slots_of(512), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creating_wants_a_place_for_the_id),
        cmocka_unit_test(what_names_an_id_only_takes_it),
        cmocka_unit_test(slots_are_read_by_size),
        cmocka_unit_test(slots_are_written_by_ranges),
        cmocka_unit_test(the_largest_cached_size_is_rounded_and_clipped),
        cmocka_unit_test(a_thread_without_a_cache_has_them_too),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
