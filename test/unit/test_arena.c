/* test_arena.c: goal: arenas are made up to their limit, bins hand out and take back each block
 * once, keep their lists and counters right, and give empty slabs back.
 * Method: fresh arenas, so that counters are exact; random fills and flushes over two arenas
 * against the list of live blocks; threads that share one arena and mark their blocks; mistakes in
 * children that must abort.
 */
#include "upper_floors.h"

#include "config/options.h"
#include "os/os.h"

enum { ARENAS = 12, BATCH = 128 };

/* More arenas than tests use, whatever the number of CPUs. */
extern const char *API(malloc_conf);
const char *API(malloc_conf) = "narenas:12";

static void check_bin(const struct arena *arena, uint8_t class_index, unsigned out)
{
    const struct bin *bin = &arena->bin[class_index];
    assert_true(bin_is_valid(bin));
    assert_true(page_heap_is_valid(&arena->pages));
    assert_int_equal(bin->counters.alloc_count - bin->counters.free_count, out);
}

static unsigned fill(struct arena *arena, uint8_t class_index, void **blocks, unsigned wanted)
{
    struct bin_user user = {.contended = true};
    unsigned filled = arena_fill(arena, class_index, blocks, wanted, &user);
    assert_in_range(filled, 1, wanted);
    assert_false(user.contended);
    return filled;
}

static void flush(uint8_t class_index, void *const *blocks, unsigned count)
{
    bool contended = true;
    arena_flush(class_index, blocks, count, &contended);
    assert_false(contended);
}

static void arena_zero_exists_and_others_do_not_yet(void **state)
{
    (void)state;
    assert_non_null(arena_get(0));
    assert_int_equal(arena_get(0)->index, 0);
    assert_int_equal(arena_limit(), ARENAS);
    assert_null(arena_get(arena_count()));
    assert_null(arena_get(ARENAS_MAX));
    assert_null(arena_get(UINT32_MAX));
}

static void a_fill_gives_distinct_rising_blocks_of_the_class(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    for (uint8_t i = 0; i < SMALL_CLASSES; i++) {
        void *blocks[BATCH];
        unsigned count = fill(arena, i, blocks, BATCH);
        check_bin(arena, i, count);
        for (unsigned b = 0; b < count; b++) {
            assert_int_equal(map_code(blocks[b]), class_code(i));
            assert_ptr_equal(arena_of_run(chunk_run(map_owner(blocks[b]), blocks[b])), arena);
            assert_true(b == 0 || (char *)blocks[b] >= (char *)blocks[b - 1] + class_size(i));
            memset(blocks[b], 0x11, class_size(i));
        }
        flush(i, blocks, count);
        check_bin(arena, i, 0);
        assert_int_equal(arena->bin[i].counters.fill_count, 1);
        assert_int_equal(arena->bin[i].counters.flush_count, 1);
    }
}

static void the_slab_that_has_waited_longest_serves_first(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    uint8_t class_index = class_of(4096);
    unsigned regions = slab_region_count(class_index);
    void *blocks[BATCH];
    assert_true(regions * 3 <= BATCH);
    for (unsigned i = 0; i < regions * 3; i++) {
        assert_int_equal(fill(arena, class_index, blocks + i, 1), 1);
    }
    assert_int_equal(arena->bin[class_index].counters.current_slabs, 3);
    /* One block each of the second, the first and the third slab; then more of the third. */
    flush(class_index, blocks + regions, 1);
    flush(class_index, blocks, 1);
    flush(class_index, blocks + 2 * regions, 1);
    flush(class_index, blocks + 2 * regions + 1, 1);
    check_bin(arena, class_index, 3 * regions - 4);
    void *next[4];
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(fill(arena, class_index, next + i, 1), 1);
    }
    assert_ptr_equal(next[0], blocks[regions]);
    assert_ptr_equal(next[1], blocks[0]);
    assert_ptr_equal(next[2], blocks[2 * regions]);
    assert_ptr_equal(next[3], blocks[2 * regions + 1]);
    assert_null(arena->bin[class_index].first);
    assert_null(arena->bin[class_index].last);
    flush(class_index, blocks, regions * 3);
    check_bin(arena, class_index, 0);
}

