/* recent.c: the list of recent samples, and its text. See recent.h.
 *
 * Whoever tells the list holds no lock while the sink runs, and one entry after the other is copied
 * under it. Entries stay where they are meanwhile: taking one away moves `first` on, and `oldest`
 * follows when nobody tells any more.
 */
#include "profile/recent.h"

#include "config/options.h"
#include "pages/meta.h"
#include "profile/sample_text.h"

struct recent {
    struct recent *next;   /* the next younger one, or of the free ones: under the lock, like all */
    struct record *record; /* of its block; NULL: freed, or taken away */
    uint64_t requested_bytes;
    uint64_t usable_bytes;
    uint64_t alloc_time_ns;
    struct profiled_thread *alloc_thread; /* held, like the others */
    struct trace *alloc_trace;
    bool is_freed;
    uint64_t free_time_ns;
    struct profiled_thread *free_thread; /* or NULL, like the next */
    struct trace *free_trace;
};

static struct {
    struct lock lock;
    _Atomic int64_t max;   /* under the lock; read relaxed, at any time */
    uint64_t count;        /* under the lock, like what follows: from `first` on */
    struct recent *oldest; /* likewise: what is there at all */
    struct recent *first;  /* likewise */
    struct recent *last;   /* likewise */
    struct recent *spare;  /* likewise: free entries */
    unsigned printing;     /* likewise: how often the list is being told */
} list;

static bool has_too_many(void)
{
    int64_t max = recent_max();
    return max >= 0 && list.count > (uint64_t)max;
}

/* Gives up an entry that nobody tells. Lock held, like in what follows. */
static void give_up(struct recent *entry)
{
    tally_trace_release(entry->alloc_trace);
    tally_thread_end(entry->alloc_thread);
    if (entry->free_trace != NULL) {
        tally_trace_release(entry->free_trace);
    }
    if (entry->free_thread != NULL) {
        tally_thread_end(entry->free_thread);
    }
    entry->next = list.spare;
    list.spare = entry;
}

static void settle(void)
{
    while (has_too_many()) {
        struct recent *entry = list.first;
        if (entry->record != NULL) {
            atomic_store_explicit(&entry->record->recent, NULL, memory_order_release);
            entry->record = NULL;
        }
        list.first = entry->next;
        list.count--;
    }
    while (list.printing == 0 && list.oldest != list.first) {
        struct recent *entry = list.oldest;
        list.oldest = entry->next;
        give_up(entry);
    }
    if (list.oldest == NULL) {
        list.last = NULL;
    }
}

static void append(struct recent *entry)
{
    entry->next = NULL;
    if (list.last != NULL) {
        list.last->next = entry;
    }
    list.last = entry;
    list.first = list.first != NULL ? list.first : entry;
    list.oldest = list.oldest != NULL ? list.oldest : entry;
    list.count++;
}

static struct recent *new_entry(void)
{
    struct recent *entry = list.spare;
    if (entry != NULL) {
        list.spare = entry->next;
        return entry;
    }
    return meta_alloc(sizeof *entry, _Alignof(struct recent));
}

void recent_start(void)
{
    lock_init(&list.lock, LOCK_RECENT);
    (void)recent_set_max(options.prof_recent_alloc_max);
}

int64_t recent_max(void)
{
    return atomic_load_explicit(&list.max, memory_order_relaxed);
}

int64_t recent_set_max(int64_t max)
{
    ASSERT(max >= -1);
    lock_acquire(&list.lock);
    int64_t before = recent_max();
    atomic_store_explicit(&list.max, max, memory_order_relaxed);
    record_want(RECORD_RECENT, max != 0);
    settle();
    lock_release(&list.lock);
    return before;
}

void recent_add(struct record *record, size_t usable_bytes)
{
    if (recent_max() == 0) {
        return;
    }
    struct tally *tally = record->tally;
    lock_acquire(&list.lock);
    struct recent *entry = new_entry();
    if (entry != NULL) {
        *entry = (struct recent){
            .record = record,
            .requested_bytes = record->requested_bytes,
            .usable_bytes = usable_bytes,
            .alloc_time_ns = record->alloc_time_ns,
            .alloc_thread = tally->thread,
            .alloc_trace = tally->trace,
        };
        tally_thread_hold(tally->thread);
        tally_trace_hold_more(tally->trace);
        atomic_store_explicit(&record->recent, entry, memory_order_relaxed);
        append(entry);
        settle();
    }
    lock_release(&list.lock);
}

