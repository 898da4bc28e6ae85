/* report.c: statistics as text, in jemalloc's order and wording. See report.h.
 *
 * It prints through the allocation-free printer, so it works when memory is refused and at exit.
 * Columns have the widths that jemalloc gives them; "(#/sec)" is the rate over the life of the
 * arena.
 */
#include "control/report.h"

#include "base/text.h"
#include "config/options.h"
#include "control/ctl.h"
#include "control/ctl_values.h"
#include "control/report_json.h"
#include "heap/shards.h"
#include "os/os.h"

#include <string.h>

enum { NS_PER_SECOND = 1000000000 };

bool report_shows(const char *letters, char letter)
{
    return letters == NULL || letters[text_length_until(letters, letter)] == '\0';
}

const char *report_thp_mode(void)
{
    static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
    char text[64];
    if (os_file_text(path, text, sizeof text)) {
        const char *chosen = text + text_length_until(text, '[');
        if (text_is_same_for(chosen, "[always]", 8)) {
            return "always";
        }
        if (text_is_same_for(chosen, "[madvise]", 9)) {
            return "default";
        }
        if (text_is_same_for(chosen, "[never]", 7)) {
            return "never";
        }
    }
    return "not supported";
}

/* The value of a control name, when there is such a name. */
static bool value_of(const char *name, struct ctl_value *value)
{
    size_t mib[CTL_DEPTH_MAX];
    size_t length = CTL_DEPTH_MAX;
    if (ctl_name_to_mib(name, mib, &length) != 0) {
        return false;
    }
    /* The last number is the row. */
    unsigned row = (unsigned)mib[length - 1];
    return ctl_has_value(row) && ctl_value(row, mib, value) == 0;
}

static void print_value(struct printer *printer, const struct ctl_value *value)
{
    if (value->type == CTL_TEXT) {
        print(printer, "\"%s\"", value->text);
    } else if (value->type == CTL_BOOLEAN) {
        print(printer, "%s", value->number != 0 ? "true" : "false");
    } else if (value->type == CTL_SSIZE) {
        print(printer, "%ld", (long)value->number);
    } else {
        print(printer, "%lu", value->number);
    }
}

/* Options that a program may override while it runs, and the names by which it does. */
static const char twins[][2][26] = {
    {"background_thread", "background_thread"},
    {"dirty_decay_ms", "arenas.dirty_decay_ms"},
    {"muzzy_decay_ms", "arenas.muzzy_decay_ms"},
    {"prof_active", "prof.active"},
    {"prof_thread_active_init", "prof.thread_active_init"},
    {"lg_prof_sample", "prof.lg_sample"},
};

static void print_twin(struct printer *printer, const char *option)
{
    struct ctl_value value;
    for (unsigned i = 0; i < sizeof twins / sizeof twins[0]; i++) {
        if (text_is_same(option, twins[i][0]) && value_of(twins[i][1], &value)) {
            print(printer, " (%s: ", twins[i][1]);
            print_value(printer, &value);
            print(printer, ")");
        }
    }
}

/* 16 bits before the point and 16 behind it, as decimals; all ones stand for -1. */
static void write_fraction(uint32_t number, char text[FRACTION_TEXT_BYTES])
{
    if (number == UINT32_MAX) {
        print_to_buffer(text, FRACTION_TEXT_BYTES, "-1");
        return;
    }
    print_to_buffer(text, FRACTION_TEXT_BYTES, "%u.", number >> 16);
    size_t length = strlen(text);
    uint32_t rest = number & 0xffff;
    do {
        rest *= 10;
        text[length++] = (char)('0' + (rest >> 16));
        rest &= 0xffff;
    } while (rest != 0);
    text[length] = '\0';
}

void report_adapt_option(const struct option_row *row, struct ctl_value *value,
                         char text[FRACTION_TEXT_BYTES])
{
    if (row->kind == OPTION_INTEGER && row->is_signed) {
        value->type = CTL_SSIZE;
    } else if (row->kind == OPTION_FRACTION) {
        write_fraction((uint32_t)value->number, text);
        value->type = CTL_TEXT;
        value->text = text;
    }
}

