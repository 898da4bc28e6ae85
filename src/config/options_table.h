/* options_table.h: every key of MALLOC_CONF, once. Parser, mirror under opt.*, docs/options.md (by
 * tools/options_page), the fuzzer's dictionary and tests are made from these rows.
 *
 * BOOLEAN(name, default, flags, meaning)
 * INTEGER(name, C type, default, least, most, out of range: REFUSE, CLIP or CLIP_ABOVE, flags,
 *         unit, meaning)
 * FRACTION(name, default, most, flags, meaning)   in 1/65536; the field is that number
 * CHOICE(name, default, "value\0value\0", flags, meaning)   the field is the index of the value
 * LETTERS(name, flags, meaning)        letters of malloc_stats_print, each once
 * TEXT(name, default, flags, meaning)  the field says whether the text was given
 * CLASSES(name, C type, count, last size, most, flags, meaning)   a number for each size class
 * ABSENT(name, meaning)                a key that is refused, and why
 *
 * Flags: PLAIN; UNMIRRORED, without a name under opt.*; IDLE, accepted and without effect so far;
 * SHORT_KEY and SHORT_VALUE, matched by as many characters as are given; MINUS_ONE, -1 is a value.
 *
 * No include guard: the file is included once for each use of the table.
 */
BOOLEAN(abort, false, PLAIN, "Abort on warnings; the only one is that fork handlers are refused.")
BOOLEAN(abort_conf, false, PLAIN, "Abort when a configuration string has an error.")
BOOLEAN(confirm_conf, false, PLAIN, "Print every configuration source and every accepted pair.")
/* jemalloc's default is true. Off here: it costs each large block a page and its reuse, and this
 * allocator's blocks above 1 MiB are the only ones that start at the same place in a chunk. */
BOOLEAN(
    cache_oblivious, false, PLAIN,
    "Blocks above 32 KiB start at any cache line of a page, and have a page more than they need; "
    "jemalloc's default is true.")
BOOLEAN(trust_madvise, false, PLAIN,
        "Believe that purged pages read as zero; false: the first purge tries it on a page.")
BOOLEAN(retain, true, PLAIN, "Keep the address space of unused chunks; false: unmap them.")
CHOICE(dss, 2, "disabled\0primary\0secondary\0", SHORT_KEY | SHORT_VALUE,
       "New memory for blocks up to 1 MiB from sbrk(): not, before mmap, or when mmap refuses.")
INTEGER(narenas, unsigned, 0, 1, UINT32_MAX, CLIP_ABOVE, PLAIN, "",
        "Arenas that threads are spread over; `default` or left out: by narenas_ratio; at most "
        "4094.")
FRACTION(narenas_ratio, 4 << 16, UINT32_MAX, UNMIRRORED, "Automatic arenas for each CPU.")
CHOICE(percpu_arena, 0, "disabled\0percpu\0phycpu\0", SHORT_KEY | SHORT_VALUE,
       "Each CPU, or each core of two hardware threads, has an arena; narenas does not count.")
INTEGER(oversize_threshold, size_t, 8388608, 0, 0x7000000000000000, REFUSE, PLAIN, "bytes",
        "Blocks from this size on have an arena of their own, behind the automatic ones; below "
        "16384 (reads as 0): there is none.")
INTEGER(mutex_max_spin, int64_t, 600, -1, INT64_MAX, REFUSE, PLAIN, "",
        "Turns that a waiter spins before it sleeps, with a look at every third; -1: without end.")
BOOLEAN(background_thread, false, PLAIN,
        "Threads of ours give back what falls unused, and the program's threads leave that to "
        "them; from when more than a chunk is used, or more unused than the cap.")
INTEGER(max_background_threads, size_t, 4, 1, 4, CLIP, PLAIN, "",
        "How many of them at most; one for each arena.")
INTEGER(dirty_decay_ms, ssize_t, 10000, -1, 18446744072000, REFUSE, PLAIN, "ms",
        "Time until unused dirty pages are given back; -1: never, 0: at once.")
INTEGER(muzzy_decay_ms, ssize_t, 0, -1, 18446744072000, REFUSE, PLAIN, "ms",
        "Pages that leave that stage are left for the system to take when it needs memory "
        "(MADV_FREE), and given back for good after so long; -1: never, 0: at once.")
