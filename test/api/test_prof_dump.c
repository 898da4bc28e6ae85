/* test_prof_dump.c: goal: heap profiles are written when and where the options and control names
 * say, and hold what the program has not freed; leaks are told at exit.
 * Method: this program runs itself again with options and the name of a task; the parent reads the
 * files that the child left in a folder of its own, and what it printed.
 */
#include "option_task.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

enum { SMALL = 100, SMALL_COUNT = 300, LARGE = 70000, LARGE_COUNT = 20, LARGE_USABLE = 73728 };

static char folder[] = "/tmp/test_prof_dump_XXXXXX";
static void *volatile kept[200000];
static unsigned kept_count;

/* Tasks of the child. */

static __attribute__((noinline)) void leak_small(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        kept[kept_count++] = malloc(SMALL);
    }
}

static __attribute__((noinline)) void leak_large(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        kept[kept_count++] = malloc(LARGE);
    }
}

static __attribute__((noinline)) void leak_one_page(void)
{
    for (unsigned i = 0; i < SMALL_COUNT; i++) {
        free(malloc(4096));
    }
    kept[kept_count++] = malloc(4096);
}

static int leak(void)
{
    leak_small(SMALL_COUNT);
    leak_large(LARGE_COUNT);
    leak_one_page();
    return 0;
}

/* What is printed late must arrive. */
static int leak_and_print(void)
{
    (void)setvbuf(stderr, NULL, _IOFBF, 4096);
    (void)fputs("later\n", stderr);
    return leak();
}

/* Both sizes by one trace. */
static int leak_mixture(void)
{
    for (unsigned i = 0; i < 80020; i++) {
        kept[kept_count++] = malloc(i % 4001 == 0 ? 1 << 20 : 16);
    }
    return 0;
}

/* 64 times what lg_prof_interval:20 names. */
static int allocate_64_mib(void)
{
    for (unsigned i = 0; i < 1024; i++) {
        free(malloc(64 << 10));
    }
    return 0;
}

/* Five peaks, and the way down and up again below the highest. */
static int climb(void)
{
    enum { STEPS = 5 };
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < STEPS; i++) {
            kept[i] = malloc(8 << 20);
        }
        for (unsigned i = 0; i < STEPS; i++) {
            free(kept[i]);
        }
    }
    return 0;
}

static int put(const char *name, const void *value, size_t length)
{
    char copy[sizeof(void *)];
    memcpy(copy, value, length);
    return mallctl(name, NULL, NULL, copy, length);
}

static int put_text(const char *name, const char *value)
{
    return put(name, &value, sizeof value);
}

static int climb_when_told(void)
{
    bool on = true;
    bool was = true;
    size_t length = sizeof was;
    int sum = mallctl("prof.gdump", &was, &length, &on, sizeof on);
    sum += was;
    (void)climb();
    on = false;
    sum += mallctl("prof.gdump", &was, &length, &on, sizeof on);
    sum += !was;
    kept[0] = malloc(400 << 20);
    return sum;
}

/* Each result as a digit: nothing is written where it must not be. */
static int try_names(void)
{
    const char *own = getenv("DUMP_FOLDER");
    char named[256];
    char missing[256];
    char prefix[256];
    void *value;
    size_t length = sizeof value;
    snprintf(named, sizeof named, "%s/named", own);
    snprintf(missing, sizeof missing, "%s/missing/x", own);
    snprintf(prefix, sizeof prefix, "%s/other", own);
    leak_small(SMALL_COUNT);
    bool is_right = put_text("prof.dump", named) == 0 && put_text("prof.dump", NULL) == 0 &&
                    mallctl("prof.dump", NULL, NULL, NULL, 0) == 0 &&
                    put_text("prof.dump", missing) == EFAULT &&
                    put_text("prof.dump", "/dev/full") == EFAULT &&
                    mallctl("prof.dump", &value, &length, NULL, 0) == EPERM &&
                    put("prof.dump", &own, 4) == EINVAL && put_text("prof.prefix", "") == 0 &&
                    put_text("prof.dump", NULL) == EFAULT && put_text("prof.dump", named) == 0 &&
                    put_text("prof.prefix", prefix) == 0 && put_text("prof.dump", NULL) == 0 &&
                    mallctl("prof.prefix", NULL, NULL, NULL, 0) == EINVAL &&
                    mallctl("prof.prefix", &value, &length, NULL, 0) == EPERM;
    return is_right ? 0 : 1;
}