static void print_option(struct printer *printer, unsigned index)
{
    const struct option_row *row = option_row(index);
    const size_t mib[] = {0, CTL_OPTIONS + index};
    struct ctl_value value = {.type = CTL_OPTION};
    if (read_option(mib, 0, &value) != 0) {
        return;
    }
    char text[FRACTION_TEXT_BYTES];
    report_adapt_option(row, &value, text);
    print(printer, "  opt.%s: ", option_name(row));
    print_value(printer, &value);
    print_twin(printer, option_name(row));
    print(printer, "\n");
}

/* Each name that begins so, and has a value. */
static void print_names(struct printer *printer, const char *prefix)
{
    const size_t no_indices[CTL_DEPTH_MAX] = {0};
    for (unsigned row = 0; ctl_path(row) != NULL; row++) {
        struct ctl_value value;
        if (text_is_same_for(ctl_path(row), prefix, strlen(prefix)) && ctl_has_value(row) &&
            ctl_value(row, no_indices, &value) == 0) {
            print(printer, "  %s: ", ctl_path(row));
            print_value(printer, &value);
            print(printer, "\n");
        }
    }
}

static void print_source(struct printer *printer, const char *title, const char *text)
{
    if (text != NULL) {
        print(printer, "  %s: \"%s\"\n", title, text);
    }
}

static void print_general(struct printer *printer)
{
    print(printer, "Version: \"%s\"\n", ctl_version);
    print(printer, "Implementation: \"%s\"\n", ctl_dg_version);
    print(printer, "Build-time option settings\n");
    print_names(printer, "config.");
    print(printer, "System configuration\n");
    print(printer, "  system.thp_mode: \"%s\"\n", report_thp_mode());
    print(printer, "Run-time option settings\n");
    print_source(printer, "Global variable malloc_conf", option_source[1]);
    print_source(printer, "Symbolic link malloc.conf", option_source[2]);
    print_source(printer, "Environment variable MALLOC_CONF", option_source[3]);
    for (unsigned i = 0; option_row(i) != NULL; i++) {
        print_option(printer, i);
    }
    print(printer, "Profiling settings\n");
    print_names(printer, "prof.");
    struct ctl_value arenas;
    print(printer, "Arenas: %lu\n", value_of("arenas.narenas", &arenas) ? arenas.number : 0);
    print(printer, "Quantum size: %u\n", (unsigned)QUANTUM);
    print(printer, "Page size: %u\n", (unsigned)PAGE_BYTES);
    print(printer, "Hugepage size: %u\n", (unsigned)CHUNK_BYTES);
    struct ctl_value cached;
    print(printer, "Maximum thread-cached size class: %lu\n",
          value_of("arenas.tcache_max", &cached) ? cached.number : 0);
    print(printer, "Number of bin size classes: %u\n", (unsigned)SMALL_CLASSES);
    print(printer, "Number of thread-cache bin size classes: %lu\n",
          value_of("arenas.nhbins", &cached) ? cached.number : 0);
    print(printer, "Number of large size classes: %u\n", (unsigned)(CLASS_COUNT - SMALL_CLASSES));
}

/* How much of a number comes in a second. */
static uint64_t rate(uint64_t number, uint64_t uptime_ns)
{
    return uptime_ns < NS_PER_SECOND ? (uptime_ns == 0 ? 0 : number)
                                     : number / (uptime_ns / NS_PER_SECOND);
}

static void print_lock_heading(struct printer *printer)
{
    print(printer, "%16s%8s%16s%8s%16s%8s%16s%8s%16s%10s%16s%12s\n", "n_lock_ops", "(#/sec)",
          "n_waiting", "(#/sec)", "n_spin_acq", "(#/sec)", "n_owner_switch", "(#/sec)",
          "total_wait_ns", "(#/sec)", "max_wait_ns", "max_n_thds");
}

