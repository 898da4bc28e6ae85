/* ctl_table.h: every control name, once, in the order of its MIB.
 *
 * NAME(path, type, reader, writer, argument)
 *
 * <i> in a path stands for an index, <o> for the name of an option: options have one row, and their
 * names and types come from options_table.h. Types: BOOLEAN UNSIGNED U32 U64 SIZE SSIZE TEXT
 * OPTION; NOTHING for names that only act, by their writer; CALL for those whose reader gets the
 * caller's buffers, because what it reads depends on what is written. A reader or writer of NULL
 * makes the name write-only or read-only. The argument goes to the reader and the writer: often the
 * offset of a field.
 *
 * Names with one prefix stand together. Each reader and writer stands in a list of ctl_values.h
 * too. No include guard: included once for each use.
 */
#define SUM(field) offsetof(struct statistics, field)
#define PART(field) offsetof(struct arena_statistics, field)
#define BIN(field) PART(bin[0].field)
#define LARGE(field) PART(large_class[0].field)
#define STRETCH(field) PART(stretch[0].field)
#define LOCK(field) offsetof(struct lock_counters, field)
/* The seven counters of a lock; `at` is where its counters are for the reader. */
#define LOCK_NAMES(path, read, at)                                                   \
    NAME(path ".num_ops", U64, read, NULL, (at) + LOCK(acquire_count))               \
    NAME(path ".num_wait", U64, read, NULL, (at) + LOCK(sleep_count))                \
    NAME(path ".num_spin_acq", U64, read, NULL, (at) + LOCK(spin_count))             \
    NAME(path ".num_owner_switch", U64, read, NULL, (at) + LOCK(owner_change_count)) \
    NAME(path ".total_wait_time", U64, read, NULL, (at) + LOCK(sleep_ns))            \
    NAME(path ".max_wait_time", U64, read, NULL, (at) + LOCK(sleep_max_ns))          \
    NAME(path ".max_num_thds", U32, read, NULL, (at) + LOCK(sleepers_max))
/* The six pages counters of slabs of one sort. */
#define SLAB(field) offsetof(struct hpa_slabs, field)
#define SLAB_NAMES(path, read, at)                                                \
    NAME(path ".npageslabs_nonhuge", SIZE, read, NULL, (at) + SLAB(count[0]))     \
    NAME(path ".npageslabs_huge", SIZE, read, NULL, (at) + SLAB(count[1]))        \
    NAME(path ".nactive_nonhuge", SIZE, read, NULL, (at) + SLAB(active_pages[0])) \
    NAME(path ".nactive_huge", SIZE, read, NULL, (at) + SLAB(active_pages[1]))    \
    NAME(path ".ndirty_nonhuge", SIZE, read, NULL, (at) + SLAB(dirty_pages[0]))   \
    NAME(path ".ndirty_huge", SIZE, read, NULL, (at) + SLAB(dirty_pages[1]))
/* What is counted of blocks of many sizes. */
#define SIZES_NAMES(path, field)                                             \
    NAME(path ".allocated", SIZE, read_part, NULL, PART(field.allocated))    \
    NAME(path ".nmalloc", U64, read_part, NULL, PART(field.alloc_count))     \
    NAME(path ".ndalloc", U64, read_part, NULL, PART(field.free_count))      \
    NAME(path ".nrequests", U64, read_part, NULL, PART(field.request_count)) \
    NAME(path ".nfills", U64, read_part, NULL, PART(field.fill_count))       \
    NAME(path ".nflushes", U64, read_part, NULL, PART(field.flush_count))
