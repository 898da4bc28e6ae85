/* test_helper.c: goal: the helper is there while two threads use the allocator and memory is to be
 * given back, and only then; nothing that a process may do (fork, exit, refuse threads) minds it.
 * Method: each scene is played in a child process of its own, which an alarm ends when it hangs; an
 * event that must come is waited for without a limit of its own. The helper is found by its name
 * among the tasks of /proc; a task that nobody else can have made is found by their number.
 */
#include "upper_floors.h"

#include "refused_calls.h"

#include "cache/helper.h"
#include "pages/huge.h"
#include "pages/page_stock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>

/* It refuses threads after the fork of a process with threads, and hangs in every program whose
 * main thread leaves first. */
#ifdef __SANITIZE_THREAD__
enum { UNDER_THREAD_SANITIZER = 1 };
#else
enum { UNDER_THREAD_SANITIZER = 0 };
#endif

enum { BLOCKS = 4096, ROUNDS = 30 };

static const char helper_name[] = "jemalloc_idle";

EXPORT extern const char *API(malloc_conf);
const char *API(malloc_conf) = "dirty_decay_ms:80,idle_purge:true";

struct tasks {
    unsigned count;
    unsigned helpers;
    char helper[32]; /* its number as text; 0: none */
};

static bool read_file(const char *path, char *text, size_t text_bytes)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, text_bytes - 1);
    text[length < 0 ? 0 : length] = '\0';
    (void)close(file);
    return length >= 0;
}

/* As the kernel has it; opendir() would allocate. */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short bytes;
    unsigned char type;
    char name[];
};

static void count_task(struct tasks *tasks, const char *number)
{
    char path[300];
    char name[64];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", number);
    if (number[0] == '.' || !read_file(path, name, sizeof name)) {
        return;
    }
    tasks->count++;
    if (strncmp(name, helper_name, strlen(helper_name)) == 0) {
        tasks->helpers++;
        snprintf(tasks->helper, sizeof tasks->helper, "%.20s", number);
    }
}

static struct tasks tasks_now(void)
{
    struct tasks tasks = {0, 0, "0"};
    _Alignas(struct entry) char entries[4096];
    int folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHILD_EXPECT(folder >= 0);
    long bytes;
    while ((bytes = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
        for (long at = 0; at < bytes;) {
            const struct entry *entry = (const struct entry *)(entries + at);
            count_task(&tasks, entry->name);
            at += entry->bytes;
        }
    }
    (void)close(folder);
    return tasks;
}

static void wait_for_helpers(unsigned count)
{
    while (tasks_now().helpers != count) {
        usleep(2000);
    }
}

static void call(void)
{
    API(free)(API(malloc)(100));
}

/* A second user, which waits until it is let go. */
struct user {
    pthread_t thread;
    pthread_barrier_t barrier;
};

static void *use(void *opaque)
{
    struct user *user = opaque;
    call();
    pthread_barrier_wait(&user->barrier);
    pthread_barrier_wait(&user->barrier);
    return NULL;
}

static void user_start(struct user *user)
{
    pthread_barrier_init(&user->barrier, NULL, 2);
    CHILD_EXPECT(pthread_create(&user->thread, NULL, use, user) == 0);
    pthread_barrier_wait(&user->barrier);
}

static void user_end(struct user *user)
{
    pthread_barrier_wait(&user->barrier);
    CHILD_EXPECT(pthread_join(user->thread, NULL) == 0);
    pthread_barrier_destroy(&user->barrier);
}

static size_t unused_bytes(void)
{
    size_t bytes = huge_statistics().touched_bytes;
    for (unsigned i = 0; i < arena_count(); i++) {
        struct page_heap *heap = &arena_get(i)->pages;
        lock_acquire(&heap->lock);
        bytes += page_stock_unused(heap) * PAGE_BYTES;
        bytes += heap->stage[STAGE_MUZZY].page_count * PAGE_BYTES;
        lock_release(&heap->lock);
    }
    return bytes;
}

static void leave_memory_unused(void)
{
    static void *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = API(malloc)(4096);
        CHILD_EXPECT(blocks[i] != NULL);
        memset(blocks[i], 1, 4096);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        API(free)(blocks[i]);
    }
    API(free)(memset(API(malloc)(100000), 1, 100000));
    API(free)(memset(API(malloc)(1500000), 1, 1500000));
}