/* In a process without prof:true there is nothing to write, until it samples. */
static int open_late(void)
{
    const char *own = getenv("DUMP_FOLDER");
    char named[256];
    bool on = true;
    uint64_t interval = 9;
    size_t length = sizeof interval;
    snprintf(named, sizeof named, "%s/late", own);
    bool is_right = put_text("prof.dump", named) == ENOENT &&
                    put_text("prof.prefix", own) == ENOENT &&
                    put("prof.gdump", &on, sizeof on) == ENOENT &&
                    mallctl("prof.interval", &interval, &length, NULL, 0) == 0 && interval == 0 &&
                    put("prof.active", &on, sizeof on) == 0;
    leak_small(SMALL_COUNT);
    return is_right && put_text("prof.dump", named) == 0 ? 0 : 1;
}

static volatile unsigned hook_count; /* compilers take it that malloc calls nothing here */
static char hook_path[256];

static void hook(const char *path)
{
    hook_count++;
    snprintf(hook_path, sizeof hook_path, "%s", path);
    if (strstr(path, ".i") != NULL) {
        free(malloc(4 << 20)); /* Makes none due: it is not sampled. */
    }
}

static int be_told(void)
{
    void (*function)(const char *) = hook;
    void (*before)(const char *) = hook;
    size_t length = sizeof before;
    if (mallctl("experimental.hooks.prof_dump", &before, &length, &function, sizeof function) !=
            0 ||
        before != NULL || put_text("prof.dump", NULL) != 0 || hook_count != 1 ||
        strstr(hook_path, ".0.m0.heap") == NULL) {
        return 1;
    }
    for (unsigned i = 0; i < 32; i++) {
        free(malloc(64 << 10));
    }
    unsigned count = hook_count;
    function = NULL;
    bool is_right = put("experimental.hooks.prof_dump", &function, sizeof function) == 0 &&
                    put_text("prof.dump", NULL) == 0 && hook_count == count;
    return is_right && count == 3 ? 0 : 2;
}

static int name_thread(void)
{
    leak_small(1);
    return put_text("thread.prof.name", "named thread");
}

/* Threads that allocate while files are due all the time, and forks. */
static void *churn(void *opaque)
{
    uint64_t random = (uintptr_t)opaque;
    for (unsigned i = 0; i < 3000; i++) {
        random = random * 6364136223846793005u + 1;
        void *block = malloc((random >> 33) % 5000 + 1);
        if (i % 300 == 0 && put_text("prof.dump", NULL) != 0) {
            abort();
        }
        free(block);
    }
    return NULL;
}

static int storm(void)
{
    enum { THREADS = 4, FORKS = 20 };
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) != 0) {
            return 1;
        }
    }
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            (void)alarm(60);
            (void)churn((void *)(uintptr_t)(i + 9));
            _exit(0);
        }
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            return 2;
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    return 0;
}

/* What the parent looks at. */

struct counts {
    unsigned long long objects, bytes, all_objects, all_bytes;
};

struct profile {
    unsigned long long period;
    struct counts whole;
    struct counts trace[64];
    unsigned trace_count;
    unsigned thread_lines;
    bool has_name;
    bool has_program;
    bool has_frames_of_program;
    bool has_end;
};

static bool take_counts(const char *line, const char *format, struct counts *counts)
{
    return sscanf(line, format, &counts->objects, &counts->bytes, &counts->all_objects,
                  &counts->all_bytes) == 4;
}

