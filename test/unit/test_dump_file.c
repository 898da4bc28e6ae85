/* test_dump_file.c: goal: a file is whole under its name, or not there; an older one stays until
 * then; names of devices, pipes and links are written to directly.
 * Method: a folder of its own; a limit of the file size in a child; names that are taken.
 */
#include "unit_check.h"

#include "profile/dump_file.h"

#include <dirent.h>
#include <sys/stat.h>

static char folder[] = "/tmp/test_dump_file_XXXXXX";
static char path[DUMP_PATH_BYTES];
enum { LINES = 10000 };

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.heap", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static bool write_lines(unsigned lines)
{
    if (!dump_file_open(path)) {
        return false;
    }
    for (unsigned i = 0; i < lines; i++) {
        dump_file_print("%05u", i);
        dump_file_put(" line\n", 6);
    }
    return dump_file_close();
}

/* How many files the folder has. */
static unsigned count_files(void)
{
    DIR *entries = opendir(folder);
    unsigned count = 0;
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(entries);
    return count;
}

static void expect_lines(unsigned lines)
{
    FILE *file = fopen(path, "r");
    char line[64];
    char expected[64];
    assert_non_null(file);
    for (unsigned i = 0; i < lines; i++) {
        snprintf(expected, sizeof expected, "%05u line\n", i);
        assert_non_null(fgets(line, sizeof line, file));
        assert_string_equal(line, expected);
    }
    assert_null(fgets(line, sizeof line, file));
    (void)fclose(file);
}

static void a_file_appears_when_it_is_whole(void **state)
{
    (void)state;
    char part[DUMP_PATH_BYTES];
    assert_true(dump_file_open(path));
    for (unsigned i = 0; i < LINES; i++) {
        dump_file_print("%05u line\n", i);
    }
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(count_files(), 1);
    assert_true(dump_file_close());
    expect_lines(LINES);
    /* One that a killed process left is in nobody's way. */
    snprintf(part, sizeof part, "%.4000s.%d.part", path, (int)getpid());
    (void)close(creat(part, 0444));
    assert_true(write_lines(10));
    expect_lines(10);
    assert_int_equal(count_files(), 1);
}

static void write_beyond_the_limit(void)
{
    struct rlimit limit = {50000, 50000};
    CHILD_EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHILD_EXPECT(!write_lines(LINES));
}

static void what_does_not_fit_leaves_the_older_file(void **state)
{
    (void)state;
    assert_true(write_lines(10));
    expect_good_end(run_in_child(write_beyond_the_limit));
    expect_lines(10);
    assert_int_equal(count_files(), 1);
    assert_int_equal(unlink(path), 0);
    expect_good_end(run_in_child(write_beyond_the_limit));
    assert_int_equal(count_files(), 0);
}

static void devices_and_links_are_written_to(void **state)
{
    (void)state;
    char target[sizeof folder + 8];
    struct stat status;
    snprintf(target, sizeof target, "%s/target", folder);
    assert_int_equal(symlink("target", path), 0);
    assert_true(write_lines(3));
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    expect_lines(3);
    assert_int_equal(unlink(target), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/full", path), 0);
    assert_false(write_lines(3));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_true(write_lines(LINES));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(count_files(), 0);
}

static void names_that_cannot_be_are_refused(void **state)
{
    (void)state;
    char usual[sizeof path];
    memcpy(usual, path, sizeof path);
    snprintf(path, sizeof path, "%s/missing/a.heap", folder);
    assert_false(write_lines(1));
    snprintf(path, sizeof path, "%s", folder);
    assert_false(write_lines(1));
    memset(path, 'x', sizeof path - 1);
    assert_false(write_lines(1));
    path[0] = '\0';
    assert_false(write_lines(1));
    memcpy(path, usual, sizeof path);
    /* A name that leaves no room for the suffix of the other one. */
    size_t used = strlen(folder);
    memset(path + used, 'x', 251);
    path[used] = '/';
    path[used + 250] = '\0';
    assert_true(write_lines(5));
    expect_lines(5);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(count_files(), 0);
    memcpy(path, usual, sizeof path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_appears_when_it_is_whole),
        cmocka_unit_test(what_does_not_fit_leaves_the_older_file),
        cmocka_unit_test(devices_and_links_are_written_to),
        cmocka_unit_test(names_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