/* Not jemalloc's background_thread, which does all purging. With this one frees go on purging, and
 * a thread gives back what they left when the program falls idle. Off: a thread that a program did
 * not make may surprise it (docs/decisions/unused-memory.md). */
BOOLEAN(idle_purge, false, PLAIN,
        "In a program with several threads, one of ours gives back what falls idle. Not in "
        "jemalloc.")
INTEGER(lg_extent_max_active_fit, size_t, 6, 0, 64, REFUSE, IDLE, "",
        "How much larger an unused extent may be that is cut for a request.")
INTEGER(process_madvise_max_batch, size_t, 0, 0, 16, CLIP, PLAIN, "",
        "Stretches of pages that one system call (process_madvise, Linux 6.14) may give back; 0: "
        "one each.")
INTEGER(calloc_madvise_threshold, size_t, 8388608, 0, 0x7000000000000000, REFUSE, UNMIRRORED,
        "bytes",
        "From this size on calloc drops old pages rather than clear them; blocks above 1 MiB.")
CHOICE(metadata_thp, 0, "disabled\0auto\0always\0", SHORT_KEY | SHORT_VALUE,
       "Huge pages for the allocator's own memory: refused, wanted from 4 MiB on, or wanted.")
CHOICE(thp, 0, "default\0always\0never\0", SHORT_VALUE,
       "Huge pages for blocks: as the system decides, wanted, or refused.")
BOOLEAN(
    huge_arena_pac_thp, false, PLAIN,
    "Huge pages wanted for blocks from oversize_threshold on, where thp leaves it to the system.")
BOOLEAN(stats_print, false, PLAIN, "Print statistics at exit.")
LETTERS(stats_print_opts, PLAIN, "What stats_print leaves out, as malloc_stats_print takes it.")
INTEGER(stats_interval, int64_t, -1, -1, INT64_MAX, REFUSE, PLAIN, "bytes",
        "Print statistics each time that so many bytes were allocated; -1: never.")
LETTERS(stats_interval_opts, PLAIN, "What these leave out.")
CHOICE(junk, 0, "false\0true\0alloc\0free\0", PLAIN,
       "Fill fresh blocks with 0xa5 and freed ones with 0x5a.")
BOOLEAN(zero, false, PLAIN, "Fresh blocks read as zero.")
BOOLEAN(xmalloc, false, PLAIN, "Print a line and abort when memory is refused.")
BOOLEAN(experimental_infallible_new, false, PLAIN, "operator new aborts when memory is refused.")
CHOICE(zero_realloc, 1, "alloc\0free\0abort\0", PLAIN, "What realloc(p, 0) does.")
BOOLEAN(tcache, true, PLAIN, "Threads cache small blocks; false: each call goes to an arena.")
INTEGER(tcache_max, size_t, 32768, 0, 32768, CLIP, PLAIN, "bytes",
        "The largest block that threads cache.")
INTEGER(lg_tcache_max, size_t, 15, 0, 15, CLIP, UNMIRRORED, "",
        "The same as a power of two: sets tcache_max.")
INTEGER(lg_tcache_nslots_mul, ssize_t, 1, -16, 16, REFUSE, PLAIN, "",
        "Most blocks of a class in a cache, as a power of two times the regions of a slab. The "
        "defaults of these four mean: as many as the class is used for.")
INTEGER(tcache_nslots_small_min, unsigned, 20, 1, 2048, CLIP, PLAIN, "",
        "The least of that for small blocks.")
INTEGER(tcache_nslots_small_max, unsigned, 200, 1, 2048, CLIP, PLAIN, "",
        "The most of that for small blocks.")
INTEGER(tcache_nslots_large, unsigned, 20, 1, 2048, CLIP, PLAIN, "",
        "Cached blocks of a class from 16 KiB on.")
INTEGER(tcache_gc_incr_bytes, size_t, 65536, 1024, SIZE_MAX, CLIP, PLAIN, "bytes",
        "Bytes that go in and out of a cache between two looks for idle classes; the default: 256 "
        "batches.")
