/* test_os_linux.c: goal: the functions of os.h do on Linux what their contract says, and never
 * change errno.
 * Method: real mappings, looked at with mincore() and /proc/self/statm; each refusal is provoked
 * with addresses and sizes that no kernel accepts; errno holds a mark that must stay.
 */
#include "unit_check.h"

#include "base/bits.h"
#include "os/linux/cpu_quota.h"
#include "os/os.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { ERRNO_MARK = 4242 };

static const size_t IMPOSSIBLE_BYTES = (size_t)1 << 47;

#define EXPECT_ERRNO_KEPT() assert_int_equal(errno, ERRNO_MARK)

static int mark_errno(void **state)
{
    (void)state;
    os_start();
    errno = ERRNO_MARK;
    return 0;
}

/* Bytes of the range that are mapped. */
static size_t mapped_bytes(char *address, size_t size_bytes)
{
    size_t mapped = 0;
    unsigned char resident;
    for (size_t at = 0; at < size_bytes; at += os_page_bytes) {
        mapped += mincore(address + at, os_page_bytes, &resident) == 0 ? os_page_bytes : 0;
    }
    errno = ERRNO_MARK;
    return mapped;
}

static void *must_map(size_t size_bytes)
{
    void *address = os_map(NULL, size_bytes);
    assert_non_null(address);
    return address;
}

static void must_unmap(void *address, size_t size_bytes)
{
    assert_true(os_unmap(address, size_bytes));
}

static void the_page_size_is_the_kernels(void **state)
{
    (void)state;
    os_start();
    os_start();
    assert_int_equal(os_page_bytes, getauxval(AT_PAGESZ));
    EXPECT_ERRNO_KEPT();
}

static void the_break_gives_aligned_memory_for_good(void **state)
{
    (void)state;
    if (sbrk(1) == (void *)-1) {
        skip(); /* musl */
    }
    char *last = NULL;
    for (size_t alignment = os_page_bytes; alignment <= (size_t)4 << 20; alignment *= 4) {
        errno = ERRNO_MARK;
        char *block = os_break_aligned(3 * alignment, alignment);
        assert_int_equal((uintptr_t)block % alignment, 0);
        assert_true(block > last);
        assert_true(bytes_are(block, 3 * alignment, 0));
        memset(block, 0x5a, 3 * alignment);
        EXPECT_ERRNO_KEPT();
        last = block + 3 * alignment - 1;
        assert_true(last < (char *)sbrk(17));
    }
    errno = ERRNO_MARK;
    assert_null(os_break_aligned(IMPOSSIBLE_BYTES, os_page_bytes));
    assert_null(os_break_aligned(SIZE_MAX & ~(os_page_bytes - 1), os_page_bytes));
    EXPECT_ERRNO_KEPT();
}

static void fresh_memory_is_zero_and_writable(void **state)
{
    (void)state;
    for (size_t pages = 1; pages <= 1024; pages *= 4) {
        size_t size = pages * os_page_bytes;
        char *block = must_map(size);
        assert_int_equal((uintptr_t)block % os_page_bytes, 0);
        assert_true(bytes_are(block, size, 0));
        memset(block, 0x5a, size);
        assert_true(bytes_are(block, size, 0x5a));
        assert_int_equal(mapped_bytes(block, size), size);
        must_unmap(block, size);
        assert_int_equal(mapped_bytes(block, size), 0);
    }
    EXPECT_ERRNO_KEPT();
}

static void a_free_hint_is_taken_and_a_used_one_is_harmless(void **state)
{
    (void)state;
    char *block = must_map(2 * os_page_bytes);
    block[0] = 1;
    must_unmap(block + os_page_bytes, os_page_bytes);
    char *behind = os_map(block + os_page_bytes, os_page_bytes);
    assert_ptr_equal(behind, block + os_page_bytes);
    char *elsewhere = os_map(block, os_page_bytes);
    assert_non_null(elsewhere);
    assert_ptr_not_equal(elsewhere, block);
    assert_int_equal(block[0], 1);
    must_unmap(elsewhere, os_page_bytes);
    must_unmap(block, 2 * os_page_bytes);
    EXPECT_ERRNO_KEPT();
}

