/* test_outside.c: goal: a request in the block is taken by the next slow path of allocation, done
 * as the control name would, and answered once; one that is withdrawn, or was meant for another
 * process, is not; nothing is done inside a hook.
 * Method: the block is written here as the program outside does, and every way to allocate is a
 * slow path that must see it; modes and files tell what was done.
 */
#include "upper_floors.h"

#include "control/profiling.h"
#include "control/outside.h"
#include "os/os.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/stat.h>

extern HIDDEN char outside_path[OUTSIDE_PATH_BYTES];

static uint64_t last_number;
static char folder[] = "/tmp/test_outside_XXXXXX";

/* Asks, for a process, with a path. */
static uint64_t ask_as(unsigned action, int process, const char *path)
{
    uint64_t request = ++last_number << OUTSIDE_ACTION_BITS | action;
    snprintf(outside_path, sizeof outside_path, "%s", path);
    outside_block.process = (uint32_t)process;
    atomic_store_explicit(&outside_block.request, request, memory_order_release);
    return request;
}

static uint64_t ask(unsigned action, const char *path)
{
    return ask_as(action, (int)getpid(), path);
}

static void allocate_slowly(void)
{
    API(free)(API(malloc)(1 << 20));
}

static void expect_answer(uint64_t request, int error)
{
    assert_int_equal(atomic_load(&outside_block.answered), request);
    assert_int_equal(atomic_load(&outside_block.taken), request);
    assert_int_equal(atomic_load(&outside_block.request), 0);
    assert_int_equal(outside_block.error, error);
}

static void expect_done(unsigned action, const char *path, int error)
{
    uint64_t request = ask(action, path);
    errno = 77;
    allocate_slowly();
    assert_int_equal(errno, 77);
    expect_answer(request, error);
}

static void nothing_is_written_before_on(void **state)
{
    (void)state;
    assert_int_equal(outside_block.is_started, 1);
    assert_int_equal(outside_block.has_sampled, 0);
    expect_done(OUTSIDE_DUMP, "", ENOENT);
    expect_done(OUTSIDE_OFF, "", 0);
    expect_done(99, "", ENOSYS);
    assert_false(profiling_is_open());
}

static bool is_libgcc_loaded(void)
{
    return dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_NOLOAD) != NULL;
}

static void on_and_off_are_as_prof_active(void **state)
{
    (void)state;
    bool was_loaded = is_libgcc_loaded(); /* by a sanitizer, before all this */
    for (unsigned i = 0; i < 3; i++) {
        expect_done(OUTSIDE_ON, "", 0);
        assert_true(profiling_is_active());
        assert_int_equal(outside_block.is_active, 1);
        assert_int_equal(outside_block.has_sampled, 1);
        expect_done(OUTSIDE_OFF, "", 0);
        assert_false(profiling_is_active());
        assert_int_equal(outside_block.is_active, 0);
    }
    assert_int_equal(is_libgcc_loaded(), was_loaded);
    profiling_set_active(true); /* ... which may load it, though the tables are there already. */
    assert_true(is_libgcc_loaded());
    assert_int_equal(outside_block.is_active, 1);
    profiling_reset(13);
    assert_int_equal(outside_block.lg_period, 13);
    profiling_reset(19);
    assert_int_equal(outside_block.lg_period, 19);
    profiling_set_active(false);
    assert_int_equal(outside_block.is_active, 0);
}

static void profiles_are_written(void **state)
{
    (void)state;
    char path[64];
    struct stat file;
    profiling_set_active(true);
    snprintf(path, sizeof path, "%s/own.heap", folder);
    expect_done(OUTSIDE_DUMP, path, 0);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/no/own.heap", folder);
    expect_done(OUTSIDE_DUMP, path, EFAULT);
    expect_done(OUTSIDE_DUMP, "", 0);
    snprintf(path, sizeof path, "jeprof.%d.0.m0.heap", (int)getpid());
    assert_string_equal(outside_path, path);
    assert_int_equal(unlink(path), 0);
    profiling_set_active(false);
}

static void *by_malloc(void)
{
    return API(malloc)(40000);
}

static void *by_calloc(void)
{
    return API(calloc)(1, 40000);
}

static void *by_memalign(void)
{
    return API(memalign)(8192, 100);
}

static void *by_mallocx(void)
{
    return API(mallocx)(40000, 0);
}

static void *by_realloc(void)
{
    return API(realloc)(API(malloc)(8), 100000);
}

/* Of one class, and freed at once: the fast paths serve it. */
static void *by_many(void)
{
    for (unsigned i = 0; i < CACHE_LEFT; i++) {
        void *block = API(malloc)(24);
        API(free)(block);
    }
    return NULL;
}

