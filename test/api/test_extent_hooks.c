/* test_extent_hooks.c: goal: an arena whose memory comes from the program's functions works through
 * its whole life whatever those refuse; it uses no other memory, and gives all of it back. Programs
 * that put their own function in front of the default one, as RocksDB does, get what they want.
 * Method: a table over a mapping of the test's own, page by page; each hook checks what it is told,
 * allocates, and refuses when it is told to. Decommitted pages cannot be read.
 */
#include "api_test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum {
    PAGE = 4096,
    POOL_BYTES = 1 << 30,
    POOL_PAGES = POOL_BYTES / PAGE,
    LIVE = 400,
    HOOKS = 9,
};

enum hook { ALLOC, DALLOC, DESTROY, COMMIT, DECOMMIT, LAZY, FORCED, SPLIT, MERGE };

enum { PAGE_FREE, PAGE_TAKEN, PAGE_DECOMMITTED };

static struct {
    pthread_mutex_t lock;
    char *base;
    unsigned char page[POOL_PAGES];
    unsigned refused; /* bits of enum hook */
    _Atomic unsigned calls[HOOKS];
    unsigned arena;
    bool skewed; /* alloc gives what was not asked for */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static extent_hooks_t table;

/* What each hook does first: none of the library's locks is held, so it may allocate. */
static bool enter(enum hook hook, extent_hooks_t *hooks, unsigned arena)
{
    EXPECT(hooks == &table, "another table");
    EXPECT(arena == pool.arena, "arena %u, not %u", arena, pool.arena);
    pool.calls[hook]++;
    static const size_t sizes[] = {10, 700, 20000, 300000, 3 << 20};
    for (unsigned i = 0; i < 5; i++) {
        char *block = malloc(sizes[i]);
        block[0] = 1;
        free(block);
    }
    assert_int_equal(pthread_mutex_lock(&pool.lock), 0);
    return (pool.refused >> hook & 1) != 0;
}

static bool leave(bool result)
{
    assert_int_equal(pthread_mutex_unlock(&pool.lock), 0);
    return result;
}

/* The pages of a range, all of which must be in one of the states. */
static unsigned char *pages_of(const void *address, size_t size, unsigned char one,
                               unsigned char other)
{
    size_t offset = (size_t)((const char *)address - pool.base);
    EXPECT(offset % PAGE == 0 && size % PAGE == 0 && size > 0, "no pages: %p, %zu", address, size);
    EXPECT(offset < POOL_BYTES && size <= POOL_BYTES - offset, "foreign: %p, %zu", address, size);
    for (size_t i = 0; i < size / PAGE; i++) {
        unsigned char is = pool.page[offset / PAGE + i];
        EXPECT(is == one || is == other, "page %zu of %p is %u", i, address, is);
    }
    return &pool.page[offset / PAGE];
}

static void *hook_alloc(extent_hooks_t *hooks, void *address, size_t size, size_t alignment,
                        bool *zero, bool *commit, unsigned arena)
{
    bool refuses = enter(ALLOC, hooks, arena);
    EXPECT(size % PAGE == 0 && alignment % PAGE == 0 && (alignment & (alignment - 1)) == 0,
           "%zu at %zu", size, alignment);
    char *found = NULL;
    char *from = address != NULL ? address : pool.base;
    char *last = address != NULL ? address : pool.base + POOL_BYTES - size;
    for (char *at = from; at <= last && found == NULL && !refuses; at += alignment) {
        size_t first = (size_t)(at - pool.base) / PAGE;
        size_t free_pages = 0;
        while (free_pages < size / PAGE && first + free_pages < POOL_PAGES &&
               pool.page[first + free_pages] == PAGE_FREE) {
            free_pages++;
        }
        found = free_pages == size / PAGE ? at : NULL;
    }
    if (found != NULL) {
        (void)mprotect(found, size, PROT_READ | PROT_WRITE);
        if (*zero) {
            memset(found, 0, size);
        } else {
            memset(found, 0x66, size);
        }
        *commit = true;
        memset(&pool.page[(size_t)(found - pool.base) / PAGE], PAGE_TAKEN, size / PAGE);
    }
    (void)leave(false);
    return found != NULL && pool.skewed ? found + 8 : found;
}

static bool hook_dalloc(extent_hooks_t *hooks, void *address, size_t size, bool committed,
                        unsigned arena)
{
    if (enter(DALLOC, hooks, arena)) {
        return leave(true);
    }
    char *start = (char *)address - (pool.skewed ? 8 : 0);
    unsigned char state = committed ? PAGE_TAKEN : PAGE_DECOMMITTED;
    memset(pages_of(start, size, state, state), PAGE_FREE, size / PAGE);
    return leave(false);
}

static void hook_destroy(extent_hooks_t *hooks, void *address, size_t size, bool committed,
                         unsigned arena)
{
    (void)enter(DESTROY, hooks, arena);
    unsigned char state = committed ? PAGE_TAKEN : PAGE_DECOMMITTED;
    memset(pages_of(address, size, state, state), PAGE_FREE, size / PAGE);
    (void)leave(false);
}

static bool hook_commit(extent_hooks_t *hooks, void *address, size_t size, size_t offset,
                        size_t length, unsigned arena)
{
    if (enter(COMMIT, hooks, arena)) {
        return leave(true);
    }
    EXPECT(offset + length <= size, "%zu + %zu of %zu", offset, length, size);
    char *start = (char *)address + offset;
    memset(pages_of(start, length, PAGE_DECOMMITTED, PAGE_DECOMMITTED), PAGE_TAKEN, length / PAGE);
    (void)mprotect(start, length, PROT_READ | PROT_WRITE);
    return leave(false);
}

static bool hook_decommit(extent_hooks_t *hooks, void *address, size_t size, size_t offset,
                          size_t length, unsigned arena)
{
    if (enter(DECOMMIT, hooks, arena)) {
        return leave(true);
    }
    EXPECT(offset + length <= size, "%zu + %zu of %zu", offset, length, size);
    char *start = (char *)address + offset;
    memset(pages_of(start, length, PAGE_TAKEN, PAGE_TAKEN), PAGE_DECOMMITTED, length / PAGE);
    (void)madvise(start, length, MADV_DONTNEED);
    (void)mprotect(start, length, PROT_NONE);
    return leave(false);
}

static bool purge(enum hook hook, extent_hooks_t *hooks, char *start, size_t length, unsigned arena)
{
    if (enter(hook, hooks, arena)) {
        return leave(true);
    }
    (void)pages_of(start, length, PAGE_TAKEN, PAGE_TAKEN);
    /* A lazy purge leaves each page as it is, or anything in it. */
    for (size_t i = 0; i < length / PAGE; i += hook == FORCED ? 1 : 2) {
        memset(start + i * PAGE, hook == FORCED ? 0 : 0x44, PAGE);
    }
    return leave(false);
}

static bool hook_lazy(extent_hooks_t *hooks, void *address, size_t size, size_t offset,
                      size_t length, unsigned arena)
{
    EXPECT(offset + length <= size, "%zu + %zu of %zu", offset, length, size);
    return purge(LAZY, hooks, (char *)address + offset, length, arena);
}

static bool hook_forced(extent_hooks_t *hooks, void *address, size_t size, size_t offset,
                        size_t length, unsigned arena)
{
    EXPECT(offset + length <= size, "%zu + %zu of %zu", offset, length, size);
    return purge(FORCED, hooks, (char *)address + offset, length, arena);
}

static bool hook_split(extent_hooks_t *hooks, void *address, size_t size, size_t size_a,
                       size_t size_b, bool committed, unsigned arena)
{
    bool refuses = enter(SPLIT, hooks, arena);
    EXPECT(size_a + size_b == size, "%zu + %zu of %zu", size_a, size_b, size);
    unsigned char state = committed ? PAGE_TAKEN : PAGE_DECOMMITTED;
    (void)pages_of(address, size_a, state, state);
    (void)pages_of((char *)address + size_a, size_b, state, state);
    return leave(refuses);
}

static bool hook_merge(extent_hooks_t *hooks, void *a, size_t size_a, void *b, size_t size_b,
                       bool committed, unsigned arena)
{
    bool refuses = enter(MERGE, hooks, arena);
    unsigned char state = committed ? PAGE_TAKEN : PAGE_DECOMMITTED;
    EXPECT((char *)a + size_a == b, "%p + %zu is not %p", a, size_a, b);
    (void)pages_of(a, size_a + size_b, state, state);
    return leave(refuses);
}

static extent_hooks_t table = {hook_alloc, hook_dalloc, hook_destroy, hook_commit, hook_decommit,
                               hook_lazy,  hook_forced, hook_split,   hook_merge};

static size_t taken_pages(void)
{
    size_t count = 0;
    for (size_t i = 0; i < POOL_PAGES; i++) {
        count += pool.page[i] != PAGE_FREE;
    }
    return count;
}

static unsigned make(void)
{
    unsigned arena = 0;
    size_t length = sizeof arena;
    extent_hooks_t *hooks = &table;
    memset((void *)pool.calls, 0, sizeof pool.calls);
    assert_int_equal(mallctl("arenas.create", &arena, &length, &hooks, sizeof hooks), 0);
    pool.arena = arena;
    return arena;
}

static int act(unsigned arena, const char *what)
{
    char name[80];
    snprintf(name, sizeof name, "arena.%u.%s", arena, what);
    return mallctl(name, NULL, NULL, NULL, 0);
}

static void set_decay(unsigned arena, const char *stage, ssize_t decay_ms)
{
    char name[80];
    snprintf(name, sizeof name, "arena.%u.%s_decay_ms", arena, stage);
    assert_int_equal(mallctl(name, NULL, NULL, &decay_ms, sizeof decay_ms), 0);
}

static uint64_t stat_of(unsigned arena, const char *what)
{
    uint64_t value = 1;
    size_t length = sizeof value;
    char name[80];
    assert_int_equal(mallctl("epoch", NULL, NULL, &value, sizeof value), 0);
    snprintf(name, sizeof name, "stats.arenas.%u.%s", arena, what);
    assert_int_equal(mallctl(name, &value, &length, NULL, 0), 0);
    return value;
}

static bool is_in_pool(const char *block)
{
    return block >= pool.base && block < pool.base + POOL_BYTES;
}

static int flags_of(unsigned arena)
{
    return MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
}

static uint64_t seed = 88172645463325252u;

static unsigned random_below(unsigned limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 33) % limit);
}