static void refused_memory_is_null_and_errno_stays(void **state)
{
    (void)state;
    assert_null(os_map(NULL, IMPOSSIBLE_BYTES));
    EXPECT_ERRNO_KEPT();
    assert_null(os_map_aligned(IMPOSSIBLE_BYTES, os_page_bytes));
    assert_null(os_map_aligned(os_page_bytes, IMPOSSIBLE_BYTES));
    EXPECT_ERRNO_KEPT();
}

static void aligned_memory_is_aligned_and_costs_its_size_only(void **state)
{
    (void)state;
    uint64_t random = unit_seed(4);
    errno = ERRNO_MARK;
    for (size_t alignment = os_page_bytes; alignment <= (size_t)256 << 20; alignment *= 2) {
        for (unsigned round = 0; round < 6; round++) {
            size_t size = (1 + unit_below(&random, 700)) * os_page_bytes;
            size_t before = address_space_bytes();
            char *block = os_map_aligned(size, alignment);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % alignment, 0);
            assert_int_equal(address_space_bytes() - before, size);
            block[0] = 1;
            block[size - 1] = 1;
            must_unmap(block, size);
            assert_int_equal(address_space_bytes(), before);
        }
    }
    EXPECT_ERRNO_KEPT();
}

static void refused_unmapping_is_told(void **state)
{
    (void)state;
    char *block = must_map(os_page_bytes);
    assert_false(os_unmap(block + 1, os_page_bytes));
    EXPECT_ERRNO_KEPT();
    assert_int_equal(mapped_bytes(block, os_page_bytes), os_page_bytes);
    must_unmap(block, os_page_bytes);
}

static void purged_memory_reads_as_zero_and_its_neighbours_stay(void **state)
{
    (void)state;
    char *block = must_map(4 * os_page_bytes);
    memset(block, 7, 4 * os_page_bytes);
    assert_true(os_purge(block + os_page_bytes, 2 * os_page_bytes));
    assert_true(bytes_are(block, os_page_bytes, 7));
    assert_true(bytes_are(block + os_page_bytes, 2 * os_page_bytes, 0));
    assert_true(bytes_are(block + 3 * os_page_bytes, os_page_bytes, 7));
    must_unmap(block, 4 * os_page_bytes);
    assert_false(os_purge(block, os_page_bytes));
    EXPECT_ERRNO_KEPT();
}

static bool is_old_or_zero(const char *block, size_t size_bytes, char old)
{
    size_t wrong = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        wrong += block[i] != old && block[i] != 0;
    }
    return wrong == 0;
}

static void lazily_purged_memory_is_old_or_zero_and_keeps_what_is_written_after(void **state)
{
    (void)state;
    char *block = must_map(4 * os_page_bytes);
    memset(block, 7, 4 * os_page_bytes);
    assert_true(os_purge_lazily(block + os_page_bytes, 2 * os_page_bytes));
    assert_true(bytes_are(block, os_page_bytes, 7));
    assert_true(is_old_or_zero(block + os_page_bytes, 2 * os_page_bytes, 7));
    assert_true(bytes_are(block + 3 * os_page_bytes, os_page_bytes, 7));
    memset(block, 9, 4 * os_page_bytes);
    assert_true(bytes_are(block, 4 * os_page_bytes, 9));
    must_unmap(block, 4 * os_page_bytes);
    assert_false(os_purge_lazily(block, os_page_bytes));
    EXPECT_ERRNO_KEPT();
}