static void one_empty_slab_is_kept_and_a_purge_drops_it(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    uint8_t class_index = class_of(8192);
    unsigned count = slab_region_count(class_index) * 3;
    void *blocks[BATCH];
    assert_true(count <= BATCH);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(fill(arena, class_index, blocks + i, 1), 1);
        memset(blocks[i], 1, 8192);
    }
    assert_int_equal(arena->bin[class_index].counters.current_slabs, 3);
    flush(class_index, blocks, count);
    check_bin(arena, class_index, 0);
    assert_int_equal(arena->bin[class_index].counters.current_slabs, 1);
    assert_non_null(arena->bin[class_index].empty);
    assert_int_equal(arena->pages.active_pages, slab_page_count(class_index));

    arena_purge(arena);
    check_bin(arena, class_index, 0);
    assert_null(arena->bin[class_index].empty);
    assert_int_equal(arena->bin[class_index].counters.current_slabs, 0);
    assert_int_equal(arena->pages.active_pages, 0);
    assert_int_equal(arena->pages.stage[STAGE_DIRTY].page_count, 0);
}

static void decay_purges_what_is_old(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    void *block;
    assert_int_equal(fill(arena, class_of(14336), &block, 1), 1);
    memset(block, 1, 14336);
    flush(class_of(14336), &block, 1);
    uint64_t now = os_time_coarse_ns();
    arena_decay(arena, now);
    uint64_t later = now + (uint64_t)3600 * 1000000000;
    arena_decay(arena, later);
    arena_decay(arena, later + (uint64_t)3600 * 1000000000);
    assert_int_equal(arena->pages.stage[STAGE_DIRTY].page_count, 0);
    assert_true(page_heap_is_valid(&arena->pages));
}

/* Live blocks of one class over two arenas, in random order. */
struct live {
    void *block[4096];
    unsigned count;
    unsigned out[2];
};

static void add_live(struct live *live, unsigned which, void *const *blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        /* A block that is handed out twice shows the other's mark. */
        memset(blocks[i], (int)which + 1, 8);
        live->block[live->count++] = blocks[i];
    }
    live->out[which] += count;
}

static unsigned take_live(struct live *live, uint64_t *seed, struct arena *const *arenas,
                          void **blocks)
{
    unsigned count = 1 + random_below(seed, 200);
    count = count < live->count ? count : live->count;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = random_below(seed, live->count);
        blocks[i] = live->block[at];
        live->block[at] = live->block[--live->count];
        unsigned which = large_arena(blocks[i], map_code(blocks[i])) == arenas[1];
        assert_int_equal(*(unsigned char *)blocks[i], which + 1);
        memset(blocks[i], 0, 8);
        live->out[which]--;
    }
    return count;
}

static void random_fills_and_flushes_keep_two_arenas_apart(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test("random_fills_and_flushes_keep_two_arenas_apart");
    struct arena *const arenas[2] = {fresh_arena(), fresh_arena()};
    static const size_t sizes[] = {8, 48, 192, 1024, 4096, 10240};
    static struct live live;
    for (unsigned s = 0; s < COUNT_OF(sizes); s++) {
        uint8_t class_index = class_of(sizes[s]);
        live = (struct live){.count = 0};
        for (unsigned step = 0; step < 600 || live.count > 0; step++) {
            void *blocks[200];
            unsigned which = random_below(&seed, 2);
            bool shrinking = step % 200 >= 100 || step >= 600;
            if (live.count < 3000 && !shrinking) {
                unsigned wanted = 1 + random_below(&seed, 100);
                unsigned filled = fill(arenas[which], class_index, blocks, wanted);
                add_live(&live, which, blocks, filled);
            } else if (live.count > 0) {
                unsigned count = take_live(&live, &seed, arenas, blocks);
                flush(class_index, blocks, count);
            }
            check_bin(arenas[0], class_index, live.out[0]);
            check_bin(arenas[1], class_index, live.out[1]);
        }
    }
}

static void requests_are_added_up(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    arena_count_requests(arena, 3, 0, 5);
    arena_count_requests(arena, 3, 0, 7);
    assert_int_equal(arena->bin[3].counters.request_count, 12);
    assert_int_equal(arena->bin[4].counters.request_count, 0);
}

