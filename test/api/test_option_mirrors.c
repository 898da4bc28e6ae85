/* test_option_mirrors.c: goal: every option of jemalloc 5.3.1 that is mirrored can be read under
 * opt.*, with its type, and shows its default and what it is set to.
 * Method: the 82 names, their sizes and defaults from the contract; this program runs itself again
 * with settings in the environment and reads them there. Names of features that this build lacks,
 * and keys without a mirror, answer ENOENT.
 */
#include "api_test.h"

#include <sys/wait.h>

enum mirror_type { BOOL, UNSIGNED, WIDE, TEXT, NONE };

struct mirror {
    const char *name;
    enum mirror_type type;
    int64_t initial;
    const char *text;
    const char *value; /* another one that can be set, and what it reads as */
    int64_t number;
};

static const struct mirror mirrors[] = {
    {"abort", BOOL, 0, NULL, "true", 1},
    {"abort_conf", BOOL, 0, NULL, "true", 1},
    {"cache_oblivious", BOOL, 0, NULL, "true", 1},
    {"trust_madvise", BOOL, 0, NULL, "true", 1},
    {"experimental_hpa_start_huge_if_thp_always", BOOL, 1, NULL, "false", 0},
    {"experimental_hpa_enforce_hugify", BOOL, 0, NULL, "true", 1},
    {"confirm_conf", BOOL, 0, NULL, "false", 0},
    {"hpa", BOOL, 0, NULL, "true", 1},
    {"hpa_slab_max_alloc", WIDE, 65536, NULL, "1", 4096},
    {"hpa_hugification_threshold", WIDE, 1992294, NULL, "9999999", 2097152},
    {"hpa_hugify_delay_ms", WIDE, 10000, NULL, "77", 77},
    {"hpa_hugify_sync", BOOL, 0, NULL, "true", 1},
    {"hpa_min_purge_interval_ms", WIDE, 5000, NULL, "0", 0},
    {"experimental_hpa_max_purge_nhp", WIDE, -1, NULL, "12", 12},
    {"hpa_purge_threshold", WIDE, 4096, NULL, "8192", 8192},
    {"hpa_min_purge_delay_ms", WIDE, 0, NULL, "5", 5},
    {"hpa_hugify_style", TEXT, 0, "lazy", "eager", 0},
    {"hpa_dirty_mult", UNSIGNED, 16384, NULL, "-1", UINT32_MAX},
    {"hpa_sec_nshards", WIDE, 2, NULL, "4", 4},
    {"hpa_sec_max_alloc", WIDE, 32768, NULL, "9", 4096},
    {"hpa_sec_max_bytes", WIDE, 262144, NULL, "1", 262144},
    {"hpa_sec_batch_fill_extra", WIDE, 3, NULL, "0", 1},
    {"huge_arena_pac_thp", BOOL, 0, NULL, "true", 1},
    {"metadata_thp", TEXT, 0, "disabled", "always", 0},
    {"retain", BOOL, 1, NULL, "false", 0},
    {"dss", TEXT, 0, "secondary", "primary", 0},
    {"narenas", UNSIGNED, -1, NULL, "7", 7},
    {"percpu_arena", TEXT, 0, "disabled", "disabled", 0},
    {"oversize_threshold", WIDE, 8388608, NULL, "0", 0},
    {"mutex_max_spin", WIDE, 600, NULL, "-1", -1},
    {"background_thread", BOOL, 0, NULL, "false", 0},
    {"max_background_threads", WIDE, 4, NULL, "0", 1},
    {"dirty_decay_ms", WIDE, 10000, NULL, "18446744073709551615", -1},
    {"muzzy_decay_ms", WIDE, 0, NULL, "0x10", 16},
    {"stats_print", BOOL, 0, NULL, "false", 0},
    {"stats_print_opts", TEXT, 0, "", "gJ", 0},
    {"stats_interval", WIDE, -1, NULL, "1000000000000", 1000000000000},
    {"stats_interval_opts", TEXT, 0, "", "gma", 0},
    {"junk", TEXT, 0, "false", "alloc", 0},
    {"zero", BOOL, 0, NULL, "true", 1},
    {"utrace", NONE, 0, NULL, NULL, 0},
    {"xmalloc", BOOL, 0, NULL, "true", 1},
    {"experimental_infallible_new", BOOL, 0, NULL, "true", 1},
    {"experimental_tcache_gc", BOOL, 1, NULL, "false", 0},
    {"tcache", BOOL, 1, NULL, "false", 0},
    {"tcache_max", WIDE, 32768, NULL, "99999", 32768},
    {"tcache_nslots_small_min", UNSIGNED, 20, NULL, "0", 1},
    {"tcache_nslots_small_max", UNSIGNED, 200, NULL, "9999", 2048},
    {"tcache_nslots_large", UNSIGNED, 20, NULL, "30", 30},
    {"lg_tcache_nslots_mul", WIDE, 1, NULL, "-16", -16},
    {"tcache_gc_incr_bytes", WIDE, 65536, NULL, "1", 1024},
    {"tcache_gc_delay_bytes", WIDE, 0, NULL, "5", 5},
    {"lg_tcache_flush_small_div", UNSIGNED, 1, NULL, "17", 16},
    {"lg_tcache_flush_large_div", UNSIGNED, 1, NULL, "0", 1},
    {"thp", TEXT, 0, "default", "never", 0},
    {"lg_extent_max_active_fit", WIDE, 6, NULL, "64", 64},
    {"prof", BOOL, 0, NULL, "false", 0},
    {"prof_prefix", TEXT, 0, "jeprof", "heap/of/mine", 0},
    {"prof_active", BOOL, 1, NULL, "false", 0},
    {"prof_thread_active_init", BOOL, 1, NULL, "false", 0},
    {"prof_bt_max", UNSIGNED, 128, NULL, "0", 1},
    {"lg_prof_sample", WIDE, 19, NULL, "99", 63},
    {"lg_prof_interval", WIDE, -1, NULL, "30", 30},
    {"prof_gdump", BOOL, 0, NULL, "true", 1},
    {"prof_final", BOOL, 0, NULL, "true", 1},
    {"prof_leak", BOOL, 0, NULL, "false", 0},
    {"prof_leak_error", BOOL, 0, NULL, "false", 0},
    {"prof_accum", BOOL, 0, NULL, "true", 1},
    {"prof_pid_namespace", BOOL, 0, NULL, "true", 1},
    {"prof_recent_alloc_max", WIDE, 0, NULL, "-1", -1},
    {"prof_stats", BOOL, 0, NULL, "true", 1},
    {"prof_sys_thread_name", BOOL, 0, NULL, "true", 1},
    {"prof_time_resolution", TEXT, 0, "default", "high", 0},
    {"lg_san_uaf_align", WIDE, -1, NULL, "13", 13},
    {"zero_realloc", TEXT, 0, "free", "alloc", 0},
    {"debug_double_free_max_scan", UNSIGNED, 0, NULL, "32", 32},
    {"disable_large_size_classes", BOOL, 1, NULL, "false", 0},
    {"process_madvise_max_batch", WIDE, 0, NULL, "1000000", 16},
    {"malloc_conf.symlink", NONE, 0, NULL, NULL, 0},
    {"malloc_conf.env_var", NONE, 0, NULL, NULL, 0},
    {"malloc_conf.global_var", NONE, 0, NULL, NULL, 0},
    {"malloc_conf.global_var_2_conf_harder", NONE, 0, NULL, NULL, 0},
};