/* Where the kernel has the call at all it takes all of the ranges, or those before a bad one. */
static void a_batch_of_ranges_is_purged_by_one_call(void **state)
{
    (void)state;
    char *block = must_map(6 * os_page_bytes);
    struct os_range ranges[3] = {{block, os_page_bytes},
                                 {block + 2 * os_page_bytes, 2 * os_page_bytes},
                                 {block + 5 * os_page_bytes, os_page_bytes}};
    memset(block, 7, 6 * os_page_bytes);
    unsigned all =
        syscall(SYS_process_madvise, -10001, ranges, 0ul, MADV_DONTNEED, 0ul) == 0 ? 3 : 0;
    assert_int_equal(os_purge_batch(ranges, 3, false), all);
    for (unsigned i = 0; i < 6; i++) {
        unsigned char left = all != 0 && i != 1 && i != 4 ? 0 : 7;
        assert_true(bytes_are(block + i * os_page_bytes, os_page_bytes, left));
    }
    memset(block, 7, 6 * os_page_bytes);
    assert_int_equal(os_purge_batch(ranges, 3, true), all);
    assert_true(is_old_or_zero(block, 6 * os_page_bytes, 7));
    must_unmap(block + 5 * os_page_bytes, os_page_bytes);
    assert_int_equal(os_purge_batch(ranges, 3, false), all - (all != 0));
    must_unmap(block, 5 * os_page_bytes);
    assert_int_equal(os_purge_batch(ranges, 3, false), 0);
    EXPECT_ERRNO_KEPT();
}

static void a_mapping_grows_in_place_only_into_free_space(void **state)
{
    (void)state;
    const size_t page = os_page_bytes;
    char *block = must_map(3 * page);
    must_unmap(block + page, 2 * page);
    memset(block, 9, page);
    assert_true(os_grow_in_place(block, page, 2 * page));
    assert_true(bytes_are(block, page, 9));
    assert_true(bytes_are(block + page, page, 0));
    /* Another kind of memory behind it, which cannot merge. */
    char *wall = mmap(block + 2 * page, page, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_ptr_equal(wall, block + 2 * page);
    assert_false(os_grow_in_place(block, 2 * page, 3 * page));
    assert_true(bytes_are(block, page, 9));
    assert_false(os_grow_in_place(block, 2 * page, IMPOSSIBLE_BYTES));
    EXPECT_ERRNO_KEPT();
    must_unmap(block, 3 * page);
}

static void moved_pages_keep_their_content_and_leave_their_place(void **state)
{
    (void)state;
    const size_t page = os_page_bytes;
    char *block = must_map(4 * page);
    char *target = must_map(8 * page);
    for (size_t i = 0; i < 4; i++) {
        memset(block + i * page, (int)i + 1, page);
    }
    memset(target, 0x77, 8 * page);
    assert_true(os_move(block, 4 * page, target, 8 * page));
    for (size_t i = 0; i < 4; i++) {
        assert_true(bytes_are(target + i * page, page, (unsigned char)(i + 1)));
    }
    assert_true(bytes_are(target + 4 * page, 4 * page, 0));
    assert_int_equal(mapped_bytes(block, 4 * page), 0);
    assert_false(os_move(block, page, target, page));
    EXPECT_ERRNO_KEPT();
    must_unmap(target, 8 * page);
}

static void hints_change_neither_content_nor_errno(void **state)
{
    (void)state;
    const size_t size = (size_t)2 << 20;
    char *block = os_map_aligned(size, size);
    assert_non_null(block);
    memset(block, 3, size);
    os_want_huge_pages(block, size);
    os_refuse_huge_pages(block, size);
    assert_true(bytes_are(block, size, 3));
    must_unmap(block, size);
    os_want_huge_pages(block, size);
    os_refuse_huge_pages(block, size);
    EXPECT_ERRNO_KEPT();
}

static void clocks_never_go_back_and_agree_within_ticks(void **state)
{
    (void)state;
    const uint64_t tick_ns = 20 * 1000 * 1000;
    uint64_t last_coarse = 0;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t before = os_time_ns();
        uint64_t coarse = os_time_coarse_ns();
        uint64_t after = os_time_ns();
        assert_true(after >= before);
        assert_true(coarse >= last_coarse);
        assert_true(coarse <= after);
        assert_true(coarse + tick_ns >= before);
        last_coarse = coarse;
    }
    EXPECT_ERRNO_KEPT();
}

