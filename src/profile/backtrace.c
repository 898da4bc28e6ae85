/* backtrace.c: the three ways up a stack, and the cache of what the tables said.
 *
 * The cache is a table of rules by address, each in the one slot that the address hashes to. It is
 * read and written without a lock: a slot's key is the exclusive or of what it is for and of a hash
 * of the rule, so a slot that two threads wrote at once is for nothing. The tag of a rule mixes the
 * address with the identity of its module, so the rules of a module that was unloaded die with it.
 */
#include "profile/backtrace.h"

#include "base/print.h"
#include "config/options.h"
#include "os/modules.h"
#include "os/os.h"
#include "os/registers.h"
#include "profile/frame_table.h"

#include <string.h>

enum {
    CACHE_SLOTS = 4096, /* redis-server under load has 700 return addresses on its way to malloc */
    MODULES = 4,        /* that a walk remembers: program, libc, this library, one more */
    UNWINDERS = 64,     /* threads inside libgcc at once */
    SKIPPED_MAX = 8,    /* frames of our own below the caller's */
    LOWEST_CODE = 4096, /* no code lies below; a return address of 0 ends a stack */
    PAIR_BYTES = 2 * sizeof(uintptr_t), /* what a frame pointer points at */
};

/* A frame larger than this is an error; stacks of 8 MiB are usual, the limit can be raised. */
static const uintptr_t frame_bytes_max = (uintptr_t)1 << 30;
/* The same for a frame pointer that no table vouches for. */
static const uintptr_t unknown_frame_bytes_max = (uintptr_t)1 << 20;

struct cache_slot {
    uint64_t key;      /* any thread, relaxed: the tag and the hash of the words, or 0 */
    uint64_t words[2]; /* any thread, relaxed: a struct frame_rule */
};

static struct cache_slot cache[CACHE_SLOTS];

/* libgcc's functions. Written by backtrace_start(), the first one last and with release order,
 * which publishes the other; read by any thread. */
typedef int (*unwind_visitor)(void *context, void *opaque);
static int (*unwind_all)(unwind_visitor visit, void *opaque);
static uintptr_t (*unwind_address)(void *context);

/* The threads that are inside libgcc now, or 0: each is put in by itself, by compare and swap, and
 * taken out by itself. Relaxed: only the thread itself looks for its own mark, and the marks
 * publish nothing. */
static uintptr_t unwinders[UNWINDERS];

struct walk {
    struct registers now;
    bool is_exact;   /* pc is where a signal came, not behind a call */
    uintptr_t first; /* the return address that the frames start with */
    uintptr_t *frames;
    unsigned count;
    unsigned most;
    uintptr_t end;            /* no word of the stack lies at or above; above sp */
    uintptr_t readable_end;   /* from sp to here every page was read from, or tried; 0: none was */
    unsigned module_count;    /* modules found, of which the last MODULES are here */
    struct os_module *module; /* the last frame's */
    struct os_module modules[MODULES];
};

enum outcome { WALK_WHOLE, WALK_STUCK };

/* The stack is the program's: reading it is no race, and no error of a bound, to the sanitizers. */
__attribute__((no_sanitize("address"), no_sanitize("thread"))) static uintptr_t
read_word(uintptr_t address)
{
    return *(const volatile uintptr_t *)address; /* NOLINT */
}

/* Where the stack that sp is on ends, as far as that is known. */
static uintptr_t end_above(uintptr_t sp)
{
    uintptr_t end = sp + frame_bytes_max > sp ? sp + frame_bytes_max : UINTPTR_MAX;
    uintptr_t thread_end = os_thread_self();
    uintptr_t first_end = os_first_stack_end();
    end = thread_end > sp && thread_end < end ? thread_end : end;
    return first_end > sp && first_end < end ? first_end : end;
}

/* Whether a word may be part of the stack from sp on. */
static bool is_on_stack(const struct walk *walk, uintptr_t address)
{
    uintptr_t sp = walk->now.sp;
    return address - sp < walk->end - sp && address % sizeof(uintptr_t) == 0;
}

static bool is_full(const struct walk *walk)
{
    return walk->count == walk->most;
}

static uint64_t hash_words(const uint64_t words[2])
{
    /* Odd numbers from the digits of pi and e: the product's high bits depend on all bits. */
    return words[0] * 0x243f6a8885a308d3u ^ words[1] * 0xb7e151628aed2a6bu;
}