INTEGER(tcache_gc_delay_bytes, size_t, 0, 0, SIZE_MAX, CLIP, PLAIN, "bytes",
        "Such bytes for which idle classes are left alone after they gave something back.")
INTEGER(lg_tcache_flush_small_div, unsigned, 1, 1, 16, CLIP, PLAIN, "",
        "A full class keeps its blocks divided by this power of two; small blocks.")
INTEGER(lg_tcache_flush_large_div, unsigned, 1, 1, 16, CLIP, PLAIN, "",
        "The same for blocks from 16 KiB on.")
CLASSES(tcache_ncached_max, uint16_t, 41, 32768, 8191, UNMIRRORED,
        "Cached blocks by size class: first-last:count, with | between.")
BOOLEAN(experimental_tcache_gc, true, IDLE, "jemalloc's newer rule of when caches are looked at.")
CLASSES(
    bin_shards, uint8_t, 36, 14336, 64, UNMIRRORED,
    "Bins of a class in each arena, over which its threads are spread: first-last:count, with | "
    "between; 1 where nothing is set.")
CLASSES(
    slab_sizes, uint8_t, 36, 14336, 255, UNMIRRORED,
    "Pages of a slab, at most 64 and 512 regions: first-last:pages, with | between; or `default`.")
BOOLEAN(disable_large_size_classes, true, PLAIN,
        "Usable sizes from 16 KiB on are whole pages; false: those of the size classes.")
INTEGER(debug_double_free_max_scan, unsigned, 0, 0, UINT32_MAX, CLIP, PLAIN, "",
        "Blocks of its class, freed last in the thread, that free compares its block with; 0: one. "
        "jemalloc has it in debugging builds only, and else reads 0.")
INTEGER(san_guard_small, size_t, 0, 0, SIZE_MAX, CLIP, UNMIRRORED, "",
        "Guard pages around one in so many slabs; 0: none.")
INTEGER(san_guard_large, size_t, 0, 0, SIZE_MAX, CLIP, UNMIRRORED, "",
        "Guard pages around one in so many blocks above 32 KiB; 0: none.")
INTEGER(
    lg_san_uaf_align, ssize_t, -1, 12, 63, CLIP, MINUS_ONE, "",
    "Freed blocks up to 32 KiB at multiples of 2 to this are held back, and a write to one ends "
    "the program; -1: none.")
BOOLEAN(hpa, false, PLAIN,
        "The page heap makes dense chunks huge pages, by the keys that follow; decay times do not "
        "count then: huge-pages.md.")
INTEGER(hpa_slab_max_alloc, size_t, 65536, 4096, 2097152, CLIP, IDLE, "bytes",
        "The largest request that it serves.")
INTEGER(hpa_hugification_threshold, size_t, 1992294, 4096, 2097152, CLIP, PLAIN, "bytes",
        "Bytes in use from which on a chunk of 2 MiB is dense.")
FRACTION(hpa_hugification_threshold_ratio, 62259, 1 << 16, UNMIRRORED,
         "The same as a part of 2 MiB: sets hpa_hugification_threshold.")
INTEGER(hpa_hugify_delay_ms, uint64_t, 10000, 0, UINT64_MAX, CLIP, PLAIN, "ms",
        "Time that a chunk must be dense until it is made a huge page.")
BOOLEAN(hpa_hugify_sync, false, PLAIN,
        "Huge pages are made at once, by MADV_COLLAPSE; else when the system comes by.")
CHOICE(hpa_hugify_style, 0, "auto\0none\0eager\0lazy\0", SHORT_KEY | SHORT_VALUE,
       "Chunks become huge pages: never, when they come, or when dense; auto reads as lazy.")
INTEGER(hpa_min_purge_interval_ms, uint64_t, 5000, 0, UINT64_MAX, CLIP, PLAIN, "ms",
        "Least time between two purges.")
INTEGER(hpa_min_purge_delay_ms, uint64_t, 0, 0, UINT64_MAX, CLIP, PLAIN, "ms",
        "Time that a chunk must have had so many unused bytes before its purge.")
INTEGER(hpa_purge_threshold, size_t, 4096, 4096, 2097152, CLIP, PLAIN, "bytes",
        "Unused bytes from which on a chunk is purged.")