/* The word that every lock of every arena has. */
static void check_lock_words(uint32_t word)
{
    for (unsigned i = 0; i < arena_count(); i++) {
        for (unsigned bin = 0; bin < SMALL_CLASSES; bin++) {
            assert_int_equal(arena_get(i)->bin[bin].lock.word, word);
        }
        assert_int_equal(arena_get(i)->pages.lock.word, word);
    }
}

static void fork_holds_every_lock_and_passes_through_its_own(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    void *blocks[20];
    check_lock_words(LOCK_FREE);
    lock_fork_begins();
    arenas_hold_locks();
    check_lock_words(LOCK_FORKING);
    bool contended; /* True here: the locks are not free, they only let this thread through. */
    unsigned count = arena_fill(arena, class_of(24), blocks, 20, &(struct bin_user){0});
    arena_flush(class_of(24), blocks, count, &contended);
    check_lock_words(LOCK_FORKING);
    arenas_release_locks();
    lock_fork_ends();
    check_lock_words(LOCK_FREE);
    check_bin(arena, class_of(24), 0);
}

static void flush_twice(void *block)
{
    flush(class_of(64), &block, 1);
    flush(class_of(64), &block, 1);
}

static void flush_after_the_slab_is_gone(void *block)
{
    flush(class_of(64), &block, 1);
    arena_purge(arena_get(arena_count() - 1));
    flush(class_of(64), &block, 1);
}

static void a_block_that_comes_twice_aborts(void **state)
{
    (void)state;
    struct arena *arena = fresh_arena();
    void *block;
    assert_int_equal(fill(arena, class_of(64), &block, 1), 1);
    expect_abort(flush_twice, block, "double free");
    expect_abort(flush_after_the_slab_is_gone, block, "double free");
    flush(class_of(64), &block, 1);
}

enum { SHARERS = 4, ROUNDS = 2000 };

static struct {
    struct arena *arena;
    _Atomic unsigned mistakes; /* any thread, relaxed: read after the joins */
} shared;

static void *share_arena(void *argument)
{
    const unsigned char mark = (unsigned char)(uintptr_t)argument;
    uint8_t class_index = class_of(80);
    bool contended;
    for (unsigned round = 0; round < ROUNDS; round++) {
        void *blocks[BATCH];
        unsigned count =
            arena_fill(shared.arena, class_index, blocks, 1 + round % BATCH, &(struct bin_user){0});
        for (unsigned i = 0; i < count; i++) {
            memset(blocks[i], mark, 80);
        }
        for (unsigned i = 0; i < count; i++) {
            if (!bytes_are(blocks[i], 80, mark)) {
                atomic_fetch_add_explicit(&shared.mistakes, 1, memory_order_relaxed);
            }
        }
        arena_flush(class_index, blocks, count, &contended);
    }
    return NULL;
}

static void threads_that_share_an_arena_never_share_a_block(void **state)
{
    (void)state;
    shared.arena = fresh_arena();
    pthread_t threads[SHARERS];
    for (uintptr_t i = 0; i < SHARERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, share_arena, (void *)(i + 1)), 0);
    }
    for (unsigned i = 0; i < SHARERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(shared.mistakes, 0);
    check_bin(shared.arena, class_of(80), 0);
    assert_int_equal(shared.arena->bin[class_of(80)].counters.fill_count, SHARERS * ROUNDS);
}

/* The last test: it uses up the arenas. */
static void arenas_end_at_the_limit_and_the_idle_one_is_chosen(void **state)
{
    (void)state;
    struct arena *own = thread_arena();
    struct arena *chosen = arena_choose(own);
    assert_non_null(chosen);
    assert_ptr_not_equal(chosen, own);
    assert_int_equal(chosen->thread_count, 0);
    while (arena_create() != NULL) {
        assert_true(arena_count() <= ARENAS);
    }
    assert_int_equal(arena_count(), ARENAS);
    for (unsigned i = 0; i < ARENAS; i++) {
        assert_ptr_not_equal(arena_get(i), NULL);
        atomic_store(&arena_get(i)->thread_count, 10 + i);
    }
    atomic_store(&arena_get(7)->thread_count, 1);
    atomic_store(&arena_get(5)->thread_count, 2);
    assert_ptr_equal(arena_choose(own), arena_get(7));
    assert_ptr_equal(arena_choose(arena_get(7)), arena_get(5));
}