static void wait_until_clean(void)
{
    while (unused_bytes() > 0) {
        usleep(2000);
    }
}

static void stay_alone(void *unused)
{
    (void)unused;
    unsigned before = tasks_now().count;
    leave_memory_unused();
    CHILD_EXPECT(tasks_now().count == before);
    CHILD_EXPECT(tasks_now().helpers == 0);
    CHILD_EXPECT(unused_bytes() > 1500000);
}

static void a_process_of_one_thread_stays_so(void **state)
{
    (void)state;
    if (!UNDER_THREAD_SANITIZER) {
        assert_int_equal(tasks_now().count, 1); /* It has a thread of its own. */
    }
    expect_success(stay_alone, NULL);
}

/* The options stand before the first arena, so the program runs itself again. */
static const char *own_path;
static const char word_two[] = "two";

static void be_two_again(void *configuration)
{
    (void)setenv("MALLOC_CONF", configuration, 1);
    (void)execl(own_path, own_path, word_two, (char *)NULL);
    _exit(99);
}

static void muzzy_pages_go_back_too(void **state)
{
    (void)state;
    expect_success(be_two_again, "dirty_decay_ms:80,muzzy_decay_ms:40");
    expect_success(be_two_again, "dirty_decay_ms:80,muzzy_decay_ms:160");
    expect_success(be_two_again, "dirty_decay_ms:0,muzzy_decay_ms:80");
}

/* Voluntary and other switches of a task: each wake-up is one. */
static unsigned long switches_of(const char *task)
{
    char path[300];
    char text[4096];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/status", task);
    CHILD_EXPECT(read_file(path, text, sizeof text));
    const char *line = strstr(text, "\nvoluntary_ctxt_switches:");
    CHILD_EXPECT(line != NULL);
    return strtoul(line + sizeof "\nvoluntary_ctxt_switches:" - 1, NULL, 10);
}

static void be_two(void *unused)
{
    (void)unused;
    struct user user;
    user_start(&user);
    wait_for_helpers(1);
    for (unsigned i = 0; i < 3; i++) {
        leave_memory_unused();
        wait_until_clean();
    }
    CHILD_EXPECT(tasks_now().helpers == 1);
    user_end(&user);
}

static void the_second_user_brings_it_and_unused_memory_goes_back(void **state)
{
    (void)state;
    expect_success(be_two, NULL);
}

/* Once two looks in a row have nothing to wait for, the count of its switches stands still. Should
 * it never, the alarm ends the child. */
static void fall_asleep(void *unused)
{
    (void)unused;
    struct user user;
    user_start(&user);
    wait_for_helpers(1);
    leave_memory_unused();
    wait_until_clean();
    unsigned long before;
    unsigned long after = 0;
    do {
        before = after;
        usleep(300000);
        after = switches_of(tasks_now().helper);
    } while (after != before);
    user_end(&user);
}

static void in_a_clean_process_it_does_not_wake(void **state)
{
    (void)state;
    expect_success(fall_asleep, NULL);
}

static size_t mapped_pages(void)
{
    char text[128];
    CHILD_EXPECT(read_file("/proc/self/statm", text, sizeof text));
    return strtoull(text, NULL, 10);
}

static void be_alone_again(void *unused)
{
    (void)unused;
    size_t pages = 0;
    for (unsigned i = 0; i < 4; i++) {
        struct user user;
        user_start(&user);
        wait_for_helpers(1);
        leave_memory_unused();
        if (i == 1) {
            wait_until_clean();
            usleep(50000); /* Asleep without end, most probably. */
        }
        user_end(&user);
        wait_for_helpers(0);
        CHILD_EXPECT(unused_bytes() == 0);
        /* Its stack serves the next one. */
        CHILD_EXPECT(i < 2 || UNDER_THREAD_SANITIZER || mapped_pages() == pages);
        pages = mapped_pages();
    }
    static struct user last; /* It waits while the process ends. */
    user_start(&last);
    wait_for_helpers(1);
}