FRACTION(hpa_purge_threshold_ratio, 128, 1 << 16, UNMIRRORED,
         "The same as a part of 2 MiB: sets hpa_purge_threshold.")
FRACTION(hpa_dirty_mult, 16384, UINT32_MAX, MINUS_ONE,
         "Unused pages allowed, as a part of those in use; -1: any number.")
INTEGER(hpa_sec_nshards, size_t, 2, 0, SIZE_MAX, CLIP, IDLE, "",
        "Small extent caches; their number.")
INTEGER(hpa_sec_max_alloc, size_t, 32768, 4096, 32768, CLIP, IDLE, "bytes",
        "The largest extent that they hold.")
INTEGER(hpa_sec_max_bytes, size_t, 262144, 262144, SIZE_MAX, CLIP, IDLE, "bytes",
        "What each of them holds at most.")
INTEGER(hpa_sec_batch_fill_extra, size_t, 3, 1, 512, CLIP, IDLE, "",
        "Extents that a fill takes beyond the one that is wanted.")
BOOLEAN(experimental_hpa_start_huge_if_thp_always, true, IDLE, "Chunks start as huge pages.")
BOOLEAN(experimental_hpa_enforce_hugify, false, IDLE, "Asks for huge pages where it is not needed.")
INTEGER(experimental_hpa_max_purge_nhp, ssize_t, -1, -1, INT64_MAX, REFUSE, PLAIN, "",
        "Huge pages that one purge may break up; -1: any number.")
BOOLEAN(prof, false, PLAIN, "Sample allocations for heap profiles.")
TEXT(prof_prefix, "jeprof", PLAIN, "How the names of profiles begin.")
BOOLEAN(prof_active, true, PLAIN, "Sample from the start on.")
BOOLEAN(prof_thread_active_init, true, PLAIN, "Sample in new threads.")
INTEGER(prof_bt_max, unsigned, 128, 1, UINT32_MAX, CLIP, PLAIN, "", "Frames of a backtrace.")
INTEGER(lg_prof_sample, size_t, 19, 0, 63, CLIP, PLAIN, "",
        "Mean bytes between samples, as a power of two.")
BOOLEAN(prof_accum, false, PLAIN, "Profiles have sums since the start too.")
INTEGER(lg_prof_interval, ssize_t, -1, -1, 63, REFUSE, PLAIN, "",
        "Bytes between profiles that are written, as a power of two; -1: none.")
BOOLEAN(prof_gdump, false, PLAIN, "Write a profile at each new peak of memory.")
BOOLEAN(prof_final, false, PLAIN, "Write a profile at exit.")
BOOLEAN(prof_leak, false, PLAIN, "Report leaks at exit; sets prof.")
BOOLEAN(prof_leak_error, false, PLAIN, "Exit with an error after leaks; sets prof_leak.")
BOOLEAN(prof_log, false, UNMIRRORED, "Log samples from the start on.")
BOOLEAN(prof_pid_namespace, false, PLAIN, "Names of profiles have the number of the PID namespace.")
INTEGER(prof_recent_alloc_max, ssize_t, 0, -1, INT64_MAX, REFUSE, PLAIN, "",
        "Samples whose records are kept; -1: all.")
BOOLEAN(prof_stats, false, PLAIN, "Count samples by size class.")
BOOLEAN(prof_sys_thread_name, false, PLAIN, "Profiles have the system's names of threads.")
CHOICE(prof_time_resolution, 0, "default\0high\0", PLAIN,
       "The clock of the log: since the system's start, or since 1970.")
CHOICE(prof_unwind, 0, "auto\0fp\0dwarf\0", PLAIN,
       "How stacks are walked: by unwind tables, by frame pointers, or by libgcc. Not in jemalloc.")
BOOLEAN(prof_unbias, true, UNMIRRORED, "Samples stand for what they were drawn from.")
ABSENT(log, "Of builds with logging.")
ABSENT(utrace, "Of builds for BSD.")
ABSENT(hpa_sec_bytes_after_flush, "Gone in jemalloc 5.3.1; no error for abort_conf.")
ABSENT(lg_dirty_mult, "Gone in jemalloc 5; see dirty_decay_ms.")