NAME("version", TEXT, read_version, NULL, 0)
NAME("epoch", U64, read_snapshot, write_epoch, SUM(epoch))
NAME("background_thread", BOOLEAN, read_background, write_background, 0)
NAME("max_background_threads", SIZE, read_background_limit, write_background_limit, 0)
NAME("dg.version", TEXT, read_version, NULL, 1)
NAME("thread.arena", UNSIGNED, read_thread_arena, write_thread_arena, 0)
NAME("thread.allocated", U64, read_thread_bytes, NULL, 0)
NAME("thread.deallocated", U64, read_thread_bytes, NULL, 1)
NAME("thread.allocatedp", SIZE, read_thread_counter, NULL, 0)
NAME("thread.deallocatedp", SIZE, read_thread_counter, NULL, 1)
NAME("thread.peak.read", U64, read_thread_peak, NULL, 0)
NAME("thread.peak.reset", NOTHING, NULL, act_reset_peak, 0)
NAME("thread.tcache.enabled", BOOLEAN, read_cache_enabled, write_cache_enabled, 0)
NAME("thread.tcache.flush", NOTHING, NULL, act_cache_flush, 0)
NAME("thread.tcache.max", SIZE, read_cache_limit, write_cache_limit, 0)
NAME("thread.tcache.ncached_max.read_sizeclass", CALL, call_read_slots, NULL, 0)
NAME("thread.tcache.ncached_max.write", CALL, call_write_slots, NULL, 0)
NAME("thread.prof.name", CALL, call_thread_prof_name, NULL, 0)
NAME("thread.prof.active", BOOLEAN, read_thread_prof_active, write_thread_prof_active, 0)
NAME("thread.idle", NOTHING, NULL, act_thread_idle, 0)
NAME("config.cache_oblivious", BOOLEAN, read_argument, NULL, false)
NAME("config.debug", BOOLEAN, read_argument, NULL, DG_DEBUG)
NAME("config.fill", BOOLEAN, read_argument, NULL, true)
NAME("config.lazy_lock", BOOLEAN, read_argument, NULL, false)
NAME("config.malloc_conf", TEXT, read_built_in_options, NULL, 0)
NAME("config.opt_safety_checks", BOOLEAN, read_argument, NULL, false)
NAME("config.prof", BOOLEAN, read_argument, NULL, true)
NAME("config.prof_libgcc", BOOLEAN, read_argument, NULL, true)
NAME("config.prof_libunwind", BOOLEAN, read_argument, NULL, false)
NAME("config.prof_frameptr", BOOLEAN, read_argument, NULL, false)
NAME("config.stats", BOOLEAN, read_argument, NULL, true)
NAME("config.utrace", BOOLEAN, read_argument, NULL, false)
NAME("config.xmalloc", BOOLEAN, read_argument, NULL, true)
NAME("tcache.create", CALL, call_cache_create, NULL, 0)
NAME("tcache.flush", CALL, call_cache_flush, NULL, 0)
NAME("tcache.destroy", CALL, call_cache_destroy, NULL, 0)
NAME("opt.<o>", OPTION, read_option, NULL, 0)
NAME("opt.malloc_conf.global_var", TEXT, read_option_source, NULL, 1)
NAME("opt.malloc_conf.symlink", TEXT, read_option_source, NULL, 2)
NAME("opt.malloc_conf.env_var", TEXT, read_option_source, NULL, 3)
NAME("opt.malloc_conf.global_var_2_conf_harder", TEXT, read_option_source, NULL, 4)
NAME("arena.<i>.initialized", BOOLEAN, read_arena_initialized, NULL, 0)
NAME("arena.<i>.decay", NOTHING, NULL, act_arena_decay, 0)
NAME("arena.<i>.purge", NOTHING, NULL, act_arena_purge, 0)
NAME("arena.<i>.reset", NOTHING, NULL, act_arena_reset, 0)
NAME("arena.<i>.destroy", NOTHING, NULL, act_arena_destroy, 0)
NAME("arena.<i>.dss", TEXT, read_arena_dss, write_arena_dss, 1)
NAME("arena.<i>.oversize_threshold", SIZE, read_arena_oversize, write_arena_oversize, 0)
NAME("arena.<i>.dirty_decay_ms", SSIZE, read_arena_decay, write_dirty_decay, STAGE_DIRTY)
NAME("arena.<i>.muzzy_decay_ms", SSIZE, read_arena_decay, write_muzzy_decay, STAGE_MUZZY)
NAME("arena.<i>.extent_hooks", CALL, call_arena_hooks, NULL, 0)
NAME("arena.<i>.retain_grow_limit", SIZE, read_arena_growth, write_arena_growth, 0)
NAME("arena.<i>.name", CALL, call_arena_name, NULL, 0)
NAME("arenas.narenas", UNSIGNED, read_arena_count, NULL, 0)
NAME("arenas.dirty_decay_ms", SSIZE, read_default_decay, write_default_dirty_decay, STAGE_DIRTY)
NAME("arenas.muzzy_decay_ms", SSIZE, read_default_decay, write_default_muzzy_decay, STAGE_MUZZY)
NAME("arenas.quantum", SIZE, read_argument, NULL, QUANTUM)
NAME("arenas.page", SIZE, read_argument, NULL, PAGE_BYTES)
NAME("arenas.hugepage", SIZE, read_argument, NULL, CHUNK_BYTES)
NAME("arenas.tcache_max", SIZE, read_default_cache_limit, NULL, 0)
NAME("arenas.nbins", UNSIGNED, read_argument, NULL, SMALL_CLASSES)
NAME("arenas.nhbins", UNSIGNED, read_cached_classes, NULL, 0)
NAME("arenas.bin.<i>.size", SIZE, read_class_size, NULL, 0)
NAME("arenas.bin.<i>.nregs", U32, read_class_regions, NULL, 0)
NAME("arenas.bin.<i>.slab_size", SIZE, read_class_slab_size, NULL, 0)
NAME("arenas.bin.<i>.nshards", U32, read_class_regions, NULL, 1)
NAME("arenas.nlextents", UNSIGNED, read_argument, NULL, CLASS_COUNT - SMALL_CLASSES)
NAME("arenas.lextent.<i>.size", SIZE, read_class_size, NULL, SMALL_CLASSES)
NAME("arenas.create", CALL, call_arena_create, NULL, 0)
NAME("arenas.lookup", CALL, call_arena_lookup, NULL, 0)
NAME("stats.allocated", SIZE, read_snapshot, NULL, SUM(allocated))
NAME("stats.active", SIZE, read_snapshot, NULL, SUM(active))
NAME("stats.metadata", SIZE, read_snapshot, NULL, SUM(metadata))
NAME("stats.metadata_edata", SIZE, read_snapshot, NULL, SUM(metadata_descriptors))
NAME("stats.metadata_rtree", SIZE, read_snapshot, NULL, SUM(metadata_map))
NAME("stats.metadata_thp", SIZE, read_snapshot, NULL, SUM(metadata_huge_pages))
NAME("stats.resident", SIZE, read_snapshot, NULL, SUM(resident))
NAME("stats.mapped", SIZE, read_snapshot, NULL, SUM(mapped))
NAME("stats.retained", SIZE, read_snapshot, NULL, SUM(retained))
NAME("stats.zero_reallocs", SIZE, read_zero_reallocs, NULL, 0)
NAME("stats.background_thread.num_threads", SIZE, read_snapshot, NULL, SUM(helpers.count))
NAME("stats.background_thread.num_runs", U64, read_snapshot, NULL, SUM(helpers.look_count))
NAME("stats.background_thread.run_interval", U64, read_snapshot, NULL, SUM(helpers.interval_ns))
LOCK_NAMES("stats.mutexes.background_thread", read_zero, 0)
LOCK_NAMES("stats.mutexes.max_per_bg_thd", read_zero, 0)
LOCK_NAMES("stats.mutexes.ctl", read_snapshot, SUM(control_lock))
LOCK_NAMES("stats.mutexes.prof", read_prof_lock, 0)
LOCK_NAMES("stats.mutexes.prof_thds_data", read_zero, 0)
LOCK_NAMES("stats.mutexes.prof_dump", read_zero, 0)
LOCK_NAMES("stats.mutexes.prof_recent_alloc", read_zero, 0)
LOCK_NAMES("stats.mutexes.prof_recent_dump", read_zero, 0)
LOCK_NAMES("stats.mutexes.prof_stats", read_zero, 0)
NAME("stats.mutexes.reset", NOTHING, NULL, act_reset_locks, 0)
NAME("stats.arenas.<i>.nthreads", UNSIGNED, read_part, NULL, PART(totals.thread_count))
NAME("stats.arenas.<i>.uptime", U64, read_part, NULL, PART(uptime_ns))
NAME("stats.arenas.<i>.dss", TEXT, read_arena_dss, NULL, 2)
NAME("stats.arenas.<i>.dirty_decay_ms", SSIZE, read_part, NULL, PART(decay_ms[STAGE_DIRTY]))
NAME("stats.arenas.<i>.muzzy_decay_ms", SSIZE, read_part, NULL, PART(decay_ms[STAGE_MUZZY]))
NAME("stats.arenas.<i>.pactive", SIZE, read_part, NULL, PART(totals.active_pages))
NAME("stats.arenas.<i>.pdirty", SIZE, read_part, NULL, PART(totals.dirty_pages))
NAME("stats.arenas.<i>.pmuzzy", SIZE, read_part, NULL, PART(totals.muzzy_pages))
NAME("stats.arenas.<i>.mapped", SIZE, read_part, NULL, PART(totals.mapped_bytes))
NAME("stats.arenas.<i>.retained", SIZE, read_part, NULL, PART(totals.retained_bytes))
NAME("stats.arenas.<i>.extent_avail", SIZE, read_part, NULL, PART(totals.spare_descriptors))
NAME("stats.arenas.<i>.dirty_npurge", U64, read_part, NULL, PART(totals.stage[0].purge_count))
NAME("stats.arenas.<i>.dirty_nmadvise", U64, read_part, NULL,
     PART(totals.stage[0].purge_call_count))