static void every_slow_path_sees_it(void **state)
{
    (void)state;
    static void *(*const ways[])(void) = {by_malloc,  by_calloc,  by_memalign,
                                          by_mallocx, by_realloc, by_many};
    for (unsigned i = 0; i < COUNT_OF(ways); i++) {
        uint64_t request = ask(OUTSIDE_OFF, "");
        API(free)(ways[i]());
        EXPECT(atomic_load(&outside_block.answered) == request, "way %u did not see it", i);
    }
}

static void what_is_withdrawn_is_not_done(void **state)
{
    (void)state;
    uint64_t request = ask(OUTSIDE_ON, "");
    atomic_store(&outside_block.withdrawn, request);
    allocate_slowly();
    expect_answer(request, ECANCELED);
    assert_false(profiling_is_active());
}

static void another_process_is_not_meant(void **state)
{
    (void)state;
    uint64_t before = atomic_load(&outside_block.answered);
    (void)ask_as(OUTSIDE_ON, (int)getpid() + 1, "");
    allocate_slowly();
    assert_int_equal(atomic_load(&outside_block.request), 0);
    assert_int_equal(atomic_load(&outside_block.answered), before);
    assert_false(profiling_is_active());
}

static void hooks_are_not_disturbed(void **state)
{
    (void)state;
    void *cache = thread_enter_hook();
    uint64_t request = ask(OUTSIDE_OFF, "");
    allocate_slowly();
    assert_int_equal(atomic_load(&outside_block.request), request);
    thread_leave_hook(cache);
    allocate_slowly();
    expect_answer(request, 0);
}

static void *allocate_always(void *is_over)
{
    while (!atomic_load((_Atomic bool *)is_over)) {
        API(free)(API(malloc)(40000));
    }
    return NULL;
}

/* Each request is answered once, though all threads see it. */
static void threads_take_turns(void **state)
{
    (void)state;
    enum { THREADS = 4, REQUESTS = 500 };
    pthread_t thread[THREADS];
    _Atomic bool is_over = false;
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, allocate_always, &is_over), 0);
    }
    for (unsigned i = 0; i < REQUESTS; i++) {
        uint64_t request = ask(i % 2 == 0 ? OUTSIDE_ON : OUTSIDE_OFF, "");
        while (atomic_load_explicit(&outside_block.answered, memory_order_acquire) != request) {
            sched_yield();
        }
        assert_int_equal(outside_block.is_active, i % 2 == 0);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
}

static int find_note(struct dl_phdr_info *module, size_t size, void *opaque)
{
    (void)size;
    static const char owner[] = "dg-jemalloc";
    for (unsigned i = 0; i < module->dlpi_phnum; i++) {
        const ElfW(Phdr) *row = &module->dlpi_phdr[i];
        const char *at = (const char *)(module->dlpi_addr + row->p_vaddr);
        const char *end = at + (row->p_type == PT_NOTE ? row->p_memsz : 0);
        while (at < end) {
            const ElfW(Nhdr) *head = (const void *)at;
            const char *name = at + sizeof *head;
            const char *value = name + (head->n_namesz + 3u) / 4 * 4;
            if (head->n_namesz == sizeof owner && memcmp(name, owner, sizeof owner) == 0) {
                *(const struct outside_note **)opaque = (const void *)value;
                return head->n_type == OUTSIDE_NOTE_TYPE ? 1 : -1;
            }
            at = value + (head->n_descsz + 3u) / 4 * 4;
        }
    }
    return 0;
}

static void the_note_leads_to_the_block(void **state)
{
    (void)state;
    const struct outside_note *note = NULL;
    assert_int_equal(dl_iterate_phdr(find_note, &note), 1);
    assert_int_equal(note->version, OUTSIDE_VERSION);
    assert_ptr_equal((const char *)&note->to_block + note->to_block, &outside_block);
    assert_ptr_equal((const char *)&note->to_path + note->to_path, outside_path);
    assert_int_equal(note->path_bytes, sizeof outside_path);
}

static int start(void **state)
{
    return mkdtemp(folder) != NULL ? start_allocator(state) : -1;
}

static int end(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_note_leads_to_the_block),
        cmocka_unit_test(nothing_is_written_before_on),
        cmocka_unit_test(on_and_off_are_as_prof_active),
        cmocka_unit_test(profiles_are_written),
        cmocka_unit_test(every_slow_path_sees_it),
        cmocka_unit_test(what_is_withdrawn_is_not_done),
        cmocka_unit_test(another_process_is_not_meant),
        cmocka_unit_test(hooks_are_not_disturbed),
        cmocka_unit_test(threads_take_turns),
    };
    return cmocka_run_group_tests(tests, start, end);
}