struct block {
    unsigned char *start;
    size_t size;
    unsigned char mark;
};

static void mark(struct block *block, size_t size, unsigned turn)
{
    block->size = size;
    block->mark = (unsigned char)(turn % 255 + 1);
    block->start[0] = block->start[size / 2] = block->start[size - 1] = block->mark;
}

static void check(const struct block *block)
{
    EXPECT(block->start[0] == block->mark && block->start[block->size / 2] == block->mark &&
               block->start[block->size - 1] == block->mark,
           "a block of %zu bytes has changed", block->size);
}

static void allocate(struct block *block, unsigned arena, unsigned turn)
{
    static const unsigned limits[] = {300, 14336, 32768, 600000, 5 << 20};
    unsigned kind = random_below(100);
    size_t size = 1 + random_below(limits[kind < 40   ? 0
                                          : kind < 70 ? 1
                                          : kind < 80 ? 2
                                          : kind < 97 ? 3
                                                      : 4]);
    bool zero = turn % 3 == 0;
    block->start = mallocx(size, flags_of(arena) | (zero ? MALLOCX_ZERO : 0));
    EXPECT(block->start != NULL, "%zu bytes refused", size);
    EXPECT(is_in_pool((char *)block->start), "a block of %zu bytes is elsewhere", size);
    EXPECT(!zero || content_is_zero(block->start, size), "%zu bytes are not all zero", size);
    mark(block, size, turn);
}