static void print_lock(struct printer *printer, const struct lock_counters *lock, uint64_t uptime)
{
    print(printer, "%16lu%8lu%16lu%8lu%16lu%8lu%16lu%8lu%16lu%10lu%16lu%12lu\n",
          lock->acquire_count, rate(lock->acquire_count, uptime), lock->sleep_count,
          rate(lock->sleep_count, uptime), lock->spin_count, rate(lock->spin_count, uptime),
          lock->owner_change_count, rate(lock->owner_change_count, uptime), lock->sleep_ns,
          rate(lock->sleep_ns, uptime), lock->sleep_max_ns, lock->sleepers_max);
}

/* A table of the locks whose names begin so: seven rows of the control names make a line. */
static void print_locks(struct printer *printer, const char *prefix, const size_t *mib,
                        uint64_t uptime)
{
    size_t length = strlen(prefix);
    print(printer, "%21s", "");
    print_lock_heading(printer);
    for (unsigned row = 0; ctl_path(row) != NULL; row++) {
        const char *name = ctl_path(row) + length;
        size_t name_length = text_length_until(name, '.');
        if (!text_is_same_for(ctl_path(row), prefix, length) || name[name_length] == '\0') {
            continue;
        }
        uint64_t counters[sizeof(struct lock_counters) / sizeof(uint64_t)] = {0};
        for (unsigned i = 0; i < sizeof counters / sizeof counters[0]; i++) {
            struct ctl_value value;
            counters[i] = ctl_value(row + i, mib, &value) == 0 ? value.number : 0;
        }
        struct lock_counters lock;
        memcpy(&lock, counters, sizeof lock);
        char title[24];
        (void)print_to_buffer(title, name_length + 1, "%s", name);
        print(printer, "%-21s", title);
        print_lock(printer, &lock, uptime);
        row += sizeof counters / sizeof counters[0] - 1;
    }
}

static uint64_t uptime_of_process(void)
{
    return statistics_number(&statistics_part(NULL)->uptime_ns);
}

static void print_totals(struct printer *printer, const char *letters)
{
    struct statistics total = statistics_now();
    print(printer,
          "Allocated: %lu, active: %lu, metadata: %lu (n_thp %lu, edata %lu, rtree %lu), "
          "resident: %lu, mapped: %lu, retained: %lu\n",
          total.allocated, total.active, total.metadata, total.metadata_huge_pages,
          total.metadata_descriptors, total.metadata_map, total.resident, total.mapped,
          total.retained);
    print(printer, "Count of realloc(non-null-ptr, 0) calls: %zu\n",
          atomic_load_explicit(&statistics_zero_reallocs, memory_order_relaxed));
    struct ctl_value threads = {.number = 0};
    struct ctl_value runs = {.number = 0};
    struct ctl_value interval = {.number = 0};
    if (value_of("stats.background_thread.num_threads", &threads) &&
        value_of("stats.background_thread.num_runs", &runs) &&
        value_of("stats.background_thread.run_interval", &interval)) {
        print(printer, "Background threads: %lu, num_runs: %lu, run_interval: %lu ns\n",
              threads.number, runs.number, interval.number);
    }
    if (report_shows(letters, 'x')) {
        const size_t mib[CTL_DEPTH_MAX] = {0};
        print_locks(printer, "stats.mutexes.", mib, uptime_of_process());
    }
}

static void print_gap(struct printer *printer, bool *in_gap, bool is_empty)
{
    if (!is_empty && *in_gap) {
        print(printer, "%20s ---\n", "");
    }
    *in_gap = is_empty;
}

/* The used part of what there is, in thousandths, as "1" or "0.625". */
static void utilization_text(char *text, size_t size_bytes, uint64_t used, uint64_t there)
{
    uint64_t part = there == 0 ? 1000 : used * 1000 / there;
    if (part >= 1000) {
        (void)print_to_buffer(text, size_bytes, "%s", part > 1000 ? " race" : "1");
    } else if (part == 0) {
        (void)print_to_buffer(text, size_bytes, "0");
    } else {
        (void)print_to_buffer(text, size_bytes, "0.%03lu", part);
        for (size_t i = strlen(text); text[i - 1] == '0'; i--) {
            text[i - 1] = '\0';
        }
    }
}

