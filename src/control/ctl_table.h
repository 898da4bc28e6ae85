/* ctl_table.h: every control name, once, in the order of its MIB.
 *
 * NAME(path, type, reader, writer, argument)
 *
 * <i> in a path stands for an index, <o> for the name of an option: options have one row, and their
 * names and types come from options_table.h. Types: BOOLEAN UNSIGNED U32 U64 SIZE TEXT OPTION, and
 * NOTHING for names that only act, by their writer. A reader or writer of NULL makes the name
 * write-only or read-only. The argument goes to the reader: often the offset of a field.
 *
 * Names with one prefix stand together. No include guard: included once for each use.
 */
#define SUM(field) offsetof(struct statistics, field)
#define PAGES(field) offsetof(struct pages_view, field)
#define BIN(field) offsetof(struct bin_view, field)
NAME("version", TEXT, read_version, NULL, 0)
NAME("epoch", U64, read_snapshot, write_epoch, SUM(epoch))
NAME("dg.version", TEXT, read_version, NULL, 1)
NAME("thread.arena", UNSIGNED, read_thread_arena, write_thread_arena, 0)
NAME("thread.allocated", U64, read_thread_bytes, NULL, 0)
NAME("thread.deallocated", U64, read_thread_bytes, NULL, 1)
NAME("thread.tcache.enabled", BOOLEAN, read_cache_enabled, write_cache_enabled, 0)
NAME("thread.tcache.flush", NOTHING, NULL, act_cache_flush, 0)
NAME("opt.<o>", OPTION, read_option, NULL, 0)
NAME("arena.<i>.initialized", BOOLEAN, read_arena_initialized, NULL, 0)
NAME("arena.<i>.decay", NOTHING, NULL, act_arena_decay, 0)
NAME("arena.<i>.purge", NOTHING, NULL, act_arena_purge, 0)
NAME("arenas.narenas", UNSIGNED, read_arena_count, NULL, 0)
NAME("arenas.quantum", SIZE, read_argument, NULL, QUANTUM)
NAME("arenas.page", SIZE, read_argument, NULL, PAGE_BYTES)
NAME("arenas.hugepage", SIZE, read_argument, NULL, CHUNK_BYTES)
NAME("arenas.tcache_max", SIZE, read_argument, NULL, CACHED_SIZE_MAX)
NAME("arenas.nbins", UNSIGNED, read_argument, NULL, SMALL_CLASSES)
NAME("arenas.nhbins", UNSIGNED, read_argument, NULL, CACHED_CLASSES)
NAME("arenas.bin.<i>.size", SIZE, read_class_size, NULL, 0)
NAME("arenas.bin.<i>.nregs", U32, read_class_regions, NULL, 0)
NAME("arenas.bin.<i>.slab_size", SIZE, read_class_slab_size, NULL, 0)
NAME("arenas.nlextents", UNSIGNED, read_argument, NULL, CLASS_COUNT - SMALL_CLASSES)
NAME("arenas.lextent.<i>.size", SIZE, read_class_size, NULL, SMALL_CLASSES)
NAME("stats.allocated", SIZE, read_snapshot, NULL, SUM(allocated))
NAME("stats.active", SIZE, read_snapshot, NULL, SUM(active))
NAME("stats.metadata", SIZE, read_snapshot, NULL, SUM(metadata))
NAME("stats.resident", SIZE, read_snapshot, NULL, SUM(resident))
NAME("stats.mapped", SIZE, read_snapshot, NULL, SUM(mapped))
NAME("stats.retained", SIZE, read_snapshot, NULL, SUM(retained))
NAME("stats.zero_reallocs", SIZE, read_zero_reallocs, NULL, 0)
NAME("stats.arenas.<i>.nthreads", UNSIGNED, read_arena_threads, NULL, 0)
NAME("stats.arenas.<i>.pactive", SIZE, read_pages, NULL, PAGES(active_pages))
NAME("stats.arenas.<i>.pdirty", SIZE, read_pages, NULL, PAGES(dirty_pages))
NAME("stats.arenas.<i>.dirty_npurge", U64, read_pages, NULL, PAGES(purge_count))
NAME("stats.arenas.<i>.dirty_nmadvise", U64, read_pages, NULL, PAGES(purge_call_count))
NAME("stats.arenas.<i>.dirty_purged", U64, read_pages, NULL, PAGES(purged_pages))
NAME("stats.arenas.<i>.bins.<i>.nmalloc", U64, read_bin, NULL, BIN(counters.alloc_count))
NAME("stats.arenas.<i>.bins.<i>.ndalloc", U64, read_bin, NULL, BIN(counters.free_count))
NAME("stats.arenas.<i>.bins.<i>.nrequests", U64, read_bin_requests, NULL, 0)
NAME("stats.arenas.<i>.bins.<i>.curregs", SIZE, read_bin_regions, NULL, 0)
NAME("stats.arenas.<i>.bins.<i>.nfills", U64, read_bin, NULL, BIN(counters.fill_count))
NAME("stats.arenas.<i>.bins.<i>.nflushes", U64, read_bin, NULL, BIN(counters.flush_count))
NAME("stats.arenas.<i>.bins.<i>.nslabs", U64, read_bin, NULL, BIN(counters.slab_count))
NAME("stats.arenas.<i>.bins.<i>.nreslabs", U64, read_bin, NULL, BIN(counters.reslab_count))
NAME("stats.arenas.<i>.bins.<i>.curslabs", SIZE, read_bin, NULL, BIN(counters.current_slabs))
NAME("stats.arenas.<i>.bins.<i>.mutex.num_ops", U64, read_bin, NULL, BIN(lock_count))
NAME("stats.arenas.<i>.bins.<i>.mutex.num_wait", U64, read_bin, NULL, BIN(lock_wait_count))
NAME("stats.arenas.<i>.bins.<i>.mutex.num_spin_acq", U64, read_bin, NULL, BIN(lock_spin_count))
#undef SUM
#undef PAGES
#undef BIN