static void expect_sums(const struct profile *profile, unsigned long long thread_objects)
{
    unsigned long long objects = 0;
    unsigned long long bytes = 0;
    for (unsigned i = 0; i < profile->trace_count; i++) {
        objects += profile->trace[i].objects;
        bytes += profile->trace[i].bytes;
    }
    if (profile->period == 1) {
        EXPECT(objects == profile->whole.objects && bytes == profile->whole.bytes &&
                   thread_objects == objects,
               "%llu: %llu are not the sum", objects, bytes);
    }
}

/* Reads a file, each line of which must have its form and place. */
static struct profile read_profile(const char *path)
{
    static char line[1 << 16];
    struct profile profile = {.trace_count = 0};
    struct counts counts;
    unsigned long long head_objects = 0;
    uintptr_t first_frame[64] = {0};
    bool in_maps = false;
    FILE *file = fopen(path, "r");
    EXPECT(file != NULL, "%s: %s", path, strerror(errno));
    EXPECT(fgets(line, sizeof line, file) != NULL &&
               sscanf(line, "heap_v2/%llu", &profile.period) == 1 &&
               fgets(line, sizeof line, file) != NULL &&
               take_counts(line, "  t*: %llu: %llu [%llu: %llu]\n", &profile.whole),
           "%s begins otherwise: %s", path, line);
    while (!in_maps && fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '@') {
            first_frame[profile.trace_count] = strtoull(line + 2, NULL, 16);
            EXPECT(fgets(line, sizeof line, file) != NULL &&
                       take_counts(line, "  t*: %llu: %llu [%llu: %llu]\n",
                                   &profile.trace[profile.trace_count++]),
                   "%s: no counts of a trace: %s", path, line);
        } else if (line[0] == ' ') {
            EXPECT(take_counts(line, "  t%*u: %llu: %llu [%llu: %llu]", &counts), "%s: %s", path,
                   line);
            head_objects += profile.trace_count == 0 ? counts.objects : 0;
            profile.thread_lines++;
            profile.has_name |= strstr(line, "] named thread\n") != NULL;
        } else {
            EXPECT(strcmp(line, "\n") == 0 && fgets(line, sizeof line, file) != NULL &&
                       strcmp(line, "MAPPED_LIBRARIES:\n") == 0,
                   "%s: %s", path, line);
            in_maps = true;
        }
    }
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long long from;
        unsigned long long to;
        profile.has_end |= strcmp(line, "BUILD_IDS:\n") == 0;
        if (strstr(line, "/test_prof_dump") != NULL &&
            sscanf(line, "%llx-%llx r-xp", &from, &to) == 2) {
            profile.has_program = true;
            for (unsigned i = 0; i < profile.trace_count; i++) {
                profile.has_frames_of_program |= first_frame[i] >= from && first_frame[i] < to;
            }
        }
    }
    (void)fclose(file);
    expect_sums(&profile, head_objects);
    EXPECT(profile.has_program && profile.has_end, "%s: incomplete", path);
    return profile;
}

static const struct counts *find_trace(const struct profile *profile, unsigned long long objects,
                                       unsigned long long bytes)
{
    for (unsigned i = 0; i < profile->trace_count; i++) {
        if (profile->trace[i].objects == objects && profile->trace[i].bytes == bytes) {
            return &profile->trace[i];
        }
    }
    return NULL;
}

/* The files whose names end so; the last of them in found. All are read, if asked, and removed. */
static char found[sizeof folder + 300];
static unsigned take_files(const char *end, bool reads)
{
    DIR *entries = opendir(folder);
    unsigned count = 0;
    assert_non_null(entries);
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        size_t length = strlen(entry->d_name);
        if (length >= strlen(end) && entry->d_name[0] != '.' &&
            strcmp(entry->d_name + length - strlen(end), end) == 0) {
            snprintf(found, sizeof found, "%s/%s", folder, entry->d_name);
            if (reads) {
                (void)read_profile(found);
            }
            (void)unlink(found);
            count++;
        }
    }
    (void)closedir(entries);
    return count;
}

