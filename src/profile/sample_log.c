/* sample_log.c: what a log keeps, and its text. See sample_log.h.
 *
 * Logs begin and end under the dump's lock, which guards the file as well; the log's own lock only
 * guards what is kept, and is not held while a file is written. Traces and threads have a place for
 * the number and the next of the log, so that what a log knows is found without a search.
 */
#include "profile/sample_log.h"

#include "base/print.h"
#include "config/options.h"
#include "os/files.h"
#include "os/os.h"
#include "pages/meta.h"
#include "profile/dump.h"
#include "profile/dump_file.h"
#include "profile/sample_text.h"
#include "profile/sampler.h"

#include <stdlib.h>
#include <string.h>

/* The end of a block; threads and traces as numbers of this log. */
struct log_entry {
    uint64_t alloc_time_ns;
    uint64_t free_time_ns;
    uint64_t usable_bytes;
    uint32_t alloc_thread;
    uint32_t free_thread;
    uint32_t alloc_trace;
    uint32_t free_trace;
};

enum { PART_BYTES = 4096, PART_ENTRIES = (PART_BYTES - 16) / sizeof(struct log_entry) };

struct log_part {
    struct log_part *next;
    uint64_t count;
    struct log_entry entry[PART_ENTRIES];
};

static_assert(sizeof(struct log_part) <= PART_BYTES, "parts are pages");

/* What a log has gathered. */
struct log_content {
    struct log_part *first_part;
    struct log_part *last_part;
    struct profiled_thread *first_thread;
    struct profiled_thread *last_thread;
    struct trace *first_trace;
    struct trace *last_trace;
    uint32_t thread_count;
    uint32_t trace_count;
    struct profiled_thread *nobody; /* stands for threads that cannot be told */
};

_Atomic bool sample_log_is_on;

static struct {
    struct lock lock;
    uint64_t number; /* of the log, from 1 on: under the dump's lock, and the log's to change it */
    struct log_content content; /* under the lock */
    struct log_part *spare;     /* under the lock */
    uint64_t begin_ns;          /* under the dump's lock, like the rest */
    uint64_t process_id;        /* likewise: of who began it */
    bool has_path;              /* likewise: the program gave it one */
    char path[DUMP_PATH_BYTES]; /* likewise */
} log_state;

void sample_log_start(void)
{
    lock_init(&log_state.lock, LOCK_LOG);
}

/* Lock held, like in what follows. */
static uint32_t index_of_thread(struct profiled_thread *thread)
{
    struct log_content *content = &log_state.content;
    if (thread->log_number != log_state.number) {
        thread->log_number = log_state.number;
        thread->log_index = content->thread_count++;
        thread->log_next = NULL;
        tally_thread_hold(thread);
        if (content->last_thread != NULL) {
            content->last_thread->log_next = thread;
        } else {
            content->first_thread = thread;
        }
        content->last_thread = thread;
    }
    return thread->log_index;
}

static uint32_t index_of_trace(struct trace *trace)
{
    struct log_content *content = &log_state.content;
    if (trace->log_number != log_state.number) {
        trace->log_number = log_state.number;
        trace->log_index = content->trace_count++;
        trace->log_next = NULL;
        tally_trace_hold_more(trace);
        if (content->last_trace != NULL) {
            content->last_trace->log_next = trace;
        } else {
            content->first_trace = trace;
        }
        content->last_trace = trace;
    }
    return trace->log_index;
}

static struct profiled_thread *nobody(void)
{
    if (log_state.content.nobody == NULL) {
        log_state.content.nobody = tally_thread_begin();
    }
    return log_state.content.nobody;
}

/* One with room, or NULL. */
static struct log_part *part_to_fill(void)
{
    struct log_content *content = &log_state.content;
    struct log_part *part = content->last_part;
    if (part != NULL && part->count < PART_ENTRIES) {
        return part;
    }
    part = log_state.spare;
    if (part != NULL) {
        log_state.spare = part->next;
    } else if ((part = meta_alloc(PART_BYTES, _Alignof(struct log_part))) == NULL) {
        return NULL;
    }
    part->next = NULL;
    part->count = 0;
    if (content->last_part != NULL) {
        content->last_part->next = part;
    } else {
        content->first_part = part;
    }
    content->last_part = part;
    return part;
}

static void add(const struct sample_end *end)
{
    struct profiled_thread *thread = end->thread != NULL ? end->thread : nobody();
    struct log_part *part = thread != NULL ? part_to_fill() : NULL;
    if (part != NULL) {
        part->entry[part->count++] = (struct log_entry){
            .alloc_time_ns = end->alloc_time_ns,
            .free_time_ns = end->free_time_ns,
            .usable_bytes = end->usable_bytes,
            .alloc_thread = index_of_thread(end->tally->thread),
            .free_thread = index_of_thread(thread),
            .alloc_trace = index_of_trace(end->tally->trace),
            .free_trace = index_of_trace(end->trace),
        };
    }
}

void sample_log_add(const struct sample_end *end)
{
    lock_acquire(&log_state.lock);
    /* What no memory was left for is not told. */
    if (sample_log_wants() && end->trace != NULL) {
        add(end);
    }
    lock_release(&log_state.lock);
}

static void switch_to(bool on)
{
    atomic_store_explicit(&sample_log_is_on, on, memory_order_relaxed);
    record_want(RECORD_LOG, on);
}

/* The dump's lock is held, in what follows too. */
static bool begin(const char *path)
{
    size_t length = path != NULL ? strlen(path) : 0;
    if (sample_log_wants() || length >= sizeof log_state.path ||
        (path == NULL && dump_name_is_off())) {
        return false;
    }
    log_state.has_path = path != NULL;
    if (path != NULL) {
        memcpy(log_state.path, path, length + 1);
    }
    log_state.process_id = os_process_id();
    log_state.begin_ns = os_time_ns();
    lock_acquire(&log_state.lock);
    log_state.number++;
    switch_to(true);
    lock_release(&log_state.lock);
    return true;
}