/* Resizes where the block lies, or moves it. */
static void resize(struct block *block, unsigned arena, unsigned turn)
{
    size_t size = block->size / 2 + 1 + random_below((unsigned)block->size);
    check(block);
    if (turn % 2 == 0) {
        size_t usable = xallocx(block->start, size, 0, 0);
        size = usable < block->size ? usable : block->size;
    } else {
        unsigned char *moved = rallocx(block->start, size, flags_of(arena));
        assert_non_null(moved);
        EXPECT(moved[0] == block->mark, "a block of %zu bytes lost its content", block->size);
        block->start = moved;
    }
    mark(block, size, turn);
}

static void load(unsigned arena, unsigned turns)
{
    static struct block blocks[LIVE];
    memset(blocks, 0, sizeof blocks);
    for (unsigned turn = 0; turn < turns; turn++) {
        struct block *block = &blocks[random_below(LIVE)];
        if (block->start == NULL) {
            allocate(block, arena, turn);
        } else if (random_below(3) == 0) {
            resize(block, arena, turn);
        } else {
            check(block);
            dallocx(block->start, MALLOCX_TCACHE_NONE);
            block->start = NULL;
        }
        if (turn % 500 == 499) {
            assert_int_equal(act(arena, turn % 1000 == 999 ? "purge" : "decay"), 0);
        }
    }
    for (unsigned i = 0; i < LIVE; i++) {
        if (blocks[i].start != NULL) {
            check(&blocks[i]);
        }
    }
}