static void print_bin(struct printer *printer, unsigned index, const struct bin_statistics *bin,
                      uint64_t uptime)
{
    unsigned regions = slab_region_count((uint8_t)index);
    char utilization[8];
    utilization_text(utilization, sizeof utilization, bin->current_regions,
                     bin->current_slabs * regions);
    size_t size = class_size((uint8_t)index);
    print(printer, "%20zu%4u%13lu%13lu%8lu%13lu%8lu%13lu%10lu%9u%13lu%13lu%15lu%5u%4u%7s", size,
          index, bin->current_regions * size, bin->alloc_count, rate(bin->alloc_count, uptime),
          bin->free_count, rate(bin->free_count, uptime), bin->request_count,
          rate(bin->request_count, uptime), shards_count((uint8_t)index), bin->current_regions,
          bin->current_slabs, bin->queued_slabs, regions, slab_page_count((uint8_t)index),
          utilization);
    print(printer, "%13lu%8lu%13lu%8lu%13lu%13lu%8lu", bin->fill_count,
          rate(bin->fill_count, uptime), bin->flush_count, rate(bin->flush_count, uptime),
          bin->slab_count, bin->reslab_count, rate(bin->reslab_count, uptime));
}

static void print_bins(struct printer *printer, const struct arena_statistics *part,
                       const char *letters, uint64_t uptime)
{
    bool in_gap = false;
    print(printer, "bins:%15s%4s%13s%13s%8s%13s%8s%13s%10s%9s%13s%13s%15s%5s%4s%7s", "size", "ind",
          "allocated", "nmalloc", "(#/sec)", "ndalloc", "(#/sec)", "nrequests", "(#/sec)",
          "nshards", "curregs", "curslabs", "nonfull_slabs", "regs", "pgs", "util");
    print(printer, "%13s%8s%13s%8s%13s%13s%8s", "nfills", "(#/sec)", "nflushes", "(#/sec)",
          "nslabs", "nreslabs", "(#/sec)");
    if (report_shows(letters, 'x')) {
        print_lock_heading(printer);
    } else {
        print(printer, "\n");
    }
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        struct bin_statistics bin;
        struct lock_counters lock;
        statistics_copy(&bin, &part->bin[i], sizeof bin);
        statistics_copy(&lock, &part->bin_lock[i], sizeof lock);
        print_gap(printer, &in_gap, bin.slab_count == 0);
        if (bin.slab_count != 0) {
            print_bin(printer, i, &bin, uptime);
            if (report_shows(letters, 'x')) {
                print_lock(printer, &lock, uptime);
            } else {
                print(printer, "\n");
            }
        }
    }
    print_gap(printer, &in_gap, false);
}

static void print_large(struct printer *printer, const struct arena_statistics *part,
                        uint64_t uptime)
{
    bool in_gap = false;
    print(printer, "large:%14s%4s%13s%13s%8s%13s%8s%13s%8s%13s\n", "size", "ind", "allocated",
          "nmalloc", "(#/sec)", "ndalloc", "(#/sec)", "nrequests", "(#/sec)", "curlextents");
    for (unsigned i = 0; i < LARGE_CLASSES_COUNTED; i++) {
        struct large_statistics large;
        statistics_copy(&large, &part->large_class[i], sizeof large);
        bool is_empty = large.alloc_count == 0 && large.request_count == 0;
        print_gap(printer, &in_gap, is_empty);
        if (!is_empty) {
            size_t size = class_size((uint8_t)(SMALL_CLASSES + i));
            print(printer, "%20zu%4u%13lu%13lu%8lu%13lu%8lu%13lu%8lu%13lu\n", size,
                  SMALL_CLASSES + i, large.current_count * size, large.alloc_count,
                  rate(large.alloc_count, uptime), large.free_count, rate(large.free_count, uptime),
                  large.request_count, rate(large.request_count, uptime), large.current_count);
        }
    }
    print_gap(printer, &in_gap, false);
}

