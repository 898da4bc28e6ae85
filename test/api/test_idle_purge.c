/* test_idle_purge.c: goal: a program with two threads that falls idle gives its memory back within
 * the decay time; with the option off it does not, and with one thread no thread of ours appears.
 * Method: the program runs itself again with a configuration. The scene frees some of 64 MiB and
 * then calls the allocator no more: it reads its resident pages by system calls until what was
 * freed has left them, but for what thread caches and half-empty slabs may hold. It must, so only a
 * hang fails the test. With the option off less is freed than the 1 MiB that stays in any case.
 */
#include "api_test.h"

#include <fcntl.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

enum {
    BLOCKS = 16384,
    BLOCK_BYTES = 4096,
    LIVE_FEW = 256,
    LIVE_MOST = BLOCKS - 192,
    HANG_SECONDS = 60,
    HELD_BYTES = 384 * 1024
};

static const char *own_path;

/* The second number of statm is in OS pages. */
static size_t resident_bytes(void)
{
    char text[128];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    (void)close(file);
    if (length <= 0) {
        _exit(90);
    }
    text[length] = '\0';
    return strtoull(strchr(text, ' '), NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static pthread_barrier_t barrier;

static void *second_thread(void *unused)
{
    free(malloc(100));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return unused;
}

static void fill(char **blocks)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i] == NULL) {
            blocks[i] = malloc(BLOCK_BYTES);
            memset(blocks[i], 1, BLOCK_BYTES);
        }
    }
}

static void free_from(char **blocks, unsigned first)
{
    for (unsigned i = first; i < BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
}

/* Twice, so that the allocator takes it for a program that swings, and keeps more. Result: how many
 * bytes were resident at the peak. */
static size_t fill_and_free(unsigned live)
{
    static char *blocks[BLOCKS];
    fill(blocks);
    free_from(blocks, live);
    fill(blocks);
    size_t peak = resident_bytes();
    free_from(blocks, live);
    return peak;
}

/* Whether a thread of this process has the helper's name. */
static bool helper_is_there(void)
{
    bool found = false;
    DIR *tasks = opendir("/proc/self/task");
    for (const struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        char path[300];
        char name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        int file = open(path, O_RDONLY);
        ssize_t length = file < 0 ? 0 : read(file, name, sizeof name - 1);
        found |= length > 0 && strcmp(name, "jemalloc_idle\n") == 0;
        (void)close(file);
    }
    closedir(tasks);
    return found;
}

static int fall_idle(bool goes, unsigned live)
{
    const size_t freed = (size_t)(BLOCKS - live) * BLOCK_BYTES;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, second_thread, NULL) != 0) {
        return 91;
    }
    pthread_barrier_wait(&barrier);
    size_t peak = fill_and_free(live);
    while (goes && resident_bytes() + freed > peak + HELD_BYTES) {
        usleep(10000);
    }
    if (!goes) {
        usleep(12 * 100000);
        if (resident_bytes() + HELD_BYTES < peak) {
            return 92;
        }
    }
    if (helper_is_there() != goes) {
        return 93;
    }
    pthread_barrier_wait(&barrier);
    return pthread_join(thread, NULL);
}

static int outcome_of(const char *expectation, unsigned live, const char *configuration)
{
    char number[16];
    snprintf(number, sizeof number, "%u", live);
    int status = -1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setenv("MALLOC_CONF", configuration, 1);
        (void)execl(own_path, own_path, expectation, number, (char *)NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void idle_memory_goes_back_when_asked_for(void **state)
{
    (void)state;
    assert_int_equal(outcome_of("goes", LIVE_FEW, "dirty_decay_ms:300,idle_purge:true"), 0);
    assert_int_equal(outcome_of("goes", LIVE_MOST, "dirty_decay_ms:100,idle_purge:true"), 0);
}

static void by_default_it_stays_and_no_thread_comes(void **state)
{
    (void)state;
    assert_int_equal(outcome_of("stays", LIVE_MOST, "dirty_decay_ms:100"), 0);
    assert_int_equal(outcome_of("stays", LIVE_MOST, "dirty_decay_ms:100,idle_purge:false"), 0);
}

static void the_option_can_be_read(void **state)
{
    (void)state;
    bool value = true;
    size_t length = sizeof value;
    assert_int_equal(mallctl("opt.idle_purge", &value, &length, NULL, 0), 0);
    assert_false(value);
}

int main(int argument_count, char **arguments)
{
    own_path = arguments[0];
    if (argument_count > 2) {
        (void)alarm(HANG_SECONDS);
        return fall_idle(strcmp(arguments[1], "goes") == 0,
                         (unsigned)strtoul(arguments[2], NULL, 10));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_memory_goes_back_when_asked_for),
        cmocka_unit_test(by_default_it_stays_and_no_thread_comes),
        cmocka_unit_test(the_option_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