static struct cache_slot *slot_of(uintptr_t address)
{
    return &cache[(address ^ address >> 12) % CACHE_SLOTS];
}

static bool cache_get(uintptr_t address, uint64_t tag, struct frame_rule *rule)
{
    struct cache_slot *slot = slot_of(address);
    uint64_t words[2];
    uint64_t key = __atomic_load_n(&slot->key, __ATOMIC_RELAXED);
    words[0] = __atomic_load_n(&slot->words[0], __ATOMIC_RELAXED);
    words[1] = __atomic_load_n(&slot->words[1], __ATOMIC_RELAXED);
    memcpy(rule, words, sizeof *rule);
    return (key ^ hash_words(words)) == tag;
}

static void cache_put(uintptr_t address, uint64_t tag, struct frame_rule rule)
{
    struct cache_slot *slot = slot_of(address);
    uint64_t words[2];
    memcpy(words, &rule, sizeof words);
    __atomic_store_n(&slot->key, tag ^ hash_words(words), __ATOMIC_RELAXED);
    __atomic_store_n(&slot->words[0], words[0], __ATOMIC_RELAXED);
    __atomic_store_n(&slot->words[1], words[1], __ATOMIC_RELAXED);
}

/* The module of an address, or NULL; each is looked up once a walk. */
static NOINLINE const struct os_module *module_of_slow(struct walk *walk, uintptr_t address)
{
    unsigned known = walk->module_count < MODULES ? walk->module_count : MODULES;
    for (unsigned i = 0; i < known; i++) {
        if (address >= walk->modules[i].start && address < walk->modules[i].end) {
            walk->module = &walk->modules[i];
            return walk->module;
        }
    }
    struct os_module found;
    if (!os_module_find(address, &found)) {
        return NULL;
    }
    walk->module = &walk->modules[walk->module_count++ % MODULES];
    *walk->module = found;
    return walk->module;
}

/* The same; that of the last frame is often that of the next. */
static inline const struct os_module *module_of(struct walk *walk, uintptr_t address)
{
    const struct os_module *last = walk->module;
    bool is_in_last = address - last->start < last->end - last->start;
    return is_in_last ? last : module_of_slow(walk, address);
}

/* The address that the tables are asked for: a return address may be that of the next function. */
static uintptr_t asked_address(const struct walk *walk)
{
    return walk->is_exact ? walk->now.pc : walk->now.pc - 1;
}

/* What a rule is for: an address of a module; addresses without a module are as of one. */
static uint64_t tag_of(const struct os_module *module, uintptr_t address)
{
    return module != NULL ? module->identity ^ address : address;
}

static struct frame_rule present_rule(struct walk *walk)
{
    uintptr_t address = asked_address(walk);
    const struct os_module *module = module_of(walk, address);
    uint64_t tag = tag_of(module, address);
    struct frame_rule rule;
    if (!cache_get(address, tag, &rule)) {
        rule = frame_rule_find(module != NULL ? module->frame_index : NULL, address);
        cache_put(address, tag, rule);
    }
    return rule;
}

/* Nobody knows the caller of the present frame. */
static void present_is_last(struct walk *walk)
{
    uintptr_t address = asked_address(walk);
    struct frame_rule last = {.kind = FRAME_LAST};
    cache_put(address, tag_of(module_of(walk, address), address), last);
}

/* The word at base + offset, when that may be on the stack. */
static bool load(const struct walk *walk, uintptr_t base, int32_t offset, uintptr_t *word)
{
    uintptr_t address = base + (uintptr_t)(intptr_t)offset;
    if (!is_on_stack(walk, address)) {
        return false;
    }
    *word = read_word(address);
    return true;
}

/* The register that an offset counts from. */
static uintptr_t base_of(const struct walk *walk, uint8_t base, uintptr_t cfa)
{
    uintptr_t from_register = base == FRAME_SP ? walk->now.sp : walk->now.fp;
    return base == FRAME_CFA ? cfa : from_register;
}

/* The caller's stack pointer. False when that leads off the stack. */
static bool find_cfa(const struct walk *walk, const struct frame_rule *rule, uintptr_t *cfa)
{
    if (rule->cfa_base <= FRAME_FP) {
        *cfa = base_of(walk, rule->cfa_base, 0) + (uintptr_t)(intptr_t)rule->cfa_offset;
        return true;
    }
    uintptr_t base = base_of(walk, rule->cfa_base == FRAME_AT_SP ? FRAME_SP : FRAME_FP, 0);
    return load(walk, base, rule->cfa_offset, cfa);
}