static void an_arena_lives_by_its_hooks_whatever_they_refuse(void **state)
{
    (void)state;
    static const unsigned refusals[] = {
        0,
        1 << DALLOC,
        1 << DALLOC | 1 << DECOMMIT,
        1 << DALLOC | 1 << DECOMMIT | 1 << FORCED,
        1 << DALLOC | 1 << DECOMMIT | 1 << FORCED | 1 << LAZY,
        1 << FORCED | 1 << LAZY,
        1 << DALLOC | 1 << COMMIT,
        1 << SPLIT,
        1 << MERGE,
        1 << DALLOC | 1 << SPLIT,
        1 << DALLOC | 1 << MERGE,
        1 << DALLOC | 1 << DECOMMIT | 1 << SPLIT | 1 << MERGE,
        0x1fe & ~(1 << DESTROY),
    };
    for (unsigned i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        pool.refused = refusals[i];
        unsigned arena = make();
        set_decay(arena, "dirty", i % 3 == 0 ? 10000 : i % 3 == 1 ? 0 : -1);
        set_decay(arena, "muzzy", i % 2 == 0 ? 0 : -1);
        load(arena, 3000);
        assert_int_equal(act(arena, "reset"), 0);
        assert_int_equal(stat_of(arena, "pactive"), 0);
        load(arena, 2000);
        assert_int_equal(act(arena, "destroy"), 0);
        EXPECT(taken_pages() == 0, "refusals %x: %zu pages are left", refusals[i], taken_pages());
        assert_true(pool.calls[ALLOC] > 0);
    }
    pool.refused = 0;
}

static void shrinking_and_growing_call_the_hooks(void **state)
{
    (void)state;
    unsigned arena = make();
    char *block = mallocx(8 << 20, flags_of(arena));
    memset(block, 1, 8 << 20);
    assert_int_equal(taken_pages(), (8 << 20) / PAGE);
    assert_int_equal(xallocx(block, 3 << 20, 0, 0), 3 << 20);
    assert_int_equal(pool.calls[SPLIT], 1);
    assert_int_equal(pool.calls[DALLOC], 1);
    assert_int_equal(taken_pages(), (3 << 20) / PAGE);
    assert_int_equal(xallocx(block, 5 << 20, 0, MALLOCX_ZERO), 5 << 20);
    assert_int_equal(pool.calls[ALLOC], 2); /* at the block's end */
    assert_int_equal(pool.calls[MERGE], 1);
    assert_true(block[(3 << 20) - 1] == 1 && block[3 << 20] == 0 && block[(5 << 20) - 1] == 0);
    /* What dalloc does not take is there for growth. */
    pool.refused = 1 << DALLOC;
    memset(block, 1, 5 << 20);
    assert_int_equal(xallocx(block, 2 << 20, 0, 0), 2 << 20);
    assert_int_equal(pool.calls[DECOMMIT], 1);
    assert_int_equal(stat_of(arena, "retained"), 3 << 20);
    assert_int_equal(xallocx(block, 4 << 20, 0, MALLOCX_ZERO), 4 << 20);
    assert_int_equal(pool.calls[COMMIT], 1);
    assert_int_equal(pool.calls[ALLOC], 2);
    assert_true(block[(2 << 20) - 1] == 1 && block[2 << 20] == 0 && block[(4 << 20) - 1] == 0);
    /* Refusals leave the block as it is. */
    pool.refused = 1 << SPLIT;
    assert_int_equal(xallocx(block, 2 << 20, 0, 0), 4 << 20);
    pool.refused = 1 << MERGE;
    assert_int_equal(xallocx(block, 6 << 20, 0, 0), 4 << 20);
    pool.refused = 0;
    assert_int_equal(act(arena, "destroy"), 0);
    assert_int_equal(taken_pages(), 0);
}