static void a_manual_arena_ends_and_its_index_serves_again(void **state)
{
    (void)state;
    struct arena *first = arena_create_manual();
    struct arena *second = arena_create_manual();
    assert_int_equal(first->index, ARENAS + 1); /* behind that of oversize blocks */
    assert_int_equal(second->index, ARENAS + 2);
    assert_int_equal(arena_visible_count(), ARENAS + 3);
    assert_true(arena_count() <= ARENAS);
    char name[ARENA_NAME_BYTES];
    arena_name(second, name);
    assert_string_equal(name, "manual_14");
    atomic_store(&first->thread_count, 1);
    assert_false(arena_end_begins(first));
    atomic_store(&first->thread_count, 0);
    assert_false(arena_end_begins(arena_get(0)));
    assert_true(arena_end_begins(first));
    assert_false(arena_end_begins(first));
    arena_set_name(first, "old");
    first->bin[3].counters.alloc_count = 5;
    arena_end(first);
    assert_null(arena_get(ARENAS + 1));
    assert_ptr_equal(arena_get(ARENAS + 2), second);
    assert_int_equal(arena_visible_count(), ARENAS + 3);
    assert_true(arena_end_begins(second));
    arena_end(second);
    /* The one destroyed last comes first, as new. */
    assert_ptr_equal(arena_create_manual(), second);
    assert_ptr_equal(arena_create_manual(), first);
    assert_int_equal(first->index, ARENAS + 1);
    assert_int_equal(first->bin[3].counters.alloc_count, 0);
    arena_name(first, name);
    assert_string_equal(name, "manual_13");
    assert_true(arena_end_begins(first));
    arena_end(first);
    assert_true(arena_end_begins(second));
    arena_end(second);
}

static void an_arena_with_pages_left_is_not_used_again_but_its_index_is(void **state)
{
    (void)state;
    struct arena *stuck = arena_create_manual();
    unsigned index = stuck->index;
    void *blocks[1];
    assert_int_equal(fill(stuck, 0, blocks, 1), 1);
    assert_true(arena_end_begins(stuck));
    arena_end(stuck);
    struct arena *fresh = arena_create_manual();
    assert_ptr_not_equal(fresh, stuck);
    assert_int_equal(fresh->index, index);
    assert_ptr_equal(arena_get(index), fresh);
    assert_true(arena_end_begins(fresh));
    arena_end(fresh);
}

static void oversize_blocks_have_an_arena_behind_the_automatic_ones(void **state)
{
    (void)state;
    struct arena *own = thread_arena();
    assert_ptr_equal(arena_for_size(own, (8u << 20) - 1), own);
    struct arena *oversize = arena_for_size(own, 8u << 20);
    assert_ptr_not_equal(oversize, own);
    assert_ptr_equal(arena_for_size(own, SIZE_MAX), oversize);
    assert_ptr_equal(arena_for_size(oversize, 8u << 20), oversize);
    assert_int_equal(arena_limit(), ARENAS);
    assert_int_equal(oversize->index, ARENAS);
    assert_ptr_equal(arena_get(ARENAS), oversize);
    struct arena *manual = arena_create_manual();
    assert_ptr_equal(arena_for_size(manual, 8u << 20), manual);
    assert_true(arena_end_begins(manual));
    arena_end(manual);
    atomic_store(&own->oversize_bytes, 0);
    assert_ptr_equal(arena_for_size(own, SIZE_MAX), own);
    atomic_store(&own->oversize_bytes, 100000);
    assert_ptr_equal(arena_for_size(own, 99999), own);
    assert_ptr_equal(arena_for_size(own, 100000), oversize);
    atomic_store(&own->oversize_bytes, 8u << 20);
}

static unsigned times_met(const struct arena *wanted)
{
    unsigned count = 0;
    unsigned index = 0;
    for (const struct arena *arena; (arena = arena_next(&index)) != NULL;) {
        count += arena == wanted;
    }
    return count;
}