static size_t stretch_size(unsigned index)
{
    return index < 3 ? (index + 1) * (size_t)PAGE_BYTES
                     : class_size((uint8_t)(index - 3 + SMALL_CLASSES));
}

static void print_stretches(struct printer *printer, const struct arena_statistics *part)
{
    bool in_gap = false;
    print(printer, "extents:%12s%4s%13s%13s%13s%13s%13s%13s%13s%13s\n", "size", "ind", "ndirty",
          "dirty", "nmuzzy", "muzzy", "nretained", "retained", "ntotal", "total");
    for (unsigned i = 0; i < STRETCH_CLASSES; i++) {
        struct stretch_statistics stretch;
        statistics_copy(&stretch, &part->stretch[i], sizeof stretch);
        uint64_t count = 0;
        uint64_t bytes = 0;
        for (unsigned kind = 0; kind < STRETCH_KINDS; kind++) {
            count += stretch.count[kind];
            bytes += stretch.bytes[kind];
        }
        print_gap(printer, &in_gap, count == 0);
        if (count != 0) {
            print(printer, "%20zu%4u%13lu%13lu%13lu%13lu%13lu%13lu%13lu%13lu\n", stretch_size(i), i,
                  stretch.count[STAGE_DIRTY], stretch.bytes[STAGE_DIRTY],
                  stretch.count[STAGE_MUZZY], stretch.bytes[STAGE_MUZZY],
                  stretch.count[STRETCH_CLEAN], stretch.bytes[STRETCH_CLEAN], count, bytes);
        }
    }
    print_gap(printer, &in_gap, false);
}

static void print_stage(struct printer *printer, const char *name, int64_t decay_ms, uint64_t pages,
                        const struct stage_statistics *stage)
{
    if (decay_ms >= 0) {
        print(printer, "%9s%6ld", name, (long)decay_ms);
    } else {
        print(printer, "%9s%6s", name, "N/A");
    }
    print(printer, "%13lu%13lu%13lu%13lu\n", pages, stage->purge_count, stage->purge_call_count,
          stage->purged_pages);
}

static void print_sizes(struct printer *printer, const char *name,
                        const struct size_statistics *sizes, uint64_t uptime)
{
    print(printer, "%-21s%16lu%16lu%10lu%16lu%10lu%16lu%10lu%16lu%10lu%16lu%10lu\n", name,
          sizes->allocated, sizes->alloc_count, rate(sizes->alloc_count, uptime), sizes->free_count,
          rate(sizes->free_count, uptime), sizes->request_count, rate(sizes->request_count, uptime),
          sizes->fill_count, rate(sizes->fill_count, uptime), sizes->flush_count,
          rate(sizes->flush_count, uptime));
}

static void print_blocks(struct printer *printer, const struct arena_totals *totals,
                         uint64_t uptime)
{
    const struct size_statistics *small = &totals->small;
    const struct size_statistics *large = &totals->large;
    struct size_statistics both = {
        small->allocated + large->allocated,   small->alloc_count + large->alloc_count,
        small->free_count + large->free_count, small->request_count + large->request_count,
        small->fill_count + large->fill_count, small->flush_count + large->flush_count};
    print(printer, "%37s%16s%10s%16s%10s%16s%10s%16s%10s%16s%10s\n", "allocated", "nmalloc",
          "(#/sec)", "ndalloc", "(#/sec)", "nrequests", "(#/sec)", "nfill", "(#/sec)", "nflush",
          "(#/sec)");
    print_sizes(printer, "small:", small, uptime);
    print_sizes(printer, "large:", large, uptime);
    print_sizes(printer, "total:", &both, uptime);
    print(printer, "%37s\n", "");
}