/* Goes to the caller by a rule. False when that leads off the stack: everything is as it was. */
static inline bool step(struct walk *walk, const struct frame_rule *rule)
{
    struct registers next = walk->now;
    if (!find_cfa(walk, rule, &next.sp) ||
        !load(walk, base_of(walk, rule->return_base, next.sp), rule->return_offset, &next.pc)) {
        return false;
    }
    if (rule->fp_base != FRAME_SAME &&
        !load(walk, base_of(walk, rule->fp_base, next.sp), rule->fp_offset, &next.fp)) {
        return false;
    }
    bool is_signal = rule->kind == FRAME_SIGNAL;
    if (is_signal) { /* A handler may have a stack of its own, anywhere. */
        walk->end = end_above(next.sp);
    } else if (next.sp <= walk->now.sp || next.sp > walk->end) {
        return false; /* Else each frame is above the last. */
    }
    walk->is_exact = is_signal;
    next.pc = return_address_bare(next.pc);
    walk->now = next;
    return true;
}

/* Walks by the tables until they end, or are silent. */
static enum outcome walk_tables(struct walk *walk)
{
    while (!is_full(walk)) {
        struct frame_rule rule = present_rule(walk);
        if (rule.kind == FRAME_OUTERMOST || rule.kind == FRAME_LAST) {
            return WALK_WHOLE;
        }
        if (rule.kind == FRAME_UNKNOWN || !step(walk, &rule)) {
            return WALK_STUCK;
        }
        if (walk->now.pc < LOWEST_CODE) {
            return WALK_WHOLE;
        }
        walk->frames[walk->count++] = walk->now.pc;
    }
    return WALK_WHOLE;
}

/* The same through the frames of this library only. */
static void leave_library(struct walk *walk)
{
    struct os_module own;
    if (!os_module_own(&own)) {
        return;
    }
    walk->modules[0] = own;
    walk->module_count = 1;
    while (!is_full(walk) && walk->now.pc >= own.start && walk->now.pc < own.end) {
        struct frame_rule rule = present_rule(walk);
        if ((rule.kind != FRAME_PLAIN && rule.kind != FRAME_SIGNAL) || !step(walk, &rule)) {
            return;
        }
        walk->frames[walk->count++] = walk->now.pc;
    }
}

/* Whether the pages from sp to the end of the pair at an address can be read. The page of sp can:
 * it is our own stack. The loop is bounded by unknown_frame_bytes_max. */
static bool pages_are_readable(struct walk *walk, uintptr_t pair)
{
    uintptr_t page_mask = ~((uintptr_t)os_page_bytes - 1);
    uintptr_t next = (walk->now.sp & page_mask) + os_page_bytes;
    next = next > walk->readable_end ? next : walk->readable_end;
    bool is_readable = true;
    while (is_readable && next < pair + PAIR_BYTES) {
        is_readable = os_is_readable(next);
        next += is_readable ? os_page_bytes : 0;
    }
    walk->readable_end = next;
    return is_readable;
}

static void walk_frame_pointers(struct walk *walk)
{
    while (!is_full(walk)) {
        uintptr_t pair = walk->now.fp;
        if (!is_on_stack(walk, pair) || !is_on_stack(walk, pair + sizeof(uintptr_t)) ||
            pair - walk->now.sp > unknown_frame_bytes_max || !pages_are_readable(walk, pair)) {
            return;
        }
        walk->now.pc = return_address_bare(read_word(pair + sizeof(uintptr_t)));
        walk->now.fp = read_word(pair);
        walk->now.sp = pair + PAIR_BYTES;
        if (walk->now.pc < LOWEST_CODE) {
            return;
        }
        walk->frames[walk->count++] = walk->now.pc;
    }
}

/* What libgcc's visits collect. */
struct collection {
    uintptr_t *frames;
    unsigned count;
    unsigned most;
    unsigned skipped;
    uintptr_t first; /* the return address that the frames start with */
};

static int visit_frame(void *context, void *opaque)
{
    enum { GO_ON = 0, STOP = 5 }; /* _URC_NO_REASON and _URC_END_OF_STACK */
    struct collection *collection = opaque;
    uintptr_t address = unwind_address(context);
    bool is_ours = collection->count == 0 && address != collection->first;
    if (is_ours) {
        collection->skipped++;
        return collection->skipped < SKIPPED_MAX ? GO_ON : STOP;
    }
    if (address < LOWEST_CODE || collection->count == collection->most) {
        return STOP;
    }
    collection->frames[collection->count++] = address;
    return collection->count < collection->most ? GO_ON : STOP;
}