NAME("stats.arenas.<i>.dirty_purged", U64, read_part, NULL, PART(totals.stage[0].purged_pages))
NAME("stats.arenas.<i>.muzzy_npurge", U64, read_part, NULL, PART(totals.stage[1].purge_count))
NAME("stats.arenas.<i>.muzzy_nmadvise", U64, read_part, NULL,
     PART(totals.stage[1].purge_call_count))
NAME("stats.arenas.<i>.muzzy_purged", U64, read_part, NULL, PART(totals.stage[1].purged_pages))
NAME("stats.arenas.<i>.base", SIZE, read_part, NULL, PART(totals.base_bytes))
NAME("stats.arenas.<i>.internal", SIZE, read_zero, NULL, 0)
NAME("stats.arenas.<i>.metadata_edata", SIZE, read_part, NULL, PART(totals.descriptor_bytes))
NAME("stats.arenas.<i>.metadata_rtree", SIZE, read_part, NULL, PART(totals.map_bytes))
NAME("stats.arenas.<i>.metadata_thp", SIZE, read_part, NULL, PART(totals.base_huge_pages))
NAME("stats.arenas.<i>.tcache_bytes", SIZE, read_part, NULL, PART(totals.cached_bytes))
NAME("stats.arenas.<i>.tcache_stashed_bytes", SIZE, read_part, NULL, PART(totals.stashed_bytes))
NAME("stats.arenas.<i>.resident", SIZE, read_part, NULL, PART(totals.resident_bytes))
NAME("stats.arenas.<i>.abandoned_vm", SIZE, read_zero, NULL, 0)
NAME("stats.arenas.<i>.hpa_sec_bytes", SIZE, read_zero, NULL, 0)
NAME("stats.arenas.<i>.hpa_sec_hits", SIZE, read_zero, NULL, 0)
NAME("stats.arenas.<i>.hpa_sec_misses", SIZE, read_zero, NULL, 0)
NAME("stats.arenas.<i>.hpa_sec_dalloc_noflush", SIZE, read_zero, NULL, 0)
NAME("stats.arenas.<i>.hpa_sec_dalloc_flush", SIZE, read_zero, NULL, 0)
NAME("stats.arenas.<i>.hpa_sec_overfills", SIZE, read_zero, NULL, 0)
SIZES_NAMES("stats.arenas.<i>.small", totals.small)
SIZES_NAMES("stats.arenas.<i>.large", totals.large)
NAME("stats.arenas.<i>.bins.<i>.nmalloc", U64, read_bin, NULL, BIN(alloc_count))
NAME("stats.arenas.<i>.bins.<i>.ndalloc", U64, read_bin, NULL, BIN(free_count))
NAME("stats.arenas.<i>.bins.<i>.nrequests", U64, read_bin, NULL, BIN(request_count))
NAME("stats.arenas.<i>.bins.<i>.curregs", SIZE, read_bin, NULL, BIN(current_regions))
NAME("stats.arenas.<i>.bins.<i>.nfills", U64, read_bin, NULL, BIN(fill_count))
NAME("stats.arenas.<i>.bins.<i>.nflushes", U64, read_bin, NULL, BIN(flush_count))
NAME("stats.arenas.<i>.bins.<i>.nslabs", U64, read_bin, NULL, BIN(slab_count))
NAME("stats.arenas.<i>.bins.<i>.nreslabs", U64, read_bin, NULL, BIN(reslab_count))
NAME("stats.arenas.<i>.bins.<i>.curslabs", SIZE, read_bin, NULL, BIN(current_slabs))
NAME("stats.arenas.<i>.bins.<i>.nonfull_slabs", SIZE, read_bin, NULL, BIN(queued_slabs))
LOCK_NAMES("stats.arenas.<i>.bins.<i>.mutex", read_bin_lock, PART(bin_lock[0]))
NAME("stats.arenas.<i>.lextents.<i>.nmalloc", U64, read_large, NULL, LARGE(alloc_count))
NAME("stats.arenas.<i>.lextents.<i>.ndalloc", U64, read_large, NULL, LARGE(free_count))
NAME("stats.arenas.<i>.lextents.<i>.nrequests", U64, read_large, NULL, LARGE(request_count))
NAME("stats.arenas.<i>.lextents.<i>.curlextents", SIZE, read_large, NULL, LARGE(current_count))
NAME("stats.arenas.<i>.extents.<i>.ndirty", SIZE, read_stretch, NULL, STRETCH(count[STAGE_DIRTY]))
NAME("stats.arenas.<i>.extents.<i>.nmuzzy", SIZE, read_stretch, NULL, STRETCH(count[STAGE_MUZZY]))
NAME("stats.arenas.<i>.extents.<i>.nretained", SIZE, read_stretch, NULL,
     STRETCH(count[STRETCH_CLEAN]))