static void print_bytes(struct printer *printer, const struct arena_totals *totals)
{
    const uint64_t none = 0;
    print(printer, "%-21s%16lu\n", "active:", totals->active_pages * PAGE_BYTES);
    print(printer, "%-21s%16lu\n", "mapped:", totals->mapped_bytes);
    print(printer, "%-21s%16lu\n", "retained:", totals->retained_bytes);
    print(printer, "%-21s%16lu\n", "base:", totals->base_bytes);
    print(printer, "%-21s%16lu\n", "internal:", none);
    print(printer, "%-21s%16lu\n", "metadata_edata:", totals->descriptor_bytes);
    print(printer, "%-21s%16lu\n", "metadata_rtree:", totals->map_bytes);
    print(printer, "%-21s%16lu\n", "metadata_thp:", totals->base_huge_pages);
    print(printer, "%-21s%16lu\n", "tcache_bytes:", totals->cached_bytes);
    print(printer, "%-21s%16lu\n", "tcache_stashed_bytes:", totals->stashed_bytes);
    print(printer, "%-21s%16lu\n", "resident:", totals->resident_bytes);
    print(printer, "%-21s%16lu\n", "abandoned_vm:", none);
    print(printer, "%-21s%16lu\n", "extent_avail:", totals->spare_descriptors);
}

static void print_hpa_sort(struct printer *printer, const char *sort, const struct hpa_slabs *slabs)
{
    print(printer,
          "  In %s slabs:\n"
          "      npageslabs: %lu huge, %lu nonhuge\n"
          "      nactive: %lu huge, %lu nonhuge \n"
          "      ndirty: %lu huge, %lu nonhuge \n"
          "      nretained: 0 huge, %lu nonhuge \n",
          sort, slabs->count[1], slabs->count[0], slabs->active_pages[1], slabs->active_pages[0],
          slabs->dirty_pages[1], slabs->dirty_pages[0],
          slabs->count[0] * CHUNK_PAGES - slabs->active_pages[0] - slabs->dirty_pages[0]);
}

static void print_hpa_list(struct printer *printer, unsigned list, const struct hpa_slabs *slabs)
{
    if (slabs->count[0] + slabs->count[1] > 0) {
        print(printer, "%20s%4u%16lu%16lu%16lu%20lu%20lu%20lu%20lu\n", "", list, slabs->count[1],
              slabs->active_pages[1], slabs->dirty_pages[1], slabs->count[0],
              slabs->active_pages[0], slabs->dirty_pages[0],
              slabs->count[0] * CHUNK_PAGES - slabs->active_pages[0] - slabs->dirty_pages[0]);
    }
}

static void print_hpa(struct printer *printer, const struct arena_statistics *part, uint64_t uptime)
{
    struct hpa_statistics hpa;
    statistics_copy(&hpa, &part->hpa, sizeof hpa);
    print(printer,
          "Bytes in small extent cache: 0\n"
          "HPA shard stats:\n"
          "  Purge passes: %lu (%lu / sec)\n"
          "  Purges: %lu (%lu / sec)\n"
          "  Hugeifies: %lu (%lu / sec)\n"
          "  Dehugifies: %lu (%lu / sec)\n\n",
          hpa.purge_passes, rate(hpa.purge_passes, uptime), hpa.purges, rate(hpa.purges, uptime),
          hpa.hugifies, rate(hpa.hugifies, uptime), hpa.dehugifies, rate(hpa.dehugifies, uptime));
    print_hpa_sort(printer, "full", &hpa.full);
    print_hpa_sort(printer, "empty", &hpa.empty);
    print(printer, "\n%20s%4s%16s%16s%16s%20s%20s%20s%20s\n", "size", "ind", "npageslabs_huge",
          "nactive_huge", "ndirty_huge", "npageslabs_nonhuge", "nactive_nonhuge", "ndirty_nonhuge",
          "nretained_nonhuge");
    for (unsigned i = 0; i < PAGE_HEAP_LISTS; i++) {
        print_hpa_list(printer, i, &hpa.nonfull[i]);
    }
    print(printer, "%20s ---\n", "");
}