enum { MIRRORS = sizeof mirrors / sizeof mirrors[0] };

static const size_t sizes[] = {sizeof(bool), sizeof(unsigned), sizeof(size_t), sizeof(char *), 8};

static int read_mirror(const struct mirror *mirror, void *value)
{
    char name[80];
    size_t length = sizes[mirror->type];
    (void)snprintf(name, sizeof name, "opt.%s", mirror->name);
    return mallctl(name, value, &length, NULL, 0);
}

union value {
    bool flag;
    unsigned narrow;
    int64_t wide;
    const char *text;
};

static int64_t number_in(const struct mirror *mirror, const union value *value)
{
    return mirror->type == BOOL       ? value->flag
           : mirror->type == UNSIGNED ? value->narrow
                                      : value->wide;
}

/* Whether the mirror shows this; a line when not. */
static bool shows(const struct mirror *mirror, const char *text, int64_t number)
{
    union value value = {.wide = 0};
    int result = read_mirror(mirror, &value);
    bool right = result == 0;
    if (right && mirror->type == TEXT) {
        right = strcmp(value.text, text) == 0;
    } else if (right) {
        right = number_in(mirror, &value) == number;
    }
    if (!right) {
        print_error("opt.%s: result %d, value %lld\n", mirror->name, result, (long long)value.wide);
    }
    return right;
}