/* Pages that nobody used lie behind the freed block, and are purged with it. */
static void what_a_lazy_purge_leaves_does_not_count_as_zero(void **state)
{
    (void)state;
    enum { BLOCK = 64 << 10, LATER = 600 << 10 };
    unsigned arena = make();
    set_decay(arena, "dirty", 0);
    set_decay(arena, "muzzy", -1);
    void *kept[2] = {mallocx(BLOCK, flags_of(arena)), NULL};
    dallocx(memset(mallocx(BLOCK, flags_of(arena)), 1, BLOCK), MALLOCX_TCACHE_NONE);
    assert_true(pool.calls[LAZY] > 0);
    kept[1] = mallocx(BLOCK, flags_of(arena)); /* where the freed one was */
    char *block = mallocx(LATER, flags_of(arena) | MALLOCX_ZERO);
    for (size_t i = 0; i < LATER; i++) {
        EXPECT(block[i] == 0, "byte %zu is %x", i, block[i]);
    }
    assert_true(kept[0] != NULL && kept[1] != NULL);
    assert_int_equal(act(arena, "destroy"), 0);
    assert_int_equal(taken_pages(), 0);
}

/* As for every name that is read and written: without a new value it is read. */
static void a_length_without_a_table_changes_nothing(void **state)
{
    (void)state;
    unsigned arena = make();
    extent_hooks_t *now = NULL;
    size_t length = sizeof now;
    char name[80];
    snprintf(name, sizeof name, "arena.%u.extent_hooks", arena);
    assert_int_equal(mallctl(name, &now, &length, NULL, sizeof now), 0);
    assert_ptr_equal(now, &table);
    assert_int_equal(act(arena, "destroy"), 0);
}

static void memory_goes_back_by_the_hooks(void **state)
{
    (void)state;
    unsigned arena = make();
    set_decay(arena, "dirty", -1);
    enum { COUNT = 64, SIZE = 256 << 10 };
    void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        blocks[i] = mallocx(SIZE, flags_of(arena));
        memset(blocks[i], 1, SIZE);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 4 != 0) {
            dallocx(blocks[i], MALLOCX_TCACHE_NONE);
        }
    }
    assert_true(stat_of(arena, "pdirty") > 0);
    assert_int_equal(pool.calls[FORCED], 0);
    assert_int_equal(act(arena, "purge"), 0);
    assert_int_equal(stat_of(arena, "pdirty"), 0);
    assert_true(pool.calls[FORCED] > 0);
    assert_int_equal(pool.calls[DALLOC], 0);
    for (unsigned i = 0; i < COUNT; i += 4) {
        dallocx(blocks[i], MALLOCX_TCACHE_NONE);
    }
    assert_int_equal(act(arena, "purge"), 0);
    assert_int_equal(taken_pages(), 0); /* empty chunks are given back whole */
    assert_int_equal(stat_of(arena, "mapped"), 0);
    assert_int_equal(act(arena, "destroy"), 0);
}

static void hooks_that_refuse_everything_give_enomem(void **state)
{
    (void)state;
    pool.refused = 0x1ff;
    unsigned arena = make();
    static const size_t sizes[] = {1, 100, 14336, 20000, 50000, 1 << 20, 5 << 20, 200 << 20};
    for (unsigned round = 0; round < 3; round++) {
        pool.skewed = round == 1;
        pool.refused = round == 0 ? 0x1ff : 0;
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            errno = 0;
            char *block = mallocx(sizes[i], flags_of(arena));
            EXPECT((block != NULL) == (round == 2), "round %u, %zu bytes", round, sizes[i]);
            if (block != NULL) {
                memset(block, 1, sizes[i]);
                dallocx(block, MALLOCX_TCACHE_NONE);
            } else {
                assert_int_equal(errno, ENOMEM);
                assert_int_equal(taken_pages(), 0);
            }
        }
    }
    char *block = mallocx(4 << 20, flags_of(arena));
    memset(block, 3, 4 << 20);
    pool.refused = 0x1ff;
    assert_null(rallocx(block, 8 << 20, flags_of(arena)));
    assert_true(block[0] == 3 && block[(4 << 20) - 1] == 3);
    dallocx(block, MALLOCX_TCACHE_NONE);
    pool.refused = 0;
    assert_int_equal(act(arena, "destroy"), 0);
    assert_int_equal(taken_pages(), 0);
}