void recent_end(struct record *record, const struct sample_end *end)
{
    if (!recent_has(record)) {
        return;
    }
    lock_acquire(&list.lock);
    struct recent *entry = atomic_load_explicit(&record->recent, memory_order_relaxed);
    if (entry != NULL) {
        ASSERT(entry->record == record);
        entry->record = NULL;
        entry->is_freed = true;
        entry->free_time_ns = end->free_time_ns;
        entry->free_thread = end->thread;
        entry->free_trace = end->trace;
        if (end->thread != NULL) {
            tally_thread_hold(end->thread);
        }
        if (end->trace != NULL) {
            tally_trace_hold_more(end->trace);
        }
    }
    lock_release(&list.lock);
}

/* Keys begin with alloc or dalloc. */
static void print_thread(struct printer *printer, const char *key,
                         const struct profiled_thread *thread)
{
    char name[THREAD_NAME_BYTES];
    if (thread == NULL) {
        return;
    }
    print(printer, ",\"%s_thread_uid\":%llu", key, (unsigned long long)thread->number);
    tally_thread_name(thread, name);
    if (name[0] != '\0') {
        print(printer, ",\"%s_thread_name\":", key);
        print_quoted(printer, name);
    }
}

static void print_when_and_where(struct printer *printer, const char *key, uint64_t time,
                                 const struct trace *trace)
{
    print(printer, ",\"%s_time\":%llu", key, (unsigned long long)time);
    if (trace != NULL) {
        print(printer, ",\"%s_trace\":", key);
        sample_text_trace(printer, trace);
    }
}

static void print_entry(struct printer *printer, const struct recent *entry, uint64_t shift)
{
    print(printer, "{\"size\":%llu,\"usize\":%llu,\"released\":%s",
          (unsigned long long)entry->requested_bytes, (unsigned long long)entry->usable_bytes,
          entry->is_freed ? "true" : "false");
    print_thread(printer, "alloc", entry->alloc_thread);
    print_when_and_where(printer, "alloc", record_shown_time(entry->alloc_time_ns, shift),
                         entry->alloc_trace);
    if (entry->is_freed) {
        print_thread(printer, "dalloc", entry->free_thread);
        print_when_and_where(printer, "dalloc", record_shown_time(entry->free_time_ns, shift),
                             entry->free_trace);
    }
    print(printer, "}");
}

struct span {
    struct recent *first;
    struct recent *last;
};

static struct span begin_printing(struct sampling *sampling)
{
    lock_acquire(&list.lock);
    list.printing++;
    struct span span = {list.first, list.last};
    lock_release(&list.lock);
    if (sampling != NULL) {
        sampling->printing++;
    }
    return span;
}

static void end_printing(struct sampling *sampling)
{
    if (sampling != NULL) {
        sampling->printing--;
    }
    lock_acquire(&list.lock);
    list.printing -= list.printing > 0;
    settle();
    lock_release(&list.lock);
}

static struct recent copy_of(const struct recent *entry)
{
    lock_acquire(&list.lock);
    struct recent copy = *entry;
    lock_release(&list.lock);
    return copy;
}

void recent_print(struct sampling *sampling, print_sink sink, void *opaque)
{
    struct printer printer;
    struct recent copy;
    uint64_t shift = record_time_shift();
    printer_init(&printer, sink, opaque);
    print(&printer, "{\"sample_interval\":%llu,\"recent_alloc_max\":%lld,\"recent_alloc\":[",
          (unsigned long long)1 << sampler_lg_period(), (long long)recent_max());
    struct span span = begin_printing(sampling);
    const struct recent *end = span.first == NULL ? NULL : span.last;
    for (const struct recent *entry = span.first; end != NULL; entry = copy.next) {
        copy = copy_of(entry);
        print_entry(&printer, &copy, shift);
        if (entry == end) {
            break;
        }
        print(&printer, ",");
    }
    print(&printer, "]}");
    print_flush(&printer);
    end_printing(sampling);
}

void recent_visit_lock(void (*visit)(struct lock *lock))
{
    visit(&list.lock);
}

void recent_forked(unsigned printing)
{
    list.printing = printing;
}
