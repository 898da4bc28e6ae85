/* test_dump.c: goal: a profile is jemalloc's heap_v2 text, its counts are such that a reader's
 * scaling gives what the samples stand for, and it is whole or not there, whoever writes and
 * whoever samples meanwhile.
 * Method: tallies made by hand, and the text that follows from them; random sums, scaled as readers
 * do; a limit of the file size; hooks; storms of writers, samplers and forks.
 */
#include "unit_check.h"

#include "api/process.h"
#include "base/print.h"
#include "config/options.h"
#include "control/profiling.h"
#include "profile/draw.h"
#include "profile/dump.h"
#include "profile/dump_file.h"
#include "profile/sampler.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { PERIOD_LG = 19 };

static char folder[] = "/tmp/test_dump_XXXXXX";
static char path[sizeof folder + 32];
static char text[1 << 20];
static char told[1024];

static void hear(void *opaque, const char *message_text)
{
    (void)opaque;
    size_t used = strlen(told);
    snprintf(told + used, sizeof told - used, "%s", message_text);
}

static int start(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.heap", folder);
    assert_true(process_start());
    profiling_prepare();
    message_sink = hear;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void read_profile(const char *from)
{
    FILE *file = fopen(from, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    (void)fclose(file);
}

static struct sample_size sample_of(size_t usable, unsigned lg_period)
{
    return (struct sample_size){usable, usable, draw_weight(lg_period, usable), (uint8_t)lg_period};
}

static void the_text_is_that_of_heap_v2(void **state)
{
    (void)state;
    uintptr_t frames[] = {0x401000, 0x7f0000001234, 0x55};
    struct sample_size small = sample_of(64, PERIOD_LG);
    struct sample_size large = sample_of(1 << 20, PERIOD_LG);
    struct profiled_thread *one = tally_thread_begin();
    struct profiled_thread *two = tally_thread_begin();
    tally_thread_set_name(one, "main thread");
    struct tally *tallies[] = {tally_add(one, frames, 3, &small), tally_add(one, frames, 3, &small),
                               tally_add(two, frames, 3, &small)};
    assert_true(dump_write_to(path));
    read_profile(path);
    char expected[1024];
    char whole[1024];
    /* The head has its threads in any order. */
    char head_one[64];
    char head_two[64];
    snprintf(head_one, sizeof head_one, "  t%llu: 2: 128 [0: 0] main thread\n",
             (unsigned long long)one->number);
    snprintf(head_two, sizeof head_two, "  t%llu: 1: 64 [0: 0]\n", (unsigned long long)two->number);
    const char *format = "heap_v2/524288\n  t*: 3: 192 [0: 0]\n%s%s"
                         "@ 0x400fff 0x7f0000001234 0x55\n  t*: 3: 192 [0: 0]\n"
                         "  t%llu: 1: 64 [0: 0]\n  t%llu: 2: 128 [0: 0]\n\nMAPPED_LIBRARIES:\n";
    snprintf(expected, sizeof expected, format, head_one, head_two, (unsigned long long)two->number,
             (unsigned long long)one->number);
    snprintf(whole, sizeof whole, format, head_two, head_one, (unsigned long long)two->number,
             (unsigned long long)one->number);
    EXPECT(strncmp(text, expected, strlen(expected)) == 0 ||
               strncmp(text, whole, strlen(whole)) == 0,
           "another text: %.400s", text);
    /* Another trace; what is freed is gone. */
    for (unsigned i = 0; i < 3; i++) {
        tally_remove(tallies[i], &small);
    }
    tallies[0] = tally_add(two, frames + 2, 1, &large);
    assert_true(dump_write_to(path));
    read_profile(path);
    snprintf(expected, sizeof expected,
             "heap_v2/524288\n  t*: 1: 1048576 [0: 0]\n  t%llu: 1: 1048576 [0: 0]\n@ 0x54\n"
             "  t*: 1: 1048576 [0: 0]\n  t%llu: 1: 1048576 [0: 0]\n\nMAPPED_LIBRARIES:\n",
             (unsigned long long)two->number, (unsigned long long)two->number);
    assert_true(strncmp(text, expected, strlen(expected)) == 0);
    assert_non_null(strstr(text, "\nBUILD_IDS:\n"));
    tally_remove(tallies[0], &large);
    tally_thread_end(one);
    tally_thread_end(two);
    assert_true(dump_write_to(path));
    read_profile(path);
    assert_ptr_equal(strstr(text, "heap_v2/524288\n  t*: 0: 0 [0: 0]\n\nMAPPED_"), text);
}

static void add_sample(struct tally_sums *sums, size_t usable, unsigned lg_period)
{
    uint64_t weight = draw_weight(lg_period, usable);
    sums->objects++;
    sums->usable_bytes += usable;
    sums->weighted_objects += weight;
    sums->weighted_bytes += (uint64_t)(((unsigned __int128)weight * usable) >> WEIGHT_BITS);
}

/* Samples of one size, of any number, stand as they are. */
static void counts_of_one_size_are_those_sampled(void **state)
{
    (void)state;
    uint64_t random = unit_seed(11);
    for (unsigned round = 0; round < 3000; round++) {
        unsigned lg_period = (unsigned)(unit_random(&random) % 37);
        size_t usable = 8 + (unit_random(&random) >> (24 + unit_random(&random) % 36));
        unsigned count = 1 + (unsigned)(unit_random(&random) >> (53 + unit_random(&random) % 11));
        struct tally_sums sums = {.objects = 0};
        for (unsigned i = 0; i < count; i++) {
            add_sample(&sums, usable, lg_period);
        }
        struct dump_counts counts = dump_unbiased(&sums, lg_period);
        EXPECT(counts.objects == count && counts.bytes == count * usable,
               "%u of %zu bytes, 2^%u: %llu, %llu", count, usable, lg_period,
               (unsigned long long)counts.objects, (unsigned long long)counts.bytes);
    }
}

/* What a reader makes of the counts, against what the samples stand for: off by what rounding the
 * objects to a whole number costs, both alike. */
static void scaled_counts_are_what_samples_stand_for(void **state)
{
    (void)state;
    uint64_t random = unit_seed(12);
    for (unsigned round = 0; round < 3000; round++) {
        unsigned lg_period = (unsigned)(unit_random(&random) % 30);
        unsigned count = 2 + (unsigned)(unit_random(&random) % 200);
        struct tally_sums sums = {.objects = 0};
        for (unsigned i = 0; i < count; i++) {
            add_sample(&sums, 8 + (unit_random(&random) >> (38 + unit_random(&random) % 24)),
                       lg_period);
        }
        struct dump_counts counts = dump_unbiased(&sums, lg_period);
        double mean = (double)counts.bytes / (double)counts.objects;
        double scale = 1 / (1 - exp(-mean / ldexp(1, (int)lg_period)));
        double objects = (double)sums.weighted_objects / (1 << WEIGHT_BITS);
        double bytes = (double)sums.weighted_bytes;
        double allowed = 0.6 / (double)counts.objects + 0.001;
        double wrong_objects = fabs((double)counts.objects * scale / objects - 1);
        double wrong_bytes = fabs((double)counts.bytes * scale / bytes - 1);
        EXPECT(lg_period < 4 || (wrong_objects < allowed && wrong_bytes < allowed),
               "2^%u, %llu objects: off by %g, %g", lg_period, (unsigned long long)counts.objects,
               wrong_objects, wrong_bytes);
        assert_true(options_apply("prof_unbias:false"));
        counts = dump_unbiased(&sums, lg_period);
        assert_int_equal(counts.objects, sums.objects);
        assert_int_equal(counts.bytes, sums.usable_bytes);
        assert_true(options_apply("prof_unbias:true"));
    }
}

static void write_beyond_the_limit(void)
{
    struct rlimit limit = {2000, 2000};
    char prefix[64];
    CHILD_EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHILD_EXPECT(!dump_write_to(path) && told[0] == '\0');
    snprintf(prefix, sizeof prefix, "%s/x", folder);
    CHILD_EXPECT(dump_set_prefix(prefix) && !dump_write_unasked(DUMP_PEAK, NULL));
    CHILD_EXPECT(strcmp(told, "<jemalloc>: failed to write during heap profile flush\n") == 0);
    told[0] = '\0';
    snprintf(prefix, sizeof prefix, "%s/missing/x", folder);
    CHILD_EXPECT(dump_set_prefix(prefix) && !dump_write_unasked(DUMP_PEAK, NULL));
    char expected[128];
    snprintf(expected, sizeof expected, "<jemalloc>: failed to open \"%s.%d.1.u1.heap\"\n", prefix,
             (int)getpid());
    CHILD_EXPECT(strcmp(told, expected) == 0);
    told[0] = '\0';
    CHILD_EXPECT(dump_set_prefix("") && !dump_write_unasked(DUMP_PEAK, NULL));
    CHILD_EXPECT(!dump_write_next(DUMP_MANUAL) && told[0] == '\0');
    _exit(0);
}

static void what_cannot_be_written_is_one_line(void **state)
{
    (void)state;
    (void)unlink(path);
    expect_good_end(run_in_child(write_beyond_the_limit));
    assert_int_equal(rmdir(folder), 0); /* Nothing was left. */
    assert_int_equal(mkdir(folder, 0700), 0);
}

static unsigned hooked;
static char hooked_path[DUMP_PATH_BYTES];

/* It may write the next one itself. */
static void hook(const char *name)
{
    snprintf(hooked_path, sizeof hooked_path, "%s", name);
    free(malloc(100000));
    if (hooked++ == 0) {
        assert_true(dump_write_to(path));
    }
}

static void hooks_are_told_of_each_file(void **state)
{
    (void)state;
    char prefix[64];
    assert_null(dump_set_hook(hook));
    snprintf(prefix, sizeof prefix, "%s/h", folder);
    assert_true(dump_set_prefix(prefix));
    assert_true(dump_write_next(DUMP_MANUAL));
    assert_int_equal(hooked, 2);
    assert_string_equal(hooked_path, path);
    assert_true(dump_write_unasked(DUMP_INTERVAL, NULL));
    assert_int_equal(hooked, 3);
    assert_ptr_equal(strstr(hooked_path, prefix), hooked_path);
    assert_int_equal(unlink(hooked_path), 0);
    snprintf(hooked_path, sizeof hooked_path, "%s.%d.0.m0.heap", prefix, (int)getpid());
    assert_int_equal(unlink(hooked_path), 0);
    assert_false(dump_write_to("/dev/full"));
    assert_int_equal(hooked, 3);
    assert_ptr_equal(dump_set_hook(NULL), hook);
}

static void a_name_is_taken_from_the_same_row(void **state)
{
    (void)state;
    char prefix[64];
    char first[DUMP_PATH_BYTES];
    char second[DUMP_PATH_BYTES];
    snprintf(prefix, sizeof prefix, "%s/n", folder);
    assert_true(dump_set_prefix(prefix));
    assert_true(dump_take_name(DUMP_MANUAL, first));
    assert_true(dump_take_name(DUMP_MANUAL, second));
    assert_ptr_equal(strstr(first, prefix), first);
    assert_string_not_equal(first, second);
    assert_true(dump_set_prefix(""));
    assert_false(dump_take_name(DUMP_MANUAL, first));
    assert_true(dump_set_prefix(prefix));
}

/* Threads that sample and free, threads that write, and one that forks. */
enum { SAMPLERS = 3, WRITERS = 3, FILES_EACH = 40, FORKS = 20 };
static _Atomic bool is_over;

static void *sample(void *opaque)
{
    uint64_t random = (uintptr_t)opaque;
    struct profiled_thread *thread = tally_thread_begin();
    struct sample_size size = sample_of(4096, PERIOD_LG);
    while (!atomic_load(&is_over)) {
        uintptr_t frames[20];
        struct tally *tallies[50];
        for (unsigned i = 0; i < 50; i++) {
            for (unsigned j = 0; j < 20; j++) {
                frames[j] = 1 + unit_random(&random) % 2;
            }
            tallies[i] = tally_add(thread, frames, 6, &size);
        }
        for (unsigned i = 0; i < 50; i++) {
            tally_remove(tallies[i], &size);
        }
    }
    tally_thread_end(thread);
    return NULL;
}

/* Every trace of the file has its lines, and the file its end. */
static bool is_whole(const char *name)
{
    char line[4096];
    bool has_end = false;
    bool counted = true;
    FILE *file = fopen(name, "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL ||
        strcmp(line, "heap_v2/524288\n") != 0) {
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        has_end |= strcmp(line, "BUILD_IDS:\n") == 0;
        if (line[0] == '@' && !counted) {
            break;
        }
        counted = line[0] != '@';
    }
    (void)fclose(file);
    return has_end && counted;
}

static bool write_and_check(uintptr_t number)
{
    char own[sizeof folder + 32];
    snprintf(own, sizeof own, "%s/%d.%u", folder, (int)getpid(), (unsigned)number);
    bool is_good = dump_write_to(own) && is_whole(own);
    return unlink(own) == 0 && is_good;
}

static void *write_files(void *opaque)
{
    for (unsigned i = 0; i < FILES_EACH; i++) {
        if (!write_and_check((uintptr_t)opaque)) {
            return NULL;
        }
    }
    return opaque;
}

static void expect_good_forks(void)
{
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)alarm(60);
            _exit(write_and_check(9) ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static void storms_leave_whole_files(void **state)
{
    (void)state;
    pthread_t threads[SAMPLERS + WRITERS];
    for (uintptr_t i = 0; i < SAMPLERS + WRITERS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < SAMPLERS ? sample : write_files, (void *)(i + 1)),
            0);
    }
    expect_good_forks();
    for (uintptr_t i = SAMPLERS; i < SAMPLERS + WRITERS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_int_equal((uintptr_t)result, i + 1);
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < SAMPLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_that_of_heap_v2),
        cmocka_unit_test(counts_of_one_size_are_those_sampled),
        cmocka_unit_test(scaled_counts_are_what_samples_stand_for),
        cmocka_unit_test(what_cannot_be_written_is_one_line),
        cmocka_unit_test(hooks_are_told_of_each_file),
        cmocka_unit_test(a_name_is_taken_from_the_same_row),
        cmocka_unit_test(storms_leave_whole_files),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