/* A table with nothing but alloc: what it gives stays with the arena. */
static void all_members_but_alloc_may_be_missing(void **state)
{
    (void)state;
    extent_hooks_t whole = table;
    table = (extent_hooks_t){.alloc = hook_alloc};
    unsigned arena = make();
    load(arena, 3000);
    size_t taken = taken_pages();
    assert_int_equal(act(arena, "reset"), 0);
    assert_int_equal(act(arena, "purge"), 0);
    load(arena, 3000);
    assert_true(taken_pages() < 2 * taken); /* it is used again */
    assert_int_equal(act(arena, "destroy"), 0);
    assert_true(taken_pages() > 0);
    memset(pool.page, PAGE_FREE, sizeof pool.page);
    table = whole;
}

/* A thread lives in such an arena: its cache fills from it while hooks allocate. */
static void *live_there(void *argument)
{
    unsigned arena = *(unsigned *)argument;
    assert_int_equal(mallctl("thread.arena", NULL, NULL, &arena, sizeof arena), 0);
    static const size_t sizes[] = {10, 700, 5000, 20000, 300000};
    char *blocks[500];
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 500; i++) {
            size_t size = sizes[(i * 7 + round) % 5];
            blocks[i] = malloc(size);
            assert_true(is_in_pool(blocks[i]));
            blocks[i][0] = blocks[i][size - 1] = (char)i;
        }
        for (unsigned i = 0; i < 500; i++) {
            assert_true(blocks[i][0] == (char)i);
            free(blocks[i]);
        }
        assert_int_equal(act(arena, "purge"), 0);
    }
    return NULL;
}

static void threads_live_in_such_an_arena(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    unsigned arena = make();
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, live_there, &arena), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        /* Modes of all threads change meanwhile. */
        bool enabled = i % 2 != 0;
        assert_int_equal(mallctl("thread.tcache.enabled", NULL, NULL, &enabled, sizeof enabled), 0);
        free(malloc(100));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(stat_of(arena, "small.allocated"), 0);
    assert_int_equal(act(arena, "destroy"), 0);
    assert_int_equal(taken_pages(), 0);
}

static void a_forked_child_goes_on_with_the_hooks(void **state)
{
    (void)state;
    unsigned arena = make();
    load(arena, 500);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        load(arena, 500);
        _exit(act(arena, "destroy") == 0 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(act(arena, "destroy"), 0);
}

/* RocksDB's way to keep blocks out of core files. */

static extent_alloc_t *system_alloc;

static void *alloc_without_dump(extent_hooks_t *hooks, void *address, size_t size, size_t alignment,
                                bool *zero, bool *commit, unsigned arena)
{
    void *result = system_alloc(hooks, address, size, alignment, zero, commit, arena);
    if (result != NULL) {
        EXPECT(madvise(result, size, MADV_DONTDUMP) == 0, "madvise: %d", errno);
    }
    return result;
}

/* Whether the mapping of the address is left out of core files. */
static bool is_not_dumped(const void *address)
{
    static char line[4096];
    FILE *file = fopen("/proc/self/smaps", "r");
    bool inside = false;
    bool result = false;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long start;
        unsigned long end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            inside = start <= (uintptr_t)address && (uintptr_t)address < end;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            result = strstr(line, " dd") != NULL;
        }
    }
    (void)fclose(file);
    return result;
}