/* The only file whose name ends so, read and removed. */
static struct profile take_profile(const char *end)
{
    DIR *entries = opendir(folder);
    struct profile profile = {.trace_count = 0};
    unsigned count = 0;
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        size_t length = strlen(entry->d_name);
        if (length >= strlen(end) && strcmp(entry->d_name + length - strlen(end), end) == 0) {
            snprintf(found, sizeof found, "%s/%s", folder, entry->d_name);
            profile = read_profile(found);
            (void)unlink(found);
            count++;
        }
    }
    (void)closedir(entries);
    EXPECT(count == 1, "%u files end in %s; %s", count, end, heard);
    return profile;
}

static int run(const char *options, const char *task)
{
    char conf[1024];
    snprintf(conf, sizeof conf, "prof:true,prof_prefix:%s/a,%s", folder, options);
    return run_task(conf, task);
}

static void expect_run(const char *options, const char *task, int status)
{
    int is = run(options, task);
    EXPECT(WIFEXITED(is) && WEXITSTATUS(is) == status, "%s, %s: status 0x%x\n%s", options, task, is,
           heard);
}

static void the_last_profile_has_what_is_not_freed(void **state)
{
    (void)state;
    expect_run("lg_prof_sample:0,prof_final:true", "leak", 0);
    struct profile profile = take_profile(".0.f.heap");
    assert_string_equal(heard, "");
    assert_int_equal(profile.period, 1);
    assert_true(profile.has_frames_of_program);
    assert_non_null(find_trace(&profile, SMALL_COUNT, SMALL_COUNT * 112));
    assert_non_null(find_trace(&profile, LARGE_COUNT, LARGE_COUNT * LARGE_USABLE));
    assert_non_null(find_trace(&profile, 1, 4096));
    assert_null(find_trace(&profile, SMALL_COUNT, SMALL_COUNT * 4096));
    assert_int_equal(profile.whole.all_objects, 0);
    assert_int_equal(take_files("", false), 0);
    expect_run("lg_prof_sample:0", "leak", 0);
    assert_int_equal(take_files("", false), 0);
}

static void all_sums_are_kept_with_prof_accum(void **state)
{
    (void)state;
    expect_run("lg_prof_sample:0,prof_final:true,prof_accum:true", "leak", 0);
    struct profile profile = take_profile(".0.f.heap");
    const struct counts *small = find_trace(&profile, SMALL_COUNT, SMALL_COUNT * 112);
    assert_non_null(small);
    assert_int_equal(small->all_objects, SMALL_COUNT);
    /* Freed ones have their trace, too. */
    bool is_there = false;
    for (unsigned i = 0; i < profile.trace_count; i++) {
        is_there |= profile.trace[i].all_objects == SMALL_COUNT &&
                    profile.trace[i].all_bytes == SMALL_COUNT * 4096 &&
                    profile.trace[i].objects == 0;
    }
    assert_true(is_there);
    assert_true(profile.whole.all_objects > profile.whole.objects);
}

/* With the header's counts, which are exact here. */
static void leaks_are_told_at_exit(void **state)
{
    (void)state;
    char expected[512];
    expect_run("lg_prof_sample:0,prof_final:true,prof_leak:true", "leak", 0);
    struct profile profile = take_profile(".0.f.heap");
    snprintf(expected, sizeof expected,
             "<jemalloc>: Leak approximation summary: ~%llu bytes, ~%llu objects, >= %u contexts\n"
             "<jemalloc>: Run jeprof on dump output for leak detail\n",
             profile.whole.bytes, profile.whole.objects, profile.trace_count);
    assert_string_equal(heard, expected);
    /* Without the last profile there is nothing to tell. */
    expect_run("lg_prof_sample:0,prof_leak:true", "leak", 0);
    assert_string_equal(heard, "");
}