NAME("stats.arenas.<i>.extents.<i>.dirty_bytes", SIZE, read_stretch, NULL,
     STRETCH(bytes[STAGE_DIRTY]))
NAME("stats.arenas.<i>.extents.<i>.muzzy_bytes", SIZE, read_stretch, NULL,
     STRETCH(bytes[STAGE_MUZZY]))
NAME("stats.arenas.<i>.extents.<i>.retained_bytes", SIZE, read_stretch, NULL,
     STRETCH(bytes[STRETCH_CLEAN]))
LOCK_NAMES("stats.arenas.<i>.mutexes.large", read_part, PART(lock[SHOWN_HUGE]))
LOCK_NAMES("stats.arenas.<i>.mutexes.extent_avail", read_part, PART(lock[SHOWN_MAP]))
LOCK_NAMES("stats.arenas.<i>.mutexes.extents_dirty", read_part, PART(lock[SHOWN_PAGES]))
LOCK_NAMES("stats.arenas.<i>.mutexes.extents_muzzy", read_zero, 0)
LOCK_NAMES("stats.arenas.<i>.mutexes.extents_retained", read_part, PART(lock[SHOWN_POOL]))
LOCK_NAMES("stats.arenas.<i>.mutexes.decay_dirty", read_zero, 0)
LOCK_NAMES("stats.arenas.<i>.mutexes.decay_muzzy", read_zero, 0)
LOCK_NAMES("stats.arenas.<i>.mutexes.base", read_part, PART(lock[SHOWN_META]))
LOCK_NAMES("stats.arenas.<i>.mutexes.tcache_list", read_part, PART(lock[SHOWN_THREADS]))
LOCK_NAMES("stats.arenas.<i>.mutexes.hpa_shard", read_zero, 0)
LOCK_NAMES("stats.arenas.<i>.mutexes.hpa_shard_grow", read_zero, 0)
LOCK_NAMES("stats.arenas.<i>.mutexes.hpa_sec", read_zero, 0)
NAME("stats.arenas.<i>.hpa_shard.npageslabs", SIZE, read_part, NULL, PART(hpa.chunk_count))
NAME("stats.arenas.<i>.hpa_shard.nactive", SIZE, read_part, NULL, PART(hpa.active_pages))
NAME("stats.arenas.<i>.hpa_shard.ndirty", SIZE, read_part, NULL, PART(hpa.dirty_pages))
SLAB_NAMES("stats.arenas.<i>.hpa_shard.slabs", read_part, PART(hpa.all))
NAME("stats.arenas.<i>.hpa_shard.npurge_passes", U64, read_part, NULL, PART(hpa.purge_passes))
NAME("stats.arenas.<i>.hpa_shard.npurges", U64, read_part, NULL, PART(hpa.purges))
NAME("stats.arenas.<i>.hpa_shard.nhugifies", U64, read_part, NULL, PART(hpa.hugifies))
NAME("stats.arenas.<i>.hpa_shard.nhugify_failures", U64, read_part, NULL, PART(hpa.hugify_failures))
NAME("stats.arenas.<i>.hpa_shard.ndehugifies", U64, read_part, NULL, PART(hpa.dehugifies))
SLAB_NAMES("stats.arenas.<i>.hpa_shard.full_slabs", read_part, PART(hpa.full))
SLAB_NAMES("stats.arenas.<i>.hpa_shard.empty_slabs", read_part, PART(hpa.empty))
SLAB_NAMES("stats.arenas.<i>.hpa_shard.nonfull_slabs.<i>", read_page_slabs, PART(hpa.nonfull[0]))
NAME("approximate_stats.active", SIZE, read_active_now, NULL, 0)
NAME("prof.thread_active_init", BOOLEAN, read_prof_thread_init, write_prof_thread_init, 0)
NAME("prof.active", BOOLEAN, read_prof_active, write_prof_active, 0)
NAME("prof.reset", CALL, call_prof_reset, NULL, 0)
NAME("prof.lg_sample", SIZE, read_prof_lg_sample, NULL, 0)
NAME("prof.stats.bins.<i>.live", CALL, call_prof_bin_live, NULL, 0)
NAME("prof.stats.bins.<i>.accum", CALL, call_prof_bin_ever, NULL, 0)
NAME("prof.stats.lextents.<i>.live", CALL, call_prof_large_live, NULL, 0)
NAME("prof.stats.lextents.<i>.accum", CALL, call_prof_large_ever, NULL, 0)
NAME("experimental.hooks.install", CALL, call_hook_install, NULL, 0)
NAME("experimental.hooks.prof_backtrace", CALL, call_prof_hook_backtrace, NULL, 0)
NAME("experimental.hooks.prof_sample", CALL, call_prof_hook_sample, NULL, 0)
NAME("experimental.hooks.prof_sample_free", CALL, call_prof_hook_free, NULL, 0)
NAME("experimental.hooks.remove", CALL, call_hook_remove, NULL, 0)
NAME("experimental.hooks.safety_check_abort", CALL, call_hook_mistakes, NULL, 0)
NAME("experimental.hooks.thread_event", CALL, call_hook_bytes, NULL, 0)
NAME("experimental.utilization.query", CALL, call_query, NULL, 0)
NAME("experimental.utilization.batch_query", CALL, call_batch_query, NULL, 0)
NAME("experimental.arenas.<i>.pactivep", SIZE, read_active_address, NULL, 0)
NAME("experimental.arenas_create_ext", CALL, call_arena_create_extended, NULL, 0)
NAME("experimental.batch_alloc", CALL, call_batch_alloc, NULL, 0)
#undef SUM
#undef PART
#undef BIN
#undef LARGE
#undef STRETCH
#undef LOCK
#undef LOCK_NAMES
#undef SLAB
#undef SLAB_NAMES
#undef SIZES_NAMES