static void an_own_alloc_goes_in_front_of_the_default_one(void **state)
{
    (void)state;
    static extent_hooks_t hooks;
    unsigned arena = 0;
    unsigned cache = 0;
    size_t length = sizeof arena;
    assert_int_equal(mallctl("arenas.create", &arena, &length, NULL, 0), 0);
    assert_int_equal(mallctl("tcache.create", &cache, &length, NULL, 0), 0);
    char name[80];
    snprintf(name, sizeof name, "arena.%u.extent_hooks", arena);
    extent_hooks_t *old = NULL;
    extent_hooks_t *of_zero = NULL;
    length = sizeof old;
    assert_int_equal(mallctl(name, (void *)&old, &length, NULL, 0), 0);
    assert_int_equal(mallctl("arena.0.extent_hooks", (void *)&of_zero, &length, NULL, 0), 0);
    assert_ptr_equal(old, of_zero);
    system_alloc = old->alloc;
    assert_non_null(system_alloc);
    hooks = *old;
    hooks.alloc = alloc_without_dump;
    extent_hooks_t *fresh = &hooks;
    assert_int_equal(mallctl(name, NULL, NULL, (void *)&fresh, sizeof fresh), 0);
    assert_int_equal(mallctl(name, (void *)&old, &length, NULL, 0), 0);
    assert_ptr_equal(old, &hooks);
    int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE(cache);
    static const size_t sizes[] = {100, 4000, 20000, 100000, 1 << 20, 9 << 20};
    void *blocks[6][20];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 6; i++) {
            for (unsigned j = 0; j < 20; j++) {
                blocks[i][j] = mallocx(sizes[i], flags);
                memset(blocks[i][j], 1, 4096 < sizes[i] ? 4096 : sizes[i]);
            }
            EXPECT(is_not_dumped(blocks[i][0]) && is_not_dumped(blocks[i][19]),
                   "blocks of %zu bytes are dumped", sizes[i]);
        }
        for (unsigned i = 0; i < 6; i++) {
            for (unsigned j = 0; j < 20; j++) {
                dallocx(blocks[i][j], MALLOCX_TCACHE(cache));
            }
        }
    }
    assert_false(is_not_dumped(malloc(100)));
    assert_int_equal(mallctl("tcache.destroy", NULL, NULL, &cache, sizeof cache), 0);
    assert_int_equal(act(arena, "purge"), 0);
    assert_int_equal(stat_of(arena, "mapped"), 0);
    assert_int_equal(stat_of(arena, "retained"), 0); /* the default dalloc takes it back */
    assert_int_equal(act(arena, "destroy"), 0);
}

static void the_name_refuses_what_the_contract_says(void **state)
{
    (void)state;
    extent_hooks_t *hooks = NULL;
    size_t length = sizeof hooks;
    assert_int_equal(mallctl("arena.4096.extent_hooks", (void *)&hooks, &length, NULL, 0), EFAULT);
    assert_int_equal(mallctl("arena.4000.extent_hooks", (void *)&hooks, &length, NULL, 0), ENOENT);
    assert_int_equal(mallctl("arena.0.extent_hooks", NULL, NULL, (void *)&hooks, 4), EINVAL);
    length = 4;
    assert_int_equal(mallctl("arena.0.extent_hooks", (void *)&hooks, &length, NULL, 0), EINVAL);
    /* The default table changes nothing where it is in use. */
    length = sizeof hooks;
    assert_int_equal(mallctl("arena.0.extent_hooks", (void *)&hooks, &length, NULL, 0), 0);
    assert_int_equal(mallctl("arena.0.extent_hooks", NULL, NULL, (void *)&hooks, sizeof hooks), 0);
    free(malloc(5000000));
}

static int map_pool(void **state)
{
    (void)state;
    enum { UNIT = 2 << 20 };
    char *base = mmap(NULL, POOL_BYTES + UNIT, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    pool.base = (char *)(((uintptr_t)base + UNIT - 1) / UNIT * UNIT);
    return base == MAP_FAILED ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shrinking_and_growing_call_the_hooks),
        cmocka_unit_test(what_a_lazy_purge_leaves_does_not_count_as_zero),
        cmocka_unit_test(a_length_without_a_table_changes_nothing),
        cmocka_unit_test(memory_goes_back_by_the_hooks),
        cmocka_unit_test(hooks_that_refuse_everything_give_enomem),
        cmocka_unit_test(an_arena_lives_by_its_hooks_whatever_they_refuse),
        cmocka_unit_test(all_members_but_alloc_may_be_missing),
        cmocka_unit_test(threads_live_in_such_an_arena),
        cmocka_unit_test(a_forked_child_goes_on_with_the_hooks),
        cmocka_unit_test(an_own_alloc_goes_in_front_of_the_default_one),
        cmocka_unit_test(the_name_refuses_what_the_contract_says),
    };
    return cmocka_run_group_tests(tests, map_pool, NULL);
}
