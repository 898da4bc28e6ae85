/* test_cpu_quota.c: goal: the CPU quota of the control groups is found in both versions, the least
 * of all groups up to the root, and whatever the files hold gives no fault.
 * Method: a folder that imitates /proc and /sys; the system's own files; each case is written anew.
 */
#include "unit_check.h"

#include "os/linux/cpu_quota.h"

#include <limits.h>
#include <sys/stat.h>

static char root[] = "/tmp/test_cpu_quota.XXXXXX";

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) != NULL ? 0 : -1;
}

/* Everything below the root goes, and it too. */
static void run(const char *format)
{
    char command[256];
    (void)snprintf(command, sizeof command, format, root);
    assert_int_equal(system(command), 0);
}

static int clear_root(void **state)
{
    (void)state;
    run("rm -rf %s/*");
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    run("rm -rf %s");
    return 0;
}

/* Writes a file below the root, and the folders that it needs. */
static void write_file(const char *name, const char *content)
{
    char path[1024];
    int length = snprintf(path, sizeof path, "%s/%s", root, name);
    assert_true(length > 0 && (size_t)length < sizeof path);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void no_files_are_no_quota(void **state)
{
    (void)state;
    errno = 77;
    assert_int_equal(cpu_quota(root), UINT_MAX);
    assert_int_equal(errno, 77);
    assert_true(cpu_quota("") >= 1);
    assert_int_equal(errno, 77);
}

static void the_quota_of_version_2_is_rounded_up(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned cpus;
    } cases[] = {
        {"max 100000\n", UINT_MAX},
        {"150000 100000\n", 2},
        {"200000 100000\n", 2},
        {"200001 100000\n", 3},
        {"1000 100000\n", 1},
        {"0 100000\n", 1},
        {"6400000 100000\n", 64},
        {"100000 0\n", UINT_MAX},
        {"100000\n", UINT_MAX},
        {"", UINT_MAX},
        {"x y\n", UINT_MAX},
        {"-1 5\n", UINT_MAX},
        {"99999999999999999999999999999999999999 1\n", UINT_MAX},
    };
    write_file("proc/self/cgroup", "0::/a/b\n");
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file("sys/fs/cgroup/a/b/cpu.max", cases[i].text);
        EXPECT(cpu_quota(root) == cases[i].cpus, "%s: %u", cases[i].text, cpu_quota(root));
    }
}

static void the_least_on_the_way_up_counts(void **state)
{
    (void)state;
    write_file("proc/self/cgroup", "0::/a/b/c\n");
    write_file("sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    write_file("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(cpu_quota(root), 8);
    write_file("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    assert_int_equal(cpu_quota(root), 3);
    /* The group of a container is what is mounted, and its name is the host's. */
    write_file("proc/self/cgroup", "0::/host/name/of/it\n");
    assert_int_equal(cpu_quota(root), UINT_MAX);
    write_file("sys/fs/cgroup/cpu.max", "500000 100000\n");
    assert_int_equal(cpu_quota(root), 5);
    write_file("proc/self/cgroup", "0::/\n");
    assert_int_equal(cpu_quota(root), 5);
}

static void the_quota_of_version_1_is_that_of_the_cpu_controller(void **state)
{
    (void)state;
    write_file("proc/self/cgroup",
               "9:cpuset:/x\n4:memory:/x\n3:cpuacct,cpu:/x/y\n1:name=systemd:/\n");
    write_file("sys/fs/cgroup/cpu/x/y/cpu.cfs_quota_us", "250000\n");
    write_file("sys/fs/cgroup/cpu/x/y/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cpu_quota(root), 3);
    write_file("sys/fs/cgroup/cpu/x/y/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(cpu_quota(root), UINT_MAX);
    write_file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
    assert_int_equal(cpu_quota(root), UINT_MAX);
    write_file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "50000\n");
    assert_int_equal(cpu_quota(root), 1);
    write_file("proc/self/cgroup", "3:cpuacct:/x/y\n2:cpuset:/\n");
    assert_int_equal(cpu_quota(root), UINT_MAX);
}

static void lines_of_any_length_are_survived(void **state)
{
    (void)state;
    static char text[8192];
    write_file("sys/fs/cgroup/cpu.max", "400000 100000\n");
    for (size_t length = 480; length < 540; length++) {
        memset(text, 'n', length);
        memcpy(text, "0::/", 4);
        memcpy(text + length, "\n0::/\n", sizeof "\n0::/\n");
        write_file("proc/self/cgroup", text);
        assert_int_equal(cpu_quota(root), 4);
    }
    memset(text, ':', sizeof text - 1);
    write_file("proc/self/cgroup", text);
    assert_int_equal(cpu_quota(root), UINT_MAX);
    write_file("proc/self/cgroup", "\n\n:\n::\n:::\n0:\n0::\n0:cpu\n0:cpu,\n0:cpu,:\n");
    assert_int_equal(cpu_quota(root), 4);
}

#define QUOTA_TEST(name) cmocka_unit_test_setup(name, clear_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(no_files_are_no_quota),
        QUOTA_TEST(the_quota_of_version_2_is_rounded_up),
        QUOTA_TEST(the_least_on_the_way_up_counts),
        QUOTA_TEST(the_quota_of_version_1_is_that_of_the_cpu_controller),
        QUOTA_TEST(lines_of_any_length_are_survived),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