static void when_one_user_is_left_it_cleans_up_and_ends_and_it_comes_again(void **state)
{
    (void)state;
    expect_success(be_alone_again, NULL);
}

/* The process is over with its last thread, and that shall not be the helper. What the test holds
 * is no leak. */
static void end_unless_in_helper(void)
{
    char name[32] = "";
    (void)prctl(PR_GET_NAME, name, 0, 0, 0);
    _exit(strcmp(name, helper_name) == 0 ? 3 : 0);
}

static void count_cache(struct cache *cache, void *opaque)
{
    (void)cache;
    (*(unsigned *)opaque)++;
}

static void *outlive_main(void *unused)
{
    call(); /* The main thread waits for the helper, which may leave once that has gone. */
    for (unsigned caches = 2; caches != 1;) {
        caches = 0;
        thread_for_each_cache(count_cache, &caches);
    }
    return unused;
}

static void leave_main_first(void *unused)
{
    pthread_t thread;
    (void)atexit(end_unless_in_helper);
    CHILD_EXPECT(pthread_create(&thread, NULL, outlive_main, unused) == 0);
    wait_for_helpers(1);
    pthread_exit(NULL);
}

/* The second user goes, so the helper is about to leave, or has left, when the last one goes. */
static void leave_main_while_it_leaves(void *round)
{
    struct user user;
    (void)atexit(end_unless_in_helper);
    user_start(&user);
    wait_for_helpers(1);
    user_end(&user);
    usleep((useconds_t)(uintptr_t)round * 700);
    pthread_exit(NULL);
}

static void it_keeps_no_process_alive(void **state)
{
    (void)state;
    if (UNDER_THREAD_SANITIZER) {
        skip();
    }
    for (uintptr_t i = 0; i < ROUNDS; i++) {
        expect_success(leave_main_first, NULL);
        expect_success(leave_main_while_it_leaves, (void *)i);
    }
}

static void exit_beside_it(void *round)
{
    struct user user;
    user_start(&user);
    leave_memory_unused();
    usleep((useconds_t)(uintptr_t)round * 1000);
    exit(0);
}

static void a_process_may_exit_at_any_moment(void **state)
{
    (void)state;
    for (uintptr_t round = 0; round < ROUNDS; round++) {
        expect_success(exit_beside_it, (void *)round);
    }
}

/* A handler of exit() may fork: what it frees after that brings no helper back. */
static void fork_at_exit(void *unused)
{
    (void)unused;
    struct user user;
    user_start(&user);
    leave_memory_unused();
    wait_for_helpers(1);
    helper_end_at_exit();
    CHILD_EXPECT(tasks_now().helpers == 0);
    helper_fork_begins();
    helper_fork_ends();
    struct user another;
    user_start(&another);
    leave_memory_unused();
    CHILD_EXPECT(tasks_now().helpers == 0);
    exit(0);
}

static void after_its_end_at_exit_none_comes(void **state)
{
    (void)state;
    expect_success(fork_at_exit, NULL);
}

static void be_forked(void *unused)
{
    (void)unused;
    CHILD_EXPECT(tasks_now().helpers == 0);
    unsigned before = tasks_now().count;
    leave_memory_unused();
    CHILD_EXPECT(tasks_now().count == before);
    if (!UNDER_THREAD_SANITIZER) {
        be_two(NULL);
        be_alone_again(NULL);
    }
}

static void fork_beside_it(void *unused)
{
    struct user user;
    user_start(&user);
    for (unsigned i = 0; i < ROUNDS; i++) {
        leave_memory_unused();
        pid_t child = fork();
        CHILD_EXPECT(child >= 0);
        if (child == 0) {
            alarm(20);
            /* The whole scene once: it takes a second. */
            i == 0 ? be_forked(unused) : leave_memory_unused();
            _exit(0);
        }
        int status = -1;
        CHILD_EXPECT(waitpid(child, &status, 0) == child);
        CHILD_EXPECT(status == 0);
        usleep(i * 700);
    }
    wait_until_clean();
    CHILD_EXPECT(tasks_now().helpers == 1);
    user_end(&user);
}