/* Notes that the thread is inside libgcc. NULL when it is so already, in a frame that a signal
 * interrupted, or when too many threads are. */
static uintptr_t *unwinder_enter(void)
{
    uintptr_t self = os_thread_self();
    for (unsigned i = 0; i < UNWINDERS; i++) {
        if (__atomic_load_n(&unwinders[i], __ATOMIC_RELAXED) == self) {
            return NULL;
        }
    }
    for (unsigned i = 0; i < UNWINDERS; i++) {
        uintptr_t nobody = 0;
        if (__atomic_compare_exchange_n(&unwinders[i], &nobody, self, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return &unwinders[i];
        }
    }
    return NULL;
}

/* Walks by libgcc, and takes what it found where that is more. False: it cannot be asked now. */
static NOINLINE bool walk_libgcc(struct walk *walk)
{
    struct collection collection = {
        .frames = walk->frames, .most = walk->most, .first = walk->first};
    int (*unwind)(unwind_visitor, void *) = __atomic_load_n(&unwind_all, __ATOMIC_ACQUIRE);
    uintptr_t *mark = unwind != NULL ? unwinder_enter() : NULL;
    if (mark == NULL) {
        return false;
    }
    (void)unwind(visit_frame, &collection);
    __atomic_store_n(mark, 0, __ATOMIC_RELAXED);
    walk->count = collection.count > walk->count ? collection.count : walk->count;
    return true;
}

/* The tables left off. libgcc knows more forms, and frames that were registered at run time. */
static void go_on(struct walk *walk)
{
    unsigned count = walk->count;
    if (walk_libgcc(walk)) {
        if (walk->count == count) {
            present_is_last(walk);
        }
    } else if (__atomic_load_n(&unwind_all, __ATOMIC_RELAXED) == NULL) {
        walk_frame_pointers(walk);
    }
}

/* Has a frame pointer in every build: where no table tells of this library, that is where the walk
 * by frame pointers begins. */
NOINLINE unsigned backtrace_take(uintptr_t *frames, unsigned most)
{
    struct walk walk;
    __asm__ volatile("" : : "r"(__builtin_frame_address(0)));
    walk.now = registers_now();
    walk.is_exact = true;
    walk.first = return_address_bare((uintptr_t)__builtin_return_address(0));
    walk.frames = frames;
    walk.count = 0;
    walk.most = most;
    walk.end = end_above(walk.now.sp);
    walk.readable_end = 0;
    walk.module_count = 0;
    walk.module = &walk.modules[0];
    walk.modules[0] = (struct os_module){0};
    if (options.prof_unwind == UNWIND_FP) {
        leave_library(&walk);
        walk_frame_pointers(&walk);
    } else if (most > 0 && (options.prof_unwind == UNWIND_AUTO || !walk_libgcc(&walk))) {
        if (walk_tables(&walk) == WALK_STUCK) {
            go_on(&walk);
        }
    }
    return walk.count;
}

static int visit_nothing(void *context, void *opaque)
{
    (void)context;
    (void)opaque;
    return 0;
}

bool backtrace_start(void)
{
    os_modules_start();
    if (options.prof_unwind == UNWIND_FP ||
        __atomic_load_n(&unwind_all, __ATOMIC_RELAXED) != NULL) {
        return true;
    }
    int (*all)(unwind_visitor, void *);
    *(void **)&all = os_unwinder_find("_Unwind_Backtrace");
    *(void **)&unwind_address = os_unwinder_find("_Unwind_GetIP");
    if (all == NULL || unwind_address == NULL) {
        message(
            "libgcc_s.so.1 cannot be loaded: frames without unwind tables of the usual form are "
            "left by their frame pointers.");
        return false;
    }
    /* Its first walk sets up tables of its own. */
    (void)all(visit_nothing, NULL);
    __atomic_store_n(&unwind_all, all, __ATOMIC_RELEASE);
    return true;
}

bool backtrace_start_unloaded(void)
{
    if (os_modules_are_one()) {
        (void)backtrace_start();
        return true;
    }
    return options.prof_unwind == UNWIND_FP ||
           __atomic_load_n(&unwind_all, __ATOMIC_RELAXED) != NULL || os_modules_start_unloaded();
}

void backtrace_forked(void)
{
    memset(unwinders, 0, sizeof unwinders);
}
