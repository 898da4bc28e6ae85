/* options_table.h: every option of MALLOC_CONF, once. Parser, mirror under opt.*, documentation and
 * tests are made from these rows.
 *
 * BOOLEAN(name, default, meaning)
 * INTEGER(name, C type, default, least, most, out of range: REFUSE or CLIP, unit, meaning)
 * CHOICE(name, default, "value|value|...", meaning)     the field is the index of the value
 * TEXT(name, default, meaning)                           the field is a terminated string
 *
 * No include guard: the file is included once for each use of the table.
 */
BOOLEAN(abort_conf, false, "Abort when a configuration string has an error.")
BOOLEAN(confirm_conf, false, "Print every configuration source and every accepted pair.")
BOOLEAN(tcache, true, "Threads cache small blocks; false makes each call go to an arena.")
BOOLEAN(zero, false, "Fresh blocks read as zero.")
BOOLEAN(xmalloc, false, "Print a line and abort when memory is refused.")
BOOLEAN(stats_print, false, "Print statistics at exit.")
INTEGER(narenas, unsigned, 0, 1, 4094, CLIP_ABOVE, "",
        "Arenas that threads are spread over; default 4 a CPU.")
INTEGER(dirty_decay_ms, int64_t, 10000, -1, 18446744072000, REFUSE, "ms",
        "Time until unused dirty pages are purged; -1 never, 0 at once.")
INTEGER(muzzy_decay_ms, int64_t, 0, -1, 18446744072000, REFUSE, "ms",
        "Time that purged pages stay for the system to take; -1 for ever, 0 not at all.")
/* Not jemalloc's background_thread, which does all purging. With this one frees go on purging, and
 * a thread gives back what they left when the program falls idle. Off: a thread that a program did
 * not make may surprise it (docs/decisions/unused-memory.md). */
BOOLEAN(idle_purge, false, "In a program with several threads, one of ours purges what falls idle.")
CHOICE(junk, 0, "false|true|alloc|free", "Fill fresh blocks with 0xa5 and freed ones with 0x5a.")
CHOICE(thp, 0, "default|always|never",
       "Huge pages for chunks: as the system decides, wanted, or refused.")
CHOICE(zero_realloc, 1, "alloc|free|abort", "What realloc(p, 0) does.")
TEXT(stats_print_opts, "", "Letters for stats_print, as malloc_stats_print takes them.")
