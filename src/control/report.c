/* report.c: statistics as text, in jemalloc's order and wording. See report.h.
 *
 * It prints through the allocation-free printer, so it works when memory is refused and at exit.
 */
#include "control/report.h"

#include "base/print.h"
#include "base/text.h"
#include "config/options.h"
#include "control/ctl.h"
#include "control/ctl_values.h"
#include "control/statistics.h"

static void print_option(struct printer *printer, unsigned index)
{
    const struct option_row *row = option_row(index);
    const size_t mib[] = {0, CTL_OPTIONS + index};
    struct ctl_value value = {.type = CTL_OPTION};
    if (read_option(mib, 0, &value) != 0) {
        return;
    }
    if (value.type == CTL_TEXT) {
        print(printer, "  opt.%s: \"%s\"\n", option_name(row), value.text);
    } else if (value.type == CTL_BOOLEAN) {
        print(printer, "  opt.%s: %s\n", option_name(row), value.number != 0 ? "true" : "false");
    } else if (row->is_signed) {
        print(printer, "  opt.%s: %ld\n", option_name(row), (long)value.number);
    } else {
        print(printer, "  opt.%s: %zu\n", option_name(row), (size_t)value.number);
    }
}

static void print_general(struct printer *printer)
{
    print(printer, "Version: \"%s\"\n", ctl_version);
    print(printer, "Implementation: \"%s\"\n", ctl_dg_version);
    print(printer, "Run-time option settings\n");
    for (unsigned i = 0; option_row(i) != NULL; i++) {
        print_option(printer, i);
    }
    print(printer, "Arenas: %u\n", arena_count());
    print(printer, "Quantum size: %u\n", (unsigned)QUANTUM);
    print(printer, "Page size: %u\n", (unsigned)PAGE_BYTES);
    print(printer, "Maximum thread-cached size class: %u\n", (unsigned)CACHED_SIZE_MAX);
    print(printer, "Number of bin size classes: %u\n", (unsigned)SMALL_CLASSES);
    print(printer, "Number of thread-cache bin size classes: %u\n", (unsigned)CACHED_CLASSES);
    print(printer, "Number of large size classes: %u\n", (unsigned)(CLASS_COUNT - SMALL_CLASSES));
}

static void print_totals(struct printer *printer)
{
    struct statistics total = statistics_now();
    print(printer,
          "Allocated: %zu, active: %zu, metadata: %zu, resident: %zu, mapped: %zu, "
          "retained: %zu\n",
          total.allocated, total.active, total.metadata, total.resident, total.mapped,
          total.retained);
    print(printer, "Count of realloc(non-null-ptr, 0) calls: %zu\n",
          atomic_load_explicit(&statistics_zero_reallocs, memory_order_relaxed));
}

static void print_bins(struct printer *printer, struct arena *arena)
{
    print(printer,
          "bins:           size ind      allocated      nmalloc      ndalloc      curregs"
          "     curslabs regs       nfills     nflushes       nslabs     nreslabs   n_lock_ops"
          "    n_waiting\n");
    for (unsigned i = 0; i < SMALL_CLASSES; i++) {
        struct bin_view view = statistics_bin(arena, i);
        size_t size = class_size((uint8_t)i);
        if (view.counters.slab_count == 0) {
            continue;
        }
        size_t regions = view.counters.alloc_count - view.counters.free_count;
        print(printer,
              "%20zu %3u %14zu %12lu %12lu %12zu %12zu %4u %12lu %12lu %12lu %12lu %12lu"
              " %12lu\n",
              size, i, regions * size, view.counters.alloc_count, view.counters.free_count, regions,
              view.counters.current_slabs, slab_region_count((uint8_t)i), view.counters.fill_count,
              view.counters.flush_count, view.counters.slab_count, view.counters.reslab_count,
              view.lock_count, view.lock_wait_count);
    }
}

static void print_arena(struct printer *printer, unsigned index, bool with_bins)
{
    struct arena *arena = arena_get(index);
    struct pages_view pages = statistics_pages(arena);
    print(printer, "arenas[%u]:\n", index);
    print(printer, "assigned threads: %u\n",
          atomic_load_explicit(&arena->thread_count, memory_order_relaxed));
    print(printer, "active: %zu\n", pages.active_pages * PAGE_BYTES);
    print(printer, "dirty: %zu, sweeps: %lu, madvises: %lu, purged pages: %lu\n",
          pages.dirty_pages * PAGE_BYTES, pages.purge_count, pages.purge_call_count,
          pages.purged_pages);
    print(printer, "muzzy: %zu, sweeps: %lu, madvises: %lu, purged pages: %lu\n",
          pages.muzzy_pages * PAGE_BYTES, pages.muzzy_purge_count, pages.muzzy_purge_call_count,
          pages.muzzy_purged_pages);
    print(printer, "mapped: %zu\n", pages.chunk_pages * PAGE_BYTES);
    if (with_bins) {
        print_bins(printer, arena);
    }
}

static bool has_letter(const char *letters, char letter)
{
    return letters != NULL && letters[text_length_until(letters, letter)] != '\0';
}

void report_print(void (*write)(void *opaque, const char *text), void *opaque, const char *letters)
{
    struct printer printer;
    printer_init(&printer, write != NULL ? write : message_sink, opaque);
    statistics_refresh();
    print(&printer, "___ Begin jemalloc statistics ___\n");
    if (!has_letter(letters, 'g')) {
        print_general(&printer);
    }
    print_totals(&printer);
    for (unsigned i = 0; i < arena_count() && !has_letter(letters, 'a'); i++) {
        print_arena(&printer, i, !has_letter(letters, 'b'));
    }
    print(&printer, "--- End jemalloc statistics ---\n");
    print_flush(&printer);
}
