/* test_files.c: goal: files are made, written whole, renamed and removed; what fails is said and
 * raises no signal; memory that is gone is refused, not touched; errno stays.
 * Method: a folder of its own, a limit of the file size, a pipe without reader, pages without
 * access, a child that ends at exit.
 */
#include "unit_check.h"

#include "os/files.h"
#include "os/os.h"

#include <sys/stat.h>

static char folder[] = "/tmp/test_files_XXXXXX";
static char path[sizeof folder + 16];
static char other[sizeof folder + 16];

static int make_folder(void **state)
{
    (void)state;
    os_start();
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/one", folder);
    snprintf(other, sizeof other, "%s/two", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void files_are_written_and_renamed(void **state)
{
    (void)state;
    char text[8] = "";
    struct stat status;
    errno = 77;
    (void)umask(022);
    int file = os_file_create(path, true);
    assert_true(file >= 0);
    assert_int_equal(fcntl(file, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_true(os_file_write(file, "abc", 3));
    assert_true(os_file_close(file));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_int_equal(status.st_size, 3);
    assert_int_equal(os_file_create(path, true), -1);
    assert_true(os_file_rename(path, other));
    assert_false(os_file_rename(path, other));
    file = os_file_open(other);
    assert_int_equal(os_file_read(file, text, sizeof text), 3);
    assert_int_equal(os_file_read(file, text, sizeof text), 0);
    assert_string_equal(text, "abc");
    assert_false(os_file_write(file, "abc", 3));
    assert_true(os_file_close(file));
    assert_int_equal(os_file_read(file, text, sizeof text), -1);
    file = os_file_create(other, false);
    assert_true(os_file_close(file));
    assert_int_equal(stat(other, &status), 0);
    assert_int_equal(status.st_size, 0);
    os_file_remove(other);
    assert_int_equal(os_file_open(other), -1);
    assert_int_equal(errno, 77);
}

static void special_files_are_told(void **state)
{
    (void)state;
    assert_true(os_file_is_special("/dev/null"));
    assert_true(os_file_is_special(folder));
    assert_false(os_file_is_special(path));
    assert_int_equal(symlink("nowhere", path), 0);
    assert_true(os_file_is_special(path));
    os_file_remove(path);
    assert_true(os_file_close(os_file_create(path, true)));
    assert_false(os_file_is_special(path));
    os_file_remove(path);
}

/* Without the brackets each of these writes would end the process. */
static void write_to_where_nothing_arrives(void)
{
    static char much[64 * 1024];
    struct rlimit limit = {4096, 4096};
    int ends[2];
    CHILD_EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0 && pipe(ends) == 0);
    (void)close(ends[0]);
    uint64_t held = os_write_signals_hold();
    int file = os_file_create(path, true);
    CHILD_EXPECT(file >= 0 && !os_file_write(file, much, sizeof much));
    CHILD_EXPECT(!os_file_write(ends[1], much, 1));
    os_write_signals_release(held);
    os_file_remove(path);
    /* What the program holds itself stays held, and what it raised pending. */
    sigset_t pipe_only;
    sigset_t pending;
    sigset_t now;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigprocmask(SIG_BLOCK, &pipe_only, NULL);
    (void)raise(SIGPIPE);
    os_write_signals_release(os_write_signals_hold());
    CHILD_EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1);
    CHILD_EXPECT(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGPIPE) == 1);
    CHILD_EXPECT(sigismember(&now, SIGXFSZ) == 0);
}

static void writes_that_fail_raise_no_signal(void **state)
{
    (void)state;
    expect_good_end(run_in_child(write_to_where_nothing_arrives));
}

static void nothing(int signal)
{
    (void)signal;
}

/* A full pipe whose reader begins late, with signals meanwhile. */
static void write_through_signals(void)
{
    static char much[1 << 20];
    struct sigaction action = {.sa_handler = nothing};
    int ends[2];
    CHILD_EXPECT(sigaction(SIGUSR1, &action, NULL) == 0 && pipe(ends) == 0);
    pid_t writer = getpid();
    pid_t reader = fork();
    CHILD_EXPECT(reader >= 0);
    if (reader == 0) {
        size_t got = 0;
        ssize_t count;
        (void)close(ends[1]);
        while ((count = read(ends[0], much, 4096)) > 0) {
            got += (size_t)count;
            (void)kill(writer, SIGUSR1);
        }
        _exit(got == sizeof much ? 0 : 1);
    }
    CHILD_EXPECT(os_file_write(ends[1], much, sizeof much));
    (void)close(ends[1]);
    int status = -1;
    while (waitpid(reader, &status, 0) != reader) {
    }
    CHILD_EXPECT(status == 0);
}

static void interrupted_writes_go_on(void **state)
{
    (void)state;
    expect_good_end(run_in_child(write_through_signals));
}

static void memory_that_is_gone_is_refused(void **state)
{
    (void)state;
    char copy[16];
    char *page =
        mmap(NULL, 2 * os_page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 7, os_page_bytes);
    assert_int_equal(munmap(page + os_page_bytes, os_page_bytes), 0);
    assert_true(os_memory_read((uintptr_t)page, copy, sizeof copy));
    assert_int_equal(copy[15], 7);
    assert_false(os_memory_read((uintptr_t)page + os_page_bytes - 8, copy, sizeof copy));
    assert_false(os_memory_read(0, copy, sizeof copy));
    assert_int_equal(munmap(page, os_page_bytes), 0);
}

static void the_namespace_is_the_link_of_proc(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(stat("/proc/self/ns/pid", &status), 0);
    assert_int_equal(os_pid_namespace(), status.st_ino);
    assert_int_equal(os_process_id(), getpid());
}

static void end_with_3(void)
{
    os_exit(3);
}

/* What is in stdio's buffer at the end arrives. */
static void the_end_at_exit_has_the_status(void **state)
{
    (void)state;
    char text[8] = "";
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)atexit(end_with_3);
        (void)fputs("late", stdout);
        exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
#ifdef __GLIBC__
    assert_int_equal(read(ends[0], text, sizeof text - 1), 4);
    assert_string_equal(text, "late");
#endif
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_written_and_renamed),
        cmocka_unit_test(special_files_are_told),
        cmocka_unit_test(writes_that_fail_raise_no_signal),
        cmocka_unit_test(interrupted_writes_go_on),
        cmocka_unit_test(memory_that_is_gone_is_refused),
        cmocka_unit_test(the_namespace_is_the_link_of_proc),
        cmocka_unit_test(the_end_at_exit_has_the_status),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