static void leaks_are_an_error_with_prof_leak_error(void **state)
{
    (void)state;
    expect_run("lg_prof_sample:0,prof_final:true,prof_leak_error:true", "leak_and_print", 1);
    const char *line =
        strstr(heard, "<jemalloc>: Exiting with error code because memory leaks were detected\n");
    assert_non_null(line);
    assert_true(strstr(heard, "Leak approximation summary: ~") < line);
    assert_non_null(strstr(heard, "later\n"));
    assert_int_equal(take_files(".0.f.heap", true), 1);
    /* Nothing is sampled, so nothing leaks. */
    expect_run("lg_prof_sample:60,prof_final:true,prof_leak_error:true", "leak", 0);
    assert_string_equal(heard, "");
    assert_int_equal(take_files(".0.f.heap", true), 1);
}

static void a_profile_comes_each_interval(void **state)
{
    (void)state;
    expect_run("lg_prof_sample:0,lg_prof_interval:20", "allocate_64_mib", 0);
    unsigned count = take_files(".heap", true);
    EXPECT(count >= 64 && count <= 66, "%u files", count);
    expect_run("lg_prof_sample:16,lg_prof_interval:22", "allocate_64_mib", 0);
    count = take_files(".heap", true);
    EXPECT(count >= 8 && count <= 32, "%u files, not about 16", count);
    expect_run("lg_prof_sample:0", "allocate_64_mib", 0);
    assert_int_equal(take_files("", false), 0);
}

static void a_profile_comes_at_each_peak(void **state)
{
    (void)state;
    expect_run("lg_prof_sample:0,prof_gdump:true", "climb", 0);
    unsigned count = take_files(".heap", true);
    EXPECT(count >= 5 && count <= 6, "%u files", count);
    expect_run("lg_prof_sample:0", "climb_when_told", 0);
    count = take_files(".u4.heap", true);
    EXPECT(count == 1, "no fifth peak");
    count += take_files(".heap", true);
    EXPECT(count >= 5 && count <= 6, "%u files", count);
}

static void names_are_as_told(void **state)
{
    (void)state;
    assert_int_equal(setenv("DUMP_FOLDER", folder, 1), 0);
    expect_run("lg_prof_sample:0", "try_names", 0);
    assert_string_equal(heard, "");
    char name[64];
    struct stat status;
    (void)take_profile(".0.m0.heap");
    (void)take_profile(".1.m1.heap");
    (void)take_profile(".2.m2.heap");
    assert_non_null(strstr(found, "/other."));
    struct profile profile = take_profile("named");
    assert_non_null(find_trace(&profile, SMALL_COUNT, SMALL_COUNT * 112));
    assert_int_equal(take_files("", false), 0);
    /* The number of the namespace stands before that of the process. */
    assert_int_equal(stat("/proc/self/ns/pid", &status), 0);
    snprintf(name, sizeof name, "/a.%llu.", (unsigned long long)status.st_ino);
    expect_run("lg_prof_sample:0,prof_final:true,prof_pid_namespace:true", "leak", 0);
    (void)take_profile(".0.f.heap");
    EXPECT(strstr(found, name) != NULL, "%s is not in %s", name, found);
    /* No prefix, no file. */
    expect_exit("prof:true,lg_prof_sample:0,prof_final:true,prof_gdump:true,lg_prof_interval:16,"
                "prof_prefix:",
                "leak", 0);
    assert_string_equal(heard, "");
}

static void what_cannot_be_opened_is_one_line(void **state)
{
    (void)state;
    char conf[512];
    snprintf(conf, sizeof conf, "prof:true,prof_final:true,prof_prefix:%s/missing/x", folder);
    expect_exit(conf, "leak", 0);
    assert_ptr_equal(strstr(heard, "<jemalloc>: failed to open \""), heard);
    assert_non_null(strstr(heard, "/missing/x."));
    assert_ptr_equal(strstr(heard, ".0.f.heap\"\n"), heard + strlen(heard) - 11);
    snprintf(conf, sizeof conf, "abort:true,prof:true,prof_final:true,prof_prefix:%s/missing/x",
             folder);
    expect_abort(conf, "leak", "<jemalloc>: failed to open \"");
}