bool sample_log_begin(const char *path)
{
    lock_acquire(dump_lock());
    bool begun = begin(path);
    lock_release(dump_lock());
    return begun;
}

/* Nothing is added any more: result: what was. */
static struct log_content take_content(void)
{
    lock_acquire(&log_state.lock);
    struct log_content content = log_state.content;
    memset(&log_state.content, 0, sizeof log_state.content);
    switch_to(false);
    lock_release(&log_state.lock);
    return content;
}

static void give_up(const struct log_content *content)
{
    struct trace *next_trace;
    for (struct trace *trace = content->first_trace; trace != NULL; trace = next_trace) {
        next_trace = trace->log_next;
        tally_trace_release(trace);
    }
    struct profiled_thread *next_thread;
    for (struct profiled_thread *thread = content->first_thread; thread != NULL;
         thread = next_thread) {
        next_thread = thread->log_next;
        tally_thread_end(thread);
    }
    if (content->nobody != NULL) {
        tally_thread_end(content->nobody);
    }
    lock_acquire(&log_state.lock);
    if (content->last_part != NULL) {
        content->last_part->next = log_state.spare;
        log_state.spare = content->first_part;
    }
    lock_release(&log_state.lock);
}

static void put(void *opaque, const char *text)
{
    (void)opaque;
    dump_file_put(text, strlen(text));
}

static void print_info(struct printer *printer, const char *version)
{
    static const char resolution[2][8] = {"default", "high"};
    print(printer, "{\"info\":{\"duration\":%llu,\"version\":",
          (unsigned long long)(os_time_ns() - log_state.begin_ns));
    print_quoted(printer, version);
    print(printer, ",\"lg_sample_rate\":%u,\"prof_time_resolution\":\"%s\",\"pid\":%llu}",
          sampler_lg_period(), resolution[options.prof_time_resolution == TIME_HIGH],
          (unsigned long long)os_process_id());
}

static void print_threads(struct printer *printer, const struct profiled_thread *thread)
{
    const char *comma = "";
    char name[THREAD_NAME_BYTES];
    print(printer, ",\"threads\":[");
    for (; thread != NULL; thread = thread->log_next) {
        tally_thread_name(thread, name);
        print(printer, "%s{\"thr_uid\":%llu,\"thr_name\":", comma,
              (unsigned long long)thread->number);
        print_quoted(printer, name);
        print(printer, "}");
        comma = ",";
    }
    print(printer, "]");
}

static void print_traces(struct printer *printer, const struct trace *trace)
{
    const char *comma = "";
    print(printer, ",\"stack_traces\":[");
    for (; trace != NULL; trace = trace->log_next) {
        print(printer, "%s", comma);
        sample_text_trace(printer, trace);
        comma = ",";
    }
    print(printer, "]");
}

static void print_entry(struct printer *printer, const struct log_entry *entry, uint64_t shift)
{
    print(printer,
          "{\"alloc_thread\":%u,\"free_thread\":%u,\"alloc_trace\":%u,\"free_trace\":%u,"
          "\"alloc_timestamp\":%llu,\"free_timestamp\":%llu,\"usize\":%llu}",
          entry->alloc_thread, entry->free_thread, entry->alloc_trace, entry->free_trace,
          (unsigned long long)record_shown_time(entry->alloc_time_ns, shift),
          (unsigned long long)record_shown_time(entry->free_time_ns, shift),
          (unsigned long long)entry->usable_bytes);
}

static void print_entries(struct printer *printer, const struct log_part *part)
{
    uint64_t shift = record_time_shift();
    const char *comma = "";
    print(printer, ",\"allocations\":[");
    for (; part != NULL; part = part->next) {
        for (uint64_t i = 0; i < part->count; i++) {
            print(printer, "%s", comma);
            print_entry(printer, &part->entry[i], shift);
            comma = ",";
        }
    }
    print(printer, "]}");
}

static bool write_log(const struct log_content *content, const char *version)
{
    struct printer printer;
    if (!log_state.has_path) {
        dump_name_next_log(log_state.path);
    }
    if (!dump_file_open(log_state.path)) {
        return false;
    }
    printer_init(&printer, put, NULL);
    print_info(&printer, version);
    print_threads(&printer, content->first_thread);
    print_traces(&printer, content->first_trace);
    print_entries(&printer, content->first_part);
    print_flush(&printer);
    return dump_file_close();
}

static bool end_log(const char *version)
{
    bool was_on = sample_log_wants();
    struct log_content content = take_content();
    bool is_written = was_on && write_log(&content, version);
    give_up(&content);
    return is_written;
}

bool sample_log_end(const char *version)
{
    lock_acquire(dump_lock());
    bool is_written = end_log(version);
    lock_release(dump_lock());
    return is_written;
}

/* With a path of its own: the program may use logs from where its messages go. */
static NOINLINE void tell_failure(const char *path)
{
    char own_path[DUMP_PATH_BYTES];
    memcpy(own_path, path, strlen(path) + 1);
    lock_release(dump_lock());
    message("failed to write the log \"%s\"", own_path);
    if (options.abort) {
        abort();
    }
}

void sample_log_end_at_exit(const char *version)
{
    lock_acquire(dump_lock());
    bool is_ours = !log_state.has_path || log_state.process_id == os_process_id();
    if (sample_log_wants() && is_ours && !end_log(version)) {
        tell_failure(log_state.path);
    } else {
        lock_release(dump_lock());
    }
}

void sample_log_visit_lock(void (*visit)(struct lock *lock))
{
    visit(&log_state.lock);
}