static void a_forked_child_has_none_until_it_has_two_users(void **state)
{
    (void)state;
    expect_success(fork_beside_it, NULL);
}

static void *use_in_fork(void *unused)
{
    lock_fork_begins();
    unsigned before = tasks_now().count;
    call();
    CHILD_EXPECT(thread_cache() != NULL);
    CHILD_EXPECT(tasks_now().count == before);
    lock_fork_ends();
    return unused;
}

static void use_first_in_fork(void *unused)
{
    pthread_t thread;
    CHILD_EXPECT(pthread_create(&thread, NULL, use_in_fork, unused) == 0);
    CHILD_EXPECT(pthread_join(thread, NULL) == 0);
}

static void inside_fork_none_starts(void **state)
{
    (void)state;
    expect_success(use_first_in_fork, NULL);
}

static void *use_when_told(void *opaque)
{
    struct user *user = opaque;
    pthread_barrier_wait(&user->barrier);
    pthread_barrier_wait(&user->barrier);
    errno = 4242;
    call();
    leave_memory_unused();
    CHILD_EXPECT(errno == 4242);
    return NULL;
}

static void be_refused(void *unused)
{
    (void)unused;
    struct user user;
    pthread_barrier_init(&user.barrier, NULL, 2);
    CHILD_EXPECT(pthread_create(&user.thread, NULL, use_when_told, &user) == 0);
    pthread_barrier_wait(&user.barrier);
    refuse_threads();
    pthread_barrier_wait(&user.barrier);
    CHILD_EXPECT(pthread_join(user.thread, NULL) == 0);
    CHILD_EXPECT(tasks_now().helpers == 0);
    leave_memory_unused();
}

static void a_refused_thread_is_harmless(void **state)
{
    (void)state;
    char text[2048];
    int status = run_child(be_refused, NULL, text, sizeof text);
    skip_unless_refused(status);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x, text \"%s\"",
           (unsigned)status, text);
    EXPECT(text[0] == '\0', "text \"%s\"", text);
}

static void be_two_without(void *unused)
{
    (void)unused;
    struct user user;
    unsigned before = tasks_now().count;
    user_start(&user);
    CHILD_EXPECT(tasks_now().count <= before + 2); /* TSan has one, too. */
    CHILD_EXPECT(tasks_now().helpers == 0);
    leave_memory_unused();
    user_end(&user);
    CHILD_EXPECT(tasks_now().helpers == 0);
    CHILD_EXPECT(unused_bytes() > 1500000);
}

static void be_two_with_option_off(void *unused)
{
    options.idle_purge = false;
    be_two_without(unused);
}

static void be_two_with_memory_kept_for_ever(void *unused)
{
    options.dirty_decay_ms = -1;
    be_two_without(unused);
}

static void none_comes_where_nothing_is_to_be_done(void **state)
{
    (void)state;
    expect_success(be_two_with_option_off, NULL);
    expect_success(be_two_with_memory_kept_for_ever, NULL);
}

int main(int argument_count, char **arguments)
{
    own_path = arguments[0];
    if (argument_count > 1 && strcmp(arguments[1], word_two) == 0) {
        CHILD_EXPECT(start_allocator(NULL) == 0);
        be_two(NULL);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_of_one_thread_stays_so),
        cmocka_unit_test(the_second_user_brings_it_and_unused_memory_goes_back),
        cmocka_unit_test(muzzy_pages_go_back_too),
        cmocka_unit_test(in_a_clean_process_it_does_not_wake),
        cmocka_unit_test(when_one_user_is_left_it_cleans_up_and_ends_and_it_comes_again),
        cmocka_unit_test(it_keeps_no_process_alive),
        cmocka_unit_test(a_process_may_exit_at_any_moment),
        cmocka_unit_test(after_its_end_at_exit_none_comes),
        cmocka_unit_test(a_forked_child_has_none_until_it_has_two_users),
        cmocka_unit_test(inside_fork_none_starts),
        cmocka_unit_test(a_refused_thread_is_harmless),
        cmocka_unit_test(none_comes_where_nothing_is_to_be_done),
    };
    return cmocka_run_group_tests(tests, start_allocator, NULL);
}