/* Runs in a child whose allocator has not counted CPUs yet. */
static void the_oversize_arena_waits_for_its_index(void)
{
    if (!process_start()) {
        _exit(1);
    }
    struct arena *oversize = arena_for_size(thread_arena(), 9u << 20);
    unsigned met = times_met(oversize);
    bool waits = arena_get(ARENAS) == NULL && oversize != thread_arena();
    bool placed = arena_visible_count() == ARENAS + 1 && arena_get(ARENAS) == oversize;
    placed = placed && oversize->index == ARENAS && times_met(oversize) == 1;
    _exit(met == 1 && waits && placed ? 0 : 2);
}

static atomic_bool is_placed;

static void *walk_until_placed(void *oversize)
{
    bool once = true;
    for (bool last = false; !last;) {
        last = atomic_load(&is_placed);
        once &= times_met(oversize) == 1;
    }
    return once ? oversize : NULL;
}

/* Likewise. The other thread's walks meet it once while this one gives it its index. */
static void a_walk_meets_the_oversize_arena_once(void)
{
    pthread_t walker;
    void *result;
    struct arena *oversize = process_start() ? arena_for_size(thread_arena(), 9u << 20) : NULL;
    if (oversize == NULL || pthread_create(&walker, NULL, walk_until_placed, oversize) != 0) {
        _exit(1);
    }
    (void)arena_visible_count();
    atomic_store(&is_placed, true);
    _exit(pthread_join(walker, &result) == 0 && result == oversize ? 0 : 2);
}

static int run_waiting_child(void (*play)(void))
{
    pid_t child = fork();
    if (child == 0) {
        play();
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

/* Before the first call of the parent, so that the child starts the allocator itself. */
static int start_after_child(void **state)
{
    bool done = run_waiting_child(the_oversize_arena_waits_for_its_index) == 0;
    for (unsigned i = 0; i < 20 && done; i++) {
        done = run_waiting_child(a_walk_meets_the_oversize_arena_once) == 0;
    }
    return done ? start_allocator(state) : -1;
}

static void an_arena_has_the_decay_times_of_its_making(void **state)
{
    (void)state;
    assert_int_equal(arena_default_decay_ms(STAGE_DIRTY), options.dirty_decay_ms);
    assert_int_equal(arena_default_decay_ms(STAGE_MUZZY), options.muzzy_decay_ms);
    arena_set_default_decay_ms(STAGE_DIRTY, 77);
    arena_set_default_decay_ms(STAGE_MUZZY, 88);
    struct arena *arena = arena_create();
    arena_set_default_decay_ms(STAGE_DIRTY, options.dirty_decay_ms);
    arena_set_default_decay_ms(STAGE_MUZZY, options.muzzy_decay_ms);
    assert_non_null(arena);
    assert_int_equal(arena->pages.stage[STAGE_DIRTY].decay.decay_ms, 77);
    assert_int_equal(arena->pages.stage[STAGE_MUZZY].decay.decay_ms, 88);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_zero_exists_and_others_do_not_yet),
        cmocka_unit_test(a_fill_gives_distinct_rising_blocks_of_the_class),
        cmocka_unit_test(the_slab_that_has_waited_longest_serves_first),
        cmocka_unit_test(one_empty_slab_is_kept_and_a_purge_drops_it),
        cmocka_unit_test(decay_purges_what_is_old),
        cmocka_unit_test(random_fills_and_flushes_keep_two_arenas_apart),
        cmocka_unit_test(requests_are_added_up),
        cmocka_unit_test(fork_holds_every_lock_and_passes_through_its_own),
        cmocka_unit_test(a_block_that_comes_twice_aborts),
        cmocka_unit_test(an_arena_has_the_decay_times_of_its_making),
        cmocka_unit_test(a_manual_arena_ends_and_its_index_serves_again),
        cmocka_unit_test(an_arena_with_pages_left_is_not_used_again_but_its_index_is),
        cmocka_unit_test(oversize_blocks_have_an_arena_behind_the_automatic_ones),
        cmocka_unit_test(threads_that_share_an_arena_never_share_a_block),
        cmocka_unit_test(arenas_end_at_the_limit_and_the_idle_one_is_chosen),
    };
    return cmocka_run_group_tests(tests, start_after_child, NULL);
}