static void defaults_are_those_of_the_contract(void **state)
{
    (void)state;
    bool right = true;
    assert_int_equal(MIRRORS, 82);
    for (unsigned i = 0; i < MIRRORS; i++) {
        int64_t value;
        if (mirrors[i].type == NONE) {
            EXPECT(read_mirror(&mirrors[i], &value) == ENOENT, "%s", mirrors[i].name);
        } else if (strcmp(mirrors[i].name, "narenas") != 0) {
            right = shows(&mirrors[i], mirrors[i].text, mirrors[i].initial) && right;
        }
    }
    assert_true(right);
}

static void a_wrong_size_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MIRRORS; i++) {
        char name[80];
        int64_t value[2];
        bool flag = true;
        size_t length = sizes[mirrors[i].type] + 1;
        (void)snprintf(name, sizeof name, "opt.%s", mirrors[i].name);
        if (mirrors[i].type != NONE) {
            EXPECT(mallctl(name, value, &length, NULL, 0) == EINVAL, "%s", name);
            EXPECT(mallctl(name, NULL, NULL, &flag, sizeof flag) == EPERM, "%s", name);
        }
    }
}

static void keys_without_a_mirror_have_none(void **state)
{
    (void)state;
    static const char *const names[] = {"opt.calloc_madvise_threshold",
                                        "opt.lg_tcache_max",
                                        "opt.tcache_ncached_max",
                                        "opt.bin_shards",
                                        "opt.slab_sizes",
                                        "opt.narenas_ratio",
                                        "opt.san_guard_small",
                                        "opt.san_guard_large",
                                        "opt.prof_log",
                                        "opt.prof_unbias",
                                        "opt.log",
                                        "opt.hpa_hugification_threshold_ratio",
                                        "opt.hpa_purge_threshold_ratio",
                                        "opt.malloc_conf",
                                        "opt.malloc_conf.nope",
                                        "opt.nope"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        int64_t value;
        size_t length = sizeof value;
        EXPECT(mallctl(names[i], &value, &length, NULL, 0) == ENOENT, "%s", names[i]);
    }
}

/* In the second run: every mirror shows what was set, and the text itself can be read. */
static int compare_with_settings(const char *conf)
{
    bool right = true;
    for (unsigned i = 0; i < MIRRORS; i++) {
        if (mirrors[i].type != NONE) {
            right = shows(&mirrors[i], mirrors[i].value, mirrors[i].number) && right;
        }
    }
    const char *text = NULL;
    size_t length = sizeof text;
    int result = mallctl("opt.malloc_conf.env_var", &text, &length, NULL, 0);
    if (result != 0 || strcmp(text, conf) != 0) {
        print_error("opt.malloc_conf.env_var: %d\n", result);
        right = false;
    }
    return right ? 0 : 1;
}

static void settings_are_shown(void **state)
{
    (void)state;
    static char conf[8192];
    size_t used = 0;
    if (LIBRARY_IS_PREFIXED) {
        skip();
    }
    for (unsigned i = 0; i < MIRRORS; i++) {
        if (mirrors[i].type != NONE) {
            used += (size_t)snprintf(conf + used, sizeof conf - used, "%s%s:%s", i > 0 ? "," : "",
                                     mirrors[i].name, mirrors[i].value);
        }
    }
    assert_true(used < sizeof conf);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setenv("MALLOC_CONF", conf, 1);
        (void)execl("/proc/self/exe", "test_option_mirrors", conf, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        return compare_with_settings(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_contract),
        cmocka_unit_test(a_wrong_size_is_refused),
        cmocka_unit_test(keys_without_a_mirror_have_none),
        cmocka_unit_test(settings_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