static void print_part(struct printer *printer, const struct arena_statistics *part, size_t index,
                       const char *letters)
{
    struct arena_totals totals;
    int64_t decay_ms[STAGES];
    uint64_t uptime = statistics_number(&part->uptime_ns);
    statistics_copy(&totals, &part->totals, sizeof totals);
    statistics_copy(decay_ms, part->decay_ms, sizeof decay_ms);
    print(printer, "assigned threads: %lu\n", totals.thread_count);
    print(printer, "uptime: %lu\n", uptime);
    struct ctl_value dss = {.text = NULL};
    (void)read_arena_dss(&index, 0, &dss);
    print(printer, "dss allocation precedence: \"%s\"\n", dss.text);
    print(printer, "decaying:%6s%13s%13s%13s%13s\n", "time", "npages", "sweeps", "madvises",
          "purged");
    print_stage(printer, "dirty:", decay_ms[STAGE_DIRTY], totals.dirty_pages, &totals.stage[0]);
    print_stage(printer, "muzzy:", decay_ms[STAGE_MUZZY], totals.muzzy_pages, &totals.stage[1]);
    print_blocks(printer, &totals, uptime);
    print_bytes(printer, &totals);
    if (report_shows(letters, 'x')) {
        const size_t mib[CTL_DEPTH_MAX] = {0, 0, index};
        print_locks(printer, "stats.arenas.<i>.mutexes.", mib, uptime);
    }
    if (report_shows(letters, 'b')) {
        print_bins(printer, part, letters, uptime);
    }
    if (report_shows(letters, 'l')) {
        print_large(printer, part, uptime);
    }
    if (report_shows(letters, 'e')) {
        print_stretches(printer, part);
    }
    if (report_shows(letters, 'h')) {
        print_hpa(printer, part, uptime);
    }
}

/* Whether the first arena is the only one, and has a part, which is missing when memory for it was
 * refused. */
static bool one_arena_says_all(void)
{
    unsigned index = 0;
    const struct arena *first = arena_next(&index);
    return first != NULL && statistics_part(first) != NULL && arena_next(&index) == NULL;
}

/* The arena of an index may be gone by now. */
static void print_arena(struct printer *printer, unsigned index, const char *letters)
{
    struct arena *arena = arena_get(index);
    const struct arena_statistics *part = arena == NULL ? NULL : statistics_part(arena);
    if (part != NULL) {
        char name[ARENA_NAME_BYTES];
        arena_name(arena, name);
        print(printer, "arenas[%u]:\n", index);
        print(printer, "name: \"%s\"\n", name);
        print_part(printer, part, index, letters);
    }
}

static void print_text(struct printer *printer, const char *letters)
{
    print(printer, "___ Begin jemalloc statistics ___\n");
    if (report_shows(letters, 'g')) {
        print_general(printer);
    }
    print_totals(printer, letters);
    if (report_shows(letters, 'm') && !(report_shows(letters, 'a') && one_arena_says_all())) {
        print(printer, "Merged arenas stats:\n");
        print_part(printer, statistics_part(NULL), CTL_ALL_ARENAS, letters);
    }
    if (report_shows(letters, 'd') && statistics_destroyed() != NULL) {
        print(printer, "Merged destroyed arenas stats:\n");
        print_part(printer, statistics_destroyed(), CTL_DESTROYED, letters);
    }
    const struct arena *arena;
    for (unsigned i = 0; report_shows(letters, 'a') && (arena = arena_next(&i)) != NULL;) {
        print_arena(printer, arena->index, letters);
    }
    print(printer, "--- End jemalloc statistics ---\n");
}

void report_print(void (*write)(void *opaque, const char *text), void *opaque, const char *letters)
{
    struct printer printer;
    printer_init(&printer, write != NULL ? write : message_sink, opaque);
    (void)!ctl_start();
    (void)!statistics_refresh();
    if (report_shows(letters, 'J')) {
        print_text(&printer, letters);
    } else {
        report_json(&printer, letters);
    }
    print_flush(&printer);
}