static void profiles_can_be_written_once_sampling_was_turned_on(void **state)
{
    (void)state;
    expect_exit("prof:false,lg_prof_sample:0", "open_late", 0);
    struct profile profile = take_profile("late");
    assert_non_null(find_trace(&profile, SMALL_COUNT, SMALL_COUNT * 112));
}

static void hooks_are_told_of_files(void **state)
{
    (void)state;
    expect_run("lg_prof_sample:0,lg_prof_interval:20", "be_told", 0);
    assert_int_equal(take_files(".heap", true), 4);
}

static void threads_have_their_names(void **state)
{
    (void)state;
    expect_run("lg_prof_sample:0,prof_final:true", "name_thread", 0);
    assert_true(take_profile(".0.f.heap").has_name);
}

/* 80000 small blocks and 21 of a MiB: their mean is sampled as a whole, the small ones are not. */
static void mixtures_are_corrected_but_without_prof_unbias(void **state)
{
    (void)state;
    for (unsigned corrected = 0; corrected < 2; corrected++) {
        unsigned long long most = 0;
        expect_run(corrected != 0 ? "lg_prof_sample:12,prof_final:true"
                                  : "lg_prof_sample:12,prof_final:true,prof_unbias:false",
                   "leak_mixture", 0);
        struct profile profile = take_profile(".0.f.heap");
        for (unsigned i = 0; i < profile.trace_count; i++) {
            most = profile.trace[i].objects > most ? profile.trace[i].objects : most;
        }
        /* 333 samples; 80021 blocks of 291 bytes in the mean, of which 6.9 % are sampled. */
        EXPECT(corrected != 0 ? most > 3000 && most < 9000 : most > 200 && most < 500,
               "%llu objects", most);
    }
}

static void storms_leave_whole_files(void **state)
{
    (void)state;
    expect_run("lg_prof_sample:10,lg_prof_interval:18,prof_final:true", "storm", 0);
    assert_string_equal(heard, "");
    assert_true(take_files(".heap", true) > 100);
    assert_int_equal(take_files("", false), 0);
}

int main(int argc, char **argv)
{
    static const struct task tasks[] = {
        {"leak", NULL, leak},
        {"leak_and_print", NULL, leak_and_print},
        {"leak_mixture", NULL, leak_mixture},
        {"allocate_64_mib", NULL, allocate_64_mib},
        {"climb", NULL, climb},
        {"climb_when_told", NULL, climb_when_told},
        {"try_names", NULL, try_names},
        {"open_late", NULL, open_late},
        {"be_told", NULL, be_told},
        {"name_thread", NULL, name_thread},
        {"storm", NULL, storm},
    };
    begin_tasks(argc, argv, tasks, sizeof tasks / sizeof tasks[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_profile_has_what_is_not_freed),
        cmocka_unit_test(all_sums_are_kept_with_prof_accum),
        cmocka_unit_test(leaks_are_told_at_exit),
        cmocka_unit_test(leaks_are_an_error_with_prof_leak_error),
        cmocka_unit_test(a_profile_comes_each_interval),
        cmocka_unit_test(a_profile_comes_at_each_peak),
        cmocka_unit_test(names_are_as_told),
        cmocka_unit_test(what_cannot_be_opened_is_one_line),
        cmocka_unit_test(profiles_can_be_written_once_sampling_was_turned_on),
        cmocka_unit_test(hooks_are_told_of_files),
        cmocka_unit_test(threads_have_their_names),
        cmocka_unit_test(mixtures_are_corrected_but_without_prof_unbias),
        cmocka_unit_test(storms_leave_whole_files),
    };
    if (mkdtemp(folder) == NULL) {
        return 2;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)take_files("", false);
    (void)rmdir(folder);
    return failed;
}