static struct {
    sigset_t blocked;
    char name[32];
    uintptr_t self;
    size_t stack_bytes;
} started;

static void *look_at_self(void *unused)
{
    os_thread_set_name("named_by_test");
    (void)pthread_sigmask(SIG_BLOCK, NULL, &started.blocked);
    (void)prctl(PR_GET_NAME, started.name, 0, 0, 0);
    started.self = os_thread_self();
    pthread_attr_t attributes;
    (void)pthread_getattr_np(pthread_self(), &attributes);
    (void)pthread_attr_getstacksize(&attributes, &started.stack_bytes);
    (void)pthread_attr_destroy(&attributes);
    return unused;
}

static void a_thread_of_our_own_has_a_name_and_no_signals(void **state)
{
    (void)state;
    uintptr_t thread = 0;
    sigset_t before;
    sigset_t after;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_true(os_thread_start(&thread, look_at_self, NULL));
    os_thread_join(thread);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_int_equal(started.self, thread);
    assert_string_equal(started.name, "named_by_test");
    assert_true(started.stack_bytes <= 1024 * 1024);
    for (int signal = 1; signal < NSIG; signal++) {
        bool can_be = signal != SIGKILL && signal != SIGSTOP && (signal < 32 || signal > 33);
        EXPECT(sigismember(&started.blocked, signal) == can_be || !can_be, "signal %d", signal);
        EXPECT(sigismember(&before, signal) == sigismember(&after, signal), "signal %d", signal);
    }
    EXPECT_ERRNO_KEPT();
}

static void cpus_are_those_that_the_process_may_use(void **state)
{
    (void)state;
    cpu_set_t former;
    assert_int_equal(sched_getaffinity(0, sizeof former, &former), 0);
    unsigned quota = cpu_quota("");
    unsigned allowed = (unsigned)CPU_COUNT(&former);
    assert_int_equal(os_cpu_count(), allowed < quota ? allowed : quota);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &former)) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
            assert_int_equal(os_cpu_count(), 1);
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof former, &former), 0);
    EXPECT_ERRNO_KEPT();
}

static void the_environment_is_read(void **state)
{
    (void)state;
    assert_int_equal(setenv("DG_UNIT_VARIABLE", "some text", 1), 0);
    assert_string_equal(os_environment("DG_UNIT_VARIABLE"), "some text");
    assert_int_equal(unsetenv("DG_UNIT_VARIABLE"), 0);
    assert_null(os_environment("DG_UNIT_VARIABLE"));
}

static void the_text_of_a_link_is_read_and_cut(void **state)
{
    (void)state;
    static const char target[] = "narenas:3,tcache:false";
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/dg_unit_link.%d", (int)getpid());
    assert_int_equal(symlink(target, path), 0);
    for (size_t size = 2; size <= sizeof target + 2; size++) {
        char buffer[64];
        memset(buffer, '#', sizeof buffer);
        assert_true(os_link_text(path, buffer, size));
        size_t expected = size - 1 < sizeof target - 1 ? size - 1 : sizeof target - 1;
        assert_int_equal(strlen(buffer), expected);
        assert_memory_equal(buffer, target, expected);
        assert_true(bytes_are(buffer + size, sizeof buffer - size, '#'));
    }
    assert_int_equal(unlink(path), 0);
    char untouched[4] = "abc";
    assert_false(os_link_text(path, untouched, sizeof untouched));
    assert_string_equal(untouched, "abc");
    EXPECT_ERRNO_KEPT();
}

static void waiting_ends_when_the_value_differs_or_the_time_is_over(void **state)
{
    (void)state;
    uint32_t word = 5;
    os_wait(&word, 6);
    os_wait_for(&word, 6, UINT64_MAX / 2);
    uint64_t start = os_time_ns();
    unsigned rounds = 0;
    while (os_time_ns() - start < 30u * 1000 * 1000) {
        os_wait_for(&word, 5, 10u * 1000 * 1000);
        assert_true(++rounds < 1000);
    }
    assert_true(os_time_ns() - start < 10u * 1000 * 1000 * 1000);
    os_wake(&word, 1);
    EXPECT_ERRNO_KEPT();
}

struct shared_word {
    _Atomic uint32_t word;
    _Atomic unsigned awake;
    uintptr_t self[2];
};

static void *sleep_on_word(void *argument)
{
    struct shared_word *shared = argument;
    while (atomic_load(&shared->word) == 0) {
        os_wait((uint32_t *)&shared->word, 0);
    }
    shared->self[atomic_fetch_add(&shared->awake, 1)] = os_thread_self();
    assert_true(os_thread_self() == os_thread_self());
    return NULL;
}

static void sleepers_wake_and_threads_differ(void **state)
{
    (void)state;
    struct shared_word shared = {.word = 0};
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sleep_on_word, &shared), 0);
    }
    usleep(5000);
    atomic_store(&shared.word, 1);
    os_wake((uint32_t *)&shared.word, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(os_thread_self() != 0);
    assert_true(shared.self[0] != 0 && shared.self[1] != 0);
    assert_true(shared.self[0] != shared.self[1]);
    assert_true(shared.self[0] != os_thread_self());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_page_size_is_the_kernels, mark_errno),
        cmocka_unit_test_setup(the_break_gives_aligned_memory_for_good, mark_errno),
        cmocka_unit_test_setup(the_break_gives_aligned_memory_for_good, mark_errno),
        cmocka_unit_test_setup(fresh_memory_is_zero_and_writable, mark_errno),
        cmocka_unit_test_setup(a_free_hint_is_taken_and_a_used_one_is_harmless, mark_errno),
        cmocka_unit_test_setup(refused_memory_is_null_and_errno_stays, mark_errno),
        cmocka_unit_test_setup(aligned_memory_is_aligned_and_costs_its_size_only, mark_errno),
        cmocka_unit_test_setup(refused_unmapping_is_told, mark_errno),
        cmocka_unit_test_setup(purged_memory_reads_as_zero_and_its_neighbours_stay, mark_errno),
        cmocka_unit_test_setup(lazily_purged_memory_is_old_or_zero_and_keeps_what_is_written_after,
                               mark_errno),
        cmocka_unit_test_setup(a_batch_of_ranges_is_purged_by_one_call, mark_errno),
        cmocka_unit_test_setup(a_mapping_grows_in_place_only_into_free_space, mark_errno),
        cmocka_unit_test_setup(moved_pages_keep_their_content_and_leave_their_place, mark_errno),
        cmocka_unit_test_setup(hints_change_neither_content_nor_errno, mark_errno),
        cmocka_unit_test_setup(clocks_never_go_back_and_agree_within_ticks, mark_errno),
        cmocka_unit_test_setup(a_thread_of_our_own_has_a_name_and_no_signals, mark_errno),
        cmocka_unit_test_setup(cpus_are_those_that_the_process_may_use, mark_errno),
        cmocka_unit_test_setup(the_environment_is_read, mark_errno),
        cmocka_unit_test_setup(the_text_of_a_link_is_read_and_cut, mark_errno),
        cmocka_unit_test_setup(waiting_ends_when_the_value_differs_or_the_time_is_over, mark_errno),
        cmocka_unit_test_setup(sleepers_wake_and_threads_differ, mark_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
